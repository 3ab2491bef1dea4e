"""What connected logs add to a record of the standard library's logging, nanoseconds a record.

    python benchmarks/bench_logs.py [--rounds N] [--check]

Records are made by `Logger.makeRecord`, without handlers, in turns: with logging as it is, with
`fasttrace.logs.enable()` inside and outside of a span, and after `disable()`. Each figure is the
lowest of the rounds. `--check` fails if a connected record costs a microsecond more than a plain
one, or if `disable()` does not leave the factory of before.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # behind an installed fasttrace

import fasttrace.logs
from fasttrace import tracer

RECORDS = 200
ROUNDS = 500
LIMIT_NS = 1000.0
SPAN = tracer.start_span("sell")  # never finished, so nothing is sent


def record_ns() -> float:
    """Nanoseconds that one record takes, as an average of some."""
    make = logging.getLogger("shop").makeRecord
    start = time.perf_counter_ns()
    for _ in range(RECORDS):
        make("shop", logging.INFO, "shop.py", 7, "sold %s", ("bread",), None)
    return (time.perf_counter_ns() - start) / RECORDS


def connected_ns() -> float:
    """The same with connected logs."""
    fasttrace.logs.enable()
    try:
        return record_ns()
    finally:
        fasttrace.logs.disable()


def in_span_ns() -> float:
    """The same inside of a span."""
    tracer.context_provider.activate(SPAN)
    try:
        return connected_ns()
    finally:
        tracer.context_provider.activate(None)


WAYS: dict[str, Callable[[], float]] = {
    "plain": record_ns,
    "connected, in a span": in_span_ns,
    "connected, outside of a span": connected_ns,
    "disabled again": record_ns,  # after the others, in each round
}


def measure(rounds: int) -> dict[str, float]:
    """Return the lowest of the rounds for each way."""
    lowest = dict.fromkeys(WAYS, float("inf"))
    gc.disable()
    for _ in range(rounds):
        for name, way in WAYS.items():
            lowest[name] = min(lowest[name], way())
    return lowest


def main() -> int:
    """Print the table; return 1 if `--check` finds a record too dear."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    factory = logging.getLogRecordFactory()
    lowest = measure(options.rounds)
    plain = lowest["plain"]
    for name, ns in lowest.items():
        print(f"{name:<30}{ns:>8,.0f} ns  {ns - plain:>+6,.0f}")
    dear = [name for name in lowest if "connected" in name and lowest[name] - plain > LIMIT_NS]
    left = logging.getLogRecordFactory() is not factory
    if options.check and (dear or left):
        print("too dear:", ", ".join(dear) if dear else "the factory stays")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
