"""What a route leaves to rounds that are gone through, and who it must not go past."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

import pytest
from agent_ways import USUAL, seen_of, server_that
from fault_server import FaultServer, Peer, answering, response
from helpers import note_figure
from scripted_exporter import make_tracer, wait_until

from fasttrace import Tracer, _clock, _log
from fasttrace._span import adjust_clock, use_monotonic_clock
from fasttrace.agent import AgentExporter
from fasttrace.config import Config
from fasttrace.testing import capture

pytestmark = pytest.mark.usefixtures("fresh_log")


@pytest.fixture
def usual() -> Any:
    """Return a tracer whose last round was usual, and its server."""
    with FaultServer(answering(USUAL)) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, buffer_max_bytes=100_000))
        for name in "ab":
            tracer.trace(name).finish()
            assert tracer.flush(10.0)
        assert tracer._flusher._route is not None
        yield tracer, server
        tracer.shutdown(1.0)


def test_the_clock_is_kept_in_step(usual: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is not in use, or no longer, is seen to by a round that is gone through."""
    tracer, _ = usual
    ticks = []
    tick = _clock.tick
    monkeypatch.setattr(_clock, "tick", lambda enabled: (ticks.append(1), tick(enabled))[1])
    has_counter = adjust_clock() == "tsc"
    for switch in (False, True):
        ticks.clear()
        if switch:
            use_monotonic_clock()
        for _ in range(2):
            tracer.trace("c").finish()
            assert tracer.flush(10.0)
        assert len(ticks) == (switch and has_counter)
    note_figure(f"time stamp counter in use: {has_counter}")
    assert adjust_clock() == ("tsc" if has_counter else "monotonic")


def test_span_events_are_asked_about(usual: Any) -> None:
    """The first span with an event has the agent asked whether it reads events."""
    tracer, server = usual
    span = tracer.trace("event")
    span._add_event("happened", {})
    span.finish()
    assert tracer.flush(10.0)
    tracer.trace("later").finish()
    assert tracer.flush(10.0)
    wait_until(lambda: "/info" in [request["path"] for request in server.requests])


