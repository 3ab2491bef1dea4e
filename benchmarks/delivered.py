"""What a span costs in all, sending included: processor time of all threads, per span.

Ten-span tagged traces, sent to a sink on the loopback interface that counts them. Every tracer is
in a process of its own and sends as it does by default, but is also made to after every so many
spans, as its timer would in a service that makes them in a second. The sink's time is not counted.

    python benchmarks/delivered.py              about a minute
    python benchmarks/delivered.py --check      exit code 1 if a bar is missed

opentelemetry gets no more than 1,000 spans at once: its queue holds 2,048, and drops the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import interpreter

HERE = Path(__file__).resolve().parent
TRACERS = ("fasttrace", "ddtrace", "otel")
PER_FLUSH = (1_000, 10_000)
"""Spans between two flushes."""
MOST_AT_ONCE = {"otel": 1_000}
SPANS = {"fasttrace": 200_000, "ddtrace": 20_000, "otel": 20_000, "none": 200_000}
WARM_UP_SPANS = 1_000
TIMES_MIN = {"ddtrace": 30, "otel": 90}


def measure(name: str, url: str, per_flush: int) -> dict[str, float]:
    """In this process: nanoseconds of processor time per span, and the spans that were made."""
    sys.path[1:1] = [str(HERE / "peers")]
    sys.path.append(str(HERE.parent))
    import sending

    burst, flush, _ = sending.make(name, url)
    burst(WARM_UP_SPANS)  # the imports of the first sending are not a span's
    flush()
    per_flush = min(per_flush, MOST_AT_ONCE.get(name, per_flush))
    spans = SPANS[name]
    begin_ns = time.process_time_ns()
    for _ in range(spans // per_flush):
        burst(per_flush)
        flush()
    spent_ns = time.process_time_ns() - begin_ns
    return {"ns": spent_ns / spans, "spans": spans + WARM_UP_SPANS}


def run_one(python: str, name: str, url: str, per_flush: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [python, __file__, "--one", name, url, str(per_flush)]
    done = subprocess.run(
        command, check=True, env=interpreter.clean_environment(), stdout=-1, text=True
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> int:
    """Measure in processes of their own, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--one", nargs=3, metavar=("TRACER", "URL", "SPANS"), help="measure in this process")
    add("--runs", type=int, default=5, help="processes of each, in turns (default %(default)s)")
    add("--python", default=sys.executable, help="interpreter for fasttrace")
    add("--peers-python", default=sys.executable, help="interpreter for the others, and the sink")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if a bar is missed")
    arguments = parser.parse_args()
    if arguments.one:
        name, url, per_flush = arguments.one
        print(json.dumps(measure(name, url, int(per_flush))))
        sys.stdout.flush()
        os._exit(0)
    import report
    from compare import machine_line
    from sink import Sink

    sink = Sink(arguments.peers_python)
    figures: dict[str, list[float]] = {}
    lost: set[str] = set()
    try:
        for _ in range(arguments.runs):
            for name in TRACERS:
                python = arguments.python if name == "fasttrace" else arguments.peers_python
                for per_flush in PER_FLUSH:
                    if per_flush > MOST_AT_ONCE.get(name, per_flush):
                        continue
                    found = run_one(python, name, sink.url, per_flush)
                    figures.setdefault(f"{name} {per_flush}", []).append(found["ns"])
                    if sink.counted()["spans"] != found["spans"]:
                        lost.add(name)
    finally:
        sink.stop()
    rows, verdicts = [], []
    for name in TRACERS:
        cells, ratios = [name], []
        for per_flush in PER_FLUSH:
            at_once = min(per_flush, MOST_AT_ONCE.get(name, per_flush))
            theirs = min(figures[f"{name} {at_once}"])
            ours = min(figures[f"fasttrace {per_flush}"])
            cells.append(f"{theirs:,.0f}")
            ratios.append(theirs / ours)
            if name in TIMES_MIN:
                claim = f"sent, flush each {per_flush:,}: {theirs / ours:.1f} times cheaper than"
                least = TIMES_MIN[name]
                verdicts.append((theirs / ours >= least, f"{claim} {name}, at least {least}"))
        cells += [f"{times:.0f}" for times in ratios]
        rows.append(cells)
    verdicts += [(False, f"{name}: spans did not arrive") for name in sorted(lost)]
    head = ["tracer", *(f"ns, flush each {n:,}" for n in PER_FLUSH)]
    head += [f"x fasttrace, each {n:,}" for n in PER_FLUSH]
    result = report.markdown(head, rows) + (
        "\n\nProcessor time of all threads per span, the least of "
        f"{arguments.runs} processes; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "delivered", result, figures)
    print()
    return report.print_verdicts(verdicts, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
