"""Captures beside a flusher: where the other spans go, and what becomes of the buffer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from helpers import run_python, spans_of
from test_testing import VERSIONS, names

from fasttrace import Tracer
from fasttrace._span import NativeEvent
from fasttrace.config import Config
from fasttrace.exporter import ExportResult
from fasttrace.flusher import Flusher
from fasttrace.testing import capture

if TYPE_CHECKING:
    from conftest import Session


@VERSIONS
def test_the_agent_receives_what_is_finished_before_and_after(
    session: Session, api_version: str
) -> None:
    """With a running flusher the captured spans stay here and all others reach the agent, once."""
    tracer = session.make_tracer(api_version=api_version, flush_interval_s=0.01)
    for turn in range(20):
        with tracer.trace(f"before {turn}"):
            pass
        with capture(tracer) as spans, tracer.trace("captured"):
            pass
        assert names(spans) == ["captured"]
        with tracer.trace(f"after {turn}"):
            pass
    received = sorted(span["name"] for span in session.received())
    assert received == sorted(
        f"{when} {turn}" for when in ("before", "after") for turn in range(20)
    )
    stats = tracer.stats()
    assert (stats["sent"], stats["dropped"]) == (40, {"captured": 20})


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait, for at most 20 s, until `condition` holds."""
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Gate:
    """An exporter that keeps its caller waiting until it is told the answer."""

    def __init__(self, answer: ExportResult) -> None:
        self.answer = answer
        self.entered, self.go_on = NativeEvent(), NativeEvent()
        self.calls = 0
        self.spans = 0  # sent

    def export(self, payload: Any, trace_count: int, timeout_s: float) -> ExportResult:
        self.calls += 1
        self.entered.set()
        assert self.go_on.wait(30.0)
        if self.answer.status == "sent":
            self.spans += payload.span_count
        return self.answer


def make_tracer_with(exporter: Any) -> Tracer:
    """A tracer whose flusher uses `exporter`."""
    tracer = Tracer(config=Config.from_env({}, service="svc", flush_interval_s=0.001))
    tracer._flusher = Flusher(tracer, exporter, tracer._config)
    tracer._on_first_chunk = tracer._flusher.start
    return tracer


def test_what_the_flusher_puts_back_is_not_captured() -> None:
    """A payload on its way when the capture begins is sent later, if the agent refuses it now."""
    exporter = Gate(ExportResult("retry", reason="unreachable"))
    tracer = make_tracer_with(exporter)
    with tracer.trace("before"):
        pass
    assert exporter.entered.wait(30.0)
    with capture(tracer) as spans:
        with tracer.trace("captured"):
            pass
        exporter.go_on.set()
        wait_until(lambda: exporter.calls >= 3)
        assert names(spans) == ["captured"]
    assert names(spans) == ["captured"]
    exporter.answer = ExportResult("sent")
    assert tracer.flush(30.0)
    assert exporter.spans == 1
    stats = tracer.stats()
    assert (stats["sent"], stats["dropped"]) == (1, {"captured": 1})


def test_older_traces_are_sent_while_the_block_runs() -> None:
    """A flusher that is at it goes on to try with older traces, and never gets others."""
    exporter = Gate(ExportResult("retry", reason="unreachable"))
    tracer = make_tracer_with(exporter)
    with tracer.trace("before"):
        pass
    assert exporter.entered.wait(30.0)
    with capture(tracer) as spans:
        with tracer.trace("captured"):
            pass
        exporter.go_on.set()
        exporter.answer = ExportResult("sent")
        wait_until(lambda: tracer.stats()["sent"])
        with tracer.trace("captured, too"):
            pass
        assert tracer.flush(30.0)
    assert exporter.spans == 1
    assert names(spans) == ["captured", "captured, too"]


