"""SIGTERM: what is finished is sent, then the process ends as if there were no handler."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from exit_programs import names, report, run, script, start
from fault_server import FaultServer, response
from reference import decode_payload


def test_sigterm_from_outside(session: Any) -> None:
    """A process that waits is ended by SIGTERM as before, after it has sent what it had."""
    process = start(
        script("finish('a'); print('ready', flush=True); time.sleep(60)"), session.env()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    begin = time.monotonic()
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5.0
    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert names(session) == ["a"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", 7),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", 0),
    ],
)
def test_own_handler_of_the_application_is_left_alone(
    before: str, expected: int, session: Any
) -> None:
    """A handler the application set first, or that it ignores the signal, stays as it is."""
    body = f"""
        {before}
        handler = signal.getsignal(signal.SIGTERM)
        finish('a')
        assert signal.getsignal(signal.SIGTERM) is handler
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)  # another thread may be the one that gets the signal
    """
    assert run(script(body), session.env()) == (expected, "", "")
    assert names(session) == ["a"]


def test_handler_set_later_by_the_application(session: Any) -> None:
    """A handler the application sets later decides; if it calls ours, ours sends and returns."""
    body = """
        finish('a')
        previous = signal.getsignal(signal.SIGTERM)
        def handler(number, frame):
            finish('handler')
            previous(number, frame)
            assert tracer.stats()["sent"] == 2
            os._exit(9)
        signal.signal(signal.SIGTERM, handler)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    """
    assert run(script(body), session.env()) == (9, "", "")
    assert names(session) == ["a", "handler"]


def test_sigterm_can_be_left_alone(session: Any) -> None:
    """FASTTRACE_SIGTERM=0 installs no handler."""
    body = """
        finish('a')
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    """
    assert run(script(body), session.env(FASTTRACE_SIGTERM="0")) == (0, "", "")


def test_import_installs_no_handler() -> None:
    """As long as nothing is traced the signal is not touched."""
    body = "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL"
    assert run(script(body), dict(os.environ)) == (0, "", "")


#: What the main thread may be at when SIGTERM comes: nothing of it but the first runs Python code.
WAITS = {
    "computing": "while True: sum(range(1000))",
    "sleep": "time.sleep(60)",
    "join": "forever.join()",
    "lock": "threading.Lock().acquire() and stuck.acquire()",
    "pause": "signal.pause()",
    "select": "import select; select.select([], [], [], 60)",
    "read": "os.read(os.pipe()[0], 1)",
    "server": "__import__('socketserver').TCPServer(('127.0.0.1', 0), None).serve_forever()",
    "queue": "__import__('queue').Queue().get()",
    "asyncio": "import asyncio; asyncio.run(asyncio.sleep(60))",
    "wait for a child": "import subprocess; subprocess.call(['sleep', '9'], stdout=-3, stderr=-3)",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_first_trace_in_a_thread_while_the_main_thread_waits(wait: str, session: Any) -> None:
    """A thread may not install Python's handler; SIGTERM loses nothing all the same."""
    body = f"""
        stuck = threading.Lock()
        stuck.acquire()
        def work():
            time.sleep(0.2)  # the main thread waits by now
            finish('a')
            finish('b')
            print('ready', flush=True)
            time.sleep(60)
        forever = threading.Thread(target=work, daemon=True)
        forever.start()
        {wait}
    """
    process = start(script(body), session.env())
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    begin = time.monotonic()
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10.0
    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert names(session) == ["a", "b"]
    report(f"SIGTERM, main thread: {wait}", 2, len(session.spans()))


