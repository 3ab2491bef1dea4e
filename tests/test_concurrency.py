"""Patterns of concurrent tracing, a hundred times each; two tracers at once; joint decisions."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from agent_process import TestAgent
from helpers import by_name, chunks_of, spans_of

from fasttrace import Context, Span, Tracer

TIMES = 100


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Make the interpreter change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_together(*functions: Callable[[], Any]) -> None:
    """Call all functions, each in a thread, at the same moment; raise what one of them raised."""
    barrier = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def work(function: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def assert_tree(spans: list[dict[str, Any]], parents: dict[str, str | None]) -> None:
    """All spans are of one trace, and each name has the parent of that name."""
    named = by_name(spans)
    assert len({span["trace_id"] for span in spans}) == 1
    names = {span["span_id"]: name for name, span in named.items()}
    found = {name: names.get(span.get("parent_id") or 0) for name, span in named.items()}
    assert found == parents


# -- patterns --------------------------------------------------------------------------------------


def test_late_finish_in_another_thread(tracer: Tracer) -> None:
    """A span that another thread finishes, after its parent ended, leaves in the same trace."""
    for _ in range(TIMES):
        with tracer.trace("request") as request:
            late = tracer.start_span("late", child_of=request)
            active = tracer.trace("active")
        thread = threading.Thread(target=late.finish)
        thread.start()
        assert tracer.current_span() is active
        active.finish()
        thread.join()
        assert tracer.current_span() is None
        [chunk] = chunks_of(tracer)
        assert_tree(chunk, {"request": None, "late": "request", "active": "request"})


def test_a_parent_that_ends_while_children_begin(tracer: Tracer) -> None:
    """Children begun while another thread ends their parent are its children all the same."""
    for _ in range(TIMES):
        request = tracer.start_span("request")
        children: list[Span] = []

        def begin(request: Span = request, children: list[Span] = children) -> None:
            for _ in range(5):
                children.append(tracer.start_span("child", child_of=request))

        run_together(begin, request.finish)
        for child in children:
            assert child.parent_id == request.span_id
            child.finish()
        spans = spans_of(tracer)
        assert len(spans) == 6
        assert {span["trace_id"] for span in spans} == {spans[0]["trace_id"]}


def test_one_span_finished_by_two_threads(tracer: Tracer) -> None:
    """A span that several threads finish at once is finished and sent once."""
    for _ in range(TIMES):
        calls: list[Span] = []
        with tracer.trace("request") as request:
            span = Span("by hand", on_finish=[calls.append])
            child = tracer.start_span("child", child_of=request)
            run_together(child.finish, child.finish, span.finish, span.finish)
        run_together(request.finish, child.finish)
        assert calls == [span]
        assert_tree(spans_of(tracer), {"request": None, "child": "request"})
    stats = tracer.stats()
    assert (stats["finished"], stats["open"]) == (2 * TIMES, 0)


def test_one_trace_ended_by_two_threads(tracer: Tracer) -> None:
    """Whichever thread finishes the last span, the trace leaves once and complete."""
    for _ in range(TIMES):
        root = tracer.start_span("root")
        ones = [tracer.start_span("one", child_of=root) for _ in range(5)]
        two = [tracer.start_span("two", child_of=root) for _ in range(5)]

        def finish(spans: list[Span]) -> Callable[[], None]:
            return lambda: [span.finish() for span in spans] and None

        run_together(finish(ones), finish([*two, root]))
        [chunk] = chunks_of(tracer)
        assert len(chunk) == 11


def test_nested_callbacks(tracer: Tracer) -> None:
    """Callbacks that register callbacks see the span they were registered in, to any depth."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def callback(depth: int) -> None:
            span = tracer.trace(f"callback {depth}")
            if depth < 4:
                loop.call_soon(callback, depth + 1)
                loop.call_later(0, span.finish)
            else:
                span.finish()
                done.set_result(None)

        with tracer.trace("request") as request:
            loop.call_soon(callback, 0)
            assert tracer.current_span() is request
            await done
            await asyncio.sleep(0.0005)
            assert tracer.current_span() is request

    expected: dict[str, str | None] = {"request": None, "callback 0": "request"}
    expected.update({f"callback {depth}": f"callback {depth - 1}" for depth in range(1, 5)})
    for _ in range(TIMES):
        asyncio.run(main())
        assert_tree(spans_of(tracer), expected)