def test_what_waited_before_waits_afterwards(new_tracer: Callable[..., Tracer]) -> None:
    """Where nobody sends, older traces are in the buffer after the capture, in their order."""
    tracer = new_tracer(payload_max_bytes=1024)
    expected = [f"before {number}" for number in range(20)]
    for name in expected:
        with tracer.trace(name):
            pass
    with capture(tracer) as spans, tracer.trace("captured"):
        pass
    with tracer.trace("after"):
        pass
    assert names(spans) == ["captured"]
    assert [span["name"] for span in spans_of(tracer)] == [*expected, "after"]


def test_a_flusher_that_comes_too_late_gets_what_is_there(tracer: Tracer) -> None:
    """If the last capture ends between two steps of the flusher, it goes on as without one."""
    with capture(tracer):
        swap, unswap = tracer._swap, tracer._unswap  # what the flusher has just looked up
    with tracer.trace("op"):
        pass
    [payload] = swap()
    assert tracer.stats()["in_flight"] == 1
    assert unswap(payload)
    assert tracer.stats()["buffered"] == 1
    with capture(tracer) as spans:
        assert swap() == [payload]
        with tracer.trace("captured"):
            pass
        assert swap() == []
        assert unswap(payload)
    assert names(spans) == ["captured"]
    assert [span["name"] for span in spans_of(tracer)] == ["op"]


def test_a_buffer_full_of_older_traces_leaves_room_for_captures(
    new_tracer: Callable[..., Tracer],
) -> None:
    """Without an agent the buffer fills up, but what is captured is not lost to that."""
    tracer = new_tracer(buffer_max_bytes=4096)
    while not tracer.stats()["dropped"]:
        with tracer.trace("before"):
            pass
    waiting = tracer.stats()["buffered"]
    with capture(tracer) as spans, tracer.trace("captured"):
        pass
    assert names(spans) == ["captured"]
    assert tracer.stats()["buffered"] == waiting
    assert [span["name"] for span in spans_of(tracer)] == ["before"] * waiting


def test_older_traces_for_which_there_is_no_room_any_more_are_counted(
    new_tracer: Callable[..., Tracer],
) -> None:
    """If older traces do not fit into the buffer afterwards they are dropped for that reason."""
    tracer = new_tracer(buffer_max_bytes=4096)
    for _ in range(8):
        with tracer.trace("before"):
            pass
    with capture(tracer) as spans, tracer.trace("captured"):
        tracer._set_limits(0, 1024, 1024)
    assert names(spans) == ["captured"]
    assert tracer.stats()["dropped"] == {"captured": 1, "buffer_full": 8}


def test_a_block_may_trace_more_than_the_buffer_holds(new_tracer: Callable[..., Tracer]) -> None:
    """Nothing is lost to the bound of the buffer, with or without a running flusher."""
    tracer = new_tracer(buffer_max_bytes=20_000)
    with capture(tracer) as spans:
        for _ in range(1_000):
            with tracer.trace("op", resource="x" * 100):
                pass
    assert len(spans) == 1_000


def test_a_capture_without_flusher_starts_no_thread_and_no_connection() -> None:
    """Neither capturing nor the end of the process needs an agent, a thread or a socket."""
    code = """
        import os, sys
        from fasttrace import tracer
        from fasttrace.testing import capture
        for _ in range(3):
            with capture() as spans:
                for _ in range(100):
                    with tracer.trace("op"):
                        pass
            assert len(spans) == 100
        assert not tracer._flusher_running
        assert "fasttrace.agent" not in sys.modules
        if os.path.isdir("/proc/self/task"):
            assert len(os.listdir("/proc/self/task")) == 1
    """
    result = run_python(code, env={**os.environ, "DD_TRACE_AGENT_URL": "http://127.0.0.1:9"})
    assert (result.stdout, result.stderr) == ("", "")


def test_the_tracer_is_as_before_afterwards() -> None:
    """After the last capture nothing of it is left in the tracer."""
    tracer = make_tracer_with(Gate(ExportResult("sent")))
    before = dict(vars(tracer)), tracer._on_first_chunk, tracer.enabled
    with capture(tracer), capture(tracer), tracer.trace("op"):
        assert vars(tracer) != before[0]
    assert (vars(tracer), tracer._on_first_chunk, tracer.enabled) == before
