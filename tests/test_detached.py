"""`tracer.detached()`: background work that stays out of the trace in which it is begun."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Context, Tracer


def test_nothing_is_active_in_a_detached_block(tracer: Tracer) -> None:
    """In the block there is no current span, root or trace; after it all is as before."""
    with tracer.trace("request") as request:
        with tracer.detached():
            assert tracer.current_span() is None
            assert tracer.current_root_span() is None
            assert tracer.current_trace_context() is None
            with tracer.trace("apart") as apart:
                assert tracer.current_span() is apart
                with tracer.trace("below"):
                    pass
            assert tracer.current_span() is None
        assert tracer.current_span() is request
    sent = by_name(spans_of(tracer))
    assert not sent["apart"].get("parent_id")
    assert sent["apart"]["trace_id"] == sent["below"]["trace_id"] != sent["request"]["trace_id"]


def test_tasks_begun_in_it_stay_detached(tracer: Tracer) -> None:
    """A task begun in a detached block joins the trace neither during the block nor after it."""

    async def background(go_on: asyncio.Event) -> list[Any]:
        parents = []
        for _ in range(3):
            with tracer.trace("background") as span:
                parents.append(span.parent_id)
            await go_on.wait()
        return parents

    async def main() -> None:
        go_on = asyncio.Event()
        with tracer.trace("request") as request:
            with tracer.detached():
                task = asyncio.create_task(background(go_on))
                await asyncio.sleep(0)
            assert tracer.current_span() is request
            await asyncio.sleep(0)
            go_on.set()
            assert await task == [None, None, None]

    asyncio.run(main())
    spans = spans_of(tracer)
    assert len({span["trace_id"] for span in spans}) == len(spans) == 4


def test_what_is_left_open_in_it_is_not_active_after_it(tracer: Tracer) -> None:
    """A span begun in the block and finished later is not the parent of what comes after it."""
    with tracer.trace("request") as request:
        with tracer.detached():
            left = tracer.trace("left open")
        assert tracer.current_span() is request
        with tracer.trace("child") as child:
            assert child.parent_id == request.span_id
        left.finish()
        assert tracer.current_span() is request


def test_what_is_activated_in_it_ends_with_it(tracer: Tracer) -> None:
    """Whatever is activated in the block, after it the trace of before is active again."""
    other = tracer.start_span("other")
    with tracer.trace("request") as request:
        for item in (Context(trace_id=5, span_id=6), other, None):
            with tracer.detached():
                tracer.context_provider.activate(item)
                assert tracer.context_provider.active() is item
            assert tracer.current_span() is request
            with tracer.detached():
                tracer.context_provider.activate(item)
                with tracer.trace("below") as below:
                    assert below.parent_id == (item and item.span_id)
            assert tracer.current_span() is request
    other.finish()


def test_blocks_nest(tracer: Tracer) -> None:
    """Detached blocks inside of each other end one by one."""
    with tracer.trace("request") as request:
        with tracer.detached(), tracer.trace("one") as one:
            with tracer.detached(), tracer.trace("two") as two:
                assert two.parent_id is None
                assert tracer.current_span() is two
            assert tracer.current_span() is one
        assert tracer.current_span() is request
    assert len(spans_of(tracer)) == 3


def test_with_nothing_active(tracer: Tracer) -> None:
    """A detached block where nothing is active does no harm."""
    with tracer.detached(), tracer.trace("op"):
        pass
    assert tracer.current_span() is None
    assert len(spans_of(tracer)) == 1


def test_an_error_passes(tracer: Tracer) -> None:
    """An exception leaves a detached block as any other, and the trace is active again."""
    with tracer.trace("request") as request:
        with pytest.raises(KeyError, match="boom"), tracer.detached():
            raise KeyError("boom")
        assert tracer.current_span() is request


def test_async_with(tracer: Tracer) -> None:
    """`async with tracer.detached()` does the same."""

    async def main() -> None:
        with tracer.trace("request") as request:
            async with tracer.detached():
                await asyncio.sleep(0)
                assert tracer.current_span() is None
            assert tracer.current_span() is request

    asyncio.run(main())
    assert len(spans_of(tracer)) == 1


def test_as_decorator(tracer: Tracer) -> None:
    """Decorated with it, a function or coroutine function is detached in every call."""

    @tracer.detached()
    def work(depth: int = 1) -> Any:
        """Do something."""
        with tracer.trace("work") as span:
            if depth:
                work(depth - 1)
            return span.parent_id

    @tracer.detached()
    async def work_later() -> Any:
        await asyncio.sleep(0)
        with tracer.trace("work") as span:
            return span.parent_id

    async def main() -> None:
        with tracer.trace("request") as request:
            assert work() is None
            assert await asyncio.gather(work_later(), work_later()) == [None, None]
            assert await work_later() is None
            assert tracer.current_span() is request

    asyncio.run(main())
    assert (work.__name__, work.__doc__) == ("work", "Do something.")
    assert inspect.iscoroutinefunction(work_later)
    assert not any(span.get("parent_id") for span in spans_of(tracer))


def test_generators_are_refused(tracer: Tracer) -> None:
    """As decorator of a generator it raises TypeError: it would detach the consumer, too."""

    def items() -> Iterator[int]:
        yield 1

    async def items_later() -> AsyncIterator[int]:
        yield 1

    for function in (items, items_later):
        with pytest.raises(TypeError, match="not generators"):
            tracer.detached()(function)


def test_around_a_thread(tracer: Tracer) -> None:
    """Detaching also keeps carry() from taking the trace along."""
    seen: list[Any] = []

    def work() -> None:
        seen.append(tracer.current_trace_context())

    with tracer.trace("request"), tracer.detached():
        thread = threading.Thread(target=tracer.carry(work))
        thread.start()
        thread.join()
    assert seen == [None]


def test_ended_in_a_copied_context(tracer: Tracer) -> None:
    """A block entered here and left in a copied or an empty context ends here, too."""
    for make in (contextvars.copy_context, contextvars.Context):
        with tracer.trace("request") as request:
            block = tracer.detached()
            block.__enter__()
            context = make()
            context.run(block.__exit__, None, None, None)
            assert tracer.current_span() is request
            expected = request if make is contextvars.copy_context else None
            assert context.run(tracer.current_span) is expected
    spans_of(tracer)


def test_a_block_in_a_generator_that_another_task_closes(tracer: Tracer) -> None:
    """A block that ends where an async generator is finalised changes nothing there."""

    async def items() -> AsyncIterator[int]:
        with tracer.detached():
            yield 1

    async def main() -> None:
        generator = items()
        await asyncio.create_task(anext(generator))
        with tracer.trace("request") as request:
            await generator.aclose()  # type: ignore[attr-defined]
            assert tracer.current_span() is request

    asyncio.run(main())
    assert len(spans_of(tracer)) == 1


def test_disabled(new_tracer: Any) -> None:
    """Detaching in a disabled tracer keeps a remote trace out and brings it back."""
    tracer = new_tracer(enabled=False)
    context = Context(trace_id=5, span_id=6)
    tracer.context_provider.activate(context)
    with tracer.detached():
        assert tracer.current_trace_context() is None
    assert tracer.current_trace_context() is context
    tracer.context_provider.activate(None)
