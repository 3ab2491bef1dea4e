"""Statistics counted in the tracer: what counts, and what then need not be sent."""

from __future__ import annotations

import math
from typing import Any

import pytest
from client_stats import REJECT, SECOND, read_sketch
from helpers import by_name, chunks_of, spans_of
from hypothesis import given
from hypothesis import strategies as st

from fasttrace import Span, Tracer
from fasttrace._span import sketch_of

FOREVER = 2**63 - 1
KINDS = ("client", "server", "producer", "consumer")
KEY = ("name", "service", "resource", "type", "status", "synthetic", "kind", "root", "peers")


@pytest.fixture
def counting(new_tracer: Any) -> Tracer:
    """A tracer that counts, and leaves rejected traces out."""
    tracer: Tracer = new_tracer(sampling_rules=REJECT)
    tracer._set_stats(10 * SECOND, KINDS, ("db.name", "peer.host"), True)
    return tracer


def groups_of(tracer: Tracer) -> list[dict[str, Any]]:
    """Take what was counted: its groups as dicts, of all intervals."""
    found = []
    for start_ns, groups in tracer._take_stats(FOREVER):
        for key, hits, top_hits, errors, duration_ns, succeeded, failed in groups:
            group = dict(zip(KEY, key, strict=True))
            group.update(hits=hits, top_hits=top_hits, errors=errors, duration_ns=duration_ns)
            group.update(succeeded=succeeded, failed=failed, start_ns=start_ns)
            found.append(group)
    return found


# -- the sketch ------------------------------------------------------------------------------------


MAPPING = "0a1209000000000040f03f110000000000ea9440"


@pytest.mark.parametrize(
    ("durations", "encoded"),
    [
        ([], MAPPING + "12001a00"),
        ([1], MAPPING + "120d1208000000000000f03f18f4141a00"),
        ([0, 500_000_000], MAPPING + "120d1208000000000000f03f188c291a0021000000000000f03f"),
        ([-5, 0], MAPPING + "12001a00210000000000000040"),
    ],
)
def test_the_reference_sketches(durations: list[int], encoded: str) -> None:
    """The encoded sketches are those of ddtrace, byte by byte."""
    assert sketch_of(durations).hex() == encoded


@given(st.lists(st.integers(0, 2**62), max_size=60))
def test_sketches_against_arithmetic(durations: list[int]) -> None:
    """Each duration is counted in the bin that its logarithm says, and none is lost."""
    bins, zeros = read_sketch(sketch_of(durations))
    expected: dict[int, float] = {}
    for duration in durations:
        if duration:
            index = math.floor(math.log(duration) / math.log(1.015625) + 1338.5)
            expected[index] = expected.get(index, 0) + 1
    assert bins == expected
    assert zeros == durations.count(0)


# -- what counts -----------------------------------------------------------------------------------


def test_what_counts(counting: Tracer) -> None:
    """Service entries, measured spans and those with another side count; others do not."""
    with counting.trace("root", resource="/x", span_type="web"):
        counting.trace("plain").finish()
        with counting.trace("entry", service="other"):
            pass
        for name, tags in (
            ("measured", {"_dd.measured": 1}),
            ("not measured", {"_dd.measured": 0}),
            ("calling", {"span.kind": "client"}),
            ("inside", {"span.kind": "internal"}),
        ):
            with counting.trace(name) as span:
                span.set_tags(tags)
    groups = {group["name"]: group for group in groups_of(counting)}
    assert set(groups) == {"root", "entry", "measured", "calling"}
    root = groups["root"]
    assert (root["service"], root["resource"], root["type"]) == ("svc", "/x", "web")
    assert (root["hits"], root["top_hits"], root["root"]) == (1, 1, True)
    assert groups["entry"]["top_hits"] == 1
    assert groups["measured"]["top_hits"] == groups["calling"]["top_hits"] == 0
    assert groups["calling"]["kind"] == "client"
    assert groups["calling"]["root"] is False
    spans_of(counting)


