"""wrap() on generators: everything passes through, whenever and however they end."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from helpers import by_name, make_offline_tracer, spans_of
from hypothesis import given
from hypothesis import strategies as st
from wrap_subjects import Payload, Thrown

from fasttrace import Tracer


def outcome(action: Callable[[], Any]) -> tuple[Any, ...]:
    """What calling `action` did: its value, or the type and arguments of what it raised."""
    try:
        return ("gave", action())
    except BaseException as error:
        if isinstance(error, AssertionError):
            raise
        return ("raised", type(error), error.args)


# -- everything passes through ---------------------------------------------------------------------


def obedient(log: list[Any]) -> Generator[Any, Any, Any]:
    """Yields what it receives, stops when told to, cleans up."""
    try:
        received = None
        for number in range(4):
            received = yield (number, received)
            log.append(received)
            if received == "return":
                return "returned"
            if received == "raise":
                raise KeyError("raised inside")
        return "end"
    finally:
        log.append("cleaned up")


def catching(log: list[Any]) -> Generator[Any, Any, Any]:
    """Goes on after an exception, and says so."""
    number = 0
    while number < 5:
        number += 1
        try:
            log.append((yield number))
        except Thrown as error:
            log.append(("caught", error.args))
            yield "caught"
        except GeneratorExit:
            log.append("closed")
            raise


def converting(log: list[Any]) -> Generator[Any, Any, Any]:
    """Turns one exception into another."""
    try:
        yield 1
        yield 2
    except Thrown as error:
        raise LookupError("converted") from error


def swallowing(log: list[Any]) -> Generator[Any, Any, Any]:
    """Ends quietly, with a value, whatever is thrown."""
    try:
        yield 1
        yield 2
    except BaseException as error:
        log.append(type(error))
    return "swallowed"


def ignoring(log: list[Any]) -> Generator[Any, Any, Any]:
    """Goes on yielding after it was closed, which is wrong."""
    try:
        yield 1
    except GeneratorExit:
        yield 2
    yield 3


def reading(log: list[Any]) -> Generator[Any, Any, Any]:
    """Looks at the exception being handled."""
    for _ in range(3):
        try:
            yield sys.exc_info()[0]
        except Thrown:
            log.append(sys.exc_info()[0])


def delegating(log: list[Any]) -> Generator[Any, Any, Any]:
    """Passes everything on to another generator."""
    result = yield from catching(log)
    log.append(result)
    return (yield from obedient(log))


def empty(log: list[Any]) -> Generator[Any, Any, Any]:
    """Yields nothing."""
    log.append("ran")
    return "nothing"
    yield


GENERATORS = [obedient, catching, converting, swallowing, ignoring, reading, delegating, empty]

steps = st.lists(
    st.one_of(
        st.just(("next",)),
        st.tuples(st.just("send"), st.sampled_from([None, 1, "return", "raise"])),
        st.tuples(
            st.just("throw"),
            st.sampled_from([Thrown, KeyError, StopIteration, GeneratorExit, KeyboardInterrupt]),
        ),
        st.just(("close",)),
    ),
    max_size=8,
)


def perform(generator: Generator[Any, Any, Any], step: tuple[Any, ...]) -> tuple[Any, ...]:
    """Do one step with a generator; return what it did."""
    if step[0] == "next":
        return outcome(lambda: next(generator))
    if step[0] == "send":
        return outcome(lambda: generator.send(step[1]))
    if step[0] == "throw":
        return outcome(lambda: generator.throw(step[1]("thrown")))
    return outcome(generator.close)


@pytest.mark.parametrize("in_consumer", [False, True])
@pytest.mark.parametrize("function", GENERATORS, ids=lambda function: function.__name__)
@given(script=steps)
def test_a_wrapped_generator_behaves_as_the_generator(
    function: Any, in_consumer: bool, script: list[tuple[Any, ...]]
) -> None:
    """Any sequence of next, send, throw and close has the same results with and without wrap()."""
    tracer = make_offline_tracer()
    plain_log: list[Any] = []
    wrapped_log: list[Any] = []
    wrapped_function = tracer.wrap("op", activate_in_consumer=in_consumer)(function)
    plain, wrapped = function(plain_log), wrapped_function(wrapped_log)
    around = tracer.start_span("around")
    tracer.context_provider.activate(around)
    for step in script:
        assert perform(wrapped, step) == perform(plain, step), step
        assert wrapped_log == plain_log
        if not in_consumer:
            assert tracer.current_span() is around
    assert outcome(wrapped.close)[:2] == outcome(plain.close)[:2]
    assert wrapped_log == plain_log
    around.finish()
    del wrapped
    assert len(spans_of(tracer)) <= 2
    assert tracer.stats()["open"] == 0


def test_the_return_value_reaches_yield_from(tracer: Tracer) -> None:
    """What a wrapped generator returns is the value of `yield from`."""

    @tracer.wrap("op")
    def inner() -> Generator[int, Any, str]:
        yield 1
        return "value"

    def outer() -> Generator[int, Any, None]:
        got.append((yield from inner()))

    got: list[Any] = []
    assert list(outer()) == [1]
    assert got == ["value"]
    assert len(spans_of(tracer)) == 1


def test_nothing_happens_before_the_first_step(tracer: Tracer) -> None:
    """Making a wrapped generator starts no span; an unused one leaves no trace."""

    @tracer.wrap("op")
    def numbers() -> Iterator[int]:
        yield 1

    unused = numbers()
    del unused
    numbers().close()  # type: ignore[attr-defined]
    assert tracer.stats()["finished"] == tracer.stats()["open"] == 0


def test_disabling_takes_effect_on_the_next_iteration(tracer: Tracer) -> None:
    """While the tracer is disabled, a wrapped generator works without a span."""

    @tracer.wrap("rows")
    def rows() -> Generator[int, Any, str]:
        yield (yield 1)
        return "end"

    tracer.enabled = False
    items = rows()
    assert (next(items), items.send(5)) == (1, 5)
    assert outcome(lambda: next(items)) == ("raised", StopIteration, ("end",))
    assert spans_of(tracer) == []
    tracer.enabled = True
    assert list(rows()) == [1, None]
    assert len(spans_of(tracer)) == 1


# -- early ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_consumer", [False, True])
def test_an_early_close_is_no_error(tracer: Tracer, in_consumer: bool) -> None:
    """Leaving a loop early, close() and forgetting a generator end its span without an error."""

    @tracer.wrap("rows", activate_in_consumer=in_consumer)
    def rows() -> Iterator[int]:
        with contextlib.suppress(ZeroDivisionError):
            yield 1
            yield 2

    for _ in rows():
        break
    closed = rows()
    next(closed)
    closed.close()  # type: ignore[attr-defined]
    forgotten = rows()
    next(forgotten)
    del forgotten
    tracer.context_provider.activate(None)
    assert [span.get("error", 0) for span in spans_of(tracer)] == [0, 0, 0]


def test_an_error_marks_the_span(tracer: Tracer) -> None:
    """What a generator raises, by itself or because it was thrown in, is its span's error."""

    @tracer.wrap("rows")
    def rows() -> Generator[int, Any, None]:
        yield 1
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        list(rows())
    items = rows()
    next(items)
    with pytest.raises(Thrown):
        items.throw(Thrown("thrown"))
    own, thrown = spans_of(tracer)
    assert (own["error"], own["meta"]["error.message"]) == (1, "'own'")
    assert "in rows" in own["meta"]["error.stack"]
    assert thrown["meta"]["error.type"] == f"{Thrown.__module__}.Thrown"
    assert tracer.current_span() is None


