"""Real servers in processes of their own: start one, load it, end it, count what arrived."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_process import TestAgent, free_ports
from conftest import Session
from helpers import note_figure

#: How long a server may take to come up, to answer, or to end, s.
PATIENCE_S = 30.0
#: Requests that a server may drop in all, if any.
MOST_DROPPED = 3

#: What the servers serve: each request makes one trace of two spans, named by its query string. It
#: goes in every way an application may: with a thread, without, slow and quick.
APPLICATION = """
import os, threading, time
from fasttrace import tracer
BEGUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "begun")
with tracer.trace("import", resource=str(os.getpid())):
    pass
def work(number):
    with open(BEGUN, "a") as begun:
        begun.write(number + "\\n")
    with tracer.trace("request", resource=number) as span:
        if number.endswith("3"):
            time.sleep(0.05)
        if number == "slow":
            time.sleep(20.0)
        with tracer.trace("inner", resource=number):
            pass
    return f"{os.getpid()} {span.trace_id}".encode()
def wsgi(environ, start_response):
    body = work(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = work(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


class Server:
    """One server process (and its workers) on a free port. Use it in a `with`.

    drops_some: whether the server, and not the application, may drop a request when it is told to
    replace its workers. uWSGI does, with or without a tracer: a worker that gets SIGHUP after it
    has accepted a connection and before it has marked itself as busy ends at once. Such a request
    is sent again; `check` makes sure that the application has never seen it.
    """

    def __init__(
        self,
        command: list[str],
        session: Any,
        directory: Path,
        drops_some: bool = False,
        **env: str,
    ) -> None:
        (self.port,) = free_ports(1)
        (directory / "application.py").write_text(APPLICATION)
        self.session = session
        self.log_path = directory / "log"
        self._begun_path = directory / "begun"
        self._drops_some = drops_some
        self._dropped: list[str] = []  #: numbers of requests
        self.answers: dict[str, tuple[str, str]] = {}  #: number -> process id, trace id
        self._sent = 0
        path = os.pathsep.join([str(directory), *filter(None, sys.path)])
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [word.replace("PORT", str(self.port)) for word in command],
                # nothing leaves before a worker's end
                env={
                    **session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="3600", PYTHONPATH=path),
                    "PYTHONWARNINGS": "ignore",
                    **env,
                },
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.request("up")
                return
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def log(self) -> str:
        """What the server has printed."""
        return self.log_path.read_text(errors="replace")

    def request(self, number: str) -> None:
        """Send one request; it has to be answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", f"/?{number}")
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, f"{answer.status} {body}\n{self.log()}"
        finally:
            connection.close()
        process, trace_id = body.split()
        self.answers[number] = (process, trace_id)

    def load(self, count: int, at_once: int = 4) -> None:
        """Send `count` requests, several at a time; every one has to be answered."""
        numbers = [str(number) for number in range(self._sent, self._sent + count)]
        self._sent += count
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            list(pool.map(self._request_of_load, numbers))

    def _request_of_load(self, number: str) -> None:
        try:
            self.request(number)
        except ConnectionResetError as error:
            if not self._drops_some or len(self._dropped) >= MOST_DROPPED:
                raise AssertionError(f"request {number}: {error!r}\n{self.log()}") from error
            self._dropped.append(number)
            self._request_of_load(f"{number}-again")
        except OSError as error:
            time.sleep(1.5)  # in which the server says why, if it does
            raise AssertionError(f"request {number}: {error!r}\n{self.log()}") from error

    def load_during(self, signum: int, count: int) -> None:
        """Send a signal that makes the server replace its workers, and requests all the while."""
        old = self.workers()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            job = pool.submit(self.load, count)
            time.sleep(0.05)
            self.process.send_signal(signum)
            job.result()
        self.wait_for_other_workers(old)

    def workers(self) -> set[str]:
        """The processes that have answered so far."""
        return {process for process, _ in self.answers.values()}

    def wait_for_other_workers(self, old: set[str]) -> None:
        """Send requests until none of the workers `old` answers any more."""
        deadline, quiet = time.monotonic() + PATIENCE_S, 0
        while quiet < 8:
            assert time.monotonic() < deadline, self.log()
            self.load(1)
            latest = [*self.answers.values()][-1][0]
            quiet = 0 if latest in old else quiet + 1
            time.sleep(0.01)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """End the server by a signal; it has to end by itself, in time."""
        self.process.send_signal(signum)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server hung:\n{self.log()}") from None

    def check(self, what: str) -> None:
        """Every request has to have yielded one trace, of its own id, once; nothing was said."""
        spans = self.session.spans()
        requests = Counter(span["resource"] for span in spans if span["name"] == "request")
        expected = Counter(dict.fromkeys(self.answers, 1))
        missing = {number: self.answers[number] for number in expected - requests}
        assert requests == expected, f"missing {missing}, more {requests - expected}\n{self.log()}"
        begun = self._begun_path.read_text().split()
        assert not set(self._dropped) & set(begun), (self._dropped, self.log())
        inner = Counter(span["resource"] for span in spans if span["name"] == "inner")
        assert inner == requests
        assert len({span["span_id"] for span in spans}) == len(spans)
        ids = {span["resource"]: span["trace_id"] for span in spans if span["name"] == "request"}
        assert len(set(ids.values())) == len(ids)
        low_half = (1 << 64) - 1
        assert ids == {n: int(trace) & low_half for n, (_, trace) in self.answers.items()}
        assert any(span["name"] == "import" for span in spans)
        assert "fasttrace" not in self.log()
        assert "Traceback" not in self.log()
        note_figure(
            f"{what}: {len(self.answers)} requests, {len(self.workers())} worker processes, "
            f"{len(ids)} traces received; {len(self._dropped)} requests that the server dropped"
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def each(
    names: list[str],
    serve: Callable[[str, Session, Path], None],
    agent: TestAgent,
    directory: Path,
) -> list[str]:
    """Call `serve(name, session, directory)` for every name, at once: servers wait a lot.

    Returns the names that were served; what a `serve` asserts is raised here.
    """

    def one(number: int) -> str:
        own_directory = directory / str(number)
        own_directory.mkdir()
        serve(names[number], Session(agent), own_directory)
        return names[number]

    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(one, range(len(names))))
