"""How the background thread ends, and what is done where there is none."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fault_server import FaultServer, refused_url
from scripted_exporter import (
    OVERLOADED,
    SENT,
    UNREACHABLE,
    ScriptedExporter,
    finish,
    make_tracer,
    wait_for_thread_end,
    wait_until,
)

from fasttrace import Tracer, _exit, agent, flusher
from fasttrace.config import Config
from fasttrace.exporter import ExportResult

pytestmark = pytest.mark.usefixtures("fresh_log")


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


def test_what_the_sending_thread_finishes_at_the_end_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After exit began: a destructor that traces in the thread that sends loses nothing."""

    def send_and_trace() -> ExportResult:
        if len(exporter.calls) < 4:
            finish(tracer, f"during call {len(exporter.calls)}", "more")
        return SENT

    exporter = ScriptedExporter(send_and_trace)
    tracer = make_tracer(exporter)
    monkeypatch.setattr(_exit, "_began", True)
    monkeypatch.setattr(_exit, "_spent_ns", 0)
    finish(tracer, "late")
    assert exporter.calls == [
        ["late"],
        ["during call 1", "more"],
        ["during call 2", "more"],
        ["during call 3", "more"],
    ]
    assert tracer.stats()["buffered"] == 0


def test_an_endless_supply_of_late_traces_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sending that itself makes traces stops in time; what is left goes with the next."""

    def send_and_trace() -> ExportResult:
        if endless:
            finish(tracer, "again")
        return SENT

    endless = True
    exporter = ScriptedExporter(send_and_trace)
    tracer = make_tracer(exporter, exit_timeout_s=60.0)
    monkeypatch.setattr(_exit, "_began", True)
    monkeypatch.setattr(_exit, "_spent_ns", int(59.8e9))
    finish(tracer, "late")
    assert len(exporter.calls) > 1
    assert tracer.stats()["buffered"] == 1
    endless = False
    finish(tracer, "last")
    assert exporter.taken[-2:] == ["again", "last"]
    assert tracer.stats()["buffered"] == 0


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
