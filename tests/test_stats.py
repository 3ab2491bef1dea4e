"""tracer.stats(): every finished span is in exactly one place, at any moment."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import accounting_difference, note_figure, spans_of

from fasttrace import Tracer

COUNTERS = ("finished", "added_by_filter", "held", "buffered", "in_flight", "sent", "unconfirmed")


def test_a_new_tracer_has_counted_nothing() -> None:
    """All counters of a new tracer are 0, and nothing is dropped."""
    stats = Tracer().stats()
    assert {name: stats[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0)
    assert sum(stats["dropped"].values()) == 0
    assert stats["open"] == 0


def test_a_span_moves_through_the_counters(tracer: Tracer) -> None:
    """A span is open, then held by its trace, then buffered, in flight, and at last settled."""
    root = tracer.trace("root")
    child = tracer.trace("child")
    assert tracer.stats()["open"] == 2
    child.finish()
    stats = tracer.stats()
    assert (stats["open"], stats["finished"], stats["held"], stats["buffered"]) == (1, 1, 1, 0)
    root.finish()
    stats = tracer.stats()
    assert (stats["open"], stats["finished"], stats["held"], stats["buffered"]) == (0, 2, 0, 2)
    [payload] = tracer._swap()
    assert tracer.stats()["in_flight"] == 2
    tracer._settle(payload, "sent")
    stats = tracer.stats()
    assert (stats["in_flight"], stats["sent"]) == (0, 2)


def test_abandoned_spans_are_not_open(tracer: Tracer) -> None:
    """A span thrown away unfinished is no longer counted as open, nor as finished."""
    for _ in range(10):
        tracer.start_span("abandoned")
    stats = tracer.stats()
    assert (stats["open"], stats["finished"]) == (0, 0)


def test_stats_is_a_copy(tracer: Tracer) -> None:
    """Changing what stats() returned changes nothing."""
    with tracer.trace("op"):
        pass
    tracer.stats()["finished"] = 99
    tracer.stats()["dropped"]["made up"] = 1
    assert tracer.stats()["finished"] == 1
    assert "made up" not in tracer.stats()["dropped"]
    spans_of(tracer)


def test_tracers_count_for_themselves(new_tracer: Any) -> None:
    """Each tracer counts its own spans, also those of a trace that several share."""
    first, second = new_tracer(), new_tracer()
    with first.trace("a"), second.trace("b"), second.trace("c"):
        pass
    assert (first.stats()["finished"], second.stats()["finished"]) == (1, 2)


def test_the_equation_holds_at_every_moment(tracer: Tracer) -> None:
    """Read while other threads start, finish and take spans, the counters always add up."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with tracer.trace("root"), tracer.trace("child"):
                pass

    def take() -> None:
        while not stop.is_set():
            for payload in tracer._swap():
                if not tracer._unswap(payload):
                    tracer._settle(payload, "full")
            for payload in tracer._swap():
                tracer._settle(payload, "sent")

    threads = [threading.Thread(target=target) for target in (work, work, take)]
    for thread in threads:
        thread.start()
    readings = 5000
    differences = {accounting_difference(tracer.stats()) for _ in range(readings)}
    stop.set()
    for thread in threads:
        thread.join()
    stats = tracer.stats()
    note_figure(
        f"differences in {readings:,} readings: {differences}; "
        f"{stats['finished']:,} spans finished meanwhile, {stats['sent']:,} sent"
    )
    assert differences == {0}
    assert stats["sent"] > 0
    assert stats["open"] == 0


def test_what_the_agent_received_is_counted_as_sent(session: Any) -> None:
    """After a flush the spans the agent has are the spans counted as sent."""
    tracer = session.make_tracer()
    for _ in range(50):
        with tracer.trace("root"), tracer.trace("child"):
            pass
    assert len(session.received()) == 100
    stats = tracer.stats()
    assert (stats["sent"], stats["buffered"], stats["in_flight"]) == (100, 0, 0)


def test_what_cannot_be_sent_is_counted_as_dropped(new_tracer: Any) -> None:
    """Spans for an agent that does not exist end as dropped, with a reason."""
    tracer = Tracer(url="http://127.0.0.1:1")
    with tracer.trace("op"):
        pass
    tracer.shutdown(10.0)
    stats = tracer.stats()
    assert stats["sent"] == 0
    assert sum(stats["dropped"].values()) == 1
    assert all(isinstance(reason, str) and reason for reason in stats["dropped"])


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_requests_tell_the_agent_how_many_traces_they_hold(session: Any, version: str) -> None:
    """The sum of the trace counts in the requests' headers is the number of traces finished."""
    tracer = session.make_tracer(api_version=version, payload_max_bytes=20_000)
    for i in range(200):
        with tracer.trace("root") as root:
            root.set_tag("tag", f"{i:05}" * 100)
    assert len(session.received()) == 200
    requests = session.requests()
    assert len(requests) > 3
    assert {request["path"] for request in requests} == {f"/{version}/traces"}
    counts = [int(request["headers"]["x-datadog-trace-count"]) for request in requests]
    assert sum(counts) == 200
    for request in requests:
        assert int(request["headers"]["content-length"]) == len(request["body"]) <= 20_000


def test_a_payload_can_be_settled_in_parts(tracer: Tracer) -> None:
    """Each part has its own outcome, the rest can wait in the buffer, and nothing counts twice."""
    for _ in range(10):
        with tracer.trace("root"), tracer.trace("child"):
            pass
    [payload] = tracer._swap()
    tracer._settle(payload, "sent", spans=6, traces=3, nbytes=100)
    tracer._settle(payload, "unconfirmed", spans=2, traces=1, nbytes=40)
    assert payload.unsettled_traces == 6
    stats = tracer.stats()
    assert (stats["in_flight"], stats["sent"], stats["unconfirmed"]) == (12, 6, 2)
    assert (stats["sent_traces"], stats["sent_bytes"]) == (3, 100)
    assert tracer._unswap(payload)
    assert (tracer.stats()["in_flight"], tracer.stats()["buffered"]) == (0, 12)
    [payload] = tracer._swap()
    for spans, traces in ((13, 6), (12, 7), (-1, 0)):
        with pytest.raises((ValueError, OverflowError)):
            tracer._settle(payload, "sent", spans=spans, traces=traces, nbytes=1)
    tracer._settle(payload, "full")
    stats = tracer.stats()
    assert (stats["in_flight"], stats["buffered"], stats["dropped"]) == (0, 0, {"full": 12})
    with pytest.raises(ValueError, match="settled once"):
        tracer._settle(payload, "sent", spans=0, traces=0, nbytes=0)


def test_every_key_is_documented() -> None:
    """The table of docs/reliability.md names the keys of stats(), in their order."""
    text = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = text.partition("## Accounting")[2].partition("At every moment")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    keys = list(Tracer().stats())
    note_figure(f"{len(documented)} keys documented of {len(keys)}")
    assert documented == keys
