"""What the tests of sampling decisions share."""

from __future__ import annotations

from typing import Any

from helpers import spans_of

from fasttrace import Tracer

# trace id (low 64 bits) and whether a rate of one half keeps it: the reference of the protocol.
HALF_RATE = [
    (1, True),
    (10, False),
    (100, True),
    (1000, True),
    (18444899399302180860, False),
    (18444899399302180861, False),
    (18444899399302180862, True),
    (18444899399302180863, True),
    (2**64 - 1, False),
    (2**63 + 1, False),
    (2**63 - 1, True),
    (2**62 + 1, False),
    (2**62 - 1, False),
    (646771306295669658, True),
    (1882305164521835798, True),
    (5198373796167680436, False),
    (6272545487220484606, True),
    (8696342848850656916, True),
    (10197320802478874805, True),
    (10350218024687037124, True),
    (12078589664685934330, False),
    (13794769880582338323, True),
    (14629469446186818297, False),
]

#: rules that reject the trace called "dropped"
DROP = [{"name": "dropped", "sample_rate": 0}]


def decided(tracer: Tracer, name: str = "op", **names: Any) -> dict[str, Any]:
    """Finish one trace of one span and return it as sent."""
    tags = names.pop("tags", {})
    with tracer.trace(name, **names) as span:
        span.set_tags(tags)
    [sent] = spans_of(tracer)
    return sent


def priority(sent: dict[str, Any]) -> int:
    """The sampling priority of a decoded root."""
    return int(sent["metrics"]["_sampling_priority_v1"])
