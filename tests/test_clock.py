"""Start times and durations: one clock, never negative, explicit times win."""

from __future__ import annotations

import itertools
import os
import time

import pytest
from helpers import run_python, spans_of

from fasttrace import Span, Tracer
from fasttrace.trace import Context

#: How far the wall clock of a trace may be from time.time_ns(), ns (the stated bound is 10 ms).
WALL_TOLERANCE_NS = 50_000_000


def test_start_is_the_wall_time_of_the_call(tracer: Tracer) -> None:
    """A span's start is the wall clock at its creation, in nanoseconds since 1970."""
    before = time.time_ns()
    with tracer.trace("op") as span:
        pass
    after = time.time_ns()
    assert before - WALL_TOLERANCE_NS <= span.start_ns <= after + WALL_TOLERANCE_NS


def test_start_and_duration_are_also_given_in_seconds(tracer: Tracer) -> None:
    """start and duration are float seconds, start_ns and duration_ns the same in whole ns."""
    with tracer.trace("op") as span:
        assert span.duration is None
        assert span.duration_ns is None
    assert type(span.start_ns) is int
    assert type(span.duration_ns) is int
    assert span.start == pytest.approx(span.start_ns / 1e9, abs=1e-6)
    assert span.duration == pytest.approx(span.duration_ns / 1e9, abs=1e-9)


def test_a_duration_lies_between_what_another_clock_measures(tracer: Tracer) -> None:
    """The duration agrees with perf_counter_ns read just inside and just outside of the span."""
    for _ in range(5):
        outside_start = time.perf_counter_ns()
        span = tracer.start_span("op")
        inside_start = time.perf_counter_ns()
        time.sleep(0.02)
        inside_end = time.perf_counter_ns()
        span.finish()
        outside_end = time.perf_counter_ns()
        slack = 20_000 + (outside_end - outside_start) // 1000  # calibration of the counter
        assert inside_end - inside_start - slack <= span.duration_ns
        assert span.duration_ns <= outside_end - outside_start + slack


@pytest.mark.parametrize("remote", [False, True], ids=["new trace", "remote parent"])
def test_a_start_given_by_the_caller_agrees_with_our_end(tracer: Tracer, remote: bool) -> None:
    """A span started with time.time_ns() and finished by our clock lasts as long as it did."""
    parent = Context(trace_id=1, span_id=2) if remote else None
    for _ in range(50):
        start_ns = time.time_ns()
        span = tracer.start_span("op", child_of=parent)
        span.start_ns = start_ns
        time.sleep(0.001)
        span.finish()
        assert span.start_ns == start_ns
        assert span.duration_ns >= 950_000


def test_durations_are_never_negative(tracer: Tracer) -> None:
    """However short a span is, its duration is not negative."""
    shortest = 0
    for _ in range(20_000):
        with tracer.trace("op") as span:
            pass
        shortest = min(shortest, span.duration_ns)
    assert shortest == 0
    assert len(spans_of(tracer)) == 20_000


def test_children_lie_within_their_parents(tracer: Tracer) -> None:
    """All spans of a trace use one clock: a child never leaves the time of its parent."""
    depth = 200
    stack = [tracer.trace(f"op{level}") for level in range(depth)]
    for span in reversed(stack):
        span.finish()
    for parent, child in itertools.pairwise(stack):
        assert parent.start_ns <= child.start_ns
        assert child.start_ns + child.duration_ns <= parent.start_ns + parent.duration_ns


