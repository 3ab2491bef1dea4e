"""What a configuration as in production adds to a span, over a tracer that nobody configured.

*bare* has no variable set. *production* has DD_SERVICE, DD_ENV, DD_VERSION, two DD_TAGS, a
sampling rule and health metrics, and every trace has a caller in another process. One process of
each, and of the CPython floor, take turns as in compare.py. The cost of one more child is the
difference of traces of 20 and of 10 spans, divided by ten: what the root costs is not in it.

    python benchmarks/profiles.py              five runs, about twenty seconds
    python benchmarks/profiles.py --check      exit code 1 if a child costs 0.10 floor more
"""

from __future__ import annotations

import argparse
import statistics
import sys

import report
from sampling_rules import MATCHING_ENV

PRODUCTION_ENV = {
    "DD_SERVICE": "shop",
    "DD_ENV": "prod",
    "DD_VERSION": "1.42.0",
    "DD_TAGS": "team:checkout,region:eu-central-1",
    "DD_TRACE_HEALTH_METRICS_ENABLED": "true",
    **MATCHING_ENV,
}
ADDED_MAX = 0.10
"""A child may cost so many times the floor more in production."""
BURST_SPANS = 1000
SCENARIOS = {
    "floor": ("child10", "single_root"),
    "bare": ("child10", "child20"),
    "production": ("production10", "production20"),
}
"""Traces of 10 and of 20 spans, by process; the floor has no 20."""

Run = dict[str, tuple[float, float]]
"""Process -> nanoseconds of one span in a trace of ten with its root, of one more child."""


def one_run(python: str, core: int | None, rounds: int) -> Run:
    """Start the three, let them take turns, end them."""
    from compare import Peer, Worker

    workers: dict[str, Worker] = {}
    best: dict[tuple[str, str], float] = {}
    try:
        workers["floor"] = Worker(Peer("floor", "floor", {}), python, core)
        workers["bare"] = Worker(Peer("bare", "fasttrace", {}), python, core)
        workers["production"] = Worker(
            Peer("production", "fasttrace", PRODUCTION_ENV), python, core
        )
        names = list(workers)
        for number in range(rounds):
            turn = number % len(names)
            for which in (0, 1):
                for name in names[turn:] + names[:turn]:
                    scenario = SCENARIOS[name][which]
                    cost = workers[name].burst_ns(scenario, BURST_SPANS)
                    best[name, scenario] = min(cost, best.get((name, scenario), cost))
    finally:
        for worker in workers.values():
            worker.stop()
    run: Run = {}
    for name, (ten, twenty) in SCENARIOS.items():
        of_ten = best[name, ten]
        child = of_ten if name == "floor" else 2 * best[name, twenty] - of_ten
        run[name] = (of_ten, child)
    return run


def instructions(python: str) -> dict[str, tuple[float, float]]:
    """The same two figures in instructions, by callgrind; needs valgrind."""
    import tempfile
    from pathlib import Path

    import gate

    counted: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in ("bare", "production"):
            totals = [
                gate.count(python, "fasttrace", scenario, Path(directory)).total
                for scenario in SCENARIOS[name]
            ]
            counted[name] = (totals[0], 2 * totals[1] - totals[0])
    return counted


def main() -> int:
    """Measure, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=200, help="rounds in a run (default %(default)s)")
    add("--runs", type=int, default=5, help="runs with fresh processes (default %(default)s)")
    add("--python", default=sys.executable, help="interpreter that is measured")
    add("--instructions", action="store_true", help="count instructions, too (needs valgrind)")
    add("--json", metavar="FILE", help="write the runs")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if the ceiling is missed")
    arguments = parser.parse_args()
    from compare import choose_core
    from floor.build import generate_c

    generate_c()
    core = choose_core()
    runs = [one_run(arguments.python, core, arguments.rounds) for _ in range(arguments.runs)]
    counted = instructions(arguments.python) if arguments.instructions else {}
    rows, added = [], []
    for which, title in enumerate(("span in a 10-span trace, root included", "one more child")):
        ns = {name: statistics.median(run[name][which] for run in runs) for name in SCENARIOS}
        more = statistics.median(
            (run["production"][which] - run["bare"][which]) / run["floor"][0] for run in runs
        )
        added.append(more)
        cells = [title, f"{ns['bare']:.0f}", f"{ns['production']:.0f}", f"{more:+.2f}"]
        if counted:
            cells += [f"{counted[name][which]:,.0f}" for name in ("bare", "production")]
        rows.append(cells)
    head = ["", "bare ns", "production ns", "added, x floor"]
    head += ["bare Ir", "production Ir"] if counted else []
    floor_ns = statistics.median(run["floor"][0] for run in runs)
    result = report.markdown(head, rows) + (
        f"\n\nFloor {floor_ns:.0f} ns; fastest burst of {arguments.rounds}, "
        f"median of {arguments.runs} runs."
    )
    print(result)
    report.save(arguments, "profiles", result, {"runs": runs, "instructions": counted})
    print()
    claim = f"a child costs {added[1]:+.2f} floor more in production, at most {ADDED_MAX:+.2f}"
    return report.print_verdicts([(added[1] <= ADDED_MAX, claim)], arguments.check)


if __name__ == "__main__":
    sys.exit(main())
