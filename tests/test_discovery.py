"""What the agent offers: asked in the background, once, and used for the form of span events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from agent_export import export, make_exporter
from fault_server import RATES, Behaviour, FaultServer, Peer, refused_url, response

from fasttrace import Tracer, _discovery, agent
from fasttrace.config import Config

OFFER = {"version": "7.70.0", "span_events": True, "endpoints": ["/v0.4/traces"]}


def offering(*infos: bytes | None, **headers: str) -> Behaviour:
    """An agent whose n-th answer to GET /info is the n-th of `infos`, then the last; None: 404."""

    def behave(peer: Peer) -> None:
        while True:
            request = peer.read()
            if request["method"] == "GET":
                asked = sum(each["method"] == "GET" for each in peer.server.requests)
                info = infos[min(asked, len(infos)) - 1]
                peer.send(response(404, b"") if info is None else response(200, info, **headers))
            else:
                peer.send(response(200, RATES, **headers))

    return behave


def questions(server: FaultServer) -> int:
    """How often the server was asked what it offers."""
    return sum(request["method"] == "GET" for request in server.requests)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what the background thread does, half a minute at most."""
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


# -- asking ----------------------------------------------------------------------------------------


def test_the_real_agent_says_what_it_offers(agent: Any) -> None:
    """The test agent's answer is decoded, over TCP and over the Unix socket."""
    for url in (agent.url, agent.socket_url):
        info = make_exporter(url).discover(5.0)
        assert info is not None
        assert "/v0.4/traces" in info["endpoints"]
        assert info["span_events"] is True


def test_the_question_is_a_get_on_the_same_connection() -> None:
    """After a payload the agent is asked on the connection that delivered it, with our headers."""
    with FaultServer(offering(json.dumps(OFFER).encode())) as server:
        exporter = make_exporter(f"{server.url}/prefix")
        assert export(exporter).status == "sent"
        assert exporter.discover(5.0) == OFFER
        assert export(exporter).status == "sent"
    assert server.connections == 1
    question = server.requests[1]
    assert (question["method"], question["path"]) == ("GET", "/prefix/info")
    assert question["body"] == b""
    assert question["headers"]["datadog-meta-lang"] == "python"
    assert "content-type" not in question["headers"]


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"OK", b"[1]", b"null", b"{", b"\xff", b"[" * 100_000],
)
def test_an_agent_that_says_nothing_of_use_offers_nothing(answer: bytes | None) -> None:
    """An agent without /info, or with nonsense there, is known to offer nothing."""
    with FaultServer(offering(answer)) as server:
        exporter = make_exporter(server.url)
        assert exporter.discover(5.0) == {}
        assert export(exporter).status == "sent"


def test_an_agent_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While agent and connection stay the same, and for a minute anyway, there is one question."""
    with FaultServer(offering(b"{}")) as server:
        exporter = make_exporter(server.url)
        assert exporter.discover(5.0) == {}
        exporter.close()
        assert export(exporter).status == "sent"
        assert exporter.discover(5.0) is None
        monkeypatch.setattr(agent, "_DISCOVERY_INTERVAL_NS", 0)
        assert exporter.discover(5.0) == {}  # it may be another agent on the new connection
        assert exporter.discover(5.0) is None
        assert questions(server) == 2


def test_an_agent_that_names_its_state_is_asked_again_when_that_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The header Datadog-Agent-State decides, not the connection."""
    monkeypatch.setattr(agent, "_DISCOVERY_INTERVAL_NS", 0)
    states = ["a", "a", "a", "b"]

    def behave(peer: Peer) -> None:
        while True:
            peer.read()
            state = states.pop(0) if len(states) > 1 else states[0]
            peer.send(response(200, b'{"span_events": true}', datadog_agent_state=state))

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        export(exporter)
        assert exporter.discover(5.0) == {"span_events": True}
        exporter.close()
        export(exporter)
        assert exporter.discover(5.0) is None
        export(exporter)
        assert exporter.discover(5.0) == {"span_events": True}
        assert exporter.discover(5.0) is None
        assert questions(server) == 2


