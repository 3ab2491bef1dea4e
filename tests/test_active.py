"""Which span is current: in nested blocks, threads, tasks, copied contexts, after odd endings."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from helpers import by_name, chunks_of, make_offline_tracer, spans_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrace import Context, Span, Tracer


def test_nothing_is_active_at_first(tracer: Tracer) -> None:
    """Without a span there is no current span, root span or trace context."""
    assert tracer.current_span() is None
    assert tracer.current_root_span() is None
    assert tracer.current_trace_context() is None


def test_nested_blocks(tracer: Tracer) -> None:
    """Inside nested blocks the innermost span is current, the outermost is the root."""
    with tracer.trace("a") as a:
        assert tracer.current_root_span() is a
        with tracer.trace("b") as b:
            with tracer.trace("c") as c:
                assert tracer.current_span() is c
                assert tracer.current_root_span() is a
            assert tracer.current_span() is b
        assert tracer.current_span() is a
        with tracer.trace("d") as d:
            assert d.parent_id == a.span_id
    assert tracer.current_span() is None
    assert tracer.current_root_span() is None


def test_the_current_trace_context_is_that_of_the_current_span(tracer: Tracer) -> None:
    """current_trace_context() gives ids of the active span, whatever arguments are passed."""
    with tracer.trace("a"), tracer.trace("b") as b:
        context = tracer.current_trace_context()
        assert context is not None
        assert (context.trace_id, context.span_id) == (b.trace_id, b.span_id)
        assert tracer.current_trace_context("anything", other=1) is not None


def test_a_finished_span_is_never_current(tracer: Tracer) -> None:
    """After a manual finish the nearest unfinished ancestor is current."""
    a = tracer.trace("a")
    b = tracer.trace("b")
    c = tracer.trace("c")
    c.finish()
    assert tracer.current_span() is b
    b.finish()
    assert tracer.current_span() is a
    a.finish()
    assert tracer.current_span() is None


def test_finishing_the_middle_span_leaves_its_child_current(tracer: Tracer) -> None:
    """A span whose parent finished first stays current, and then its grandparent is."""
    a = tracer.trace("a")
    b = tracer.trace("b")
    c = tracer.trace("c")
    b.finish()
    assert tracer.current_span() is c
    c.finish()
    assert tracer.current_span() is a
    with tracer.trace("d") as d:
        assert d.parent_id == a.span_id
    a.finish()
    assert len(chunks_of(tracer)) == 1


def test_a_parent_finished_first_is_still_the_parent_on_the_wire(tracer: Tracer) -> None:
    """A child that outlives its parent keeps its ids and can have children of its own."""
    a = tracer.trace("a")
    b = tracer.trace("b")
    a.finish()
    assert tracer.current_span() is b
    assert tracer.current_root_span() is a
    with tracer.trace("c") as c:
        pass
    b.finish()
    assert tracer.current_span() is None
    sent = by_name(spans_of(tracer))
    assert sent["b"]["parent_id"] == a.span_id
    assert sent["c"]["parent_id"] == b.span_id == c.parent_id


def test_a_child_begun_after_its_whole_trace_finished_is_a_root(tracer: Tracer) -> None:
    """Where only finished spans are left, the next span begins a trace of its own."""
    with tracer.trace("a") as a:
        context = contextvars.copy_context()
    late = context.run(tracer.trace, "late")
    assert late.parent_id is None
    assert late.trace_id != a.trace_id
    late.finish()


def test_a_block_may_end_while_a_child_is_open(tracer: Tracer) -> None:
    """A child left open inside a block stays current after the block, until it finishes."""
    with tracer.trace("a") as a:
        b = tracer.trace("b")
    assert tracer.current_span() is b
    assert a.finished
    b.finish()
    assert tracer.current_span() is None
    assert [span["name"] for span in spans_of(tracer)] == ["a", "b"]


# -- other contexts of execution -------------------------------------------------------------------


def test_a_new_thread_starts_empty(tracer: Tracer) -> None:
    """A plain thread has no current span, and its spans begin a trace of their own."""
    seen: list[Any] = []

    def work() -> None:
        seen.append(tracer.current_span())
        with tracer.trace("in thread") as span:
            seen.append(span)

    with tracer.trace("a") as a:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert tracer.current_span() is a
    assert seen[0] is None
    assert seen[1].parent_id is None
    assert seen[1].trace_id != a.trace_id


def test_an_executor_starts_empty(tracer: Tracer) -> None:
    """Threads of a ThreadPoolExecutor have no current span either."""
    with ThreadPoolExecutor(1) as executor, tracer.trace("a"):
        assert executor.submit(tracer.current_span).result() is None


def test_a_context_activated_in_a_thread_joins_the_trace(tracer: Tracer) -> None:
    """A thread that activates a span's context makes spans of the same trace, in one chunk."""

    def work(context: Context) -> None:
        tracer.context_provider.activate(context)
        with tracer.trace("in thread"):
            pass

    with tracer.trace("a") as a:
        thread = threading.Thread(target=work, args=(a.context,))
        thread.start()
        thread.join()
    [chunk] = chunks_of(tracer)
    sent = by_name(chunk)
    assert sent["in thread"]["trace_id"] == sent["a"]["trace_id"]
    assert sent["in thread"]["parent_id"] == a.span_id


