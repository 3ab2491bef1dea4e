"""The OpenTracing face: what is set on a span.

oracle: 2.21
"""

import sys

from ddtrace.opentracer import Tracer
from ddtrace.opentracer.span_context import SpanContext
from opentracing.ext import tags as ot_tags

tracer = Tracer("ot-service")


def fields(span):
    """What a finished span says about an error."""
    own = span._dd_span
    return own.error, own.get_tag("error.type"), own.get_tag("error.message")


def fail():
    """Raise an error of a type that is no builtin."""
    raise KeyError("missing")


def case_tags(say):
    """Ordinary tags are set unchanged, and set_tag returns the span.

    covers: 9.tags.others
    """
    span = tracer.start_span("span")
    say("chained", span.set_tag("text", "value").set_tag("count", 7) is span)
    span.set_tag("ratio", 0.5).set_tag("flag", True).set_tag("none", None)
    span.set_tag(ot_tags.SPAN_KIND, "client").set_tag(ot_tags.HTTP_STATUS_CODE, 404)
    span.set_tag(ot_tags.HTTP_METHOD, "GET").set_tag(ot_tags.COMPONENT, "requests")
    span.finish()


def case_tag_span_type(say):
    """span.type sets the type.

    covers: 9.tags.span-type
    """
    tracer.start_span("span").set_tag("span.type", "web").finish()


def case_tag_service_name(say):
    """service.name sets the service.

    covers: 9.tags.service-name
    """
    tracer.start_span("span").set_tag("service.name", "other").finish()


def case_tag_resource(say):
    """resource.name and db.statement set the resource.

    covers: 9.tags.resource
    """
    tracer.start_span("named").set_tag("resource.name", "GET /").finish()
    tracer.start_span("query").set_tag(ot_tags.DATABASE_STATEMENT, "SELECT 1").finish()


def case_tag_peer(say):
    """peer.hostname and peer.port become the library's own tags.

    covers: 9.tags.peer
    """
    span = tracer.start_span("span")
    span.set_tag(ot_tags.PEER_HOSTNAME, "db.local").set_tag(ot_tags.PEER_PORT, 5432)
    span.set_tag(ot_tags.PEER_SERVICE, "postgres")
    span.finish()


def case_tag_peer_port_text(say):
    """A port that is text.

    covers: 9.tags.peer
    """
    tracer.start_span("span").set_tag(ot_tags.PEER_PORT, "5432").finish()


def case_tag_sampling_priority(say):
    """sampling.priority sets the trace's priority.

    covers: 9.tags.sampling-priority
    """
    span = tracer.start_span("span").set_tag(ot_tags.SAMPLING_PRIORITY, 2)
    say("priority", span._dd_span.context.sampling_priority)
    span.finish()


def case_tag_error(say):
    """The tag error, true and false.

    covers: 9.tags.error
    """
    for value in (True, False, "true"):
        span = tracer.start_span("span").set_tag("error", value)
        span.finish()
        say(repr(value), span._dd_span.error)


def case_set_operation_name(say):
    """set_operation_name changes the name and leaves the resource.

    covers: 9.span.set-operation-name
    """
    span = tracer.start_span("before")
    say("same", span.set_operation_name("after") is span)
    span.finish()


def case_log_kv(say):
    """The keys of log_kv that mean something; the others are ignored.

    covers: 9.log-kv.keys
    """
    span = tracer.start_span("span")
    said = span.log_kv({"event": "fetched", "size": 7, "message": "done"}, 1500000000.0)
    say("same", said is span)
    span.log_kv({"stack": "line 1"}).log_kv({"error": "Oops"})
    span.finish()
    say("fields", fields(span))


def case_log_kv_error(say):
    """The event error marks the span.

    covers: 9.log-kv.error
    """
    span = tracer.start_span("span").log_kv({"event": "error", "error.object": "Oops"})
    span.finish()
    say("fields", fields(span))


def case_log_kv_kind(say):
    """error.kind without an exception.

    covers: 9.log-kv.keys
    """
    span = tracer.start_span("span").log_kv({"event": "error", "error.kind": "OSError"})
    span.finish()
    say("fields", fields(span))


def case_log_kv_exception(say):
    """An exception as error.object.

    covers: 9.log-kv.error
    """
    span = tracer.start_span("span")
    try:
        fail()
    except KeyError as error:
        span.log_kv({"event": "error", "error.object": error, "stack": sys.exc_info()[2]})
    span.finish()
    say("fields", fields(span))


def case_with_span(say):
    """An exception that leaves a span's own with.

    covers: 9.exceptions.span
    """
    try:
        with tracer.start_span("span") as span:
            fail()
    except KeyError:
        say("fields", fields(span))


def case_with_scope(say):
    """An exception that leaves a scope's with.

    covers: 9.exceptions.scope
    """
    try:
        with tracer.start_active_span("span") as scope:
            fail()
    except KeyError:
        say("fields", fields(scope.span))


def case_baggage(say):
    """Baggage belongs to the span and to those begun under it later.

    covers: 9.baggage.copy
    """
    with tracer.start_active_span("parent") as scope:
        before = tracer.start_span("before")
        say("same", scope.span.set_baggage_item("user", "ada") is scope.span)
        with tracer.start_active_span("after") as after:
            after.span.set_baggage_item("more", "1")
            say("after", sorted(after.span.context.baggage.items()))
        say("before", before.context.baggage)
        say("parent", scope.span.context.baggage)
        say("missing", scope.span.get_baggage_item("more"))
        say("native", scope.span._dd_span.context.get_baggage_item("user"))
        before.finish()


def case_context(say):
    """SpanContext: its arguments and its baggage.

    covers: 9.span-context
    """
    context = SpanContext(trace_id=123456, span_id=654321, baggage={"a": "1"})
    other = context.with_baggage_item("b", "2")
    context.set_baggage_item("c", "3")
    say("context", sorted(context.baggage.items()))
    say("other", sorted(other.baggage.items()))
    say("get", (context.get_baggage_item("a"), context.get_baggage_item("b")))
    say("ids", (other._dd_context.trace_id, other._dd_context.span_id))
    say("empty", SpanContext().baggage)


def case_span_members(say):
    """context, tracer and finished of a span.

    covers: 9.span.members
    """
    with tracer.start_span("span") as span:
        say("tracer", span.tracer is tracer)
        say("context", type(span.context).__name__)
        say("ids", span.context._dd_context.span_id == span._dd_span.span_id)
        span.set_tag("text", "value").set_tag("count", 2)
        say("read", (span._get_tag("text"), span._get_metric("count")))
    say("finished", span.finished)
