"""fasttrace's encoders alone: finished spans to bytes."""

from __future__ import annotations

from bursts import Burst
from encoded import SPANS, finished_trace
from peer_fasttrace import after_burst, file, label, tracer, versions

from fasttrace._span import encode_trace

__all__ = ["after_burst", "file", "label", "scenarios", "versions"]


def _burst(tagged: bool, version: str) -> Burst:
    spans = finished_trace(tracer, tagged)

    def burst(n: int) -> None:
        # As in the payload buffer: one growing piece of memory, no object for each trace.
        encode_trace(spans, version, n // SPANS)

    return burst


scenarios: dict[str, Burst] = {
    "untagged": _burst(False, "v0.4"),
    "tagged": _burst(True, "v0.4"),
    "untagged-v0.5": _burst(False, "v0.5"),
    "tagged-v0.5": _burst(True, "v0.5"),
}
