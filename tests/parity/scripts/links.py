"""Span links and span events."""

import time

from ddtrace.trace import Context, Span, tracer

BIG = 0x640CFD8D00000000ABCDEF0123456789


def case_link_span(say):
    """link_span takes a Context and attributes.

    covers: 4.2.link-span
    """
    with tracer.trace("one") as one:
        pass
    with tracer.trace("two") as two:
        say("returns", two.link_span(one.context))
        two.link_span(Context(trace_id=BIG, span_id=77), {"a": "text"})


def case_link_attributes(say):
    """Attributes are flattened to text.

    covers: 4.2.link-span
    """
    with tracer.trace("span") as span:
        attributes = {
            "text": "a",
            "true": True,
            "false": False,
            "int": 5,
            "float": 1.5,
            "list": ["a", 1],
            "tuple": (1, 2),
            "nested": [1, [2, 3]],
            "empty": [],
        }
        span.link_span(Context(trace_id=5, span_id=6), attributes)


def case_link_attribute_none(say):
    """An attribute None.

    covers: 4.2.link-span
    """
    with tracer.trace("span") as span:
        span.link_span(Context(trace_id=5, span_id=6), {"none": None})


def case_link_priority(say):
    """The flags of a linked context.

    covers: 4.2.link-span
    """
    for priority in (None, -1, 0, 1, 2):
        with tracer.trace(f"priority {priority}") as span:
            span.link_span(Context(trace_id=5, span_id=6, sampling_priority=priority))


def case_link_without_ids(say):
    """A Context without ids is no link.

    covers: 4.2.link-span
    """
    with tracer.trace("span") as span:
        say.raises("empty", span.link_span, Context())


def case_set_link(say):
    """set_link takes ids.

    covers: 4.2.set-link
    """
    with tracer.trace("span") as span:
        say("returns", span.set_link(trace_id=BIG, span_id=77))
        span.set_link(5, 6, "dd=s:1", 1, {"k": "v"})
        span.set_link(trace_id=7, span_id=8, flags=0, tracestate="other=x")


def case_set_link_same(say):
    """A second link to the same span replaces the first.

    covers: 4.2.set-link
    """
    with tracer.trace("span") as span:
        span.set_link(trace_id=5, span_id=6, attributes={"n": "first"})
        span.set_link(trace_id=9, span_id=10)
        span.set_link(trace_id=5, span_id=6, attributes={"n": "second"})


def case_set_link_zero(say):
    """Zero ids.

    covers: 4.2.set-link
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        say.raises("trace", span.set_link, trace_id=0, span_id=6)
        say.raises("span", span.set_link, trace_id=5, span_id=0)


def case_links_v05(say):
    """Links in the v0.5 encoding are JSON in meta.

    covers: 4.2.set-link 4.2.link-span
    env: DD_TRACE_API_VERSION=v0.5
    """
    with tracer.trace("span") as span:
        span.set_link(trace_id=BIG, span_id=77, tracestate="dd=s:1", flags=1, attributes={"k": "v"})
        span.set_link(trace_id=5, span_id=6)
        span.link_span(Context(trace_id=7, span_id=8, sampling_priority=1), {"a": [1, True]})


def case_links_constructor(say):
    """Links given to the constructor.

    covers: 4.2.span-constructor
    """
    span = Span("span", links=None)
    say.raises("later", span.set_link, trace_id=5, span_id=6)


def case_context_links(say):
    """Links of a Context without ids go on the root.

    covers: 4.3.context-without-ids
    """
    from ddtrace.propagation.http import HTTPPropagator

    headers = {
        "x-datadog-trace-id": "1234567890123",
        "x-datadog-parent-id": "9876543210",
        "x-datadog-sampling-priority": "1",
        "traceparent": "00-640cfd8d00000000abcdef0123456789-00000000000000aa-01",
        "tracestate": "dd=s:2,other=1",
    }
    tracer.context_provider.activate(HTTPPropagator.extract(headers))
    with tracer.trace("root"):
        with tracer.trace("child"):
            pass


def case_context_links_restart(say):
    """Restarted traces have a link and no parent.

    covers: 4.3.context-without-ids
    env: DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT=restart
    """
    from ddtrace.propagation.http import HTTPPropagator

    headers = {
        "x-datadog-trace-id": "1234567890123",
        "x-datadog-parent-id": "9876543210",
        "x-datadog-sampling-priority": "1",
        "baggage": "k=v",
    }
    tracer.context_provider.activate(HTTPPropagator.extract(headers))
    with tracer.trace("root") as root:
        say("parent", root.parent_id)
        say("baggage", root.context.get_all_baggage_items())
        with tracer.trace("child"):
            pass


def case_events_v04(say):
    """Events are JSON in meta.

    covers: 4.5.record-exception
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        span.record_exception(ValueError("one"), {"a": 1})


def case_events_v05(say):
    """Events in the v0.5 encoding.

    covers: 4.5.record-exception
    oracle: 4.16
    env: DD_TRACE_API_VERSION=v0.5
    """
    with tracer.trace("span") as span:
        span.record_exception(ValueError("one"), {"a": 1, "b": [True, False]})


def case_events_native(say):
    """Native events on request.

    covers: 4.5.record-exception
    oracle: 4.16
    env: DD_TRACE_NATIVE_SPAN_EVENTS=true
    alone: yes
    """
    import time

    tracer.start_span("warm").finish()
    tracer.flush()
    time.sleep(0.2)
    with tracer.trace("span") as span:
        span.record_exception(ValueError("one"), {"a": 1, "b": [True, False], "c": 1.5, "d": "x"})


def case_events_offered(say):
    """What becomes of events when the agent has said that it takes them in their own field.

    covers: 4.5.record-exception
    oracle: 4.16
    env: DD_TRACE_NATIVE_SPAN_EVENTS=
    alone: yes
    """
    for name in ("first", "later"):
        with tracer.trace(name) as span:
            span.record_exception(ValueError("x"), {"number": 5})
        tracer.flush()
        deadline = time.monotonic() + 20
        while hasattr(tracer, "_flusher") and time.monotonic() < deadline:
            if tracer._flusher.discovery and tracer._flusher.discovery.info:
                break
            time.sleep(0.01)
