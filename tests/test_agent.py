"""Delivery of one payload: requests, replies, faults on the way, and the verdict on each."""

from __future__ import annotations

import _socket
import gc
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import certificates
import msgpack
import pytest
from fault_server import (
    RATES,
    FaultServer,
    FullBacklog,
    Hangup,
    Peer,
    answering,
    refused_url,
    response,
)

from fasttrace import _resolve
from fasttrace._http import MAX_BODY_BYTES, Target
from fasttrace.agent import AgentExporter, read_rates
from fasttrace.config import Config
from fasttrace.exporter import ExportResult

SPAN = {
    "trace_id": 7,
    "span_id": 9,
    "name": "op",
    "resource": "res",
    "service": "svc",
    "start": 1_700_000_000_000_000_000,
    "duration": 1000,
}
TRACES = msgpack.packb([[SPAN], [SPAN]])
#: the same span in v0.5
STRINGS = ["", "svc", "op", "res"]
TRACES_V05 = msgpack.packb([STRINGS, [[[1, 2, 3, 7, 9, 0, SPAN["start"], 1000, 0, {}, {}, 0]]]])
ANSWERED_RATES = {"service:web,env:prod": 0.5}


class FakePayload:
    """What the exporter needs of a payload, with a body of the test's choice."""

    def __init__(
        self, body: bytes = TRACES, trace_count: int = 2, api_version: str = "v0.4"
    ) -> None:
        self.body = body
        self.trace_count = trace_count
        self.api_version = api_version

    def buffers(self) -> list[Any]:
        """Two pieces, the second without a copy, as the core gives them."""
        return [self.body[:5], memoryview(self.body)[5:]]


def make_exporter(url: str, **config: Any) -> AgentExporter:
    """Return an exporter to `url`, configured by `config` alone."""
    return AgentExporter(Config.from_env({}, agent_url=url, **config))


def export(
    exporter: AgentExporter, payload: FakePayload | None = None, timeout_s: float = 5.0
) -> ExportResult:
    """Export one payload, a small one unless given."""
    payload = payload or FakePayload()
    return exporter.export(payload, payload.trace_count, timeout_s)


# -- the request -----------------------------------------------------------------------------------


def test_real_agent_decodes_what_arrives(agent: Any) -> None:
    """The test agent accepts the request and sees its traces, over TCP and over the Unix socket."""
    with agent.session(rates={"service:svc,env:": 0.25}) as session:
        for url in (agent.url, agent.socket_url):
            exporter = make_exporter(url, additional_headers=session.headers)
            result = export(exporter)
            assert (result.status, result.http_status) == ("sent", 200)
            assert result.rates == {"service:svc,env:": 0.25}
        assert len(session.requests()) == 2
        assert {span["span_id"] for span in session.spans()} == {9}


def test_every_header(agent: Any) -> None:
    """A request has each header of the trace protocol once, and nothing that was not asked for."""
    with agent.session() as session:
        exporter = make_exporter(
            agent.url, additional_headers=session.headers, external_env="it-false,cn-web"
        )
        exporter._headers = [line for line in exporter._headers if "Datadog-Entity" not in line]
        assert export(exporter).status == "sent"
        (request,) = session.requests()
    from fasttrace._version import version

    headers = request["headers"]
    assert (request["method"], request["path"]) == ("POST", "/v0.4/traces")
    assert request["body"] == TRACES
    assert headers == {
        "host": agent.url.removeprefix("http://"),
        "content-type": "application/msgpack",
        "content-length": str(len(TRACES)),
        "x-datadog-trace-count": "2",
        "datadog-meta-lang": "python",
        "datadog-meta-lang-version": ".".join(map(str, sys.version_info[:3])),
        "datadog-meta-lang-interpreter": "CPython",
        "datadog-meta-tracer-version": version,
        "datadog-client-computed-top-level": "true",
        "datadog-send-real-http-status": "1",
        "datadog-external-env": "it-false,cn-web",
        "x-datadog-test-session-token": session.token,
    }


