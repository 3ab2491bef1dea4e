"""ddtrace as a peer: everything up to the writer, nothing of what the writer does.

Its sampler, trace processors and tag processors run; the writer, which would encode and send, is
replaced by one that drops. Its encoding is therefore NOT in its figure, while ours is in ours.
Telemetry and remote configuration are off (compare.py sets the variables): no thread competes.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import Any

import measured
from bursts import Burst
from ddtrace.internal.writer import TraceWriter
from ddtrace.trace import tracer

label = "ddtrace"


class DropWriter(TraceWriter):
    """Takes traces and forgets them."""

    def write(self, spans: Sequence[Any] | None = None) -> None:
        pass

    def recreate(self, *args: Any, **kwargs: Any) -> DropWriter:
        return self

    def stop(self, timeout: float | None = None) -> None:
        pass

    def flush_queue(self) -> None:
        pass


class CountWriter(DropWriter):
    """Counts what it is given; never used in a timed burst."""

    count = 0

    def write(self, spans: Sequence[Any] | None = None) -> None:
        self.count += len(spans or ())


_drop_writer = DropWriter()
tracer._span_aggregator.writer = _drop_writer

measured.tracer = tracer
scenarios: dict[str, Burst] = importlib.import_module("shapes").scenarios


def versions() -> dict[str, str]:
    """Version of the installed package."""
    return {"ddtrace": importlib.metadata.version("ddtrace")}


def count_spans(burst: Burst, n: int) -> int:
    """Run `burst(n)` and return how many spans reached the writer."""
    writer = CountWriter()
    tracer._span_aggregator.writer = writer
    try:
        burst(n)
    finally:
        tracer._span_aggregator.writer = _drop_writer
    return writer.count
