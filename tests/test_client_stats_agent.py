"""Statistics on the way to the agent: when they are sent, and what the agent has to offer."""

from __future__ import annotations

import json
import os
import textwrap
import time
from typing import Any

import msgpack
import pytest
from client_stats import REJECT, SECOND, read_sketch
from fault_server import FaultServer, answering, response
from helpers import run_python
from scripted_exporter import wait_until

from fasttrace import Tracer

INFO = {"endpoints": ["/v0.4/traces", "/v0.6/stats"], "client_drop_p0s": True}


def first_trace(tracer: Tracer) -> None:
    """Send a trace and wait until the agent was asked what it offers."""
    tracer.start_span("first").finish()
    tracer.flush(20.0)
    wait_until(
        lambda: tracer._flusher.discovery and tracer._flusher.discovery.info is not None, 30.0
    )


def test_with_the_real_agent(session: Any) -> None:
    """Kept traces say in headers what was left out; the agent accepts the statistics."""
    tracer = session.make_tracer(
        stats_enabled=True, sampling_rules=REJECT, env="prod", version="v1"
    )
    first_trace(tracer)
    for name in ("kept", "rejected", "rejected"):
        with tracer.trace(name, resource="GET /"):
            pass
    assert tracer.flush(20.0)
    first, second, stats = session.requests()
    assert "datadog-client-computed-stats" not in first["headers"]
    assert second["headers"]["datadog-client-computed-stats"] == "true"
    assert second["headers"]["datadog-client-dropped-p0-traces"] == "2"
    assert second["headers"]["datadog-client-dropped-p0-spans"] == "2"
    assert {span["name"] for span in session.spans()} == {"first", "kept"}
    assert (stats["method"], stats["path"]) == ("POST", "/v0.6/stats")
    assert stats["headers"]["content-type"] == "application/msgpack"
    payload = msgpack.unpackb(stats["body"])
    assert (payload["Env"], payload["Version"], payload["Service"]) == ("prod", "v1", "svc")
    assert (payload["Lang"], payload["Sequence"], payload["Hostname"]) == ("python", 1, "")
    [bucket] = payload["Stats"]
    assert bucket["Duration"] == 10 * SECOND
    assert bucket["Start"] % (10 * SECOND) == 0
    hits = {group["Name"]: group["Hits"] for group in bucket["Stats"]}
    assert hits == {"kept": 1, "rejected": 2}
    for group in bucket["Stats"]:
        assert group["Resource"] == "GET /"
        assert group["IsTraceRoot"] == 1
        assert group["TopLevelHits"] == group["Hits"]
        assert sum(read_sketch(group["OkSummary"])[0].values()) == group["Hits"]
        assert read_sketch(group["ErrorSummary"]) == ({}, 0.0)
    decoded = session.agent._get_json("/test/session/stats", test_session_token=session.token)
    assert len(decoded) == 1


def test_off_unless_asked_for(session: Any) -> None:
    """Without the setting nothing is counted, and the agent may not be told otherwise."""
    tracer = session.make_tracer(sampling_rules=REJECT)
    for name in ("kept", "rejected"):
        tracer.start_span(name).finish()
        tracer.flush(20.0)
    assert len(session.spans()) == 2
    assert {request["path"] for request in session.requests()} == {"/v0.4/traces"}
    for request in session.requests():
        assert "datadog-client-computed-stats" not in request["headers"]


def test_switched_on_and_off_at_run_time(session: Any) -> None:
    """`configure(compute_stats_enabled=)` takes effect, as in ddtrace."""
    tracer = session.make_tracer(sampling_rules=REJECT)
    tracer.configure(compute_stats_enabled=True)
    first_trace(tracer)
    tracer.start_span("rejected").finish()
    tracer.configure(compute_stats_enabled=False)  # sends what was counted
    tracer.start_span("rejected 2").finish()
    tracer.flush(20.0)
    assert {span["name"] for span in session.spans()} == {"first", "rejected 2"}
    assert [request["path"] for request in session.requests()].count("/v0.6/stats") == 1


def make_tracer(url: str, **config: Any) -> Tracer:
    """A tracer that counts, for the agent at `url`."""
    from fasttrace.config import Config

    given = {"service": "svc", "agent_url": url, "stats_enabled": True, "sampling_rules": REJECT}
    return Tracer(config=Config.from_env({}, **given, **config))


def paths(server: FaultServer) -> list[str]:
    """The paths of all requests, in order."""
    return [request["path"] for request in server.requests]


@pytest.mark.parametrize(
    ("info", "counts", "drops"),
    [
        (INFO, True, True),
        ({**INFO, "client_drop_p0s": False}, True, False),
        ({"endpoints": INFO["endpoints"]}, True, False),
        ({"endpoints": ["/v0.4/traces"], "client_drop_p0s": True}, False, False),
        ({"client_drop_p0s": True}, False, False),
        ({"endpoints": "/v0.6/stats", "client_drop_p0s": True}, False, False),
        ({}, False, False),
    ],
)
def test_only_what_the_agent_offers(info: dict[str, Any], counts: bool, drops: bool) -> None:
    """Counting needs the endpoint, leaving out needs `client_drop_p0s`; else everything is sent."""
    answer = response(200, json.dumps(info).encode())
    with FaultServer(answering(response(), answer, response())) as server:
        tracer = make_tracer(server.url)
        first_trace(tracer)
        assert paths(server) == ["/v0.4/traces", "/info"]
        tracer.start_span("rejected").finish()
        assert tracer.flush(20.0)
        expected = ([] if drops else ["/v0.4/traces"]) + (["/v0.6/stats"] if counts else [])
        assert paths(server)[2:] == expected
        tracer.shutdown(10.0)


