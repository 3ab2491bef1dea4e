"""fasttrace's implementation of the OpenTelemetry API as a peer, in a process of its own.

Of its own, because a process that never asks for it does not load it, and the other scenarios are
measured in such a one.
"""

from __future__ import annotations

import measured
import peer_fasttrace
from bursts import CHILDREN, Burst
from peer_fasttrace import after_burst, count_spans, file, label, versions

from fasttrace.opentelemetry import TracerProvider

__all__ = ["after_burst", "count_spans", "file", "label", "scenarios", "versions"]

# Asked for in the way an application does, so that the tracer is what `get_tracer` returns.
otel_tracer = TracerProvider(peer_fasttrace.tracer).get_tracer("bench")
measured.tracer = otel_tracer


def otel_face(n: int) -> None:
    for _ in range(n // 10):
        with otel_tracer.start_as_current_span("web.request"):
            for _ in CHILDREN:
                with otel_tracer.start_as_current_span("cache.get"):
                    pass


scenarios: dict[str, Burst] = {"otel_face": otel_face}
