"""wrap() on generators: the span is active inside, and in the consumer if asked for."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Context, Span, Tracer
from fasttrace.trace import BaseContextProvider

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
