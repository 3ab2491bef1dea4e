"""Health metrics: DogStatsD datagrams about what became of the traces."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, answering, refused_url, response
from helpers import note_figure, run_python

from fasttrace import Tracer, _health, _log
from fasttrace.config import Config

LINE = re.compile(r"datadog\.tracer\.([a-z.]+):(\d+)\|d\|#(\S+)")
TAGS = "env:test,service:web,version:1.2"


class Receiver:
    """A DogStatsD server that adds up what it gets, on UDP or on a Unix datagram socket."""

    def __init__(self, path: str | None = None) -> None:
        self.datagrams: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(path or ("127.0.0.1", 0))
        port = None if path else self._socket.getsockname()[1]
        self.url = f"unix://{path}" if path else f"udp://127.0.0.1:{port}"
        self._socket.settimeout(0.05)

    def totals(self, until: str, timeout_s: float = 10.0) -> Counter[tuple[str, str]]:
        """Sums by name and own tag, once one of the metric `until` has come."""
        totals: Counter[tuple[str, str]] = Counter()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                self.datagrams.append(self._socket.recv(65536))
                continue
            except TimeoutError:
                pass
            totals = self._sum()
            if any(name == until for name, _ in totals):
                break
        return totals

    def _sum(self) -> Counter[tuple[str, str]]:
        totals: Counter[tuple[str, str]] = Counter()
        for line in b"\n".join(self.datagrams).decode().splitlines():
            match = LINE.fullmatch(line)
            assert match, line
            own, _, common = match[3].rpartition("env:")
            assert f"env:{common}" == TAGS
            totals[match[1], own.rstrip(",")] += int(match[2])
        return totals

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["udp", "unix"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    """A server of each kind."""
    server = Receiver(str(tmp_path / "dsd") if request.param == "unix" else None)
    yield server
    server.close()


def make_tracer(agent_url: str, dogstatsd_url: str, **config: Any) -> Tracer:
    """Return a tracer with health metrics."""
    config = {"health_metrics_enabled": True, "flush_interval_s": 0.02, **config}
    names = {"service": "web", "env": "test", "version": "1.2"}
    return Tracer(
        config=Config.from_env(
            {}, agent_url=agent_url, dogstatsd_url=dogstatsd_url, **names, **config
        )
    )


def trace(tracer: Tracer, count: int) -> None:
    """Finish `count` traces of two spans."""
    for _ in range(count):
        with tracer.trace("root"), tracer.trace("child"):
            pass


def note_sums(receiver: Receiver, totals: Counter[tuple[str, str]]) -> None:
    """Show what has been received."""
    sums = ", ".join(f"{name} {tag} {value}" for (name, tag), value in sorted(totals.items()))
    note_figure(f"{len(receiver.datagrams)} datagrams; {sums}".replace("  ", " "))


def test_delivered_traces(receiver: Receiver) -> None:
    """The sums of what was accepted and sent are those of the tracer's own accounting."""
    with FaultServer(answering(response())) as server:
        tracer = make_tracer(server.url, receiver.url)
        for _ in range(3):
            trace(tracer, 10)
            assert tracer.flush(10.0)
        tracer.shutdown()
        totals = receiver.totals("http.sent.traces")
    stats = tracer.stats()
    note_sums(receiver, totals)
    assert totals == {
        ("writer.accepted.traces", ""): 30,
        ("buffer.accepted.traces", ""): 30,
        ("buffer.accepted.spans", ""): 60,
        ("http.requests", ""): len(server.requests),
        ("http.sent.traces", ""): stats["sent_traces"],
        ("http.sent.bytes", ""): sum(len(request["body"]) for request in server.requests),
    }
    assert all(len(datagram) <= 8192 for datagram in receiver.datagrams)


def test_refused_and_repeated(receiver: Receiver) -> None:
    """An attempt that failed is an error of its kind; what is sent again is accepted once."""
    with FaultServer(answering(response(503, b""), response(), response(413, b""))) as server:
        tracer = make_tracer(server.url, receiver.url)
        trace(tracer, 5)
        assert tracer.flush(10.0)
        trace(tracer, 2)
        assert not tracer.flush(10.0)
        tracer.shutdown()
        totals = receiver.totals("http.dropped.traces")
    note_sums(receiver, totals)
    assert totals.pop(("http.sent.bytes", "")) > 0
    assert totals.pop(("http.dropped.bytes", "")) == len(server.requests[-1]["body"])
    assert totals == {
        ("writer.accepted.traces", ""): 7,
        ("buffer.accepted.traces", ""): 7,
        ("buffer.accepted.spans", ""): 14,
        ("http.requests", ""): 3,
        ("http.errors", "type:503"): 1,
        ("http.errors", "type:413"): 1,
        ("http.sent.traces", ""): 5,
        ("http.dropped.traces", ""): 2,
    }


def test_dropped_before_the_buffer(receiver: Receiver) -> None:
    """Traces for which there is no room are counted by reason, with their size."""
    with FaultServer(answering(response())) as server:
        tracer = make_tracer(
            server.url, receiver.url, buffer_max_bytes=20_000, payload_max_bytes=10_000
        )
        tracer._flusher_running = True
        for _ in range(10):
            tracer.trace("op").set_tag("text", "x" * 5000)
            tracer.current_span().finish()
        with tracer.trace("op") as span:
            for index in range(5):
                span.set_tag(f"text{index}", "x" * 5000)
        tracer._flusher_running = False
        tracer.trace("last").finish()
        assert tracer.flush(10.0)
        tracer.shutdown()
        totals = receiver.totals("http.sent.traces")
    note_sums(receiver, totals)
    stats = tracer.stats()
    assert totals["buffer.dropped.traces", "reason:full"] == stats["dropped"]["buffer_full"]
    assert totals["buffer.dropped.traces", "reason:t_too_big"] == 1
    assert totals["buffer.dropped.bytes", "reason:t_too_big"] > 25_000
    assert totals["buffer.dropped.bytes", "reason:full"] > 5000 * stats["dropped"]["buffer_full"]
    assert totals["writer.accepted.traces", ""] == stats["finished"]
    assert totals["buffer.accepted.traces", ""] == stats["sent"]


