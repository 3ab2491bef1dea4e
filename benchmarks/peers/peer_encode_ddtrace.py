"""ddtrace's encoders alone, as its writer uses them: put every trace, then encode once."""

from __future__ import annotations

from typing import Any

from bursts import Burst
from ddtrace.internal.encoding import MsgpackEncoderV04, MsgpackEncoderV05
from encoded import SPANS, finished_trace
from peer_ddtrace import label, tracer, versions

__all__ = ["label", "scenarios", "versions"]

_MAX_BYTES = 16 << 20


def _burst(tagged: bool, encoder: Any) -> Burst:
    spans = finished_trace(tracer, tagged)
    encoder.put(spans)
    [(data, count)] = encoder.encode()
    assert count == 1, count
    assert len(data) > 100, len(data)

    def burst(n: int) -> None:
        for _ in range(n // SPANS):
            encoder.put(spans)
        encoder.encode()

    return burst


scenarios: dict[str, Burst] = {
    f"{'tagged' if tagged else 'untagged'}{version}": _burst(tagged, kind(_MAX_BYTES, _MAX_BYTES))
    for tagged in (False, True)
    for version, kind in (("", MsgpackEncoderV04), ("-v0.5", MsgpackEncoderV05))
}
