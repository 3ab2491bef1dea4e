"""Rounds that go the way of the last one: nothing may differ from rounds that are gone through."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_ways import USUAL, WAYS, answer_in_parts, seen_of, server_that, stop
from fault_server import Behaviour, FaultServer, Peer, response
from helpers import note_figure
from hypothesis import given, settings
from scripted_exporter import ScriptedExporter, make_tracer, wait_until
from test_usual_reply import replies

from fasttrace import Tracer, _log
from fasttrace._span import is_readable, monotonic_ns
from fasttrace.agent import AgentExporter
from fasttrace.config import Config

pytestmark = pytest.mark.usefixtures("fresh_log")

TIMEOUT_S = 0.3  # of the agent, in these tests
LARGE = ("reads little", "closes unread", "resets", "refuses early")  # with a body beyond buffers


def play(
    behave: Behaviour,
    caplog: pytest.LogCaptureFixture,
    path: str | None = None,
    large: bool = False,
    each: Callable[[Tracer], object] = lambda _: None,
    **config: Any,
) -> dict[str, Any]:
    """Six flushes; what the tracer, the server and the log say of them, and how many were exported.

    large: the payloads but the first are larger than what a connection takes unread.
    """
    caplog.clear()
    _log._last_ns.clear()
    _log._held_back.clear()
    exports = []
    with FaultServer(behave, path) as server, pytest.MonkeyPatch.context() as patch:
        export = AgentExporter._export  # not `export`: routes are not used if that is replaced
        patch.setattr(AgentExporter, "_export", lambda *args: (exports.append(1), export(*args))[1])
        settings = {
            "agent_timeout_s": TIMEOUT_S,
            "flush_interval_s": 3600.0,  # and a buffer that is never half full: nothing is sent
            "buffer_max_bytes": 200 << 20,  # but by flush()
            **config,
        }
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, **settings))
        answers = []
        for number in range(6):
            flusher = tracer._flusher
            wait_until(lambda one=flusher: one._parked or not one._alive)  # type: ignore[misc]
            tracer._wake.clear()  # by which the last flush() may have woken it in vain
            with tracer.trace(f"span {number}") as span:
                span.context.sampling_priority = 1
            if large and number:
                for _ in range(300):
                    with tracer.trace("large") as span:
                        span.context.sampling_priority = 1
                        span.set_tag("text", "x" * 20_000)
            each(tracer)
            answers.append(tracer.flush(10.0))
        tracer.shutdown(1.0)
        stats = tracer.stats()
        assert (stats.pop("sent_bytes") > 0) == (stats["sent"] > 0)
        lines = [
            re.sub(r"in \d+ ms|:\d{4,5}", "", record.getMessage()) for record in caplog.records
        ]
        return {
            "stats": stats,
            "flushes": answers,
            "requests": seen_of(server),
            "connections": server.connections,
            "log": lines,
            "exports": len(exports),
        }


def compare(play_it: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Play twice, the second time without routes; return how often each called the exporter."""
    ours = play_it()
    with monkeypatch.context() as patch:
        patch.setattr(AgentExporter, "route", None)
        plain = play_it()
    exports = [each.pop("exports") for each in (ours, plain)]
    assert ours == plain
    return exports


@pytest.mark.parametrize("api_version", ["v0.4", "v0.5"])
@pytest.mark.parametrize("name", WAYS)
def test_whatever_the_agent_does(
    name: str,
    api_version: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same requests, counts and warnings as if every round had been gone through."""
    exports = compare(
        lambda: play(server_that(WAYS[name]), caplog, large=name in LARGE, api_version=api_version),
        monkeypatch,
    )
    note_figure(f"{exports[0]} calls of the exporter instead of {exports[1]}")
    assert exports[0] < exports[1]
    assert (exports[0] == 1) is (name in ("answers the same", "answers another header"))


@pytest.mark.parametrize("name", ["answers the same", "mute", "closes unread", "answers 503"])
def test_over_a_unix_socket(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same over a Unix socket."""
    path = tmp_path / "socket"

    def play_it() -> dict[str, Any]:
        path.unlink(missing_ok=True)
        return play(server_that(WAYS[name]), caplog, str(path))

    exports = compare(play_it, monkeypatch)
    assert exports[0] < exports[1]


@pytest.mark.parametrize("name", ["answers the same", "mute", "answers 500", "answers and closes"])
@pytest.mark.parametrize("on", [(3,), (4,), (3, 4)])
def test_several_payloads_in_a_round(
    name: str,
    on: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What goes wrong with a payload in the middle of a round does so for it alone."""

    def more(tracer: Tracer) -> None:
        for number in range(3):
            with tracer.trace(f"more {number}") as span:
                span.context.sampling_priority = 1
                span.set_tag("text", "x" * 20_000)

    played = []

    def play_it() -> dict[str, Any]:
        played.append(
            play(server_that(WAYS[name], on), caplog, each=more, payload_max_bytes=25_000)
        )
        return played[-1]

    exports = compare(play_it, monkeypatch)
    assert exports[0] < exports[1]
    assert len(played[0]["requests"]) >= 3 * 6


def test_an_agent_that_no_longer_knows_v05(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The way of v0.5 is not that of v0.4."""

    def behave(peer: Peer) -> None:
        while True:
            known = "/v0.4/" in peer.read()["path"] or len(peer.server.requests) == 1
            peer.send(USUAL if known else response(404))

    exports = compare(lambda: play(behave, caplog, api_version="v0.5"), monkeypatch)
    assert exports == [3, 6]


def test_an_answer_that_nobody_asked_for() -> None:
    """It is not taken for the answer to the next request."""
    another = threading.Event()

    def behave(peer: Peer) -> None:
        while True:
            peer.read()
            if len(peer.server.requests) > 2:
                peer.send(response(500))
                continue
            peer.send(USUAL)
            if len(peer.server.requests) == 2:
                another.wait(10.0)
                peer.send(USUAL)

    with FaultServer(behave) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url))
        for name in "ab":
            tracer.trace(name).finish()
            assert tracer.flush(10.0)
        assert tracer._flusher._route is not None
        connection = tracer._flusher._exporter._client._stream.fileno()
        another.set()
        wait_until(lambda: is_readable(connection))
        tracer.trace("c").finish()
        tracer.flush(10.0)
        assert (tracer.stats()["sent"], tracer.stats()["dropped"]) == (2, {"refused_500": 1})
        assert server.connections == 2
        tracer.shutdown(1.0)


