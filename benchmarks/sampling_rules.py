"""What sampling rules cost: a rule that matches every root, and the children of a discarded trace.

All in one process and in turns, since what is asked is the difference that rules make: two
processes of the same code differ by more. A missed ceiling gives exit code 1.

    python benchmarks/sampling_rules.py            three runs, about ten seconds
    python benchmarks/sampling_rules.py --quick    one short run
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MATCHING = [{"name": "web.*", "sample_rate": 1}]
DISCARDING = [{"name": "noise.*", "resource": "/health", "sample_rate": 0, "discard": True}]
NO_LIMIT = "1000000000"
MATCHING_ENV = {
    "DD_TRACE_SAMPLING_RULES": json.dumps(MATCHING),
    "DD_TRACE_RATE_LIMIT": NO_LIMIT,
}
DISCARDING_ENV = {"DD_TRACE_SAMPLING_RULES": json.dumps(DISCARDING)}
CEILINGS = {
    "a rule that matches every root adds": 0.30,
    "a discarded child costs": 0.35,
}
"""Times the floor."""
BURST_SPANS = 500


def bursts() -> tuple[dict[str, Callable[[int], None]], Callable[[], None]]:
    """What is timed, by title, and what cleans up behind it."""
    sys.path.append(str(Path(__file__).resolve().parent.parent))  # one built in place
    from floor.build import generate_c, load

    import fasttrace
    from fasttrace import _span
    from fasttrace.config import Config

    tracers: list[Any] = []

    def tracer_with(rules: list[Any]) -> Any:
        limit = int(NO_LIMIT)
        config = Config.from_env({}, service="bench", sampling_rules=rules, rate_limit=limit)
        tracer = fasttrace.Tracer(config=config)
        tracer._flusher_running = True  # the first chunk then starts no thread
        tracers.append(tracer)
        return tracer

    def roots(tracer: Any) -> Callable[[int], None]:
        def burst(n: int) -> None:
            for _ in range(n):
                with tracer.trace("web.request"):
                    pass

        return burst

    discarding = tracer_with(DISCARDING)

    def discarded(n: int) -> None:
        with discarding.trace("noise.request", resource="/health"):
            for _ in range(n):
                with discarding.trace("cache.get"):
                    pass

    def clean_up() -> None:
        _span.adjust_clock(True)
        for tracer in tracers:
            for payload in tracer._swap():
                tracer._settle(payload, "bench")

    generate_c()
    time.sleep(0.02)  # the clock's calibration refuses a shorter baseline
    made = {
        "floor": roots(load().FloorTracer()),
        "root, no rules": roots(tracer_with([])),
        "root, one rule matches": roots(tracer_with(MATCHING)),
        "root, rejected by the rule": roots(tracer_with([{**MATCHING[0], "sample_rate": 0}])),
        "root, third of three rules": roots(
            tracer_with([{"service": "x*", "sample_rate": 0.1}, *DISCARDING, *MATCHING])
        ),
        "discarded child": discarded,
    }
    return made, clean_up


def main() -> int:
    """Measure, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one run of 60 rounds")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    timed, clean_up = bursts()
    runs: list[dict[str, float]] = []
    for _ in range(1 if arguments.quick else 3):
        fastest = dict.fromkeys(timed, float("inf"))
        for _ in range(60 if arguments.quick else 300):
            for title, burst in timed.items():
                begin_ns = time.perf_counter_ns()
                burst(BURST_SPANS)
                spent_ns = (time.perf_counter_ns() - begin_ns) / BURST_SPANS
                fastest[title] = min(spent_ns, fastest[title])
                clean_up()
        runs.append(fastest)
    print(f"{'':<28}{'ns':>9}{'x floor':>9}{'added':>9}   median of {len(runs)} runs' minima")
    for title in timed:
        ns = statistics.median(run[title] for run in runs)
        times = statistics.median(run[title] / run["floor"] for run in runs)
        added = statistics.median(
            (run[title] - run["root, no rules"]) / run["floor"] for run in runs
        )
        shown = f"{added:>+9.2f}" if title.startswith("root, ") else ""
        print(f"{title:<28}{ns:>9.1f}{times:>9.2f}{shown}")
    got = {
        "a rule that matches every root adds": statistics.median(
            (run["root, one rule matches"] - run["root, no rules"]) / run["floor"] for run in runs
        ),
        "a discarded child costs": statistics.median(
            run["discarded child"] / run["floor"] for run in runs
        ),
    }
    for claim, ceiling in CEILINGS.items():
        verdict = "ok    " if got[claim] <= ceiling else "MISSED"
        print(f"{verdict}  {claim} {got[claim]:.2f} x floor, at most {ceiling:.2f}")
    return int(any(got[claim] > ceiling for claim, ceiling in CEILINGS.items()))


if __name__ == "__main__":
    sys.exit(main())