def test_an_old_agent(new_tracer: Any) -> None:
    """An agent that does not know /info gets everything, uncounted."""
    with FaultServer(answering(response(), response(404), response())) as server:
        tracer = make_tracer(server.url)
        first_trace(tracer)
        tracer.start_span("rejected").finish()
        assert tracer.flush(20.0)
        assert paths(server) == ["/v0.4/traces", "/info", "/v0.4/traces"]
        tracer.shutdown(10.0)


@pytest.mark.parametrize(
    ("status", "goes_on"), [(404, False), (415, False), (500, True), (400, True), (503, True)]
)
def test_an_agent_that_refuses(
    status: int, goes_on: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the endpoint counting ends for good; other refusals lose a payload."""
    answer = response(200, json.dumps(INFO).encode())
    with FaultServer(answering(response(), answer, response(status), response())) as server:
        tracer = make_tracer(server.url)
        first_trace(tracer)
        tracer.start_span("rejected").finish()
        tracer.flush(20.0)
        tracer.start_span("rejected").finish()
        tracer.flush(20.0)
        asked = {404: 1, 415: 1, 503: 3}.get(status, 2)
        assert paths(server).count("/v0.6/stats") == asked
        assert (paths(server)[-1] == "/v0.6/stats") is goes_on
        assert tracer.stats()["dropped"].get("p0", 0) == (2 if goes_on else 1)
        tracer.shutdown(10.0)


@pytest.mark.usefixtures("fresh_log")
def test_nobody_there_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Statistics that cannot be delivered hold up nothing, and are mentioned."""
    answer = response(200, json.dumps(INFO).encode())
    with FaultServer(answering(response(), answer)) as server:
        tracer = make_tracer(server.url)
        first_trace(tracer)
    for _ in range(10):
        tracer.start_span("rejected").finish()
        tracer.flush(2.0)
    started = time.monotonic()
    tracer.shutdown(2.0)
    assert time.monotonic() - started < 10.0
    assert tracer._buffered_bytes == 0
    assert any("trace statistics cannot be sent" in text for text in caplog.messages)


def counted_by(session: Any, code: str) -> list[tuple[str, int]]:
    """Run a program that counts, from when the agent is known on; name and hits of each group."""
    begin = """
        import os, time
        from fasttrace import tracer
        tracer.start_span("first").finish()
        tracer.flush(20.0)
        deadline = time.monotonic() + 30
        while tracer._flusher.discovery.info is None and time.monotonic() < deadline:
            time.sleep(0.005)
    """
    env = session.env(
        DD_TRACE_STATS_COMPUTATION_ENABLED="true",
        DD_TRACE_SAMPLING_RULES=json.dumps(REJECT),
        DD_SERVICE="svc",
    )
    run_python(textwrap.dedent(begin) + textwrap.dedent(code), env=env)
    bodies = [r["body"] for r in session.requests() if r["path"] == "/v0.6/stats"]
    groups = [g for body in bodies for b in msgpack.unpackb(body)["Stats"] for g in b["Stats"]]
    return sorted((group["Name"], group["Hits"]) for group in groups)


def test_a_process_that_only_rejects(session: Any) -> None:
    """A short process whose traces are all left out still delivers its statistics at exit."""
    code = """
        for _ in range(5):
            tracer.start_span("rejected").finish()
    """
    assert counted_by(session, code) == [("rejected", 5)]


def test_sent_in_the_background(session: Any) -> None:
    """Complete intervals leave without anybody asking, also if no trace is ever sent."""
    tracer = session.make_tracer(stats_enabled=True, sampling_rules=REJECT, flush_interval_s=0.05)
    first_trace(tracer)
    span = tracer.start_span("rejected")
    span.start_ns = time.time_ns() - 60 * SECOND
    span.duration_ns = 5
    span.finish()
    wait_until(lambda: any(r["path"] == "/v0.6/stats" for r in session.requests()), 30.0)
    assert [span["name"] for span in session.spans()] == ["first"]


if hasattr(os, "fork"):

    def test_a_forked_child_counts_for_itself(session: Any) -> None:
        """A forked child begins with no counts; what its parent counted is sent once."""
        code = """
            tracer.start_span("rejected by parent").finish()
            pid = os.fork()
            if pid == 0:
                tracer.start_span("rejected by child").finish()
                tracer.flush(20.0)
                os._exit(0)
            os.waitpid(pid, 0)
            tracer.flush(20.0)
        """
        counted = counted_by(session, code)
        assert counted == [("rejected by child", 1), ("rejected by parent", 1)]
