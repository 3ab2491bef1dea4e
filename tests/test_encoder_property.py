"""Both encoders against the slow reference, on spans nobody would think of."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import decode_payload, payload_v04, payload_v05

from fasttrace import Span
from fasttrace._span import encode_trace

TIME_MAX = 2**62 - 1

# Characters of every UTF-8 length and of every width of a Python string, surrogates included.
characters = st.one_of(
    st.characters(max_codepoint=0x7F),
    st.characters(min_codepoint=0x80, max_codepoint=0xFF),
    st.characters(min_codepoint=0x100, max_codepoint=0xFFFF, exclude_categories=()),
    st.characters(min_codepoint=0x10000),
    st.sampled_from("\ud800\udbff\udc00\udfff\0\ufffd\ufeff"),
)
BOUNDARIES = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 24_999, 25_000, 25_001, 65_536]


@st.composite
def long_texts(draw: Any) -> str:
    """A text whose length in characters or in bytes is at a boundary of the format."""
    unit = draw(st.text(characters, min_size=1, max_size=3))
    length = draw(st.sampled_from(BOUNDARIES)) + draw(st.integers(-1, 1))
    size = len(unit.encode("utf-8", "surrogatepass")) if draw(st.booleans()) else len(unit)
    return str(unit * max(0, length // size) + draw(st.text(characters, max_size=2)))


texts = st.one_of(st.text(characters, max_size=40), long_texts(), st.sampled_from(["a", "_dd.x"]))
optional_texts = st.none() | texts
boundary_ints = st.sampled_from(
    [
        sign * (2**bits + offset)
        for bits in (0, 5, 7, 8, 15, 16, 31, 32, 53, 63)
        for offset in (-1, 0, 1)
        for sign in (1, -1)
    ]
)
integers = st.one_of(boundary_ints, st.integers(-(2**65), 2**65), st.integers(-200, 200))
floats = st.floats(allow_nan=True, allow_infinity=True)
values = st.one_of(
    texts,
    integers,
    floats,
    st.booleans(),
    st.none(),
    st.binary(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.complex_numbers(),
)
ids = st.one_of(st.integers(1, 2**64 - 1), st.sampled_from([1, 127, 128, 2**32, 2**63, 2**64 - 1]))
times = st.one_of(st.integers(0, TIME_MAX), st.sampled_from([0, 127, 128, 2**32, TIME_MAX]))
calls = st.lists(st.tuples(st.sampled_from(["set_tag", "set_metric"]), texts, values), max_size=20)


@st.composite
def spans(draw: Any) -> Span:
    """A span with drawn texts, ids, times, error and tags."""
    span = Span(
        draw(texts),
        service=draw(optional_texts),
        resource=draw(optional_texts),
        span_type=draw(optional_texts),
        trace_id=draw(st.one_of(ids, st.integers(1, 2**128 - 1).filter(lambda i: i % 2**64))),
        span_id=draw(ids),
        parent_id=draw(st.none() | ids),
    )
    span.start_ns = draw(times)
    span.duration_ns = draw(times)
    span.error = draw(st.sampled_from([0, 0, 1, 2, -1, 2**31 - 1, -(2**31)]))
    for method, key, value in draw(calls):
        getattr(span, method)(key, value)
    return span


traces = st.lists(spans(), max_size=6)


@given(traces)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_v04_equals_the_reference(trace: list[Span]) -> None:
    """Whatever the spans hold, v0.4 decodes to what the reference says."""
    assert decode_payload(bytes(encode_trace(trace, "v0.4")), "v0.4") == payload_v04(trace)


@given(traces)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_v05_equals_the_reference(trace: list[Span]) -> None:
    """Whatever the spans hold, v0.5 is byte for byte what the reference says."""
    body = bytes(encode_trace(trace, "v0.5"))
    assert body == payload_v05(trace)
    assert len(decode_payload(body, "v0.5")) == 1