def test_header_that_would_break_the_request_is_left_out() -> None:
    """A header value with a line break, which could smuggle in another header, is not sent."""
    with FaultServer(answering(response())) as server:
        exporter = make_exporter(server.url, external_env="a\r\nX-Evil: 1")
        assert export(exporter).status == "sent"
    assert not {"x-evil", "datadog-external-env"} & set(server.requests[0]["headers"])


def test_path_prefix_is_kept() -> None:
    """A path in the agent's URL comes before the path of the endpoint."""
    with FaultServer(answering(response())) as server:
        assert export(make_exporter(f"{server.url}/apm/agent/")).status == "sent"
    assert server.requests[0]["path"] == "/apm/agent/v0.4/traces"


def test_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables of the environment do not lead the traces elsewhere."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, refused_url())
    with FaultServer(answering(response())) as server:
        assert export(make_exporter(server.url)).status == "sent"


@pytest.mark.parametrize(
    ("url", "host", "port", "host_header", "prefix"),
    [
        ("http://agent:8126", "agent", 8126, "agent:8126", ""),
        ("http://agent", "agent", 80, "agent", ""),
        ("https://agent", "agent", 443, "agent", ""),
        ("http://10.0.0.1:1/", "10.0.0.1", 1, "10.0.0.1:1", ""),
        ("http://[::1]:8126/a/b/", "::1", 8126, "[::1]:8126", "/a/b"),
        ("http://[fe80::1%eth0]", "fe80::1%eth0", 80, "[fe80::1%eth0]", ""),
        ("http://user:pass@agent:1/x?q=1", "agent", 1, "agent:1", "/x"),
    ],
)
def test_parts_of_the_url(url: str, host: str, port: int, host_header: str, prefix: str) -> None:
    """Host, port, Host header and path prefix are read from the URL."""
    target = Target(url)
    assert (target.host, target.port) == (host, port)
    assert (target.host_header, target.prefix) == (host_header, prefix)


@pytest.mark.parametrize(
    "url",
    ["http://agent:port", "http://agent:0", "http://agent:65536", "http://:8126", "http://a b"],
)
def test_unusable_address_drops_with_its_own_reason(url: str) -> None:
    """A URL that can never work is reported as such, and nothing is kept for later."""
    result = export(make_exporter(url))
    assert result.status == "bad_address"
    assert result.detail


def test_ipv6_literal_needs_no_look_up() -> None:
    """A literal IPv6 address is connected to as it is."""
    found = _resolve.Resolver().find("::1", 8126, 0)
    assert found == [(_socket.AF_INET6, ("::1", 8126, 0, 0))]


# -- the verdict on each status --------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_is_sent(status: int) -> None:
    """Every 2xx status means that the agent has the traces."""
    with FaultServer(answering(response(status, b""))) as server:
        assert export(make_exporter(server.url)).status == "sent"


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 413, 415, 500, 502, 504])
def test_refusal_drops_at_once(status: int) -> None:
    """A refusal that will not change is a drop reason of its own; one request, no redirect."""
    location = {"location": "http://127.0.0.1:1/"}
    with FaultServer(answering(response(status, b"no", **location))) as server:
        result = export(make_exporter(server.url))
    assert (result.status, result.http_status) == (f"refused_{status}", status)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 503])
def test_overload_may_be_retried(status: int) -> None:
    """A status that says "not now" is left to the flusher to try again."""
    with FaultServer(answering(response(status, b""))) as server:
        result = export(make_exporter(server.url))
    assert (result.status, result.reason) == ("retry", f"refused_{status}")
    assert not result.hopeless
    assert len(server.requests) == 1


def test_detail_never_holds_what_the_agent_says() -> None:
    """An agent's error text may quote a tag value, so it does not get into the message."""
    with FaultServer(answering(response(400, b"cannot decode 's3cret'"))) as server:
        assert "s3cret" not in export(make_exporter(server.url)).detail


