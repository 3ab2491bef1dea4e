"""Delivery of one payload: the request, the reply, and the verdict on each status."""

from __future__ import annotations

import _socket
import sys
from typing import Any

import msgpack
import pytest
from agent_export import SPAN, TRACES, TRACES_V05, FakePayload, export, make_exporter
from fault_server import (
    RATES,
    FaultServer,
    Peer,
    answering,
    refused_url,
    response,
)

from fasttrace import _resolve
from fasttrace._http import MAX_BODY_BYTES, Target
from fasttrace.agent import read_rates

ANSWERED_RATES = {"service:web,env:prod": 0.5}


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
