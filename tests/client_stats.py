"""Reading what the tracer has counted, as the agent does."""

from __future__ import annotations

import msgpack

SECOND = 1_000_000_000
#: rules that reject some traces
REJECT = [{"name": "rejected*", "sample_rate": 0}]


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
