"""Payload mutations: what a broken tracer might send instead of the spans it was given."""

import os

from mutation_registry import payload, spans


def _meta(span):
    return span.setdefault("meta", {})


def _metrics(span):
    return span.setdefault("metrics", {})


def _own(mapping):
    return [
        key
        for key in mapping
        if not key.startswith("_") and key not in ("runtime-id", "language", "process_id")
    ]


# ---- structure


@spans("parents.*")
def wrong_parent(span, chunk, index):
    """Every child hangs on the chunk's first span."""
    if span.get("parent_id") and index:
        span["parent_id"] = chunk[0]["span_id"]


@spans("parents.*")
def parent_lost(span, chunk, index):
    """No parents at all."""
    span.pop("parent_id", None)


@spans("chunks.remote*", "activation.activate_context")
def remote_parent_lost(span, chunk, index):
    """Entry spans lose their remote parent."""
    if index == 0:
        span.pop("parent_id", None)


@spans("parents.*")
def trace_id_not_shared(span, chunk, index):
    """Children have trace ids of their own."""
    if index:
        span["trace_id"] = span["span_id"]


@payload("finishing.*")
def order_reversed(chunk):
    """Spans in reverse order."""
    return [chunk[::-1]]


@payload("finishing.*")
def order_of_finish(chunk):
    """Spans in the order they finished."""
    return [sorted(chunk, key=lambda span: span["start"] + span["duration"])]


@payload("finishing.*")
def span_duplicated(chunk):
    """The last span is sent twice."""
    return [[*chunk, chunk[-1]]]


@payload("finishing.*")
def span_dropped(chunk):
    """The last span of several is lost."""
    return [chunk[:-1] if len(chunk) > 1 else chunk]


@payload("finishing.*")
def chunk_split(chunk):
    """Every span is a chunk."""
    return [[span] for span in chunk]


@payload("finishing.*")
def chunk_lost(chunk):
    """Chunks of one span are lost."""
    return [] if len(chunk) == 1 else [chunk]


@payload("partial.*")
def partial_chunks_lost(chunk):
    """Chunks without a root are lost."""
    return [chunk] if any(not span.get("parent_id") for span in chunk) else []


# ---- fields


@spans("tags.*")
def tag_lost(span, chunk, index):
    """One tag of the user is lost."""
    for key in _own(_meta(span))[:1]:
        del span["meta"][key]


@spans("metrics.*")
def metric_lost(span, chunk, index):
    """One metric of the user is lost."""
    for key in _own(_metrics(span))[:1]:
        del span["metrics"][key]


@spans("metrics.*")
def numbers_as_text(span, chunk, index):
    """Numbers are sent as text."""
    for key in _own(_metrics(span)):
        _meta(span)[key] = str(span["metrics"].pop(key))


@spans("metrics.*")
def floats_as_ints(span, chunk, index):
    """Fractions are cut off."""
    for key in _own(_metrics(span)):
        span["metrics"][key] = int(span["metrics"][key])


@spans("parents.*")
def service_inherited_always(span, chunk, index):
    """Children have the service of the first span."""
    span["service"] = chunk[0]["service"]


@spans("parents.*")
def resource_is_name(span, chunk, index):
    """The resource is always the name."""
    span["resource"] = span["name"]


@spans("parents.*")
def type_lost(span, chunk, index):
    """No span type."""
    span.pop("type", None)


@spans("parents.*", "finishing.*")
def name_lower(span, chunk, index):
    """Names are changed."""
    span["name"] = span["name"].upper()


@spans("errors.*")
def error_flag_lost(span, chunk, index):
    """No error flag."""
    span.pop("error", None)


@spans("errors.parent")
def error_spreads_to_parent(span, chunk, index):
    """An error marks the whole chunk."""
    span["error"] = max(other.get("error") or 0 for other in chunk)


@spans("errors.*")
def error_type_without_module(span, chunk, index):
    """error.type has no module."""
    if "error.type" in _meta(span):
        span["meta"]["error.type"] = span["meta"]["error.type"].rpartition(".")[2]


@spans("errors.*")
def error_stack_lost(span, chunk, index):
    """No error.stack."""
    _meta(span).pop("error.stack", None)


@spans("stacks.stack_*")
def error_stack_oldest_first(span, chunk, index):
    """The stack loses its newest frame."""
    stack = _meta(span).get("error.stack")
    if stack:
        lines = stack.splitlines()
        span["meta"]["error.stack"] = "\n".join(lines[:-3] + lines[-1:])


@spans("finishing.*")
def duration_in_microseconds(span, chunk, index):
    """Durations have the wrong unit."""
    span["duration"] //= 1000


@spans("finishing.*")
def start_rounded(span, chunk, index):
    """Starts are rounded to seconds."""
    span["start"] = span["start"] // 10**9 * 10**9


@spans("links.*")
def links_lost(span, chunk, index):
    """No span links."""
    span.pop("span_links", None)


@spans("links.*")
def link_flags_lost(span, chunk, index):
    """Links without flags."""
    for link in span.get("span_links", []):
        link.pop("flags", None)


@spans("stacks.record*")
def events_lost(span, chunk, index):
    """No span events."""
    _meta(span).pop("events", None)


# ---- bookkeeping


@spans("parents.*")
def priority_missing(span, chunk, index):
    """No sampling priority."""
    _metrics(span).pop("_sampling_priority_v1", None)


@spans("tag_keys.manual*")
def priority_always_one(span, chunk, index):
    """Every priority is 1."""
    if "_sampling_priority_v1" in _metrics(span):
        span["metrics"]["_sampling_priority_v1"] = 1


