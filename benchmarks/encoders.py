"""What encoding alone costs: ten finished spans to bytes, nanoseconds per span.

fasttrace's encoders, ddtrace's, and general msgpack encoders on equal dicts, each in its own
process, in turns as in compare.py.

    python benchmarks/encoders.py              five runs, about twenty seconds
    python benchmarks/encoders.py --check      exit code 1 if a bar is missed
"""

from __future__ import annotations

import argparse
import statistics
import sys

import report
from compare import PEERS, Peer, Worker, choose_core, machine_line

BURST_SPANS = 1000
DDTRACE_ENVIRONMENT = {peer.name: peer.environment for peer in PEERS}["ddtrace"]
ENCODERS = (
    Peer("fasttrace", "encode_fasttrace", {}),
    Peer("ddtrace", "encode_ddtrace", DDTRACE_ENVIRONMENT),
    Peer("general", "encode_general", {}),
)
ROWS = (
    # title, process, what follows "untagged" or "tagged" in its scenarios, least ratio to fasttrace
    ("fasttrace v0.4", "fasttrace", "", None),
    ("fasttrace v0.5", "fasttrace", "-v0.5", None),
    ("ddtrace v0.4", "ddtrace", "", 20),
    ("ddtrace v0.5", "ddtrace", "-v0.5", None),
    ("msgpack.Packer, equal dicts", "general", "-msgpack", 12),
    ("ormsgpack, equal dicts", "general", "-ormsgpack", None),
    ("msgspec, equal dicts", "general", "-msgspec", None),
)
KINDS = ("untagged", "tagged")

Run = dict[tuple[str, str], float]
"""(process, scenario) -> nanoseconds per span of the fastest burst."""


def one_run(python: str, peers_python: str, core: int | None, rounds: int) -> tuple[Run, dict]:
    """Start the processes, let them take turns, end them."""
    workers: list[Worker] = []
    best: Run = {}
    try:
        for peer in ENCODERS:
            workers.append(Worker(peer, python if peer.name != "ddtrace" else peers_python, core))
        hellos = {worker.peer.name: worker.hello for worker in workers}
        for number in range(rounds):
            turn = number % len(workers)
            for worker in workers[turn:] + workers[:turn]:
                for scenario in worker.hello["scenarios"]:
                    cost = worker.burst_ns(scenario, BURST_SPANS)
                    key = worker.peer.name, scenario
                    best[key] = min(cost, best.get(key, cost))
    finally:
        for worker in workers:
            worker.stop()
    return best, hellos


def main() -> int:
    """Measure, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=60, help="rounds in a run (default %(default)s)")
    add("--runs", type=int, default=5, help="runs with fresh processes (default %(default)s)")
    add("--python", default=sys.executable, help="interpreter for fasttrace")
    add("--peers-python", default=sys.executable, help="interpreter for ddtrace")
    add("--json", metavar="FILE", help="write the runs")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if a bar is missed")
    arguments = parser.parse_args()
    core = choose_core()
    runs: list[Run] = []
    hellos: dict = {}
    for _ in range(arguments.runs):
        run, hellos = one_run(arguments.python, arguments.peers_python, core, arguments.rounds)
        runs.append(run)
    rows, verdicts = [], []
    for title, process, suffix, least in ROWS:
        cells = [title]
        for kind in KINDS:
            cells.append(f"{statistics.median(run[process, kind + suffix] for run in runs):.1f}")
        for kind in KINDS:
            times = statistics.median(
                run[process, kind + suffix] / run["fasttrace", kind] for run in runs
            )
            cells.append(f"{times:.1f}")
            if least is not None:
                claim = f"{title}, {kind}: {times:.1f} times fasttrace v0.4, at least {least}"
                verdicts.append((times >= least, claim))
        rows.append(cells)
    head = ["encoder", "untagged ns", "tagged ns", "x fasttrace v0.4", "tagged"]
    known = {name: text for hello in hellos.values() for name, text in hello["versions"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in known.items() if name != "clock")
    result = report.markdown(head, rows) + (
        f"\n\nNanoseconds per span, fastest burst of {arguments.rounds}, median of "
        f"{arguments.runs} runs; {machine_line()}; {hellos['fasttrace']['python']}; {versions}."
    )
    print(result)
    raw = [{f"{process} {name}": cost for (process, name), cost in run.items()} for run in runs]
    report.save(arguments, "encoders", result, raw)
    print()
    return report.print_verdicts(verdicts, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
