"""pyperf: one span in each of the forms of scenarios.py, nanoseconds per span.

    python benchmarks/bench_span.py [--fast] [-o FILE] [any other pyperf option]

Unlike compare.py this reports mean and deviation, of fasttrace alone: for before and after a change
(`python -m pyperf compare_to before.json after.json`).
"""

from __future__ import annotations

import pyperf
from pyperf_bursts import BURST_SPANS, timer


def main() -> None:
    """Run every scenario the fasttrace adapter has."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "fasttrace, cost of one span including v0.4 encoding"
    import peer_fasttrace

    for name, burst in peer_fasttrace.scenarios.items():
        runner.bench_time_func(
            name, timer(burst, peer_fasttrace.after_burst), inner_loops=BURST_SPANS
        )


if __name__ == "__main__":
    main()
