"""OpenTelemetry's API on the tracer: what becomes of its spans.

oracle: 4.16
env: DD_TRACE_OTEL_ENABLED=true OTEL_PYTHON_CONTEXT=ddcontextvars_context
"""

from ddtrace.opentelemetry import TracerProvider
from ddtrace.trace import tracer
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

otel = TracerProvider().get_tracer("parity")

REMOTE = SpanContext(
    0x6B031652000000009EA7EB928D0E882E,
    7,
    True,
    TraceFlags(1),
    TraceState([("dd", "s:2;o:synthetics"), ("vendor", "x")]),
)
START_NS = 1_700_000_000_000_000_000


def case_kinds(say):
    """The name is the resource, the kind is a tag and names the operation.

    covers: 10.resource 10.name.kind 10.kind-tag
    """
    for kind in (SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER):
        with otel.start_as_current_span(f"given {kind.name}", kind=kind) as span:
            say(kind.name, span.is_recording())


def case_kinds_with_request(say):
    """Servers and clients are named by request.

    covers: 10.name.kind
    """
    for kind in (SpanKind.SERVER, SpanKind.CLIENT):
        with otel.start_as_current_span("given", kind=kind):
            pass


def case_operation_name(say):
    """The attribute operation.name names the operation as it is.

    covers: 10.name.attribute
    """
    with otel.start_as_current_span("given", attributes={"operation.name": "Ordering"}):
        pass


def case_operation_table(say):
    """Attributes that name the operation.

    covers: 10.name.table
    """
    for kind, attributes in (
        (SpanKind.SERVER, {"http.request.method": "GET"}),
        (SpanKind.CLIENT, {"http.request.method": "GET"}),
        (SpanKind.CLIENT, {"db.system": "Redis"}),
        (SpanKind.CONSUMER, {"messaging.system": "Kafka", "messaging.operation": "Receive"}),
        (SpanKind.CLIENT, {"rpc.system": "aws-api", "rpc.service": "S3"}),
        (SpanKind.SERVER, {"rpc.system": "grpc"}),
        (SpanKind.CLIENT, {"faas.invoked_provider": "aws", "faas.invoked_name": "f"}),
        (SpanKind.SERVER, {"faas.trigger": "http"}),
        (SpanKind.CLIENT, {"network.protocol.name": "amqp"}),
    ):
        with otel.start_as_current_span("given", kind=kind, attributes=attributes):
            pass


def case_graphql(say):
    """The only row of the table that needs no kind.

    covers: 10.name.graphql
    """
    with otel.start_as_current_span("given", attributes={"graphql.operation.type": "query"}):
        pass


def case_reserved_attributes(say):
    """Attributes that are fields of the span, and the status code.

    covers: 10.attributes.reserved 10.attributes.status-code
    """
    reserved = {"service.name": "web", "resource.name": "GET /", "span.type": "web"}
    with otel.start_as_current_span("given", attributes=reserved):
        pass
    with otel.start_as_current_span("status", attributes={"http.response.status_code": 404}):
        pass
    with otel.start_as_current_span("old status", attributes={"http.status_code": 500}):
        pass


def case_attributes(say):
    """Text, numbers, truth values, sequences, bytes.

    covers: 10.attributes.values
    """
    with otel.start_as_current_span("s") as span:
        span.set_attribute("text", "v")
        span.set_attribute("int", 3)
        span.set_attribute("float", 1.5)
        span.set_attribute("true", True)
        span.set_attribute("false", False)
        span.set_attribute("list", ["a", "b"])
        span.set_attribute("numbers", [1, 2])
        span.set_attribute("nested", [["a"], "b"])
        span.set_attribute("bytes", b"v")
        span.set_attribute("none", None)
        span.set_attribute("analytics.event", True)
        span.set_attributes({"one": 1, "two": "2"})


def case_update_name(say):
    """update_name changes the resource.

    covers: 10.update-name
    """
    with otel.start_as_current_span("before") as span:
        span.update_name("after")


def case_after_end(say):
    """Nothing changes a span that has ended.

    covers: 10.after-end
    """
    span = otel.start_span("s")
    span.end()
    span.set_attribute("late", 1)
    span.update_name("late")
    span.set_status(StatusCode.ERROR, "late")
    span.add_event("late")
    span.end()
    say("recording", span.is_recording())


def case_times(say):
    """Times are nanoseconds.

    covers: 10.times
    """
    span = otel.start_span("s", start_time=START_NS)
    span.end(end_time=START_NS + 5_000_000)


def case_events(say):
    """Events keep name and attributes.

    covers: 10.events
    """
    with otel.start_as_current_span("s") as span:
        span.add_event("sold", {"slices": 2, "bread": "rye"})
        span.add_event("timed", timestamp=START_NS)


