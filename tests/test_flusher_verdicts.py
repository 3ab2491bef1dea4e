"""What the background thread does with each verdict of an exporter, and what it says."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_server import FaultServer, answering, refused_url, response
from helpers import accounting_difference
from reference import decode_payload
from scripted_exporter import (
    OVERLOADED,
    SENT,
    SLOW,
    TOO_LARGE,
    UNCONFIRMED,
    UNREACHABLE,
    ScriptedExporter,
    finish,
    make_tracer,
    wait_until,
)

from fasttrace import Tracer
from fasttrace.config import Config
from fasttrace.exporter import ExportResult

pytestmark = pytest.mark.usefixtures("fresh_log")


# -- verdicts --------------------------------------------------------------------------------------


def test_outage_loses_nothing() -> None:
    """Traces wait while the agent is away, and arrive once each and in order when it is back."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    finish(tracer, "a")
    wait_until(lambda: len(exporter.calls) >= 2)
    finish(tracer, "b")
    exporter.answers = (SENT,)
    finish(tracer, "c")
    assert tracer.flush() is True
    assert exporter.taken == ["a", "b", "c"]


def test_outage_is_met_with_patience() -> None:
    """The longer the agent is away, the rarer the attempts."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    finish(tracer, "a")
    wait_until(lambda: len(exporter.times) >= 7)
    pauses = [
        after - before for before, after in zip(exporter.times, exporter.times[1:], strict=False)
    ]
    assert pauses[5] > 0.2  # 0.01 s doubled five times, less a quarter
    tracer.shutdown(0.1)


def test_memory_is_bounded_while_the_agent_is_away() -> None:
    """A full buffer drops new traces and counts them; the thread does not spin meanwhile."""
    exporter = ScriptedExporter(UNREACHABLE)
    tracer = make_tracer(exporter, flush_interval_s=0.05, buffer_max_bytes=50_000)
    for _ in range(2000):
        finish(tracer, "a")
    stats = tracer.stats()
    assert stats["buffered_bytes"] <= 50_000
    assert stats["dropped"]["buffer_full"] > 1000
    assert accounting_difference(stats) == 0
    attempts = len(exporter.calls)
    time.sleep(0.2)
    assert len(exporter.calls) - attempts < 10
    tracer.shutdown(0.1)


def test_overload_is_not_retried_for_ever() -> None:
    """A payload that an agent keeps refusing is dropped after ten attempts, for that reason."""
    exporter = ScriptedExporter(*[OVERLOADED] * 10, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0)
    finish(tracer, "a")
    while not tracer.stats()["dropped"]:
        tracer.flush(10.0)
        finish(tracer, "b")
    assert tracer.stats()["dropped"] == {"refused_503": 1}
    assert sum("a" in names for names in exporter.calls) == 10
    assert tracer.flush() is True


def test_later_payloads_wait_behind_one_that_is_put_back() -> None:
    """If the first payload has to wait, the others are not tried, and their order is kept."""
    exporter = ScriptedExporter(OVERLOADED, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0, payload_max_bytes=1024)
    names = [f"number {index}" for index in range(20)]
    finish(tracer, *names)
    assert tracer.flush(10.0) is True
    assert exporter.calls[0] == exporter.calls[1]
    assert len(exporter.calls) > 3
    assert exporter.taken == names


def test_refused_payload_does_not_stop_the_next() -> None:
    """After a refused payload the others are still delivered."""
    exporter = ScriptedExporter(TOO_LARGE, SENT)
    tracer = make_tracer(exporter, flush_interval_s=3600.0, payload_max_bytes=1024)
    finish(tracer, *[f"number {index}" for index in range(20)])
    assert tracer.flush(10.0) is False
    stats = tracer.stats()
    assert stats["dropped"]["refused_413"] == len(exporter.calls[0])
    assert stats["sent"] == 20 - len(exporter.calls[0])


def test_exporter_that_raises() -> None:
    """An exception of somebody's exporter harms nobody: the traces count as unconfirmed."""

    def broken() -> ExportResult:
        raise RuntimeError("broken")

    exporter = ScriptedExporter(broken, SENT)
    tracer = make_tracer(exporter)
    finish(tracer, "a")
    assert tracer.flush() is False
    finish(tracer, "b")
    assert tracer.flush() is True
    stats = tracer.stats()
    assert (stats["sent"], stats["unconfirmed"]) == (1, 1)


def test_rates_reach_the_sampler(session: Any) -> None:
    """The rates of the agent's reply decide about the next trace, and are replaced as a whole."""
    tracer = session.make_tracer()
    seen = []
    for rates in ({"service:svc,env:": 0.5}, {"service:other,env:": 0.5}):
        session.set_rates(rates)
        finish(tracer, "told")
        assert tracer.flush() is True
        finish(tracer, "used")
        seen += [
            span["metrics"].get("_dd.agent_psr")
            for span in session.received()
            if span["name"] == "used"
        ]
    assert seen == [0.5, None]


