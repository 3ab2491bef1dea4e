"""Forks while tracing, sending and importing: no deadlock, no duplicate, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from fault_server import FaultServer, answering, response
from fork_programs import run
from helpers import note_figure
from reference import decode_payload


def test_each_process_sends_its_own(session: Any) -> None:
    """What was buffered at the fork leaves from the parent, once; the child begins empty."""
    run(
        """
        from fasttrace import tracer
        with tracer.trace("before"):
            pass
        pid = os.fork()
        name = "parent" if pid else "child"
        assert tracer.stats()["finished"] == (1 if pid else 0)
        with tracer.trace(name):
            pass
        assert tracer.flush(10.0)
        if not pid:
            os._exit(0)
        reap(pid)
        """,
        session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="3600"),
    )
    spans = session.spans()
    assert sorted(span["name"] for span in spans) == ["before", "child", "parent"]
    runtime_ids = {span["name"]: span["meta"]["runtime-id"] for span in spans}
    assert runtime_ids["before"] == runtime_ids["parent"] != runtime_ids["child"]


def test_child_of_an_open_span(session: Any) -> None:
    """The open span at the fork is the parent of the child's spans; the parent alone sends it."""
    run(
        """
        from fasttrace import tracer
        with tracer.trace("open"):
            pid = os.fork()
            if not pid:
                with tracer.trace("in the child"):
                    pass
                assert tracer.flush(10.0)
                os._exit(0)
            reap(pid)
        assert tracer.flush(10.0)
        """,
        session.env(),
    )
    (trace,) = session.traces()
    by_name = {span["name"]: span for span in trace}
    assert set(by_name) == {"open", "in the child"}
    assert by_name["in the child"]["parent_id"] == by_name["open"]["span_id"]


def test_connection_is_not_shared() -> None:
    """Parent and child send over connections of their own, while the parent's stays open."""
    with FaultServer(answering(response())) as server:
        run(
            """
            from fasttrace import tracer
            for round in range(3):
                tracer.trace("parent").finish()
                assert tracer.flush(10.0)
                pid = os.fork()
                if not pid:
                    tracer.trace("child").finish()
                    assert tracer.flush(10.0)
                    os._exit(0)
                reap(pid)
            """,
            {**os.environ, "DD_TRACE_AGENT_URL": server.url},
        )
        by_connection: dict[int, set[str]] = {}
        for request in server.requests:
            ((span,),) = decode_payload(request["body"], "v0.4")
            by_connection.setdefault(request["connection"], set()).add(span["name"])
    assert sorted(map(sorted, by_connection.values())) == [["child"]] * 3 + [["parent"]]


def test_fork_waits_for_the_imports() -> None:
    """A fork in the middle of the flusher's imports does not leave the child waiting for ever."""
    with FaultServer(answering(response())) as server:
        run(
            """
            from fasttrace import tracer
            entered = slow_down_import_of("fasttrace.container")  # which fasttrace.agent imports
            tracer.trace("parent").finish()
            assert entered.wait(10.0)
            pid = os.fork()
            tracer.trace("parent" if pid else "child").finish()
            assert tracer.flush(10.0)
            if not pid:
                os._exit(0)
            reap(pid)
            """,
            {**os.environ, "DD_TRACE_AGENT_URL": server.url},
        )
        count = sum(len(decode_payload(request["body"], "v0.4")) for request in server.requests)
    assert count == 3


def test_fork_by_a_server_written_in_c(session: Any) -> None:
    """A fork that Python hears of only in the child, as uWSGI's: the child begins empty."""
    run(
        """
        import _imp, ctypes
        from fasttrace import tracer
        sys.setswitchinterval(60.0)  # or the child may lose the lock of the interpreter at once
        tracer.trace("sent before").finish()
        assert tracer.flush(10.0)
        for _ in range(5):
            tracer.trace("parent").finish()
            _imp.acquire_lock()
            pid = ctypes.PyDLL(None).fork()
            if pid:
                _imp.release_lock()
            else:
                ctypes.pythonapi.PyOS_AfterFork_Child()
                tracer.trace("child").finish()
                ok = tracer.flush(10.0)
                os._exit(0 if ok and tracer.stats()["sent"] == 1 else 1)
            reap(pid)
        assert tracer.flush(10.0)
        """,
        session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="3600"),
    )
    names = sorted(span["name"] for span in session.spans())
    assert names == ["child"] * 5 + ["parent"] * 5 + ["sent before"]


#: A fork that Python never hears of. It may have no other thread then: one that waits for the
#: interpreter's lock at that moment leaves the lock unusable in the child.
FORK_WITHOUT_HOOKS = """
import ctypes
from fasttrace import tracer
tracer.trace("sent before").finish()
tracer._flusher.stop(10.0)
time.sleep(0.05)
with tracer.trace("held"):
    tracer.trace("part").finish()
    pid = ctypes.PyDLL(None).fork()
    if not pid:
        tracer.trace("child").finish()
"""


