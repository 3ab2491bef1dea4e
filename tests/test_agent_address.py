"""Addresses from the environment to the socket: traces arrive where the variables say."""

from __future__ import annotations

import os
from pathlib import Path

import certificates
import pytest
from fault_server import FaultServer, answering, response
from helpers import note_figure, run_python

from fasttrace import Tracer
from fasttrace.config import Config

CODE = """
from fasttrace import tracer
tracer.trace("op").finish()
assert tracer.flush(10.0), tracer.stats()
print(tracer.agent_trace_url)
"""
ACCEPT = response(200, b'{"rate_by_service": {}}')


def send_with(server: FaultServer, environ: dict[str, str]) -> list[str]:
    """Send a trace from a process whose environment has these variables, and a proxy that works.

    Returns the paths of the requests that `server`, meant by the variables, has got.
    """
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    with FaultServer(answering(ACCEPT)) as proxy:
        proxies = dict.fromkeys(names, proxy.url)
        used = run_python(CODE, env={**os.environ, **proxies, **environ}).stdout.strip()
    paths = [request["path"] for request in server.requests]
    note_figure(f"{used}: arrived at {paths}, connections to the proxy: {proxy.connections}")
    assert proxy.connections == 0
    return paths


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
        environ = {name: value.format(port=server.port) for name, value in variables.items()}
        assert send_with(server, environ) == [path]


def test_over_a_unix_socket(tmp_path: Path) -> None:
    """A unix:// URL leads to the socket."""
    with FaultServer(answering(ACCEPT), str(tmp_path / "s")) as server:
        environ = {"DD_TRACE_AGENT_URL": f"unix://{tmp_path}/s"}
        assert send_with(server, environ) == ["/v0.4/traces"]


def test_over_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    """An https:// URL leads to a TLS server whose authority SSL_CERT_FILE names."""
    context = certificates.server_context(tmp_path)
    with FaultServer(answering(ACCEPT), tls=context) as server:
        variables = {"SSL_CERT_FILE": certificates.authority_file(tmp_path)}
        environ = {**variables, "DD_TRACE_AGENT_URL": f"https://localhost:{server.port}/p"}
        assert send_with(server, environ) == ["/p/v0.4/traces"]


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
        environ = {name: value.format(port=server.port) for name, value in variables.items()}
        assert send_with(server, environ) == ["/v0.4/traces"]


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
    both = {"datadog-container-id", "datadog-entity-id"}
    with_both = sum(both <= request["headers"].keys() for request in server.requests)
    note_figure(f"container and entity headers in {with_both} of {len(server.requests)} requests")
    assert with_both >= 2
    for request in server.requests:
        assert request["headers"]["datadog-container-id"] == "a" * 64
        assert request["headers"]["datadog-entity-id"] == "ci-" + "a" * 64


def test_rates_are_replaced_by_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is missing in the newest answer is kept again; silence changes nothing."""
    answers = [
        response(200, b'{"rate_by_service": {"service:web,env:": 0.0}}'),
        response(200, b"OK\n"),
        response(200, b'{"rate_by_service": {"service:other,env:": 0.0}}'),
        response(200, b"nonsense"),
        ACCEPT,
    ]
    tables: list[dict[str, float]] = []
    replace = Tracer._set_rates

    def replace_and_note(tracer: Tracer, rates: dict[str, float]) -> None:
        tables.append(rates)
        replace(tracer, rates)

    monkeypatch.setattr(Tracer, "_set_rates", replace_and_note)
    priorities: list[int | None] = []
    with FaultServer(answering(*answers)) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, service="web"))
        for _ in range(5):
            span = tracer.trace("op")
            span.finish()
            priorities.append(span.context.sampling_priority)
            assert tracer.flush(10.0)
        tracer.shutdown()
    note_figure(
        f"{len(server.requests)} answers replaced the table {len(tables)} times, by {tables}; "
        f"priorities of the traces between them: {priorities}"
    )
    assert priorities == [1, 0, 0, 1, 1]
    assert tables == [{"service:web,env:": 0.0}, {"service:other,env:": 0.0}, {}]
