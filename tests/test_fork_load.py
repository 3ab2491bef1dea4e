"""Many forks while threads trace, one imports and the flusher sends; and what a fork costs."""

from __future__ import annotations

import os

import pytest
from conftest import FULL
from fault_server import FaultServer, answering, response
from fork_programs import run
from helpers import note_figure
from reference import decode_payload

FORKS_AND_THREADS = """
import _imp, ctypes, importlib, multiprocessing, socket
from fasttrace import tracer
way, forks, threads = sys.argv[1], int(sys.argv[2]), 4
if way == "C":
    # The Python code between the fork and the hook must not be made to give up the interpreter's
    # lock: the child could not take it again before the hook. C code has nothing in between.
    sys.setswitchinterval(60.0)
stop = threading.Event()
def trace(number):
    while not stop.is_set():
        with tracer.trace("thread"):
            tracer.trace("inner").finish()
        time.sleep(0.0005)
def import_all_the_while():
    while not stop.is_set():
        for name in ("colorsys", "wave", "http.client", "email.message", "json.decoder"):
            sys.modules.pop(name, None)
            importlib.import_module(name)
        time.sleep(0.001)
workers = [threading.Thread(target=trace, args=(n,), daemon=True) for n in range(threads)]
workers.append(threading.Thread(target=import_all_the_while, daemon=True))
for worker in workers:
    worker.start()
def be_a_child():
    tracer.trace("child").finish()
    if way == "multiprocessing":
        return  # it delivers at its end
    os._exit(0 if tracer.flush(20.0) and tracer.stats()["sent"] == 1 else 1)
def fork():
    if way == "os.fork":
        return os.fork()
    _imp.acquire_lock()  # as uWSGI does with --py-call-osafterfork
    pid = ctypes.PyDLL(None).fork()
    if pid:
        _imp.release_lock()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    return pid
context = multiprocessing.get_context("fork")
for number in range(forks):
    if way == "multiprocessing":
        child = context.Process(target=be_a_child)
        child.start()
        child.join(30.0)
        assert child.exitcode == 0, f"a child ended with {child.exitcode}"
    else:
        pid = fork()
        if not pid:
            be_a_child()
        reap(pid)
stop.set()
for worker in workers:
    worker.join()
assert tracer.flush(20.0)
stats = tracer.stats()
assert stats["sent"] == stats["finished"], stats
print(stats["sent"])
"""

#: Way to fork -> how often, in the small and in the full run.
WAYS = {
    "os.fork": (150, 10_000),
    "multiprocessing": (50, 10_000),
    "C": (50, 2_000),
}


@pytest.mark.parametrize("way", WAYS)
def test_many_forks_while_everything_else_goes_on(way: str) -> None:
    """No child hangs, every span arrives once, every id is unique."""
    count = WAYS[way][FULL]
    with FaultServer(answering(response())) as server:
        env = {
            **os.environ,
            "DD_TRACE_AGENT_URL": server.url,
            "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.01",
            "DD_TRACE_AGENT_TIMEOUT_SECONDS": "30",  # a busy machine is no fault of the agent
            "FASTTRACE_EXIT_TIMEOUT_SECONDS": "30",
        }
        sent = int(run(FORKS_AND_THREADS, env, way, str(count), timeout_s=60.0 + count * 0.2))
        spans = [
            span
            for request in server.requests
            for chunk in decode_payload(request["body"], "v0.4")
            for span in chunk
        ]
    children = sum(span["name"] == "child" for span in spans)
    assert children == count
    assert len(spans) == sent + children
    assert len({span["span_id"] for span in spans}) == len(spans)
    note_figure(f"{count} forks by {way}: no hang, {len(spans)} spans, each once")


#: Hooks of our own around the tracer's: those for before a fork run in the reverse order of their
#: registration, the others in its order.
HOOKS = """
import resource
clocks = (time.perf_counter, time.thread_time)
times = {"before": [], "parent": [], "child": []}
def begin():
    global at
    at = [clock() for clock in clocks]
def end(place):
    times[place].append([clock() - began for clock, began in zip(clocks, at)])
os.register_at_fork(
    before=lambda: end("before"), after_in_parent=begin, after_in_child=begin
)
from fasttrace import tracer
os.register_at_fork(
    before=begin, after_in_parent=lambda: end("parent"), after_in_child=lambda: end("child")
)
stop = threading.Event()
def trace():
    while not stop.is_set():
        tracer.trace("thread").finish()
        time.sleep(0.0005)
workers = [threading.Thread(target=trace, daemon=True) for _ in range(4)]
for worker in workers:
    worker.start()
tracer.flush(10.0)  # what is imported late has been by now
pipe = os.pipe()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        os.write(pipe[1], repr(times["child"][-1]).encode())
        os._exit(0)
    times["child"].append(eval(os.read(pipe[0], 100)))
    reap(pid)
stop.set()
for place, measured in times.items():
    print(place, *(sorted(each)[len(measured) * 99 // 100] for each in zip(*measured)))
"""


def test_hooks_cost_a_fork_little() -> None:
    """The tracer's own work at a fork takes less than a millisecond, the flusher being busy."""
    count = 2000 if FULL else 200
    with FaultServer(answering(response())) as server:
        env = {
            **os.environ,
            "DD_TRACE_AGENT_URL": server.url,
            "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.01",
        }
        out = run(HOOKS, env, str(count))
    cpu_s = {}
    for line in out.splitlines():
        place, wall, cpu = line.split()
        note_figure(
            f"hooks {place}, p99 of {count} forks: {float(wall):.6f} s, {float(cpu):.6f} s of CPU"
        )
        cpu_s[place] = float(cpu)  # the wall clock counts what others on the machine do as well
    assert cpu_s["before"] + cpu_s["parent"] < 0.001
    assert cpu_s["child"] < 0.005
