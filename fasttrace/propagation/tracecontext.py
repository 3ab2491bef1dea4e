"""The style `tracecontext`: traceparent and tracestate (W3C Trace Context, ddtrace 4.16).

Datadog's own data is the member `dd=` of tracestate, fields separated by `;`:

| field | content |
|---|---|
| p | id of the last Datadog span, 16 hex digits |
| s | sampling priority |
| o | origin |
| t.<name> | propagated tag `_dd.p.<name>` |

Members of other vendors are passed on in their order. Sizes are bounded as in ddtrace 4.16: `dd=`
by 256 characters, all together by 32 members and 512 bytes, where members longer than 128
characters go first.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace.propagation.datadog import (
    DECISION_MAKER,
    HIGH_ID,
    ORIGIN_MAX_CHARS,
    PROPAGATED,
)
from fasttrace.propagation.found import Found
from fasttrace.propagation.text import HEX_LOWER, SPAN_ID_MAX, is_decision_maker, is_printable
from fasttrace.propagation.text import priority as parse_priority

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fasttrace._span import Context

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

MEMBERS_MAX = 32
MEMBERS_MAX_BYTES = 512
MEMBER_FIRST_OUT_CHARS = 128  # longer members go first
DD_MEMBER_MAX_CHARS = 256
_DD_RESERVED_CHARS = len("dd=") + len("p:0123456789abcdef;")
_READ_MAX_CHARS = 8192  # more of a tracestate is not read
_USER_ID = "_dd.p.usr.id"
_OWN_MEMBERS = ("dd=", "ot=")  # survive the limits; ot= is OpenTelemetry's probability sampling

_SAMPLED = 1
_RANDOM = 2  # the trace id is random (W3C level 2); passed on, other flags are not


# -- reading ---------------------------------------------------------------------------------------


def parse_traceparent(text: str) -> tuple[int, int, int] | None:
    """Trace id, span id and flags of a traceparent, or None if it is not valid.

    Lower-case hex only. Later versions than 00 may have more fields, which are not read.
    """
    if len(text) > 55:
        text = text.strip()
    head = text[:55]
    if len(head) < 55 or head[2] != "-" or head[35] != "-" or head[52] != "-":
        return None
    version, trace_text, span_text, flags_text = head[:2], head[3:35], head[36:52], head[53:]
    if (version + trace_text + span_text + flags_text).strip(HEX_LOWER) or version == "ff":
        return None
    if len(text) > 55 and (version == "00" or text[55] != "-" or len(text) == 56):
        return None
    trace_id, span_id = int(trace_text, 16), int(span_text, 16)
    if not trace_id & SPAN_ID_MAX or not span_id:  # an agent drops traces whose low half is 0
        return None
    return trace_id, span_id, int(flags_text, 16)


def extract(headers: dict[str, str]) -> Found | None:
    """What traceparent and tracestate say, None without a valid traceparent."""
    parent = headers.get(TRACEPARENT)
    if parent is None:
        return None
    parsed = parse_traceparent(parent)
    if parsed is None:
        _log.debug("traceparent is not valid: ignored")
        return None
    trace_id, span_id, flags = parsed
    found = Found("tracecontext", trace_id, span_id, flags & _SAMPLED)
    if flags & _RANDOM:
        found.traceparent = parent.strip()[:55]
    state = headers.get(TRACESTATE)
    if state:
        read_state(found, state)
    return found


def read_state(found: Found, text: str) -> None:
    """Complete `found` with what a tracestate says."""
    if len(text) > _READ_MAX_CHARS:
        text = text[:_READ_MAX_CHARS].rpartition(",")[0]
    members = limited([part.strip() for part in text.split(",")])
    text = ",".join(members)
    if not text or not is_printable(text):
        return
    found.tracestate = text
    fields = _dd_fields(members)
    if fields is None:
        return
    priority = None
    if "s" in fields:
        priority = parse_priority(fields["s"])
        if priority is None:
            return
    origin = fields.get("o", "").replace("~", "=")
    if origin and len(origin) <= ORIGIN_MAX_CHARS:
        found.origin = origin
    last_parent = fields.get("p", "")
    if len(last_parent) == 16 and not last_parent.strip(HEX_LOWER):
        found.last_parent = last_parent
    _read_tags(found, fields)
    found.priority = _combined(found.priority == 1, priority, found.origin)


def _dd_fields(members: list[str]) -> dict[str, str] | None:
    """The fields of the member dd=, None if there is none or it is malformed."""
    if not members or not members[0].startswith("dd="):
        return None
    fields: dict[str, str] = {}
    for field in members[0][3:].split(";"):
        key, separator, value = field.partition(":")
        if not separator:
            return None
        fields[key] = value
    return fields


def _read_tags(found: Found, fields: dict[str, str]) -> None:
    """Take over propagated tags that can be sent on and do not contradict the trace id."""
    for key, value in fields.items():
        if not key.startswith("t.") or len(key) == 2 or " " in key or "=" in key:
            continue
        name = PROPAGATED + key[2:]
        value = value.replace("~", "=")
        if not value.strip() or (name == DECISION_MAKER and not is_decision_maker(value)):
            continue
        if name == HIGH_ID and value != f"{(found.trace_id or 0) >> 64:016x}":
            continue
        found.meta[name] = value


def _combined(sampled: bool, priority: int | None, origin: str | None) -> int | None:
    """The sampling priority that the flag of traceparent and `s` of tracestate make together.

    The flag says whether to keep; `s`, if it agrees, says how surely. The browser's tracer (origin
    rum) sets a flag without having decided: then `s` alone counts.
    """
    if origin == "rum" and not priority:
        return priority
    if sampled:
        return priority if priority is not None and priority > 0 else 1
    return priority if priority is not None and priority < 0 else 0


def limited(members: Iterable[str]) -> list[str]:
    """Non-empty members within the limits, the last dd= and ot= in front."""
    own: dict[str, str] = {}
    others: list[str] = []
    for member in members:
        prefix = member[:3]
        if prefix in _OWN_MEMBERS:
            own[prefix] = member
        elif member:
            others.append(member)
    kept = [own[prefix] for prefix in _OWN_MEMBERS if prefix in own]
    own_count = len(kept)
    excess = len(others) + own_count - MEMBERS_MAX
    if excess > 0:
        others = _without_long(others, excess)[: MEMBERS_MAX - own_count]
    room = MEMBERS_MAX_BYTES + 1 - sum(len(member) + 1 for member in kept)
    if own_count == 2 and room < 0:
        return kept[:1]
    for member in others:
        if len(member) + 1 <= room:
            kept.append(member)
            room -= len(member) + 1
        elif len(member) <= MEMBER_FIRST_OUT_CHARS:
            break
    return kept


def _without_long(members: list[str], excess: int) -> list[str]:
    """`members` without the first `excess` long ones."""
    kept: list[str] = []
    for member in members:
        if excess and len(member) > MEMBER_FIRST_OUT_CHARS:
            excess -= 1
        else:
            kept.append(member)
    return kept


# -- writing ---------------------------------------------------------------------------------------


def _encode_value(text: str) -> str:
    """A value of dd=: what has a meaning there is replaced, `=` is written as `~`."""
    return _without(text, ",;~").replace("=", "~")


def _encode_key(text: str) -> str:
    """A key of dd=: the same, and no `:` either, which ends it."""
    return _without(text, ", =;:")


def _without(text: str, special: str) -> str:
    """`text` with each special character, and each run of unprintable ones, made `_`."""
    if not is_printable(text):
        kept: list[str] = []
        for char in text:
            if " " <= char <= "~":
                kept.append(char)
            elif kept[-1:] != ["\0"]:
                kept.append("\0")
        text = "".join(kept).replace("\0", "_")
    for char in special:
        if char in text:
            text = text.replace(char, "_")
    return text


def dd_member(priority: int | None, origin: str | None, meta: dict[str, str]) -> str:
    """The fields of dd= but `p`; tags that would make it too long are left out."""
    fields: list[str] = []
    if priority is not None:
        fields.append(f"s:{priority}")
    if origin:
        fields.append(f"o:{_encode_value(origin)}")
    room = DD_MEMBER_MAX_CHARS + 1 - _DD_RESERVED_CHARS - sum(len(field) + 1 for field in fields)
    decision_maker, user_id = meta.get(DECISION_MAKER), meta.get(_USER_ID)
    if decision_maker:
        room -= _add(fields, room, f"t.dm:{_encode_value(decision_maker)}")
    if user_id:
        room -= _add(fields, room, f"t.usr.id:{_encode_value(user_id)}")
    for key, value in meta.items():
        if key.startswith(PROPAGATED) and key != DECISION_MAKER and key != _USER_ID:
            room -= _add(fields, room, f"t.{_encode_key(key[6:])}:{_encode_value(value)}")
    return ";".join(fields)


def _add(fields: list[str], room: int, field: str) -> int:
    """Add `field` if it fits; return the characters it takes."""
    if len(field) + 1 > room:
        return 0
    fields.append(field)
    return len(field) + 1


def inject(
    headers: dict[str, str],
    trace_id: int,
    span_id: int,
    priority: int | None,
    origin: str | None,
    meta: dict[str, str],
    last_parent: str | None,
) -> None:
    """Add traceparent and tracestate to `headers`.

    Args:
        headers: what is going to be sent.
        trace_id, span_id, priority, origin: of the context.
        meta: its propagated tags, and `traceparent` and `tracestate` as they were received.
        last_parent: id of the last Datadog span, 16 hex digits; None where there is none.

    """
    flags = _SAMPLED if priority is not None and priority > 0 else 0
    if TRACEPARENT in meta:
        received = parse_traceparent(meta[TRACEPARENT])
        if received is not None and received[0] == trace_id:
            flags |= received[2] & _RANDOM
    headers[TRACEPARENT] = f"00-{trace_id:032x}-{span_id:016x}-0{flags}"
    headers[TRACESTATE] = write_state(priority, origin, meta, last_parent)


def write_state(
    priority: int | None, origin: str | None, meta: dict[str, str], last_parent: str | None
) -> str:
    """The value of tracestate; arguments as for `inject`."""
    own = dd_member(priority, origin, meta)
    others: list[str] = []
    received = meta.get(TRACESTATE)
    if received and is_printable(received):
        others = [member for member in received.split(",") if not member.startswith("dd=")]
        # p: is not counted, so that a span never costs another vendor's member.
        others = limited([f"dd={own}", *others])[1:] if own else limited(others)
    if last_parent is not None:
        own = f"p:{last_parent};{own}" if own else f"p:{last_parent}"
    return ",".join([f"dd={own.rstrip()}", *others] if own else others)


def tracestate_of(context: Context) -> str:
    """The tracestate of a span link to `context`; as ddtrace, without the field p."""
    return write_state(context.sampling_priority, context.dd_origin, context._meta, None)
