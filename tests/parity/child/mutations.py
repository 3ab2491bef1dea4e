"""Broken tracers: changes made inside the process under test that the oracle must notice.

A payload mutation decodes what is about to be sent, changes the spans as a broken tracer would and
sends that.  A behaviour mutation replaces a function of the library.  Each names the cases (globs)
that are run with it.
"""

import fnmatch
import importlib
import os
import types

MARKER = "parity.marker"
PAYLOAD = {}  # name -> (function of a chunk giving chunks, globs of cases)
BEHAVIOUR = {}  # name -> (function of the library's name, globs of cases)


def payload(*cases):
    """Register a function that takes a chunk (list of span maps) and gives a list of chunks."""

    def register(function):
        PAYLOAD[function.__name__] = (function, cases)
        return function

    return register


def spans(*cases):
    """Register a function that changes one span map, given the chunk and the position."""

    def register(function):
        def change(chunk):
            for index, span in enumerate(chunk):
                function(span, chunk, index)
            return [chunk]

        PAYLOAD[function.__name__] = (change, cases)
        return function

    return register


def behaviour(*cases):
    """Register a function that breaks the library."""

    def register(function):
        BEHAVIOUR[function.__name__] = (function, cases)
        return function

    return register


def names():
    """All mutations."""
    return [*PAYLOAD, *BEHAVIOUR]


def wants(name, case):
    """Whether *case* is run with the mutation."""
    return any(fnmatch.fnmatchcase(case, glob) for glob in {**PAYLOAD, **BEHAVIOUR}[name][1])


def install(name, library):
    """Break the library; called before it is first used."""
    if name in BEHAVIOUR:
        BEHAVIOUR[name][0](library)
    else:
        _patch_exporter(PAYLOAD[name][0])


class _Altered:
    """Stands in for a payload, with other chunks."""

    def __init__(self, original, chunks):
        import msgpack

        self._body = msgpack.packb(chunks, unicode_errors="surrogateescape")
        self.api_version = original.api_version
        self.trace_count = len(chunks)
        self.span_count = sum(map(len, chunks))
        self.nbytes = len(self._body)

    def buffers(self):
        return [self._body]


def _patch_exporter(function):
    import msgpack

    from fasttrace.agent import AgentExporter

    export = AgentExporter.export

    def altered(self, original, trace_count, *args, **kwargs):
        if original.api_version != "v0.4":
            return export(self, original, trace_count, *args, **kwargs)
        body = b"".join(bytes(part) for part in original.buffers())
        chunks = []
        for chunk in msgpack.unpackb(body, unicode_errors="surrogateescape"):
            chunks += [chunk] if chunk[0]["name"] == MARKER else function(chunk)
        other = _Altered(original, chunks)
        return export(self, other, other.trace_count, *args, **kwargs)

    AgentExporter.export = altered


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


@spans("chunks.remote*", "parents.activate_context")
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


@payload("chunks.partial_flush*")
def partial_chunks_lost(chunk):
    """Chunks without a root are lost."""
    return [chunk] if any(not span.get("parent_id") for span in chunk) else []


# ---- fields


@spans("tags.*")
def tag_lost(span, chunk, index):
    """One tag of the user is lost."""
    for key in _own(_meta(span))[:1]:
        del span["meta"][key]


@spans("tags.*")
def metric_lost(span, chunk, index):
    """One metric of the user is lost."""
    for key in _own(_metrics(span))[:1]:
        del span["metrics"][key]


@spans("tags.*")
def numbers_as_text(span, chunk, index):
    """Numbers are sent as text."""
    for key in _own(_metrics(span)):
        _meta(span)[key] = str(span["metrics"].pop(key))


@spans("tags.*")
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


@spans("errors.stack_*")
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


@spans("errors.record*")
def events_lost(span, chunk, index):
    """No span events."""
    _meta(span).pop("events", None)


# ---- bookkeeping


@spans("parents.*")
def priority_missing(span, chunk, index):
    """No sampling priority."""
    _metrics(span).pop("_sampling_priority_v1", None)


@spans("tags.manual*")
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


@spans("parents.*")
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


@spans("chunks.partial*")
def partial_count_missing(span, chunk, index):
    """Partial chunks have no count."""
    _metrics(span).pop("_dd.py.partial_flush", None)


@spans("chunks.partial*")
def partial_count_always(span, chunk, index):
    """Complete chunks have a count as well."""
    if index == 0:
        _metrics(span)["_dd.py.partial_flush"] = len(chunk)


@payload("chunks.partial*")
def partial_chunks_unmarked(chunk):
    """Chunk keys on chunks with a root only."""
    if chunk[0].get("parent_id"):
        _meta(chunk[0]).pop("_dd.p.dm", None)
        _metrics(chunk[0]).pop("_sampling_priority_v1", None)
    return [chunk]


@spans("chunks.agent*")
def agent_rate_missing(span, chunk, index):
    """No rate of the agent."""
    _metrics(span).pop("_dd.agent_psr", None)


@spans("chunks.git*")
def repository_missing(span, chunk, index):
    """No repository."""
    _meta(span).pop("_dd.git.repository_url", None)


@spans("services.dd_tags", "services.dd_tags_fill")
def global_tags_on_roots_only(span, chunk, index):
    """Global tags on the first span only."""
    if index:
        _meta(span).pop("team", None)


# ---- behaviour