def test_nested_finish_callbacks(tracer: Tracer) -> None:
    """A span whose end finishes another one, and that a third, leaves with them in one trace."""
    for _ in range(TIMES):
        root = tracer.start_span("root")
        spans = [root]
        for depth in range(4):
            spans.append(tracer.start_span(f"span {depth}", child_of=spans[-1]))

        def finish_above(span: Span, spans: list[Span] = spans) -> None:
            spans[spans.index(span) - 1].finish()

        for span in spans[1:]:
            span._on_finish_callbacks.append(finish_above)
        thread = threading.Thread(target=spans[-1].finish)
        thread.start()
        thread.join()
        [chunk] = chunks_of(tracer)
        assert len(chunk) == 5


def test_fan_out_over_threads(tracer: Tracer) -> None:
    """Jobs spread over threads and gathered again are all below the span that spread them."""

    def work(name: str) -> str:
        with tracer.trace(name) as outer:
            with tracer.trace(f"{name} inner") as inner:
                assert inner.parent_id == outer.span_id
            assert tracer.current_span() is outer
        return name

    jobs = [f"job {number}" for number in range(8)]
    expected: dict[str, str | None] = {"request": None}
    for job in jobs:
        expected.update({job: "request", f"{job} inner": job})
    with ThreadPoolExecutor(4) as executor:
        for _ in range(TIMES):
            with tracer.trace("request"):
                assert list(executor.map(tracer.carry(work), jobs)) == jobs
            [chunk] = chunks_of(tracer)
            assert_tree(chunk, expected)
        assert list(executor.map(lambda _: tracer.current_span(), jobs)) == [None] * 8


def test_fan_out_over_tasks(tracer: Tracer) -> None:
    """Tasks spread and gathered, with threads below them, are all below their own parents."""

    def blocking(name: str) -> None:
        with tracer.trace(f"{name} blocking"):
            pass

    async def work(name: str) -> None:
        with tracer.trace(name):
            await asyncio.sleep(0)
            await asyncio.to_thread(blocking, name)

    async def main() -> None:
        for _ in range(TIMES):
            with tracer.trace("request"):
                await asyncio.gather(*map(work, jobs))
            assert tracer.current_span() is None
            [chunk] = chunks_of(tracer)
            assert_tree(chunk, expected)

    jobs = [f"job {number}" for number in range(4)]
    expected: dict[str, str | None] = {"request": None}
    for job in jobs:
        expected.update({job: "request", f"{job} blocking": job})
    asyncio.run(main())


def test_tags_from_many_threads(tracer: Tracer) -> None:
    """A span that several threads tag while one finishes it arrives whole, with their tags."""
    for _ in range(TIMES):
        with tracer.trace("request") as request:

            def tag(name: str, request: Span = request) -> Callable[[], None]:
                return lambda: [request.set_tag(f"{name}{n}", "x") for n in range(20)] and None

            run_together(tag("a"), tag("b"), tag("c"))
            late = threading.Thread(target=tag("late"))
            late.start()
        late.join()
        [span] = spans_of(tracer)
        assert {f"{name}{n}" for name in "abc" for n in range(20)} <= set(span["meta"])


