"""What a request waits longer because it is traced: percentiles, traced and untraced in turns.

A request reads and writes some JSON, about 70 microseconds; traced, it makes a 10-span tagged trace
besides. Every second one is traced. Collector, flusher and a sink on the loopback interface are at
work, as in a service with some hundred requests a second. One process for each tracer.

    python benchmarks/latency.py              about half a minute

Pauses that a tracer's background thread causes meet both kinds of requests, so the row "none", a
process without any tracer, is beside them. Nothing here is a gate: these figures are the machine's
as much as the tracer's.
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
TRACERS = ("none", "fasttrace", "ddtrace", "otel")
PAIRS = 6_000
PAUSE_S = 0.0005
"""After every pair; without it opentelemetry's queue runs over, and what it drops costs nothing."""
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def measure(name: str, url: str) -> dict[str, list[float]]:
    """In this process: microseconds of the untraced and the traced requests at each percentile."""
    sys.path[1:1] = [str(HERE / "peers")]
    sys.path.append(str(HERE.parent))
    import sending

    burst, flush, _ = sending.make(name, url)
    items = [{"number": number, "name": f"bread {number}", "price": 3.5} for number in range(70)]
    text = json.dumps(items)
    times: tuple[list[int], list[int]] = ([], [])
    now_ns = time.perf_counter_ns
    for pair in range(PAIRS + 200):
        for traced in (0, 1) if pair % 2 else (1, 0):
            begin_ns = now_ns()
            json.dumps(json.loads(text))
            if traced:
                burst(10)
            times[traced].append(now_ns() - begin_ns)
        time.sleep(PAUSE_S)
    flush()  # so that what is missing at the sink was dropped
    found = {}
    for kind, of in zip(("untraced", "traced"), times, strict=True):
        ordered = sorted(of[200:])
        found[kind] = [ordered[int(len(ordered) * share)] / 1e3 for share in SHARES.values()]
    return found


def main() -> int:
    """Measure in processes of their own and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--one", nargs=2, metavar=("TRACER", "URL"), help="measure in this process")
    add("--python", default=sys.executable, help="interpreter for fasttrace and none")
    add("--peers-python", default=sys.executable, help="interpreter for the others")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        sys.stdout.flush()
        os._exit(0)
    import report
    from compare import machine_line
    from sink import Sink

    sink = Sink(arguments.peers_python)
    figures: dict[str, dict[str, list[float]]] = {}
    spans: dict[str, int] = {}
    try:
        for name in TRACERS:
            ours = name in ("none", "fasttrace")
            python = arguments.python if ours else arguments.peers_python
            done = subprocess.run(
                [python, __file__, "--one", name, sink.url],
                check=True,
                env=interpreter.clean_environment(),
                stdout=-1,
                text=True,
            )
            figures[name] = json.loads(done.stdout.splitlines()[-1])
            spans[name] = sink.counted()["spans"]
    finally:
        sink.stop()
    rows = []
    for name, found in figures.items():
        pairs = zip(found["untraced"], found["traced"], strict=True)
        cells = [f"{us:,.0f}" for pair in pairs for us in pair]
        rows.append([name, *cells, f"{spans[name]:,}"])
    head = ["tracer"]
    for share in SHARES:
        head += [f"{share} untraced us", "traced"]
    result = report.markdown([*head, "spans received"], rows) + (
        f"\n\n{PAIRS:,} pairs of requests; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "latency", result, {"us": figures, "spans": spans})
    return 0


if __name__ == "__main__":
    sys.exit(main())
