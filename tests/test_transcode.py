"""v0.5 payloads become v0.4 bodies that mean the same."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrace.transcode import v05_to_v04

#: the golden vector of two spans (root svc/op/res/web, child without a service)
GOLDEN_V05 = bytes.fromhex(
    "929ba0aa5f64642e6f726967696ea3737663a26f70a3726573a16ba176a16ea166a3776562a56368696c64"
    "91929c020304070900cf17979cfe362a0000cd03e80181050682070108cb3fe000000000000009"
    "9c000a0a070a09cf17979cfe362a000005008080"
    "00"
)
GOLDEN_SPANS = [
    {
        "service": "svc",
        "name": "op",
        "resource": "res",
        "trace_id": 7,
        "span_id": 9,
        "start": 1_700_000_000_000_000_000,
        "duration": 1000,
        "error": 1,
        "meta": {"k": "v"},
        "metrics": {"n": 1, "f": 0.5},
        "type": "web",
    },
    {
        "service": "",
        "name": "child",
        "resource": "child",
        "trace_id": 7,
        "span_id": 10,
        "parent_id": 9,
        "start": 1_700_000_000_000_000_000,
        "duration": 5,
    },
]
MAX_BYTES = 1 << 20


def decode(bodies: list[Any]) -> list[list[dict[str, Any]]]:
    """Decode all bodies, checking on the way what they say of themselves."""
    traces = []
    for body in bodies:
        decoded = msgpack.unpackb(bytes(body.data))
        assert body.trace_count == len(decoded)
        assert body.span_count == sum(map(len, decoded))
        traces += decoded
    return traces


def test_golden_vector() -> None:
    """The golden v0.5 payload has the golden spans as its v0.4 form."""
    assert decode(v05_to_v04(GOLDEN_V05, MAX_BYTES)) == [GOLDEN_SPANS]


uint64 = st.integers(0, 2**64 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def payloads(draw: Any) -> bytes:
    """Any valid v0.5 payload."""
    strings = ["", *draw(st.lists(st.text(max_size=20).filter(bool), max_size=8, unique=True))]
    index = st.integers(0, len(strings) - 1)
    span = st.tuples(
        *(index, index, index, uint64, uint64, uint64, int64, int64, st.integers(0, 2**31 - 1)),
        *(st.dictionaries(index, index), st.dictionaries(index, numbers), index),
    )
    traces = draw(st.lists(st.lists(span, max_size=4), max_size=5))
    return bytes(msgpack.packb([strings, traces]))


def v04_span(fields: list[Any], strings: list[str]) -> dict[str, Any]:
    """The v0.4 form of a v0.5 span: optional fields are there if they are not empty."""
    names = ("service", "name", "resource", "trace_id", "span_id", "parent_id", "start", "duration")
    span = dict(zip((*names, "error", "meta", "metrics", "type"), fields, strict=True))
    for name in ("service", "name", "resource", "type"):
        span[name] = strings[span[name]]
    span["meta"] = {strings[key]: strings[value] for key, value in span["meta"].items()}
    span["metrics"] = {strings[key]: value for key, value in span["metrics"].items()}
    for name in ("parent_id", "error", "meta", "metrics", "type"):
        if not span[name]:
            del span[name]
    return span


@given(payload=payloads(), max_bytes=st.sampled_from([1, 100, 1000, MAX_BYTES]))
def test_same_meaning(payload: bytes, max_bytes: int) -> None:
    """Every v0.5 payload keeps its traces, their order, and every field of every span."""
    strings, traces = msgpack.unpackb(payload, strict_map_key=False)
    expected = [[v04_span(fields, strings) for fields in trace] for trace in traces]
    assert decode(v05_to_v04(payload, max_bytes)) == expected


@given(payload=payloads(), max_bytes=st.sampled_from([100, 1000]))
def test_bodies_keep_to_the_limit(payload: bytes, max_bytes: int) -> None:
    """No body is larger than allowed, unless it holds a single trace."""
    for body in v05_to_v04(payload, max_bytes):
        assert body.trace_count == 1 or len(body.data) <= max_bytes


def test_no_traces_no_body() -> None:
    """A payload without traces is no request at all."""
    assert v05_to_v04(msgpack.packb([[""], []]), MAX_BYTES) == []


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x93", GOLDEN_V05[:-20], b"\x92\xc0\xc0", msgpack.packb([[""], [[[9] * 12]]])],
    ids=["empty", "not two", "cut", "no table", "bad index"],
)
def test_nonsense_raises(payload: bytes) -> None:
    """What is no v0.5 payload raises; the exporter turns that into a drop reason."""
    with pytest.raises((ValueError, TypeError, LookupError, msgpack.OutOfData)):
        v05_to_v04(payload, MAX_BYTES)
