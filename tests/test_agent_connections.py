"""Connections to the agent: reused, stale, cut in the middle, encrypted."""

from __future__ import annotations

import gc
import socket
import threading
import time
from pathlib import Path
from typing import Any

import certificates
import pytest
from agent_export import FakePayload, export, make_exporter, timed
from fault_server import FaultServer, Hangup, Peer, answering, response
from helpers import note_figure

# -- connections -----------------------------------------------------------------------------------


def test_connection_is_reused() -> None:
    """Requests that follow each other share one connection."""
    with FaultServer(answering(response())) as server:
        exporter = make_exporter(server.url)
        assert [export(exporter).status for _ in range(3)] == ["sent"] * 3
    assert server.connections == 1


def test_reuse_can_be_turned_off() -> None:
    """Without reuse each request says so and has a connection of its own."""

    def behave(peer: Peer) -> None:
        assert peer.read()["headers"]["connection"] == "close"
        peer.send(response(connection="close"))

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url, reuse_connections=False)
        assert [export(exporter).status for _ in range(2)] == ["sent"] * 2
    assert server.connections == 2


def test_forgotten_exporter_closes_its_connection() -> None:
    """An exporter in a cycle of garbage closes its connection without a ResourceWarning."""
    hung_up = threading.Event()

    def behave(peer: Peer) -> None:
        try:
            answering(response())(peer)
        except Hangup:
            hung_up.set()

    with FaultServer(behave) as server:
        exporter: Any = make_exporter(server.url)
        assert export(exporter).status == "sent"
        exporter._client.cycle = exporter
        del exporter
        gc.collect()
        assert hung_up.wait(10.0)


def test_idle_connection_closed_by_the_server() -> None:
    """If the server has closed the idle connection, a new one is made without any loss."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(response())  # and close, without having said so

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        for _ in range(3):
            assert export(exporter).status == "sent"
            time.sleep(0.05)
    assert len(server.requests) == server.connections == 3


def close_unread(peer: Peer) -> None:
    """Take a few bytes of the next request, and close the connection."""
    peer.socket.recv(10)


@pytest.mark.parametrize("unix", [False, True])
def test_stale_connection_is_retried_once(unix: bool, tmp_path: Path) -> None:
    """A used connection that is closed before the request was read gets one immediate retry."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(response())
        if peer.number == 1:
            close_unread(peer)
        else:
            answering(response())(peer)

    with FaultServer(behave, str(tmp_path / "socket") if unix else None) as server:
        exporter = make_exporter(server.url)
        assert [export(exporter).status for _ in range(2)] == ["sent", "sent"]
    assert server.connections == 2
    assert len(server.requests) == 2


def test_connection_closed_after_the_request_was_read() -> None:
    """A used connection that is closed after a whole request is no reason to send that again."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(response())
        peer.read()

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        assert [export(exporter).status for _ in range(2)] == ["sent", "unconfirmed"]
    assert len(server.requests) == 2


def test_stale_connection_is_not_retried_twice() -> None:
    """The second connection is a fresh one: if it is cut too, the outcome is unknown."""

    def behave(peer: Peer) -> None:
        if peer.number == 1:
            peer.read()
            peer.send(response())
        close_unread(peer)

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        assert export(exporter).status == "sent"
        assert export(exporter).status == "unconfirmed"
    assert (len(server.requests), server.connections) == (1, 2)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 2"])
def test_cut_after_the_request_is_unconfirmed(begun: bytes) -> None:
    """A fresh connection cut after the whole request is not retried: that could duplicate."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(begun)

    with FaultServer(behave) as server:
        result = export(make_exporter(server.url))
    assert result.status == "unconfirmed"
    assert len(server.requests) == 1


def test_used_connection_cut_within_the_response_is_unconfirmed() -> None:
    """Also on a used connection: one byte of response means that the request was seen."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(response())
        peer.read()
        peer.send(b"H")

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        assert [export(exporter).status for _ in range(2)] == ["sent", "unconfirmed"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02", b"\n" * 10]
)
def test_answer_that_is_not_http(answer: bytes) -> None:
    """If the server speaks another protocol, nobody knows what it did with the traces."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(answer)

    with FaultServer(behave) as server:
        assert export(make_exporter(server.url)).status == "unconfirmed"


def test_body_not_read_may_be_sent_again() -> None:
    """If the connection breaks before the request was sent in full, it may be sent again."""
    big = FakePayload(b"\xdd\x00\x00\x00\x00" + bytes(30 << 20), 1)

    def behave(peer: Peer) -> None:
        peer.read_head()  # then close, with most of the body unread

    with FaultServer(behave) as server:
        result = export(make_exporter(server.url), big)
    assert (result.status, result.reason) == ("retry", "not_sent")


def test_early_refusal_is_heard() -> None:
    """A server that answers 413 and closes before it has read the body is understood."""
    big = FakePayload(b"\xdd\x00\x00\x00\x00" + bytes(30 << 20), 1)

    def behave(peer: Peer) -> None:
        peer.read_head()
        peer.send(response(413, b"", connection="close"))
        peer.socket.shutdown(socket.SHUT_WR)
        time.sleep(0.2)  # the answer is on its way before the reset is

    with FaultServer(behave) as server:
        result = export(make_exporter(server.url), big)
    assert result.status == "refused_413"


# -- TLS -------------------------------------------------------------------------------------------


def test_https_with_an_authority_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SSL_CERT_FILE naming the authority, a TLS agent gets traces over one connection."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority_file(tmp_path))
    big = FakePayload(b"\xdd\x00\x00\x00\x00" + bytes(3 << 20), 1)
    with FaultServer(answering(response()), tls=certificates.server_context(tmp_path)) as server:
        for host in ("localhost", "127.0.0.1"):
            exporter = make_exporter(f"https://{host}:{server.port}")
            assert [export(exporter, each).status for each in (None, big, None)] == ["sent"] * 3
            assert server.requests[-2]["body"] == big.body
            exporter.close()
    note_figure(
        f"{server.connections} verified connections, {sorted(server.tls_versions)}, "
        f"{len(server.requests)} requests, largest body "
        f"{max(len(request['body']) for request in server.requests):,} bytes"
    )
    assert server.connections == 2
    assert len(server.requests) == 6


def test_https_without_the_authority_sends_nothing(tmp_path: Path) -> None:
    """A server whose certificate cannot be verified does not get any traces."""
    with FaultServer(answering(response()), tls=certificates.server_context(tmp_path)) as server:
        result = export(make_exporter(server.url))
    note_figure(
        f"{server.connections} connection, {len(server.requests)} requests: {result.detail}"
    )
    assert (result.status, result.reason, result.hopeless) == ("retry", "unreachable", True)
    assert "certificate" in result.detail.lower()
    assert server.requests == []


def test_https_server_that_is_mute(tmp_path: Path) -> None:
    """A TLS handshake that is never answered ends with the deadline."""

    def behave(peer: Peer) -> None:
        peer.wait_for_hangup()

    with FaultServer(behave) as server:
        url = server.url.replace("http:", "https:")
        result = timed(make_exporter(url), 0.3)
    assert (result.status, result.reason) == ("retry", "unreachable")


def test_https_idle_connection_closed_by_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TLS connection that the server has closed while idle is replaced without loss."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority_file(tmp_path))

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(response())

    with FaultServer(behave, tls=certificates.server_context(tmp_path)) as server:
        exporter = make_exporter(server.url)
        for _ in range(2):
            assert export(exporter).status == "sent"
            time.sleep(0.05)
    assert server.connections == 2
