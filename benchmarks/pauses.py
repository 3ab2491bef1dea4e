"""How long sending keeps the application from running, per flush of a full buffer.

Two figures of the same flush. The *lock* is what a counter in the flusher says: how long its thread
held the interpreter's lock, in time of the wall clock (`src/unlocked.pxi` has the definition). The
*gap* is what the application sees, by no means of ours: a thread of it reads the clock as fast as
it can and notes the longest time between two reads. Nothing is hidden in it, nor is it all ours:
the gap also holds what the sending takes of the processor without the lock, and what everybody else
on the machine takes, who receives the spans among them, in turns that the system decides on. How
long these are where nothing is sent is shown beside it.

Mostly an agent says what it said before, and a flush is one call of the core (`src/route.pxi`).
What it takes otherwise, the first time for one, is shown as "by Python".

    python benchmarks/pauses.py              half a minute
    python benchmarks/pauses.py --check      exit code 1 if the bar is missed
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import interpreter

HERE = Path(__file__).resolve().parent
HELD_MAX_US = 200
#: flushes of each; ddtrace takes ten times as long to fill its buffer
FLUSHES = {"fasttrace": 25, "python": 25, "ddtrace": 5, "none": 25}
QUIET_S = 0.03  # what is watched where nothing is sent
SPANS = 60_000  # for a tracer whose buffer says nothing of how full it is


def longest_gap_us(is_over: Callable[[], bool]) -> float:
    """Read the clock until `is_over`; the longest time between two reads."""
    longest_ns = 0
    last_ns = time.perf_counter_ns()
    while not is_over():
        now_ns = time.perf_counter_ns()
        if now_ns - last_ns > longest_ns:
            longest_ns = now_ns - last_ns
        last_ns = time.perf_counter_ns()
    return longest_ns / 1e3


def fasttrace_flushes(url: str, by_python: bool = False) -> list[dict[str, float]]:
    """Full buffers of fasttrace, sent by its thread as it sends a buffer that fills up.

    by_python: by a round that is gone through, as if the last had not been usual.
    """
    import sending

    burst, flush, tracer = sending.make("fasttrace", url)
    burst(1000)
    flush()
    counter = tracer._flusher.lock_time
    limit = tracer._config.buffer_max_bytes - (64 << 10)
    tracer._on_first_chunk = None  # a flusher that is awake would take a buffer that is half full
    flushes = []
    for _ in range(FLUSHES["fasttrace"]):
        time.sleep(0.05)
        tracer._flusher_running = True
        sys.setswitchinterval(0.5)
        while tracer._buffered_bytes < limit:
            burst(100)
        size = tracer._buffered_bytes
        sys.setswitchinterval(0.005)
        time.sleep(0.05)
        before = counter.flushes
        if by_python:
            tracer._flusher._route = None
        tracer._flusher.start()
        tracer._wake.set()
        gap_us = longest_gap_us(lambda before=before: counter.flushes > before)  # type: ignore[misc]
        held = {"held_us": counter.last_ns / 1e3, "times": counter.last_stretches}
        flushes.append({"gap_us": gap_us, "bytes": size, **held})
        assert tracer.stats()["buffered"] == 0
    return flushes


def ddtrace_flushes(url: str) -> list[dict[str, float]]:
    """As many spans of ddtrace, sent by a flush() in another thread."""
    os.environ["DD_TRACE_WRITER_INTERVAL_SECONDS"] = "3600"
    import sending

    burst, flush, _ = sending.make("ddtrace", url)
    burst(1000)
    flush()
    flushes = []
    for _ in range(FLUSHES["ddtrace"]):
        burst(SPANS)
        thread = threading.Thread(target=flush)
        thread.start()
        flushes.append({"gap_us": longest_gap_us(lambda thread=thread: not thread.is_alive())})  # type: ignore[misc]
    return flushes


def no_flushes(url: str) -> list[dict[str, float]]:
    """The same thread where nobody else does anything."""
    flushes = []
    for _ in range(FLUSHES["none"]):
        end_s = time.monotonic() + QUIET_S
        gap_us = longest_gap_us(lambda end_s=end_s: time.monotonic() > end_s)  # type: ignore[misc]
        flushes.append({"gap_us": gap_us})
    return flushes


def python_flushes(url: str) -> list[dict[str, float]]:
    """The same where each round is gone through."""
    return fasttrace_flushes(url, by_python=True)


MEASURES = {
    "fasttrace": fasttrace_flushes,
    "python": python_flushes,
    "ddtrace": ddtrace_flushes,
    "none": no_flushes,
}


def measure(name: str, cores: str, url: str) -> list[dict[str, float]]:
    """In this process, on so many cores."""
    if cores == "1" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.path[1:1] = [str(HERE / "peers")]
    sys.path.append(str(HERE.parent))
    return MEASURES[name](url)


def run(python: str, name: str, cores: int, url: str) -> list[dict[str, float]]:
    """Measure in a process of its own."""
    done = subprocess.run(
        [python, __file__, "--one", name, str(cores), url],
        check=True,
        env={**interpreter.clean_environment(), "DD_TRACE_AGENT_URL": url},
        stdout=-1,
        text=True,
    )
    flushes: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return flushes


def row(title: str, figures: list[float]) -> list[str]:
    """Least, median, most."""
    middle = statistics.median(figures)
    return [title, f"{min(figures):,.0f}", f"{middle:,.0f}", f"{max(figures):,.0f}"]


def main() -> int:
    """Measure, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--one", nargs=3, metavar=("TRACER", "CORES", "URL"), help="measure in this process")
    add("--python", default=sys.executable, help="interpreter for fasttrace and none")
    add("--peers-python", default=sys.executable, help="interpreter for ddtrace")
    add("--tracers", default=",".join(MEASURES), help="which ones")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if the bar is missed")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        sys.stdout.flush()
        os._exit(0)
    import report
    from compare import machine_line
    from sink import Sink

    sink = Sink(arguments.peers_python)
    figures: dict[str, list[dict[str, float]]] = {}
    try:
        for name in arguments.tracers.split(","):
            python = arguments.peers_python if name == "ddtrace" else arguments.python
            for cores in (2,) if name == "python" else (2, 1):
                figures[f"{name}, {cores}"] = run(python, name, cores, sink.url)
                sink.counted()
    finally:
        sink.stop()
    ours = figures["fasttrace, 2"]
    held_us = [flush["held_us"] for flush in ours]
    rows = [row("fasttrace holds the lock, in all", held_us)]
    if "python, 2" in figures:
        by_python_us = [flush["held_us"] for flush in figures["python, 2"]]
        rows.append(row("fasttrace holds the lock, in all, by Python", by_python_us))
    for key, flushes in figures.items():
        name, _, cores = key.partition(", ")
        if name == "python":
            continue
        who = "nothing is sent" if name == "none" else f"{name} sends"
        where = "one core" if cores == "1" else "all cores"
        gaps_us = [flush["gap_us"] for flush in flushes]
        rows.append(row(f"longest gap of a thread, {where}, {who}", gaps_us))
    size = statistics.median(flush["bytes"] for flush in ours) / (1 << 20)
    times = statistics.median(flush["times"] for flush in ours)
    counts = ", ".join(f"{name}: {FLUSHES[name]}" for name in arguments.tracers.split(","))
    result = report.markdown(["microseconds per flush", "least", "median", "most"], rows) + (
        f"\n\nFlushes of {size:.1f} MiB ({SPANS:,} spans of ddtrace; {counts}), in which fasttrace "
        f"takes the lock {times:.0f} times; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "pauses", result, figures)
    print()
    median_us = statistics.median(held_us)
    claim = f"the flusher holds the lock {median_us:.0f} us per flush, at most {HELD_MAX_US}"
    return report.print_verdicts([(median_us <= HELD_MAX_US, claim)], arguments.check)


if __name__ == "__main__":
    sys.exit(main())
