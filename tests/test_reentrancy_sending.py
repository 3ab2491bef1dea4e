"""Tracing from destructors, handlers, hooks and callbacks while the tracer sends, warns and ends.

Each program is sent to the real agent and ends by writing how many spans it has finished.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from collections import Counter
from typing import Any

from helpers import note_figure

#: `tell` is the last of all: it stops everything that still goes on, and writes the figure.
HEAD = """
import atexit, gc, logging, os, signal, sys, threading, time
def tell():
    global going
    gc.disable()
    going = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    for lock in locks:
        lock.acquire()
    gc.collect()
    span("end")
    os.write(1, repr(tracer.stats()).encode())
atexit.register(tell)
atexit.register(lambda: span("atexit after ours"))
from fasttrace import tracer
going, locks = True, []
def span(name):
    with tracer.trace(name) as outer:
        outer.set_tag("key", "value")
        with tracer.trace("inner"):
            pass
"""


def check(body: str, session: Any, **env: str) -> Counter[str]:
    """Run a program; everything it finished has to arrive once. Return how often each name did."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + textwrap.dedent(body)],
        env=session.env(
            **{
                "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.005",
                "FASTTRACE_EXIT_TIMEOUT_SECONDS": "20",
                **env,
            }
        ),
        cwd=os.sep,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == int(env.get("EXPECT", "0")), done.stderr
    spans = session.spans()
    assert len({one["span_id"] for one in spans}) == len(spans)
    stats = ast.literal_eval(done.stdout)
    assert len(spans) == stats["finished"], f"{stats} {done.stderr}"
    counts = Counter(one["name"] for one in spans)
    note_figure(f"{stats['finished']} spans finished, {len(spans)} received: {dict(counts)}")
    return counts


def test_destructors_during_collection(session: Any) -> None:
    """The collector runs destructors that trace in every thread, the one that sends included."""
    counts = check(
        """
        senders = set()
        class Cycle:
            def __init__(self):
                self.cycle = self
            def __del__(self, threading=threading, span=span):
                span("destructor")
                senders.add(threading.get_ident() == tracer._flusher._thread)
        gc.set_threshold(3, 2, 2)
        def work(lock):
            with lock:
                while going:
                    Cycle()
                    span("thread")
                    time.sleep(0.002)
            time.sleep(60)
        for _ in range(3):
            locks.append(threading.Lock())
            threading.Thread(target=work, args=(locks[-1],), daemon=True).start()
        for _ in range(20_000):
            Cycle()
            span("main")
            time.sleep(0.001)
            if senders == {True, False}:
                break
        assert senders == {True, False}
        """,
        session,
    )
    assert min(counts[name] for name in ("destructor", "thread", "main")) > 0


def test_signal_handlers(session: Any) -> None:
    """A handler that traces and flushes interrupts the start of the thread, flush() and the end."""
    counts = check(
        """
        calls = 0
        def handler(*_):
            global calls
            calls += 1
            span("handler")
            if calls % 7 == 0:
                tracer.flush(0.01)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            span("main")
            tracer.flush(1.0)
        """,
        session,
    )
    assert min(counts[name] for name in ("handler", "main", "atexit after ours")) > 0


def test_log_handlers_of_our_own_warnings(session: Any) -> None:
    """A handler that traces, flushes and logs again gets our warnings, also about its own spans."""
    counts = check(
        """
        class Handler(logging.Handler):
            def emit(self, record):
                span("log handler")
                tracer.flush(0.01)
                if record.name == "fasttrace":
                    logging.getLogger("other").warning("again")
        logging.getLogger().addHandler(Handler())
        class Faulty:
            def process_trace(self, trace):
                if trace[0].name == "main":
                    raise ValueError("faulty")
                return trace
        tracer.configure(trace_processors=[Faulty()])
        def work():
            for _ in range(30):
                span("main")
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
        session,
        DD_TRACE_LOGGING_RATE="0",
    )
    assert counts["main"] == 90
    assert counts["log handler"] >= 180


def test_hooks_for_exceptions_and_the_exit(session: Any) -> None:
    """The hooks of sys and threading, and exit callbacks before and after ours, may trace."""
    counts = check(
        """
        sys.excepthook = lambda *_: span("excepthook")
        threading.excepthook = lambda *_: span("threading.excepthook")
        sys.unraisablehook = lambda *_: span("unraisablehook")
        atexit.register(lambda: span("atexit before ours"))
        atexit.register(lambda: tracer.flush(5.0))
        class Broken:
            def __del__(self):
                raise ValueError
        Broken()
        def fail():
            with tracer.trace("thread"):
                raise ValueError
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        with tracer.trace("main"):
            raise ValueError
        """,
        session,
        EXPECT="1",
    )
    assert counts == {
        **dict.fromkeys(("excepthook", "threading.excepthook", "unraisablehook"), 1),
        **dict.fromkeys(("atexit before ours", "atexit after ours", "main", "thread", "end"), 1),
        "inner": 6,
    }


def test_everything_at_once(session: Any) -> None:
    """Threads, destructors, signals and callbacks go on while the interpreter ends."""
    counts = check(
        """
        class Cycle:
            def __init__(self):
                self.cycle = self
            def __del__(self, span=span):
                span("destructor")
        gc.set_threshold(10, 2, 2)
        signal.signal(signal.SIGALRM, lambda *_: span("handler"))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        def work(lock):
            with lock:
                while going:
                    Cycle()
                    span("thread")
                    time.sleep(0.0005)
            time.sleep(60)
        for _ in range(4):
            locks.append(threading.Lock())
            threading.Thread(target=work, args=(locks[-1],), daemon=True).start()
        atexit.register(time.sleep, 0.05)
        for _ in range(50):
            span("main")
            time.sleep(0.002)
        sys.exit(0)
        """,
        session,
    )
    assert min(counts[name] for name in ("destructor", "handler", "thread", "main")) > 0
