"""How long sending keeps the interpreter's lock from the application, per flush of a full buffer.

The flusher's thread holds the lock whenever it runs, except in the calls of its socket and in its
waits. So what is counted is the processor time of that thread from the end of one wait to the
beginning of the next, without the time within socket calls. It is processor time: whatever else the
machine does is not in it. Of the reads of that clock, which are dear, one for each socket call is
in it, and taken off again by what such a read costs at the least.

    python benchmarks/pauses.py              some seconds
    python benchmarks/pauses.py --check      exit code 1 if the bar is missed
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interpreter

HERE = Path(__file__).resolve().parent
HELD_MAX_US = 200
FLUSHES = 25


def clock_read_ns() -> int:
    """What a read of the thread's clock costs at the least."""
    reads = [time.thread_time_ns() for _ in range(1000)]
    return min(after - before for before, after in itertools.pairwise(reads))


CLOCK_READ_NS = clock_read_ns()


class Meter:
    """Processor time of one thread, with and without what is spent while the lock is released."""

    def __init__(self) -> None:
        self.released_ns = 0
        self.calls = 0
        self.rounds: list[tuple[int, int]] = []  # nanoseconds with the lock held, released
        self._began_ns: int | None = None

    def released(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, which releases the lock."""

        def metered(*args: Any) -> Any:
            self.calls += 1
            begin_ns = time.thread_time_ns()
            try:
                return function(*args)
            finally:
                self.released_ns += time.thread_time_ns() - begin_ns

        return metered

    def around_wait(self, wait: Callable[[], bool]) -> Callable[[], bool]:
        """The flusher's `_wait`: what is between two of its calls is a round."""

        def metered() -> bool:
            if self._began_ns is not None:
                spent_ns = time.thread_time_ns() - self._began_ns
                held_ns = spent_ns - self.released_ns - self.calls * CLOCK_READ_NS
                self.rounds.append((held_ns, self.released_ns))
            result = wait()
            self.released_ns = self.calls = 0
            self._began_ns = time.thread_time_ns()
            return result

        return metered


def measure(url: str) -> list[dict[str, float]]:
    """In this process: FLUSHES flushes of a full buffer."""
    sys.path[1:1] = [str(HERE / "peers")]
    sys.path.append(str(HERE.parent))
    import sending

    from fasttrace import _stream

    meter = Meter()

    class MeteredSocket(_stream.QuietSocket):
        __slots__ = ()
        send = meter.released(_stream.QuietSocket.send)
        recv = meter.released(_stream.QuietSocket.recv)

    _stream.QuietSocket = MeteredSocket  # type: ignore[misc]
    burst, flush, tracer = sending.make("fasttrace", url)
    tracer._flusher._wait = meter.around_wait(tracer._flusher._wait)
    burst(1000)
    flush()
    flushes = []
    limit = tracer._config.buffer_max_bytes - (64 << 10)
    tracer._on_first_chunk = None  # a flusher that is awake would take a buffer that is half full
    for _ in range(FLUSHES):
        time.sleep(0.05)
        tracer._flusher_running = True
        sys.setswitchinterval(0.5)
        while tracer._buffered_bytes < limit:
            burst(100)
        size = tracer._buffered_bytes
        sys.setswitchinterval(0.005)
        meter.rounds.clear()
        assert flush(20.0), "the buffer was not sent; is the machine very busy?"
        time.sleep(0.05)
        held_ns, released_ns = max(meter.rounds)
        flushes.append({"held_us": held_ns / 1e3, "sending_us": released_ns / 1e3, "bytes": size})
    return flushes


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
            env={**interpreter.clean_environment(), "DD_TRACE_AGENT_URL": sink.url},
            stdout=-1,
            text=True,
        )
    finally:
        sink.stop()
    flushes = json.loads(done.stdout.splitlines()[-1])
    rows = []
    for key, title in (("held_us", "lock held"), ("sending_us", "in socket calls, lock released")):
        of = [flush[key] for flush in flushes]
        rows.append([title, f"{min(of):,.0f}", f"{statistics.median(of):,.0f}", f"{max(of):,.0f}"])
    held_us = statistics.median(flush["held_us"] for flush in flushes)
    size = statistics.median(flush["bytes"] for flush in flushes) / (1 << 20)
    head = ["flusher, microseconds of processor time", "least", "median", "most"]
    result = report.markdown(head, rows) + (
        f"\n\n{FLUSHES} flushes of {size:.1f} MiB; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "pauses", result, flushes)
    print()
    claim = f"the flusher holds the lock {held_us:.0f} us per flush, at most {HELD_MAX_US}"
    return report.print_verdicts([(held_us <= HELD_MAX_US, claim)], arguments.check)


if __name__ == "__main__":
    sys.exit(main())
