"""The deliberate differences from ddtrace, as rows that the comparison may use.

Every row follows a decision of docs/architecture.md ("where we differ on purpose", the rules of the
core, or "never hurt, never lie") and is needed by at least one case: an unused row fails the report.
"""

from __future__ import annotations

from parity.compare import ABSENT, ANY, Row

NOT_SENT = "4.x bookkeeping that is not sent: process tags and the source of the service name"
NEWER = "2.x and 4.x disagree; fasttrace follows 4.x"
NOOP = (
    "a disabled tracer has one span that does nothing, and it is active: user code never meets None"
)
GENERATOR = "the span is active only while the generator itself runs, not in its consumer"
CLOSED = "closing a generator early, and GeneratorExit in a with block, are no errors"
EXIT = "SystemExit without a code is a normal exit, no error"
KEPT = "a duration set before finish() is kept and sent; ddtrace never sends such a trace"
CALLBACK = "an exception in a callback is logged and never reaches the application"
NEVER_NEGATIVE = "a duration is never negative"
SIBLINGS = "an unfinished span that is dropped does not hold back its finished siblings"
NO_OT = "the tracestate member ot= is not written"
CALLABLES = "wrap works on every callable: classmethod objects, partials and callable objects without a name"
SHUT = "after shutdown() the tracer is disabled: a debug line, no warnings"
DECODED = "bytes given as text are decoded at once, so they read back as str"
QUIET = "the warning about spans left open at shutdown says how many, not which"
WITH_DECISION = (
    "sampling marks are written with the chunk and describe the decision that holds then"
)
NATIVE = "events go into their own field as soon as the agent has said that it reads it"
SAMPLER = "sampler= of configure() is ignored with a warning: sampling_rules= does that"
PEER = "comes with peer.service rules"
OT_SCOPE = (
    "a scope ends what it began: nothing stays active behind it, and extract activates nothing"
)
OT_BAGGAGE = "child_of a SpanContext passes baggage on, as child_of a Span does"
OT_LINKS = "FOLLOWS_FROM and further references become span links; the first CHILD_OF is the parent"
OT_ACTIVE = "active_span is what a new span would have as parent, whichever API began it"
OT_PARENT = "an activated span is itself the parent of native spans, not its bare context"
OT_CORRUPTED = "OpenTracing: a corrupted carrier raises SpanContextCorruptedException"
OT_BINARY = "OpenTracing requires the format BINARY"
OT_CONTEXTVARS = "the default scope manager is that of contextvars, so asyncio works"
OT_ERROR = "the tag error marks the span; it is no tag of its own besides"
OT_EXCEPTION = "an exception through a scope or log_kv is described as by the native API"
AT_ONCE = "long text is cut when it is set, so it also reads back cut"
REPAIRED = "lone surrogates are replaced; ddtrace loses the trace and raises"
CUT = "2.x sends long text whole"
ITERATION = "2.x wraps only the call that makes the generator"
FRAMES = "2.x keeps the oldest frames of a stack, 4.x the newest"
LIMIT = "2.x ignores the limit of set_traceback inside except"
FILTERS = "2.x runs filters after sampling, 4.x before"
TOLERANT = "wrong types never cost a trace nor raise into the application"


OTEL_NAME = "the operation is named by the intended table: ddtrace compares text with enum members, so only the kind counts"
OTEL_OPERATION = "operation.name names the operation and is no tag besides"
OTEL_TIME = "the timestamp of an event is in nanoseconds, as OpenTelemetry says"
OTEL_OK = "status OK takes an error back and is final, as OpenTelemetry says"
OTEL_STACK = "the stack begins in the application: no frame of the scope is in it"
OTEL_BLOCK = "an exception that leaves start_span() is described as in start_as_current_span()"
OTEL_LINK = "add_link() works"
OTEL_DETACH = "detach() takes attach() back; ddtrace's does nothing"


GENERATOR_ALONE = [
    "case_generators.generator below 0",
    "step0 below case_generators.generator",
    "step1 below case_generators.generator",
]
GENERATOR_WITH_CONSUMER = [
    "case_generators.generator below 0",
    "step0 below case_generators.generator",
    "consumer below case_generators.generator",
    "step1 below case_generators.generator",
]


def _without_ot(theirs: object) -> bool:
    return "ot=rv:" in str(theirs)


