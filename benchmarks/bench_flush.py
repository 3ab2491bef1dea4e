"""pyperf: a flush of 100 ten-span traces to an exporter that takes everything, per flush.

    python benchmarks/bench_flush.py [--fast] [-o FILE] [any other pyperf option]

The tracing itself is not timed. What a flush costs the application's threads is another question:
see pauses.py.
"""

from __future__ import annotations

import time
from typing import Any

import pyperf
from pyperf_bursts import BURST_SPANS


def main() -> None:
    """Run it."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "fasttrace, one flush of 1,000 spans"
    import measured
    import peer_fasttrace  # makes the shapes, on a tracer that is not used here

    from fasttrace import Tracer
    from fasttrace.config import Config
    from fasttrace.exporter import ExportResult
    from fasttrace.flusher import Flusher

    class Taker:
        """Takes every payload."""

        def export(self, payload: Any, trace_count: int, timeout_s: float) -> ExportResult:
            return ExportResult("sent")

    config = Config.from_env({})
    tracer = Tracer(config=config)
    tracer._flusher = Flusher(tracer, Taker(), config)
    tracer._on_first_chunk = tracer._flusher.start
    assert measured.tracer is peer_fasttrace.tracer

    def run(loops: int) -> float:
        now = time.perf_counter
        elapsed_s = 0.0
        for _ in range(loops):
            for _ in range(BURST_SPANS // 10):
                with tracer.trace("web.request"):
                    for _ in range(9):
                        with tracer.trace("cache.get"):
                            pass
            start = now()
            assert tracer.flush()
            elapsed_s += now() - start
        return elapsed_s

    runner.bench_time_func("flush of 1,000 spans", run)


if __name__ == "__main__":
    main()
