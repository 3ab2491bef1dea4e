"""pyperf: headers of a trace written and read, and requests through the middlewares, per call.

    python benchmarks/bench_propagation.py [--fast] [-o FILE] [any other pyperf option]

propagation.py has the peers beside these figures.
"""

from __future__ import annotations

import pyperf
from pyperf_bursts import timer

CALLS = 100


def main() -> None:
    """Run every scenario the adapter has."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "fasttrace, propagation"
    import peer_fasttrace
    import peer_propagation_fasttrace

    for name, burst in peer_propagation_fasttrace.scenarios.items():
        time_it = timer(burst, peer_fasttrace.after_burst, CALLS)
        runner.bench_time_func(name, time_it, inner_loops=CALLS)


if __name__ == "__main__":
    main()
