"""ddtrace as a peer: everything up to the writer, nothing of what the writer does.

Its sampler, trace processors and tag processors run; the writer, which would encode and send, is
replaced by one that drops. Its encoding is therefore NOT in its figure, while ours is in ours.
Telemetry and remote configuration are off (compare.py sets the variables): no thread competes.
"""

from __future__ import annotations

import importlib
import importlib.metadata

import measured
from bursts import Burst
from ddtrace.trace import Context, tracer
from ddtrace_writer import CountWriter, DropWriter

label = "ddtrace"

_drop_writer = DropWriter()
tracer._span_aggregator.writer = _drop_writer

measured.tracer, measured.Context = tracer, Context
scenarios: dict[str, Burst] = importlib.import_module("shapes").scenarios

expected_spans = {"discarded_child": 40}
"""Spans that its writer gets of 40, where that is not what worker.py expects: it sends all."""


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