@pytest.mark.parametrize("status", [404, 415])
def test_refused_v05_is_delivered_as_v04(status: int) -> None:
    """An agent that does not know v0.5 gets the same traces as v0.4, now and from then on."""
    with FaultServer(answering(response(status, b""), response())) as server:
        exporter = make_exporter(server.url, api_version="v0.5")
        for _ in range(2):
            result = export(exporter, FakePayload(TRACES_V05, 1, "v0.5"))
            assert (result.status, result.use_version) == ("sent", "v0.4")
    paths = [request["path"] for request in server.requests]
    assert paths == ["/v0.5/traces", "/v0.4/traces", "/v0.4/traces"]
    assert msgpack.unpackb(server.requests[1]["body"]) == [[SPAN]]
    assert server.requests[1]["headers"]["x-datadog-trace-count"] == "1"
    assert server.connections == 1


def test_v05_payload_that_cannot_be_read_is_dropped() -> None:
    """If transcoding fails the payload is dropped for that reason, and nothing raises."""
    with FaultServer(answering(response(404, b""))) as server:
        result = export(
            make_exporter(server.url, api_version="v0.5"), FakePayload(b"\x93123456", 1, "v0.5")
        )
    assert result.status == "not_encodable"


# -- rates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "rates"),
    [
        (RATES, ANSWERED_RATES),
        (b'{"rate_by_service": {}}', {}),
        (b'{"rate_by_service": {"a": 1, "b": 0}}', {"a": 1.0, "b": 0.0}),
        (
            b'{"rate_by_service": {"a": 2, "b": -1, "c": "x", "d": true, "e": NaN, "f": 1}}',
            {"f": 1.0},
        ),
        (b"{}", None),
        (b"", None),
        (b"OK\n", None),
        (b"OK{", None),
        (b"[1]", None),
        (b"null", None),
        (b'{"rate_by_service": 1}', None),
        (b'{"rate_by_service"', None),
        (b"\xff\xfe\x00", None),
        (b"[" * 100_000, None),
        (None, None),
    ],
)
def test_rates_of_the_reply(body: bytes | None, rates: dict[str, float] | None) -> None:
    """The rate table is read from a JSON reply; "OK", nonsense and silence change nothing."""
    assert read_rates(body) == rates


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(RATES) + RATES,
        b"HTTP/1.1 200\ncontent-length:%d\n\n" % len(RATES) + RATES,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(RATES)
        + RATES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n%X;ext=1\r\n%s\r\n0\r\nTrailer: 1\r\n\r\n"
        % (5, RATES[:5], len(RATES) - 5, RATES[5:]),
        b"HTTP/1.0 200 OK\r\n\r\n" + RATES,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + RATES,
    ],
    ids=["length", "bare newlines", "100 continue", "chunked", "HTTP/1.0", "until close"],
)
def test_forms_of_a_response(answer: bytes) -> None:
    """The body is found in every form HTTP/1.1 has for it, also if it comes byte by byte."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.drip(answer, 0.0)

    with FaultServer(behave) as server:
        result = export(make_exporter(server.url))
    assert result.status == "sent"
    assert result.rates == ANSWERED_RATES


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + RATES,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 1),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n",
    ],
    ids=["cut", "bad chunk", "coding", "bad length", "long", "endless", "long chunk"],
)
def test_status_counts_even_if_the_body_is_unreadable(answer: bytes) -> None:
    """Once the agent has said 200 the traces are delivered, whatever becomes of its body."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(answer)

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        result = export(exporter)
        assert (result.status, result.rates) == ("sent", None)
        assert export(exporter).status == "sent"
    assert server.connections == 2, "a connection out of step was used again"


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


# -- one deadline for everything -------------------------------------------------------------------


def timed(exporter: AgentExporter, timeout_s: float, payload: FakePayload | None = None) -> Any:
    """Export, and make sure that it did not take noticeably longer than it may."""
    begin = time.monotonic()
    result = export(exporter, payload, timeout_s)
    assert time.monotonic() - begin < timeout_s + 0.5
    return result


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
    assert server.connections == 2
    assert len(server.requests) == 6


def test_https_without_the_authority_sends_nothing(tmp_path: Path) -> None:
    """A server whose certificate cannot be verified does not get any traces."""
    with FaultServer(answering(response()), tls=certificates.server_context(tmp_path)) as server:
        result = export(make_exporter(server.url))
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
