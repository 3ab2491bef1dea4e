"""Wrong input: the span arrives at the real agent, nothing raises, nothing else is lost."""

from __future__ import annotations

import decimal
import enum
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Context, Span, Tracer


class Unprintable:
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __int__(self) -> int:
        raise RuntimeError("no number")

    __index__ = __int__

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class WrongText:
    """Its text is no text."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Interrupting:
    """Asking for its text ends the program."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class LyingText(str):
    """A text that claims to be another."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __len__(self) -> int:
        return 10**9

    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        raise RuntimeError("no bytes")


class HugeNumber(int):
    """A number that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Color(enum.Enum):
    RED = 1


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


def recursive_list() -> list[Any]:
    """A list that contains itself."""
    items: list[Any] = [1]
    items.append(items)
    return items


BAD_VALUES: dict[str, Callable[[], Any]] = {
    "unprintable": Unprintable,
    "wrong text": WrongText,
    "lying text": lambda: LyingText("text"),
    "unprintable number": lambda: HugeNumber(2**70),
    "lone surrogate": lambda: "a\ud800b",
    "many surrogates": lambda: "\udcff" * 30_000,
    "nul": lambda: "a\0b",
    "bytes": lambda: b"by\xff",
    "bytearray": lambda: bytearray(b"\xff"),
    "memoryview": lambda: memoryview(b"x"),
    "30 MB": lambda: "x" * 30_000_000,
    "30 MB wide": lambda: "𝄞" * 7_500_000,
    "3 MB of bytes": lambda: b"\0" * 3_000_000,
    "nan": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "2**70": lambda: 2**70,
    "2**63": lambda: 2**63,
    "-2**70": lambda: -(2**70),
    "10**5000": lambda: 10**5000,
    "enum": lambda: Color.RED,
    "flag": lambda: Level.LOW | Level.HIGH,
    "class": lambda: Color,
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "complex": lambda: complex(math.nan, 1),
    "recursive": recursive_list,
    "lock": threading.Lock,
    "none": lambda: None,
    "ellipsis": lambda: ...,
    "function": lambda: spans_of,
    "exception": lambda: ValueError(Unprintable()),
}

everywhere = pytest.mark.parametrize("name", BAD_VALUES)


def check_arrival(session: Any, tracer: Tracer, expected: set[str]) -> dict[str, Any]:
    """Assert that the agent received exactly the spans named `expected`; return them by name."""
    sent = by_name(session.received())
    assert set(sent) == expected
    assert tracer.stats()["sent"] == len(expected)
    assert sum(tracer.stats()["dropped"].values()) == 0
    for span in sent.values():
        assert span["service"] == "svc"
    return sent


@everywhere
@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_as_a_tag_value(session: Any, name: str, version: str) -> None:
    """A bad tag value never raises; the span, its other tags and its siblings arrive."""
    tracer = session.make_tracer(api_version=version)
    value = BAD_VALUES[name]()
    with tracer.trace("root"):
        with tracer.trace("bad") as span:
            span.set_tag("before", "yes")
            span.set_tag("bad", value)
            span.set_metric("bad metric", value)
            span.set_tags({"bad in dict": value})
            span.set_metrics({"bad metric in dict": value})
            span.set_tag("after", "yes")
        with tracer.trace("sibling"):
            pass
    sent = check_arrival(session, tracer, {"root", "bad", "sibling"})
    assert sent["bad"]["meta"]["before"] == sent["bad"]["meta"]["after"] == "yes"
    assert all(len(text) <= 25_000 for text in sent["bad"]["meta"].values())


@everywhere
def test_as_a_tag_key(session: Any, name: str) -> None:
    """A bad tag key never raises; the span and its other tags arrive."""
    tracer = session.make_tracer()
    key = BAD_VALUES[name]()
    with tracer.trace("bad") as span:
        span.set_tag(key, "value")
        span.set_tag(key, 1)
        span.set_metric(key, 1)
        assert span.get_tag("missing") is None
        span.set_tag("after", "yes")
    sent = check_arrival(session, tracer, {"bad"})
    assert sent["bad"]["meta"]["after"] == "yes"


@everywhere
@pytest.mark.parametrize("attribute", ["service", "resource", "span_type"])
def test_as_an_attribute(session: Any, name: str, attribute: str) -> None:
    """A bad service, resource or type, given or assigned, never raises; the span arrives."""
    tracer = session.make_tracer()
    value = BAD_VALUES[name]()
    with tracer.trace("root"):
        with tracer.trace("given", **{attribute: value}) as span:
            pass
        with tracer.trace("assigned") as span:
            setattr(span, attribute, value)
        if attribute == "service":
            tracer.start_span("child", child_of=span).finish()
        with tracer.trace("sibling"):
            pass
    received = by_name(session.received())
    assert {"root", "given", "assigned", "sibling"} <= set(received)


