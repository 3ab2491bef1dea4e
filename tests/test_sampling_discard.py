"""Rules with `discard`: what they reject is not sent, and costs little if that is clear early."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Context, Span, Tracer
from fasttrace.propagation.http import HTTPPropagator

NOISE = [{"name": "noise", "sample_rate": 0, "discard": True}]


@pytest.fixture
def discarding(new_tracer: Any) -> Tracer:
    """A tracer that discards traces whose root is called "noise"."""
    tracer: Tracer = new_tracer(sampling_rules=NOISE)
    return tracer


def injected(source: Any) -> dict[str, str]:
    """The headers for a span or context."""
    headers: dict[str, str] = {}
    HTTPPropagator.inject(source, headers)
    return headers


def test_nothing_of_it_is_sent(discarding: Tracer) -> None:
    """A discarded trace leaves no chunk; its root is counted as dropped."""
    with discarding.trace("noise"), discarding.trace("child"):
        pass
    assert spans_of(discarding) == []
    stats = discarding.stats()
    assert stats["dropped"] == {"discarded": 1}
    assert (stats["finished"], stats["open"]) == (1, 0)


def test_children_are_one_span_that_records_nothing(discarding: Tracer) -> None:
    """All children are the same object, with the root's ids and a context that rejects."""
    with discarding.trace("noise") as root:
        with discarding.trace("child") as child, discarding.start_span("other", child_of=root) as b:
            assert child is b
            assert child is not root
            assert (child.trace_id, child.span_id) == (root.trace_id, root.span_id)
            assert child.context.sampling_priority == -1
            assert discarding.current_span() is root
            child.set_tag("a", 1)
            child.set_metric("m", 2)
            child.error = 1
            child.service = "x"
            child.resource = "x"
            child.set_exc_info(ValueError, ValueError("x"), None)
            assert child.get_tags() == {}
        with discarding.trace("next") as later, discarding.trace("deeper") as deeper:
            assert later is deeper is child
            with discarding.start_span("below", child_of=deeper) as below:
                assert below is child


def test_wrapped_functions_and_errors(discarding: Tracer) -> None:
    """Wrapped functions, generators and exceptions pass through a discarded trace unharmed."""

    @discarding.wrap("function")
    def divide(a: int, b: int) -> float:
        return a / b

    @discarding.wrap("generator")
    def count() -> Any:
        yield from range(3)

    with discarding.trace("noise") as root:
        assert divide(4, 2) == 2
        assert list(count()) == [0, 1, 2]
        with pytest.raises(ZeroDivisionError):
            divide(1, 0)
        with pytest.raises(KeyError), discarding.trace("child"):
            raise KeyError("x")
        assert discarding.current_span() is root
    assert discarding.current_span() is None
    assert spans_of(discarding) == []


async def _work(tracer: Tracer) -> Any:
    with tracer.trace("in task") as span:
        return span


def test_tasks(discarding: Tracer) -> None:
    """Tasks begun in a discarded trace belong to it."""
    import asyncio

    async def main() -> None:
        with discarding.trace("noise") as root, discarding.trace("child") as child:
            assert await asyncio.create_task(_work(discarding)) is child
            assert discarding.current_span() is root

    asyncio.run(main())
    assert spans_of(discarding) == []


def test_every_thread(discarding: Tracer) -> None:
    """A thread that continues a discarded trace records nothing, also afterwards."""
    found: list[Span] = []

    def work(context: Context) -> None:
        discarding.context_provider.activate(context)
        with discarding.trace("in thread") as span:
            found.append(span)
        discarding.context_provider.activate(None)

    def run(context: Context) -> None:
        thread = threading.Thread(target=work, args=(context,))
        thread.start()
        thread.join()

    with discarding.trace("noise") as root, discarding.trace("child") as child:
        run(root.context)
        run(child.context)
        assert found == [child, child]
    run(root.context)
    assert found[2].trace_id == root.trace_id
    assert found[2].context.sampling_priority == -1
    assert spans_of(discarding) == []


def test_another_tracer(discarding: Tracer, new_tracer: Any) -> None:
    """The decision is the trace's: another tracer's spans in it are not sent either."""
    other = new_tracer()
    with discarding.trace("noise"), other.trace("theirs"):
        pass
    assert spans_of(discarding) == spans_of(other) == []


