"""Statistics counted in the tracer: what counts, how it is sent, what then need not be sent."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from fault_server import FaultServer, answering, response
from helpers import by_name, chunks_of, run_python, spans_of
from hypothesis import given
from hypothesis import strategies as st

from fasttrace import Span, Tracer, _log
from fasttrace._span import sketch_of

SECOND = 1_000_000_000
FOREVER = 2**63 - 1
KINDS = ("client", "server", "producer", "consumer")
KEY = ("name", "service", "resource", "type", "status", "synthetic", "kind", "root", "peers")
REJECT = [{"name": "rejected*", "sample_rate": 0}]
INFO = {"endpoints": ["/v0.4/traces", "/v0.6/stats"], "client_drop_p0s": True}


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


def read_sketch(data: bytes) -> tuple[dict[int, float], float]:
    """Decode a sketch with a reader of protocol buffers written for this: bins by index, zeros."""
    fields: dict[int, bytes] = {}
    zeros = 0.0
    at = 0
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 7 == 1:
            zeros = msgpack.unpackb(b"\xcb" + data[at : at + 8][::-1])
            at += 8
        else:
            length, at = _varint(data, at)
            fields[tag >> 3] = data[at : at + length]
            at += length
    store = fields[2]
    if not store:
        return {}, zeros
    length, at = _varint(store, 1)
    counts = [msgpack.unpackb(b"\xcb" + store[i : i + 8][::-1]) for i in range(at, at + length, 8)]
    offset, _ = _varint(store, at + length + 1)
    assert offset % 2 == 0
    return {offset // 2 + i: count for i, count in enumerate(counts) if count}, zeros


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


# -- the sketch --------------------------------------------------------------------------------

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


# -- what counts -------------------------------------------------------------------------------


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


# -- what is left out --------------------------------------------------------------------------


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


# -- with an agent -----------------------------------------------------------------------------


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what the background thread does, half a minute at most."""
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def first_trace(tracer: Tracer) -> None:
    """Send a trace and wait until the agent was asked what it offers."""
    tracer.start_span("first").finish()
    tracer.flush(20.0)
    wait_until(lambda: tracer._flusher.discovery and tracer._flusher.discovery.info is not None)


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


def test_nobody_there_at_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics that cannot be delivered hold up nothing, and are mentioned."""
    monkeypatch.setattr(_log, "_last_ns", {})  # as if nothing had been said lately
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


def test_a_process_that_only_rejects(session: Any) -> None:
    """A short process whose traces are all left out still delivers its statistics at exit."""
    code = """
        import time
        from fasttrace import tracer
        tracer.start_span("first").finish()
        tracer.flush(20.0)
        deadline = time.monotonic() + 30
        while tracer._flusher.discovery.info is None and time.monotonic() < deadline:
            time.sleep(0.005)
        for _ in range(5):
            tracer.start_span("rejected").finish()
    """
    env = session.env(
        DD_TRACE_STATS_COMPUTATION_ENABLED="true",
        DD_TRACE_SAMPLING_RULES=json.dumps(REJECT),
        DD_SERVICE="svc",
    )
    run_python(code, env=env)
    bodies = [r["body"] for r in session.requests() if r["path"] == "/v0.6/stats"]
    groups = [g for body in bodies for b in msgpack.unpackb(body)["Stats"] for g in b["Stats"]]
    assert {group["Name"]: group["Hits"] for group in groups} == {"rejected": 5}


def test_sent_in_the_background(session: Any) -> None:
    """Complete intervals leave without anybody asking, also if no trace is ever sent."""
    tracer = session.make_tracer(stats_enabled=True, sampling_rules=REJECT, flush_interval_s=0.05)
    first_trace(tracer)
    span = tracer.start_span("rejected")
    span.start_ns = time.time_ns() - 60 * SECOND
    span.duration_ns = 5
    span.finish()
    wait_until(lambda: any(r["path"] == "/v0.6/stats" for r in session.requests()))
    assert [span["name"] for span in session.spans()] == ["first"]


def test_a_forked_child_counts_for_itself(session: Any) -> None:
    """A forked child begins with no counts; what its parent counted is sent once."""
    code = """
        import os, time
        from fasttrace import tracer
        tracer.start_span("first").finish()
        tracer.flush(20.0)
        deadline = time.monotonic() + 30
        while tracer._flusher.discovery.info is None and time.monotonic() < deadline:
            time.sleep(0.005)
        tracer.start_span("rejected by parent").finish()
        pid = os.fork()
        if pid == 0:
            tracer.start_span("rejected by child").finish()
            tracer.flush(20.0)
            os._exit(0)
        os.waitpid(pid, 0)
        tracer.flush(20.0)
    """
    env = session.env(
        DD_TRACE_STATS_COMPUTATION_ENABLED="true",
        DD_TRACE_SAMPLING_RULES=json.dumps(REJECT),
        DD_SERVICE="svc",
    )
    if not hasattr(os, "fork"):
        return
    run_python(code, env=env)
    bodies = [r["body"] for r in session.requests() if r["path"] == "/v0.6/stats"]
    names = [
        (g["Name"], g["Hits"])
        for body in bodies
        for b in msgpack.unpackb(body)["Stats"]
        for g in b["Stats"]
    ]
    assert sorted(names) == [("rejected by child", 1), ("rejected by parent", 1)]
