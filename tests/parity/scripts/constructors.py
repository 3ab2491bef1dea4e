"""Span: constructor, attributes, tolerance of wrong types."""

from ddtrace.trace import Context, Span, tracer

BIG = 0x640CFD8D00000000ABCDEF0123456789


class Odd:
    """No text to speak of."""

    def __str__(self):
        return "odd-text"


def case_span_constructor(say):
    """Span made by its constructor.

    covers: 4.2.span-constructor 4.2.span-attributes
    """
    span = Span(
        "name",
        service="svc",
        resource="res",
        span_type="web",
        trace_id=BIG,
        span_id=77,
        parent_id=88,
        start=1500000000,
    )
    say(
        "attributes",
        (
            span.name,
            span.service,
            span.resource,
            span.span_type,
            span.trace_id,
            span.span_id,
            span.parent_id,
            span.start,
            span.error,
        ),
    )
    say("context", (span.context.trace_id, span.context.span_id))
    say("duration", (span.duration, span.finished))
    span.finish(finish_time=1500000100)
    say("after", (span.duration, span.finished))


def case_span_constructor_positional(say):
    """The order of the constructor's arguments.

    covers: 4.2.span-constructor
    """
    span = Span("name", "svc", "res", "web", 5, 6, 7, 1500000000.5)
    say(
        "attributes",
        (
            span.name,
            span.service,
            span.resource,
            span.span_type,
            span.trace_id,
            span.span_id,
            span.parent_id,
            span.start_ns,
        ),
    )


def case_span_constructor_defaults(say):
    """A Span with a name alone.

    covers: 4.2.span-constructor
    """
    span = Span("name")
    say(
        "attributes",
        (span.service, span.resource, span.span_type, span.parent_id, span.error, span.duration),
    )
    say("ids", (span.trace_id > 2**64, 0 < span.span_id < 2**64))
    say("context", span.context.trace_id == span.trace_id)
    say.raises("nothing", Span)
    say.raises("unknown", Span, "x", nonsense=1)


def case_span_constructor_context(say):
    """A Span with a context.

    covers: 4.2.span-constructor
    """
    context = Context(trace_id=5, span_id=6, sampling_priority=2, baggage={"a": "1"})
    span = Span("name", context=context, trace_id=5)
    say(
        "context",
        (
            span.context.trace_id,
            span.context.span_id == span.span_id,
            span.context.sampling_priority,
        ),
    )
    say("baggage", span.context.get_baggage_item("a"))


def case_attributes_rw(say):
    """Attributes that can be written.

    covers: 4.2.span-attributes
    """
    with tracer.trace("span") as span:
        span.name = "renamed"
        span.service = "svc"
        span.resource = "res"
        span.span_type = "web"
        span.error = 1
        say("values", (span.name, span.service, span.resource, span.span_type, span.error))


def case_tolerance_name(say):
    """Names of a wrong type.

    covers: 2.3.name
    oracle: 4.16
    """
    for label, value in [("int", 5), ("bytes", b"x"), ("list", ["a"]), ("object", Odd())]:
        span = tracer.start_span(value)
        say(label, (span.name, span.resource))
        span.finish()


def case_tolerance_name_none(say):
    """The name None.

    covers: 2.3.name-none
    oracle: 4.16
    """
    span = Span(None)
    say("none", (span.name, span.resource))


def case_tolerance_resource(say):
    """Resources of a wrong type, and an empty one.

    covers: 2.3.resource
    oracle: 4.16
    """
    for label, value in [("int", 5), ("list", ["a"]), ("object", Odd()), ("empty", "")]:
        span = tracer.start_span("name", resource=value)
        say(label, span.resource)
        span.finish()


def case_tolerance_bytes(say):
    """Bytes where text belongs.

    covers: 2.3.resource 2.3.service 2.3.span-type
    oracle: 4.16
    """
    span = tracer.start_span("name", resource=b"res", service=b"svc", span_type=b"web")
    say("values", (span.resource, span.service, span.span_type))
    span.finish()


def case_tolerance_service(say):
    """Services of a wrong type.

    covers: 2.3.service
    oracle: 4.16
    """
    for label, value in [("int", 5), ("object", Odd())]:
        span = tracer.start_span("name", service=value)
        say(label, span.service)
        span.finish()


