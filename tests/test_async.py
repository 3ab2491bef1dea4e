"""asyncio and anyio: what is begun inside a span sees that span, wherever it runs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from helpers import by_name, chunks_of, spans_of

from fasttrace import Context, Span, Tracer


@pytest.fixture
def seen() -> list[Any]:
    """Where callbacks put what they saw."""
    return []


def run_in_request(
    tracer: Tracer, body: Callable[[Span], Awaitable[None]]
) -> dict[str, dict[str, Any]]:
    """Run `await body(span)` in a span `request`, which stays active; return the spans by name."""

    async def main() -> None:
        with tracer.trace("request") as request:
            await body(request)
            assert tracer.current_span() is request
        assert tracer.current_span() is None

    asyncio.run(main())
    return by_name(spans_of(tracer))


# -- what takes the span along ---------------------------------------------------------------------


def test_tasks(tracer: Tracer) -> None:
    """create_task, ensure_future, gather, wait_for, shield and as_completed run below the span."""

    async def work(name: str) -> None:
        with tracer.trace(name) as span:
            await asyncio.sleep(0)
            assert tracer.current_span() is span

    async def body(request: Span) -> None:
        tasks = [asyncio.create_task(work("task")), asyncio.ensure_future(work("future"))]
        await asyncio.gather(work("gathered"), *tasks)
        await asyncio.wait_for(work("waited for"), 10)
        await asyncio.shield(work("shielded"))
        for done in asyncio.as_completed([work("completed")]):
            await done
        await asyncio.wait([asyncio.create_task(work("in a set"))])
        loop = asyncio.get_running_loop()
        asyncio.run_coroutine_threadsafe(work("threadsafe"), loop)
        await asyncio.sleep(0.001)

    sent = run_in_request(tracer, body)
    request = sent.pop("request")
    assert len(sent) == 8
    assert {span["parent_id"] for span in sent.values()} == {request["span_id"]}


if sys.version_info >= (3, 11):

    def test_task_groups(tracer: Tracer) -> None:
        """Tasks of a TaskGroup, also those begun by tasks, run below the span they are begun in."""

        async def work(name: str, group: asyncio.TaskGroup | None = None) -> None:
            with tracer.trace(name):
                if group is not None:
                    group.create_task(work(f"{name} inner"))
                await asyncio.sleep(0.001)

        async def body(request: Span) -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(work(f"work {number}", group))
                with tracer.trace("block"):
                    group.create_task(work("in block"))
                    await asyncio.sleep(0)

        sent = run_in_request(tracer, body)
        for number in range(3):
            outer = sent[f"work {number}"]
            assert outer["parent_id"] == sent["request"]["span_id"]
            assert sent[f"work {number} inner"]["parent_id"] == outer["span_id"]
        assert sent["in block"]["parent_id"] == sent["block"]["span_id"]

    def test_a_failing_task_group(tracer: Tracer) -> None:
        """The error of one task ends the others; each span tells what it saw."""

        @tracer.wrap("work")
        async def work(fail: bool) -> None:
            await asyncio.sleep(0 if fail else 60)
            raise ValueError("boom")

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(work(False))
                group.create_task(work(True))

        with pytest.raises(Exception, match="unhandled errors in a TaskGroup"):
            asyncio.run(main())
        types = {span["meta"]["error.type"] for span in spans_of(tracer)}
        assert types == {"builtins.ValueError", "asyncio.exceptions.CancelledError"}

    def test_timeouts(tracer: Tracer) -> None:
        """A block that times out ends its span; the span around it is active again."""

        async def body(request: Span) -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    with tracer.trace("slow"):
                        await asyncio.sleep(60)
            assert tracer.current_span() is request

        sent = run_in_request(tracer, body)
        assert sent["slow"]["meta"]["error.type"] == "asyncio.exceptions.CancelledError"
        assert "error" not in sent["request"]

    def test_a_task_in_a_context_of_its_own(tracer: Tracer) -> None:
        """create_task(context=...) sees what is active in that context."""

        async def look() -> Span | None:
            return tracer.current_span()

        async def body(request: Span) -> None:
            empty = contextvars.Context()
            assert await asyncio.create_task(look(), context=empty) is None
            copied = contextvars.copy_context()
            with tracer.trace("other"):
                assert await asyncio.create_task(look(), context=copied) is request

        run_in_request(tracer, body)


if sys.version_info >= (3, 12):

    def test_eager_tasks(tracer: Tracer) -> None:
        """Tasks that run at once up to their first wait leave the span of their creator active."""

        async def work() -> Span:
            with tracer.trace("work") as span:
                await asyncio.sleep(0)
                assert tracer.current_span() is span
                return span

        async def body(request: Span) -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            task = asyncio.create_task(work())
            assert tracer.current_span() is request
            assert (await task).parent_id == request.span_id

        run_in_request(tracer, body)


def test_threads_of_asyncio(tracer: Tracer) -> None:
    """to_thread takes the span along; run_in_executor does not, unless the function is carried."""

    def work(name: str) -> None:
        with tracer.trace(name):
            pass

    async def body(request: Span) -> None:
        assert await asyncio.to_thread(tracer.current_span) is request
        await asyncio.to_thread(work, "to_thread")
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, tracer.current_span) is None
        await loop.run_in_executor(None, work, "plain")
        await loop.run_in_executor(None, tracer.carry(work), "carried")
        context = contextvars.copy_context()
        await loop.run_in_executor(None, context.run, work, "copied")

    sent = run_in_request(tracer, body)
    request = sent.pop("request")
    assert not sent.pop("plain").get("parent_id")
    assert {span["parent_id"] for span in sent.values()} == {request["span_id"]}


def test_callbacks_of_the_loop(tracer: Tracer, seen: list[Any]) -> None:
    """call_soon, call_later, call_at and done callbacks see the span they were registered in."""

    def look(*_: Any) -> None:
        seen.append(tracer.current_span())

    async def body(request: Span) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with tracer.trace("registering") as registering:
            loop.call_soon(look)
            loop.call_later(0.001, look)
            loop.call_at(loop.time() + 0.001, look)
            loop.call_soon_threadsafe(look)
            future.add_done_callback(look)
            future.set_result(None)
            loop.call_soon(look, context=contextvars.Context())
            await asyncio.sleep(0.02)
        assert seen.count(registering) == 5
        assert seen.count(None) == 1
        loop.call_soon(look)
        await asyncio.sleep(0)
        assert seen[-1] is request

    run_in_request(tracer, body)


def test_callbacks_from_other_threads(tracer: Tracer, seen: list[Any]) -> None:
    """What a thread without a span hands to the loop runs without one, carried it runs below it."""

    async def look() -> None:
        seen.append(tracer.current_trace_context())

    async def body(request: Span) -> None:
        loop = asyncio.get_running_loop()

        def from_thread(function: Any) -> None:
            asyncio.run_coroutine_threadsafe(function(), loop).result()

        await loop.run_in_executor(None, from_thread, look)
        await loop.run_in_executor(None, from_thread, tracer.carry(look))
        assert [context and context.span_id for context in seen] == [None, request.span_id]

    run_in_request(tracer, body)


def test_copied_contexts(tracer: Tracer) -> None:
    """Functions run in a copied context begin where it was copied, and change only the copy."""

    async def body(request: Span) -> None:
        context = contextvars.copy_context()
        inner = context.run(tracer.trace, "inner")
        assert inner.parent_id == request.span_id
        assert tracer.current_span() is request
        again = context.copy()
        innermost = again.run(tracer.trace, "innermost")
        assert innermost.parent_id == inner.span_id
        assert context.run(tracer.current_span) is inner
        inner.finish()
        assert context.run(tracer.current_span) is request
        assert again.run(tracer.current_span) is innermost
        innermost.finish()
        assert again.run(tracer.current_span) is request

    run_in_request(tracer, body)


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


# -- anyio -----------------------------------------------------------------------------------------


def test_anyio(tracer: Tracer) -> None:
    """anyio's task groups and threads take the span along, in both directions."""

    async def work(name: str) -> None:
        with tracer.trace(name):
            await anyio.sleep(0)

    def in_thread() -> None:
        with tracer.trace("in thread"):
            anyio.from_thread.run(work, "from thread")
            anyio.from_thread.run_sync(tracer.trace("back in the loop").finish)

    async def body(request: Span) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(work, "task")
            await group.start(started)
        await anyio.to_thread.run_sync(in_thread)
        assert await anyio.to_thread.run_sync(tracer.current_span) is request

    async def started(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        with tracer.trace("started"):
            task_status.started()
            await anyio.sleep(0)

    sent = run_in_request(tracer, body)
    for name in ("task", "started", "in thread"):
        assert sent[name]["parent_id"] == sent["request"]["span_id"]
    for name in ("from thread", "back in the loop"):
        assert sent[name]["parent_id"] == sent["in thread"]["span_id"]


def test_a_remote_trace_is_seen_by_all_tasks(tracer: Tracer) -> None:
    """A Context activated before tasks begin is the parent in each of them."""

    async def work() -> Span:
        with tracer.trace("work") as span:
            await asyncio.sleep(0)
        return span

    async def main() -> list[Span]:
        tracer.context_provider.activate(Context(trace_id=5, span_id=6))
        return await asyncio.gather(work(), work(), work())

    spans = asyncio.run(main())
    assert [(span.trace_id, span.parent_id) for span in spans] == [(5, 6)] * 3
    assert len(spans_of(tracer)) == 3


def test_partials_of_coroutines(tracer: Tracer) -> None:
    """A wrapped partial of a coroutine function is awaited inside its span."""

    async def work(number: int) -> Span | None:
        await asyncio.sleep(0)
        return tracer.current_span()

    wrapped = tracer.wrap("work")(functools.partial(work, 1))

    async def body(request: Span) -> None:
        span = await wrapped()
        assert span is not None
        assert span.name == "work"

    sent = run_in_request(tracer, body)
    assert sent["work"]["parent_id"] == sent["request"]["span_id"]
