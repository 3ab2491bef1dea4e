"""How long sending keeps the interpreter's lock from the application, per flush of a full buffer.

Measured from outside, in a release build: the main thread does nothing but read a clock, so a gap
between two readings is time it was kept waiting, and nothing else runs but the flusher. The gaps of
a flush are added up. What the machine does meanwhile can only lengthen them, and the time it takes
to wake a thread is in them: the least of all flushes is an upper bound of what the flusher holds.

    python benchmarks/pauses.py              about half a minute
    python benchmarks/pauses.py --check      exit code 1 if the bar is missed
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import interpreter

HERE = Path(__file__).resolve().parent
HELD_MAX_US = 200
GAP_NS = 3_000
"""Between two readings of a clock there is less, unless somebody else has the lock."""
FLUSHES = 25
SETTLING_NS = 100_000_000


def one_flush(burst, tracer) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Fill the buffer, let the flusher send it, and add up the gaps, in microseconds."""
    from fasttrace._span import monotonic_ns

    limit = tracer._config.buffer_max_bytes - (64 << 10)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1.0)  # or the flusher would take a buffer that is half full
    filled = 0
    while tracer._buffered_bytes < limit:
        burst(100)
        filled += 100
    held = tracer._buffered_bytes
    sent = tracer.stats()["sent"]
    sys.setswitchinterval(interval_s)
    gaps = []
    done_ns = 0
    checked_ns = last_ns = monotonic_ns()
    while not done_ns or last_ns < done_ns + SETTLING_NS:
        now_ns = monotonic_ns()
        if now_ns - last_ns > GAP_NS:
            gaps.append((now_ns - last_ns) / 1e3)
        if not done_ns and now_ns - checked_ns > 1_000_000:
            if tracer.stats()["sent"] >= sent + filled:
                done_ns = now_ns
            checked_ns = monotonic_ns()
            now_ns = checked_ns
        last_ns = now_ns
    return {"total_us": sum(gaps), "longest_us": max(gaps, default=0.0), "bytes": held}


def measure(url: str) -> list[dict[str, float]]:
    """In this process: FLUSHES flushes of a full buffer."""
    sys.path[1:1] = [str(HERE / "peers")]
    sys.path.append(str(HERE.parent))
    import sending

    burst, flush, tracer = sending.make("fasttrace", url)
    burst(1000)
    flush()
    time.sleep(0.1)
    return [one_flush(burst, tracer) for _ in range(FLUSHES)]


def main() -> int:
    """Measure in a process of its own, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--one", metavar="URL", help="measure in this process")
    add("--python", default=sys.executable, help="interpreter for fasttrace")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if the bar is missed")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        sys.stdout.flush()
        os._exit(0)
    import report
    from compare import machine_line
    from sink import Sink

    sink = Sink()
    try:
        done = subprocess.run(
            [arguments.python, __file__, "--one", sink.url],
            check=True,
            env=interpreter.clean_environment(),
            stdout=-1,
            text=True,
        )
    finally:
        sink.stop()
    flushes = json.loads(done.stdout.splitlines()[-1])
    totals = [flush["total_us"] for flush in flushes]
    longest = [flush["longest_us"] for flush in flushes]
    rows = [
        [title, f"{min(of):.0f}", f"{statistics.median(of):.0f}"]
        for title, of in (("all gaps of a flush", totals), ("its longest gap", longest))
    ]
    size = statistics.median(flush["bytes"] for flush in flushes) / (1 << 20)
    result = report.markdown(["microseconds", "least", "median"], rows) + (
        f"\n\n{FLUSHES} flushes of {size:.1f} MiB; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "pauses", result, flushes)
    print()
    claim = f"the flusher holds the lock {min(totals):.0f} us per flush, at most {HELD_MAX_US}"
    return report.print_verdicts([(min(totals) <= HELD_MAX_US, claim)], arguments.check)


if __name__ == "__main__":
    sys.exit(main())