def test_a_thread_run_in_a_copied_context_continues_the_trace(tracer: Tracer) -> None:
    """contextvars.copy_context().run carries the current span into a thread."""
    with tracer.trace("a") as a:
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as executor:
            b = executor.submit(context.run, tracer.trace, "b").result()
        assert tracer.current_span() is a
        b.finish()
    assert b.parent_id == a.span_id


def test_asyncio_tasks_inherit_the_span_they_were_created_in(tracer: Tracer) -> None:
    """Concurrent tasks see the span that was active at their creation; theirs do not mix."""

    async def work(name: str) -> Span:
        parent = tracer.current_span()
        assert parent is not None
        with tracer.trace(name) as outer:
            await asyncio.sleep(0)
            with tracer.trace(f"{name} inner") as inner:
                await asyncio.sleep(0.001)
                assert tracer.current_span() is inner
            assert inner.parent_id == outer.span_id
            await asyncio.sleep(0)
            assert tracer.current_span() is outer
        assert tracer.current_span() is parent
        return outer

    async def main() -> None:
        with tracer.trace("root") as root:
            outers = await asyncio.gather(*(work(f"task{i}") for i in range(20)))
            assert {span.parent_id for span in outers} == {root.span_id}
            assert tracer.current_span() is root

    asyncio.run(main())
    [chunk] = chunks_of(tracer)
    assert len(chunk) == 41


def test_a_task_keeps_the_span_it_was_created_in(tracer: Tracer) -> None:
    """A task that outlives the innermost span of its creation goes on below the next open one."""

    async def main() -> tuple[Span, Span, Span]:
        go_on = asyncio.Event()

        async def background() -> Span:
            await go_on.wait()
            with tracer.trace("late") as late:
                pass
            return late

        with tracer.trace("root") as root:
            with tracer.trace("inner") as inner:
                task = asyncio.get_running_loop().create_task(background())
                await asyncio.sleep(0)
            go_on.set()
            return root, inner, await task

    root, _, late = asyncio.run(main())
    assert late.parent_id == root.span_id


def test_to_thread_inherits(tracer: Tracer) -> None:
    """asyncio.to_thread carries the current span along."""

    async def main() -> None:
        with tracer.trace("a") as a:
            assert await asyncio.to_thread(tracer.current_span) is a

    asyncio.run(main())


def test_a_copied_context_has_its_own_current_span(tracer: Tracer) -> None:
    """What is activated inside a copied context is not seen outside, nor the other way round."""

    def inside() -> Span:
        span = tracer.trace("inside")
        assert tracer.current_span() is span
        return span

    with tracer.trace("a") as a:
        context = contextvars.copy_context()
        b = context.run(inside)
        assert tracer.current_span() is a
        with tracer.trace("c") as c:
            assert context.run(tracer.current_span) is b
        assert c.parent_id == a.span_id
        assert b.parent_id == a.span_id
        b.finish()
        assert context.run(tracer.current_span) is a


def test_a_span_finished_in_another_context_is_not_current_in_its_own(tracer: Tracer) -> None:
    """Finishing a span from a copied context or a thread ends it everywhere."""
    a = tracer.trace("a")
    b = tracer.trace("b")
    thread = threading.Thread(target=b.finish)
    thread.start()
    thread.join()
    assert tracer.current_span() is a
    contextvars.Context().run(a.finish)
    assert tracer.current_span() is None


# -- activate --------------------------------------------------------------------------------------


def test_activating_a_span_makes_it_current(tracer: Tracer) -> None:
    """context_provider.activate(span) makes it current until it finishes."""
    span = tracer.start_span("a")
    tracer.context_provider.activate(span)
    assert tracer.current_span() is span
    with tracer.trace("b") as b:
        assert b.parent_id == span.span_id
    assert tracer.current_span() is span
    span.finish()
    assert tracer.current_span() is None


def test_activating_none_leaves_nothing_current(tracer: Tracer) -> None:
    """context_provider.activate(None) makes the next span a root."""
    with tracer.trace("a") as a:
        tracer.context_provider.activate(None)
        assert tracer.current_span() is None
        with tracer.trace("b") as b:
            assert b.parent_id is None
            assert b.trace_id != a.trace_id
        tracer.context_provider.activate(a)


def test_an_activated_context_is_the_parent_of_the_next_span(tracer: Tracer) -> None:
    """After activate(Context) there is no current span, but the next one joins its trace."""
    context = Context(trace_id=2**100 + 5, span_id=6, sampling_priority=2)
    tracer.context_provider.activate(context)
    assert tracer.current_span() is None
    assert tracer.current_root_span() is None
    current = tracer.current_trace_context()
    assert current is not None
    assert (current.trace_id, current.span_id) == (2**100 + 5, 6)
    with tracer.trace("a") as a:
        assert (a.trace_id, a.parent_id) == (2**100 + 5, 6)
        assert a.context.sampling_priority == 2
        assert tracer.current_root_span() is a
        with tracer.trace("b") as b:
            assert tracer.current_root_span() is a
        assert b.parent_id == a.span_id


