"""The background thread: when it sends, what it does with each verdict, how it ends."""

from __future__ import annotations

import contextvars
import gc
import logging
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_server import FaultServer, answering, refused_url, response
from helpers import accounting_difference, run_python
from reference import decode_payload

from fasttrace import Tracer, _log, agent, flusher
from fasttrace._span import TracerCore
from fasttrace.config import Config
from fasttrace.exporter import ExportResult

SENT = ExportResult("sent", http_status=200)
UNREACHABLE = ExportResult("retry", reason="unreachable", hopeless=True, detail="refused")
SLOW = ExportResult("retry", reason="unreachable", detail="timed out")
OVERLOADED = ExportResult("retry", reason="refused_503", http_status=503, detail="HTTP status 503")
TOO_LARGE = ExportResult("refused_413", http_status=413, detail="HTTP status 413")
UNCONFIRMED = ExportResult("unconfirmed", detail="cut")


class ScriptedExporter:
    """Gives its answers one after the other, the last one for ever, and records what it got."""

    def __init__(self, *answers: ExportResult | Callable[[], ExportResult]) -> None:
        self.answers = answers or (SENT,)
        self.calls: list[list[str]] = []  #: span names of every call
        self.taken: list[str] = []  #: span names of every call that was answered "sent"
        self.versions: list[str] = []
        self.times: list[float] = []
        self.closed = 0

    def export(self, payload: Any, trace_count: int, timeout_s: float) -> ExportResult:
        self.times.append(time.monotonic())
        body = b"".join(map(bytes, payload.buffers()))
        chunks = decode_payload(body, payload.api_version)
        assert len(chunks) == trace_count
        names = [span["name"] for chunk in chunks for span in chunk]
        self.calls.append(names)
        self.versions.append(payload.api_version)
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        result = answer if isinstance(answer, ExportResult) else answer()
        if result.status == "sent":
            self.taken += names
        return result

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning is held back because of an earlier test."""
    monkeypatch.setattr(_log, "_last_ns", {})
    monkeypatch.setattr(_log, "_held_back", {})


def make_tracer(exporter: Any, **config: Any) -> Tracer:
    """Return a Tracer that delivers to `exporter`."""
    tracer = Tracer(config=Config.from_env({}, service="svc", **config))
    tracer._flusher = flusher.Flusher(tracer, exporter, tracer._config)
    tracer._on_first_chunk = tracer._flusher.start
    return tracer


def finish(tracer: Tracer, *names: str) -> None:
    """Finish one trace of one span for each name."""
    for name in names:
        tracer.trace(name).finish()


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for `condition`, and fail if it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def wait_for_thread_end(tracer: Tracer) -> None:
    """Wait until the tracer has no background thread."""
    wait_until(lambda: not tracer._flusher._alive)


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
    wait_until(lambda: exporter.taken == ["big"])


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
        wait_until(lambda count=count: len(exporter.taken) == count)
        time.sleep(count % 7 * 0.0003)


def test_tracer_without_work_can_be_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its thread has ended, nothing holds a tracer that nobody uses."""
    monkeypatch.setattr(flusher, "_IDLE_S", 0.02)
    core = TracerCore()  # a Tracer would be held by the fixture that checks accounts
    config = Config.from_env({}, flush_interval_s=0.01)
    core._on_first_chunk = flusher.Flusher(core, ScriptedExporter(), config).start
    # in a context of its own, because a context keeps the span that was active last
    contextvars.Context().run(lambda core: core.trace("a").finish(), core)
    while core.stats()["sent"] == 0:
        time.sleep(0.005)
    reference = weakref.ref(core)
    del core
    wait_until(lambda: gc.collect() is not None and reference() is None)


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


# -- verdicts --------------------------------------------------------------------------------------


def test_outage_loses_nothing() -> None:
    """Traces wait while the agent is away, and arrive once each and in order when it is back."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    finish(tracer, "a")
    wait_until(lambda: len(exporter.calls) >= 2)
    finish(tracer, "b")
    exporter.answers = (SENT,)
    finish(tracer, "c")
    assert tracer.flush() is True
    assert exporter.taken == ["a", "b", "c"]


def test_outage_is_met_with_patience() -> None:
    """The longer the agent is away, the rarer the attempts."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    finish(tracer, "a")
    wait_until(lambda: len(exporter.times) >= 7)
    pauses = [
        after - before for before, after in zip(exporter.times, exporter.times[1:], strict=False)
    ]
    assert pauses[5] > 0.2  # 0.01 s doubled five times, less a quarter
    tracer.shutdown(0.1)


