"""GET /info: what the agent says about itself, and why it may say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certificates
import pytest
from fault_server import FaultServer, FullBacklog, Peer, answering, refused_url, response

from fasttrace._agent_info import InfoReply, fetch
from fasttrace.config import Config


def ask(url: str, timeout_s: float = 5.0) -> InfoReply:
    """Ask the agent at `url`."""
    return fetch(Config.from_env({}, agent_url=url), timeout_s)


def test_real_agent(agent: Any) -> None:
    """The test agent lists its endpoints, over TCP and over its Unix socket."""
    for url in (agent.url, agent.socket_url):
        reply = ask(url)
        assert (reply.http_status, reply.detail) == (200, "")
        assert "/v0.4/traces" in reply.info["endpoints"]


def test_request() -> None:
    """The request is a GET of /info behind the URL's path, over a connection of its own."""
    with FaultServer(answering(response(body=b'{"version": "7.60"}'))) as server:
        reply = ask(f"{server.url}/apm")
        assert reply.reached
        assert reply.info == {"version": "7.60"}
    (request,) = server.requests
    assert (request["method"], request["path"]) == ("GET", "/apm/info")


def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent behind TLS is asked over TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority_file(tmp_path))
    context = certificates.server_context(tmp_path)
    with FaultServer(answering(response(body=b"{}")), tls=context) as server:
        assert ask(server.url).http_status == 200


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (response(404, b"not found"), 404),
        (response(200, b"OK"), 200),
        (response(200, b"[1]"), 200),
        (response(200, b"[" * 100_000), 200),
        (response(302, b"", location="http://127.0.0.1:1/"), 302),
    ],
)
def test_answer_without_information(answer: bytes, status: int) -> None:
    """An old agent, or something else that speaks HTTP, is reached but says nothing."""
    with FaultServer(answering(answer)) as server:
        reply = ask(server.url)
    assert reply.reached
    assert reply.http_status == status
    assert reply.info == {}
    assert reply.detail


def test_no_answer() -> None:
    """Nobody there, nobody answering, no such address, no HTTP: not reached, and it says why."""

    def garbage(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"SSH-2.0-OpenSSH\r\n\r\n")

    with FullBacklog() as mute, FaultServer(garbage) as other:
        for url in (refused_url(), mute.url, other.url, "http://:1", "unix:///no/such.socket"):
            reply = ask(url, 0.3)
            assert not reply.reached
            assert reply.info == {}
            assert reply.detail