def test_a_question_without_answer_is_put_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that is away or silent is asked again, a minute later, and payloads go on."""

    def behave(peer: Peer) -> None:
        while True:
            if peer.read()["method"] == "GET" and peer.number == 1:
                peer.wait_for_hangup()
            peer.send(response(200, b"{}"))

    with FaultServer(behave) as server:
        exporter = make_exporter(server.url)
        assert export(exporter).status == "sent"
        assert exporter.discover(0.05) is None
        assert export(exporter).status == "sent"
        assert exporter.discover(5.0) is None
        monkeypatch.setattr(agent, "_DISCOVERY_INTERVAL_NS", 0)
        assert exporter.discover(5.0) == {}
    assert make_exporter(refused_url()).discover(5.0) is None
    assert make_exporter("http://agent:0").discover(5.0) is None


# -- span events -----------------------------------------------------------------------------------


def trace_event(tracer: Tracer) -> None:
    """Finish a trace with an event and send it."""
    with tracer.trace("op") as span:
        span.record_exception(ValueError("wrong"), {"attempt": 2, "where": ["a", "b"]})
    assert tracer.flush(20.0)


def forms(bodies: list[bytes]) -> list[str]:
    """For each payload, whether its event is in the span's own field or JSON in a tag."""
    found = []
    for body in bodies:
        [[span]] = msgpack.unpackb(body)
        if "span_events" in span:
            assert "events" not in span["meta"]
            [event] = span["span_events"]
            assert event["attributes"]["attempt"] == {"type": 2, "int_value": 2}
        else:
            [event] = json.loads(span["meta"]["events"])
            assert event["attributes"]["attempt"] == 2
        assert event["name"] == "exception"
        found.append("native" if "span_events" in span else "JSON")
    return found


def bodies_of(server: FaultServer) -> list[bytes]:
    """The payloads that a server got."""
    return [request["body"] for request in server.requests if request["method"] == "POST"]


def discovered(tracer: Tracer) -> dict[str, Any] | None:
    """What the tracer knows of its agent."""
    discovery = tracer._flusher.discovery
    return None if discovery is None else discovery.info


def make_tracer(url: str, **config: Any) -> Tracer:
    """A tracer that sends to `url`, configured by `config` alone."""
    return Tracer(config=Config.from_env({}, agent_url=url, **config))


def test_the_real_agent_gets_events_in_their_own_field(session: Any) -> None:
    """The first events go as JSON, those after the agent's answer in the field that it offers."""
    tracer = session.make_tracer()
    trace_event(tracer)
    wait_until(lambda: discovered(tracer))
    trace_event(tracer)
    trace_event(tracer)
    bodies = [request["body"] for request in session.requests()]
    assert forms(bodies) == ["JSON", "native", "native"]


@pytest.mark.parametrize("info", [None, b"{}", b'{"span_events": false}', b'{"span_events": 1}'])
def test_an_agent_that_does_not_offer_the_field_gets_json(info: bytes | None) -> None:
    """Without an offer, events stay JSON in a tag, which every agent takes."""
    with FaultServer(offering(info)) as server:
        tracer = make_tracer(server.url)
        trace_event(tracer)
        wait_until(lambda: discovered(tracer) is not None)
        trace_event(tracer)
        assert forms(bodies_of(server)) == ["JSON", "JSON"]
        assert questions(server) == 1


