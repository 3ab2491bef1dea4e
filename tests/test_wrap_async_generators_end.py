"""wrap() on async generators that are left early, closed elsewhere, cancelled or torn down."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Tracer

pytestmark = pytest.mark.usefixtures("no_log_lines")


def make_rows(tracer: Tracer, log: list[Any], in_consumer: bool = False) -> Any:
    """A wrapped async generator that waits, yields in a block, and waits while it cleans up."""

    @tracer.wrap("rows", activate_in_consumer=in_consumer)
    async def rows() -> AsyncIterator[int]:
        try:
            with tracer.trace("block"):
                for number in range(10):
                    await asyncio.sleep(0)
                    yield number
        finally:
            with tracer.trace("clean up"):
                await asyncio.sleep(0.001)
            log.append("cleaned up")

    return rows


def assert_rows(tracer: Tracer, log: list[Any], count: int = 1) -> None:
    """The spans of `count` rows() arrived, none with an error, and each cleaned up."""
    spans = spans_of(tracer)
    for name in ("rows", "block", "clean up"):
        assert sum(span["name"] == name for span in spans) == count
    assert not any(span.get("error") for span in spans)
    assert log == ["cleaned up"] * count
    assert tracer.stats()["open"] == 0


@pytest.mark.parametrize("in_consumer", [False, True])
def test_leaving_a_loop_early(tracer: Tracer, in_consumer: bool) -> None:
    """An async generator left by `break` is finalised by the loop: no error and no log line."""
    log: list[Any] = []
    rows = make_rows(tracer, log, in_consumer)

    async def main() -> None:
        async for _ in rows():
            break
        gc.collect()
        await asyncio.sleep(0.02)
        if not in_consumer:
            assert tracer.current_span() is None

    asyncio.run(main())
    assert_rows(tracer, log)


def test_aclose(tracer: Tracer) -> None:
    """aclose() runs the clean-up inside the span, and leaves the consumer's span active."""
    log: list[Any] = []

    async def main() -> None:
        with tracer.trace("request") as request:
            items = make_rows(tracer, log)()
            await anext(items)
            await items.aclose()
            assert tracer.current_span() is request

    asyncio.run(main())
    spans = by_name(spans_of(tracer))
    assert spans["clean up"]["parent_id"] == spans["rows"]["span_id"]
    assert not any(span.get("error") for span in spans.values())


@pytest.mark.parametrize("in_consumer", [False, True])
def test_closed_by_another_task(tracer: Tracer, in_consumer: bool) -> None:
    """An async generator may be closed by another task, whose active span stays as it was."""
    log: list[Any] = []
    rows = make_rows(tracer, log, in_consumer)

    async def consume(items: Any) -> None:
        with tracer.trace("consumer"):
            await anext(items)
        await asyncio.sleep(0)
        if not in_consumer:
            assert tracer.current_span() is None

    async def close(items: Any) -> None:
        with tracer.trace("closer") as closer:
            await items.aclose()
            assert tracer.current_span() is closer

    async def main() -> None:
        items = rows()
        await asyncio.create_task(consume(items))
        await asyncio.create_task(close(items))

    asyncio.run(main())
    spans = by_name(spans_of(tracer))
    assert spans["rows"]["parent_id"] == spans["consumer"]["span_id"]
    assert not any(span.get("error") for span in spans.values())
    assert log == ["cleaned up"]


@pytest.mark.parametrize("in_consumer", [False, True])
def test_left_to_the_end_of_the_loop(tracer: Tracer, in_consumer: bool) -> None:
    """Generators still open when the loop ends are closed by it, all at once, without complaint."""
    log: list[Any] = []
    rows = make_rows(tracer, log, in_consumer)
    kept: list[Any] = []

    async def main() -> None:
        for _ in range(20):
            kept.append(rows())
            await asyncio.create_task(anext(kept[-1]))

    asyncio.run(main())
    assert_rows(tracer, log, 20)


@pytest.mark.parametrize("in_consumer", [False, True])
def test_cancelled_while_it_waits(tracer: Tracer, in_consumer: bool) -> None:
    """Cancelling the consumer while the generator waits goes through it and marks its spans."""
    log: list[Any] = []

    @tracer.wrap("rows", activate_in_consumer=in_consumer)
    async def rows() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            log.append(tracer.current_span())

    async def consume() -> None:
        with tracer.trace("consumer") as consumer:
            try:
                async for _ in rows():
                    pass
            finally:
                assert tracer.current_span() is consumer

    async def main() -> None:
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    spans = by_name(spans_of(tracer))
    assert spans["rows"]["meta"]["error.type"] == "asyncio.exceptions.CancelledError"
    assert [span.name for span in log] == ["rows"]


def test_torn_down_in_a_foreign_context(tracer: Tracer) -> None:
    """A step that never ends, torn down anywhere, leaves the span active there as it was."""

    class Never:
        def __await__(self) -> Iterator[None]:
            yield

    @tracer.wrap("rows")
    async def rows() -> AsyncIterator[int]:
        yield 1
        await Never()

    async def consume() -> None:
        with tracer.trace("consumer"):
            async for _ in rows():
                pass

    import contextvars

    context = contextvars.copy_context()
    coroutine = consume()
    context.run(coroutine.send, None)
    with tracer.trace("elsewhere") as elsewhere:
        coroutine.close()
        del coroutine
        gc.collect()
        assert tracer.current_span() is elsewhere
        with tracer.trace("child") as child:
            assert child.parent_id == elsewhere.span_id
    assert not any(span.get("error") for span in spans_of(tracer))
    assert tracer.stats()["open"] == 0


def test_driven_by_hand(tracer: Tracer) -> None:
    """While a step waits, whoever drives it by hand does not see the generator's span."""

    class Pause:
        def __await__(self) -> Any:
            return (yield "paused")

    @tracer.wrap("rows")
    async def rows() -> AsyncIterator[Any]:
        yield await Pause()

    with tracer.trace("driver") as driver:
        items = rows()
        step = anext(items).__await__()
        assert step.send(None) == "paused"
        assert tracer.current_span() is driver
        with pytest.raises(StopIteration) as stop:
            step.send("resumed")
        assert stop.value.value == "resumed"
        with contextlib.suppress(StopIteration):
            items.aclose().send(None)  # type: ignore[attr-defined]
    assert len(spans_of(tracer)) == 2
