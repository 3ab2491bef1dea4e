"""The styles `b3` (one header) and `b3multi` (X-B3-*), after openzipkin's B3 propagation.

Ids are hex, a trace id has 32 digits if it needs more than 16. Sampled `0`, `1` and debug (`d`, or
X-B3-Flags `1`) are the sampling priorities 0, 1 and 2; no sign at all: the next service decides.
"""

from __future__ import annotations

from fasttrace.propagation.found import Found
from fasttrace.propagation.text import SPAN_ID_MAX, hex_id

SINGLE = "b3"
TRACE_ID = "x-b3-traceid"
SPAN_ID = "x-b3-spanid"
SAMPLED = "x-b3-sampled"
FLAGS = "x-b3-flags"

_PRIORITIES = {"0": 0, "1": 1, "d": 2}
_SINGLE_MAX_CHARS = 128  # 32 + 16 + 1 + 16 digits and their hyphens, and room for later fields


def extract_single(headers: dict[str, str]) -> Found | None:
    """What the header b3 says: `trace-span`, `trace-span-sampled[-parent]` or only `sampled`."""
    text = headers.get(SINGLE)
    if not text or len(text) > _SINGLE_MAX_CHARS:
        return None
    parts = text.strip().split("-")
    if len(parts) == 1:
        priority = _PRIORITIES.get(parts[0])
        return None if priority is None else Found("b3", None, None, priority)
    priority = _PRIORITIES.get(parts[2]) if len(parts) > 2 else None
    return _found("b3", parts[0], parts[1], priority)


def extract_multi(headers: dict[str, str]) -> Found | None:
    """What the headers X-B3-* say; None without a trace id."""
    trace_text = headers.get(TRACE_ID)
    if trace_text is None:
        return None
    sampled = headers.get(SAMPLED)
    priority = _PRIORITIES.get(sampled) if sampled in ("0", "1") else None
    if headers.get(FLAGS) == "1":
        priority = 2
    return _found("b3multi", trace_text, headers.get(SPAN_ID), priority)


def _found(
    style: str, trace_text: str, span_text: str | None, priority: int | None
) -> Found | None:
    trace_id = hex_id(trace_text, 32)
    span_id = 0 if span_text is None else hex_id(span_text, 16)
    if not trace_id or not trace_id & SPAN_ID_MAX or span_id is None:
        return None  # an agent drops traces whose low half is 0
    return Found(style, trace_id, span_id or None, priority)


def _trace_text(trace_id: int) -> str:
    return f"{trace_id:032x}" if trace_id > SPAN_ID_MAX else f"{trace_id:016x}"


def inject_single(
    headers: dict[str, str], trace_id: int, span_id: int, priority: int | None
) -> None:
    """Add the header b3 to `headers`."""
    text = f"{_trace_text(trace_id)}-{span_id:016x}"
    if priority is not None:
        text += "-0" if priority <= 0 else "-1" if priority == 1 else "-d"
    headers[SINGLE] = text


def inject_multi(
    headers: dict[str, str], trace_id: int, span_id: int, priority: int | None
) -> None:
    """Add the headers X-B3-* to `headers`."""
    headers[TRACE_ID] = _trace_text(trace_id)
    headers[SPAN_ID] = f"{span_id:016x}"
    if priority is not None:
        if priority > 1:
            headers[FLAGS] = "1"
        else:
            headers[SAMPLED] = "1" if priority == 1 else "0"
