"""The payload buffer: swapping, splitting, bounds, and what happens to what does not fit."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import pytest
from helpers import accounting_difference, chunks_of, make_offline_tracer, spans_of
from hypothesis import given
from hypothesis import strategies as st
from reference import decode_payload

from fasttrace import Tracer


def finish_traces(tracer: Tracer, count: int, tag: str = "", spans: int = 1) -> None:
    """Finish `count` traces of `spans` spans, each span with a tag of the text `tag`."""
    for _ in range(count):
        with tracer.trace("root") as root:
            root.set_tag("tag", tag)
            for _ in range(spans - 1):
                with tracer.trace("child") as child:
                    child.set_tag("tag", tag)


def body_of(payload: Any) -> bytes:
    """The request body of a payload."""
    return b"".join(map(bytes, payload.buffers()))


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_finished_traces_are_one_payload(new_tracer: Any, version: str) -> None:
    """Traces finished since the last swap are one request body, with its counts and its length."""
    tracer = new_tracer(api_version=version)
    finish_traces(tracer, 3, spans=4)
    [payload] = tracer._swap()
    assert payload.api_version == version
    assert (payload.trace_count, payload.span_count) == (3, 12)
    body = body_of(payload)
    assert payload.nbytes == len(body)
    assert [len(chunk) for chunk in decode_payload(body, version)] == [4, 4, 4]
    tracer._settle(payload, "test")


@pytest.mark.parametrize(
    ("version", "count"),
    [(version, count) for version in ("v0.4", "v0.5") for count in (1, 15, 16, 17, 1000)]
    + [("v0.4", 65_535), ("v0.5", 65_536)],
)
def test_any_number_of_traces(new_tracer: Any, version: str, count: int) -> None:
    """The count of traces is right on both sides of each msgpack array head."""
    tracer = new_tracer(api_version=version)
    finish_traces(tracer, count)
    assert len(chunks_of(tracer)) == count


def test_an_empty_buffer_gives_no_payload(tracer: Tracer) -> None:
    """Without finished traces there is nothing to send."""
    assert tracer._swap() == []
    finish_traces(tracer, 1)
    assert len(spans_of(tracer)) == 1
    assert tracer._swap() == []


def test_each_string_table_belongs_to_one_payload(new_tracer: Any) -> None:
    """A v0.5 payload after a swap has a table of its own, in which every index exists."""
    tracer = new_tracer(api_version="v0.5")
    for _ in range(3):
        finish_traces(tracer, 2, tag="text")
        assert {span["meta"]["tag"] for span in spans_of(tracer)} == {"text"}


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_large_payloads_are_split(new_tracer: Any, version: str) -> None:
    """No payload exceeds the set size; together they hold every trace once, in order."""
    tracer = new_tracer(api_version=version, payload_max_bytes=10_000)
    for i in range(100):
        with tracer.trace(f"op{i}") as span:
            span.set_tag("tag", f"{i:05}" * 200)
    payloads = tracer._swap()
    assert len(payloads) >= 10
    names = []
    for payload in payloads:
        assert payload.nbytes <= 10_000
        chunks = decode_payload(body_of(payload), version)
        assert len(chunks) == payload.trace_count
        names += [chunk[0]["name"] for chunk in chunks]
        tracer._settle(payload, "test")
    assert names == [f"op{i}" for i in range(100)]


def test_a_trace_larger_than_a_payload_is_dropped_and_counted(new_tracer: Any) -> None:
    """A single trace that no payload can hold is dropped, counted, and harms no other."""
    tracer = new_tracer(payload_max_bytes=10_000)
    finish_traces(tracer, 1)
    finish_traces(tracer, 1, tag="x" * 20_000, spans=2)
    finish_traces(tracer, 1)
    assert sum(tracer.stats()["dropped"].values()) == 2
    assert len(spans_of(tracer)) == 2


def test_a_full_buffer_drops_the_newest_and_counts_it(new_tracer: Any) -> None:
    """Over the buffer's bound whole new traces are dropped and counted; the older ones stay."""
    tracer = new_tracer(buffer_max_bytes=50_000)
    for i in range(200):
        with tracer.trace(f"op{i}") as span:
            span.set_tag("tag", "x" * 1000)
    stats = tracer.stats()
    assert stats["finished"] == 200
    assert tracer._buffered_bytes <= 50_000
    assert 0 < stats["buffered"] < 50
    assert sum(stats["dropped"].values()) == 200 - stats["buffered"]
    names = [span["name"] for span in spans_of(tracer)]
    assert names == [f"op{i}" for i in range(len(names))]


