"""The v0.5 encoder: the golden vector and the string table, byte for byte."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from reference import decode_payload, payload_v04, payload_v05
from test_encoder_v04 import golden_spans, make_span

from fasttrace import Span
from fasttrace._span import encode_trace

# Two spans as another tracer of the same protocol encodes them.
GOLDEN = bytes.fromhex(
    "929ba0aa5f64642e6f726967696ea3737663a26f70a3726573a16ba176a16ea166a3776562a56368696c6491929c02"
    "0304070900cf17979cfe362a0000cd03e80181050682070108cb3fe0000000000000099c000a0a070a09cf17979cfe"
    "362a00000500808000"
)


def encode(spans: list[Span]) -> bytes:
    """Encode `spans` as one v0.5 trace."""
    return bytes(encode_trace(spans, "v0.5"))


def test_golden_vector() -> None:
    """Two known spans give exactly another tracer's bytes."""
    assert encode(golden_spans()).hex() == GOLDEN.hex()
    assert payload_v05(golden_spans()).hex() == GOLDEN.hex()


def test_both_versions_say_the_same() -> None:
    """Decoded to one shape, v0.4 and v0.5 payloads of the same spans are equal."""
    spans = golden_spans()
    assert decode_payload(encode(spans), "v0.5") == payload_v04(spans)


def test_the_table_has_every_string_once() -> None:
    """Equal strings have one index, however many objects they are and wherever they stand."""
    spans = []
    for i in range(100):
        span = make_span(name="".join(["sa", "me"]), service="".join(["s", "ame"]), span_id=i + 1)
        span.set_tag("".join(["sam", "e"]), "".join(["", "same"]))
        span.set_tag("other", "".join(["ot", "her"]))
        spans.append(span)
    body = encode(spans)
    strings, _ = msgpack.unpackb(body, strict_map_key=False)
    assert strings == ["", "_dd.origin", "same", "other"]
    assert body == payload_v05(spans)


def test_empty_and_missing_strings_are_index_zero() -> None:
    """None and "" both are index 0, the empty string."""
    span = make_span(name="", service=None, resource="", span_type=None)
    span.set_tag("", "")
    [[[service, name, resource, *_, meta, _, span_type]]] = msgpack.unpackb(
        encode([span]), strict_map_key=False
    )[1]
    assert (service, name, resource, span_type, meta) == (0, 0, 0, 0, {0: 0})


def test_origin_is_index_one() -> None:
    """The string that is reserved in the table is used by a tag of that name."""
    span = make_span()
    span.set_tag("_dd.origin", "rum")
    strings, [[fields]] = msgpack.unpackb(encode([span]), strict_map_key=False)
    assert {strings[key]: strings[value] for key, value in fields[9].items()} == {
        "_dd.origin": "rum"
    }
    assert 1 in fields[9]


@pytest.mark.parametrize("error", [0, 1, 2, 127, 128, -1, -32, -33, 2**31 - 1, -(2**31)])
def test_error_is_sent_as_it_is(error: int) -> None:
    """Unlike v0.4, v0.5 sends the value of span.error."""
    span = make_span()
    span.error = error
    assert encode([span]) == payload_v05([span])
    assert msgpack.unpackb(encode([span]), strict_map_key=False)[1][0][0][8] == error


@pytest.mark.parametrize("count", [1, 15, 16, 17, 127, 128, 255, 256, 65_535, 65_536, 70_000])
def test_any_number_of_different_strings(count: int) -> None:
    """Indices and the table's head take the right form on both sides of every boundary."""
    spans = []
    for i in range(0, count, 100):
        span = make_span(span_id=i + 1)
        for j in range(i, min(i + 100, count)):
            span.set_tag(f"key{j}", "value")
        spans.append(span)
    assert encode(spans) == payload_v05(spans)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_any_number_of_spans(count: int) -> None:
    """A trace may have any number of spans, on both sides of each msgpack array head."""
    spans = [make_span()] * count
    body = encode(spans)
    head, tail = payload_v05([]), payload_v05(spans[:1])
    assert body.endswith(tail[-20:] if count else head[-1:])
    assert [len(trace) for trace in decode_payload(body, "v0.5")] == [count]


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 24_999, 25_000, 25_001, 65_536])
@pytest.mark.parametrize("unit", ["x", "é", "𝄞", "\ud800"], ids=["1", "2", "4", "surrogate"])
def test_any_length_of_text(length: int, unit: str) -> None:
    """Texts of every length and width are exactly as the reference has them."""
    text = unit * length
    span = make_span(name=text, service=text, resource=f"{text}r", span_type=f"{text}t")
    span.set_tag("key", f"{text}v")
    span.set_tag(f"{text}k", "value")
    span.set_metric(f"{text}m", 1)
    assert encode([span]) == payload_v05([span])


NUMBERS: list[Any] = [0, 1, -1, 127, 128, -32, -33, -128, -129, 255, 256, 2**15, -(2**15), 2**16]
NUMBERS += [2**31, -(2**31), -(2**31) - 1, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, -(2**63)]
NUMBERS += [0.0, -0.0, 0.5, -1.25, 5e-324, 1.7976931348623157e308]


@pytest.mark.parametrize("value", NUMBERS)
def test_any_number(value: float) -> None:
    """Integers take msgpack's shortest form, floats 64 bits."""
    span = make_span()
    span.set_metric("key", value)
    assert encode([span]) == payload_v05([span])


@pytest.mark.parametrize("value", [1, 127, 128, 2**16, 2**32, 2**63, 2**64 - 1])
def test_any_id_and_time(value: int) -> None:
    """Ids and times take msgpack's shortest form of an unsigned number."""
    time_ns = min(value, 2**62 - 1)
    span = make_span(
        trace_id=(9 << 64) | value,
        span_id=value,
        parent_id=value,
        start_ns=time_ns,
        duration_ns=time_ns,
    )
    assert encode([span]) == payload_v05([span])