def test_first_trace_in_a_thread_gets_the_main_thread_to_install_the_handler(session: Any) -> None:
    """As soon as the main thread runs Python code, the handler is there that can be chained."""
    body = """
        thread = threading.Thread(target=finish, args=('a',))
        thread.start()
        thread.join()
        deadline = time.monotonic() + 10.0
        while signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            assert time.monotonic() < deadline
        previous = signal.getsignal(signal.SIGTERM)
        def handler(number, frame):
            previous(number, frame)
            os._exit(9 if tracer.stats()["sent"] == 1 else 1)
        signal.signal(signal.SIGTERM, handler)
        os.kill(os.getpid(), signal.SIGTERM)
    """
    assert run(script(body), session.env()) == (9, "", "")
    assert names(session) == ["a"]


def test_own_handler_is_left_alone_by_threads(session: Any) -> None:
    """A handler the application has, or sets later, decides, wherever the first trace was."""
    body = """
        def handler(*_):
            finish('handler')
            sys.exit(7)
        {before}
        thread = threading.Thread(target=finish, args=('a',))
        thread.start()
        thread.join()
        {after}
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    """
    setting = "signal.signal(signal.SIGTERM, handler)"
    for before, after in ((setting, ""), ("", setting)):
        session.clear()
        code = script(body.replace("{before}", before).replace("{after}", after))
        assert run(code, session.env()) == (7, "", "")
        assert names(session) == ["a", "handler"]


def test_child_of_a_process_whose_threads_trace(session: Any) -> None:
    """A forked child that traces nothing dies of SIGTERM at once; one that does sends first."""
    body = """
        def work():
            for quiet in (True, False):
                pid = os.fork()
                if not pid:
                    if not quiet:
                        finish('child')
                    os.write(pipe[1], b'x')
                    for _ in range(600):  # a signal right before a long sleep waits for its end
                        time.sleep(0.1)
                    os._exit(1)
                os.read(pipe[0], 1)
                os.kill(pid, signal.SIGTERM)
                codes.append(os.waitpid(pid, 0)[1])
        def first():
            time.sleep(0.1)
            finish('a')
            work()
        codes, pipe = [], os.pipe()
        thread = threading.Thread(target=first)
        thread.start()
        thread.join()
        assert codes == [signal.SIGTERM, signal.SIGTERM], codes
    """
    assert run(script(body), session.env()) == (0, "", "")
    assert names(session) == ["a", "child"]


def test_sigterm_during_the_last_flush() -> None:
    """SIGTERM, first trace in a thread, while the exit sends: the exit ends, and by the signal."""
    with FaultServer(lambda peer: (peer.read(), time.sleep(0.5), peer.send(response()))) as server:
        env = {
            **os.environ,
            "DD_TRACE_AGENT_URL": server.url,
            "FASTTRACE_EXIT_TIMEOUT_SECONDS": "9",
        }
        body = """
            def first():
                finish('a')
                print('ready', flush=True)
            threading.Timer(0.1, first).start()
        """
        process = start(script(body), env)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.2)
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (-signal.SIGTERM, "")
        assert len(server.requests) == 1


def test_sigterm_twice(session: Any) -> None:
    """A second SIGTERM while the first is at work changes nothing."""
    with FaultServer(lambda peer: (peer.read(), time.sleep(0.5), peer.send(response()))) as server:
        env = {**os.environ, "DD_TRACE_AGENT_URL": server.url}
        process = start(script("finish('a'); print('ready', flush=True); time.sleep(60)"), env)
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        time.sleep(0.2)
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (-signal.SIGTERM, "")
        (request,) = server.requests
        assert decode_payload(request["body"], "v0.4")[0][0]["name"] == "a"


def test_sigterm_in_the_middle_of_flush(session: Any) -> None:
    """SIGTERM while the main thread is inside flush() lets that delivery end first."""
    with FaultServer(lambda peer: (peer.read(), time.sleep(0.5), peer.send(response()))) as server:
        env = {**os.environ, "DD_TRACE_AGENT_URL": server.url}
        body = """
            finish('a')
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            tracer.flush(10.0)
            time.sleep(60)
        """
        assert run(script(body), env) == (-signal.SIGTERM, "", "")
        assert len(server.requests) == 1