ROWS: list[Row] = [
    # ---- rows that hold everywhere
    Row("*", "*/meta/_dd.svc_src", ABSENT, ANY, NOT_SENT, "4.16"),
    Row("*", "*/meta/_dd.tags.process", ABSENT, ANY, NOT_SENT, "4.16"),
    # ---- where 2.x and 4.x disagree
    Row("tags.str_subclass", "*", lambda v: "text" in v, lambda v: "other" in v, NEWER, "2.21"),
    Row("metrics.int_big", "said/*", ANY, ANY, NEWER, "2.21"),
    Row("metrics.int_big", "*/meta/key", ABSENT, ANY, NEWER, "2.21"),
    Row("metrics.int_big", "*/metrics/key", ANY, ABSENT, NEWER, "2.21"),
    Row("metrics.index", "said/*", ANY, ANY, NEWER, "2.21"),
    Row("metrics.index", "*/meta/key", ABSENT, "index-text", NEWER, "2.21"),
    Row("metrics.index", "*/metrics/key", 7.0, ABSENT, NEWER, "2.21"),
    Row("tags.key_bytes", "*/meta/key", "v", ABSENT, NEWER, "2.21"),
    Row("tags.key_bytes", "*/metrics/metric", ABSENT, 1.0, NEWER, "2.21"),
    Row("tags.set_tag_str_exclusive", "*/metrics/key", ABSENT, 1.0, NEWER, "2.21"),
    Row("metrics.metric_bool", "said/metric true", "1", "True", NEWER, "2.21"),
    Row("metrics.metric_bool", "said/metric false", "0", "False", NEWER, "2.21"),
    Row("tag_keys.service_name", "said/service int", "(None, None, 5)", ANY, NEWER, "2.21"),
    Row("tag_keys.service_name", "chunk 2/*/service", "", ANY, NEWER, "2.21"),
    Row("tag_keys.eausr_text", "*/meta/_dd1.sr.eausr", "x", ABSENT, NEWER, "2.21"),
    Row(
        "configure.log_context_2x",
        "said/keys",
        lambda v: "dd.env" in v,
        lambda v: "dd.env" not in v,
        NEWER,
        "2.21",
    ),
    Row("names.set_struct_tag", "said/has", "False", "True", NEWER, "2.21"),
    Row("names.pin", "said/has", "False", "True", NEWER, "2.21"),
    Row("configure.configure_2x", "*/_dd.py.partial_flush", ABSENT, 2.0, NEWER, "2.21"),
    Row("chunks.context_ts", "*/meta/_dd.p.ts", ABSENT, "02", NEWER, "2.21"),
    Row("sampling.*", "*/meta/_dd.p.ksr", ANY, ABSENT, NEWER, "2.21"),
    Row("rules.*", "*/meta/_dd.p.ksr", ANY, ABSENT, NEWER, "2.21"),
    Row("partial.partial_flush_rate", "*/meta/_dd.p.ksr", ANY, ABSENT, NEWER, "2.21"),
    Row("partial.partial_flush_rate", "chunk 2/*/metrics/_dd.*_psr", 1.0, ABSENT, NEWER, "2.21"),
    Row("partial.*", "*/metrics/_dd.py.partial_flush", ABSENT, ANY, NEWER, "2.21"),
    Row("chunks.parent_id_local", "*/metrics/_dd.py.partial_flush", ABSENT, 1.0, NEWER, "2.21"),
    Row("partial.partial_flush_rate", "chunk 0/*/metrics/_dd.*_psr", ABSENT, 1.0, NEWER, "2.21"),
    Row("*", "*/meta/tracestate", ABSENT, ANY, NEWER, "2.21"),
    Row("*", "*/meta/traceparent", ABSENT, ANY, NEWER, "2.21"),
    Row("chunks.p*", "*/meta/_dd.p.dm", ABSENT, "-3", NEWER, "2.21"),
    Row("ids.trace_id_64_*", "*/meta/_dd.p.dm", ABSENT, "-3", NEWER, "2.21"),
    Row("links.context_links*", "*/meta/_dd.p.dm", ABSENT, "-3", NEWER, "2.21"),
    Row("ids.trace_id_64_incoming", "said/tags", ANY, lambda v: "dm=-3" in v, NEWER, "2.21"),
    Row("ids.fork_decision", "*in.child/meta/_dd.p.dm", "-4", ABSENT, NEWER, "2.21"),
    Row("filters.drop_empty", "chunk 0", ABSENT, [], "a chunk without spans is not sent", "2.21"),
    Row("finishing.finished_setter", "chunk 0", ["finished below 0"], ABSENT, KEPT, "2.21"),
    Row(
        "constructors.raw_2x", "said/*", "'no exception'", "'raised RuntimeError'", TOLERANT, "2.21"
    ),
    Row("constructors.raw_2x", "chunk ?", ANY, ABSENT, TOLERANT, "2.21"),
    Row("errors.broken_str", "said/*", ANY, "(1, None, None, False)", NEWER, "2.21"),
    Row("errors.broken_str", "chunk 0", ["span below 0"], ABSENT, NEWER, "2.21"),
    Row("stacks.stack_deep", "*/error.stack", ANY, ANY, FRAMES, "2.21"),
    Row("stacks.stack_recursive", "*/error.stack", ANY, ANY, FRAMES, "2.21"),
    Row("stacks.stack_env", "*/error.stack", ANY, ANY, FRAMES, "2.21"),
    Row("stacks.stack_chars", "*/meta/error.*", ANY, ANY, CUT, "2.21"),
    Row("stacks.set_traceback_limit", "said/except ?", ANY, "12", LIMIT, "2.21"),
    Row("stacks.set_traceback_limit", "*/error.stack", ANY, ANY, LIMIT, "2.21"),
    Row("filters.order", "said/priority", "None", "1", FILTERS, "2.21"),
    Row("filters.order", "said/metric", "None", "1", FILTERS, "2.21"),
    Row("filters.order", "said/language", "None", "'python'", FILTERS, "2.21"),
    Row(
        "text.long_2x",
        "*/meta/key",
        lambda v: len(v) == 2500,
        lambda v: len(v) == 25001,
        CUT,
        "2.21",
    ),
    Row("generators.generator", "chunk ?", ANY, ABSENT, ITERATION, "2.21"),
    Row("generators.generator", "chunk ?", ABSENT, ANY, ITERATION, "2.21"),
    Row("generators.*generator", "*/parent_id", ANY, ANY, ITERATION, "2.21"),
    # ---- OpenTelemetry
    Row("otel.kinds_with_request", "*", lambda v: ".request" in v, ANY, OTEL_NAME),
    Row("otel.operation_table", "*", lambda v: "." in v, ANY, OTEL_NAME),
    Row("otel.operation_name", "*/meta/operation.name", ABSENT, "Ordering", OTEL_OPERATION),
    Row("otel.events", "*/time_unix_nano", 1_700_000_000_000_000_000, ANY, OTEL_TIME),
    Row("otel.status_ok_last", "*/error", 0, 1, OTEL_OK),
    Row("otel.status_ok_last", "*/meta/error.message", ABSENT, "bad", OTEL_OK),
    Row("otel.exception_in_block", "*/meta/error.stack", ANY, ANY, OTEL_STACK),
    Row("otel.exception_in_span", "*/meta/error.message", "ValueError: boo", "boo", OTEL_BLOCK),
    Row("otel.add_link", "*/span_links 0/*", ANY, ABSENT, OTEL_LINK),
    Row("otel.detach", "*/parent_id", "internal", "internal#2", OTEL_DETACH),
    # ---- decisions
    Row("text.long_*", "said/*", ANY, ANY, AT_ONCE, "4.16"),
    Row("text.surrogates", "said/finish", "'no exception'", "'raised RuntimeError'", REPAIRED),
    Row("text.surrogates", "chunk 1", ["root below 0", "child below root"], ABSENT, REPAIRED),
    Row("lifecycle.disabled", "said/after", lambda v: "Span" in v, "None", NOOP),
    Row("lifecycle.shutdown_state", "said/active", lambda v: "Span" in v, "None", NOOP),
    Row(
        "lifecycle.flush",
        "said/returns",
        "True",
        "None",
        "flush() tells whether everything was sent",
    ),
    Row("finishing.duration_setter", "said/set", ANY, ANY, KEPT),
    Row("finishing.duration_setter", "chunk 0", ["duration below 0"], ABSENT, KEPT),
    Row("finishing.unfinished", "chunk 1", ["child below <unknown id 1>"], ABSENT, SIBLINGS),
    Row(
        "finishing.on_finish_raises",
        "said/finish",
        "'no exception'",
        "'raised ValueError'",
        CALLBACK,
    ),
    Row("finishing.negative", "*", lambda v: v in ("0.0", "<short>"), ANY, NEVER_NEGATIVE),
    Row("finishing.finish_time_zero", "*", lambda v: v in ("0", "<short>"), ANY, NEVER_NEGATIVE),
    Row("errors.generator_exit", "said/*", "(0, None, None, False)", ANY, CLOSED),
    Row("errors.generator_exit", "*/error", 0, 1, CLOSED),
    Row("errors.generator_exit", "*/meta/error.*", ABSENT, ANY, CLOSED),
    Row("errors.generator_closed", "*/error", 0, 1, CLOSED),
    Row("errors.generator_closed", "*/meta/error.*", ABSENT, ANY, CLOSED),
    Row("errors.system_exit_none", "said/*", "(0, None, None, False)", ANY, EXIT),
    Row("errors.system_exit_none", "*/error", 0, 1, EXIT),
    Row("errors.system_exit_none", "*/meta/error.*", ABSENT, ANY, EXIT),
    Row("errors.set_exc_info_exit", "said/None", "(0, None, None, False)", ANY, EXIT),
    Row("errors.set_exc_info_exit", "*code None/error", 0, 1, EXIT),
    Row("errors.set_exc_info_exit", "*code None/meta/error.*", ABSENT, ANY, EXIT),
    Row("generators.generator_active", "said/active in the consumer", "None", ANY, GENERATOR),
    Row("generators.generator_active", "chunk 0", ["consumer below 0"], ABSENT, GENERATOR),
    Row("generators.generator_active", "chunk 1", GENERATOR_ALONE, ABSENT, GENERATOR),
    Row("generators.generator_active", "chunk 2", ABSENT, GENERATOR_WITH_CONSUMER, GENERATOR),
    Row("generators.contextmanager_body", "chunk 0", ["body below 0"], ABSENT, GENERATOR),
    Row("generators.contextmanager_body", "chunk 1", ["manager below 0"], ABSENT, GENERATOR),
    Row(
        "generators.contextmanager_body",
        "chunk 2",
        ABSENT,
        ["manager below 0", "body below manager"],
        GENERATOR,
    ),
    Row("generators.*generator_close", "*/error", 0, 1, CLOSED),
    Row("generators.*generator_close", "*/meta/error.*", ABSENT, ANY, CLOSED),
    Row("constructors.tolerance_name", "said/bytes", "('x', 'x')", "(b'x', b'x')", DECODED),
    Row("constructors.tolerance_bytes", "said/values", "('res', 'svc', 'web')", ANY, DECODED),
    Row("lifecycle.shutdown_unfinished", "said/warned", "False", "True", QUIET),
    Row("sampling.manual_removes_psr", "said/decided", "None", "1.0", WITH_DECISION),
    Row("sampling.manual_removes_psr", "*/meta/_dd.p.ksr", ABSENT, "1", WITH_DECISION),
    Row("sampling.rule_manual", "*/meta/_dd.p.ksr", ABSENT, "1", WITH_DECISION),
    Row("parents.child_of_wrong", "said/*", "'no exception'", "'raised AttributeError'", TOLERANT),
    Row("wrapping_objects.unnamed_objects", "said/*", "3", "'raised AttributeError'", CALLABLES),
    Row("wrapping_objects.unnamed_objects", "chunk 0", ["builtins.abs below 0"], ABSENT, CALLABLES),
    Row(
        "wrapping_objects.unnamed_objects",
        "chunk 1",
        ["case_wrapping_objects.Callable below 0"],
        ABSENT,
        CALLABLES,
    ),
    Row("wrapping_objects.over_descriptors", "said/class", ANY, "'raised TypeError'", CALLABLES),
    Row("wrapping_objects.over_descriptors", "chunk 1/*/error", 0, 1, CALLABLES),
    Row("wrapping_objects.over_descriptors", "chunk 1/*/meta/error.*", ABSENT, ANY, CALLABLES),
    Row("lifecycle.shutdown_after_warning", "said/warned", "False", "True", SHUT),
    Row("links.link_span", "*/tracestate", ANY, _without_ot, NO_OT, "4.16"),
    Row(
        "contexts.context_equality",
        "said/other",
        "False",
        "True",
        "contexts of two spans are not equal (as in 2.x)",
        "4.16",
    ),
    Row(
        "constructors.tolerance_service_unhashable",
        "said/list",
        "'no exception'",
        "'raised TypeError'",
        TOLERANT,
    ),
    Row(
        "constructors.tolerance_zero_ids",
        "said/trace_id",
        "False",
        "True",
        "agents drop trace id 0, so it is replaced",
    ),
    Row("links.events_offered", "chunk 1/*/span_events*", ANY, ABSENT, NATIVE, "4.16"),
    Row("links.events_offered", "chunk 1/*/meta/events*", ABSENT, ANY, NATIVE, "4.16"),
    # ---- the OpenTracing face
    Row("opentracer.extract", "*/meta/_dd.p.dm", ABSENT, "-3", NEWER, "2.21"),
    Row("opentracer.not_finished_on_close", "said/native", "False", "True", OT_SCOPE),
    Row("opentracer.extract_activates", "*", ANY, ANY, OT_SCOPE),
    Row("opentracer.extract_activates", "*/meta/_dd.p.tid", ANY, ABSENT, OT_SCOPE),
    Row("opentracer.child_of_context_baggage", "said/baggage", "'ada'", "None", OT_BAGGAGE),
    Row("opentracer.reference*", "*child/span_links 0/*", ANY, ABSENT, OT_LINKS),
    Row("opentracer.references_mixed", "chunk 0/span 1", ABSENT, "child below first", OT_LINKS),
    Row("opentracer.references_mixed", "chunk 1/span 1", "child below second", ABSENT, OT_LINKS),
    Row("opentracer.active_span_beneath_native", "said/name", "'native'", "'ot'", OT_ACTIVE),
    # The other service is the inferred one, which is the name of this checkout.
    Row("opentracer.activate*", "*child/service", "ot-service", ANY, OT_PARENT),
    Row("opentracer.activate*", "*child/meta/_dd.base_service", ANY, ABSENT, OT_PARENT),
    Row("opentracer.activate*", "*child/*/runtime-id", ABSENT, ANY, OT_PARENT),
    Row("opentracer.activate*", "*child/*/process_id", ABSENT, ANY, OT_PARENT),
    Row("opentracer.activate*", "*child/*/_dd.top_level", ABSENT, 1.0, OT_PARENT),
    Row(
        "opentracer.extract_corrupted",
        "said/corrupted",
        "'raised SpanContextCorruptedException'",
        "'no exception'",
        OT_CORRUPTED,
    ),
    Row(
        "opentracer.formats",
        "said/binary*",
        "'no exception'",
        "'raised UnsupportedFormatException'",
        OT_BINARY,
    ),
    Row(
        "opentracer_config.scope_manager_default",
        "said/default",
        "'ContextScopeManager'",
        "'ThreadLocalScopeManager'",
        OT_CONTEXTVARS,
    ),
    Row("opentracer_spans.tag_error", "said/*", "1", "0", OT_ERROR),
    Row("opentracer_spans.tag_error", "*/error", 1, 0, OT_ERROR),
    Row("opentracer_spans.tag_error", "*/meta/error", ABSENT, ANY, OT_ERROR),
    Row("opentracer_spans.*", "*/metrics/error", ABSENT, 1.0, OT_ERROR),
    Row("opentracer_spans.log_kv_kind", "said/fields", "(1, 'OSError', None)", ANY, OT_EXCEPTION),
    Row("opentracer_spans.log_kv_kind", "*/meta/error.type", "OSError", ABSENT, OT_EXCEPTION),
    Row("opentracer_spans.log_kv_exception", "said/fields", ANY, ANY, OT_EXCEPTION),
    Row(
        "opentracer_spans.log_kv_exception",
        "*/meta/error.type",
        "builtins.KeyError",
        "'missing'",
        OT_EXCEPTION,
    ),
    Row("opentracer_spans.log_kv_exception", "*/error.message", "'missing'", ABSENT, OT_EXCEPTION),
    Row("opentracer_spans.log_kv_exception", "*/error.stack", ANY, ANY, OT_EXCEPTION),
    Row("opentracer_spans.with_scope", "said/fields", ANY, ANY, OT_EXCEPTION),
    Row(
        "opentracer_spans.with_scope",
        "*/meta/error.type",
        "builtins.KeyError",
        "'missing'",
        OT_EXCEPTION,
    ),
    Row("opentracer_spans.with_scope", "*/error.stack", ANY, ANY, OT_EXCEPTION),
    # ---- not built yet
    Row("configure.sampler_2x", "chunk 1/*/meta/_dd.p.dm", "-0", ABSENT, SAMPLER),
    Row("configure.sampler_2x", "chunk 1/*/_sampling_priority_v1", 1.0, ABSENT, SAMPLER),
    Row("chunks.peer_*", "*/_dd.peer.service.*", ABSENT, ANY, PEER),
    Row("chunks.peer_*", "*/peer.service", ANY, "database", PEER),
    Row("chunks.peer_*", "*/peer.service", ABSENT, ANY, PEER),
]