def case_tolerance_service_unhashable(say):
    """A list as service.

    covers: 2.3.service
    oracle: 4.16
    """
    say.raises("list", tracer.start_span, "name", service=["a"])


def case_tolerance_span_type(say):
    """Span types of a wrong type.

    covers: 2.3.span-type
    oracle: 4.16
    """
    for label, value in [("int", 5), ("list", ["a"]), ("object", Odd())]:
        span = tracer.start_span("name", span_type=value)
        say(label, span.span_type)
        span.finish()


def case_tolerance_assigned(say):
    """Wrong types assigned later.

    covers: 2.3.name 2.3.resource 2.3.service 2.3.span-type
    oracle: 4.16
    """
    for label, value in [("int", 5), ("none", None), ("object", Odd())]:
        with tracer.trace("span", service="svc", resource="res", span_type="web") as span:
            for attribute in ("name", "service", "resource", "span_type"):
                say.raises(f"{attribute} {label}", setattr, span, attribute, value)
                say(f"value {attribute} {label}", getattr(span, attribute))


def case_tolerance_str_subclass(say):
    """Subclasses of str keep their text.

    covers: 2.3.name
    """

    class Text(str):
        """A subclass."""

    with tracer.trace(
        Text("name"), service=Text("svc"), resource=Text("res"), span_type=Text("web")
    ) as span:
        say("values", (str(span.name), str(span.service), str(span.resource), str(span.span_type)))


def case_tolerance_ids(say):
    """Ids of a wrong type are replaced.

    covers: 2.3.bad-ids
    oracle: 4.16
    """
    for label, value in [("text", "x"), ("float", 1.5), ("list", [1]), ("none", None)]:
        span = Span("name", trace_id=value, span_id=value, parent_id=value)
        say(
            label,
            (
                isinstance(span.trace_id, int),
                isinstance(span.span_id, int),
                span.span_id != 0,
                span.parent_id,
            ),
        )


def case_tolerance_zero_ids(say):
    """Ids of zero.

    covers: 2.3.zero-span-id 2.3.zero-parent
    oracle: 4.16
    """
    span = Span("name", span_id=0)
    say("span_id", span.span_id)
    span = Span("name", parent_id=0)
    say("parent_id", span.parent_id)
    span = Span("name", trace_id=0)
    say("trace_id", span.trace_id == 0)


def case_tolerance_error(say):
    """error of any type.

    covers: 2.3.error
    oracle: 4.16
    """
    for label, value in [
        ("true", True),
        ("three", 3),
        ("text", "x"),
        ("none", None),
        ("float", 1.5),
        ("huge", 2**40),
        ("negative", -1),
    ]:
        span = tracer.start_span("span")
        say.raises(label, setattr, span, "error", value)
        say(f"error {label}", span.error)
        span.finish()


def case_tolerance_start(say):
    """A start of a wrong type.

    covers: 2.3.raw-2x
    oracle: 4.16
    """
    for label, value in [("text", "x"), ("list", [])]:
        say.raises(label, Span, "name", start=value)


def case_raw_2x(say):
    """Wrong types cost 2.x the trace.

    covers: 2.3.raw-2x
    oracle: 2.21
    alone: yes
    """
    for label, fields in [
        ("service", {"service": 5}),
        ("resource", {"resource": 5}),
        ("type", {"span_type": 5}),
    ]:
        span = tracer.start_span(label, **fields)
        say.raises(label, span.finish)


def case_slots(say):
    """Unknown attributes are refused.

    covers: 2.3.slots
    """
    span = tracer.start_span("span")
    say.raises("set", setattr, span, "unknown_attribute", 1)
    say.raises("get", getattr, span, "unknown_attribute")
    span.finish()


def case_str(say):
    """str of a span.

    covers: 2.3.str
    """
    say("str", str(Span("name", trace_id=5, span_id=6, parent_id=7)))
    say("root", str(Span("name", trace_id=5, span_id=6)))


def case_repr(say):
    """repr of a span.

    covers: 2.3.repr
    oracle: 2.21
    """
    say("repr", repr(Span("name", trace_id=5, span_id=6, parent_id=7)))
