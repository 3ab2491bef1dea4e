"""The v0.4 encoder: the golden vector, and every boundary of the format, decoded by msgpack."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest
from helpers import run_python
from reference import canonical, decode_payload, payload_v04

from fasttrace import Span
from fasttrace._span import encode_trace

# Two spans as another tracer of the same protocol encodes them.
GOLDEN = bytes.fromhex(
    "91928ba874726163655f696407a77370616e5f696409a773657276696365a3737663a87265736f75726365a3726573"
    "a46e616d65a26f70a57374617274cf17979cfe362a0000a86475726174696f6ecd03e8a56572726f7201a474797065"
    "a3776562a46d65746181a16ba176a76d65747269637382a16e01a166cb3fe000000000000088a874726163655f6964"
    "07a9706172656e745f696409a77370616e5f69640aa773657276696365c0a87265736f75726365a56368696c64a46e"
    "616d65a56368696c64a57374617274cf17979cfe362a0000a86475726174696f6e05"
)


def make_span(duration_ns: int = 5, **arguments: Any) -> Span:
    """Return a finished span that started at a fixed time."""
    start_ns = arguments.pop("start_ns", 1_700_000_000_000_000_000)
    span = Span(**{"name": "op", "trace_id": 7, "span_id": 9, **arguments})
    span.start_ns = start_ns
    span.duration_ns = duration_ns
    return span


def golden_spans() -> list[Span]:
    """The two spans of the golden vectors."""
    root = make_span(1000, service="svc", resource="res", span_type="web")
    root.error = 1
    root.set_tag("k", "v")
    root.set_metric("n", 1)
    root.set_metric("f", 0.5)
    return [root, make_span(name="child", span_id=10, parent_id=9)]


def decode(spans: list[Span]) -> Any:
    """Encode `spans` as one trace and decode them with msgpack."""
    return msgpack.unpackb(bytes(encode_trace(spans, "v0.4")))


def test_golden_vector() -> None:
    """Two known spans decode to the same payload as another tracer's bytes."""
    spans = golden_spans()
    [trace] = decode_payload(bytes(encode_trace(spans, "v0.4")), "v0.4")
    assert trace == [canonical(span) for span in msgpack.unpackb(GOLDEN)[0]]
    assert [trace] == payload_v04(spans)


def test_v04_is_the_default() -> None:
    """encode_trace without a version gives v0.4."""
    spans = golden_spans()
    assert bytes(encode_trace(spans)) == bytes(encode_trace(spans, "v0.4"))


def test_numbers_keep_their_kind() -> None:
    """An integer metric is an integer on the wire, a float metric a 64-bit float."""
    span = make_span()
    span.set_metric("int", 1)
    span.set_metric("float", 1.0)
    [[sent]] = decode([span])
    assert {key: type(value) for key, value in sent["metrics"].items()} == {
        "int": int,
        "float": float,
    }


@pytest.mark.parametrize("error", [1, 2, -1, 2**31 - 1, -(2**31)])
def test_any_error_is_one(error: int) -> None:
    """Every error value but 0 is 1 in v0.4."""
    span = make_span()
    span.error = error
    assert decode([span])[0][0]["error"] == 1


def test_what_is_not_there_is_left_out() -> None:
    """Keys without a value are left out: error, type, meta and metrics; a root's parent is 0."""
    [[sent]] = decode([make_span()])
    assert not {"error", "type", "meta", "metrics"} & set(sent)
    assert not sent.get("parent_id")


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_any_number_of_spans(count: int) -> None:
    """A trace may have any number of spans, on both sides of each msgpack array head."""
    spans = [make_span()] * count
    decoded = decode(spans)
    assert len(decoded) == 1
    assert len(decoded[0]) == count
    assert all(sent == decoded[0][0] for sent in decoded[0])


# The lengths where msgpack's head of a string changes, and a few around.
LENGTHS = [0, 1, 2, 7, 8, 9, 15, 16, 17, 30, 31, 32, 33, 63, 64, 254, 255, 256, 257, 1000, 24_999]
LENGTHS += [25_000]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("unit", ["x", "é", "€", "𝄞"], ids=["1", "2", "3", "4"])
def test_any_length_of_text(length: int, unit: str) -> None:
    """Texts of every length and width arrive unchanged in every place a text can have."""
    text = unit * length
    span = make_span(name=text, service=text, resource=text, span_type=text)
    span.set_tag("key", text)
    span.set_tag(text, "value")
    [[sent]] = decode([span])
    assert (sent["name"], sent["service"], sent["resource"]) == (text,) * 3
    assert sent.get("type", "") == text
    assert sent["meta"] == {"key": text, text: "value"}