def test_an_emptied_buffer_takes_traces_again(new_tracer: Any) -> None:
    """What is on its way still counts, so that memory has one bound; once settled there is room."""
    tracer = new_tracer(buffer_max_bytes=20_000)
    finish_traces(tracer, 100, tag="x" * 1000)
    assert tracer.stats()["dropped"]
    payloads = tracer._swap()
    assert tracer._buffered_bytes == 0
    dropped = sum(tracer.stats()["dropped"].values())
    finish_traces(tracer, 3, tag="x" * 1000)
    assert sum(tracer.stats()["dropped"].values()) == dropped + 3
    for payload in payloads:
        tracer._settle(payload, "sent")
    finish_traces(tracer, 3, tag="x" * 1000)
    assert sum(tracer.stats()["dropped"].values()) == dropped + 3
    assert len(spans_of(tracer)) == 3


def test_the_flusher_is_woken_at_half_full(new_tracer: Any) -> None:
    """The wake event is set when the buffer is half full, and not long before."""
    tracer = new_tracer(buffer_max_bytes=100_000)
    while tracer._buffered_bytes < 40_000:
        assert not tracer._wake.is_set()
        finish_traces(tracer, 1, tag="x" * 1000)
    finish_traces(tracer, 15, tag="x" * 1000)
    assert tracer._buffered_bytes > 50_000
    assert tracer._wake.is_set()
    tracer._wake.clear()


def test_the_first_chunk_is_announced_once(new_tracer: Any) -> None:
    """The first chunk in an empty buffer calls the hook, unless the flusher already runs."""
    tracer = new_tracer()
    calls: list[int] = []
    tracer._on_first_chunk = lambda: calls.append(1)
    finish_traces(tracer, 3)
    assert len(calls) == 1
    spans_of(tracer)
    finish_traces(tracer, 1)
    assert len(calls) == 2
    spans_of(tracer)
    tracer._flusher_running = True
    finish_traces(tracer, 1)
    assert len(calls) == 2
    tracer._flusher_running = False
    tracer._on_first_chunk = None


def test_what_is_hidden_from_who_empties_the_buffer_is_announced_again(new_tracer: Any) -> None:
    """A buffer emptied in the middle of an encoding misses a payload: the hook is called for it."""
    tracer = new_tracer()
    log: list[str] = []
    taken: list[Any] = []
    inside: list[bool] = []
    tracer._on_first_chunk = lambda: log.append("announced")

    class Emptying:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            if not inside:
                return
            waiting = tracer._buffered_bytes
            payloads = tracer._swap()
            if waiting and not payloads:
                log.append("hidden")
            elif payloads:
                log.append("emptied")
            taken.extend(payloads)

    thresholds = gc.get_threshold()
    for threshold in range(1, 40):
        finish_traces(tracer, 1)
        span = tracer.start_span("op")
        for number in range(20):
            span._add_event(f"event {number}", {"key": "value", "n": number})  # type: ignore[attr-defined]
        gc.collect()
        Emptying()
        inside.append(True)
        gc.set_threshold(threshold)
        span.finish()
        gc.set_threshold(*thresholds)
        inside.clear()
        waiting = [word for word in log if word != "hidden"][-1:] == ["announced"]
        assert waiting or not tracer._buffered_bytes, log
        taken += tracer._swap()
    if sys.version_info < (3, 12):  # later ones collect only between byte codes
        assert "hidden" in log
    for payload in taken:
        tracer._settle(payload, "sent")
    tracer._on_first_chunk = None


def test_a_raising_hook_never_reaches_the_application(new_tracer: Any) -> None:
    """If the flusher cannot be started, finishing a span still does not raise."""
    tracer = new_tracer()

    def fail() -> None:
        raise RuntimeError("no thread")

    tracer._on_first_chunk = fail
    finish_traces(tracer, 2)
    assert len(spans_of(tracer)) == 2


# -- settling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["sent", "unconfirmed", "refused_413"])
def test_settling_moves_spans_to_where_they_went(tracer: Tracer, outcome: str) -> None:
    """A payload's spans are in flight until settled, and then sent, unconfirmed or dropped."""
    finish_traces(tracer, 2, spans=3)
    assert tracer.stats()["buffered"] == 6
    [payload] = tracer._swap()
    stats = tracer.stats()
    assert (stats["buffered"], stats["in_flight"]) == (0, 6)
    assert accounting_difference(stats) == 0
    tracer._settle(payload, outcome)
    stats = tracer.stats()
    assert stats["in_flight"] == 0
    where = stats if outcome in stats else stats["dropped"]
    assert where[outcome] == 6
    assert accounting_difference(stats) == 0


def test_a_payload_can_be_put_back_at_the_front(tracer: Tracer) -> None:
    """A payload put back is the first of the next swap, unchanged."""
    finish_traces(tracer, 1, tag="first")
    [payload] = tracer._swap()
    body = body_of(payload)
    finish_traces(tracer, 1, tag="second")
    assert tracer._unswap(payload) is True
    stats = tracer.stats()
    assert (stats["buffered"], stats["in_flight"]) == (2, 0)
    payloads = tracer._swap()
    assert body_of(payloads[0])[-40:] == body[-40:]
    tags = [
        span["meta"]["tag"]
        for one in payloads
        for chunk in decode_payload(body_of(one), one.api_version)
        for span in chunk
    ]
    assert tags == ["first", "second"]
    for one in payloads:
        tracer._settle(one, "test")