def test_a_full_buffer_is_told_of_after_the_delivery(
    usual: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning that waits for a delivery is given after one that was usual."""
    tracer, _ = usual
    tracer._on_first_chunk, tracer._flusher_running = None, True
    for _ in range(20):
        with tracer.trace("large") as span:
            span.set_tag("text", "x" * 20_000)
    assert not caplog.records
    tracer._flusher._wake_thread()
    wait_until(lambda: caplog.records)
    assert "buffer is full" in caplog.text
    assert tracer.stats()["dropped"]["buffer_full"] > 0


def test_debug_lines_are_of_every_round(
    usual: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With debug lines wanted each payload has its line."""
    tracer, _ = usual
    caplog.set_level(logging.DEBUG, "fasttrace")
    monkeypatch.setattr(_log, "_debug", True)
    for _ in range(3):
        tracer.trace("c").finish()
        assert tracer.flush(10.0)
    wait_until(lambda: caplog.text.count("HTTP status 200") == 3)


def test_a_closed_connection_is_no_way(usual: Any) -> None:
    """A number that a closed socket had may be somebody else's: nothing is sent there."""
    tracer, _ = usual
    tracer._on_first_chunk, tracer._flusher_running = None, True
    route = tracer._flusher._route
    number = tracer._flusher._exporter._client._stream.fileno()
    theirs, other_end = socket.socketpair()
    with theirs, other_end:
        tracer._flusher._exporter.close()
        os.dup2(theirs.fileno(), number)
        tracer.trace("c").finish()
        assert route.deliver(tracer, tracer._flusher._export_lock, 0.1, 1e6) == -1
        assert (route.take(), tracer.stats()["buffered"]) == (None, 1)
        other_end.setblocking(False)
        with pytest.raises(BlockingIOError):
            other_end.recv(1)
        os.close(number)
    assert tracer._flusher._exporter.route is None


def test_an_export_of_ones_own_sees_every_payload(usual: Any) -> None:
    """Replaced in a subclass or in the object: nothing goes past it."""
    tracer, server = usual
    exporter = tracer._flusher._exporter
    seen: list[object] = []

    class Own(AgentExporter):
        """Exports and takes note."""

        def export(self, *args: Any) -> Any:
            seen.append(args[0])
            return super().export(*args)

    def take_note(*args: Any) -> Any:
        seen.append(args[0])
        return export(*args)

    export = exporter.export
    own = Own(Config.from_env({}, agent_url=server.url))
    for count, (target, name, value) in enumerate(
        ((tracer._flusher, "_exporter", own), (exporter, "export", take_note)), 1
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, name, value)
            for _ in range(3):
                tracer.trace("c").finish()
                assert tracer.flush(10.0)
            assert len(seen) == 3 * count
    own.close()


class InFront:
    """An exporter in front of another, of which it has everything else."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def export(self, *args: Any) -> Any:
        self.seen += 1
        return self.inner.export(*args)


class Elsewhere(InFront):
    """The same, with a route of another kind."""

    route = "/v1/spans"


@pytest.mark.parametrize("kind", [InFront, Elsewhere])
def test_an_exporter_in_front_sees_every_payload(kind: type[InFront]) -> None:
    """What looks like a route of it is none."""
    with FaultServer(answering(USUAL)) as server:
        config = Config.from_env({}, agent_url=server.url)
        exporter = kind(AgentExporter(config))
        tracer = make_tracer(exporter, agent_url=server.url)
        for _ in range(3):
            tracer.trace("a").finish()
            assert tracer.flush(10.0)
        tracer.shutdown(1.0)
    assert exporter.seen == tracer.stats()["sent"] == 3


def test_an_export_replaced_while_a_request_is_under_way() -> None:
    """What the route has sent is not sent again."""
    release = threading.Event()

    def wait_and_answer(peer: Peer) -> None:
        peer.read()
        release.wait(10.0)
        peer.send(response())

    with FaultServer(server_that(wait_and_answer, (2,))) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        tracer.trace("b").finish()
        tracer._flusher._wake_thread()
        wait_until(lambda: len(server.requests) == 2)
        export = AgentExporter.export
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(AgentExporter, "export", lambda *args: export(*args))
            release.set()
            assert tracer.flush(10.0)
        assert (tracer.stats()["sent"], len(server.requests)) == (2, 2)
        tracer.shutdown(1.0)


def test_an_agent_that_forgets_v05_and_knows_it_again() -> None:
    """What was refused as v0.5 ends its way: nothing is sent twice."""
    kept = []

    def behave(peer: Peer) -> None:
        while True:
            peer.read()
            number = len(peer.server.requests)
            peer.send(response(404) if number == 2 else response(datadog_agent_state=str(number)))

    with FaultServer(behave) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, api_version="v0.5"))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        kept.append(tracer._flusher._route)
        export = tracer._flusher._exporter._export

        def export_and_finish(*args: Any) -> Any:
            tracer.trace("c").finish()  # encoded as v0.5, because nothing is known yet
            tracer._flusher._exporter._export = export
            return export(*args)

        tracer._flusher._exporter._export = export_and_finish
        tracer.trace("b").finish()
        assert tracer.flush(10.0)
        assert tracer.flush(10.0)
        tracer.shutdown(1.0)
        assert tracer.stats()["sent"] == 3
    names = [name for *_, names in seen_of(server) for name in names]
    assert (names.count("a"), names.count("c")) == (1, 1)
    assert kept[0] is not None


def test_a_capture_that_begins_after_a_usual_round() -> None:
    """What is finished in it is captured, and not sent; what was waiting is sent."""
    with FaultServer(answering(USUAL)) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, flush_interval_s=0.2))
        for name in "ab":
            tracer.trace(name).finish()
            assert tracer.flush(10.0)
        wait_until(lambda: tracer._flusher._parked)
        tracer.trace("before").finish()  # the flusher now waits for its interval
        with capture(tracer) as captured:
            tracer.trace("captured").finish()
            wait_until(lambda: len(server.requests) == 3)
            tracer.trace("too").finish()
            assert [span.name for span in captured] == ["captured", "too"]
        tracer.shutdown(1.0)
    assert [names for *_, names in seen_of(server)] == [["a"], ["b"], ["before"]]


def test_a_buffer_that_is_full_while_the_route_waits(caplog: pytest.LogCaptureFixture) -> None:
    """The warning comes after the round, though nothing is traced any more."""
    release = threading.Event()

    def wait_and_answer(peer: Peer) -> None:
        peer.read()
        release.wait(10.0)
        peer.send(USUAL)

    with FaultServer(server_that(wait_and_answer, (2,))) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, buffer_max_bytes=50_000))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        with tracer.trace("b") as span:
            span.set_tag("text", "x" * 20_000)
        tracer._flusher._wake_thread()
        wait_until(lambda: len(server.requests) == 2)
        with tracer.trace("large") as span:
            span.set_tag("one", "x" * 20_000)
            span.set_tag("two", "x" * 20_000)
        assert tracer.stats()["buffered"] == 0
        assert not caplog.records
        release.set()
        wait_until(lambda: "buffer is full" in caplog.text)
        tracer.shutdown(1.0)


def test_nobody_is_idle_while_a_round_is_under_way() -> None:
    """A flush in another thread waits for what the route has taken out of the buffer."""
    release = threading.Event()

    def wait_and_answer(peer: Peer) -> None:
        peer.read()
        release.wait(10.0)
        peer.send(USUAL)

    with FaultServer(server_that(wait_and_answer, (2,))) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url))
        tracer.trace("a").finish()
        assert tracer.flush(10.0)
        tracer.trace("b").finish()
        tracer._flusher._wake_thread()
        wait_until(lambda: len(server.requests) == 2)
        assert tracer.stats()["in_flight"] == 1
        assert tracer.flush(0.1) is False
        release.set()
        assert tracer.flush(10.0) is True
        assert tracer.stats()["sent"] == 2
        tracer.shutdown(1.0)
