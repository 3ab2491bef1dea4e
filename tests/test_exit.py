"""Every way a process ends: what was finished arrives, exit codes stay, nothing is printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from exit_programs import LATE, names, report, run, script, start
from fault_server import FaultServer, FullBacklog, Peer, answering, refused_url, response
from helpers import note_figure

# -- the interpreter ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "code", "error"),
    [
        ("", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(1)", 1, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('bye')", 1, "bye\n"),
        ("raise ValueError('boom')", 1, "ValueError: boom\n"),
        ("os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(10)", -signal.SIGINT, "Interrupt\n"),
        ("signal.signal(signal.SIGINT, lambda *_: sys.exit(4))\nsignal.raise_signal(2)", 4, ""),
        ("os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(10)", -signal.SIGTERM, ""),
        ("sys.stdout.close(); sys.stderr.close()", 0, ""),
        ("os.close(1); os.close(2); sys.exit(3)", 3, ""),
        ("signal.alarm(0); tracer.shutdown(); os._exit(5)", 5, ""),
        ("import gc; gc.disable(); sys.exit(0)", 0, ""),
    ],
)  # fmt: skip
def test_ending(ending: str, code: int, error: str, session: Any) -> None:
    """What is finished arrives, the exit code is the program's, and no output is added."""
    got_code, out, err = run(script(f"finish('a')\nfinish('b')\n{ending}"), session.env())
    assert names(session) == ["a", "b"]
    assert (got_code, out) == (code, "")
    assert err.endswith(error)
    assert "fasttrace" not in err
    report(ending or "return from main", 2, len(session.spans()))


def test_exception_in_a_span(session: Any) -> None:
    """The span an uncaught exception leaves through arrives, marked as an error."""
    code, _, _ = run(script("with tracer.trace('a'): 1 / 0"), session.env())
    assert code == 1
    (span,) = session.spans()
    assert (span["error"], span["meta"]["error.type"]) == (1, "builtins.ZeroDivisionError")


def test_span_in_excepthook(session: Any) -> None:
    """A span made by sys.excepthook arrives."""
    body = """
        sys.excepthook = lambda *_: finish('hook')
        finish('a')
        raise ValueError
    """
    run(script(body), session.env())
    assert names(session) == ["a", "hook"]