def test_refused_v05_switches_the_encoder() -> None:
    """After an agent has refused v0.5 the tracer encodes v0.4 itself; no span is lost."""
    with FaultServer(answering(response(404, b""), response())) as server:
        config = Config.from_env({}, agent_url=server.url, api_version="v0.5")
        tracer = Tracer(config=config)
        for name in ("a", "b"):
            finish(tracer, name)
            assert tracer.flush() is True
        assert tracer.stats()["sent"] == 2
    paths = [request["path"] for request in server.requests]
    assert paths == ["/v0.5/traces", "/v0.4/traces", "/v0.4/traces"]
    names = [
        decode_payload(request["body"], "v0.4")[0][0]["name"] for request in server.requests[1:]
    ]
    assert names == ["a", "b"]


def test_restarted_agent_under_load(tmp_path: Any) -> None:
    """An agent that goes away and comes back under load gets every span exactly once."""
    path = str(tmp_path / "apm.socket")
    config = Config.from_env({}, agent_url=f"unix://{path}", flush_interval_s=0.01)
    tracer = Tracer(config=config)
    bodies = []
    finished = 0
    for _ in range(3):
        with FaultServer(answering(response()), path) as server:
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline:
                finish(tracer, f"number {finished}")
                finished += 1
                time.sleep(0.0005)
            assert tracer.flush(10.0) is True  # between two requests, so that none is cut
            bodies += [request["body"] for request in server.requests]
        finish(tracer, f"number {finished}")
        finished += 1
        time.sleep(0.05)
        os.unlink(path)
    with FaultServer(answering(response()), path) as server:
        assert tracer.flush(10.0) is True
        bodies += [request["body"] for request in server.requests]
    names = [span["name"] for body in bodies for [span] in decode_payload(body, "v0.4")]
    assert sorted(names) == sorted(f"number {index}" for index in range(finished))
    assert tracer.stats()["sent"] == finished


def test_accounting_is_exact_under_threads_and_random_verdicts() -> None:
    """Whatever the verdicts, each span is in one place, and none is delivered twice."""
    verdicts = [SENT, UNREACHABLE, SENT, OVERLOADED, UNCONFIRMED, SENT, TOO_LARGE, SLOW]
    exporter = ScriptedExporter(*[verdicts[i * i * 7 % len(verdicts)] for i in range(500)], SENT)
    tracer = make_tracer(exporter, flush_interval_s=0.001, payload_max_bytes=4096)
    stop = threading.Event()
    problems = []

    def trace(number: int) -> None:
        for index in range(1000):
            finish(tracer, f"{number}.{index}")
            if index % 100 == 0:
                tracer.flush(0.05)

    def check() -> None:
        while not stop.is_set():
            if accounting_difference(tracer.stats()):
                problems.append(tracer.stats())

    threads = [threading.Thread(target=trace, args=(number,)) for number in range(4)]
    checker = threading.Thread(target=check)
    for thread in (*threads, checker):
        thread.start()
    for thread in threads:
        thread.join()
    exporter.answers = (SENT,)
    tracer.flush(20.0)
    stop.set()
    checker.join()
    assert not problems
    stats = tracer.stats()
    assert (stats["buffered"], stats["in_flight"], stats["finished"]) == (0, 0, 4000)
    assert len(exporter.taken) == len(set(exporter.taken)) == stats["sent"]


# -- what is said ----------------------------------------------------------------------------------


def test_outage_gives_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """One warning names address, where it comes from and what is wrong, but no tag."""
    url = refused_url()
    config = Config.from_env({"DD_TRACE_AGENT_URL": url}, flush_interval_s=0.01)
    tracer = Tracer(config=config)
    for _ in range(20):
        with tracer.trace("name") as span:
            span.set_tag("card", "s3cret")
        tracer.flush(0.02)
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    message = record.getMessage()
    assert record.name == "fasttrace"
    assert url in message
    assert "DD_TRACE_AGENT_URL" in message
    assert "refused" in message
    assert "s3cret" not in message
    tracer._flusher.stop(0.1)


def test_loss_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Dropped and unconfirmed traces are told, with the agent's verdict."""
    tracer = make_tracer(ScriptedExporter(TOO_LARGE, UNCONFIRMED))
    for _ in range(2):
        finish(tracer, "a")
        tracer.flush()
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert "refused_413" in texts[0]
    assert "not known whether they arrived" in texts[1]


class TracingHandler(logging.Handler):
    """A log handler of an application that traces its logging and flushes at warnings."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer
        self.flushes: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self.tracer.trace("log"):
            pass
        self.flushes.append(self.tracer.flush(5.0))


@pytest.fixture
def add_handler() -> Iterator[Callable[[logging.Handler], None]]:
    """Add a handler to the tracer's logger for one test."""
    logger = logging.getLogger("fasttrace")
    added = []

    def add(handler: logging.Handler) -> None:
        logger.addHandler(handler)
        added.append(handler)

    yield add
    for handler in added:
        logger.removeHandler(handler)


def test_log_handler_that_traces_and_flushes(
    add_handler: Callable[[logging.Handler], None],
) -> None:
    """A log handler called by our own warning may make spans and flush: nobody waits for ever."""
    exporter = ScriptedExporter(TOO_LARGE, SENT)
    tracer = make_tracer(exporter, flush_interval_s=0.01)
    handler = TracingHandler(tracer)
    add_handler(handler)
    finish(tracer, "a")
    begin = time.monotonic()
    wait_until(lambda: exporter.taken == ["log"])
    assert time.monotonic() - begin < 3.0
    assert len(handler.flushes) == 1