def test_a_payload_that_was_on_its_way_always_has_room(new_tracer: Any) -> None:
    """Newer traces cannot take the place of a payload that has to be put back: they are dropped."""
    tracer = new_tracer(buffer_max_bytes=20_000)
    finish_traces(tracer, 7, tag="old" * 330)
    [payload] = tracer._swap()
    finish_traces(tracer, 15, tag="new" * 330)
    assert tracer.stats()["dropped"]["buffer_full"] > 0
    assert tracer._unswap(payload) is True
    tags = [span["meta"]["tag"][:3] for span in spans_of(tracer)]
    assert tags.count("old") == 7
    assert 0 < tags.count("new") < 15


def test_a_payload_that_no_longer_fits_is_not_put_back(new_tracer: Any) -> None:
    """Putting back into a buffer that has become smaller is refused; it stays in flight."""
    tracer = new_tracer(buffer_max_bytes=20_000)
    finish_traces(tracer, 15, tag="x" * 1000)
    [payload] = tracer._swap()
    tracer._set_limits(300, 10_000, 10_000)
    assert tracer._unswap(payload) is False
    stats = tracer.stats()
    assert stats["in_flight"] == payload.span_count
    tracer._settle(payload, "buffer_full")
    finish_traces(tracer, 5, tag="x" * 1000)
    assert len(spans_of(tracer)) == 5


def test_threads_that_trace_while_payloads_are_taken_lose_nothing(tracer: Tracer) -> None:
    """With several threads finishing traces and one swapping, every span comes out once."""
    stop = threading.Event()
    found: list[str] = []

    def take() -> None:
        while not stop.is_set():
            found.extend(span["name"] for span in spans_of(tracer))

    def work(number: int) -> None:
        for i in range(2000):
            with tracer.trace(f"t{number}-{i}"):
                pass

    taker = threading.Thread(target=take)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in [taker, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    taker.join()
    found.extend(span["name"] for span in spans_of(tracer))
    assert len(found) == len(set(found)) == 8000


# -- any sequence of calls -------------------------------------------------------------------------

events = st.lists(
    st.tuples(
        st.sampled_from(["finish", "finish", "finish", "swap", "unswap", "settle"]),
        st.integers(0, 5),
        st.integers(0, 400),
    ),
    max_size=60,
)


@given(events, st.sampled_from(["v0.4", "v0.5"]), st.sampled_from([1_500, 4_000, 10_000]))
def test_any_sequence_of_calls_accounts_for_every_span(
    calls: list[tuple[str, int, int]], version: str, room: int
) -> None:
    """However traces are finished, taken, put back and settled, every span is in one place.

    A payload never exceeds its bound and decodes to the traces it counts; what was not dropped
    comes out once.
    """
    tracer = make_offline_tracer(
        api_version=version, buffer_max_bytes=room, payload_max_bytes=room // 3
    )
    flying: list[Any] = []
    out: list[str] = []
    finished = 0

    def read(payload: Any) -> list[str]:
        body = body_of(payload)
        assert payload.nbytes == len(body) <= room // 3 + 20
        chunks = decode_payload(body, version)
        assert (len(chunks), sum(map(len, chunks))) == (payload.trace_count, payload.span_count)
        return [span["meta"]["id"] for chunk in chunks for span in chunk]

    def settle(payload: Any) -> None:
        names = read(payload)
        out.extend(names)
        tracer._settle(payload, "sent")

    for call, number, size in calls:
        if call == "finish":
            root = tracer.start_span("op")
            for _ in range(number):
                child = tracer.start_span("op", child_of=root)
                child.set_tag("id", str(finished))
                child.set_tag("text", f"{finished}:" + "x" * size)
                child.finish()
                finished += 1
            root.set_tag("id", str(finished))
            root.finish()
            finished += 1
        elif call == "swap":
            flying += tracer._swap()
        elif call == "unswap" and flying:
            payload = flying.pop(number % len(flying))
            if not tracer._unswap(payload):
                flying.append(payload)
        elif call == "settle" and flying:
            settle(flying.pop(number % len(flying)))
        stats = tracer.stats()
        assert accounting_difference(stats) == 0
        assert tracer._buffered_bytes <= room
    for payload in flying + tracer._swap():
        settle(payload)
    stats = tracer.stats()
    assert accounting_difference(stats) == 0
    assert stats["sent"] == len(out) == len(set(out))
    assert stats["finished"] == len(out) + sum(stats["dropped"].values())
