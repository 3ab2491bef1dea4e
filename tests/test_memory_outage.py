"""Memory of a process whose agent comes and goes: the buffer's bound, and little beside it.

Outages of random lengths, at random rates, one after the other; in full size ten times as many. The
flusher's part is played by the test, so that a long outage takes no longer than its traces do.
"""

from __future__ import annotations

import os
import sys

import pytest
from test_memory import FULL, run_with_rss

from fasttrace._span import BUILD

OUTAGES = 200 if FULL else 20
BOUND_MIB = 20  # the default
#: Whether large buffers are mapped by themselves (_block.h); else the heap keeps holes.
MAPPED = (
    sys.platform == "linux"
    and not BUILD["portable"]
    and "libasan" not in os.environ.get("LD_PRELOAD", "")
)

CODE = """
    import random, threading
    from fasttrace.config import Config
    tracer = Tracer(config=Config.from_env({"DD_TRACE_API_VERSION": "VERSION"}, service="svc"))
    tracer._on_first_chunk = None
    bound = BOUND_MIB << 20

    def request(number):
        with tracer.trace("web.request", resource=f"GET /order/{number % 100}") as root:
            root.set_tag("http.method", "GET")
            with tracer.trace("db.query", service="db") as query:
                query.set_tag("db.statement", f"SELECT * FROM orders WHERE id = {number}" * 4)
                query.set_metric("rows", number % 7)

    def work(count):
        for number in range(count):
            request(number)

    def trace(count):  # in threads: each has a part of the heap of its own
        threads = [threading.Thread(target=work, args=(count // 4,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def put_back(payloads):
        for payload in reversed(payloads):
            assert tracer._unswap(payload)

    choice = random.Random(1)
    trace(400)
    take()
    idle = rss_mib()
    full = peaks = 0
    peak_of = []
    for outage in range(OUTAGES):
        per_interval = choice.choice((400, 2000, 8000, 20000))
        peak = 0
        while sum(tracer.stats()["dropped"].values()) == full:  # until nothing more has room
            put_back(tracer._swap())
            trace(per_interval)
            peak = max(peak, rss_mib() - idle)
            assert tracer.stats()["buffered_bytes"] <= bound
            if choice.random() < 0.02:
                break  # or until the agent is there again
        for _ in range(20):  # an outage goes on, and nothing changes
            put_back(tracer._swap())
            request(0)
        peak_of.append(max(peak, rss_mib() - idle))
        for payload in tracer._swap():
            tracer._settle(payload, "sent")
        full = sum(tracer.stats()["dropped"].values())
    print("peaks, MiB:", *(round(each, 1) for each in peak_of))
    print("after it:", round(rss_mib() - idle, 1))
    print(max(peak_of))
"""


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_outages_do_not_grow_the_process(version: str) -> None:
    """However many outages there are, memory stays below twice the buffer's bound."""
    code = CODE.replace("VERSION", version).replace("BOUND_MIB", str(BOUND_MIB))
    assert (
        run_with_rss(code.replace("OUTAGES", str(OUTAGES))) < (2 if MAPPED else 4) * BOUND_MIB + 4
    )