def test_fork_without_hooks(session: Any) -> None:
    """A child made by C code without any hook is noticed all the same, and sends its own."""
    run(
        FORK_WITHOUT_HOOKS
        + """
        ok = tracer.flush(10.0)
        os._exit(0 if ok and tracer.stats()["sent"] == 1 else 1)
    reap(pid)
assert tracer.flush(10.0)
""",
        session.env(),
    )
    names = sorted(span["name"] for span in session.spans())
    assert names == ["child", "held", "part", "sent before"]


def test_threads_begin_at_once_in_a_child(session: Any) -> None:
    """Where C code forks, the first traces of the child's threads at the same time are all kept."""
    out = run(
        """
        import ctypes
        real_urandom, slow = os.urandom, False
        def urandom(size):  # lets other threads run, as the real one does
            noise = real_urandom(size)
            if slow:
                time.sleep(0.2)
            return noise
        os.urandom = urandom
        from fasttrace import tracer
        tracer.trace("parent").finish()
        tracer._flusher.stop(10.0)
        time.sleep(0.05)
        pid = ctypes.PyDLL(None).fork()
        if not pid:
            slow = True
            barrier = threading.Barrier(8)
            def work():
                barrier.wait()
                for _ in range(10):
                    tracer.trace("child").finish()
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(tracer.stats()["finished"], flush=True)
            os._exit(0 if tracer.flush(10.0) else 1)
        reap(pid)
        """,
        session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="3600"),
    )
    spans = session.spans()
    assert int(out) == sum(span["name"] == "child" for span in spans) == 80
    assert len({span["span_id"] for span in spans}) == len(spans) == 81
    assert len({span["meta"]["runtime-id"] for span in spans if "runtime-id" in span["meta"]}) == 2
    note_figure(f"first traces of 8 threads in a forked child: {int(out)} of 80 spans kept")


def test_exit_after_a_fork_without_hooks(session: Any) -> None:
    """Such a child also sends at its exit, without waiting for a thread that it does not have."""
    run(
        FORK_WITHOUT_HOOKS
        + """
        begin = time.monotonic()
        import atexit
        atexit._run_exitfuncs()
        os._exit(0 if time.monotonic() - begin < 1.5 else 1)
    reap(pid)
assert tracer.flush(10.0)
""",
        session.env(),
    )
    names = sorted(span["name"] for span in session.spans())
    assert names == ["child", "held", "part", "sent before"]


IMPORTS_IN_A_THREAD = """
import _thread, os, sys, time
def note(event, arguments):
    if event == "import" and _thread.get_ident() != main and gate._owner != _thread.get_ident():
        outside.append(arguments[0])
outside, main = [], _thread.get_ident()
from fasttrace import Context, Tracer, _fork
from fasttrace.propagation.http import HTTPPropagator
gate = _fork.gate
sys.addaudithook(note)
ended = _thread.allocate_lock()
ended.acquire()
def work():
    try:
        tracer = Tracer()
        try:
            with tracer.trace("failing") as span:
                raise ValueError
        except ValueError:
            pass
        with tracer.trace("odd") as span:
            span.link_span(Context(trace_id=1, span_id=2))
            span.set_tag(1, 2)
            span.context.dd_user_id = "me"
            span.context.set_baggage_item("a b", "c d")
            HTTPPropagator.inject(span.context, headers := {})
        HTTPPropagator.extract(headers)
        tracer.wrap()(work)
        tracer.carry(work)
        tracer.detached()
        tracer.trace("last").finish()
        assert tracer.flush(10.0) is (sys.argv[1] == "up")
    except BaseException as error:
        outside.append(repr(error))
    ended.release()
_thread.start_new_thread(work, ())
ended.acquire()
print(outside)
"""


@pytest.mark.parametrize("state", ["up", "down", "unknown"])
def test_threads_import_nothing_that_a_fork_could_cut_in_two(session: Any, state: str) -> None:
    """What a tracer imports late, it imports while a fork waits; a child would hang otherwise."""
    urls = {"down": "http://127.0.0.1:1", "unknown": "http://nämé.invalid"}
    env = session.env(**({"DD_TRACE_AGENT_URL": urls[state]} if state in urls else {}))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_IN_A_THREAD, state],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        cwd=os.sep,
    )
    assert done.stdout == "[]\n", done.stderr


def test_fork_waits_for_the_first_warning() -> None:
    """A fork while the flusher imports `logging` for its first warning harms nobody."""
    run(
        """
        from fasttrace import tracer
        assert "logging" not in sys.modules
        entered = slow_down_import_of("logging")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        tracer.trace("a").finish()
        assert entered.wait(10.0)
        pid = os.fork()
        import logging
        if not pid:
            os._exit(0)
        reap(pid)
        """,
        {
            **os.environ,
            "DD_TRACE_AGENT_URL": "http://127.0.0.1:1",
            "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.01",
        },
    )