@pytest.mark.parametrize("how", ["-c", "file", "-m", "standard input"])
def test_how_the_program_is_given(how: str, session: Any, tmp_path: Path) -> None:
    """Wherever the interpreter takes the program from, what it finished arrives."""
    code = script("if __name__ == '__main__': finish('a')")
    (tmp_path / "program.py").write_text(code)
    arguments = {"-c": ["-c", code], "file": ["program.py"], "-m": ["-m", "program"]}.get(how, [])
    done = subprocess.run(
        [sys.executable, *arguments],
        input=code,
        capture_output=True,
        text=True,
        env={**session.env(), **LATE},
        cwd=tmp_path,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    report(f"program by {how}", 1, len(session.spans()))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_streams_closed_from_the_beginning(closed: str, session: Any) -> None:
    """A daemon's missing or broken streams, whose numbers a socket may get, disturb nothing."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, script("finish('a')")],
        capture_output=True,
        text=True,
        env={**session.env(), **LATE},
        cwd=os.sep,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    report(f"streams {closed}", 1, len(session.spans()))


def test_daemon_threads_in_the_middle_of_spans(session: Any) -> None:
    """Threads that go on tracing while the interpreter ends lose nothing and do no harm.

    The last of all exit callbacks has them stop, and writes how many spans they have finished.
    """
    body = """
        import atexit
        atexit._clear()
        def stop_and_count():
            global going
            going = False
            for lock in locks:
                lock.acquire()
            os.write(1, str(tracer.stats()["finished"]).encode())
        from fasttrace._exit import _at_exit
        atexit.register(stop_and_count)
        atexit.register(_at_exit)
        going, locks = True, [threading.Lock() for _ in range(4)]
        def work(lock):
            with lock:
                while going:
                    with tracer.trace('work'):
                        time.sleep(0.0001)
            time.sleep(60)
        for lock in locks:
            threading.Thread(target=work, args=(lock,), daemon=True).start()
        finish('a')
        time.sleep(0.1)
    """
    for _ in range(3):
        session.clear()
        begin = time.monotonic()
        code, out, err = run(script(body), session.env(FASTTRACE_EXIT_TIMEOUT_SECONDS="20"))
        assert (code, err) == (0, "")
        assert time.monotonic() - begin < 15.0
        got = names(session)
        assert got.count("a") == 1
        assert got.count("work") > 10
        report("4 daemon threads in the middle of spans", int(out), len(got))


def test_other_threads_are_waited_for(session: Any) -> None:
    """Spans of a thread that the interpreter waits for arrive."""
    body = """
        def work():
            time.sleep(0.2)
            finish('thread')
        threading.Thread(target=work).start()
        finish('main')
    """
    assert run(script(body), session.env()) == (0, "", "")
    assert names(session) == ["main", "thread"]


def test_callbacks_before_and_after_ours(session: Any) -> None:
    """Spans of exit callbacks arrive, whether they run before or after the tracer's own."""
    code = """
import atexit
def callback(name):
    with tracer.trace(name):
        pass
atexit.register(callback, "after ours")
from fasttrace import tracer
atexit.register(callback, "before ours")
callback("main")
"""
    assert run(code, session.env()) == (0, "", "")
    assert names(session) == ["after ours", "before ours", "main"]


def test_spans_after_exit_began_share_what_is_left_of_the_deadline() -> None:
    """An agent that went mute does not get the exit's whole time again for every late span."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.wait_for_hangup()

    code = """
import atexit, time
def late():
    begin = time.monotonic()
    for _ in range(20):
        with tracer.trace("late"):
            pass
    print(time.monotonic() - begin)
atexit.register(late)
from fasttrace import tracer
"""
    with FaultServer(behave) as server:
        env = {"DD_TRACE_AGENT_URL": server.url, "FASTTRACE_EXIT_TIMEOUT_SECONDS": "0.5"}
        got_code, out, err = run(code, {**os.environ, **env})
    assert (got_code, err) == (0, "")
    assert float(out) < 2.0


def test_span_in_a_finalizer_at_the_very_end(session: Any) -> None:
    """An object that traces in __del__ while modules are torn down does no harm."""
    body = """
        class Late:
            def __del__(self, trace=tracer.trace):
                with trace('late'):
                    pass
        late = Late()
        late.cycle = late
        finish('a')
    """
    assert run(script(body), session.env()) == (0, "", "")
    assert "a" in names(session)


def test_cancelled_event_loop(session: Any) -> None:
    """Spans of tasks that asyncio.run cancels at the end arrive."""
    body = """
        import asyncio
        async def forever():
            with tracer.trace('task'):
                await asyncio.sleep(60)
        async def main():
            asyncio.create_task(forever())
            await asyncio.sleep(0.01)
            finish('main')
        asyncio.run(main())
    """
    assert run(script(body), session.env()) == (0, "", "")
    assert names(session) == ["main", "task"]


def test_interrupted_event_loop(session: Any) -> None:
    """Spans of tasks that asyncio.run cancels because of Ctrl-C arrive, and the exit code stays."""
    body = """
        import asyncio
        async def forever(name):
            with tracer.trace(name):
                await asyncio.sleep(60)
        async def main():
            tasks = [asyncio.create_task(forever(f'task {n}')) for n in range(5)]
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            with tracer.trace('main'):
                await asyncio.gather(*tasks)
        asyncio.run(main())
    """
    code, out, err = run(script(body), session.env())
    assert (code, out) == (-signal.SIGINT, "")
    assert "fasttrace" not in err.replace("from fasttrace", "")
    assert names(session) == ["main", *(f"task {number}" for number in range(5))]
    report("asyncio.run, interrupted", 6, len(session.spans()))


def test_nothing_traced_nothing_happens() -> None:
    """A program that imports the tracer and does not use it ends without any connection."""
    with FaultServer(answering(response())) as server:
        env = {**os.environ, "DD_TRACE_AGENT_URL": server.url}
        assert run(script(""), env) == (0, "", "")
        assert server.connections == 0


# -- processes -------------------------------------------------------------------------------------

CHILDREN = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from fasttrace import tracer
def work(number):
    with tracer.trace(f"child {number}"):
        return number
if __name__ == "__main__":
    method = sys.argv[1]
    with tracer.trace("parent"):
        pass
    context = multiprocessing.get_context(method)
    if sys.argv[2] == "process":
        children = [context.Process(target=work, args=(number,)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
    elif sys.argv[2] == "pool":
        with context.Pool(2) as pool:
            assert pool.map(work, range(3)) == [0, 1, 2]
            pool.close()
            pool.join()
    else:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(work, range(3))) == [0, 1, 2]
"""


@pytest.mark.parametrize("kind", ["process", "pool", "executor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes(method: str, kind: str, session: Any, tmp_path: Path) -> None:
    """Children of multiprocessing and of process pools deliver before they end."""
    program = tmp_path / "program.py"
    program.write_text(CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), method, kind],
        capture_output=True,
        text=True,
        timeout=60,
        env={**session.env(), **LATE},
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names(session) == ["child 0", "child 1", "child 2", "parent"]
    report(f"{kind} of multiprocessing, {method}", 4, len(session.spans()))


def test_forked_child_that_exits(session: Any) -> None:
    """A child of os.fork that leaves by sys.exit delivers; one that leaves by os._exit can too."""
    body = """
        finish('parent')
        for ending in ('sys.exit', 'os._exit'):
            pid = os.fork()
            if not pid:
                finish(ending)
                if ending == 'sys.exit':
                    sys.exit(0)
                tracer.shutdown()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    """
    assert run(script(body), session.env()) == (0, "", "")
    assert names(session) == ["os._exit", "parent", "sys.exit"]


# -- an agent that is not well ---------------------------------------------------------------------


def timed_exit(url: str, timeout_s: float) -> tuple[float, str]:
    """Let a program with one finished span exit; return how long that took, and its output."""
    env = {
        **os.environ,
        "DD_TRACE_AGENT_URL": url,
        "FASTTRACE_EXIT_TIMEOUT_SECONDS": str(timeout_s),
        "DD_TRACE_AGENT_TIMEOUT_SECONDS": "30",
    }
    process = start(script("finish('a'); print(time.monotonic())"), env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    return time.monotonic() - float(out), err


def test_exit_where_nobody_listens() -> None:
    """A refused connection does not hold up the exit, and nothing is said about it."""
    took_s, err = timed_exit(refused_url(), 30.0)
    assert err == ""
    assert took_s < 1.0
    note_figure(f"exit with a refused connection: {took_s:.3f} s in all")


def read_and_be_mute(peer: Peer) -> None:
    """Take the request and never answer."""
    peer.read()
    peer.wait_for_hangup()


def read_nothing(peer: Peer) -> None:
    """Accept and never read."""
    peer.wait_for_hangup()


def answer_a_byte_at_a_time(peer: Peer) -> None:
    """Answer so slowly that it never ends."""
    peer.read()
    peer.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, 0.05)


def be_overloaded(peer: Peer) -> None:
    """Answer 503 to everything."""
    answering(response(503, b""))(peer)


@pytest.mark.parametrize(
    "behave", [read_and_be_mute, read_nothing, answer_a_byte_at_a_time, be_overloaded]
)
def test_exit_keeps_its_deadline(behave: Any) -> None:
    """Whatever the agent does, the exit takes no longer than its deadline allows."""
    with FaultServer(behave) as server:
        took_s, err = timed_exit(server.url, 0.5)
    assert err == ""
    assert took_s < 2.0
    note_figure(f"exit, {behave.__name__}: {took_s:.3f} s with a deadline of 0.5 s")


def test_exit_that_a_signal_handler_interrupts() -> None:
    """An exception out of a signal handler does not end the sending before its time."""
    asked: list[float] = []

    def behave(peer: Peer) -> None:
        while True:
            peer.read()
            asked.append(time.monotonic())
            peer.send(response(503 if asked[-1] - asked[0] < 0.5 else 200))

    body = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to"))
        def interrupt():
            while not _exit.began():
                time.sleep(0.01)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGTERM)
        from fasttrace import _exit
        threading.Thread(target=interrupt, daemon=True).start()
        finish('a')
    """
    with FaultServer(behave) as server:
        run(script(body), {**os.environ, "DD_TRACE_AGENT_URL": server.url})
    assert asked[-1] - asked[0] >= 0.5, "the last request was refused"
    note_figure(f"exit, interrupted by a handler: {len(asked)} requests, the last one accepted")


def test_exit_with_a_full_backlog() -> None:
    """A connection that is never completed does not stretch the exit."""
    with FullBacklog() as server:
        took_s, err = timed_exit(server.url, 0.5)
    assert err == ""
    assert took_s < 2.0