@pytest.mark.parametrize("remote", [False, True])
def test_inject_from_a_discarded_child(discarding: Tracer, remote: bool) -> None:
    """Headers from a child are the root's, rejected; with an extracted parent and without."""
    if remote:
        found = HTTPPropagator.extract({"x-datadog-trace-id": "4242", "x-datadog-parent-id": "17"})
        discarding.context_provider.activate(found)
    with discarding.trace("noise") as root:
        expected = injected(root)
        with discarding.trace("child") as child:
            assert injected(child) == injected(child.context) == expected
            slow: dict[str, list[str]] = {}
            HTTPPropagator.inject(child, list(slow.items()))  # the Python way
        assert expected["x-datadog-trace-id"] == str(root.trace_id & 2**64 - 1)
        assert expected["x-datadog-parent-id"] == str(root.span_id)
        assert expected["x-datadog-sampling-priority"] == "-1"
        assert expected["traceparent"].endswith("-00")
        assert "s:-1" in expected["tracestate"]
        if remote:
            assert root.trace_id == 4242
            assert root.parent_id == 17
    assert spans_of(discarding) == []


def test_an_extracted_decision_is_not_overruled(discarding: Tracer) -> None:
    """A trace that comes in with a priority is not discarded."""
    remote = Context(trace_id=4242, span_id=17, sampling_priority=1)
    with discarding.start_span("noise", child_of=remote) as root:
        discarding.start_span("child", child_of=root).finish()
    assert {span["name"] for span in spans_of(discarding)} == {"noise", "child"}


@pytest.mark.parametrize("on_child", [False, True])
def test_manual_keep_inside_a_discarded_trace(discarding: Tracer, on_child: bool) -> None:
    """manual.keep on root or child keeps the root and what begins from then on."""
    with discarding.trace("noise") as root:
        with discarding.trace("lost") as lost:
            (lost if on_child else root).set_tag("manual.keep")
            assert root.context.sampling_priority == lost.context.sampling_priority == 2
            with discarding.start_span("below", child_of=lost) as below:
                assert below is not lost
            assert injected(lost)["x-datadog-sampling-priority"] == "2"
        with discarding.trace("late") as late, discarding.trace("later") as later:
            assert late.parent_id == root.span_id
            assert later.parent_id == late.span_id
    sent = by_name(spans_of(discarding))
    assert set(sent) == {"noise", "below", "late", "later"}
    assert sent["below"]["parent_id"] == root.span_id
    assert sent["noise"]["metrics"]["_sampling_priority_v1"] == 2
    assert sent["noise"]["meta"]["_dd.p.dm"] == "-4"
    assert "_dd.rule_psr" not in sent["noise"]["metrics"]
    assert discarding.stats()["dropped"] == {"test": 4}


def test_set_tags_keeps_as_well(discarding: Tracer) -> None:
    """manual.keep among the tags of set_tags() counts; manual.drop takes it back."""
    with discarding.trace("noise") as root, discarding.trace("child") as child:
        child.set_tags({"a": 1, "manual.keep": True})
        assert root.context.sampling_priority == 2
        child.set_tag("manual.drop")
        assert root.context.sampling_priority == -1
    assert spans_of(discarding) == []


@pytest.mark.parametrize(
    ("rules", "names", "early"),
    [
        (NOISE, {}, True),
        ([{**NOISE[0], "service": "svc"}], {}, True),
        ([{**NOISE[0], "service": "other"}], {}, None),
        ([{**NOISE[0], "resource": "/x"}], {"resource": "/x"}, True),
        ([{**NOISE[0], "resource": "noise"}], {}, False),
        ([{**NOISE[0], "tags": {"a": "*"}}], {}, None),
        ([{"resource": "/kept", "sample_rate": 1}, *NOISE], {}, False),
        ([{"resource": "/kept", "sample_rate": 1}, *NOISE], {"resource": "/x"}, True),
        ([{"tags": {"a": "b"}, "sample_rate": 1}, *NOISE], {}, False),
        ([*NOISE, {"resource": "/kept", "sample_rate": 1}], {}, True),
        ([{"name": "noise", "sample_rate": 1, "discard": True}], {}, None),
        ([{"name": "noise", "sample_rate": 0}, *NOISE], {}, None),
    ],
)
def test_early_only_if_all_is_known(
    new_tracer: Any, rules: list[Any], names: dict[str, str], early: bool | None
) -> None:
    """Early only if no rule could decide otherwise later; None: never discarded."""
    tracer = new_tracer(sampling_rules=rules)
    with tracer.trace("noise", **names), tracer.trace("child") as child:
        assert (child.name == "") is (early is True)
    assert (spans_of(tracer) == []) is (early is not None)
    if early is False:
        assert tracer.stats()["dropped"] == {"discarded": 2}