def test_replacing_the_functions_of_the_time_module_changes_nothing(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of applications that freeze time.time() still get real starts and durations."""
    now = time.time_ns()
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: 0.0)
        monkeypatch.setattr(time, f"{name}_ns", lambda: 0)
    with tracer.trace("op") as span:
        sum(range(1000))
    monkeypatch.undo()
    assert span.start_ns >= now - WALL_TOLERANCE_NS
    assert span.duration_ns > 0


def test_an_explicit_start_wins(tracer: Tracer) -> None:
    """A start given to Span() or assigned later is the one that is sent, to the nanosecond."""
    span = Span("op", start=10.5)
    assert (span.start, span.start_ns) == (10.5, 10_500_000_000)
    with tracer.trace("op") as span:
        span.start_ns = 1_700_000_000_123_456_789
    [sent] = spans_of(tracer)
    assert sent["start"] == 1_700_000_000_123_456_789
    with tracer.trace("op") as span:
        span.start = 1_700_000_000.5
    [sent] = spans_of(tracer)
    assert sent["start"] == 1_700_000_000_500_000_000


def test_a_duration_counts_from_an_explicit_start(tracer: Tracer) -> None:
    """A span started ten seconds back has a duration of at least ten seconds."""
    with tracer.trace("op") as span:
        span.start = time.time() - 10
    assert 9.9e9 < span.duration_ns < 600e9


def test_an_explicit_finish_time_wins(tracer: Tracer) -> None:
    """finish(finish_time) takes seconds since 1970, from which the duration follows."""
    span = tracer.start_span("op")
    span.start = 1_700_000_000.0
    span.finish(1_700_000_002.5)
    assert (span.duration, span.duration_ns) == (2.5, 2_500_000_000)
    [sent] = spans_of(tracer)
    assert (sent["start"], sent["duration"]) == (1_700_000_000_000_000_000, 2_500_000_000)


def test_a_finish_time_of_now_gives_the_elapsed_time(tracer: Tracer) -> None:
    """finish(time.time()) on a span with an automatic start gives about the time since then."""
    span = tracer.start_span("op")
    time.sleep(0.1)
    span.finish(time.time())
    assert 0.05e9 < span.duration_ns < 60e9


def test_a_finish_before_the_start_is_sent_as_zero(tracer: Tracer) -> None:
    """A finish time before the start never puts a negative duration on the wire."""
    span = tracer.start_span("op")
    span.finish(span.start - 5)
    [sent] = spans_of(tracer)
    assert sent["duration"] == 0


@pytest.mark.parametrize(
    ("attribute", "value", "expected_ns"),
    [("duration", 1.5, 1_500_000_000), ("duration_ns", 7, 7), ("duration_ns", 0, 0)],
)
def test_a_duration_set_before_finish_is_kept_and_sent(
    tracer: Tracer, attribute: str, value: float, expected_ns: int
) -> None:
    """A duration assigned to an open span is not overwritten by finish(), and the span is sent."""
    with tracer.trace("op") as span:
        setattr(span, attribute, value)
    assert span.duration_ns == expected_ns
    [sent] = spans_of(tracer)
    assert sent["duration"] == expected_ns


def test_a_duration_can_be_changed_after_finish(tracer: Tracer) -> None:
    """While the trace is still open, a finished span's duration can be corrected."""
    with tracer.trace("root"):
        with tracer.trace("child") as child:
            pass
        child.duration_ns = 123
    assert spans_of(tracer)[1]["duration"] == 123


@pytest.mark.parametrize("setting", ["0", "1"])
def test_the_clock_is_right_with_and_without_the_cycle_counter(setting: str) -> None:
    """Switching the cycle counter (FASTTRACE_TSC) off or on changes no start and no duration."""
    code = """
        import time
        from fasttrace import Tracer
        tracer = Tracer()
        tracer._on_first_chunk = None
        for _ in range(3):
            wall, outside = time.time_ns(), time.perf_counter_ns()
            with tracer.trace("op") as span:
                inside = time.perf_counter_ns()
                time.sleep(0.05)
                inside = time.perf_counter_ns() - inside
            outside = time.perf_counter_ns() - outside
            assert abs(span.start_ns - wall) < 500_000_000, (span.start_ns, wall)
            assert inside * 0.999 - 20_000 <= span.duration_ns <= outside * 1.001 + 20_000, (
                inside, span.duration_ns, outside)
        tracer._settle(tracer._swap()[0], "test")
        print("ok")
    """
    result = run_python(code, env={**os.environ, "FASTTRACE_TSC": setting})
    assert result.stdout == "ok\n"