def test_sums(counting: Tracer) -> None:
    """Equal spans are one group with the sums of hits, errors and durations, and two sketches."""
    durations = [5, 7, 1_000_000, 0]
    for i, duration_ns in enumerate(durations):
        span = counting.start_span("op")
        span.error = int(i == 1)
        span.duration_ns = duration_ns
        span.finish()
    [group] = groups_of(counting)
    assert (group["hits"], group["errors"], group["duration_ns"]) == (4, 1, sum(durations))
    assert group["succeeded"] == sketch_of([5, 1_000_000, 0])
    assert group["failed"] == sketch_of([7])
    spans_of(counting)


@pytest.mark.parametrize(
    ("tags", "field", "value"),
    [
        ({"http.status_code": 503}, "status", 503),
        ({"http.status_code": "404"}, "status", 404),
        ({"http.status_code": "teapot"}, "status", 0),
        ({}, "status", 0),
        ({"span.kind": "client", "db.name": "users"}, "peers", ("db.name:users",)),
        ({"span.kind": "server", "db.name": "users"}, "peers", None),
        ({"db.name": "users"}, "peers", None),
        (
            {"span.kind": "producer", "peer.host": "h", "db.name": "d"},
            "peers",
            ("db.name:d", "peer.host:h"),
        ),
    ],
)
def test_what_tells_groups_apart(
    counting: Tracer, tags: dict[str, Any], field: str, value: object
) -> None:
    """Status code, kind and, on the calling side, the tags of the peer are part of a group."""
    with counting.trace("op") as span:
        span.set_tags(tags)
    with counting.trace("op") as span:
        span.set_tags({**tags, "http.status_code": 201})
    groups = groups_of(counting)
    assert len(groups) == 2
    assert groups[0][field] == value
    spans_of(counting)


def test_synthetic_traces(counting: Tracer) -> None:
    """Traces that a synthetic test made are counted apart."""
    for origin in (None, "synthetics", "synthetics-browser", "rum"):
        span = counting.start_span("op")
        span.context.dd_origin = origin
        span.finish()
    assert {group["synthetic"]: group["hits"] for group in groups_of(counting)} == {
        False: 2,
        True: 2,
    }
    spans_of(counting)


def test_intervals(counting: Tracer) -> None:
    """A span counts in the interval in which it ended; an interval is taken when it is over."""
    base = 1_700_000_000 * SECOND
    for start, duration in ((0, 1), (0, 9 * SECOND), (5 * SECOND, 5 * SECOND), (9 * SECOND, 9)):
        span = counting.start_span("op")
        span.start_ns = base + start
        span.duration_ns = duration
        span.finish()
    assert counting._take_stats(base + 9 * SECOND) == []
    [(start_ns, [group])] = counting._take_stats(base + 10 * SECOND)
    assert (start_ns, group[1]) == (base, 3)
    assert counting._take_stats(base + 19 * SECOND) == []
    [(start_ns, [group])] = counting._take_stats(base + 20 * SECOND)
    assert (start_ns, group[1]) == (base + 10 * SECOND, 1)
    assert counting._take_stats(FOREVER) == []
    spans_of(counting)


def test_bounds(counting: Tracer) -> None:
    """Endless resources and endless intervals do not take endless memory, and no hit is lost."""
    for i in range(9000):
        counting.start_span("op", resource=f"/item/{i}").finish()
    groups = groups_of(counting)
    assert len(groups) <= 8192 + 2
    assert sum(group["hits"] for group in groups) == 9000
    blocked = [group for group in groups if group["resource"] == "tracer_blocked_value"]
    assert sum(group["hits"] for group in blocked) >= 800
    for i in range(300):
        span = counting.start_span("op")
        span.start_ns = (1_700_000_000 + 10 * i) * SECOND
        span.duration_ns = 1
        span.finish()
    taken = counting._take_stats(FOREVER)
    assert len(taken) == 64
    assert sum(group[1] for _, found in taken for group in found) == 300
    spans_of(counting)


def test_filters_and_discard(new_tracer: Any) -> None:
    """What filters take out and what rules discard is not counted."""

    class Filter:
        def process_trace(self, trace: list[Span]) -> list[Span] | None:
            return None if trace[0].name == "filtered" else trace

    tracer = new_tracer(sampling_rules=[{"name": "noise", "sample_rate": 0, "discard": True}])
    tracer._set_stats(10 * SECOND, KINDS, (), True)
    for filters in ([], [Filter()]):
        tracer.configure(trace_processors=filters)
        tracer.start_span("noise").finish()
        tracer.start_span("kept").finish()
    tracer.start_span("filtered").finish()
    assert {group["name"]: group["hits"] for group in groups_of(tracer)} == {"kept": 2}
    assert len(spans_of(tracer)) == 2