def case_statuses(say):
    """ERROR marks the span, with its description; UNSET does nothing.

    covers: 10.status
    """
    for number, steps in enumerate(
        [
            [(StatusCode.ERROR, "bad")],
            [(Status(StatusCode.ERROR, "bad"),)],
            [(StatusCode.ERROR,)],
            [(StatusCode.ERROR, "bad"), (StatusCode.UNSET,)],
            [(StatusCode.OK,)],
        ]
    ):
        with otel.start_as_current_span(f"status {number}") as span:
            for step in steps:
                span.set_status(*step)


def case_status_ok_last(say):
    """OK after ERROR, and ERROR after OK.

    covers: 10.status-ok
    """
    with otel.start_as_current_span("error then ok") as span:
        span.set_status(StatusCode.ERROR, "bad")
        span.set_status(StatusCode.OK)
    with otel.start_as_current_span("ok then error") as span:
        span.set_status(StatusCode.OK)
        span.set_status(StatusCode.ERROR, "bad")


def case_record_exception(say):
    """A recorded exception is an event and three tags, and no error.

    covers: 10.record-exception
    """
    with otel.start_as_current_span("s") as span:
        try:
            raise ValueError("boo")
        except ValueError as error:
            span.record_exception(error, {"extra": 1})


def case_exception_in_block(say):
    """An exception that leaves start_as_current_span, with all combinations of the flags.

    covers: 10.exception 10.exception-flags
    """
    for record in (True, False):
        for status in (True, False):
            try:
                with otel.start_as_current_span(
                    f"{record} {status}", record_exception=record, set_status_on_exception=status
                ):
                    raise ValueError("boo")
            except ValueError:
                pass


def case_exception_in_span(say):
    """An exception that leaves a block of start_span().

    covers: 10.exception-span
    """
    try:
        with otel.start_span("s"):
            raise ValueError("boo")
    except ValueError:
        pass


def case_links(say):
    """Links given at the start.

    covers: 10.links
    """
    links = [Link(REMOTE, {"why": "test", "n": 1})]
    with otel.start_as_current_span("s", links=links):
        pass


def case_add_link(say):
    """A link added later.

    covers: 10.add-link
    """
    with otel.start_as_current_span("s") as span:
        span.add_link(REMOTE, {"why": "late"})


def case_span_context(say):
    """Ids, flags and tracestate of a root; the decision is taken.

    covers: 10.span-context
    """
    with otel.start_as_current_span("s") as span:
        found = span.get_span_context()
        say("valid", found.is_valid)
        say("remote", found.is_remote)
        say("sampled", found.trace_flags.sampled)
        say("priority", tracer.current_span().context.sampling_priority)
        say("state", sorted(part.split(":")[0] for part in found.trace_state["dd"].split(";")))


def case_remote_parent(say):
    """A remote span continues with ids, decision and origin.

    covers: 10.remote
    """
    named = trace.set_span_in_context(NonRecordingSpan(REMOTE))
    with otel.start_as_current_span("s", context=named) as span:
        found = span.get_span_context()
        say("trace id", found.trace_id == REMOTE.trace_id)
        say("priority", tracer.current_span().context.sampling_priority)
        say("origin", tracer.current_span().context.dd_origin)
        say("vendor", found.trace_state.get("vendor"))


def case_nesting(say):
    """Native and OpenTelemetry spans are each other's children.

    covers: 10.nesting
    """
    with otel.start_as_current_span("outer"):
        with tracer.trace("native"):
            with otel.start_as_current_span("inner"):
                say("span", trace.get_current_span().is_recording())
    say("after", (tracer.current_span(), trace.get_current_span().is_recording()))


def case_use_span(say):
    """use_span makes a span current and ends it if asked to.

    covers: 10.use-span
    """
    span = otel.start_span("used")
    with trace.use_span(span):
        with otel.start_as_current_span("inside"):
            pass
    say("open", span.is_recording())
    with trace.use_span(span, end_on_exit=True):
        pass
    say("ended", span.is_recording())


def case_new_trace(say):
    """An empty context begins a new trace.

    covers: 10.new-trace
    """
    with otel.start_as_current_span("outer") as outer:
        root = otel.start_span("root", context=Context())
        other = root.get_span_context().trace_id != outer.get_span_context().trace_id
        say("another trace", other)
        root.end()


def case_detach(say):
    """What was current before attach is so after detach.

    covers: 10.detach
    """
    with otel.start_as_current_span("outer"):
        used = otel.start_span("attached")
        token = context.attach(trace.set_span_in_context(used))
        context.detach(token)
        with otel.start_as_current_span("after detach"):
            pass
        used.end()


def case_baggage(say):
    """Baggage of OpenTelemetry is in the headers that the native propagator writes.

    covers: 10.baggage
    """
    from ddtrace.propagation.http import HTTPPropagator

    with otel.start_as_current_span("outer"):
        token = context.attach(baggage.set_baggage("table", "7"))
        headers = {}
        HTTPPropagator.inject(tracer.current_span().context, headers)
        say("baggage", headers.get("baggage"))
        context.detach(token)
