"""The background thread: when it sends, and what flush() waits for."""

from __future__ import annotations

import contextvars
import gc
import signal
import threading
import time
import weakref
from typing import Any

import pytest
from helpers import run_python
from scripted_exporter import (
    OVERLOADED,
    SENT,
    TOO_LARGE,
    UNCONFIRMED,
    UNREACHABLE,
    ScriptedExporter,
    finish,
    make_tracer,
    wait_for_thread_end,
    wait_until,
)

from fasttrace import _clock, _exit, flusher
from fasttrace._span import TracerCore
from fasttrace.config import Config
from fasttrace.exporter import ExportResult

pytestmark = pytest.mark.usefixtures("fresh_log")


# -- when ------------------------------------------------------------------------------------------


def test_real_agent_gets_a_trace_without_any_flush(session: Any) -> None:
    """A finished trace reaches the agent by itself."""
    tracer = session.make_tracer(flush_interval_s=0.05)
    assert not tracer._flusher._alive
    with tracer.trace("root"):
        tracer.trace("child").finish()
    names = {span["name"] for span in session.wait_for_spans(2)}
    assert names == {"root", "child"}
    wait_until(lambda: tracer.stats()["sent"] == 2)


def test_thread_is_started_by_the_first_finished_trace() -> None:
    """Neither a new tracer nor an unfinished trace has a thread; the first finished one does."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    with tracer.trace("root"):
        with tracer.trace("child"):
            pass
        assert not tracer._flusher._alive
    assert tracer._flusher._alive
    wait_until(lambda: exporter.taken == ["root", "child"])


def test_traces_wait_for_the_interval() -> None:
    """Traces finished within one interval leave together."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.3)
    finish(tracer, "a", "b", "c")
    wait_until(lambda: exporter.taken)
    assert exporter.calls == [["a", "b", "c"]]


def test_half_full_buffer_does_not_wait() -> None:
    """When the buffer is half full its content leaves before the interval is over."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=3600.0, buffer_max_bytes=16_384)
    with tracer.trace("big") as span:
        span.set_tag("text", "x" * 10_000)
    wait_until(lambda: exporter.taken)
    assert exporter.calls == [["big"]]


def test_idle_thread_goes_on() -> None:
    """A thread that had nothing to do for a while delivers the next trace as well."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    for count in range(1, 4):
        finish(tracer, "again")
        wait_until(lambda count=count: len(exporter.taken) == count)
        wait_until(lambda: tracer._flusher._parked)
        assert not tracer._flusher_running


def test_idle_thread_ends_and_another_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long time without work the thread ends; the next trace starts another."""
    monkeypatch.setattr(flusher, "_IDLE_S", 0.02)
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    for count in range(1, 4):
        finish(tracer, "again")
        wait_until(lambda count=count: len(exporter.taken) == count)
        wait_for_thread_end(tracer)
    assert exporter.closed == 3


def test_no_trace_is_stranded_where_thread_ends_and_trace_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traces that finish in the very moment the idle thread ends are delivered too."""
    monkeypatch.setattr(flusher, "_IDLE_S", 0.0005)
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.001)
    for count in range(1, 301):
        finish(tracer, "again")
        wait_until(lambda count=count: len(exporter.taken) >= count, poll_s=0.0001)
        time.sleep(count % 7 * 0.0003)
    assert exporter.taken == ["again"] * 300
    assert exporter.closed > 30, "the thread has hardly ever ended: the test tests nothing"


def test_what_exit_has_to_look_at_again_is_asked_for_with_every_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until `_exit.watch` says that it is all, each trace is sent at once and asks once more."""
    answers = [False, False, True]
    monkeypatch.setattr(_exit, "watch", lambda _: answers.pop(0))
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    for name in ("a", "b", "c"):
        finish(tracer, name)
        assert len(answers) == {"a": 2, "b": 1, "c": 0}[name]
        wait_until(lambda name=name: name in exporter.taken)
    tracer._set_limits(300, 20 << 20, 9 << 20)  # what `configure` does, turns nothing on again
    finish(tracer, "d", "e")
    assert exporter.taken == ["a", "b", "c"]
    monkeypatch.undo()


def test_tracer_without_work_can_be_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its thread has ended, nothing holds a tracer that nobody uses."""
    monkeypatch.setattr(flusher, "_IDLE_S", 0.02)
    core = TracerCore()  # a Tracer would be held by the fixture that checks accounts
    config = Config.from_env({}, flush_interval_s=0.01)
    exporter = ScriptedExporter()
    core._on_first_chunk = flusher.Flusher(core, exporter, config).start
    # in a context of its own, because a context keeps the span that was active last
    contextvars.Context().run(lambda core: core.trace("a").finish(), core)
    wait_until(lambda: exporter.taken == ["a"])
    reference = weakref.ref(core)
    del core
    wait_until(lambda: gc.collect() is not None and reference() is None)
    assert reference() is None


def test_a_clock_that_cannot_be_adjusted_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with the clock's upkeep, traces are sent; one warning tells of it."""

    def fail(enabled: bool) -> str:
        raise RuntimeError("an audit hook forbids it")

    monkeypatch.setattr(_clock, "tick", fail)
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    for name in ("a", "b"):
        finish(tracer, name)
        wait_until(lambda name=name: name in exporter.taken)
    assert caplog.text.count("the clock could not be adjusted") == 1