def test_an_agent_that_was_exchanged_for_an_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the agent behind the address no longer offers the field, events are JSON again."""
    monkeypatch.setattr(agent, "_DISCOVERY_INTERVAL_NS", 0)
    behave = offering(json.dumps(OFFER).encode(), b"{}", connection="close")
    with FaultServer(behave) as server:
        tracer = make_tracer(server.url)
        for expected in (OFFER, {}):
            trace_event(tracer)
            wait_until(lambda now=expected: discovered(tracer) == now)
        trace_event(tracer)
        assert forms(bodies_of(server)) == ["JSON", "native", "JSON"]


def test_changing_other_settings_forgets_nothing() -> None:
    """configure() keeps what is known of the agent, unless it names another agent."""
    with FaultServer(offering(json.dumps(OFFER).encode())) as server:
        tracer = make_tracer(server.url)
        trace_event(tracer)
        wait_until(lambda: discovered(tracer))
        tracer.configure(partial_flush_min_spans=5)
        trace_event(tracer)
        with FaultServer(offering(None)) as other:
            tracer.configure(hostname="127.0.0.1", port=other.port)
            trace_event(tracer)
            assert forms(bodies_of(other)) == ["JSON"]
        assert forms(bodies_of(server)) == ["JSON", "native"]


@pytest.mark.parametrize(("setting", "form"), [("1", "native"), ("0", "JSON")])
def test_the_variable_decides_without_a_question(setting: str, form: str) -> None:
    """DD_TRACE_NATIVE_SPAN_EVENTS set: true from the first span on, in v0.4; false never."""
    environ = {"DD_TRACE_NATIVE_SPAN_EVENTS": setting, "DD_TRACE_API_VERSION": "v0.4"}
    with FaultServer(offering(json.dumps(OFFER).encode())) as server:
        tracer = Tracer(config=Config.from_env(environ, agent_url=server.url))
        trace_event(tracer)
        trace_event(tracer)
        tracer.shutdown()
        assert forms(bodies_of(server)) == [form, form]
        assert questions(server) == 0


def test_the_variable_is_stronger_than_the_format() -> None:
    """As in ddtrace 4.16, native events are sent as v0.4 also where v0.5 is asked for."""
    environ = {"DD_TRACE_NATIVE_SPAN_EVENTS": "true", "DD_TRACE_API_VERSION": "v0.5"}
    with FaultServer(offering(None)) as server:
        tracer = Tracer(config=Config.from_env(environ, agent_url=server.url))
        trace_event(tracer)
        assert server.requests[0]["path"] == "/v0.4/traces"
        assert forms(bodies_of(server)) == ["native"]


@pytest.mark.parametrize("config", [{}, {"api_version": "v0.5"}])
def test_nobody_asks_without_need(config: dict[str, Any]) -> None:
    """Traces without events, or in v0.5, which has no such field, cost no question."""
    with FaultServer(offering(json.dumps(OFFER).encode())) as server:
        tracer = make_tracer(server.url, **config)
        for _ in range(3):
            with tracer.trace("op") as span:
                if config:
                    span.record_exception(ValueError("wrong"))
            assert tracer.flush(20.0)
        tracer.shutdown()
        assert questions(server) == 0


def test_a_silent_agent_holds_up_nothing() -> None:
    """An agent that takes traces but never answers the question delays neither them nor the end."""

    def behave(peer: Peer) -> None:
        while True:
            if peer.read()["method"] == "GET":
                peer.wait_for_hangup()
            peer.send(response())

    with FaultServer(behave) as server:
        tracer = make_tracer(server.url)
        trace_event(tracer)
        wait_until(lambda: questions(server))
        begin_s = time.monotonic()
        trace_event(tracer)
        tracer.shutdown(5.0)
        assert time.monotonic() - begin_s < _discovery.TIMEOUT_S + 1.5
        assert tracer.stats()["sent"] == 2
        assert forms(bodies_of(server)) == ["JSON", "JSON"]


def test_whoever_wants_the_answer_is_told() -> None:
    """Another part of the tracer that wants to know gets the decoded answer, and may fail."""
    told: list[dict[str, Any]] = []
    with FaultServer(offering(json.dumps(OFFER).encode())) as server:
        tracer = make_tracer(server.url)
        tracer._flusher._load()
        discovery = tracer._flusher.discovery
        assert discovery is not None
        discovery.wanted = True
        discovery.listeners += [told.append, lambda info: info["missing"]]
        with tracer.trace("op"):
            pass
        assert tracer.flush(20.0)
        wait_until(lambda: told)
        assert told == [OFFER]
        with tracer.trace("op"):
            pass
        assert tracer.flush(20.0)
        assert discovery.info == OFFER
