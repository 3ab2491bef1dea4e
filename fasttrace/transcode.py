"""Turning a v0.5 payload into v0.4 bodies, for an agent that has refused v0.5.

Works through the payload trace by trace, so that it needs little more memory than the result. A
v0.5 payload is smaller than the same traces in v0.4; the result may be several bodies, each within
the size an agent accepts.
"""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ARRAY32 = 0xDD
_HEAD_BYTES = 5


class Body:
    """One v0.4 request body.

    * data: the encoded traces
    * trace_count, span_count: how many of each it holds
    """

    __slots__ = ("data", "span_count", "trace_count")

    def __init__(self) -> None:
        self.data = bytearray(_HEAD_BYTES)
        self.trace_count = 0
        self.span_count = 0

    def add(self, trace: bytes, span_count: int) -> None:
        """Append one encoded trace."""
        self.data += trace
        self.trace_count += 1
        self.span_count += span_count

    def finish(self) -> Body:
        """Write the header of the array of traces, and return the body."""
        self.data[:_HEAD_BYTES] = bytes((_ARRAY32,)) + self.trace_count.to_bytes(4, "big")
        return self


def v05_to_v04(payload: bytes, max_bytes: int) -> list[Body]:
    """Return the traces of a v0.5 `payload` as v0.4 bodies of at most `max_bytes` each.

    A single trace that is larger has a body of its own. Raises ValueError (msgpack's errors are
    such) or another exception if `payload` is no v0.5 payload.
    """
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(len(payload), 1), strict_map_key=False, unicode_errors="replace"
    )
    unpacker.feed(payload)
    if unpacker.read_array_header() != 2:
        raise ValueError("a v0.5 payload is an array of two")
    strings: list[str] = unpacker.unpack()
    packer = msgpack.Packer()
    bodies = [Body()]
    for _ in range(unpacker.read_array_header()):
        spans = [_span(fields, strings) for fields in unpacker.unpack()]
        trace: bytes = packer.pack(spans)
        if bodies[-1].trace_count and len(bodies[-1].data) + len(trace) > max_bytes:
            bodies.append(Body())
        bodies[-1].add(trace, len(spans))
    return [body.finish() for body in bodies if body.trace_count]


def _span(fields: list[Any], strings: list[str]) -> dict[str, Any]:
    """Return the v0.4 map of one v0.5 span; what v0.4 leaves out when empty is left out."""
    service, name, resource, trace_id, span_id, parent_id, start_ns = fields[:7]
    duration_ns, error, meta, metrics, span_type = fields[7:12]
    span: dict[str, Any] = {
        "service": strings[service],
        "name": strings[name],
        "resource": strings[resource],
        "trace_id": trace_id,
        "span_id": span_id,
        "start": start_ns,
        "duration": duration_ns,
    }
    if parent_id:
        span["parent_id"] = parent_id
    if error:
        span["error"] = error
    if meta:
        span["meta"] = {strings[key]: strings[value] for key, value in meta.items()}
    if metrics:
        span["metrics"] = {strings[key]: value for key, value in metrics.items()}
    if span_type:
        span["type"] = strings[span_type]
    return span