def test_memory_is_bounded_while_the_agent_is_away() -> None:
    """A full buffer drops new traces and counts them; the thread does not spin meanwhile."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=0.05, buffer_max_bytes=50_000)
    for _ in range(2000):
        finish(tracer, "a")
    stats = tracer.stats()
    assert stats["buffered_bytes"] <= 50_000
    assert stats["dropped"]["buffer_full"] > 1000
    assert accounting_difference(stats) == 0
    attempts = len(exporter.calls)
    time.sleep(0.2)
    assert len(exporter.calls) - attempts < 10
    tracer.shutdown(0.1)


def test_overload_is_not_retried_for_ever() -> None:
    """A payload that an agent keeps refusing is dropped after ten attempts, for that reason."""
    exporter = ScriptedExporter(*[OVERLOADED] * 10, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a")
    while not tracer.stats()["dropped"]:
        tracer.flush(10.0)
        finish(tracer, "b")
    assert tracer.stats()["dropped"] == {"refused_503": 1}
    assert sum("a" in names for names in exporter.calls) == 10
    assert tracer.flush() is True


def test_later_payloads_wait_behind_one_that_is_put_back() -> None:
    """If the first payload has to wait, the others are not tried, and their order is kept."""
    exporter = ScriptedExporter(OVERLOADED, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0, payload_max_bytes=1024)
    names = [f"number {index}" for index in range(20)]
    finish(tracer, *names)
    assert tracer.flush(10.0) is True
    assert exporter.calls[0] == exporter.calls[1]
    assert len(exporter.calls) > 3
    assert exporter.taken == names


def test_refused_payload_does_not_stop_the_next() -> None:
    """After a refused payload the others are still delivered."""
    exporter = ScriptedExporter(TOO_LARGE, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0, payload_max_bytes=1024)
    finish(tracer, *[f"number {index}" for index in range(20)])
    assert tracer.flush(10.0) is False
    stats = tracer.stats()
    assert stats["dropped"]["refused_413"] == len(exporter.calls[0])
    assert stats["sent"] == 20 - len(exporter.calls[0])


def test_exporter_that_raises() -> None:
    """An exception of somebody's exporter harms nobody: the traces count as unconfirmed."""

    def broken() -> ExportResult:
        raise RuntimeError("broken")

    exporter = ScriptedExporter(broken, SENT)
    tracer = make_tracer(exporter)
    finish(tracer, "a")
    assert tracer.flush() is False
    finish(tracer, "b")
    assert tracer.flush() is True
    stats = tracer.stats()
    assert (stats["sent"], stats["unconfirmed"]) == (1, 1)


def test_rates_reach_the_sampler(session: Any) -> None:
    """The rates of the agent's reply decide about the next trace, and are replaced as a whole."""
    tracer = session.make_tracer()
    seen = []
    for rates in ({"service:svc,env:": 0.5}, {"service:other,env:": 0.5}):
        session.set_rates(rates)
        finish(tracer, "told")
        assert tracer.flush() is True
        finish(tracer, "used")
        seen += [
            span["metrics"].get("_dd.agent_psr")
            for span in session.received()
            if span["name"] == "used"
        ]
    assert seen == [0.5, None]


def test_refused_v05_switches_the_encoder() -> None:
    """After an agent has refused v0.5 the tracer encodes v0.4 itself; no span is lost."""
    with FaultServer(answering(response(404, b""), response())) as server:
        config = Config.from_env({}, agent_url=server.url, api_version="v0.5")
        tracer = Tracer(config=config)
        for name in ("a", "b"):
            finish(tracer, name)
            assert tracer.flush() is True
        assert tracer.stats()["sent"] == 2
    paths = [request["path"] for request in server.requests]
    assert paths == ["/v0.5/traces", "/v0.4/traces", "/v0.4/traces"]
    names = [
        decode_payload(request["body"], "v0.4")[0][0]["name"] for request in server.requests[1:]
    ]
    assert names == ["a", "b"]