# -- flush -----------------------------------------------------------------------------------------


def test_flush_waits_for_delivery() -> None:
    """After flush() everything finished before it has been delivered."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a", "b")
    assert tracer.flush() is True
    assert exporter.taken == ["a", "b"]
    assert tracer.stats()["sent"] == 2


def test_flush_of_nothing() -> None:
    """flush() with nothing to send returns at once and starts no thread."""
    tracer = make_tracer(ScriptedExporter())
    assert tracer.flush() is True
    assert not tracer._flusher._alive


@pytest.mark.parametrize(
    ("answer", "place"),
    [(UNCONFIRMED, "unconfirmed"), (TOO_LARGE, "refused_413")],
)
def test_flush_tells_what_did_not_arrive(answer: ExportResult, place: str) -> None:
    """flush() is False if the agent refused the traces or may not have got them; all is counted."""
    tracer = make_tracer(ScriptedExporter(answer, SENT))
    finish(tracer, "a")
    assert tracer.flush() is False
    stats = tracer.stats()
    assert {"unconfirmed": stats["unconfirmed"], **stats["dropped"]}[place] == 1
    finish(tracer, "b")
    assert tracer.flush() is True


def test_flush_tries_again_within_its_time() -> None:
    """A refused connection is tried three times by one flush, then the traces stay buffered."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a")
    begin = time.monotonic()
    assert tracer.flush(10.0) is False
    assert time.monotonic() - begin < 5.0
    assert len(exporter.calls) == 3
    assert tracer.stats()["buffered"] == 1
    exporter.answers = (SENT,)
    assert tracer.flush() is True
    assert exporter.taken == ["a"]


def test_flush_succeeds_at_the_second_attempt() -> None:
    """If the second of the attempts succeeds, flush() is True."""
    exporter = ScriptedExporter(OVERLOADED, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a")
    assert tracer.flush(10.0) is True
    assert exporter.calls == [["a"], ["a"]]


def test_flush_returns_in_time_and_the_thread_goes_on() -> None:
    """flush() leaves at its timeout; what is under way is not disturbed and counts when done."""
    let_go = threading.Event()

    def slow() -> ExportResult:
        let_go.wait(30.0)
        return SENT

    tracer = make_tracer(ScriptedExporter(slow))
    finish(tracer, "a")
    begin = time.monotonic()
    assert tracer.flush(0.2) is False
    assert time.monotonic() - begin < 2.0
    assert tracer.stats()["in_flight"] == 1
    let_go.set()
    wait_until(lambda: tracer.stats()["sent"] == 1)


def test_flush_from_many_threads() -> None:
    """Every one of many flushes at the same time sees its own trace delivered."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    results = []

    def work(number: int) -> None:
        for index in range(20):
            finish(tracer, f"{number}.{index}")
            results.append(tracer.flush(10.0))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80
    assert sorted(exporter.taken) == sorted(f"{n}.{i}" for n in range(4) for i in range(20))


def test_flush_within_a_signal_handler_within_flush() -> None:
    """A signal handler that flushes while the main thread is in flush() waits like any other."""

    def slow() -> ExportResult:
        time.sleep(0.4)
        return SENT

    exporter = ScriptedExporter(slow)
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    inner = []

    def handler(*_: object) -> None:
        finish(tracer, "from the handler")
        inner.append(tracer.flush(10.0))

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        finish(tracer, "a")
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert tracer.flush(10.0) is True
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert inner == [True]
    assert exporter.taken == ["a", "from the handler"]


def test_keyboard_interrupt_ends_flush() -> None:
    """An exception raised by a signal handler comes out of flush() at once; nothing is lost."""
    let_go = threading.Event()

    def slow() -> ExportResult:
        let_go.wait(30.0)
        return SENT

    tracer = make_tracer(ScriptedExporter(slow), flush_interval_s=3600.0)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        finish(tracer, "a")
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            tracer.flush(20.0)
        assert time.monotonic() - begin < 5.0
    finally:
        signal.signal(signal.SIGALRM, previous)
    let_go.set()
    wait_until(lambda: tracer.stats()["sent"] == 1)


def test_flush_from_within_the_exporter() -> None:
    """An exporter or log handler that calls flush() itself does not wait for itself."""
    tracer: Any = None
    inner = []

    def flushing() -> ExportResult:
        inner.append(tracer.flush(10.0))
        return SENT

    tracer = make_tracer(ScriptedExporter(flushing, SENT))
    finish(tracer, "a")
    assert tracer.flush(10.0) is True
    assert inner == [False]


# -- what is imported ------------------------------------------------------------------------------


def test_sending_imports_little(session: Any) -> None:
    """Delivering a trace over TCP imports neither sockets' Python half nor TLS."""
    done = run_python(
        """
        import sys
        before = set(sys.modules)
        from fasttrace import tracer
        with tracer.trace("a"):
            pass
        assert tracer.flush(10.0)
        print(*sorted(set(sys.modules) - before))
        """,
        env=session.env(),
    )
    assert done.stderr == ""
    loaded = set(done.stdout.split())
    assert "fasttrace.agent" in loaded
    assert not loaded & {
        "socket",
        "ssl",
        "http.client",
        "asyncio",
        "logging",
        "msgpack",
    }
    assert len(session.spans()) == 1
