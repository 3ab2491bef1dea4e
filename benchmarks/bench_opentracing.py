"""Compare the OpenTracing face with the native API and with the last one ddtrace had (2.21).

Four figures, measured in turns as in compare.py: each peer in its own process, one short burst
each, round after round, on one core; ratios are fastest burst by fastest burst, then the median
over runs. Three bars are checked:

* `start_active_span` with its `with` costs at most 8 times the native `with`;
* ddtrace 2.21's face costs at least 8 times as much as this one;
* native spans cost the same, within 10 %, whether the face is imported or not.

    python benchmarks/bench_opentracing.py             three runs, about a minute
    python benchmarks/bench_opentracing.py --quick     one short run
    python benchmarks/bench_opentracing.py --check     exit code 1 if a bar is missed

An environment with ddtrace 2.21 is made on first use, or named with `--ddtrace-python`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from compare import QUIET_DDTRACE, Peer, Worker, choose_core, machine_line, started

ROOT = Path(__file__).resolve().parent.parent

NATIVE = Peer("native", "fasttrace", {})
FACE = Peer("face", "ot_fasttrace", {})
DDTRACE = Peer("ddtrace", "ot_ddtrace", QUIET_DDTRACE)
SCENARIOS = ("single_root", "child10", "tagged_child10")
BURST_SPANS = 1000
NATIVE_MAX, DDTRACE_MIN, IMPORTED_MAX = 8.0, 8.0, 1.10

Run = dict[tuple[str, str], float]
"""(peer, scenario) -> nanoseconds per span of the fastest burst."""


def measure(workers: dict[str, Worker], rounds: int) -> Run:
    """One run: in every round, each peer's burst of each scenario."""
    best: Run = {}
    names = list(workers)
    for number in range(rounds):
        turn = number % len(names)
        for scenario in (*SCENARIOS, "native_single_root", "native_child10"):
            for name in names[turn:] + names[:turn]:
                if scenario in workers[name].hello["scenarios"]:
                    cost = workers[name].burst_ns(scenario, BURST_SPANS)
                    key = name, scenario
                    best[key] = min(best.get(key, cost), cost)
    return best


def ratio(runs: list[Run], over: tuple[str, str], under: tuple[str, str]) -> float:
    """Median over runs of one figure by another."""
    return statistics.median(run[over] / run[under] for run in runs)


def ddtrace_python() -> str:
    """An interpreter with ddtrace 2.21, as the parity tests make it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from parity.oracle import oracle_python

    return oracle_python("2.21")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=60, help="rounds in a run (default %(default)s)")
    add("--runs", type=int, default=3, help="runs with fresh processes (default %(default)s)")
    add("--quick", action="store_true", help="one run of 15 rounds")
    add("--python", default=sys.executable, help="interpreter for fasttrace")
    add("--ddtrace-python", help="interpreter that has ddtrace 2.21 and opentracing")
    add("--check", action="store_true", help="exit code 1 if a bar is missed")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.runs = 15, 1
    if arguments.ddtrace_python is None:
        arguments.ddtrace_python = ddtrace_python()
    return arguments


def verdicts(runs: list[Run]) -> list[tuple[bool, str]]:
    """What the bars are, whether they are met, and by how much."""
    found = []
    for scenario in ("single_root", "child10"):
        times = ratio(runs, ("face", scenario), ("native", scenario))
        found.append((times <= NATIVE_MAX, f"{scenario}: {times:.1f} x native, at most 8"))
        times = ratio(runs, ("ddtrace", scenario), ("face", scenario))
        found.append((times >= DDTRACE_MIN, f"{scenario}: ddtrace {times:.1f} x, at least 8"))
        times = ratio(runs, ("face", f"native_{scenario}"), ("native", scenario))
        text = f"{scenario}: native with the face imported {times:.2f} x, at most 1.10"
        found.append((times <= IMPORTED_MAX, text))
    return found


def main() -> int:
    """Measure, print, check; returns the exit code."""
    arguments = parse_arguments()
    core = choose_core()
    pythons = [
        (NATIVE, arguments.python),
        (FACE, arguments.python),
        (DDTRACE, arguments.ddtrace_python),
    ]
    runs: list[Run] = []
    versions: dict[str, str] = {}
    for _ in range(arguments.runs):
        with started(pythons, core) as workers:
            for worker in workers:
                versions.update(worker.hello["versions"])
            named = {worker.peer.name: worker for worker in workers}
            runs.append(measure(named, arguments.rounds))
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    print(f"{machine_line()}; {listed}; {arguments.runs} runs of {arguments.rounds} rounds\n")
    print(
        "| scenario | native ns | face ns | ddtrace 2.21 face ns | face / native | ddtrace / face |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for scenario in SCENARIOS:
        figures = [
            statistics.median(run[peer, scenario] for run in runs)
            for peer in ("native", "face", "ddtrace")
        ]
        native = ratio(runs, ("face", scenario), ("native", scenario))
        theirs = ratio(runs, ("ddtrace", scenario), ("face", scenario))
        cells = [scenario, *(f"{figure:.0f}" for figure in figures)]
        print(f"| {' | '.join(cells)} | {native:.1f} | {theirs:.1f} |")
    print()
    results = verdicts(runs)
    for met, sentence in results:
        print(f"{'ok    ' if met else 'MISSED'}  {sentence}")
    return 0 if not arguments.check or all(met for met, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
