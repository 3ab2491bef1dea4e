"""wrap() on coroutine functions, with asyncio and unittest.mock."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import weakref
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from helpers import spans_of

from fasttrace import Tracer


def test_coroutines_with_asyncio(tracer: Tracer) -> None:
    """A wrapped coroutine function's result works with asyncio's own functions."""

    @tracer.wrap("work")
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return [
            await work(0),
            await asyncio.create_task(work(1)),
            await loop.create_task(work(2), name="named"),
            *await asyncio.gather(work(3), work(4)),
            await asyncio.wait_for(work(5), 10),
            await asyncio.shield(work(6)),
            await asyncio.ensure_future(work(7)),
        ]

    assert asyncio.run(main()) == list(range(8))
    assert asyncio.run(work(8)) == 8
    assert inspect.iscoroutinefunction(work)
    assert [span["name"] for span in spans_of(tracer)] == ["work"] * 9


def test_a_coroutine_that_is_never_awaited_warns_under_its_own_name(tracer: Tracer) -> None:
    """Forgetting to await a wrapped coroutine warns as always, and makes no span."""

    @tracer.wrap()
    async def forgotten() -> None: ...

    with pytest.warns(RuntimeWarning, match=r"coroutine '.*forgotten' was never awaited"):
        forgotten()
    assert tracer.stats()["finished"] == tracer.stats()["open"] == 0


def test_functions_marked_as_coroutine_functions(tracer: Tracer) -> None:
    """Mocks and functions marked as coroutine functions are wrapped as such."""
    fake = mock.AsyncMock(return_value=3)
    wrapped = tracer.wrap("mock")(fake)
    assert inspect.iscoroutinefunction(wrapped)
    assert asyncio.run(wrapped(1)) == 3
    fake.assert_awaited_once_with(1)

    if hasattr(inspect, "markcoroutinefunction"):
        mark = inspect.markcoroutinefunction
    else:

        def mark(function: Any) -> Any:
            function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
            return function

    async def body() -> str:
        await asyncio.sleep(0)
        span = tracer.current_span()
        return "" if span is None else span.name

    @mark
    def marked() -> Any:
        return body()

    assert asyncio.run(tracer.wrap("marked")(marked)()) == "marked"
    assert [span["name"] for span in spans_of(tracer)] == ["mock", "marked"]


def test_context_managers_under_wrap(tracer: Tracer) -> None:
    """wrap() over @contextmanager traces the call that makes the manager, as in ddtrace."""

    @tracer.wrap("made")
    @contextlib.contextmanager
    def manager() -> Iterator[int]:
        yield 5

    with manager() as value:
        assert value == 5
        assert tracer.current_span() is None
    assert [span["name"] for span in spans_of(tracer)] == ["made"]


def test_errors_make_no_cycles(tracer: Tracer) -> None:
    """What a wrapped function of any kind raised goes with the exception, without the collector."""

    class Payload:
        """Something an exception holds."""

    def raising(payload: Payload) -> None:
        raise ValueError(payload)

    async def raising_later(payload: Payload) -> None:
        await asyncio.sleep(0)
        raise ValueError(payload)

    def call(function: Any) -> weakref.ref[Payload]:
        payload = Payload()
        try:
            result = function(payload)
            if inspect.iscoroutine(result):
                result.send(None)
                result.send(None)
        except ValueError:
            pass
        return weakref.ref(payload)

    gc.collect()
    gc.disable()
    try:
        for function in (raising, raising_later):
            assert call(tracer.wrap("raising")(function))() is None
    finally:
        gc.enable()
    assert [span["error"] for span in spans_of(tracer)] == [1, 1]


async def of_none() -> tuple[Any, ...]:
    """Take none."""
    return ()


async def of_one(order: Any) -> tuple[Any, ...]:
    """Take one."""
    return (order,)


async def of_two(order: Any, table: Any) -> tuple[Any, ...]:
    """Take two."""
    return (order, table)


async def of_three(order: Any, table: Any, guest: Any) -> tuple[Any, ...]:
    """Take three."""
    return (order, table, guest)


async def of_four(order: Any, table: Any, guest: Any, tip: Any) -> tuple[Any, ...]:
    """Take four."""
    return (order, table, guest, tip)


async def of_five(order: Any, table: Any, guest: Any, tip: Any, bill: Any) -> tuple[Any, ...]:
    """Take five."""
    return (order, table, guest, tip, bill)


async def of_a_default(order: Any, table: Any = 0) -> tuple[Any, ...]:
    """Take a default."""
    return (order, table)


async def of_many(*order: Any) -> tuple[Any, ...]:
    """Take many."""
    return order


async def of_keywords(order: Any, *, table: Any) -> tuple[Any, ...]:
    """Take keywords."""
    return (order, table)


async def of_positions(order: Any, table: Any, /) -> tuple[Any, ...]:
    """Take positions."""
    return (order, table)


async def of_our_names(function: Any, start: Any) -> tuple[Any, ...]:
    """Take our names."""
    return (function, start)


async def of_a_cell(order: Any) -> tuple[Any, ...]:
    """Take a cell."""
    return (lambda: (order,))()


FUNCTIONS = (
    of_none,
    of_one,
    of_two,
    of_three,
    of_four,
    of_five,
    of_a_default,
    of_many,
    of_keywords,
    of_positions,
    of_our_names,
    of_a_cell,
)
CALLS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    *((tuple(range(count)), {}) for count in range(7)),
    ((), {"order": 1}),
    ((1,), {"table": 2}),
    ((1,), {"order": 2}),
    ((), {"table": 1, "order": 2}),
    ((1, 2), {"tip": 4, "guest": 3}),
    ((1,), {"start": 2}),
    ((), {"start": 1, "function": 2}),
    ((1,), {"a": 2}),
)


def outcome_of(function: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """Return what a coroutine function returns, or the TypeError it raises."""
    try:
        return asyncio.run(function(*call[0], **call[1]))
    except TypeError as error:
        return str(error)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_calls_of_coroutine_functions(tracer: Tracer, function: Any) -> None:
    """Every call of a wrapped coroutine function returns or raises what the function does."""
    wrapped = tracer.wrap("work")(function)
    outcomes = [outcome_of(wrapped, call) for call in CALLS]
    assert outcomes == [outcome_of(function, call) for call in CALLS]
    assert any(isinstance(outcome, tuple) for outcome in outcomes)
    assert any(isinstance(outcome, str) for outcome in outcomes)
    assert inspect.iscoroutinefunction(wrapped)
    assert inspect.signature(wrapped) == inspect.signature(function)
    spans = spans_of(tracer)
    assert len(spans) >= sum(isinstance(outcome, tuple) for outcome in outcomes)


def test_defaults_that_change_after_wrap(tracer: Tracer) -> None:
    """A coroutine function's defaults are looked at when it is called."""

    async def work(value: int = 1) -> int:
        return value

    wrapped = tracer.wrap("work")(work)
    work.__defaults__ = (2,)
    assert asyncio.run(wrapped()) == 2
