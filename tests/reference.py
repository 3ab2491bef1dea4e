"""The slow, obvious encoder: what the compiled ones are compared with.

Written from the description of the wire formats; it reads a span only through public attributes.
For v0.4 it gives the structure a decoder must see, for v0.5 also the exact bytes: msgpack's
shortest form of every value, and the strings of the table in the order of their first use (span by
span: service, name, resource, meta keys and values, metric keys, type) after the two that are
always there.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

import msgpack

UINT64_MASK = 2**64 - 1
#: Longer strings are shortened ...
MAX_STRING_CHARS = 25_000
#: ... to this many characters, of which the last are the marker.
SHORTENED_CHARS = 2_500
SHORTENED_MARKER = "<truncated>..."


def wire_text(text: str) -> str:
    """Return `text` as the agent must receive it.

    Shortened if it is too long; surrogate pairs joined, lone surrogates replaced by U+FFFD.
    """
    if len(text) > MAX_STRING_CHARS:
        text = text[: SHORTENED_CHARS - len(SHORTENED_MARKER)] + SHORTENED_MARKER
    out: list[str] = []
    for char in text:
        if out and "\ud800" <= out[-1] <= "\udbff" and "\udc00" <= char <= "\udfff":
            out[-1] = chr(0x10000 + ((ord(out[-1]) - 0xD800) << 10) + ord(char) - 0xDC00)
        else:
            out.append(char)
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in out)


# -- v0.4 ------------------------------------------------------------------------------------------


def span_v04(span: Any) -> dict[str, Any]:
    """Return one span as a v0.4 decoder must see it, in the form of `canonical`."""
    return canonical(
        {
            "trace_id": span.trace_id & UINT64_MASK,
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "service": wire_text(span.service or ""),
            "resource": wire_text(span.resource or ""),
            "name": wire_text(span.name or ""),
            "type": wire_text(span.span_type or ""),
            "start": span.start_ns,
            "duration": span.duration_ns or 0,
            "error": 1 if span.error else 0,
            "meta": {wire_text(key): wire_text(text) for key, text in span.get_tags().items()},
            "metrics": {wire_text(key): value for key, value in span.get_metrics().items()},
        }
    )


def canonical(span: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded span without the differences that every receiver reads alike.

    A parent id of 0 is the same as none, an empty text as nil, an empty map or error 0 as a key
    that is left out.
    """
    plain = {key: value for key, value in span.items() if value not in (None, 0, "", {})}
    return {"service": None, "resource": None, "start": 0, "duration": 0, "name": "", **plain}


def payload_v04(spans: Iterable[Any]) -> list[list[dict[str, Any]]]:
    """Return a one-trace v0.4 payload as a decoder must see it."""
    return [[span_v04(span) for span in spans]]


# -- v0.5 ------------------------------------------------------------------------------------------


def pack_int(value: int) -> bytes:
    """Return msgpack's shortest form of an integer of the range -2**63 .. 2**64-1."""
    if value >= 0:
        if value < 2**7:
            return struct.pack(">B", value)
        for code, form, bits in (
            (0xCC, ">BB", 8),
            (0xCD, ">BH", 16),
            (0xCE, ">BI", 32),
            (0xCF, ">BQ", 64),
        ):
            if value < 2**bits:
                return struct.pack(form, code, value)
    else:
        if value >= -(2**5):
            return struct.pack(">b", value)
        for code, form, bits in (
            (0xD0, ">Bb", 8),
            (0xD1, ">Bh", 16),
            (0xD2, ">Bi", 32),
            (0xD3, ">Bq", 64),
        ):
            if value >= -(2 ** (bits - 1)):
                return struct.pack(form, code, value)
    raise OverflowError(value)


def pack_number(value: float) -> bytes:
    """Return the msgpack form of a metric: int as an integer, float as a 64-bit float."""
    return pack_int(value) if isinstance(value, int) else struct.pack(">Bd", 0xCB, value)


def _pack_head(
    length: int, fix_code: int, fix_below: int, code_8: int | None, code_16: int, code_32: int
) -> bytes:
    if length < fix_below:
        return struct.pack(">B", fix_code | length)
    if code_8 is not None and length < 2**8:
        return struct.pack(">BB", code_8, length)
    if length < 2**16:
        return struct.pack(">BH", code_16, length)
    return struct.pack(">BI", code_32, length)


