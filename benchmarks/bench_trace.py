"""pyperf: traces of several shapes, nanoseconds per span.

    python benchmarks/bench_trace.py [--fast] [-o FILE] [any other pyperf option]

* wide: a root with 99 children, one after the other
* deep: 100 spans, each within the one before
* async: 20 tasks at once, each with five spans and a suspension within each
* threads: four threads, each with traces of ten spans
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pyperf
from pyperf_bursts import timer

CHILDREN = range(99)
DEPTH = 99
TASKS, SPANS_OF_TASK = 20, range(5)
THREADS = 4


def bursts(tracer: Any, child10: Any) -> dict[str, Any]:
    """Functions of a number of spans, a multiple of a hundred."""

    def wide(n: int) -> None:
        for _ in range(n // 100):
            with tracer.trace("web.request"):
                for _ in CHILDREN:
                    with tracer.trace("cache.get"):
                        pass

    def within(depth: int) -> None:
        with tracer.trace("step"):
            if depth:
                within(depth - 1)

    def deep(n: int) -> None:
        for _ in range(n // 100):
            within(DEPTH)

    async def task() -> None:
        for _ in SPANS_OF_TASK:
            with tracer.trace("step"):
                await asyncio.sleep(0)

    async def tasks(n: int) -> None:
        for _ in range(n // 100):
            await asyncio.gather(*(task() for _ in range(TASKS)))

    loop = asyncio.new_event_loop()

    def asynchronous(n: int) -> None:
        loop.run_until_complete(tasks(n))

    def threads(n: int) -> None:
        workers = [threading.Thread(target=child10, args=(n // THREADS,)) for _ in range(THREADS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return {"wide": wide, "deep": deep, "async": asynchronous, "threads": threads}


def main() -> None:
    """Run every shape."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "fasttrace, one span in traces of several shapes"
    import peer_fasttrace

    spans = 10_000  # so that starting threads and an event loop is a small part of it
    found = bursts(peer_fasttrace.tracer, peer_fasttrace.scenarios["child10"])
    for name, burst in found.items():
        time_it = timer(burst, peer_fasttrace.after_burst, spans)
        runner.bench_time_func(name, time_it, inner_loops=spans)


if __name__ == "__main__":
    main()
