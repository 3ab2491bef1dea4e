"""An exporter that answers as it is told, and tracers that deliver to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from reference import decode_payload

from fasttrace import Tracer, flusher
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


def wait_until(
    condition: Callable[[], object], timeout_s: float = 10.0, poll_s: float = 0.005
) -> None:
    """Wait for `condition`, looked at every `poll_s`, and fail if it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(poll_s)


def wait_for_thread_end(tracer: Tracer) -> None:
    """Wait until the tracer has no background thread."""
    wait_until(lambda: not tracer._flusher._alive)