# -- decisions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tag", "priority"), [("manual.keep", 2), ("manual.drop", -1)])
def test_a_decision_by_another_thread(tracer: Tracer, tag: str, priority: int) -> None:
    """manual.keep in a thread that joined by activate(context) decides for the root as well."""

    def work(context: Context) -> None:
        tracer.context_provider.activate(context)
        with tracer.trace("in thread") as span:
            span.set_tag(tag)

    for _ in range(TIMES // 10):
        with tracer.trace("request") as request:
            thread = threading.Thread(target=work, args=(request.context,))
            thread.start()
            thread.join()
            assert request.context.sampling_priority == priority
        [chunk] = chunks_of(tracer)
        assert_tree(chunk, {"request": None, "in thread": "request"})
        assert {s["metrics"].get("_sampling_priority_v1", priority) for s in chunk} == {priority}
        assert chunk[0]["metrics"]["_sampling_priority_v1"] == priority
        assert chunk[0]["meta"]["_dd.p.dm"] == "-4"


def test_a_decision_by_a_carried_function(tracer: Tracer) -> None:
    """manual.keep set by a carried function, and baggage, are the request's as well."""

    def work() -> None:
        with tracer.trace("in thread") as span:
            span.set_tag("manual.keep")
            span.context.set_baggage_item("user", "ann")

    with tracer.trace("request") as request:
        thread = threading.Thread(target=tracer.carry(work))
        thread.start()
        thread.join()
        assert request.context.sampling_priority == 2
        assert request.context.get_baggage_item("user") == "ann"
    assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == 2


@pytest.fixture(scope="module")
def second_agent() -> Iterator[TestAgent]:
    """A test agent beside the shared one."""
    with TestAgent() as running:
        yield running


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_two_tracers_two_agents(session: Any, second_agent: TestAgent, rate: float) -> None:
    """Nested tracers make one trace under one decision, and each sends its spans to its agent."""
    from conftest import Session

    other_session = Session(second_agent)
    first = session.make_tracer(service="shop")
    second = other_session.make_tracer(service="kitchen")
    # The inner tracer's part is complete first, and decides; the outer one alone would keep all.
    second._set_rates({"service:kitchen,env:": rate})
    with first.trace("shop.order") as order:
        with second.trace("kitchen.cook", service="kitchen") as cook:
            with first.trace("shop.price"):
                assert first.current_root_span() is second.current_root_span()
            with second.trace("kitchen.fry"):
                pass
            assert cook.context.sampling_priority is None
        assert order.context.sampling_priority == rate
    shop, kitchen = by_name(session.received()), by_name(other_session.received())
    assert set(shop) == {"shop.order", "shop.price"}
    assert set(kitchen) == {"kitchen.cook", "kitchen.fry"}
    assert_tree(
        [*shop.values(), *kitchen.values()],
        {
            "shop.order": None,
            "kitchen.cook": "shop.order",
            "shop.price": "kitchen.cook",
            "kitchen.fry": "kitchen.cook",
        },
    )
    for first_of_chunk in (shop["shop.order"], kitchen["kitchen.cook"]):
        assert first_of_chunk["metrics"]["_sampling_priority_v1"] == rate
        assert first_of_chunk["meta"]["_dd.p.dm"] == "-1"
    for tracer, spans in ((first, 2), (second, 2)):
        stats = tracer.stats()
        assert (stats["finished"], stats["sent"]) == (spans, spans)


def test_two_tracers_in_many_threads(new_tracer: Any) -> None:
    """Tracers nested in many threads at once keep their own spans, and share each trace."""
    first, second = new_tracer(service="first"), new_tracer(service="second")

    def work() -> None:
        for _ in range(TIMES):
            with first.trace("outer") as outer, second.trace("middle") as middle:
                with first.trace("inner") as inner:
                    pass
                assert inner.trace_id == middle.trace_id == outer.trace_id
                assert (middle.parent_id, inner.parent_id) == (outer.span_id, middle.span_id)

    run_together(*[work] * 4)
    ours, theirs = spans_of(first), spans_of(second)
    assert (len(ours), len(theirs)) == (8 * TIMES, 4 * TIMES)
    outers = {span["span_id"]: span for span in ours if span["name"] == "outer"}
    for span in theirs:
        assert outers[span["parent_id"]]["trace_id"] == span["trace_id"]


def test_threads_that_run_their_own_traces(tracer: Tracer) -> None:
    """Traces made in many threads at once are complete and separate."""

    def work() -> None:
        for _ in range(TIMES):
            with tracer.trace("root") as root:
                with tracer.trace("child"):
                    with tracer.trace("grandchild"):
                        pass
                assert tracer.current_span() is root
            assert tracer.current_span() is None

    run_together(*[work] * 8)
    chunks = chunks_of(tracer)
    assert len(chunks) == 8 * TIMES
    for chunk in chunks:
        assert_tree(chunk, {"root": None, "child": "root", "grandchild": "child"})
