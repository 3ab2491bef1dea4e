"""How wrapped generators run step by step, and what a wrapped object is in the body of a class."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from helpers import spans_of

from fasttrace import Tracer, _span


class Thrown(Exception):
    """What tests throw into a generator."""


# -- steps -----------------------------------------------------------------------------------------


def echo() -> Generator[Any, Any, Any]:
    """Yields what it receives, also exceptions; returns a tuple, which is hard on StopIteration."""
    received: Any = "begin"
    while received != "end":
        try:
            received = yield received
        except Thrown as error:
            received = error.args
    return ("a", "tuple")


def run_echo(make: Callable[[], Generator[Any, Any, Any]]) -> list[Any]:
    """Everything that comes out of `echo` when it is driven by another generator."""
    seen: list[Any] = []

    def consumer() -> Generator[Any, Any, None]:
        seen.append((yield from make()))

    items = consumer()
    seen += [next(items), items.send(1), items.throw(Thrown(2, 3)), items.send(StopIteration(4))]
    seen += [type(seen.pop()), next(items, "over") if items.send(None) is None else "lost"]
    seen.append(next(items, "over"))
    with pytest.raises(StopIteration):
        items.send("end")
    return seen


@pytest.mark.parametrize("in_consumer", [False, True])
@pytest.mark.parametrize("lines", [False, True], ids=["untraced", "traced line by line"])
def test_under_a_debugger(tracer: Tracer, in_consumer: bool, lines: bool) -> None:
    """Also while a debugger follows each line, everything passes through a wrapped generator."""
    wrapped = tracer.wrap("echo", activate_in_consumer=in_consumer)(echo)
    followed: list[str] = []

    def follow(frame: Any, event: str, argument: Any) -> Any:
        followed.append(event)
        return follow

    before = sys.gettrace()
    if lines:
        sys.settrace(follow)
    try:
        seen = run_echo(wrapped)
    finally:
        sys.settrace(before)
    tracer.context_provider.activate(None)
    assert seen == run_echo(echo)
    assert bool(followed) == lines
    [span] = spans_of(tracer)
    assert span["name"] == "echo"
    assert not span.get("error")


def test_async_generators_under_a_debugger(tracer: Tracer) -> None:
    """The same for a wrapped async generator that waits between its items."""

    @tracer.wrap("rows")
    async def rows() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            assert tracer.current_span() is not None
            yield number

    async def main() -> list[int]:
        found = [number async for number in rows()]
        assert tracer.current_span() is None
        return found

    before = sys.gettrace()
    sys.settrace(lambda frame, event, argument: None)
    try:
        assert asyncio.run(main()) == [0, 1, 2]
    finally:
        sys.settrace(before)
    assert len(spans_of(tracer)) == 1


def test_the_value_returned_at_a_close(tracer: Tracer) -> None:
    """close() gives what the generator returns because of it, as this Python's generators do."""

    def rows() -> Generator[int, None, str]:
        try:
            yield 1
        except GeneratorExit:
            return "closed"
        return "exhausted"

    def close(make: Callable[[], Generator[int, None, str]]) -> object:
        items = make()
        next(items)
        return items.close()

    assert close(tracer.wrap("rows")(rows)) == close(rows)
    assert len(spans_of(tracer)) == 1


def test_a_traceback_shows_the_functions_alone(tracer: Tracer) -> None:
    """An exception out of a wrapped generator has frames of it and of its wrapper, none in C."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        yield 1
        raise Thrown

    @tracer.wrap("async rows")
    async def async_rows() -> AsyncIterator[int]:
        yield 1
        raise Thrown

    async def main() -> None:
        async for _ in async_rows():
            pass

    with pytest.raises(Thrown) as caught:
        list(rows())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names == ["test_a_traceback_shows_the_functions_alone", "traced", "rows"]
    with pytest.raises(Thrown) as caught:
        asyncio.run(main())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-3:] == ["main", "traced", "async_rows"]
    for span in spans_of(tracer):
        assert ".pxi" not in span["meta"]["error.stack"]


def test_an_error_that_comes_back(tracer: Tracer) -> None:
    """An exception that the body lets pass is its own the second time, and not thrown in again."""
    caught: list[BaseException] = []

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        try:
            yield 1
        except Thrown as error:
            caught.append(error)
            raise

    for error in (Thrown(), KeyboardInterrupt(), GeneratorExit(), StopAsyncIteration()):
        items = rows()
        next(items)
        with pytest.raises(type(error)) as raised:
            items.throw(error)
        assert raised.value is error
    assert len(caught) == 1
    assert [bool(span.get("error")) for span in spans_of(tracer)] == [True, True, False, True]


def test_a_step_after_the_end() -> None:
    """The compiled part says so if it is asked for a step that there is not."""
    with pytest.raises(RuntimeError, match="ended"):
        next(iter(_span.Inside()))


# -- in the body of a class ------------------------------------------------------------------------


def add(*numbers: int) -> int:
    """Sum up."""
    return sum(numbers)


async def add_later(*numbers: int) -> int:
    """Sum up, later."""
    return sum(numbers)


def each(*numbers: int) -> Iterator[int]:
    """Give one after another."""
    yield from numbers


class Adder:
    """Callable, and no descriptor."""

    def __call__(self, *numbers: int) -> int:
        """Sum up."""
        return sum(numbers)


class LaterAdder:
    """The same as a coroutine function."""

    async def __call__(self, *numbers: int) -> int:
        """Sum up, later."""
        return sum(numbers)


def result_of(value: Any) -> Any:
    """The sum that a call of any kind came to."""
    if inspect.iscoroutine(value):
        return asyncio.run(value)
    return value if isinstance(value, int) else sum(value)


@pytest.mark.parametrize("function", [add, add_later, each])
def test_partials_in_a_class(tracer: Tracer, function: Callable[..., Any]) -> None:
    """A wrapped partial in the body of a class gets the instance where a partial does (3.14)."""

    class Holder:
        plain = functools.partial(function, 1)
        wrapped = tracer.wrap("add")(functools.partial(function, 1))

        def __radd__(self, number: int) -> int:
            return number + 100

    binds = sys.version_info >= (3, 14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # CPython 3.13, of the plain partial
        plain = result_of(Holder().plain(2))
    assert result_of(Holder().wrapped(2)) == plain == (103 if binds else 3)
    assert result_of(Holder.wrapped(2)) == 3
    assert len(spans_of(tracer)) == 2


@pytest.mark.parametrize("made", [Adder(), LaterAdder(), Adder().__call__, sum])
def test_objects_in_a_class(tracer: Tracer, made: Callable[..., Any]) -> None:
    """So are wrapped objects with `__call__`, bound methods and built-in functions."""
    arguments = ([1, 2],) if made is sum else (1, 2)

    class Holder:
        plain = made
        wrapped = tracer.wrap("add")(made)

    assert result_of(Holder().plain(*arguments)) == result_of(Holder().wrapped(*arguments)) == 3
    [span] = spans_of(tracer)
    assert span["name"] == "add"


def test_functions_in_a_class(tracer: Tracer) -> None:
    """Whatever binds without wrap() binds with it: functions, what functools.cache makes."""

    class Holder:
        @tracer.wrap("cached")
        @functools.cache  # noqa: B019
        def cached(self, number: int) -> tuple[Any, int]:
            return self, number

        plain = tracer.wrap("plain")(lambda self, number: (self, number))

    holder = Holder()
    assert holder.cached(1) == holder.plain(1) == (holder, 1)
    assert len(spans_of(tracer)) == 2