def _tracer_class(library):
    return importlib.import_module(f"{library}.trace").Tracer


def _override(library, name, function):
    """Replace a method of the tracer, wherever the default tracer keeps it (bound or not)."""
    module = importlib.import_module(f"{library}.trace")
    setattr(module.Tracer, name, function)
    for kind in type(module.tracer).__mro__:
        if kind is not module.Tracer and name in vars(kind) and issubclass(kind, module.Tracer):
            setattr(kind, name, function)
    if name in getattr(module.tracer, "__dict__", {}):
        setattr(module.tracer, name, types.MethodType(function, module.tracer))


@behaviour("parents.*")
def trace_ignores_active(library):
    """trace() starts a root each time."""

    def trace(self, name, service=None, resource=None, span_type=None, span_api="datadog"):
        return self.start_span(name, None, service, resource, span_type, True)

    _override(library, "trace", trace)


@behaviour("parents.*", "finishing.*")
def start_span_activates(library):
    """start_span always activates."""
    kind = _tracer_class(library)
    start_span = kind.start_span

    def broken(
        self,
        name,
        child_of=None,
        service=None,
        resource=None,
        span_type=None,
        activate=False,
        span_api="datadog",
    ):
        return start_span(self, name, child_of, service, resource, span_type, True)

    _override(library, "start_span", broken)


@behaviour("parents.*", "finishing.*")
def start_span_forgets_child_of(library):
    """start_span ignores child_of."""
    kind = _tracer_class(library)
    start_span = kind.start_span

    def broken(self, name, child_of=None, *args, **kwargs):
        return start_span(self, name, None, *args, **kwargs)

    _override(library, "start_span", broken)


@behaviour("parents.*")
def current_root_is_current(library):
    """current_root_span gives the active span."""
    _override(library, "current_root_span", lambda self: self.current_span())


@behaviour("wrapping.*")
def wrap_swallows(library):
    """A wrapped function swallows exceptions and its result."""
    kind = _tracer_class(library)

    def wrap(self, name=None, service=None, resource=None, span_type=None):
        def decorate(function):
            def wrapper(*args, **kwargs):
                with self.trace(name or f"{function.__module__}.{function.__name__}"):
                    try:
                        return function(*args, **kwargs)
                    except Exception:
                        return None

            return wrapper

        return decorate

    kind.wrap = wrap


@behaviour("wrapping.*")
def wrap_qualified_names(library):
    """Wrapped functions are named with their class."""
    kind = _tracer_class(library)
    wrap = kind.wrap

    def broken(self, name=None, *args, **kwargs):
        def decorate(function):
            given = name or f"{function.__module__}.{getattr(function, '__qualname__', '')}"
            return wrap(self, given, *args, **kwargs)(function)

        return decorate

    kind.wrap = broken


@behaviour("filters.drop", "filters.edit", "filters.settings")
def filters_ignored(library):
    """configure forgets filters."""
    kind = _tracer_class(library)
    configure = kind.configure

    def broken(self, *args, **kwargs):
        kwargs.pop("trace_processors", None)
        kwargs.pop("settings", None)
        return configure(self, *args, **kwargs)

    kind.configure = broken


@behaviour("filters.start_hooks*")
def start_hooks_ignored(library):
    """on_start_span forgets the function."""
    kind = _tracer_class(library)
    kind.on_start_span = lambda self, function: function


@behaviour("services.tracer_tags*")
def tracer_tags_ignored(library):
    """set_tags of the tracer does nothing."""
    kind = _tracer_class(library)
    kind.set_tags = lambda self, tags: None


@behaviour("chunks.remote*")
def extract_forgets_origin(library):
    """extract loses the origin."""
    propagator = importlib.import_module(f"{library}.propagation.http").HTTPPropagator
    extract = propagator.extract

    def broken(headers):
        context = extract(headers)
        context.dd_origin = None
        return context

    propagator.extract = staticmethod(broken)


@behaviour("lifecycle.disabled", "lifecycle.disabled_midway")
def enabled_ignored(library):
    """enabled cannot be switched off."""
    kind = _tracer_class(library)
    kind.enabled = property(lambda self: True, lambda self, value: None)


@behaviour("services.env_version", "services.version_*_root")
def env_variable_ignored(library):
    """DD_ENV is not read."""
    os.environ.pop("DD_ENV", None)


@behaviour("services.mapping")
def mapping_ignored(library):
    """DD_SERVICE_MAPPING is not read."""
    os.environ.pop("DD_SERVICE_MAPPING", None)


@behaviour("chunks.partial_flush*")
def partial_flush_ignored(library):
    """The minimum for partial flushes is not read."""
    os.environ.pop("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", None)


@behaviour("ids.trace_id_64*")
def id_width_ignored(library):
    """The switch for 64-bit ids is not read."""
    os.environ.pop("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", None)


@behaviour("lifecycle.atexit*")
def exit_loses_spans(library):
    """What is complete at exit is not sent."""
    importlib.import_module(f"{library}._exit").watch = lambda flusher: None


@behaviour("lifecycle.shutdown*")
def shutdown_loses_spans(library):
    """shutdown does not flush."""
    _override(library, "shutdown", lambda self, timeout=None: None)


@behaviour("parents.activate*")
def activate_ignored(library):
    """Contexts cannot be activated."""
    provider = type(importlib.import_module(f"{library}.trace").tracer.context_provider)
    provider.activate = lambda self, context: None
