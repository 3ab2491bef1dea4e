"""pyperf: encoding ten finished spans, nanoseconds per span, beside general msgpack encoders.

    python benchmarks/bench_encode.py [--fast] [-o FILE] [any other pyperf option]

The general encoders get the very maps that our payload decodes to, ready made; building those maps
from spans, which they would need too, is not in their figure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyperf
from pyperf_bursts import timer

CALLS = 100
"""Encodings in one timed burst."""


def repeat(function: Callable[..., Any], *args: Any) -> Callable[[int], None]:
    """A burst of CALLS calls."""

    def burst(_: int) -> None:
        for _ in range(CALLS):
            function(*args)

    return burst


def main() -> None:
    """Bench both wire versions and the general encoders, untagged and tagged."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "encode one trace of ten spans"
    import msgpack
    import msgspec
    import ormsgpack
    import peer_fasttrace
    from encoded import SPANS, finished_trace

    from fasttrace._span import encode_trace

    for kind, tagged in (("untagged", False), ("tagged", True)):
        spans = finished_trace(peer_fasttrace.tracer, tagged)
        maps = msgpack.unpackb(encode_trace(spans, "v0.4"))
        packer = msgpack.Packer()
        encoder = msgspec.msgpack.Encoder()
        cases: dict[str, Callable[[int], None]] = {
            # As in the payload buffer: no object and no memory for each trace.
            "fasttrace v0.4": lambda _, spans=spans: encode_trace(spans, "v0.4", CALLS),
            "fasttrace v0.5": lambda _, spans=spans: encode_trace(spans, "v0.5", CALLS),
            "msgpack": repeat(packer.pack, maps),
            "ormsgpack": repeat(ormsgpack.packb, maps),
            "msgspec": repeat(encoder.encode, maps),
        }
        for name, burst in cases.items():
            runner.bench_time_func(
                f"{name}, {kind}",
                timer(burst, peer_fasttrace.after_burst),
                inner_loops=CALLS * SPANS,
            )


if __name__ == "__main__":
    main()
