"""Injecting spans: the sampling decision, tags of the trace, disabled services."""

from __future__ import annotations

from helpers import chunks_of
from propagation_cases import DATADOG, EVERY_STYLE, LOW, TRACEPARENT, extracted, ids, injected

from fasttrace import Context, Tracer
from fasttrace.propagation.http import HTTPPropagator


def test_a_span_is_injected(tracer: Tracer) -> None:
    """The headers of a span name the span as parent, in its trace."""
    with tracer.trace("root") as root, tracer.trace("child") as child:
        headers = injected(child, *EVERY_STYLE)
    assert ids(extracted(headers, "datadog")) == (root.trace_id, child.span_id)
    for style in EVERY_STYLE:
        assert ids(extracted(headers, style)) == (root.trace_id, child.span_id)


def test_inject_takes_the_decision(tracer: Tracer) -> None:
    """Injecting decides the whole trace; it stays so."""
    with tracer.trace("root") as root:
        with tracer.trace("child") as child:
            assert root.context.sampling_priority is None
            headers = injected(child, "datadog")
        assert headers["x-datadog-sampling-priority"] == "1"
        assert "_dd.p.dm=-0" in headers["x-datadog-tags"]
        assert root.context.sampling_priority == 1
    assert chunks_of(tracer)[0][0]["metrics"]["_sampling_priority_v1"] == 1


def test_inject_of_a_context_takes_the_decision(tracer: Tracer) -> None:
    """So does injecting the context of a live trace."""
    with tracer.trace("root") as root:
        assert injected(root.context, "datadog")["x-datadog-sampling-priority"] == "1"


def test_inject_of_a_bare_context_decides_nothing() -> None:
    """A context whose trace is not here has no decision to be taken: no priority is sent."""
    context = Context(5, 6)
    assert "x-datadog-sampling-priority" not in injected(context, "datadog")
    assert context.sampling_priority is None


def test_a_manual_decision_is_sent(tracer: Tracer) -> None:
    """manual.keep and manual.drop before the request are what the next service gets."""
    for tag, priority in (("manual.keep", 2), ("manual.drop", -1)):
        with tracer.trace("root") as root:
            root.set_tag(tag)
            headers = injected(root, "datadog", "tracecontext")
        context = extracted(headers, "datadog", "tracecontext")
        assert context.sampling_priority == priority
        assert context._meta["_dd.p.dm"] == "-4"


def test_an_inherited_decision_is_sent_on(tracer: Tracer) -> None:
    """A service in the middle neither decides anew nor changes the decision maker."""
    headers = {**DATADOG, "x-datadog-sampling-priority": "-1"}
    headers["x-datadog-tags"] += ",_dd.p.dm=-4"
    with tracer.start_span("middle", child_of=extracted(headers, "datadog")) as span:
        sent = injected(span, "datadog")
    assert sent["x-datadog-sampling-priority"] == "-1"
    assert set(sent["x-datadog-tags"].split(",")) == set(headers["x-datadog-tags"].split(","))
    assert sent["x-datadog-trace-id"] == str(LOW)


def test_tags_after_inject_are_on_later_children(tracer: Tracer) -> None:
    """Children begun after an inject carry `_dd.p.tid`, earlier ones do not, as in ddtrace."""
    with tracer.trace("root") as root:
        tracer.trace("before").finish()
        injected(root, "datadog")
        tracer.trace("after").finish()
    meta = {span["name"]: span.get("meta", {}) for span in chunks_of(tracer)[0]}
    high = f"{root.trace_id >> 64:016x}"
    assert meta["root"]["_dd.p.tid"] == high
    assert "_dd.p.tid" not in meta["before"]
    assert meta["after"]["_dd.p.tid"] == high


def test_headers_do_not_become_tags(tracer: Tracer) -> None:
    """traceparent and tracestate of the request are not tags of any span."""
    headers = {"traceparent": TRACEPARENT[:-1] + "3", "tracestate": "dd=s:2;p:00000000000000ab,a=1"}
    with tracer.start_span("root", child_of=extracted(headers, "tracecontext"), activate=True):
        tracer.trace("child").finish()
    root, child = [span.get("meta", {}) for span in chunks_of(tracer)[0]]
    for meta in (root, child):
        assert not {"traceparent", "tracestate"} & set(meta)
    assert root["_dd.parent_id"] == "00000000000000ab"
    assert "_dd.parent_id" not in child


def test_errors_become_tags(tracer: Tracer) -> None:
    """What went wrong with x-datadog-tags is a tag of the first span."""
    headers = {**DATADOG, "x-datadog-tags": "bad"}
    with tracer.start_span("root", child_of=extracted(headers, "datadog")):
        pass
    assert chunks_of(tracer)[0][0]["meta"]["_dd.propagation_error"] == "decoding_error"


def test_non_active_span(tracer: Tracer) -> None:
    """ddtrace 2.x's third argument: the span that is injected, whatever the context."""
    with tracer.trace("one") as one, tracer.trace("two") as two:
        headers: dict[str, str] = {}
        HTTPPropagator.inject(one.context, headers, two)
        assert headers["x-datadog-parent-id"] == str(two.span_id)
        HTTPPropagator.inject(one.context, headers, non_active_span=one)
        assert headers["x-datadog-parent-id"] == str(one.span_id)


def test_names_of_arguments(tracer: Tracer) -> None:
    """The context may be given by the name it has in ddtrace 2.x and in 4.x."""
    for name in ("context", "span_context"):
        headers: dict[str, str] = {}
        HTTPPropagator.inject(headers=headers, **{name: Context(5, 6)})
        assert headers["x-datadog-trace-id"] == "5"


# -- disabled services -----------------------------------------------------------------------------


def test_a_disabled_service_passes_the_trace_through(tracer: Tracer) -> None:
    """A disabled tracer sends on the trace it got, unchanged."""
    tracer.enabled = False
    headers = {**DATADOG, "x-datadog-sampling-priority": "2", "x-datadog-origin": "rum"}
    tracer.context_provider.activate(extracted(headers, "datadog"))
    with tracer.trace("root"), tracer.trace("child") as child:
        assert injected(child, "datadog") == headers
        assert injected(child.context, "datadog") == headers
    tracer.context_provider.activate(None)


def test_a_disabled_service_begins_no_trace(tracer: Tracer) -> None:
    """A disabled tracer that got no trace sends none."""
    tracer.enabled = False
    with tracer.trace("root") as root:
        assert injected(root, *EVERY_STYLE, "baggage") == {}


def test_disabling_changes_nothing_about_open_traces(tracer: Tracer) -> None:
    """A span that began before the tracer was disabled is still injected."""
    with tracer.trace("root") as root:
        tracer.enabled = False
        assert injected(root, "datadog")["x-datadog-parent-id"] == str(root.span_id)
