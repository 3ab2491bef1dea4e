"""wrap() on generators: everything passes through, and the span is active only inside."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from helpers import by_name, make_offline_tracer, spans_of
from hypothesis import given
from hypothesis import strategies as st

from fasttrace import Context, Span, Tracer
from fasttrace.trace import BaseContextProvider


class Thrown(Exception):
    """What tests throw into a generator."""


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


# -- what is active where --------------------------------------------------------------------------


def test_the_span_is_active_only_inside(tracer: Tracer) -> None:
    """A generator's children are below its span; its consumer's spans are not."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        span = tracer.current_span()
        assert span is not None
        assert span.name == "rows"
        for number in range(3):
            with tracer.trace(f"fetch {number}") as fetch:
                assert fetch.parent_id == span.span_id
            yield number
            assert tracer.current_span() is span

    with tracer.trace("request") as request:
        for number in rows():
            assert tracer.current_span() is request
            with tracer.trace(f"show {number}"):
                pass
        assert tracer.current_span() is request
    sent = by_name(spans_of(tracer))
    assert {sent[f"show {n}"]["parent_id"] for n in range(3)} == {sent["request"]["span_id"]}
    assert {sent[f"fetch {n}"]["parent_id"] for n in range(3)} == {sent["rows"]["span_id"]}
    assert sent["rows"]["parent_id"] == sent["request"]["span_id"]


def test_the_span_covers_the_whole_iteration(tracer: Tracer) -> None:
    """The span of a generator begins with the first step and ends when it is used up."""

    @tracer.wrap("op")
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    items = numbers()
    assert tracer.stats()["open"] == 0
    assert next(items) == 1
    assert tracer.stats()["open"] == 1
    assert next(items) == 2
    assert next(items, None) is None
    stats = tracer.stats()
    assert (stats["open"], stats["finished"]) == (0, 1)
    assert len(spans_of(tracer)) == 1


def test_a_block_around_yields_stays_inside(tracer: Tracer) -> None:
    """A span that a generator has open while it pauses is not active in its consumer."""

    @tracer.wrap("outer")
    def numbers() -> Iterator[int]:
        with tracer.trace("block") as block:
            yield 1
            assert tracer.current_span() is block
            yield 2
        assert tracer.current_span() is not block

    for _ in numbers():
        assert tracer.current_span() is None
    sent = by_name(spans_of(tracer))
    assert sent["block"]["parent_id"] == sent["outer"]["span_id"]


def test_interleaved_generators_do_not_mix(tracer: Tracer) -> None:
    """Generators advanced in turns and given up in any order keep their own spans and children."""

    @tracer.wrap("rows")
    def rows(label: str) -> Iterator[str]:
        span = tracer.current_span()
        assert span is not None
        span.set_tag("label", label)
        for _ in range(3):
            with tracer.trace("child") as child:
                child.set_tag("label", label)
                assert child.parent_id == span.span_id
                yield label
            assert tracer.current_span() is span

    with tracer.trace("request") as request:
        running = [rows(label) for label in "abcd"]
        for _ in range(2):
            for items in running:
                next(items)
                assert tracer.current_span() is request
        running[2].close()  # type: ignore[attr-defined]
        assert list(running[0]) == ["a"]
        del items
        running.pop()
        assert list(running[1]) == ["b"]
        assert tracer.current_span() is request
    spans = spans_of(tracer)
    parents = {span["span_id"]: span for span in spans}
    for child in (span for span in spans if span["name"] == "child"):
        assert parents[child["parent_id"]]["meta"]["label"] == child["meta"]["label"]
    assert not any(span.get("error") for span in spans)
    assert {s.get("parent_id") for s in spans if s["name"] == "rows"} == {request.span_id}


def test_recursive_generators(tracer: Tracer) -> None:
    """A wrapped generator that iterates over itself makes nested spans."""

    @tracer.wrap("walk")
    def walk(depth: int) -> Iterator[int]:
        yield depth
        if depth:
            yield from walk(depth - 1)

    assert list(walk(3)) == [3, 2, 1, 0]
    spans = spans_of(tracer)
    assert [span.get("parent_id") for span in spans] == [None] + [s["span_id"] for s in spans[:3]]


def test_the_consumer_may_open_and_close_spans_meanwhile(tracer: Tracer) -> None:
    """What the consumer activates between two steps stays active there after each step."""

    @tracer.wrap("rows")
    def rows() -> Iterator[Span | None]:
        while True:
            yield tracer.current_span()

    items = rows()
    inside = next(items)
    with tracer.trace("first") as first:
        assert next(items) is inside
        assert tracer.current_span() is first
        second = tracer.trace("second")
        assert next(items) is inside
        assert tracer.current_span() is second
    assert next(items) is inside
    second.finish()
    tracer.context_provider.activate(Context(trace_id=5, span_id=6))
    assert next(items) is inside
    active = tracer.context_provider.active()
    assert isinstance(active, Context)
    assert active.trace_id == 5
    tracer.context_provider.activate(None)
    items.close()  # type: ignore[attr-defined]
    assert sorted(span["name"] for span in spans_of(tracer)) == ["first", "rows", "second"]