def test_restarted_agent_under_load(tmp_path: Any) -> None:
    """An agent that goes away and comes back under load gets every span exactly once."""
    path = str(tmp_path / "apm.socket")
    config = Config.from_env({}, agent_url=f"unix://{path}", flush_interval_s=0.01)
    tracer = Tracer(config=config)
    bodies = []
    finished = 0
    for _ in range(3):
        with FaultServer(answering(response()), path) as server:
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline:
                finish(tracer, f"number {finished}")
                finished += 1
                time.sleep(0.0005)
            assert tracer.flush(10.0) is True  # between two requests, so that none is cut
            bodies += [request["body"] for request in server.requests]
        finish(tracer, f"number {finished}")
        finished += 1
        time.sleep(0.05)
        os.unlink(path)
    with FaultServer(answering(response()), path) as server:
        assert tracer.flush(10.0) is True
        bodies += [request["body"] for request in server.requests]
    names = [span["name"] for body in bodies for [span] in decode_payload(body, "v0.4")]
    assert sorted(names) == sorted(f"number {index}" for index in range(finished))
    assert tracer.stats()["sent"] == finished


def test_accounting_is_exact_under_threads_and_random_verdicts() -> None:
    """Whatever the verdicts, each span is in one place, and none is delivered twice."""
    verdicts = [SENT, UNREACHABLE, SENT, OVERLOADED, UNCONFIRMED, SENT, TOO_LARGE, SLOW]
    exporter = ScriptedExporter(*[verdicts[i * i * 7 % len(verdicts)] for i in range(500)], SENT)
    tracer = make_tracer(exporter, flush_interval_s=0.001, payload_max_bytes=4096)
    stop = threading.Event()
    problems = []

    def trace(number: int) -> None:
        for index in range(1000):
            finish(tracer, f"{number}.{index}")
            if index % 100 == 0:
                tracer.flush(0.05)

    def check() -> None:
        while not stop.is_set():
            if accounting_difference(tracer.stats()):
                problems.append(tracer.stats())

    threads = [threading.Thread(target=trace, args=(number,)) for number in range(4)]
    checker = threading.Thread(target=check)
    for thread in (*threads, checker):
        thread.start()
    for thread in threads:
        thread.join()
    exporter.answers = (SENT,)
    tracer.flush(20.0)
    stop.set()
    checker.join()
    assert not problems
    stats = tracer.stats()
    assert (stats["buffered"], stats["in_flight"], stats["finished"]) == (0, 0, 4000)
    assert len(exporter.taken) == len(set(exporter.taken)) == stats["sent"]


# -- the end ---------------------------------------------------------------------------------------


def test_stop_delivers_and_ends_the_thread() -> None:
    """shutdown() delivers what is finished, ends the thread and closes the connection."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a")
    tracer.shutdown()
    assert exporter.taken == ["a"]
    assert exporter.closed
    assert not tracer._flusher._alive
    assert not tracer._flusher_running


def test_stop_of_an_idle_thread_is_quick() -> None:
    """A sleeping thread ends as soon as it is told to."""
    tracer = make_tracer(ScriptedExporter(), flush_interval_s=0.01)
    finish(tracer, "a")
    wait_until(lambda: tracer._flusher._parked)
    begin = time.monotonic()
    assert tracer._flusher.stop(10.0) is True
    assert time.monotonic() - begin < 1.0


def test_stop_gives_up_at_once_where_nobody_listens() -> None:
    """At the end a refused connection is not tried again: traces are dropped, and counted."""
    tracer = Tracer(config=Config.from_env({}, agent_url=refused_url(), flush_interval_s=3600.0))
    finish(tracer, "a")
    begin = time.monotonic()
    assert tracer._flusher.stop(2.0) is False
    assert time.monotonic() - begin < 0.5
    assert tracer.stats()["dropped"] == {"unreachable": 1}


def test_stop_tries_an_overloaded_agent_until_its_deadline() -> None:
    """At the end "not now" is tried again with pauses, until the time is over."""
    exporter = ScriptedExporter(OVERLOADED)
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a")
    begin = time.monotonic()
    assert tracer._flusher.stop(0.4) is False
    assert 0.3 < time.monotonic() - begin < 2.0
    assert 2 <= len(exporter.calls) <= 10
    assert tracer.stats()["dropped"] == {"refused_503": 1}


def test_stop_leaves_a_mute_agent_at_its_deadline() -> None:
    """stop() does not wait longer than told, and lets the thread that hangs go on."""

    def behave(peer: Any) -> None:
        peer.read()
        peer.wait_for_hangup()

    with FaultServer(behave) as server:
        config = Config.from_env({}, agent_url=server.url, agent_timeout_s=30.0)
        tracer = Tracer(config=config)
        finish(tracer, "a")
        begin = time.monotonic()
        assert tracer.flush(0.1) is False
        assert tracer._flusher.stop(0.3) is False
        assert time.monotonic() - begin < 2.0
        wait_for_thread_end(tracer)
    assert tracer.stats()["unconfirmed"] == 1


def test_tracer_can_be_used_after_stop() -> None:
    """A trace finished after stop() starts the flusher anew."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    finish(tracer, "a")
    assert tracer._flusher.stop(10.0) is True
    finish(tracer, "b")
    wait_until(lambda: exporter.taken == ["a", "b"])


