"""The agent's limits: no body above the size that is configured, no array or map of half a million.

An agent refuses a body of more than 25 MiB, and one with an array or map of more than 500,000
elements: a single such trace would take all the others of its payload with it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from fault_server import FaultServer, answering, response
from helpers import accounting_difference, note_figure
from hypothesis import given
from hypothesis import strategies as st

from fasttrace import Context, Span, TraceFilter, Tracer
from fasttrace.agent import AgentExporter
from fasttrace.config import Config
from fasttrace.transcode import v05_to_v04

MAX_BYTES = 25 << 20
MAX_ELEMENTS = 500_000
Sizes = tuple[int, int, int]  # of a trace: spans, tags, characters of a tag at most
FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
BOTH = pytest.mark.parametrize("version", ["v0.4", "v0.5"])


def bodies_of(tracer: Tracer) -> list[tuple[str, bytes]]:
    """Take what is buffered: version and body of each payload."""
    taken = []
    for payload in tracer._swap():
        taken.append((payload.api_version, b"".join(payload.buffers())))
        tracer._settle(payload, "test")
    return taken


def longest_container(body: bytes) -> int:
    """Elements of the largest array or map of a body, JSON within it not counted."""
    longest = 0
    todo = [msgpack.unpackb(body, strict_map_key=False, unicode_errors="replace")]
    while todo:
        item = todo.pop()
        if isinstance(item, dict | list):
            longest = max(longest, len(item))
            children = item.values() if isinstance(item, dict) else item
            todo.extend(child for child in children if isinstance(child, dict | list))
    return longest


@pytest.fixture
def maxima() -> Iterator[Counter[str]]:
    """The largest that any example of a property has come to, shown in the end."""
    seen: Counter[str] = Counter()
    yield seen
    note_figure(", ".join(f"{what} {count:,}" for what, count in seen.items()))


@given(
    version=st.sampled_from(["v0.4", "v0.5"]),
    max_bytes=st.integers(1024, 20_000),
    sizes=st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 4), st.integers(0, 6000)), max_size=40
    ),
    seed=st.integers(0, 2**32),
)
def test_no_body_is_too_large(
    maxima: Counter[str], version: str, max_bytes: int, sizes: list[Sizes], seed: int
) -> None:
    """No body is larger than configured, nor is any that is made of it for an old agent."""
    tracer = Tracer(
        config=Config.from_env({}, api_version=version, payload_max_bytes=max_bytes, service="s")
    )
    tracer._on_first_chunk = None
    source = random.Random(seed)
    for span_count, tag_count, tag_bytes in sizes:
        root = tracer.start_span("root")
        for _ in range(span_count - 1):
            tracer.start_span(f"child{source.random()}", child_of=root).finish()
        for _ in range(tag_count):
            root.set_tag(f"key{source.randrange(5)}", "é" * source.randint(0, tag_bytes))
        root.finish()
    stats = tracer.stats()
    assert accounting_difference(stats) == 0
    assert stats["dropped"].keys() <= {"chunk_too_large"}
    maxima["examples"] += 1
    traces = 0
    for version, body in bodies_of(tracer):
        assert len(body) <= max_bytes
        maxima["bodies"] += 1
        percent = "fullest body, % of its limit"
        maxima[percent] = max(maxima[percent], 100 * len(body) // max_bytes)
        longest = longest_container(body)
        assert longest <= MAX_ELEMENTS
        maxima["longest array or map"] = max(maxima["longest array or map"], longest)
        if version == "v0.5":
            transcoded = v05_to_v04(body, max_bytes)
            assert all(len(b.data) <= max_bytes or b.trace_count == 1 for b in transcoded)
            maxima["v0.4 bodies made of v0.5"] += len(transcoded)
            traces += sum(b.trace_count for b in transcoded)
        else:
            traces += len(msgpack.unpackb(body))
    assert traces == len(sizes) or stats["dropped"]


class Multiply(TraceFilter):
    """Returns the chunk and so many spans more."""

    def __init__(self, count: int) -> None:
        self.count = count

    def process_trace(self, trace: list[Span]) -> list[Span]:
        """Add the spans."""
        more = [Span("a", trace_id=1, span_id=1) for _ in range(self.count)]
        for span in more:
            span.finish()
        return trace + more


def many_tags(tracer: Tracer) -> None:
    """A span with more tags than the agent takes."""
    with tracer.trace("op") as span:
        for index in range(MAX_ELEMENTS + 10):
            span.set_tag(f"{index:x}", "")


def many_metrics(tracer: Tracer) -> None:
    """A span with more numbers than the agent takes."""
    with tracer.trace("op") as span:
        for index in range(MAX_ELEMENTS + 10):
            span.set_metric(f"{index:x}", 1)


def many_links(tracer: Tracer) -> None:
    """A span with more links than the agent takes."""
    with tracer.trace("op") as span:
        context = Context(trace_id=1, span_id=1)
        for _ in range(MAX_ELEMENTS + 10):
            span.link_span(context)


def many_strings(tracer: Tracer) -> None:
    """Traces with more different strings than the agent takes."""
    for start in range(0, MAX_ELEMENTS + 20_000, 10_000):
        with tracer.trace("op") as span:
            for index in range(start, start + 10_000):
                span.set_tag(f"{index:x}", "")


def many_spans(tracer: Tracer) -> None:
    """A trace of more spans than the agent takes, with partial flush off."""
    with tracer.trace("op") as root:
        for _ in range(MAX_ELEMENTS + 10):
            tracer.start_span("a", child_of=root).finish()


def many_spans_of_a_filter(tracer: Tracer) -> None:
    """A filter that makes more spans than the agent takes."""
    tracer.configure(trace_processors=[Multiply(MAX_ELEMENTS + 10)])
    tracer._on_first_chunk = None
    with tracer.trace("op"):
        pass
    tracer.configure(trace_processors=[])


EXTREMES = (
    many_tags,
    many_metrics,
    many_links,
    many_strings,
    *([many_spans, many_spans_of_a_filter] if FULL else []),  # these take a minute
)


@BOTH
@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda function: function.__name__)
def test_no_container_is_too_long(extreme: Any, version: str) -> None:
    """Whatever there is half a million of, no body has an array or map of so many elements."""
    tracer = Tracer(
        config=Config.from_env(
            {},
            api_version=version,
            service="s",
            buffer_max_bytes=1 << 30,
            payload_max_bytes=MAX_BYTES,
            partial_flush_enabled=False,
        )
    )
    tracer._on_first_chunk = None
    extreme(tracer)
    tracer.trace("other").finish()
    stats = tracer.stats()
    assert accounting_difference(stats) == 0
    names = 0
    longest = largest = 0
    for version, body in bodies_of(tracer):
        longest, largest = max(longest, longest_container(body)), max(largest, len(body))
        names += b"other" in body
        if version == "v0.5":
            for transcoded in v05_to_v04(body, MAX_BYTES):
                longest = max(longest, longest_container(bytes(transcoded.data)))
    note_figure(
        f"longest array or map {longest:,} of {MAX_ELEMENTS:,}, "
        f"largest body {largest:,} of {MAX_BYTES:,} bytes"
    )
    assert longest <= MAX_ELEMENTS
    assert largest <= MAX_BYTES
    assert names == 1, "the trace of somebody else is gone"


def test_trace_that_is_too_large_for_an_old_agent() -> None:
    """A trace that v0.4 makes larger than an agent takes is dropped alone, for that reason."""
    text = "x" * 20_000
    tracer = Tracer(config=Config.from_env({}, api_version="v0.5", partial_flush_enabled=False))
    tracer._on_first_chunk = None
    with tracer.trace("large") as root:
        for _ in range(MAX_BYTES // len(text) + 1):
            part = tracer.start_span("part", child_of=root)
            part.set_tag("text", text)
            part.finish()
    tracer.trace("small").finish()
    with FaultServer(answering(response(404, b""), response())) as server:
        exporter = AgentExporter(Config.from_env({}, agent_url=server.url, api_version="v0.5"))
        (payload,) = tracer._swap()
        result = exporter.export(payload, payload.trace_count, 20.0)
        tracer._settle(payload, "test")
    statuses = [part.result.status for part in result.parts] + [result.status]
    note_figure(f"of 2 traces: {sorted(statuses)}")
    assert sorted(statuses) == ["chunk_too_large", "sent"]
    assert all(len(request["body"]) <= MAX_BYTES for request in server.requests)
