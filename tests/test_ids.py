"""Trace and span ids: range, layout, uniqueness in threads, processes and forks."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from helpers import run_python, spans_of

from fasttrace import Span, Tracer
from fasttrace.config import Config

LOW_64 = 2**64 - 1

PRINT_IDS = """
    from fasttrace import Tracer
    tracer = Tracer()
    for _ in range(100):
        span = tracer.start_span("op")
        print(span.span_id, span.trace_id)
"""


def test_ids_are_nonzero_64_bit_and_unique_over_a_million_spans() -> None:
    """A million spans have span ids and low trace id halves in 1..2^64-1 that never repeat."""
    ids = set()
    for _ in range(1_000_000):
        span = Span("op")
        ids.add(span.span_id)
        ids.add(span.trace_id & LOW_64)
    assert len(ids) == 2_000_000
    assert min(ids) > 0
    assert max(ids) <= LOW_64


def test_every_bit_of_an_id_varies() -> None:
    """Each of the 64 bits of a span id is set in about half of many ids."""
    ids = [Span("op").span_id for _ in range(20_000)]
    for bit in range(64):
        share = sum(one >> bit & 1 for one in ids) / len(ids)
        assert 0.45 < share < 0.55, f"bit {bit} is set in {share:.2%}"


def test_a_trace_id_holds_the_seconds_zeros_and_random_bits() -> None:
    """By default a trace id has Unix seconds in bits 127..96, zeros in 95..64, random below."""
    before = int(time.time())
    trace_ids = [Tracer().start_span("op").trace_id for _ in range(3)]
    after = int(time.time())
    for trace_id in trace_ids:
        # The coarse clock that gives the seconds may lag by a few milliseconds.
        assert before - 1 <= trace_id >> 96 <= after + 1
        assert trace_id >> 64 & 0xFFFF_FFFF == 0
        assert trace_id & LOW_64 != 0


def test_the_high_half_of_a_trace_id_travels_as_a_tag(tracer: Tracer) -> None:
    """The wire has the low 64 bits as trace_id, and the high half as _dd.p.tid in 16 hex digits."""
    with tracer.trace("op") as span:
        pass
    [sent] = spans_of(tracer)
    assert sent["trace_id"] == span.trace_id & LOW_64
    assert sent["meta"]["_dd.p.tid"] == f"{span.trace_id >> 64:016x}"


@pytest.mark.parametrize("source", ["env", "code"])
def test_64_bit_trace_ids_can_be_chosen(source: str) -> None:
    """With 128-bit ids switched off, a trace id is a plain 64-bit number and has no _dd.p.tid."""
    if source == "env":
        config = Config.from_env({"DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED": "false"})
    else:
        config = Config.from_env({}, trace_id_128bit=False)
    tracer = Tracer(config=config)
    tracer._on_first_chunk = None
    with tracer.trace("op") as span:
        assert 0 < span.trace_id <= LOW_64
    [sent] = spans_of(tracer)
    assert sent["trace_id"] == span.trace_id
    assert "_dd.p.tid" not in sent["meta"]


def test_a_trace_shares_its_trace_id_and_not_its_span_ids(tracer: Tracer) -> None:
    """All spans of a trace have one trace id, each a span id of its own, its parent's as parent."""
    with tracer.trace("a") as a, tracer.trace("b") as b, tracer.trace("c") as c:
        assert a.trace_id == b.trace_id == c.trace_id
        assert len({a.span_id, b.span_id, c.span_id}) == 3
        assert (a.parent_id, b.parent_id, c.parent_id) == (None, a.span_id, b.span_id)


def test_ids_do_not_depend_on_the_random_module() -> None:
    """random.seed() does not make ids repeat, and making ids does not disturb random."""
    random.seed(4711)
    state = random.getstate()
    first = [Span("op").span_id for _ in range(10)]
    assert random.getstate() == state
    random.seed(4711)
    assert not set(first) & {Span("op").span_id for _ in range(10)}


def test_ids_of_threads_do_not_repeat() -> None:
    """Spans begun at the same time in several threads have different ids."""
    made: list[list[int]] = [[] for _ in range(4)]
    barrier = threading.Barrier(len(made))

    def make(ids: list[int]) -> None:
        barrier.wait()
        for _ in range(20_000):
            ids.append(Span("op").span_id)

    threads = [threading.Thread(target=make, args=(ids,)) for ids in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set().union(*made)) == 80_000


def test_processes_started_at_the_same_time_have_different_ids() -> None:
    """Two fresh interpreters never give the same ids: the generator is seeded by the system."""
    first, second = (run_python(PRINT_IDS).stdout.split() for _ in range(2))
    assert len(set(first + second)) == 400


if hasattr(os, "fork"):

    def test_forked_children_have_ids_of_their_own() -> None:
        """Ids of a parent and of each of its forked children, grandchildren too, never repeat."""
        code = """
            import os, sys
            from fasttrace import Tracer
            tracer = Tracer()
            def ids():
                spans = [tracer.start_span("op") for _ in range(50)]
                return [one for span in spans for one in (span.span_id, span.trace_id & (2**64 -
                1))]
            found = ids()
            for _ in range(10):
                read, write = os.pipe()
                pid = os.fork()
                if pid == 0:
                    grandchild_read, grandchild_write = os.pipe()
                    if os.fork() == 0:
                        os.write(grandchild_write, repr(ids()).encode())
                        os._exit(0)
                    os.wait()
                    os.write(write, repr(ids() + eval(os.read(grandchild_read, 1 << 16))).encode())
                    os._exit(0)
                found += eval(os.read(read, 1 << 16))
                os.waitpid(pid, 0)
                found += ids()
            print(len(found), len(set(found)))
        """
        assert run_python(code).stdout.split() == ["3100", "3100"]


def test_a_given_id_is_kept() -> None:
    """Ids passed to Span() are used as they are, up to the largest a trace id can be."""
    span = Span("op", trace_id=2**128 - 1, span_id=2**64 - 1, parent_id=1)
    assert (span.trace_id, span.span_id, span.parent_id) == (2**128 - 1, 2**64 - 1, 1)


def test_ids_are_plain_ints() -> None:
    """Ids are exact Python ints."""
    span = Span("op")
    assert type(span.span_id) is int
    assert type(span.trace_id) is int
