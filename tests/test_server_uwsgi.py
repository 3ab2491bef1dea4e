"""uWSGI: forks in C, threads of its own, exits of its own; every request yields one trace."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agent_process import TestAgent
from conftest import FULL
from fault_server import FaultServer, Peer, response
from helpers import note_figure
from reference import decode_payload
from server_processes import PATIENCE_S, Server, each

#: A worker ends after ten requests, and the next one begins without delay.
RECYCLED = ["--max-requests", "10", "--min-worker-lifetime", "0", "--forkbomb-delay", "0"]
#: name -> arguments
CONFIGURATIONS = {
    "threads": ["--enable-threads", "--threads", "2"],
    "threads, lazy-apps": ["--threads", "2", "--lazy-apps"],
    "no threads of its own": ["--enable-threads"],
    "no threads at all": [],
    "fork hooks": ["--threads", "2", "--py-call-uwsgi-fork-hooks"],
    "recycled": ["--threads", "2", *RECYCLED],
    "recycled, one thread": RECYCLED,
}


def uwsgi(*arguments: str) -> list[str]:
    """The command that runs the application under uWSGI."""
    program = str(Path(sys.executable).parent / "uwsgi")
    general = ["--master", "--need-app", "--die-on-term", "--module", "application:wsgi"]
    return [program, "--http-socket", "127.0.0.1:PORT", *general, *arguments]


def serve(name: str, session: Any, directory: Path) -> None:
    """Load, load during a reload by SIGHUP, and a stop."""
    size = 500 if FULL else 30
    command = uwsgi("--processes", "2", *CONFIGURATIONS[name])
    with Server(command, session, directory, drops_some=True) as server:
        server.load(size)
        if name.startswith("recycled"):
            server.wait_for_other_workers(server.workers())
        server.load_during(signal.SIGHUP, size)
        _wait_for_new_workers(server)
        server.stop(signal.SIGTERM)
        server.check(f"uWSGI, {name}")


def _wait_for_new_workers(server: Server) -> None:
    """Wait until there is a new worker for each that was recycled.

    A worker that uWSGI's master forks while it handles SIGTERM is never told to end, and the master
    waits for it for ever, with or without a tracer.
    """
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        log = server.log().rpartition("(RE)spawned")[2]
        if log.count("is done. Seeya!") <= log.count("Respawned uWSGI worker"):
            return
        time.sleep(0.02)
    raise AssertionError(server.log())


def test_uwsgi(agent: TestAgent, tmp_path: Path) -> None:
    """Every configuration loses and repeats nothing."""
    names = list(CONFIGURATIONS)
    assert each(names, serve, agent, tmp_path) == names


#: name -> number of workers, arguments. They have one thread each: the exit callback alone sends.
RELOADED = {
    "one worker": (1, []),
    "two workers": (2, []),
    "two workers, lazy-apps": (2, ["--lazy-apps"]),
    "two workers that may have threads": (2, ["--enable-threads"]),
}


def serve_while_reloading(name: str, session: Any, directory: Path) -> None:
    """Reload by SIGHUP to the master and to the workers in turns, while requests are answered."""
    workers, arguments = RELOADED[name]
    size, reloads = 12, 50 if FULL else 6
    command = uwsgi("--processes", str(workers), *arguments)
    with Server(command, session, directory, drops_some=True) as server:
        new = _wait_for_workers(server, set(), workers)
        for number in range(reloads):
            old, signalled = server.workers(), [str(server.process.pid)] if number % 2 else new
            with ThreadPoolExecutor(1) as pool:
                job = pool.submit(server.load, size)
                time.sleep(0.02 * (number % 4))
                for process in signalled:
                    os.kill(int(process), signal.SIGHUP)
                job.result()
            new = _wait_for_workers(server, old, workers)
        server.stop(signal.SIGTERM)
        assert len(server.workers()) >= (reloads + 1) * workers
        server.check(f"uWSGI, {name} with one thread each, {reloads} reloads")


def _wait_for_workers(server: Server, old: set[str], count: int) -> set[str]:
    """Send requests until `count` workers that are not among `old` have answered; return those.

    uWSGI's master may wait for ever if it is told to do something while its workers start, with or
    without a tracer.
    """
    deadline = time.monotonic() + PATIENCE_S
    while len(new := server.workers() - old) < count:
        assert time.monotonic() < deadline, server.log()
        server.load(5)  # while one is slow another worker answers
    return new


def test_reload_again_and_again(agent: TestAgent, tmp_path: Path) -> None:
    """Every request is one trace, however often its worker is replaced while it runs."""
    names = list(RELOADED)
    assert each(names, serve_while_reloading, agent, tmp_path) == names


@pytest.mark.parametrize(
    "loading",
    [["--master"], ["--master", "--lazy-apps"], [], ["--lazy-apps"]],
    ids=["by the master", "lazy-apps", "no master", "no master, lazy-apps"],
)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_stop_while_a_request_runs(
    session: Any, tmp_path: Path, threads: str, loading: list[str]
) -> None:
    """uWSGI ends the worker at once then; what it has answered before arrives all the same."""
    command = [word for word in uwsgi("--processes", "1") if word != "--master"]
    command += ["--threads", threads, *loading]
    with Server(command, session, tmp_path) as server:
        server.load(10)
        threading.Thread(target=_send_and_lose, args=(server,), daemon=True).start()
        time.sleep(0.3)  # that request is under way
        begin = time.monotonic()
        server.stop(signal.SIGTERM)
        took_s = time.monotonic() - begin
        server.check(f"uWSGI, stopped in {took_s:.2f} s while a request runs")


def _send_and_lose(server: Server) -> None:
    with pytest.raises(OSError):
        server.request("slow")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_stop_while_a_worker_ends(session: Any, tmp_path: Path, name: str) -> None:
    """A signal that would end a worker at once does not cut off what it sends at its end."""
    asked, signalled = threading.Event(), threading.Event()

    def behave(peer: Peer) -> None:
        while True:
            refuses = b"request" in peer.read()["body"] and not asked.is_set()
            if refuses:
                asked.set()
                signalled.wait(PATIENCE_S)
            peer.send(response(503 if refuses else 200))

    with FaultServer(behave) as agent:
        # The first request is the one that waits for the server to be up.
        command = uwsgi("--processes", "1", "--max-requests", "4", "--min-worker-lifetime", "0")
        with Server(command, session, tmp_path, DD_TRACE_AGENT_URL=agent.url) as server:
            server.load(3)
            assert asked.wait(PATIENCE_S)
            (worker,) = server.workers()
            os.kill(int(worker), getattr(signal, name))
            time.sleep(0.1)  # the worker is in its handler by now, or its end has been cut off
            signalled.set()
            server.load(1)  # the next worker answers it
            server.stop(signal.SIGTERM)
        arrived = [
            span["resource"]
            for request in agent.requests
            for trace in decode_payload(request["body"], "v0.4")
            for span in trace
            if span["name"] == "request"
        ]
    assert sorted(arrived) == sorted(["up", "0", "1", "2"] * 2 + ["3"])  # twice: the refused ones
    note_figure(f"{name} while a uWSGI worker ends: {len(server.answers)} requests, each arrived")
