"""The application of the agent state tests, in a process of its own.

Reads one line of JSON from standard input: `mode` ("load", "exit" or "leak"), `resolver`, `config`
(of the tracer), `load_s`, `traces` (of a leak run) and `exit_traces` (50). Under load it prints a
line when it wants the agent to get well, and is told by a line of input that it is. Prints a line
of JSON at the end.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import sys
import threading
import time

order = json.loads(sys.stdin.readline())
report: dict = {}


def at_last() -> None:
    """Registered before the tracer's own exit callback, so it is called after that."""
    report["exit_s"] = time.monotonic() - report.pop("end")
    report["stats"] = tracer.stats()
    print(json.dumps(report), flush=True)


atexit.register(at_last)

from fasttrace import Tracer, _resolve  # noqa: E402
from fasttrace.config import Config  # noqa: E402

healed = threading.Event()
if order["resolver"]:

    def getaddrinfo(host: bytes, port: int, flags: int) -> list:
        """Resolve as the order says, once the agent is well correctly."""
        if not flags and order["resolver"] == "hangs":
            healed.wait(60.0)
        if flags or not healed.is_set():
            raise OSError(-2, "Name or service not known")
        return [(2, ("127.0.0.1", port))]

    _resolve._getaddrinfo = getaddrinfo

tracer = Tracer(config=Config.from_env({}, service="app", **order["config"]))
longest_s = [0.0] * 3


def rss_mib() -> float:
    """Resident memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def one_trace(name: str, thread: int) -> None:
    """Finish a trace of two spans and about 2 kB, and time that."""
    root = tracer.start_span(name)
    root.set_tag("text", "x" * 2000)
    tracer.start_span(name + ".child", child_of=root).finish()
    begin = time.perf_counter()
    root.finish()
    longest_s[thread] = max(longest_s[thread], time.perf_counter() - begin)


def load(thread: int, until: float) -> None:
    """Finish traces at a rate that leaves the processor to others, until that time."""
    index = 0
    while time.monotonic() < until:
        for _ in range(2):
            one_trace(f"{thread}-{index}", thread)
            index += 1
        time.sleep(0.005)


def run_load() -> None:
    """Trace in three threads, then let the agent get well and wait until all is delivered."""
    begin = time.monotonic()
    threads = [
        threading.Thread(target=load, args=(number, begin + order["load_s"])) for number in range(3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(order["load_s"] / 2)  # by then the buffer is as full as it gets
    half_mib = rss_mib()
    for thread in threads:
        thread.join()
    report["grown_mib"] = rss_mib() - half_mib
    report["sick"] = tracer.stats()
    report["flusher_alive"] = tracer._flusher._alive
    print(json.dumps({"heal": True}), flush=True)
    sys.stdin.readline()
    healed.set()
    # Delivery resumes by itself: nobody calls flush().
    deadline = time.monotonic() + 20.0
    while tracer.stats()["sent"] == report["sick"]["sent"] and time.monotonic() < deadline:
        one_trace(f"waiting-{time.monotonic_ns()}", 0)
        time.sleep(0.02)
    wait_until_delivered(deadline)
    for index in range(10):
        one_trace(f"well-{index}", 0)
    wait_until_delivered(deadline)


def trimmed_mib() -> float:
    """Resident memory after the allocator has given back what it can: what is left is in use."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return rss_mib()


def run_for_leaks() -> None:
    """Finish many traces, and see how much memory the last two thirds of them have cost."""
    count = order["traces"]
    for number in range(count):
        one_trace(f"0-{number}", 0)
        if number % 50 == 0:
            time.sleep(0.002)  # lets the flusher have a turn
        if number == count // 3:
            third_mib = trimmed_mib()
    report["grown_mib"] = trimmed_mib() - third_mib


def wait_until_delivered(deadline: float) -> None:
    """Wait until the tracer has nothing to send."""
    while time.monotonic() < deadline:
        stats = tracer.stats()
        if not stats["buffered"] and not stats["in_flight"]:
            break
        time.sleep(0.01)


if order["mode"] == "load":
    run_load()
elif order["mode"] == "leak":
    run_for_leaks()
else:
    for number in range(order.get("exit_traces", 50)):
        one_trace(f"0-{number}", 0)
report["longest_finish_s"] = max(longest_s)
report["end"] = time.monotonic()
