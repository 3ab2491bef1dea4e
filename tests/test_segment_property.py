"""Chunks of traces nobody would write: any sequence of calls, any tree of services."""

from __future__ import annotations

from helpers import accounting_difference, chunks_of, make_offline_tracer
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrace import Context, Span

steps = st.lists(
    st.tuples(
        st.sampled_from(["root", "child", "child", "finish", "finish", "drop", "tag", "context"]),
        st.integers(0, 11),
    ),
    max_size=60,
)


@settings(max_examples=3 * settings.default.max_examples)
@given(steps, st.sampled_from([2, 3, 5, 300]), st.sampled_from(["v0.4", "v0.5"]))
def test_any_sequence_of_calls_sends_every_finished_span_once(
    calls: list[tuple[str, int]], min_spans: int, version: str
) -> None:
    """However spans are begun, finished and thrown away, each finished one is sent once, in order.

    Chunks hold spans of one trace in order of creation; parents and tags are those of the calls;
    afterwards nothing is open, held or unaccounted for.
    """
    tracer = make_offline_tracer(partial_flush_min_spans=min_spans, api_version=version)
    held: list[Span] = []
    made: dict[int, tuple[int, int, int | None]] = {}  # span id: order of creation, trace, parent
    finished: dict[int, str | None] = {}  # span id: its tag
    tags: dict[int, str] = {}

    def begin(parent: Span | Context | None) -> None:
        span = tracer.start_span("op", child_of=parent)
        held.append(span)
        made[span.span_id] = len(made), span.trace_id, None if parent is None else parent.span_id

    for call, number in calls:
        if call == "root" or not held:
            begin(None)
            continue
        span = held[number % len(held)]
        if call == "child":
            begin(span)
        elif call == "context":
            begin(span.context)
        elif call == "tag" and span.span_id not in finished:
            tags[span.span_id] = f"text {number}"
            span.set_tag("tag", tags[span.span_id])
        elif call == "finish":
            span.finish()
            finished[span.span_id] = None
        elif call == "drop":
            held.remove(span)
        del span
    held.clear()

    chunks = chunks_of(tracer)
    sent = [span["span_id"] for chunk in chunks for span in chunk]
    assert sorted(sent) == sorted(finished)
    for chunk in chunks:
        assert len({span["trace_id"] for span in chunk}) == 1
        order = [made[span["span_id"]][0] for span in chunk]
        assert order == sorted(order)
        assert "_sampling_priority_v1" in chunk[0]["metrics"]
        assert chunk[0]["meta"]["language"] == "python"
        for span in chunk:
            _, trace_id, parent_id = made[span["span_id"]]
            assert span["trace_id"] == trace_id & (2**64 - 1)
            assert span.get("parent_id") == parent_id
            assert span.get("meta", {}).get("tag") == tags.get(span["span_id"])
        for span in chunk[1:]:
            assert "language" not in span.get("meta", {})
    stats = tracer.stats()
    assert (stats["open"], stats["held"], stats["finished"]) == (0, 0, len(finished))
    assert accounting_difference(stats) == 0


services = st.sampled_from([None, "svc", "SVC", "db", "pg"])
moves = st.lists(
    st.tuples(
        st.sampled_from(["root", "child", "child", "child", "context", "rename", "finish"]),
        st.integers(0, 9),
        services,
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=3 * settings.default.max_examples)
@given(moves, st.sampled_from([1, 2, 4, 300]), st.sampled_from(["v0.4", "v0.5"]))
def test_any_tree_of_services_is_tagged_by_the_rules(
    calls: list[tuple[str, int, str | None]], min_spans: int, version: str
) -> None:
    """Whatever the tree, its services and the order of finishing, every span has its own tags.

    Top level: a local root, or a service that differs from the parent's at the time of finishing.
    Base service: another service than the configured one. Chunk tags: the first span only.
    """
    tracer = make_offline_tracer(partial_flush_min_spans=min_spans, api_version=version)
    spans: list[Span] = []
    parents: dict[int, Span | None] = {}
    service_of: dict[int, str] = {}  # span id: the service it has now
    top_level: dict[int, bool] = {}

    def finish(span: Span) -> None:
        if span.span_id not in top_level:
            parent = parents[span.span_id]
            top_level[span.span_id] = (
                parent is None or service_of[span.span_id] != service_of[parent.span_id]
            )
        span.finish()

    for call, number, service in calls:
        span = spans[number % len(spans)] if spans else None
        if call in ("child", "context", "root") or span is None:
            parent = span if call == "child" else None
            above = span.context if span is not None and call == "context" else parent
            made = tracer.start_span("op", child_of=above, service=service)
            parents[made.span_id] = parent
            inherited = service_of[parent.span_id] if parent is not None else "svc"
            service_of[made.span_id] = service or inherited
            spans.append(made)
        elif call == "finish":
            finish(span)
        elif call == "rename" and service is not None and span.span_id not in top_level:
            span.service = service_of[span.span_id] = service
    for span in spans:
        finish(span)

    sent = 0
    for chunk in chunks_of(tracer):
        for index, one in enumerate(chunk):
            span_id = one["span_id"]
            meta, metrics = one.get("meta", {}), one.get("metrics", {})
            assert one["service"] == service_of[span_id]
            assert metrics.get("_dd.top_level", 0) == top_level[span_id]
            foreign = service_of[span_id].lower() != "svc"
            assert meta.get("_dd.base_service") == ("svc" if foreign else None)
            local_root = parents[span_id] is None
            assert ("runtime-id" in meta) == ("process_id" in metrics) == local_root
            for key in ("language", "_dd.p.dm", "_dd.p.tid"):
                assert (key in meta) == (index == 0), key
            assert ("_sampling_priority_v1" in metrics) == (index == 0)
            sent += 1
    assert sent == len(spans)