def test_long_headers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Headers of the configuration are in every request, however long, in the same order."""
    config = {
        "additional_headers": {"X-Long": "x" * 5000, "X-Latin": "caf\xe9"},
        "external_env": "it-false,cn-web",
    }
    exports = compare(lambda: play(server_that(WAYS["closes"]), caplog, **config), monkeypatch)
    assert exports[0] < exports[1]


@settings(max_examples=40)
@given(reply=replies())
def test_whatever_it_says(reply: bytes) -> None:
    """Any reply has the same consequences."""

    def say(peer: Peer) -> None:
        peer.read()
        peer.send(reply)
        stop(True, peer)

    with pytest.MonkeyPatch.context() as patch:
        outcomes = []
        for route in (AgentExporter.route, None):
            patch.setattr(AgentExporter, "route", route)
            with FaultServer(server_that(say, (2,))) as server:
                tracer = Tracer(
                    config=Config.from_env({}, agent_url=server.url, agent_timeout_s=TIMEOUT_S)
                )
                answers = []
                for number in range(3):
                    tracer.trace(f"span {number}").finish()
                    answers.append(tracer.flush(10.0))
                tracer.shutdown(1.0)
                stats = tracer.stats()
                outcomes.append((stats["sent"], stats["dropped"], answers, len(server.requests)))
        assert outcomes[0] == outcomes[1]


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mute", "answers half"])
def test_a_payload_has_one_deadline(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What the route has waited for an answer is not waited again."""
    with FaultServer(server_that(WAYS[name], (2,))) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, agent_timeout_s=3.0))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        assert tracer._flusher._route is not None
        tracer.trace("b").finish()
        begin_s = time.monotonic()
        assert tracer.flush(10.0) is (name == "answers half")
        took_s = time.monotonic() - begin_s
        note_figure(f"{took_s:.2f} s of 3 s")
        assert took_s < 5.5
        tracer.shutdown(1.0)


def test_stopping_does_not_wait_for_a_mute_agent() -> None:
    """A stop while the route waits for an answer ends at its own deadline."""
    with FaultServer(server_that(WAYS["mute"])) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, agent_timeout_s=20.0))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        tracer.trace("b").finish()
        tracer._flusher._wake_thread()
        wait_until(lambda: len(server.requests) == 2)
        begin_s = time.monotonic()
        tracer.shutdown(0.3)
        took_s = time.monotonic() - begin_s
        wait_until(lambda: tracer.stats()["in_flight"] == 0)
    note_figure(f"{took_s:.2f} s")
    assert took_s < 5.0
    assert (tracer.stats()["sent"], tracer.stats()["unconfirmed"]) == (1, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_fork_while_the_route_waits() -> None:
    """The child sends over a connection of its own, and the parent's answer is the parent's."""
    with FaultServer(server_that(answer_in_parts)) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        tracer.trace("b").finish()
        tracer._flusher._wake_thread()
        wait_until(lambda: len(server.requests) == 2)
        pid = os.fork()
        if not pid:
            tracer.trace("child").finish()
            os._exit(not (tracer.flush(10.0) and tracer.stats()["sent"] == 1))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert tracer.flush(10.0)
        assert tracer.stats()["sent"] == 2
        tracer.shutdown(1.0)
    names = sorted(name for *_, names in seen_of(server) for name in names)
    assert names == ["a", "b", "child"]
    assert server.connections == 2


def test_only_what_has_begun_is_gone_on_with_after_the_deadline() -> None:
    """When the time is over the rest of a round is not begun any more."""
    exporter = ScriptedExporter()
    tracer = make_tracer(exporter, payload_max_bytes=1300)
    tracer._on_first_chunk = None
    for _ in range(3):
        with tracer.trace("a") as span:
            span.set_tag("text", "x" * 600)
    waiting = tracer._swap()
    assert len(waiting) == 3
    outcome = tracer._flusher._delivery.round(exporter, monotonic_ns(), waiting, True)
    assert exporter.calls == [["a"]]
    assert (outcome.put_back, tracer.stats()["sent"], tracer.stats()["buffered"]) == (True, 1, 2)
    tracer.shutdown(1.0)