# -- what is left out ------------------------------------------------------------------------------


def test_rejected_traces_are_counted_and_left_out(counting: Tracer) -> None:
    """A rejected trace leaves statistics and no chunk; the next payload says how many."""
    for name in ("rejected", "kept", "rejected"):
        with counting.trace(name), counting.trace("child"):
            pass
    assert {group["name"]: group["hits"] for group in groups_of(counting)} == {
        "rejected": 2,
        "kept": 1,
    }
    assert counting.stats()["dropped"] == {"p0": 4}
    [payload] = counting._swap()
    assert payload.stats_computed is True
    assert (payload.trace_count, payload.p0_traces, payload.p0_spans) == (1, 2, 4)
    counting._settle(payload, "sent")
    counting.start_span("kept").finish()
    [payload] = counting._swap()
    assert (payload.p0_traces, payload.p0_spans) == (0, 0)
    counting._settle(payload, "sent")


def test_rejected_traces_with_errors_are_sent(counting: Tracer) -> None:
    """The agent samples errors on its own, so a rejected chunk with a failed span is sent."""
    with counting.trace("rejected"), pytest.raises(ValueError), counting.trace("child"):
        raise ValueError("x")
    sent = by_name(spans_of(counting))
    assert sent["rejected"]["metrics"]["_sampling_priority_v1"] == -1


def test_single_spans_are_sent_alone(new_tracer: Any) -> None:
    """Of a rejected trace the spans leave that a span rule keeps, with the chunk's tags."""
    rules = [{"name": "child*"}]
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=rules)
    tracer._set_stats(10 * SECOND, KINDS, (), True)
    with tracer.trace("rejected"):
        for name in ("child1", "other", "child2"):
            tracer.trace(name).finish()
    [chunk] = chunks_of(tracer)
    assert [span["name"] for span in chunk] == ["child1", "child2"]
    assert chunk[0]["metrics"]["_sampling_priority_v1"] == -1
    assert chunk[0]["meta"]["_dd.p.dm"] == "-3"
    assert chunk[0]["meta"]["language"] == "python"
    assert chunk[0]["metrics"]["_dd.span_sampling.mechanism"] == 8
    assert "_sampling_priority_v1" not in chunk[1]["metrics"]
    assert tracer.stats()["dropped"] == {"p0": 2, "test": 2}


def test_nothing_is_left_out_of_what_is_not_counted(new_tracer: Any) -> None:
    """Without an agent that counts with us every rejected trace is sent."""
    tracer = new_tracer(sampling_rules=REJECT, stats_enabled=True)
    tracer.start_span("rejected").finish()
    tracer._set_stats(10 * SECOND, KINDS, (), False)
    tracer.start_span("rejected").finish()
    assert len(spans_of(tracer)) == 2


def test_tail_keep_comes_first(new_tracer: Any) -> None:
    """A trace kept for its end is counted and sent."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 0, "keep_slower_than_ms": 0}])
    tracer._set_stats(10 * SECOND, KINDS, (), True)
    tracer.start_span("op").finish()
    assert len(groups_of(tracer)) == len(spans_of(tracer)) == 1


def test_a_payload_is_counted_whole_or_not_at_all(new_tracer: Any) -> None:
    """When counting begins or ends, a payload is closed: it says one thing of all its chunks."""
    tracer = new_tracer()
    tracer.start_span("before").finish()
    tracer._set_stats(10 * SECOND)
    tracer.start_span("counted").finish()
    tracer._set_stats(10 * SECOND, ("client",))  # the same, with other kinds
    tracer.start_span("counted").finish()
    tracer._set_stats(None)
    tracer.start_span("after").finish()
    payloads = tracer._swap()
    assert [(p.trace_count, p.stats_computed) for p in payloads] == [
        (1, False),
        (2, True),
        (1, False),
    ]
    for payload in payloads:
        tracer._settle(payload, "sent")
