"""asyncio and anyio: what is begun inside a span sees that span, wherever it runs."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from async_request import run_in_request
from helpers import spans_of

from fasttrace import Context, Span, Tracer


@pytest.fixture
def seen() -> list[Any]:
    """Where callbacks put what they saw."""
    return []


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
