"""Compare what headers of a trace, and requests that are traced, cost; print one table.

As compare.py does with spans: each propagator in a process of its own with its default styles, all
of them on one core in turns, the fastest burst counts, and the median over runs of ratios within
one run.

    python benchmarks/propagation.py               five runs, about a minute
    python benchmarks/propagation.py --quick       one short run
    python benchmarks/propagation.py --check       exit code 1 if a promise is not kept
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import report
from compare import PEERS, Peer, Worker, choose_core, machine_line, started


class Row(NamedTuple):
    """One row of the table."""

    scenario: str
    title: str
    ddtrace_min: float  # so many times cheaper than ddtrace at least
    otel_min: float | None  # None: not compared
    burst: int = 300  # calls in one timed burst


ROWS = (
    Row("inject", "inject a span", 10, 1),
    Row("inject_baggage", "inject a span, 2 items of baggage", 10, 1),
    Row("extract", "extract a trace", 10, 1),
    Row("extract_baggage", "extract a trace, 2 items of baggage", 10, 1),
    Row("extract_nothing", "extract, no trace in the headers", 10, 1),
    Row("asgi", "ASGI middleware, a whole request", 10, None, 50),
    Row("wsgi", "WSGI middleware, a whole request", 10, None, 50),
)
ENVIRONMENTS = {peer.name: peer.environment for peer in PEERS}
PROPAGATORS = tuple(
    Peer(name, f"propagation_{name}", ENVIRONMENTS[name])
    for name in ("fasttrace", "ddtrace", "otel")
)


def measure(workers: list[Worker], rounds: int) -> report.Bursts:
    """One run: `rounds` rounds of one burst per row and propagator."""
    bursts: report.Bursts = {worker.peer.name: {} for worker in workers}
    for number in range(rounds):
        turn = number % len(workers)
        for row in ROWS:
            for worker in workers[turn:] + workers[:turn]:
                if row.scenario not in worker.hello["scenarios"]:
                    continue
                cost = worker.burst_ns(row.scenario, row.burst)
                bursts[worker.peer.name].setdefault(row.scenario, []).append(cost)
    return bursts


def text(runs: list[report.Bursts], hellos: dict[str, Any], rounds: int) -> str:
    """The table, and what a reader needs to judge it."""
    head = ["", *(f"{name} ns" for name in hellos), "cheaper than ddtrace", "cheaper than otel"]
    cells = []
    for row in ROWS:
        costs = [report.minimum(runs, name, row.scenario) for name in hellos]
        ratios = [cheaper(runs, name, row) for name in ("ddtrace", "otel")]
        cells.append([row.title, *map(_ns, costs), *map(_times, ratios)])
    lines = [
        report.markdown(head, cells),
        "",
        f"Nanoseconds per call, fastest burst; {len(runs)} runs of {rounds} rounds, "
        f"{time.strftime('%Y-%m-%d')}.",
        "",
        f"* machine: {machine_line()}",
    ]
    for name, hello in hellos.items():
        versions = ", ".join(f"{key} {value}" for key, value in hello["versions"].items())
        lines.append(f"* {name}: {versions}; {hello['python']}")
    return "\n".join(lines)


def _ns(cost: float) -> str:
    return "-" if math.isnan(cost) else f"{cost:,.0f}"


def _times(ratio: float) -> str:
    return "-" if math.isnan(ratio) else format(ratio, ".1f" if ratio < 10 else ".0f")


def cheaper(runs: list[report.Bursts], name: str, row: Row) -> float:
    """How many times cheaper fasttrace is than the propagator of that name."""
    return report.ratio(runs, name, row.scenario, "fasttrace", row.scenario)


def verdicts(runs: list[report.Bursts]) -> list[tuple[bool, str]]:
    """One (met, sentence) for each promise."""
    found = []
    for row in ROWS:
        for name, least in (("ddtrace", row.ddtrace_min), ("otel", row.otel_min)):
            if least is None:
                continue
            got = cheaper(runs, name, row)
            claim = f"{row.title}: {got:.1f} times cheaper than {name}, at least {least:g}"
            found.append((got >= least, claim))
    return found


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=30, help="rounds in a run (default %(default)s)")
    add("--runs", type=int, default=5, help="runs with fresh processes (default %(default)s)")
    add("--quick", action="store_true", help="one run of 10 rounds")
    add("--python", default=sys.executable, help="interpreter for fasttrace")
    add("--peers-python", default=sys.executable, help="interpreter for the other propagators")
    add("--document", metavar="FILE", help="put the result between the marks in this file")
    add("--json", metavar="FILE", help="write raw bursts")
    add("--check", action="store_true", help="exit code 1 if a promise is not kept")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.runs = 10, 1
    return arguments


def main() -> int:
    """Measure, print, check; returns the exit code."""
    arguments = parse_arguments()
    core = choose_core()
    pythons = [
        (peer, arguments.python if peer.name == "fasttrace" else arguments.peers_python)
        for peer in PROPAGATORS
    ]
    runs: list[report.Bursts] = []
    hellos: dict[str, Any] = {}
    for _ in range(arguments.runs):
        try:
            with started(pythons, core) as workers:
                hellos = {worker.peer.name: worker.hello for worker in workers}
                runs.append(measure(workers, arguments.rounds))
        except RuntimeError as exc:
            print(f"propagation: {exc}", file=sys.stderr)
            return 2
    result = text(runs, hellos, arguments.rounds)
    print(result)
    if arguments.document:
        document = Path(arguments.document)
        document.write_text(report.put_into(document.read_text(), result))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(runs) + "\n")
    if not arguments.check:
        return 0
    print()
    for met, sentence in verdicts(runs):
        print(f"{'ok    ' if met else 'MISSED'}  {sentence}")
    return 0 if all(met for met, _ in verdicts(runs)) else 1


if __name__ == "__main__":
    sys.exit(main())