@pytest.mark.parametrize(
    "config",
    [
        {"span_sampling_rules": [{"name": "child"}]},
        {"sampling_rules": [*NOISE, {"sample_rate": 0, "keep_errors": True}]},
    ],
)
def test_not_early_where_spans_are_still_needed(new_tracer: Any, config: dict[str, Any]) -> None:
    """With span rules or tail keep, a trace is discarded when it is complete, whole."""
    tracer = new_tracer(**{"sampling_rules": NOISE, **config})
    with tracer.trace("noise"), tracer.trace("child") as child:
        assert child.name == "child"
    assert spans_of(tracer) == []
    assert tracer.stats()["dropped"] == {"discarded": 2}


def test_not_early_with_filters(discarding: Tracer) -> None:
    """Filters see discarded traces before the decision, as in ddtrace."""
    seen: list[str] = []

    class Filter:
        def process_trace(self, trace: list[Span]) -> list[Span]:
            seen.extend(span.name for span in trace)
            return trace

    discarding.configure(trace_processors=[Filter()])
    with discarding.trace("noise"), discarding.trace("child"):
        pass
    assert seen == ["noise", "child"]
    assert spans_of(discarding) == []
    assert discarding.stats()["dropped"] == {"discarded": 2}


def test_all_parts_of_a_discarded_trace(new_tracer: Any) -> None:
    """Partial chunks of a trace that was discarded late are not sent either."""
    tracer = new_tracer(
        partial_flush_min_spans=2,
        sampling_rules=[{"resource": "noise", "sample_rate": 0, "discard": True}],
    )
    with tracer.trace("noise"):
        for _ in range(5):
            with tracer.trace("child"):
                pass
    assert spans_of(tracer) == []
    assert tracer.stats()["dropped"] == {"discarded": 6}


def test_what_the_rate_keeps_is_sent(new_tracer: Any) -> None:
    """A rule with discard keeps its share of traces, whole."""
    tracer = new_tracer(rate_limit=-1, sampling_rules=[{**NOISE[0], "sample_rate": 0.5}])
    for trace_id in (1, 10, 100, 2**64 - 1):  # kept, rejected, kept, rejected
        root = tracer.start_span("noise", child_of=Context(trace_id=trace_id, span_id=3))
        tracer.start_span("child", child_of=root).finish()
        root.finish()
    assert [span["trace_id"] for span in spans_of(tracer)] == [1, 1, 100, 100]


def test_what_the_limit_rejects_is_discarded(new_tracer: Any) -> None:
    """Traces over the limit of a rule with discard are discarded when they are complete."""
    tracer = new_tracer(rate_limit=1, sampling_rules=[{**NOISE[0], "sample_rate": 1}])
    for _ in range(3):
        with tracer.trace("noise"), tracer.trace("child"):
            pass
    assert len(spans_of(tracer)) == 2
    assert tracer.stats()["dropped"] == {"discarded": 4, "test": 2}


def test_a_discarded_trace_leaves_no_memory(discarding: Tracer) -> None:
    """Roots and the spans of their children go by reference count alone."""
    import weakref

    gc.disable()
    try:
        with discarding.trace("noise") as root, discarding.trace("child") as child:
            refs = [weakref.ref(root), weakref.ref(child)]
        discarding.context_provider.activate(None)
        del root, child
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


def test_a_child_outlives_its_discarded_root(discarding: Tracer) -> None:
    """A child that is used after its trace ended does no harm; the next trace is another one."""
    with discarding.trace("noise") as root:
        child = discarding.trace("child")
    child.set_tag("a", 1)
    child.finish()
    with discarding.trace("next") as following:
        assert following.trace_id != root.trace_id
    assert [span["name"] for span in spans_of(discarding)] == ["next"]


def test_a_disabled_service_passes_decisions_on(new_tracer: Any) -> None:
    """Inject in a disabled service: the extracted trace and its decision pass through unchanged."""
    tracer = new_tracer(sampling_rules=NOISE)
    tracer.enabled = False
    with tracer.trace("noise") as span:
        assert injected(span) == {}
    headers = {
        "x-datadog-trace-id": "4242",
        "x-datadog-parent-id": "17",
        "x-datadog-sampling-priority": "2",
    }
    tracer.context_provider.activate(HTTPPropagator.extract(headers))
    try:
        with tracer.trace("noise") as span:
            passed = injected(span)
    finally:
        tracer.context_provider.activate(None)
    assert {name: passed[name] for name in headers} == headers