def test_an_activated_context_is_consumed_by_its_first_child(tracer: Tracer) -> None:
    """Once the first span below an activated Context ended, nothing is active."""
    tracer.context_provider.activate(Context(trace_id=5, span_id=6))
    with tracer.trace("a"):
        pass
    assert tracer.current_trace_context() is None
    with tracer.trace("b") as b:
        assert b.parent_id is None
        assert b.trace_id != 5


def test_active_gives_what_was_activated(tracer: Tracer) -> None:
    """context_provider.active() gives the span or the Context that is active, or None."""
    provider = tracer.context_provider
    assert provider.active() is None
    context = Context(trace_id=5, span_id=6)
    provider.activate(context)
    active = provider.active()
    assert isinstance(active, Context)
    assert (active.trace_id, active.span_id) == (5, 6)
    with tracer.trace("a") as a:
        assert provider.active() is a
    assert provider.active() is None


def test_activating_something_else_does_not_raise(tracer: Tracer) -> None:
    """activate() accepts what is neither span nor Context, and then nothing is current."""
    tracer.context_provider.activate("junk")  # type: ignore[arg-type]
    assert tracer.current_span() is None
    tracer.context_provider.activate(None)


def test_tracers_share_the_current_span(new_tracer: Any) -> None:
    """Parentage crosses tracers: each sends its own spans of the one trace."""
    first, second = new_tracer(service="first"), new_tracer(service="second")
    with first.trace("a") as a:
        assert second.current_span() is a
        with second.trace("b") as b, first.trace("c") as c:
            pass
    assert a.trace_id == b.trace_id == c.trace_id
    assert (b.parent_id, c.parent_id) == (a.span_id, b.span_id)
    assert [span["name"] for span in spans_of(first)] == ["a", "c"]
    assert [span["name"] for span in spans_of(second)] == ["b"]


# -- any sequence of calls -------------------------------------------------------------------------

CALLS = (
    *("trace", "trace", "trace", "start_span", "finish", "finish", "copy"),
    *("activate span", "activate context", "activate nothing"),
)
actions = st.lists(
    st.tuples(st.sampled_from(CALLS), st.integers(0, 3), st.integers(0, 15)), max_size=60
)


@settings(max_examples=2 * settings.default.max_examples)
@given(actions)
def test_any_sequence_of_calls_agrees_with_a_simple_model(
    calls: list[tuple[str, int, int]],
) -> None:
    """In several copied contexts the current span, root, parents and traces are the model's.

    The model: each context holds one item; a finished span stands for its nearest unfinished
    ancestor; trace() makes a child of the item and puts it in its place.
    """
    tracer = make_offline_tracer()
    contexts = [contextvars.Context()]
    items: list[Span | Context | None] = [None]
    spans: list[Span] = []
    above: dict[int, Span | None] = {}  # span id: its local parent

    def live(item: Span | Context | None) -> Span | Context | None:
        while isinstance(item, Span) and item.finished:
            item = above[item.span_id]
        return item

    def local_root(span: Span) -> Span:
        while (parent := above[span.span_id]) is not None:
            span = parent
        return span

    def record(span: Span, parent: Span | Context | None) -> None:
        spans.append(span)
        above[span.span_id] = parent if isinstance(parent, Span) else None
        assert span.parent_id == (None if parent is None else parent.span_id)
        if parent is not None:
            assert span.trace_id == parent.trace_id

    for call, place, number in calls:
        at = place % len(contexts)
        context, item = contexts[at], live(items[at])
        span = spans[number % len(spans)] if spans else None
        if call == "trace":
            items[at] = context.run(tracer.trace, "op")
            record(items[at], item)  # type: ignore[arg-type]
        elif call == "start_span":
            parent = span if number % 2 else None
            record(context.run(tracer.start_span, "op", child_of=parent), parent)
        elif call == "finish" and span is not None:
            context.run(span.finish)
        elif call == "copy" and len(contexts) < 4:
            contexts.append(context.run(contextvars.copy_context))
            items.append(item)
        elif call.startswith("activate"):
            if call == "activate span":
                items[at] = span
            elif call == "activate context":
                items[at] = Context(trace_id=number + 1, span_id=number + 1)
            else:
                items[at] = None
            context.run(tracer.context_provider.activate, items[at])
        for one, stored in zip(contexts, items, strict=True):
            expected = live(stored)
            current = one.run(tracer.current_span)
            root = one.run(tracer.current_root_span)
            if isinstance(expected, Span):
                assert current is expected
                assert root is local_root(expected)
            else:
                assert current is None
                assert root is None
                trace_context = one.run(tracer.current_trace_context)
                assert (trace_context and trace_context.span_id) == (expected and expected.span_id)
    for span in spans:
        span.finish()
    assert len(spans_of(tracer)) == len(spans)
