"""Agents that are not well, one class or function for each way, and each can get well.

A `State` is the agent's side: where it listens, what it does with requests until `heal`, and which
spans it has taken. `STATES` names them all. `agent_states_child.py` is the application's side.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
from fault_server import FaultServer, Peer, response

SLOW_S = 1.0  # between two bytes of an answer


class State:
    """An agent that behaves as `sick` says until `heal()`; well if None.

    * acked: bodies of requests that were answered with 200, in full
    * taken: bodies that were read in full and neither acknowledged nor refused
    """

    host = "127.0.0.1"
    resolver = ""  # what the child's name resolution does until it is healed: "", "fails", "hangs"

    def __init__(self, directory: Path, sick: Callable[[State, Peer], None] | None = None) -> None:
        self.directory = directory
        self.sick = sick
        self.acked: list[bytes] = []
        self.taken: list[bytes] = []
        self.start()

    # -- what subclasses may change ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to listen."""
        self.server = FaultServer(self._behave)
        self.url = self.server.url

    def disturb(self) -> None:
        """Do something to it, every 0.1 s of the load before `heal`."""

    def heal(self) -> None:
        """Get well: connections end, and on new ones every request is accepted."""
        self.sick = None
        self.server.hang_up()

    def stop(self) -> None:
        """End it."""
        self.server.stop()

    # -- requests ----------------------------------------------------------------------------------

    def _behave(self, peer: Peer) -> None:
        (self.sick or State.accept)(self, peer)

    def accept(self, peer: Peer) -> None:
        """Answer 200 to every request."""
        while True:
            body = peer.read()["body"]
            self.taken.append(body)
            peer.send(response(200, b'{"rate_by_service": {}}'))
            self.taken.remove(body)
            self.acked.append(body)


def spans_in(bodies: list[bytes]) -> list[str]:
    """Names of the spans in v0.4 bodies."""
    return [span["name"] for body in bodies for chunk in msgpack.unpackb(body) for span in chunk]


# -- ways to be unwell, as behaviours --------------------------------------------------------------


def blackhole(state: State, peer: Peer) -> None:
    """Read, and never answer."""
    while True:
        state.taken.append(peer.read()["body"])


def one_byte_a_second(state: State, peer: Peer) -> None:
    """Answer a byte at a time, with a second between two."""
    state.taken.append(peer.read()["body"])
    for byte in response():
        peer.send(bytes((byte,)))
        if peer.server.stopping.wait(SLOW_S):
            return


def closes_mid_request(state: State, peer: Peer) -> None:
    """Close in the middle of the body."""
    peer.read_head()


def closes_idle(state: State, peer: Peer) -> None:
    """Answer one request, then close without having said so."""
    body = peer.read()["body"]
    state.acked.append(body)
    peer.send(response())
    time.sleep(0.01)


def half_closes(state: State, peer: Peer) -> None:
    """Read a request, say that no answer will come, and keep the connection."""
    state.taken.append(peer.read()["body"])
    peer.socket.shutdown(socket.SHUT_WR)
    peer.wait_for_hangup()


def garbage_body(state: State, peer: Peer) -> None:
    """Answer 200 with a body that makes no sense."""
    while True:
        body = peer.read()["body"]
        state.acked.append(body)
        peer.send(response(200, b'{"rate_by_service": \xff\x00[[[['))


def garbage(state: State, peer: Peer) -> None:
    """Answer something that is not HTTP."""
    while True:
        state.taken.append(peer.read()["body"])
        peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")


def status(code: int, **headers: str) -> Callable[[State, Peer], None]:
    """Return the behaviour that answers every request with `code`."""

    def behave(state: State, peer: Peer) -> None:
        while True:
            peer.read()
            peer.send(response(code, b"no", **headers))

    return behave


# -- ways to be unwell that concern the address ----------------------------------------------------


class Refused(State):
    """A port where nobody listens."""

    def start(self) -> None:
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))  # bound and not listening: refused, and ours
        self.port = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server: Any = None

    def heal(self) -> None:
        self._reserved.close()
        self.server = FaultServer(self._behave, port=self.port)

    def stop(self) -> None:
        self._reserved.close()
        if self.server is not None:
            self.server.stop()


class FullBacklog(Refused):
    """A port whose queue of connections is full."""

    def start(self) -> None:
        super().start()
        self._reserved.listen(0)
        self._waiting = [socket.socket() for _ in range(8)]
        for one in self._waiting:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", self.port))

    def heal(self) -> None:
        self._close_waiting()
        super().heal()

    def stop(self) -> None:
        self._close_waiting()
        super().stop()

    def _close_waiting(self) -> None:
        for one in self._waiting:
            one.close()


class UnknownName(State):
    """A name that does not exist."""

    resolver = "fails"

    def start(self) -> None:
        super().start()
        self.url = f"http://agent.example:{self.server.port}"


class HangingName(UnknownName):
    """A name that is never looked up to the end."""

    resolver = "hangs"


class Restarts(State):
    """An agent that is away for a moment, again and again."""

    def disturb(self) -> None:
        self.server.stop()
        time.sleep(0.05)
        self.server = FaultServer(self._behave, port=self.server.port)


class UnixSocketReplaced(State):
    """A Unix socket that is removed, and another of the same name made."""

    def start(self) -> None:
        self._path = str(self.directory / "apm.socket")
        self.server = FaultServer(self._behave, self._path)
        self.url = self.server.url

    def disturb(self) -> None:
        self.server.stop()
        os.unlink(self._path)
        time.sleep(0.05)
        self.server = FaultServer(self._behave, self._path)


def behaving(behaviour: Callable[[State, Peer], None] | None) -> Callable[[Path], State]:
    """Return what makes an agent with this behaviour."""
    return lambda directory: State(directory, behaviour)


STATES: dict[str, Callable[[Path], State]] = {
    "ok": behaving(None),
    "refused": Refused,
    "unknown name": UnknownName,
    "hanging name": HangingName,
    "blackhole": behaving(blackhole),
    "full backlog": FullBacklog,
    "1 byte/s": behaving(one_byte_a_second),
    "closes mid-request": behaving(closes_mid_request),
    "closes idle keep-alive": behaving(closes_idle),
    "half-close": behaving(half_closes),
    "404": behaving(status(404)),
    "413": behaving(status(413)),
    "429": behaving(status(429)),
    "500": behaving(status(500)),
    "503": behaving(status(503)),
    "garbage body": behaving(garbage_body),
    "not HTTP": behaving(garbage),
    "redirect": behaving(status(307, location="http://127.0.0.1:1/")),
    "restarts": Restarts,
    "unix socket replaced": UnixSocketReplaced,
}
