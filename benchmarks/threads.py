"""Whether threads slow each other down: nanoseconds per span with 1, 4 and 16 threads.

All threads of a process share one interpreter lock, so the best there is stays the same: what all
threads do together in a second. Ten-span traces, as many in all whatever the number of threads; the
fastest of several bursts, numbers in turns, the median of five processes.

    python benchmarks/threads.py              about half a minute
    python benchmarks/threads.py --check      exit code 1 if the bar is missed
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import interpreter

HERE = Path(__file__).resolve().parent
THREADS = (1, 4, 16)
SPANS = {"fasttrace": 320_000, "ddtrace": 9_600, "otel": 9_600}
CHUNK_SPANS = 200
"""Between two of these what is buffered is taken away, in the thread that filled the buffer."""
BURSTS = 5
SPREAD_MAX = 1.20
"""The dearest number of threads may cost so many times the cheapest."""


def one_burst(adapter: Any, threads: int, spans: int) -> float:
    """Nanoseconds per span, all threads together, from the start of the first to the last's end."""
    burst = adapter.scenarios["child10"]
    after = getattr(adapter, "after_burst", lambda: None)
    begin = threading.Barrier(threads + 1)

    def work() -> None:
        begin.wait()
        for _ in range(spans // threads // CHUNK_SPANS):
            burst(CHUNK_SPANS)
            after()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    begin.wait()
    start_ns = time.perf_counter_ns()
    for worker in workers:
        worker.join()
    return (time.perf_counter_ns() - start_ns) / spans


def measure(name: str) -> list[float]:
    """In this process: the fastest burst for each number of threads."""
    sys.path[1:1] = [str(HERE / "peers")]
    sys.path.append(str(HERE.parent))
    adapter = importlib.import_module(f"peer_{name}")
    found: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(BURSTS):
        for threads in THREADS:
            found[threads].append(one_burst(adapter, threads, SPANS[name]))
    return [min(found[threads]) for threads in THREADS]


def main() -> int:
    """Measure in processes of their own, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--one", metavar="TRACER", help="measure in this process")
    add("--runs", type=int, default=5, help="processes of each, in turns (default %(default)s)")
    add("--python", default=sys.executable, help="interpreter for fasttrace")
    add("--peers-python", default=sys.executable, help="interpreter for the others")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if the bar is missed")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        sys.stdout.flush()
        os._exit(0)
    import report
    from compare import PEERS, machine_line

    environments = {peer.name: peer.environment for peer in PEERS}
    figures: dict[str, list[list[float]]] = {name: [] for name in SPANS}
    for _ in range(arguments.runs):
        for name, found in figures.items():
            python = arguments.python if name == "fasttrace" else arguments.peers_python
            command = [python, __file__, "--one", name]
            environment = {**interpreter.clean_environment(), **environments[name]}
            done = subprocess.run(command, check=True, env=environment, stdout=-1, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    rows, spreads = [], {}
    for name, runs in figures.items():
        costs = [statistics.median(run[at] for run in runs) for at in range(len(THREADS))]
        spreads[name] = statistics.median(max(run) / min(run) for run in runs)
        rows.append([name, *(f"{cost:,.0f}" for cost in costs), f"{spreads[name]:.2f}"])
    head = ["tracer", *(f"ns, {n} thread{'s' * (n > 1)}" for n in THREADS), "dearest / cheapest"]
    result = report.markdown(head, rows) + (
        f"\n\nNanoseconds per span of a 10-span trace, all threads together, median of "
        f"{arguments.runs} processes; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "threads", result, figures)
    print()
    claim = f"1, 4 and 16 threads: within {spreads['fasttrace']:.2f} times, at most {SPREAD_MAX}"
    return report.print_verdicts([(spreads["fasttrace"] <= SPREAD_MAX, claim)], arguments.check)


if __name__ == "__main__":
    sys.exit(main())