def test_two_tracers_do_not_disturb_each_other() -> None:
    """One tracer's agent being away or mute does not delay the other's."""
    let_go = threading.Event()

    def hang() -> ExportResult:
        let_go.wait(30.0)
        return SENT

    mute = make_tracer(ScriptedExporter(hang), flush_interval_s=0.01)
    lively = make_tracer(ScriptedExporter(), flush_interval_s=3600.0)
    finish(mute, "a")
    finish(lively, "b")
    assert lively.flush(10.0) is True
    let_go.set()


# -- without a thread, without an exporter ---------------------------------------------------------


def test_no_thread_to_be_had(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If there is no thread to be had the application goes on, with a warning; flush() sends."""

    def no_thread(function: object) -> None:
        raise RuntimeError("can't start a new thread")

    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    monkeypatch.setattr(flusher, "start_native_thread", no_thread)
    finish(tracer, "a")
    assert "can't start a new thread" in caplog.text
    assert tracer.flush() is True
    assert exporter.taken == ["a"]


def test_flush_without_thread_keeps_what_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the calling thread tries three times and puts the traces back."""
    monkeypatch.setattr(flusher, "start_native_thread", lambda function: 1 / 0)
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter)
    finish(tracer, "a")
    assert tracer.flush(5.0) is False
    assert len(exporter.calls) == 3
    assert tracer.stats()["buffered"] == 1


def test_exporter_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If there is no exporter traces are dropped for that reason, with one warning."""

    def broken(config: object) -> None:
        raise ImportError("no such module")

    monkeypatch.setattr(agent, "AgentExporter", broken)
    tracer = Tracer(config=Config.from_env({}))
    finish(tracer, "a")
    assert tracer.flush() is False
    assert tracer.stats()["dropped"] == {"no_exporter": 1}
    assert caplog.text.count("no such module") == 1


# -- what is said ----------------------------------------------------------------------------------


def test_outage_gives_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """One warning names address, where it comes from and what is wrong, but no tag."""
    url = refused_url()
    config = Config.from_env({"DD_TRACE_AGENT_URL": url}, flush_interval_s=0.01)
    tracer = Tracer(config=config)
    for _ in range(20):
        with tracer.trace("name") as span:
            span.set_tag("card", "s3cret")
        tracer.flush(0.02)
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    message = record.getMessage()
    assert record.name == "fasttrace"
    assert url in message
    assert "DD_TRACE_AGENT_URL" in message
    assert "refused" in message
    assert "s3cret" not in message
    tracer._flusher.stop(0.1)


def test_loss_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Dropped and unconfirmed traces are told, with the agent's verdict."""
    tracer = make_tracer(ScriptedExporter(TOO_LARGE, UNCONFIRMED))
    for _ in range(2):
        finish(tracer, "a")
        tracer.flush()
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert "refused_413" in texts[0]
    assert "not known whether they arrived" in texts[1]


class TracingHandler(logging.Handler):
    """A log handler of an application that traces its logging and flushes at warnings."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer
        self.flushes: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self.tracer.trace("log"):
            pass
        self.flushes.append(self.tracer.flush(5.0))


@pytest.fixture
def add_handler() -> Iterator[Callable[[logging.Handler], None]]:
    """Add a handler to the tracer's logger for one test."""
    logger = logging.getLogger("fasttrace")
    added = []

    def add(handler: logging.Handler) -> None:
        logger.addHandler(handler)
        added.append(handler)

    yield add
    for handler in added:
        logger.removeHandler(handler)


def test_log_handler_that_traces_and_flushes(
    add_handler: Callable[[logging.Handler], None],
) -> None:
    """A log handler called by our own warning may make spans and flush: nobody waits for ever."""
    exporter = ScriptedExporter(TOO_LARGE, SENT)
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    handler = TracingHandler(tracer)
    add_handler(handler)
    finish(tracer, "a")
    begin = time.monotonic()
    wait_until(lambda: exporter.taken == ["log"])
    assert time.monotonic() - begin < 3.0
    assert len(handler.flushes) == 1


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