@spans("parents.*")
def dm_missing(span, chunk, index):
    """No decision maker."""
    _meta(span).pop("_dd.p.dm", None)


@spans("chunks.plain")
def dm_on_every_span(span, chunk, index):
    """The decision maker on every span."""
    _meta(span)["_dd.p.dm"] = "-0"


@spans("parents.*")
def top_level_missing(span, chunk, index):
    """No top level marks."""
    _metrics(span).pop("_dd.top_level", None)


@spans("parents.service*")
def top_level_on_roots_only(span, chunk, index):
    """Service changes are not top level."""
    if index:
        _metrics(span).pop("_dd.top_level", None)


@spans("parents.*")
def top_level_everywhere(span, chunk, index):
    """Every span is top level."""
    _metrics(span)["_dd.top_level"] = 1


@spans("services.env_version", "services.version_*_root")
def env_missing(span, chunk, index):
    """No env."""
    _meta(span).pop("env", None)


@spans("services.env_version", "services.version_*_root")
def env_on_roots_only(span, chunk, index):
    """env on the first span only."""
    if index:
        _meta(span).pop("env", None)


@spans("services.env_version", "services.version_*_root")
def version_on_foreign_service(span, chunk, index):
    """Every span has the root's version."""
    version = _meta(chunk[0]).get("version")
    if version:
        _meta(span)["version"] = version


@spans("services.base_service*", "parents.*")
def base_service_missing(span, chunk, index):
    """No base service."""
    _meta(span).pop("_dd.base_service", None)


@spans("services.base_service*")
def base_service_not_lowered(span, chunk, index):
    """The base service keeps its capitals."""
    if "_dd.base_service" in _meta(span):
        span["meta"]["_dd.base_service"] = os.environ.get(
            "DD_SERVICE", span["meta"]["_dd.base_service"]
        )


@spans("activation.thread_join*", "parents.child_of*")
def runtime_id_missing_on_entry(span, chunk, index):
    """runtime-id on the first span only, not on later entry spans."""
    if index:
        _meta(span).pop("runtime-id", None)


@spans("chunks.two_traces")
def runtime_id_changes(span, chunk, index):
    """Every trace has a runtime-id of its own."""
    if "runtime-id" in _meta(span):
        span["meta"]["runtime-id"] = f"{span['span_id']:032x}"


@spans("parents.*")
def process_id_missing(span, chunk, index):
    """No process_id."""
    _metrics(span).pop("process_id", None)


@spans("parents.*")
def language_missing(span, chunk, index):
    """No language."""
    _meta(span).pop("language", None)


@spans("parents.*")
def language_on_every_span(span, chunk, index):
    """language on every span."""
    _meta(span)["language"] = "python"


@spans("parents.*", "chunks.context_128")
def tid_missing(span, chunk, index):
    """The high half of the trace id is lost."""
    _meta(span).pop("_dd.p.tid", None)


@spans("parents.*")
def tid_everywhere(span, chunk, index):
    """The high half of the trace id is on every span."""
    if "_dd.p.tid" in _meta(chunk[0]):
        _meta(span)["_dd.p.tid"] = chunk[0]["meta"]["_dd.p.tid"]


@spans("chunks.remote*", "chunks.context_*")
def origin_on_first_only(span, chunk, index):
    """The origin on the first span only."""
    if index:
        _meta(span).pop("_dd.origin", None)


@spans("chunks.remote*", "chunks.context_*")
def propagated_on_first_only(span, chunk, index):
    """Propagated tags on the first span only."""
    if index:
        for key in [key for key in _meta(span) if key.startswith("_dd.p.")]:
            del span["meta"][key]


@spans("chunks.plain", "chunks.two_traces")
def keep_rate_missing(span, chunk, index):
    """No keep rate."""
    _metrics(span).pop("_dd.tracer_kr", None)


@spans("partial.*")
def partial_count_missing(span, chunk, index):
    """Partial chunks have no count."""
    _metrics(span).pop("_dd.py.partial_flush", None)


@spans("partial.*")
def partial_count_always(span, chunk, index):
    """Complete chunks have a count as well."""
    if index == 0:
        _metrics(span)["_dd.py.partial_flush"] = len(chunk)


@payload("partial.*")
def partial_chunks_unmarked(chunk):
    """Chunk keys on chunks with a root only."""
    if chunk[0].get("parent_id"):
        _meta(chunk[0]).pop("_dd.p.dm", None)
        _metrics(chunk[0]).pop("_sampling_priority_v1", None)
    return [chunk]


@spans("sampling.agent*")
def agent_rate_missing(span, chunk, index):
    """No rate of the agent."""
    _metrics(span).pop("_dd.agent_psr", None)


@spans("sampling.rule*", "rules.first_match")
def rule_rate_missing(span, chunk, index):
    """No rate of the rule."""
    _metrics(span).pop("_dd.rule_psr", None)


@spans("rules.single_spans")
def span_rule_unmarked(span, chunk, index):
    """Spans that a rule keeps are not marked."""
    _metrics(span).pop("_dd.span_sampling.mechanism", None)


@spans("chunks.git*")
def repository_missing(span, chunk, index):
    """No repository."""
    _meta(span).pop("_dd.git.repository_url", None)


@spans("services.dd_tags", "services.dd_tags_fill")
def global_tags_on_roots_only(span, chunk, index):
    """Global tags on the first span only."""
    if index:
        _meta(span).pop("team", None)