def test_an_agent_that_is_away(receiver: Receiver) -> None:
    """A request that reached nobody is an error of type `err`."""
    tracer = make_tracer(refused_url(), receiver.url)
    trace(tracer, 1)
    assert not tracer.flush(1.0)
    tracer.shutdown()
    totals = receiver.totals("http.dropped.traces")
    note_sums(receiver, totals)
    assert totals["http.errors", "type:err"] == totals["http.requests", ""] > 0
    assert totals["buffer.accepted.traces", ""] == 1


def test_off_by_default(receiver: Receiver) -> None:
    """Without the variable nothing is sent, and the module is not even loaded."""
    with FaultServer(answering(response())) as server:
        tracer = make_tracer(server.url, receiver.url, health_metrics_enabled=False)
        trace(tracer, 5)
        assert tracer.flush(10.0)
        tracer.shutdown()
    totals = receiver.totals("http.requests", timeout_s=0.2)
    note_sums(receiver, totals)
    assert totals == {}
    assert receiver.datagrams == []
    code = """
    import sys
    from fasttrace import tracer
    tracer.trace("op").finish()
    tracer.flush(1.0)
    assert "fasttrace._health" not in sys.modules
    """
    run_python(code, env={**os.environ, "DD_TRACE_AGENT_URL": refused_url()})


def test_sent_by_the_flusher_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread of the application ever sends a metric."""
    senders = set()
    original = _health._Sender.send

    def send(self: Any, lines: list[str]) -> None:
        senders.add(threading.get_ident())
        original(self, lines)

    monkeypatch.setattr(_health._Sender, "send", send)
    with FaultServer(answering(response())) as server:
        tracer = make_tracer(server.url, "udp://127.0.0.1:1")
        for _ in range(5):
            trace(tracer, 5)
            assert tracer.flush(10.0)
        tracer.shutdown()
    assert len(senders) == 1
    assert threading.get_ident() not in senders


@pytest.mark.parametrize(
    "url", ["udp://127.0.0.1:1", "unix:///no/such.socket", "udp://no.such.name.invalid:8125"]
)
def test_nobody_listening_is_no_matter(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """If DogStatsD is not there, traces are delivered all the same, without a warning."""
    with FaultServer(answering(response())) as server:
        tracer = make_tracer(server.url, url)
        for _ in range(3):
            trace(tracer, 5)
            assert tracer.flush(10.0)
        tracer.shutdown()
    assert tracer.stats()["sent"] == 30
    assert caplog.text == ""


@pytest.mark.parametrize("url", ["http://dsd:8125", "udp://:8125", "udp://dsd:port"])
def test_wrong_address(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that cannot work gives one warning that names it and where it came from."""
    monkeypatch.setattr(_log, "_last_ns", {})
    environ = {
        "DD_DOGSTATSD_URL": url,
        "DD_TRACE_HEALTH_METRICS_ENABLED": "1",
        "DD_TRACE_AGENT_URL": refused_url(),
    }
    with FaultServer(answering(response())) as server:
        tracer = Tracer(config=Config.from_env({**environ, "DD_TRACE_AGENT_URL": server.url}))
        for _ in range(2):
            trace(tracer, 1)
            assert tracer.flush(10.0)
        tracer.shutdown()
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert url in warnings[0]
    assert "DD_DOGSTATSD_URL" in warnings[0]


def test_a_tag_cannot_break_a_metric() -> None:
    """What would end a tag or a metric is replaced in the values of tags."""
    config = Config.from_env({}, service="a,b|c#d\ne", env="x", version=None)
    assert _health._tags_of(config) == "env:x,service:a_b_c_d_e"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a process with threads
def test_a_forked_child_counts_anew(receiver: Receiver) -> None:
    """A child reports its own traces only."""
    with FaultServer(answering(response())) as server:
        tracer = make_tracer(server.url, receiver.url)
        trace(tracer, 3)
        assert tracer.flush(10.0)
        child = os.fork()
        if child == 0:
            try:
                trace(tracer, 4)
                tracer.flush(10.0)
                tracer.shutdown()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        tracer.shutdown()
        totals = receiver.totals("http.sent.traces")
    assert totals["http.sent.traces", ""] == totals["buffer.accepted.traces", ""] == 7


def test_every_metric_is_documented() -> None:
    """The table of docs/reliability.md names every metric that the module sends, and no other."""
    text = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = text.partition("### Health metrics")[2].partition("What is dropped")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    documented = {
        name for row in rows[1:] for name in re.findall(r"`([a-z.]+)`", row.split("|")[1])
    }
    source = Path(_health.__file__).read_text(encoding="utf-8")
    sent = set(re.findall(r'_add\(f?"([a-z.{}]+)"', source))
    for name in [name for name in sent if "{kind}" in name]:
        sent.remove(name)
        sent |= {name.replace("{kind}", kind) for kind in ("sent", "dropped")}
    note_figure(f"{len(documented)} metrics documented, {len(sent)} in the code")
    assert documented == sent