@pytest.mark.parametrize("length", [25_001, 25_002, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("unit", ["x", "é", "𝄞"], ids=["1", "2", "4"])
def test_a_text_that_is_too_long_is_cut(length: int, unit: str) -> None:
    """A text of more than 25,000 characters is cut to 2,500, of which the last are a marker."""
    text = unit * length
    expected = unit * 2486 + "<truncated>..."
    assert len(expected) == 2500
    span = make_span(name=text, service=text, resource=text, span_type=text)
    span.set_tag("key", text)
    span.set_tag(text, "value")
    span.set_metric(unit + "-" + text, 1)
    [[sent]] = decode([span])
    assert (sent["name"], sent["service"], sent["resource"], sent["type"]) == (expected,) * 4
    assert sent["meta"] == {"key": expected, expected: "value"}
    assert sent["metrics"] == {unit + "-" + unit * 2484 + "<truncated>...": 1}


def test_thousands_of_types() -> None:
    """However many different types a process has seen, each span has its own, and keeps it."""
    code = """
        import msgpack
        from fasttrace import Span
        from fasttrace._span import encode_trace
        types = [f"type {i}" for i in range(10_000)] + ["web"]
        spans = [Span("op", span_type=one) for one in types]
        assert [span.span_type for span in spans] == types
        for version in ("v0.4", "v0.5"):
            encoded = bytes(encode_trace(spans, version))
            assert all(one.encode() in encoded for one in types), version
    """
    run_python(code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ud800", "\ufffd"),
        ("\udfff!", "\ufffd!"),
        ("a\ud800b", "a\ufffdb"),
        ("\udd1e\ud834", "\ufffd\ufffd"),
        ("\ud834\udd1e", "\U0001d11e"),
        ("é\udc80€", "é\ufffd€"),
        ("\udcff" * 100, "\ufffd" * 100),
    ],
    ids=ascii,
)
def test_lone_surrogates_are_replaced(text: str, expected: str) -> None:
    """A surrogate without its other half becomes U+FFFD, a pair becomes what it stands for."""
    span = make_span(name=text, service=text, resource=text, span_type=text)
    span.set_tag("key", text)
    span.set_tag(text, "value")
    span.set_metric(text + "m", 1)
    [[sent]] = decode([span])
    assert (sent["name"], sent["service"], sent["resource"], sent["type"]) == (expected,) * 4
    assert sent["meta"] == {"key": expected, expected: "value"}
    assert sent["metrics"] == {expected + "m": 1}


INTEGERS = [
    sign * (2**bits + offset)
    for bits in (0, 5, 7, 8, 15, 16, 31, 32, 53, 63)
    for offset in (-1, 0, 1)
    for sign in (1, -1)
    if -(2**63) <= sign * (2**bits + offset) < 2**63
]


@pytest.mark.parametrize("value", sorted(set(INTEGERS)))
def test_any_integer_metric(value: int) -> None:
    """Every 64-bit integer metric arrives exactly."""
    span = make_span()
    span.set_metric("key", value)
    assert decode([span])[0][0]["metrics"] == {"key": value}


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 0.1, 1e-300, 5e-324, 1.7976931348623157e308, math.pi, -math.e, 2.0**63]
)
def test_any_float_metric(value: float) -> None:
    """Every finite float metric arrives to the last bit."""
    span = make_span()
    span.set_metric("key", value)
    [[sent]] = decode([span])
    assert math.copysign(1, sent["metrics"]["key"]) == math.copysign(1, value)
    assert sent["metrics"]["key"] == value


@pytest.mark.parametrize("value", [1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_any_id(value: int) -> None:
    """Ids are unsigned 64-bit numbers; of a 128-bit trace id the low half is sent."""
    span = make_span(trace_id=(5 << 64) | value, span_id=value, parent_id=value)
    [[sent]] = decode([span])
    assert (sent["trace_id"], sent["span_id"], sent["parent_id"]) == (value, value, value)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**32, 2**62 - 1])
def test_any_time(value: int) -> None:
    """Start and duration may be anything up to what two of them together fit 63 bits."""
    span = make_span(duration_ns=value, start_ns=value)
    [[sent]] = decode([span])
    assert (sent["start"], sent["duration"]) == (value, value)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 256, 10_000])
def test_any_number_of_tags(count: int) -> None:
    """Any number of tags and metrics fits, on both sides of each msgpack map head."""
    span = make_span()
    tags = {f"t{i}": str(i) for i in range(count)}
    metrics = {f"m{i}": i for i in range(count)}
    span.set_tags(tags)
    span.set_metrics(metrics)
    [[sent]] = decode([span])
    assert sent.get("meta", {}) == tags
    assert sent.get("metrics", {}) == metrics


def test_encoding_does_not_change_the_span() -> None:
    """Encoding the same spans again gives the same bytes."""
    spans = golden_spans()
    assert bytes(encode_trace(spans, "v0.4")) == bytes(encode_trace(spans, "v0.4"))
    assert spans[0].get_tags() == {"k": "v"}