def test_cleaning_up_runs_inside(tracer: Tracer) -> None:
    """Spans of a generator's `finally` are its children, also when it is closed early."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        try:
            yield 1
        finally:
            with tracer.trace("clean up"):
                pass

    with tracer.trace("request") as request:
        for _ in rows():
            break
        assert tracer.current_span() is request
    sent = by_name(spans_of(tracer))
    assert sent["clean up"]["parent_id"] == sent["rows"]["span_id"]


def test_a_wrong_close_raises_as_without_wrap(tracer: Tracer) -> None:
    """A generator that yields although it is closed raises RuntimeError, which marks its span."""
    items = tracer.wrap("rows")(ignoring)([])
    next(items)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        items.close()
    next(items)
    assert next(items, None) is None
    assert len(spans_of(tracer)) == 1


def test_half_used_generators_are_collected_quietly(
    tracer: Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    """Generators in cycles, collected at any time inside another span, disturb and log nothing."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        with tracer.trace("inner"):
            yield 1
            yield 2

    caplog.set_level(logging.DEBUG)
    for _ in range(50):
        items = rows()
        next(items)
        cycle: list[Any] = [items]
        cycle.append(cycle)
    del items, cycle
    with tracer.trace("other") as other:
        gc.collect()
        assert tracer.current_span() is other
    spans = spans_of(tracer)
    assert len(spans) == 101
    assert not any(span.get("error") for span in spans)
    assert [record for record in caplog.records if record.name.startswith("fasttrace")] == []


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_gc")
def test_a_paused_generator_does_not_keep_what_it_yielded(tracer: Tracer) -> None:
    """A value that was yielded or sent belongs to the consumer and the generator alone."""

    @tracer.wrap("rows")
    def rows() -> Generator[Payload, Any, None]:
        while True:
            (yield Payload())

    items = rows()
    yielded = weakref.ref(next(items))
    assert yielded() is None
    sent = Payload()
    sent_reference = weakref.ref(sent)
    items.send(sent)
    del sent
    assert sent_reference() is None
    items.close()
    spans_of(tracer)


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("in_consumer", [False, True])
def test_errors_make_no_cycles(tracer: Tracer, in_consumer: bool) -> None:
    """What goes through a wrapped generator as an exception is freed without the collector."""

    @tracer.wrap("rows", activate_in_consumer=in_consumer)
    def rows() -> Generator[int, Any, None]:
        yield 1
        yield 2

    def throw() -> weakref.ref[Payload]:
        payload = Payload()
        items = rows()
        next(items)
        with contextlib.suppress(Thrown):
            items.throw(Thrown(payload))
        return weakref.ref(payload)

    assert throw()() is None
    tracer.context_provider.activate(None)
    assert len(spans_of(tracer)) == 1


@pytest.mark.usefixtures("no_gc")
def test_a_used_generator_leaves_nothing(tracer: Tracer) -> None:
    """Generator and arguments go when the iteration is over."""
    payload = Payload()
    reference = weakref.ref(payload)

    @tracer.wrap("rows")
    def rows(held: Payload) -> Iterator[int]:
        yield 1
        yield 2

    assert list(rows(payload)) == [1, 2]
    half = rows(payload)
    next(half)
    del payload, half
    assert reference() is None
    assert len(spans_of(tracer)) == 2
