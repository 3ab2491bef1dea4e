"""Memory of a buffer that nobody empties: for v0.5 it also knows strings that may come again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from helpers import accounting_difference, chunks_of, make_offline_tracer, note_figure

from fasttrace import Tracer

BOUND_BYTES = 1 << 20
#: Also measured, until it is so large that it is mapped: the buffer itself, with its room to grow.
SLACK_BYTES = 512 << 10


def same_long_text(number: int) -> str:
    """The same text each time, made anew as that of a formatted resource is."""
    return "x" * 20_000


def long_texts(number: int) -> str:
    """A long text of its own for each span."""
    return f"{number:06}".ljust(20_000, "x")


def short_texts(number: int) -> str:
    """A short text of its own for each span."""
    return f"{number:x}"


def texts_beyond_ascii(number: int) -> str:
    """A text that takes more memory than it has bytes on the wire."""
    return f"{number:06}".ljust(5000, "x") + "\N{HAMBURGER}"


@pytest.fixture
def traced() -> Iterator[None]:
    """What Python allocates is counted."""
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


def fill(tracer: Tracer, text: Callable[[int], str], count: int) -> int:
    """Finish traces of one span each; return the most memory in use on the way, in bytes."""
    before = tracemalloc.get_traced_memory()[0]
    most = 0
    for number in range(count):
        with tracer.trace("op", resource=text(number)) as span:
            span.set_tag("number", f"{number}")
        if number % 100 == 0:
            most = max(most, tracemalloc.get_traced_memory()[0] - before)
    return most


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("text", "count"),
    [
        (same_long_text, 8000),
        (long_texts, 1000),
        (short_texts, 15_000),
        (texts_beyond_ascii, 3000),
    ],
)
def test_the_bound_holds_what_is_known_of_strings(text: Callable[[int], str], count: int) -> None:
    """However strings repeat or not, no more memory is held than the buffer may take."""
    tracer = make_offline_tracer(
        api_version="v0.5", buffer_max_bytes=BOUND_BYTES, payload_max_bytes=BOUND_BYTES
    )
    most = fill(tracer, text, count)
    stats = tracer.stats()
    note_figure(
        f"of {count:,} traces {stats['buffered']:,} buffered, {stats['buffered_bytes']:,} bytes, "
        f"most memory of objects {most:,}, bound {BOUND_BYTES:,}"
    )
    assert accounting_difference(stats) == 0
    assert stats["buffered_bytes"] <= BOUND_BYTES
    assert most <= BOUND_BYTES + SLACK_BYTES
    assert stats["buffered"] > 0
    resources = [span["resource"] for chunk in chunks_of(tracer) for span in chunk]
    assert resources == [text(number) for number in range(len(resources))]
    assert len(resources) == stats["buffered"]


def test_strings_cost_no_room_on_the_wire() -> None:
    """A payload whose known strings take the room is closed: no trace is dropped for them."""
    tracer = make_offline_tracer(api_version="v0.5", buffer_max_bytes=200_000)
    for number in range(1000):
        with tracer.trace("op") as span:
            span.set_tag("number", f"{number:050}")
    stats = tracer.stats()
    payloads = tracer._swap()
    encoded = sum(payload.nbytes for payload in payloads)
    note_figure(f"{stats['buffered']} traces, {encoded:,} bytes, in {len(payloads)} payloads")
    assert stats["dropped"] == {}
    assert len(payloads) > 1
    for payload in payloads:
        tracer._settle(payload, "test")


def test_what_comes_back_takes_the_room_of_known_strings() -> None:
    """A payload that is put back has room where only known strings are in its way."""
    tracer = make_offline_tracer(api_version="v0.5", buffer_max_bytes=100_000)

    def fill_to(limit: int) -> None:
        while tracer._buffered_bytes < limit:
            with tracer.trace("op") as span:
                span.set_tag("number", f"{tracer.stats()['finished']:040}")

    fill_to(40_000)
    [payload] = tracer._swap(aside=True)
    fill_to(100_000 - payload.nbytes + 1000)
    assert tracer._unswap(payload)
    stats = tracer.stats()
    assert stats["buffered_bytes"] <= 100_000
    assert stats["dropped"] == {}
    assert len(chunks_of(tracer)) == stats["finished"]