@everywhere
def test_as_a_name(session: Any, name: str) -> None:
    """A bad span name never raises; the span arrives under some name."""
    tracer = session.make_tracer()
    value = BAD_VALUES[name]()
    with tracer.trace("root"):
        with tracer.trace(value):
            pass
        with tracer.trace("sibling") as span:
            span.name = value
    received = session.received()
    assert len(received) == 3
    assert all(isinstance(span["name"], str) for span in received)


@everywhere
def test_as_a_number(session: Any, name: str) -> None:
    """A bad start, duration, error or finish time never raises; the span arrives."""
    tracer = session.make_tracer()
    value = BAD_VALUES[name]()
    with tracer.trace("root"):
        for attribute in ("start", "start_ns", "duration", "duration_ns", "error"):
            with tracer.trace(attribute) as span:
                setattr(span, attribute, value)
        tracer.start_span("finish", child_of=tracer.current_span()).finish(value)
    sent = check_arrival(
        session,
        tracer,
        {"root", "start", "start_ns", "duration", "duration_ns", "error", "finish"},
    )
    for span in sent.values():
        assert 0 <= span["duration"] < 2**63
        assert 0 <= span["start"] < 2**63


@everywhere
def test_as_an_id(new_tracer: Any, name: str) -> None:
    """A bad id given to Span() is replaced, never a half-made span."""
    value = BAD_VALUES[name]()
    for argument in ("trace_id", "span_id", "parent_id", "start"):
        span = Span("op", **{argument: value})
        assert span.span_id >= 0
        assert isinstance(span.trace_id, int)
        span.finish()


@everywhere
def test_as_a_global_tag(session: Any, name: str) -> None:
    """A bad tracer-wide tag never raises; every span arrives, with the good global tags."""
    tracer = session.make_tracer()
    value = BAD_VALUES[name]()
    tracer.set_tags({"bad": value, "good": "yes"})
    tracer.set_tag("other", value)
    with tracer.trace("root"), tracer.trace("child"):
        pass
    sent = check_arrival(session, tracer, {"root", "child"})
    assert {span["meta"]["good"] for span in sent.values()} == {"yes"}


@everywhere
def test_in_an_exception(session: Any, name: str) -> None:
    """An exception with a bad argument marks its span and reaches the caller unchanged."""
    tracer = session.make_tracer()
    error = ValueError(BAD_VALUES[name]())
    with pytest.raises(ValueError) as caught, tracer.trace("bad"):
        raise error
    assert caught.value is error
    sent = check_arrival(session, tracer, {"bad"})
    assert sent["bad"]["error"] == 1
    assert sent["bad"]["meta"]["error.type"] == "builtins.ValueError"


@everywhere
def test_in_a_context(session: Any, name: str) -> None:
    """A Context made of bad values never loses the spans below it."""
    tracer = session.make_tracer()
    value = BAD_VALUES[name]()
    try:
        context = Context(
            trace_id=5, span_id=6, sampling_priority=value, dd_origin=value, meta={"_dd.p.x": value}
        )
    except (TypeError, ValueError):
        context = Context(trace_id=5, span_id=6)  # refusing at the door is as good
    tracer.context_provider.activate(context)
    with tracer.trace("bad"):
        pass
    sent = check_arrival(session, tracer, {"bad"})
    assert sent["bad"]["parent_id"] == 6


def test_interrupting_the_text_of_a_tag_passes(tracer: Tracer) -> None:
    """KeyboardInterrupt is for the application: it passes through set_tag, and nothing is lost."""
    with pytest.raises(KeyboardInterrupt), tracer.trace("op") as span:
        span.set_tag("key", Interrupting())
    [sent] = spans_of(tracer)
    assert sent["error"] == 1


@pytest.mark.parametrize("junk", [None, 5, "text", object()])
def test_foreign_objects_do_not_become_parents(tracer: Tracer, junk: Any) -> None:
    """Activating something that is no span does not disturb the spans made after it."""
    tracer.context_provider.activate(junk)
    with tracer.trace("op") as span:
        assert span.parent_id is None
    assert len(spans_of(tracer)) == 1


def test_more_tags_than_a_span_can_hold(session: Any) -> None:
    """Setting very many tags never raises; the span arrives with at least the first of them."""
    tracer = session.make_tracer()
    with tracer.trace("root"):
        with tracer.trace("op") as span:
            for i in range(66_000):
                span.set_tag(f"key{i}", i)
        with tracer.trace("sibling"):
            pass
    sent = check_arrival(session, tracer, {"root", "op", "sibling"})
    assert [sent["op"]["metrics"][f"key{i}"] for i in range(60_000)] == list(range(60_000))


def test_many_large_tags_are_cut_but_arrive(session: Any) -> None:
    """A span with hundreds of oversized texts still fits and arrives."""
    tracer = session.make_tracer()
    text = "é" * 100_000
    with tracer.trace("op") as span:
        for i in range(500):
            span.set_tag(f"key{i}", text)
    [sent] = session.received()
    assert sum(len(value) == 2500 for value in sent["meta"].values()) == 500
