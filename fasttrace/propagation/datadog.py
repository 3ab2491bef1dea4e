"""The style `datadog`: headers x-datadog-* (ddtrace 4.16).

| header | content |
|---|---|
| x-datadog-trace-id | low 64 bits of the trace id, decimal |
| x-datadog-parent-id | span id, decimal |
| x-datadog-sampling-priority | sampling priority, if there is one |
| x-datadog-origin | origin, if there is one |
| x-datadog-tags | propagated tags `_dd.p.*`, `key=value` joined by commas |

The high 64 bits of the trace id are the tag `_dd.p.tid`, 16 hex digits.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace.propagation.found import Found
from fasttrace.propagation.text import (
    HEX_LOWER,
    decimal_id,
    is_decision_maker,
    is_printable,
    printable,
)
from fasttrace.propagation.text import priority as parse_priority

TRACE_ID = "x-datadog-trace-id"
PARENT_ID = "x-datadog-parent-id"
PRIORITY = "x-datadog-sampling-priority"
ORIGIN = "x-datadog-origin"
TAGS = "x-datadog-tags"

HIGH_ID = "_dd.p.tid"
DECISION_MAKER = "_dd.p.dm"
PROPAGATED = "_dd.p."
ERROR = "_dd.propagation_error"

TAGS_READ_MAX_CHARS = 512  # of x-datadog-tags when it is read, whatever is configured for writing
ORIGIN_MAX_CHARS = 256  # a longer one is no origin; it would be on every span
_NOT_PROPAGATED = "_dd.p.upstream_services"  # of tracers before `_dd.p.dm`


def extract(headers: dict[str, str], wide_ids: bool) -> Found | None:
    """What x-datadog-* headers say, None if they are missing or not usable.

    With `wide_ids` off, `_dd.p.tid` stays a tag and the trace id is the low 64 bits.
    """
    trace_text = headers.get(TRACE_ID)
    if trace_text is None:
        return None
    trace_id = decimal_id(trace_text)
    if not trace_id:
        _log.debug("x-datadog-trace-id is no number from 1 to 2^64-1: ignored")
        return None
    span_text = headers.get(PARENT_ID, "0")
    span_id = decimal_id(span_text)
    if span_id is None and span_text[:1] == "-" and decimal_id(span_text[1:]) is not None:
        span_id = 0  # as ddtrace: what a program made of a missing parent
    if span_id is None:
        _log.debug("x-datadog-parent-id is no number from 0 to 2^64-1: headers ignored")
        return None
    priority = None
    priority_text = headers.get(PRIORITY)
    if priority_text is not None:
        priority = parse_priority(priority_text)
        if priority is None:
            _log.debug("x-datadog-sampling-priority is no number: headers ignored")
            return None
    origin: str | None = headers.get(ORIGIN, "")
    if not origin or len(origin) > ORIGIN_MAX_CHARS or not is_printable(origin):
        origin = None
    tags_text = headers.get(TAGS)
    meta = read_tags(tags_text) if tags_text else {}
    high = meta.get(HIGH_ID)
    if high is not None:
        if not is_high_id(high):
            del meta[HIGH_ID]
            meta[ERROR] = f"malformed_tid {high}"
        elif wide_ids:
            trace_id |= int(high, 16) << 64
    if DECISION_MAKER in meta and not is_decision_maker(meta[DECISION_MAKER]):
        del meta[DECISION_MAKER]
        meta[ERROR] = "decoding_error"
    return Found("datadog", trace_id, span_id or None, priority, origin, meta)


def is_high_id(text: str) -> bool:
    """Whether `text` is the high half of a trace id: 16 lower-case hex digits, not all zero."""
    return len(text) == 16 and not text.strip(HEX_LOWER) and text != "0000000000000000"


def read_tags(text: str) -> dict[str, str]:
    """The propagated tags in a value of x-datadog-tags, or the error tag that says why not."""
    if len(text) > TAGS_READ_MAX_CHARS:
        _log.debug("x-datadog-tags is too long: ignored")
        return {ERROR: "extract_max_size"}
    tags: dict[str, str] = {}
    usable = is_printable(text)
    for part in text.removesuffix(",").split(","):
        key, _, value = part.partition("=")
        value = value.strip()
        if not key or not value or " " in key:
            usable = False
            break
        if key.startswith(PROPAGATED) and key != _NOT_PROPAGATED:
            tags[key] = value
    if not usable:
        _log.debug("x-datadog-tags is malformed: ignored")
        return {ERROR: "decoding_error"}
    return tags


def write_tags(tags: dict[str, str], max_chars: int) -> tuple[str, str | None]:
    """The value of x-datadog-tags for `tags` ("" for none), and the error or None."""
    parts: list[str] = []
    for key, value in tags.items():
        if not key.startswith(PROPAGATED):
            continue
        value = value.strip()
        if not value or "," in value or not is_printable(value):
            return "", "encoding_error"
        if "," in key or "=" in key or " " in key or not is_printable(key):
            return "", "encoding_error"
        parts.append(f"{key}={value}")
    text = ",".join(parts)
    return ("", "inject_max_size") if len(text) > max_chars else (text, None)


def inject(
    headers: dict[str, str],
    trace_id: int,
    span_id: int,
    priority: int | None,
    origin: str | None,
    meta: dict[str, str],
    max_chars: int,
) -> str | None:
    """Add x-datadog-* to `headers`.

    Args:
        headers: what is going to be sent.
        trace_id, span_id, priority, origin: of the context.
        meta: its propagated tags, `_dd.p.tid` included where the trace id has more than 64 bits.
        max_chars: longest x-datadog-tags; 0: none.

    Returns:
        The value of `_dd.propagation_error` the trace has from now on, None if nothing is wrong.

    """
    headers[TRACE_ID] = str(trace_id & 0xFFFFFFFFFFFFFFFF)
    headers[PARENT_ID] = str(span_id)
    if priority is not None:
        headers[PRIORITY] = str(priority)
    if origin is not None:
        headers[ORIGIN] = printable(origin)
    if max_chars <= 0:
        return "disabled"
    if ERROR in meta:
        return None
    text, error = write_tags(meta, max_chars)
    if text:
        headers[TAGS] = text
    if error is not None:
        _log.warn("propagation tags", f"x-datadog-tags is not sent: {error}")
    return error
