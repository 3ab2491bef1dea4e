"""Addresses from the environment to the socket: traces arrive where the variables say."""

from __future__ import annotations

import os
from pathlib import Path

import certificates
import pytest
from fault_server import FaultServer, answering, refused_url, response
from helpers import run_python

from fasttrace import Tracer
from fasttrace.config import Config

CODE = """
from fasttrace import tracer
tracer.trace("op").finish()
assert tracer.flush(10.0), tracer.stats()
print(tracer.agent_trace_url)
"""
ACCEPT = response(200, b'{"rate_by_service": {}}')


def send_with(environ: dict[str, str]) -> None:
    """Send a trace from a process whose environment has these variables, and proxies."""
    proxies = dict.fromkeys(
        ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), refused_url()
    )
    run_python(CODE, env={**os.environ, **proxies, **environ})


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"DD_TRACE_AGENT_URL": "http://127.0.0.1:{port}"}, "/v0.4/traces"),
        ({"DD_TRACE_AGENT_URL": "http://localhost:{port}/apm/v9/"}, "/apm/v9/v0.4/traces"),
        ({"DD_TRACE_AGENT_URL": "HTTP://127.0.0.1:{port}", "DD_AGENT_HOST": "x"}, "/v0.4/traces"),
        ({"DD_AGENT_HOST": "127.0.0.1", "DD_AGENT_PORT": "{port}"}, "/v0.4/traces"),
        ({"DD_TRACE_AGENT_HOSTNAME": "127.0.0.1", "DD_AGENT_HOST": "x",
          "DD_TRACE_AGENT_PORT": "{port}", "DD_AGENT_PORT": "1"}, "/v0.4/traces"),
        ({"DD_TRACE_AGENT_PORT": "{port}", "DD_TRACE_API_VERSION": "v0.5"}, "/v0.5/traces"),
    ],
)  # fmt: skip
def test_over_tcp(variables: dict[str, str], path: str) -> None:
    """URL, host and port variables lead to the agent, past every proxy."""
    with FaultServer(answering(ACCEPT)) as server:
        send_with({name: value.format(port=server.port) for name, value in variables.items()})
    assert [request["path"] for request in server.requests] == [path]


def test_over_a_unix_socket(tmp_path: Path) -> None:
    """A unix:// URL leads to the socket."""
    with FaultServer(answering(ACCEPT), str(tmp_path / "s")) as server:
        send_with({"DD_TRACE_AGENT_URL": f"unix://{tmp_path}/s"})
    assert len(server.requests) == 1


def test_over_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    """An https:// URL leads to a TLS server whose authority SSL_CERT_FILE names."""
    context = certificates.server_context(tmp_path)
    with FaultServer(answering(ACCEPT), tls=context) as server:
        variables = {"SSL_CERT_FILE": certificates.authority_file(tmp_path)}
        send_with({**variables, "DD_TRACE_AGENT_URL": f"https://localhost:{server.port}/p"})
    assert [request["path"] for request in server.requests] == ["/p/v0.4/traces"]


@pytest.mark.parametrize(
    "variables",
    [
        {"DD_TRACE_AGENT_URL": "http://[::1]:{port}"},
        {"DD_AGENT_HOST": "::1", "DD_AGENT_PORT": "{port}"},
        {"DD_AGENT_HOST": "[::1]", "DD_AGENT_PORT": "{port}"},
        {"DD_TRACE_AGENT_URL": "http://localhost:{port}"},
    ],
)
def test_over_ipv6(variables: dict[str, str]) -> None:
    """Literal IPv6 addresses work with and without brackets; localhost is tried on both."""
    with FaultServer(answering(ACCEPT), host="::1") as server:
        send_with({name: value.format(port=server.port) for name, value in variables.items()})
    assert len(server.requests) == 1


def test_container_headers_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What identifies the container is in every request."""
    lines = [f"Datadog-Container-Id: {'a' * 64}", f"Datadog-Entity-ID: ci-{'a' * 64}"]
    monkeypatch.setattr("fasttrace.agent.container_headers", lambda: lines)
    with FaultServer(answering(ACCEPT)) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url))
        for _ in range(2):
            tracer.trace("op").finish()
            assert tracer.flush(10.0)
        tracer.shutdown()
    for request in server.requests:
        assert request["headers"]["datadog-container-id"] == "a" * 64
        assert request["headers"]["datadog-entity-id"] == "ci-" + "a" * 64


def test_rates_are_replaced_by_each_answer() -> None:
    """A service that is missing in the newest answer is kept again; silence changes nothing."""
    answers = [
        response(200, b'{"rate_by_service": {"service:web,env:": 0.0}}'),
        response(200, b"OK\n"),
        response(200, b'{"rate_by_service": {"service:other,env:": 0.0}}'),
        response(200, b"nonsense"),
        ACCEPT,
    ]
    priorities = []
    with FaultServer(answering(*answers)) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, service="web"))
        for _ in range(5):
            span = tracer.trace("op")
            span.finish()
            priorities.append(span.context.sampling_priority)
            assert tracer.flush(10.0)
        tracer.shutdown()
    assert priorities == [1, 0, 0, 1, 1]