def pack_str(text: str) -> bytes:
    """Return the msgpack form of a text."""
    data = text.encode("utf-8")
    return _pack_head(len(data), 0xA0, 32, 0xD9, 0xDA, 0xDB) + data


def pack_array_head(length: int) -> bytes:
    """Return the msgpack head of an array of `length` items."""
    return _pack_head(length, 0x90, 16, None, 0xDC, 0xDD)


def pack_map_head(length: int) -> bytes:
    """Return the msgpack head of a map of `length` pairs."""
    return _pack_head(length, 0x80, 16, None, 0xDE, 0xDF)


class StringTable:
    """The strings of one v0.5 payload; a string's index is its place in the order of first use.

    Two strings that differ only in what becomes U+FFFD have a place each.
    """

    def __init__(self) -> None:
        self._index = {"": 0, "_dd.origin": 1}

    def add(self, text: str | None) -> bytes:
        """Return the packed index of `text`, adding it if it is new. None is the empty string."""
        return pack_int(self._index.setdefault(text or "", len(self._index)))

    def pack(self) -> bytes:
        """Return the table as a msgpack array."""
        packed = [pack_str(wire_text(text)) for text in self._index]
        return pack_array_head(len(packed)) + b"".join(packed)


def span_v05(span: Any, strings: StringTable) -> bytes:
    """Return the exact bytes of one v0.5 span."""
    parts = [
        pack_array_head(12),
        strings.add(span.service),
        strings.add(span.name),
        strings.add(span.resource),
        pack_int(span.trace_id & UINT64_MASK),
        pack_int(span.span_id),
        pack_int(span.parent_id or 0),
        pack_int(span.start_ns),
        pack_int(span.duration_ns or 0),
        pack_int(span.error),
    ]
    meta, metrics = span.get_tags(), span.get_metrics()
    parts.append(pack_map_head(len(meta)))
    for key, text in meta.items():
        parts += [strings.add(key), strings.add(text)]
    parts.append(pack_map_head(len(metrics)))
    for key, value in metrics.items():
        parts += [strings.add(key), pack_number(value)]
    parts.append(strings.add(span.span_type))
    return b"".join(parts)


def payload_v05(spans: Iterable[Any]) -> bytes:
    """Return the exact bytes of a one-trace v0.5 payload."""
    strings = StringTable()
    encoded = [span_v05(span, strings) for span in spans]
    return (
        pack_array_head(2)
        + strings.pack()
        + pack_array_head(1)
        + pack_array_head(len(encoded))
        + b"".join(encoded)
    )


# -- decoding --------------------------------------------------------------------------------------


def decode_payload(body: bytes, api_version: str) -> list[list[dict[str, Any]]]:
    """Decode a payload of either version: a list of traces of spans in the form of `canonical`.

    Strict as the strictest receiver: text must be valid UTF-8, every table index must exist, a
    v0.5 span has 12 fields.
    """
    decoded = msgpack.unpackb(body, raw=False, strict_map_key=False)
    if api_version == "v0.4":
        return [[canonical(span) for span in trace] for trace in decoded]
    assert api_version == "v0.5", api_version
    strings, traces = decoded
    assert strings[0] == "", "index 0 of the string table must be the empty string"
    return [[_span_from_v05(fields, strings) for fields in trace] for trace in traces]


def _span_from_v05(fields: list[Any], strings: list[str]) -> dict[str, Any]:
    assert len(fields) == 12, f"{len(fields)} fields"
    (
        service,
        name,
        resource,
        trace_id,
        span_id,
        parent_id,
        start,
        duration,
        error,
        meta,
        metrics,
        span_type,
    ) = fields
    assert all(math.isfinite(value) for value in metrics.values())
    return canonical(
        {
            "trace_id": trace_id,
            "span_id": span_id,
            "parent_id": parent_id,
            "service": strings[service],
            "resource": strings[resource],
            "name": strings[name],
            "type": strings[span_type],
            "start": start,
            "duration": duration,
            "error": error,
            "meta": {strings[key]: strings[value] for key, value in meta.items()},
            "metrics": {strings[key]: value for key, value in metrics.items()},
        }
    )