def test_an_activated_context_stays_for_the_consumer(tracer: Tracer) -> None:
    """A generator joins an activated trace without using the Context up for its consumer."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        yield 1

    tracer.context_provider.activate(Context(trace_id=5, span_id=6))
    for _ in rows():
        with tracer.trace("show"):
            pass
    assert tracer.current_span() is None
    sent = by_name(spans_of(tracer))
    assert {(one["trace_id"], one["parent_id"]) for one in sent.values()} == {(5, 6)}


def test_a_generator_used_in_several_threads(tracer: Tracer) -> None:
    """Each step may run in another thread; there it leaves nothing behind."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        for number in range(4):
            with tracer.trace("fetch"):
                yield number

    items = rows()
    left: list[Any] = []

    def step() -> None:
        next(items, None)
        left.append(tracer.current_span())

    for _ in range(5):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert left == [None] * 5
    spans = spans_of(tracer)
    rows_span = by_name([span for span in spans if span["name"] == "rows"])["rows"]
    assert [s["parent_id"] for s in spans if s["name"] == "fetch"] == [rows_span["span_id"]] * 4


def test_a_generator_used_in_several_contexts(tracer: Tracer) -> None:
    """Each step may run in another contextvars.Context; there it leaves nothing behind."""

    @tracer.wrap("rows")
    def rows() -> Iterator[int]:
        yield 1
        yield 2

    items = rows()
    for context in (contextvars.Context(), contextvars.Context(), contextvars.copy_context()):
        context.run(next, items, None)
        assert context.run(tracer.current_span) is None
    assert len(spans_of(tracer)) == 1


class ListProvider(BaseContextProvider):
    """Keeps the active item in a list."""

    def __init__(self) -> None:
        self.item: Any = None

    def activate(self, ctx: Span | Context | None) -> None:
        """Make `ctx` the active item."""
        self.item = ctx

    def active(self) -> Span | Context | None:
        """Return the active item, no finished span."""
        while isinstance(self.item, Span) and self.item.finished:
            self.item = self.item._parent
        return self.item  # type: ignore[no-any-return]


def test_a_context_provider_of_the_application(tracer: Tracer) -> None:
    """With a context provider of one's own, too, the span is active only inside."""
    tracer.configure(context_provider=ListProvider())

    @tracer.wrap("rows")
    def rows() -> Iterator[Span | None]:
        yield tracer.current_span()
        yield tracer.current_span()

    with tracer.trace("request") as request:
        for inside in rows():
            assert inside is not None
            assert inside.name == "rows"
            assert tracer.current_span() is request
    assert len(spans_of(tracer)) == 2


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


# -- activate_in_consumer --------------------------------------------------------------------------


def test_bodies_of_context_managers_are_children(tracer: Tracer) -> None:
    """With activate_in_consumer=True, what runs in a @contextmanager's block is below its span."""

    @contextlib.contextmanager
    @tracer.wrap("transaction", activate_in_consumer=True)
    def transaction() -> Iterator[str]:
        with tracer.trace("begin"):
            pass
        yield "connection"
        with tracer.trace("commit"):
            pass

    with tracer.trace("request") as request:
        with transaction() as connection:
            assert connection == "connection"
            span = tracer.current_span()
            assert span is not None
            assert span.name == "transaction"
            with tracer.trace("query"):
                pass
        assert tracer.current_span() is request
    sent = by_name(spans_of(tracer))
    assert sent["transaction"]["parent_id"] == sent["request"]["span_id"]
    for name in ("begin", "query", "commit"):
        assert sent[name]["parent_id"] == sent["transaction"]["span_id"]


def test_by_default_bodies_of_context_managers_are_not(tracer: Tracer) -> None:
    """Without activate_in_consumer a @contextmanager's block is beside its span."""

    @contextlib.contextmanager
    @tracer.wrap("transaction")
    def transaction() -> Iterator[None]:
        yield

    with tracer.trace("request"), transaction(), tracer.trace("query"):
        pass
    sent = by_name(spans_of(tracer))
    assert sent["query"]["parent_id"] == sent["request"]["span_id"]


@pytest.mark.parametrize("in_consumer", [False, True])
def test_errors_in_a_block_reach_its_context_manager(tracer: Tracer, in_consumer: bool) -> None:
    """What a block raises goes through the manager: its span tells of it unless it is swallowed."""

    @contextlib.contextmanager
    @tracer.wrap("manager", activate_in_consumer=in_consumer)
    def manager(swallow: bool) -> Iterator[None]:
        try:
            yield
        except ValueError:
            if not swallow:
                raise

    with manager(True):
        raise ValueError("swallowed")
    with pytest.raises(ValueError, match="loud"), manager(False):
        raise ValueError("loud")
    assert tracer.current_span() is None
    quiet, loud = spans_of(tracer)
    assert "error" not in quiet
    assert (loud["error"], loud["meta"]["error.message"]) == (1, "loud")


def test_context_managers_on_an_exit_stack(tracer: Tracer) -> None:
    """Managers entered through an ExitStack nest, and each ends with its own part."""

    @contextlib.contextmanager
    @tracer.wrap("manager", activate_in_consumer=True)
    def manager() -> Iterator[Span | None]:
        yield tracer.current_span()

    with contextlib.ExitStack() as stack:
        entered = [stack.enter_context(manager()) for _ in range(3)]
        assert tracer.current_span() is entered[2]
    spans = spans_of(tracer)
    assert [span.get("parent_id") for span in spans] == [None] + [s["span_id"] for s in spans[:2]]


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
    assert thrown["meta"]["error.type"] == f"{__name__}.Thrown"
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


class Payload:
    """Something whose end can be seen."""


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Run a test with the cyclic collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


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
