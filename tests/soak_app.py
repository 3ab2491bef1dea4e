"""The application of the soak test: threads, an event loop and forks, all of them tracing.

`python soak_app.py AGENT_URL SECONDS SPANS_PER_S`. Prints a line of JSON every `REPORT_S` seconds
and one at the end: time, resident memory, the tracer's accounting, and the sums of what the forked
children have accounted for.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any

from fasttrace import Tracer
from fasttrace.config import Config

REPORT_S = 10.0
FORK_EVERY_S = 1.0
CHILD_SPANS = 50
CHILD_TIMEOUT_S = 20.0
PLACES = ("finished", "sent", "unconfirmed", "held", "buffered", "in_flight", "open")
_stop = threading.Event()


def handle_request(tracer: Tracer, number: int) -> None:
    """One request: a trace of five spans with tags, one of them failed now and then."""
    with tracer.trace("web.request", resource=f"GET /order/{number % 100}") as root:
        root.set_tag("http.method", "GET")
        root.set_metric("order.items", number % 7)
        with tracer.trace("cache.get"):
            pass
        with tracer.trace("db.query", service="db") as query:
            query.set_tag("db.statement", f"SELECT * FROM orders WHERE id = {number}")
            with tracer.trace("db.connect"):
                pass
        try:
            with tracer.trace("render"):
                if number % 50 == 0:
                    raise ValueError(number)
        except ValueError:
            pass


def in_thread(tracer: Tracer, per_s: float) -> None:
    """Handle `per_s` requests a second."""
    number = 0
    begin = time.monotonic()
    while not _stop.is_set():
        handle_request(tracer, number)
        number += 1
        time.sleep(max(0.0, begin + number / per_s - time.monotonic()))


async def in_tasks(tracer: Tracer, per_s: float) -> None:
    """Handle requests in tasks that overlap."""

    async def one(number: int) -> None:
        with tracer.trace("task.request"):
            await asyncio.sleep(0.01)
            with tracer.trace("task.part"):
                await asyncio.sleep(0.01)
            await asyncio.gather(*(part(index) for index in range(3)))

    async def part(index: int) -> None:
        with tracer.trace(f"task.part{index}"):
            await asyncio.sleep(0.001 * index)

    number = 0
    begin = time.monotonic()
    tasks: set[asyncio.Task[None]] = set()
    while not _stop.is_set():
        task = asyncio.create_task(one(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
        await asyncio.sleep(max(0.0, begin + number / per_s - time.monotonic()))
    await asyncio.gather(*tasks)


def fork_child(tracer: Tracer, totals: Counter[str]) -> None:
    """Fork; the child traces, sends and ends. Adds its accounting to `totals`."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_end)
            for number in range(CHILD_SPANS // 5):
                handle_request(tracer, number)
            tracer.shutdown(5.0)
            os.write(write_end, json.dumps(tracer.stats()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        ready, _, _ = select.select([read_end], [], [], CHILD_TIMEOUT_S)
        text = os.read(read_end, 65536) if ready else b""
    finally:
        os.close(read_end)
    if not text:
        os.kill(pid, signal.SIGKILL)
        totals["hung"] += 1
    os.waitpid(pid, 0)
    totals["children"] += 1
    if text:
        stats = json.loads(text)
        for name in PLACES:
            totals[name] += stats[name]
        totals["dropped"] += sum(stats["dropped"].values())


def rss_mib() -> float:
    """Resident memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(tracer: Tracer, begin: float, totals: Counter[str], end: bool = False) -> None:
    """Print where everything is."""
    line: dict[str, Any] = {
        "elapsed_s": round(time.monotonic() - begin, 1),
        "rss_mib": round(rss_mib(), 2),
        "stats": tracer.stats(),
        "children": dict(totals),
        "end": end,
    }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Run for as long as the command line says."""
    url, seconds, spans_per_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    tracer = Tracer(config=Config.from_env({}, service="soak", agent_url=url))
    totals: Counter[str] = Counter()
    per_s = spans_per_s / 5 / 3  # five spans a request, three sources
    threads = [threading.Thread(target=in_thread, args=(tracer, per_s)) for _ in range(2)]
    threads.append(threading.Thread(target=lambda: asyncio.run(in_tasks(tracer, per_s))))
    begin = next_report = next_fork = time.monotonic()
    for thread in threads:
        thread.start()
    while (now := time.monotonic()) < begin + seconds:
        if now >= next_report:
            report(tracer, begin, totals)
            next_report += REPORT_S
        if now >= next_fork:
            fork_child(tracer, totals)
            next_fork = max(next_fork + FORK_EVERY_S, now)
        time.sleep(max(0.0, min(next_report, next_fork) - time.monotonic()))
    _stop.set()
    for thread in threads:
        thread.join()
    tracer.shutdown(20.0)
    report(tracer, begin, totals, end=True)


if __name__ == "__main__":
    main()
