"""wrap() on async generators: everything passes through, and the span is active only inside."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest
from helpers import by_name, make_offline_tracer, spans_of
from hypothesis import given
from hypothesis import strategies as st
from wrap_subjects import Payload, Thrown

from fasttrace import Span, Tracer

pytestmark = pytest.mark.usefixtures("no_log_lines")


async def outcome(action: Callable[[], Any]) -> tuple[Any, ...]:
    """What awaiting `action()` did: its value, or the type and arguments of what it raised."""
    try:
        return ("gave", await action())
    except BaseException as error:
        if isinstance(error, AssertionError):
            raise
        return ("raised", type(error), error.args)


# -- everything passes through ---------------------------------------------------------------------


async def obedient(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Yields what it receives, waits in between, cleans up."""
    try:
        received = None
        for number in range(4):
            await asyncio.sleep(0)
            received = yield (number, received)
            log.append(received)
            if received == "return":
                return
            if received == "raise":
                raise KeyError("raised inside")
    finally:
        await asyncio.sleep(0)
        log.append("cleaned up")


async def catching(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Goes on after an exception, and says so."""
    for number in range(5):
        try:
            log.append((yield number))
        except Thrown as error:
            await asyncio.sleep(0)
            log.append(("caught", error.args))
            yield "caught"
        except GeneratorExit:
            log.append("closed")
            raise


async def converting(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Turns one exception into another."""
    try:
        yield 1
        yield 2
    except Thrown as error:
        raise LookupError("converted") from error


async def swallowing(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Ends quietly, whatever is thrown."""
    try:
        yield 1
        yield 2
    except BaseException as error:
        log.append(type(error))


async def ignoring(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Goes on yielding after it was closed, which is wrong."""
    try:
        yield 1
    except GeneratorExit:
        yield 2
    yield 3


async def empty(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Yields nothing."""
    await asyncio.sleep(0)
    log.append("ran")
    return
    yield


GENERATORS = [obedient, catching, converting, swallowing, ignoring, empty]

steps = st.lists(
    st.one_of(
        st.just(("next",)),
        st.tuples(st.just("send"), st.sampled_from([None, 1, "return", "raise"])),
        st.tuples(
            st.just("throw"), st.sampled_from([Thrown, KeyError, StopAsyncIteration, GeneratorExit])
        ),
        st.just(("close",)),
    ),
    max_size=8,
)


async def perform(generator: AsyncGenerator[Any, Any], step: tuple[Any, ...]) -> tuple[Any, ...]:
    """Do one step with a generator; return what it did."""
    if step[0] == "next":
        return await outcome(generator.__anext__)
    if step[0] == "send":
        return await outcome(lambda: generator.asend(step[1]))
    if step[0] == "throw":
        return await outcome(lambda: generator.athrow(step[1]("thrown")))
    return await outcome(generator.aclose)


@pytest.mark.parametrize("in_consumer", [False, True])
@pytest.mark.parametrize("function", GENERATORS, ids=lambda function: function.__name__)
@given(script=steps)
def test_a_wrapped_generator_behaves_as_the_generator(
    function: Any, in_consumer: bool, script: list[tuple[Any, ...]]
) -> None:
    """Any sequence of steps, sends, throws and closes has the same results, wrapped or not."""
    tracer = make_offline_tracer()

    async def main() -> None:
        plain_log: list[Any] = []
        wrapped_log: list[Any] = []
        wrapped_function = tracer.wrap("op", activate_in_consumer=in_consumer)(function)
        plain, wrapped = function(plain_log), wrapped_function(wrapped_log)
        around = tracer.start_span("around")
        tracer.context_provider.activate(around)
        for step in script:
            assert await perform(wrapped, step) == await perform(plain, step), step
            assert wrapped_log == plain_log
            if not in_consumer:
                assert tracer.current_span() is around
        for _ in range(6):  # one that ignores being closed yields on
            with contextlib.suppress(BaseException):
                await plain.aclose()
            with contextlib.suppress(BaseException):
                await wrapped.aclose()
        assert wrapped_log == plain_log
        around.finish()

    asyncio.run(main())
    assert len(spans_of(tracer)) <= 2
    assert tracer.stats()["open"] == 0


# -- what is active where --------------------------------------------------------------------------


def test_the_span_is_active_only_inside(tracer: Tracer) -> None:
    """An async generator's children are below its span; its consumer's spans are not."""

    @tracer.wrap("rows")
    async def rows() -> AsyncIterator[int]:
        span = tracer.current_span()
        assert span is not None
        assert span.name == "rows"
        for number in range(3):
            with tracer.trace(f"fetch {number}") as fetch:
                await asyncio.sleep(0)
                assert fetch.parent_id == span.span_id
            await asyncio.sleep(0)
            assert tracer.current_span() is span
            yield number
            assert tracer.current_span() is span

    async def main() -> None:
        with tracer.trace("request") as request:
            async for number in rows():
                assert tracer.current_span() is request
                with tracer.trace(f"show {number}"):
                    await asyncio.sleep(0)
            assert tracer.current_span() is request

    asyncio.run(main())
    sent = by_name(spans_of(tracer))
    assert {sent[f"show {n}"]["parent_id"] for n in range(3)} == {sent["request"]["span_id"]}
    assert {sent[f"fetch {n}"]["parent_id"] for n in range(3)} == {sent["rows"]["span_id"]}
    assert sent["rows"]["parent_id"] == sent["request"]["span_id"]


def test_tasks_begun_inside_are_children(tracer: Tracer) -> None:
    """Tasks that an async generator begins see its span, also between its steps."""

    @tracer.wrap("rows")
    async def rows() -> AsyncIterator[int]:
        async def work() -> Span | None:
            await asyncio.sleep(0)
            return tracer.current_span()

        span = tracer.current_span()
        task = asyncio.create_task(work())
        yield 1
        assert await task is span
        seen = await asyncio.gather(work(), asyncio.to_thread(tracer.current_span))
        assert seen == [span, span]
        yield 2

    async def main() -> list[int]:
        with tracer.trace("request"):
            return [number async for number in rows()]

    assert asyncio.run(main()) == [1, 2]
    assert len(spans_of(tracer)) == 2


def test_interleaved_generators_do_not_mix(tracer: Tracer) -> None:
    """Async generators advanced in turns, also concurrently, keep their own spans and children."""

    @tracer.wrap("rows")
    async def rows(label: str) -> AsyncIterator[str]:
        span = tracer.current_span()
        assert span is not None
        span.set_tag("label", label)
        for _ in range(3):
            with tracer.trace("child") as child:
                child.set_tag("label", label)
                await asyncio.sleep(0)
                yield label
            assert tracer.current_span() is span

    async def main() -> None:
        with tracer.trace("request") as request:
            running = [rows(label) for label in "abcd"]
            for items in running:
                await anext(items)
                assert tracer.current_span() is request
            assert await asyncio.gather(*(anext(items) for items in running)) == list("abcd")
            assert tracer.current_span() is request
            for items in reversed(running):
                await items.aclose()  # type: ignore[attr-defined]
            assert tracer.current_span() is request

    asyncio.run(main())
    spans = spans_of(tracer)
    parents = {span["span_id"]: span for span in spans}
    children = [span for span in spans if span["name"] == "child"]
    assert len(children) == 8
    for child in children:
        assert parents[child["parent_id"]]["meta"]["label"] == child["meta"]["label"]
    assert not any(span.get("error") for span in spans)


def test_bodies_of_async_context_managers_are_children(tracer: Tracer) -> None:
    """With activate_in_consumer=True, the block of an @asynccontextmanager is below its span."""

    @contextlib.asynccontextmanager
    @tracer.wrap("transaction", activate_in_consumer=True)
    async def transaction() -> AsyncIterator[str]:
        with tracer.trace("begin"):
            await asyncio.sleep(0)
        yield "connection"
        with tracer.trace("commit"):
            await asyncio.sleep(0)

    async def main() -> None:
        with tracer.trace("request") as request:
            async with transaction() as connection:
                assert connection == "connection"
                with tracer.trace("query"):
                    await asyncio.sleep(0)
            assert tracer.current_span() is request

    asyncio.run(main())
    sent = by_name(spans_of(tracer))
    assert sent["transaction"]["parent_id"] == sent["request"]["span_id"]
    for name in ("begin", "query", "commit"):
        assert sent[name]["parent_id"] == sent["transaction"]["span_id"]


@pytest.mark.parametrize("in_consumer", [False, True])
def test_errors_in_a_block_reach_its_async_context_manager(
    tracer: Tracer, in_consumer: bool
) -> None:
    """What a block raises goes through the manager: its span tells of it unless it is swallowed."""

    @contextlib.asynccontextmanager
    @tracer.wrap("manager", activate_in_consumer=in_consumer)
    async def manager(swallow: bool) -> AsyncIterator[None]:
        try:
            yield
        except ValueError:
            await asyncio.sleep(0)
            if not swallow:
                raise

    async def main() -> None:
        async with manager(True):
            raise ValueError("swallowed")
        with pytest.raises(ValueError, match="loud"):
            async with manager(False):
                raise ValueError("loud")
        assert tracer.current_span() is None

    asyncio.run(main())
    quiet, loud = spans_of(tracer)
    assert "error" not in quiet
    assert (loud["error"], loud["meta"]["error.message"]) == (1, "loud")


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_gc")
def test_a_paused_generator_does_not_keep_what_it_yielded(tracer: Tracer) -> None:
    """A value that was yielded or sent belongs to the consumer and the generator alone."""

    @tracer.wrap("rows")
    async def rows() -> AsyncGenerator[Payload, Any]:
        while True:
            (yield Payload())

    async def main() -> None:
        items = rows()
        yielded = weakref.ref(await anext(items))
        assert yielded() is None
        sent = Payload()
        sent_reference = weakref.ref(sent)
        await items.asend(sent)
        del sent
        assert sent_reference() is None
        await items.aclose()

    asyncio.run(main())
    assert len(spans_of(tracer)) == 1


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("in_consumer", [False, True])
def test_errors_make_no_cycles(tracer: Tracer, in_consumer: bool) -> None:
    """What passes through a wrapped async generator as an exception is freed at once."""

    async def rows() -> AsyncGenerator[int, Any]:
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def throw(function: Any) -> weakref.ref[Payload]:
        payload = Payload()
        items = function()
        await anext(items)
        with contextlib.suppress(Thrown):
            await items.athrow(Thrown(payload))
        return weakref.ref(payload)

    async def main() -> None:
        assert (await throw(rows))() is None
        wrapped = tracer.wrap("rows", activate_in_consumer=in_consumer)(rows)
        assert (await throw(wrapped))() is None

    asyncio.run(main())
    assert len(spans_of(tracer)) == 1
