"""asyncio: tasks, coroutines and spans that end in another order; `async with`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
from typing import Any

import pytest
from async_request import run_in_request
from helpers import by_name, chunks_of, spans_of

from fasttrace import Span, Tracer

# -- lives that differ -----------------------------------------------------------------------------


def test_a_task_outlives_the_spans_it_began_in(tracer: Tracer) -> None:
    """A task goes on below the nearest span that is still open; when there is none, on its own."""

    async def main() -> list[Any]:
        parents: list[Any] = []
        steps = [asyncio.Event() for _ in range(3)]

        async def background() -> None:
            for step in steps:
                await step.wait()
                with tracer.trace("background") as span:
                    parents.append(span.parent_id)

        with tracer.trace("outer") as outer:
            with tracer.trace("inner") as inner:
                task = asyncio.create_task(background())
                steps[0].set()
                await asyncio.sleep(0.001)
            steps[1].set()
            await asyncio.sleep(0.001)
        steps[2].set()
        await task
        assert parents == [inner.span_id, outer.span_id, None]
        return parents

    asyncio.run(main())
    assert len(chunks_of(tracer)) == 2


def test_a_span_finished_by_another_task(tracer: Tracer) -> None:
    """A span that another task finishes is no longer active in the one that started it."""

    async def finish(span: Span) -> None:
        with tracer.trace("finisher"):
            span.finish()

    async def body(request: Span) -> None:
        span = tracer.trace("span")
        await asyncio.create_task(finish(span))
        assert tracer.current_span() is request

    sent = run_in_request(tracer, body)
    assert sent["finisher"]["parent_id"] == sent["span"]["span_id"]


def test_a_thousand_tasks(tracer: Tracer) -> None:
    """A thousand concurrent tasks with children keep their spans apart."""

    async def work(number: int) -> None:
        with tracer.trace("work") as span:
            span.set_metric("number", number)
            for _ in range(number % 4):
                await asyncio.sleep(0)
                with tracer.trace("child") as child:
                    child.set_metric("number", number)
                    await asyncio.sleep(0)
                    assert child.parent_id == span.span_id
            assert tracer.current_span() is span

    async def main() -> None:
        with tracer.trace("request"):
            await asyncio.gather(*map(work, range(1000)))

    asyncio.run(main())
    spans = spans_of(tracer)
    assert len(spans) == 1 + 1000 + 1500
    by_id = {span["span_id"]: span for span in spans}
    for span in spans:
        if span["name"] == "child":
            number = by_id[span["parent_id"]]["metrics"]["number"]
            assert span["metrics"]["number"] == number


def test_tasks_that_are_never_awaited(tracer: Tracer) -> None:
    """A loop that closes on waiting tasks ends their spans, with the cancellation as error."""

    async def forever() -> None:
        with tracer.trace("forever"):
            await asyncio.sleep(3600)

    async def body(request: Span) -> None:
        kept.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    kept: list[Any] = []
    sent = run_in_request(tracer, body)
    assert sent["forever"]["meta"]["error.type"] == "asyncio.exceptions.CancelledError"


def test_a_coroutine_torn_down_elsewhere(tracer: Tracer) -> None:
    """A coroutine that is destroyed while it waits ends its spans and disturbs nobody else's."""

    class Never:
        def __await__(self) -> Any:
            yield

    async def work() -> None:
        with tracer.trace("outer"), tracer.trace("inner"):
            await Never()

    coroutine = work()
    contextvars.Context().run(coroutine.send, None)
    with tracer.trace("elsewhere") as elsewhere:
        del coroutine
        gc.collect()
        assert tracer.current_span() is elsewhere
    sent = by_name(spans_of(tracer))
    assert set(sent) == {"outer", "inner", "elsewhere"}
    assert not any(span.get("error") for span in sent.values())


def test_loops_in_threads(tracer: Tracer) -> None:
    """Loops in several threads at once do not see each other's spans."""

    async def work(number: int) -> None:
        with tracer.trace("work") as span:
            for _ in range(20):
                await asyncio.sleep(0)
                assert tracer.current_span() is span

    def run(number: int) -> None:
        asyncio.run(work(number))
        assert tracer.current_span() is None
        done.append(number)

    done: list[int] = []
    with tracer.trace("request"):
        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(done) == [0, 1, 2, 3]
    assert len(chunks_of(tracer)) == 5


# -- async with ------------------------------------------------------------------------------------


def test_async_with(tracer: Tracer) -> None:
    """`async with tracer.trace(...)` is the same as `with`."""

    async def body(request: Span) -> None:
        async with tracer.trace("block", service="kitchen") as block:
            block.set_tag("key", "value")
            await asyncio.sleep(0)
            assert tracer.current_span() is block
            async with tracer.trace("inner"), tracer.trace("innermost"):
                pass

    sent = run_in_request(tracer, body)
    assert sent["block"]["parent_id"] == sent["request"]["span_id"]
    assert sent["inner"]["parent_id"] == sent["block"]["span_id"]
    assert sent["innermost"]["parent_id"] == sent["inner"]["span_id"]
    assert sent["block"]["meta"]["key"] == "value"


def test_an_error_in_async_with(tracer: Tracer) -> None:
    """An exception leaves an `async with` block unchanged, and its span tells of it."""

    async def body(request: Span) -> None:
        with pytest.raises(KeyError, match="boom"):
            async with tracer.trace("block"):
                await asyncio.sleep(0)
                raise KeyError("boom")

    sent = run_in_request(tracer, body)
    assert sent["block"]["meta"]["error.type"] == "builtins.KeyError"


def test_async_exit_stacks(tracer: Tracer) -> None:
    """Spans can be entered on an AsyncExitStack, as async and as plain context managers."""

    async def body(request: Span) -> None:
        async with contextlib.AsyncExitStack() as stack:
            outer = await stack.enter_async_context(tracer.trace("outer"))
            inner = stack.enter_context(tracer.trace("inner"))
            assert inner.parent_id == outer.span_id
            assert tracer.current_span() is inner

    assert len(run_in_request(tracer, body)) == 3


def test_async_with_of_a_disabled_tracer(new_tracer: Any) -> None:
    """`async with` of a disabled tracer yields its one span, which keeps and sends nothing."""
    tracer = new_tracer(enabled=False)

    async def main() -> Span:
        async with tracer.trace("block") as span:
            span.set_tag("key", "value")
            await asyncio.sleep(0)
            assert tracer.current_span() is span
        return span

    span = asyncio.run(main())
    assert span is tracer.trace("another")
    assert span.get_tag("key") is None
    assert (tracer.stats()["finished"], spans_of(tracer)) == (0, [])
