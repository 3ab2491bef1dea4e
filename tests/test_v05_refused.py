"""An agent that refuses v0.5: the same traces arrive as v0.4, and each part is accounted for.

One v0.5 payload becomes several v0.4 bodies, because v0.5 names each string once. What becomes of
one body says nothing about the others.
"""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from fault_server import FaultServer, Hangup, Peer, response
from helpers import accounting_difference, note_figure

from fasttrace import Tracer, _log
from fasttrace.config import Config

TRACES = 40
V04_ONLY = response(404, b"")


class OldAgent(FaultServer):
    """Answers 404 on v0.5, and on v0.4 what `script` says: the n-th entry for the n-th body.

    An entry is a status, or "cut": read the request, then close the connection. After the last
    entry everything is accepted.
    """

    def __init__(self, *script: int | str) -> None:
        self.bodies: list[tuple[int | str, set[str]]] = []  #: what was answered, names of spans
        self._script = list(script)
        super().__init__(self._answer)

    def _answer(self, peer: Peer) -> None:
        while True:
            request = peer.read()
            if request["path"] == "/v0.5/traces":
                peer.send(V04_ONLY)
                continue
            chunks = msgpack.unpackb(request["body"])
            assert len(chunks) == int(request["headers"]["x-datadog-trace-count"])
            names = {span["name"] for chunk in chunks for span in chunk}
            verdict = self._script.pop(0) if self._script else 200
            self.bodies.append((verdict, names))
            if verdict == "cut":
                raise Hangup
            peer.send(response(int(verdict), b"{}"))

    def arrived(self, *verdicts: int | str) -> list[str]:
        """Names of the spans in bodies that got one of these answers."""
        return [name for verdict, names in self.bodies if verdict in verdicts for name in names]


def make_tracer(server: OldAgent) -> Tracer:
    """Return a tracer that begins with v0.5, one payload of which makes several v0.4 bodies."""
    config: dict[str, Any] = {"flush_interval_s": 0.02, "payload_max_bytes": 16_384}
    return Tracer(
        config=Config.from_env({}, service="s", agent_url=server.url, api_version="v0.5", **config)
    )


def finish_traces(tracer: Tracer) -> set[str]:
    """Finish traces of one span each that share a long tag; return their names."""
    tracer._flusher_running = True  # so that all of them are in one payload
    names = {f"op{index:03}" for index in range(TRACES)}
    for name in sorted(names):
        with tracer.trace(name) as span:
            span.set_tag("long", "x" * 1500)
    tracer._flusher_running = False
    return names


def test_everything_arrives_in_several_bodies() -> None:
    """All traces of a refused v0.5 payload arrive once as v0.4, and later ones go there at once."""
    with OldAgent() as server:
        tracer = make_tracer(server)
        names = finish_traces(tracer)
        assert tracer.flush(10.0)
        assert len(server.bodies) > 2
        assert sorted(server.arrived(200)) == sorted(names)
        requests = len(server.requests)
        tracer.trace("later").finish()
        assert tracer.flush(10.0)
        assert len(server.requests) == requests + 1
        tracer.shutdown()
    refused = sum(request["path"] == "/v0.5/traces" for request in server.requests)
    assert refused == 1
    note_figure(
        f"{refused} v0.5 payload refused, {TRACES} of its spans in {requests - refused} v0.4 "
        f"bodies, {len(server.arrived(200))} spans delivered with a later one"
    )
    stats = tracer.stats()
    assert (stats["sent"], stats["sent_traces"], stats["dropped"]) == (TRACES + 1, TRACES + 1, {})
    assert stats["sent_bytes"] == pytest.approx(
        sum(len(each["body"]) for each in server.requests[1:]), abs=100
    )


@pytest.mark.parametrize(
    ("script", "place"),
    [
        ((200, 413), "refused_413"),
        ((413,), "refused_413"),
        ((200, 500, 200), "refused_500"),
        ((200, "cut"), "unconfirmed"),
        (("cut", 200), "unconfirmed"),
    ],
)
def test_each_body_is_settled_by_its_own_answer(
    script: tuple[int | str, ...],
    place: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A body that is refused or whose fate is unknown costs its own spans, and no other's."""
    monkeypatch.setattr(_log, "_last_ns", {})
    with OldAgent(*script) as server:
        tracer = make_tracer(server)
        names = finish_traces(tracer)
        assert not tracer.flush(10.0)
        tracer.shutdown()
    stats = tracer.stats()
    assert accounting_difference(stats) == 0
    (bad,) = {verdict for verdict, _ in server.bodies} - {200}
    lost = server.arrived(bad)
    assert sorted([*lost, *server.arrived(200)]) == sorted(names), "lost or sent twice"
    counted = stats["unconfirmed"] if place == "unconfirmed" else stats["dropped"][place]
    note_figure(f"{script}: {stats['sent']} of {TRACES} sent, {counted} {place}")
    assert counted == len(lost)
    assert stats["sent"] == TRACES - len(lost) > 0
    assert f"{len(lost)} traces" in caplog.text


@pytest.mark.parametrize("script", [(503,), (200, 503), (200, 429, 503, 200), (200, 503, 413)])
def test_only_what_is_left_is_sent_again(script: tuple[int, ...]) -> None:
    """After an agent has asked for patience, the bodies it has taken are not sent again."""
    with OldAgent(*script) as server:
        tracer = make_tracer(server)
        names = finish_traces(tracer)
        tracer.flush(10.0)
        tracer.shutdown(10.0)
    stats = tracer.stats()
    refused = server.arrived(413)
    assert sorted([*server.arrived(200), *refused]) == sorted(names)
    assert stats["sent"] == TRACES - len(refused)
    assert stats["dropped"] == ({"refused_413": len(refused)} if refused else {})


def test_what_is_left_at_exit_is_dropped_alone() -> None:
    """If an agent never takes the second body, that one is dropped at the end, and only that."""
    with OldAgent(200, *[503] * 1000) as server:
        tracer = make_tracer(server)
        finish_traces(tracer)
        tracer.shutdown(0.5)
    stats = tracer.stats()
    assert stats["sent"] == len(server.arrived(200)) > 0
    assert stats["dropped"] == {"refused_503": TRACES - stats["sent"]}
