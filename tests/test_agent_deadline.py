"""Delivery of one payload has one deadline: slow, mute and missing servers."""

from __future__ import annotations

import _socket
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from agent_export import FakePayload, export, make_exporter, timed
from fault_server import FaultServer, FullBacklog, Peer, answering, refused_url, response

from fasttrace import _resolve


def test_server_that_never_answers() -> None:
    """A server that reads and says nothing: unconfirmed, when the time is over."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.wait_for_hangup()

    with FaultServer(behave) as server:
        assert timed(make_exporter(server.url), 0.3).status == "unconfirmed"
    assert len(server.requests) == 1


def test_response_of_a_byte_at_a_time_cannot_stretch_the_deadline() -> None:
    """Each byte is progress, and still the whole takes no longer than allowed."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1000, 0.05)

    with FaultServer(behave) as server:
        assert timed(make_exporter(server.url), 0.4).status == "unconfirmed"


def test_body_of_a_byte_at_a_time_after_the_status() -> None:
    """If only the body drips, the traces are delivered and the rates are not known."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        peer.drip(b"x" * 1000, 0.05)

    with FaultServer(behave) as server:
        result = timed(make_exporter(server.url), 0.4)
    assert (result.status, result.rates) == ("sent", None)


def test_slow_reader_cannot_stretch_the_deadline() -> None:
    """A server that reads a little at a time: not sent in full, so it may be sent again."""

    def behave(peer: Peer) -> None:
        peer.read_head()
        while peer.socket.recv(1000):
            time.sleep(0.05)

    big = FakePayload(b"\xdd\x00\x00\x00\x00" + bytes(30 << 20), 1)
    with FaultServer(behave) as server:
        result = timed(make_exporter(server.url), 0.5, big)
    assert (result.status, result.reason) == ("retry", "not_sent")


def test_connection_that_is_never_completed() -> None:
    """A full listen backlog: nothing was sent, and another attempt may succeed."""
    with FullBacklog() as server:
        result = timed(make_exporter(server.url), 0.4)
    assert (result.status, result.reason, result.hopeless) == ("retry", "unreachable", False)


def test_refused_connection_is_known_at_once() -> None:
    """Where nobody listens there is nothing to wait for."""
    begin = time.monotonic()
    result = export(make_exporter(refused_url()))
    assert time.monotonic() - begin < 0.1
    assert (result.status, result.reason, result.hopeless) == ("retry", "unreachable", True)
    assert "refused" in result.detail


def test_missing_unix_socket_then_restored(tmp_path: Path) -> None:
    """A Unix socket that is gone is like a refused connection; when it is back, all is well."""
    path = str(tmp_path / "apm.socket")
    exporter = make_exporter(f"unix://{path}")
    with FaultServer(answering(response()), path):
        assert export(exporter).status == "sent"
    result = export(exporter)
    assert (result.status, result.hopeless) == ("retry", True)
    os.unlink(path)
    assert export(exporter).reason == "unreachable"
    with FaultServer(answering(response()), path) as server:
        assert export(exporter).status == "sent"
        assert server.requests[0]["headers"]["host"] == "localhost"


def test_name_resolution_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that hangs holds nobody up, gets no second thread, and may still answer."""
    let_go = threading.Event()
    calls = []

    def hang(host: str, port: int, flags: int) -> list[Any]:
        if flags:
            raise OSError("not a literal address")
        calls.append(host)
        let_go.wait(30.0)
        return [(_socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(_resolve, "_getaddrinfo", hang)
    with FaultServer(answering(response())) as server:
        exporter = make_exporter(f"http://agent.example:{server.port}")
        for _ in range(2):
            result = timed(exporter, 0.2)
            assert (result.status, result.reason) == ("retry", "unreachable")
            assert not result.hopeless
        let_go.set()
        assert export(exporter).status == "sent"
    assert calls == ["agent.example"]


def test_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not exist is reported as such, and not tried again at exit."""

    def unknown(host: str, port: int, flags: int) -> list[Any]:
        raise _socket.gaierror(_socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_resolve, "_getaddrinfo", unknown)
    result = export(make_exporter("http://agent.example:8126"))
    assert (result.status, result.reason, result.hopeless) == ("retry", "unreachable", True)
    assert "not known" in result.detail


def test_second_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a name has several addresses, one that does not answer leaves time for the next."""
    with FullBacklog() as mute, FaultServer(answering(response())) as server:
        addresses = [("127.0.0.1", mute.port), ("127.0.0.1", server.port)]

        def both(host: str, port: int, flags: int) -> list[Any]:
            if flags:
                raise OSError("not a literal address")
            return [(_socket.AF_INET, address) for address in addresses]

        monkeypatch.setattr(_resolve, "_getaddrinfo", both)
        assert timed(make_exporter("http://agent.example:1"), 2.0).status == "sent"


def test_interrupt_ends_a_wait() -> None:
    """Another thread can end a wait for the agent."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.wait_for_hangup()

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        timer = threading.Timer(0.1, exporter.interrupt)
        timer.start()
        begin = time.monotonic()
        assert export(exporter, timeout_s=20.0).status == "unconfirmed"
        assert time.monotonic() - begin < 10.0
        timer.join()
