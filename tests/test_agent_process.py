"""The test harness itself: the agent's checks are on, and what they find is found."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest
from agent_process import CHECKS, TestAgent

GOOD_HEADERS = {
    "Content-Type": "application/msgpack",
    "X-Datadog-Trace-Count": "0",
    "Datadog-Meta-Tracer-Version": "1.0",
}


@pytest.fixture
def own_agent() -> Iterator[TestAgent]:
    """A test agent that may be sent nonsense."""
    with TestAgent() as agent:
        yield agent


def send(agent: TestAgent, body: bytes, headers: dict[str, str]) -> int:
    """POST `body` to the v0.4 endpoint; return the status."""
    connection = http.client.HTTPConnection(agent.host, agent.port, timeout=30)
    try:
        connection.request("POST", "/v0.4/traces", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_good_request_is_no_failure(own_agent: TestAgent) -> None:
    """An empty payload with the right headers passes every check."""
    assert send(own_agent, b"\x90", GOOD_HEADERS) == 200
    assert own_agent.check_failures() == []
    assert own_agent.checks_passed() == dict.fromkeys(CHECKS, 1)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\x90", {"X-Datadog-Trace-Count": "1"}),
        (b"\x91", {}),
        (b"\x91\x91\x80", {"X-Datadog-Trace-Count": "1"}),
    ],
    ids=["wrong count", "cut body", "span without ids"],
)
def test_a_faulty_request_is_a_failure(
    own_agent: TestAgent, body: bytes, headers: dict[str, str]
) -> None:
    """A wrong trace count, a body that cannot be decoded and an incomplete span are found."""
    assert send(own_agent, body, {**GOOD_HEADERS, **headers}) == 400
    assert own_agent.check_failures() != []


def test_a_missing_header_is_a_failure(own_agent: TestAgent) -> None:
    """A request without the tracer's version is found."""
    send(own_agent, b"\x90", {"Content-Type": "application/msgpack", "X-Datadog-Trace-Count": "0"})
    [failure] = [text for text in own_agent.check_failures() if "failed" in text]
    assert "meta_tracer_version_header" in failure


def test_agents_run_side_by_side(own_agent: TestAgent, agent: TestAgent) -> None:
    """Several agents can run at once and see only their own requests."""
    assert own_agent.url != agent.url
    session = own_agent.session()
    assert session.traces() == []
    assert own_agent.info()["endpoints"]
    assert agent.info()["endpoints"]


def test_the_shared_agent_has_its_checks_on(session: Any) -> None:
    """What a tracer sends to the shared agent has passed every one of its checks."""
    before = session.agent.checks_passed()
    tracer = session.make_tracer()
    with tracer.trace("op"):
        pass
    assert len(session.received()) == 1
    after = session.agent.checks_passed()
    assert all(after[name] > before.get(name, 0) for name in CHECKS)
