"""Describing exceptions on spans, and the JSON forms of events and links.

The stack is the text `traceback.print_exception` writes, without the lines of carets: the newest
frames, source lines included, causes first. It is put together from cached pieces, because the
same places fail again and again. Follows ddtrace 4.16 in tags and limits.
"""

from __future__ import annotations

import builtins
import linecache
import sys
import tokenize  # noqa: F401 # linecache may import it later, when a fork would not wait

from fasttrace import _log
from fasttrace._fork import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType, FrameType, TracebackType
    from typing import Any

    from fasttrace._span import Context, Span

#: Most frames of a stack where nobody says otherwise.
MAX_FRAMES = 30

_MAX_CHARS = 25_000  # of a stack; the frames are halved until it fits
_CACHED_PLACES = 4096
_REPEATS_SHOWN = 3
_MAX_CHAIN = 32  # exceptions of one chain of causes that are looked at
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

_places: dict[tuple[int, int], tuple[CodeType, str]] = {}  # (id of code, line) -> text of the frame


def capture(
    span: Span,
    exc_type: type[BaseException],
    exc_val: BaseException,
    exc_tb: TracebackType | None,
    limit: int | None = None,
) -> None:
    """Mark `span` as failed and set error.type, error.message and error.stack.

    GeneratorExit and a SystemExit that reports success (code 0 or None) are no errors. `limit` is
    the most frames of the stack (None: 30).
    """
    if issubclass(exc_type, GeneratorExit):
        return
    if issubclass(exc_type, SystemExit) and getattr(exc_val, "code", 1) in (0, None):
        return
    span.error = 1
    span.set_tag_str("error.type", _type_name(exc_type))
    span.set_tag_str("error.message", _message(exc_val))
    span.set_tag_str("error.stack", format_stack(exc_val, exc_tb, limit))


def set_traceback(span: Span, limit: int | None = None) -> None:
    """Inside an except block as `set_exc_info`; otherwise error.stack is the caller's stack."""
    exc_type, exc_val, exc_tb = sys.exc_info()
    if exc_type is not None and exc_val is not None:
        capture(span, exc_type, exc_val, exc_tb, limit)
        return
    frames: list[tuple[FrameType, int]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append((frame, frame.f_lineno or 0))
        frame = frame.f_back
    frames.reverse()
    count = MAX_FRAMES if limit is None else abs(limit)
    span.set_tag_str("error.stack", "".join(_frame_lines(frames[-count:] if count else [])))


def record_exception(
    span: Span,
    exception: Any,
    attributes: Mapping[str, Any] | None = None,
    timestamp_ns: int | None = None,
) -> None:
    """Add the event "exception" with type, message and stack trace; `attributes` win over those.

    Attributes are str, bool, int of 64 bits, finite float, or lists of one of these; others are
    left out with a warning, and so is an `exception` that is none.
    """
    if not isinstance(exception, BaseException):
        _log.warn("event", f"record_exception takes an exception, not {type(exception).__name__}")
        return
    values: dict[str, Any] = {
        "exception.type": _type_name(type(exception)),
        "exception.message": _message(exception),
        "exception.stacktrace": format_stack(exception, exception.__traceback__, None),
    }
    _add_attributes(values, attributes)
    span._add_event("exception", values, timestamp_ns)


def record_otel(
    span: Span,
    exception: Any,
    attributes: Mapping[str, Any] | None = None,
    timestamp_ns: int | None = None,
    escaped: bool = False,
) -> None:
    """Do the same for a span of an OpenTelemetry tracer, as ddtrace 4.16 maps it.

    The event says whether the exception `escaped`; its stack is the tag error.stack, and type and
    message are tags too. The span is not marked as failed.
    """
    if not isinstance(exception, BaseException):
        _log.warn("event", f"record_exception takes an exception, not {type(exception).__name__}")
        return
    values: dict[str, Any] = {
        "exception.type": _type_name(type(exception)),
        "exception.message": _message(exception),
        "exception.escaped": str(bool(escaped)),
    }
    _add_attributes(values, attributes)
    stack = values.get("exception.stacktrace")
    if not isinstance(stack, str):
        stack = format_stack(exception, exception.__traceback__, None)
    span.set_tag_str("error.message", str(values["exception.message"]))
    span.set_tag_str("error.type", str(values["exception.type"]))
    span.set_tag_str("error.stack", stack)
    span._add_event("exception", values, timestamp_ns)


def describe(exception: BaseException) -> str:
    """Return the description of a status that comes from `exception`, as OpenTelemetry has it."""
    return f"{type(exception).__name__}: {_message(exception)}"


def format_stack(
    exception: BaseException, traceback: TracebackType | None, limit: int | None
) -> str:
    """Return the text of an exception with at most `limit` (None: `MAX_FRAMES`) frames each."""
    count = MAX_FRAMES if limit is None else abs(limit)
    while True:
        text = _format_chain(exception, traceback, count)
        if len(text) <= _MAX_CHARS or count <= 1:
            return text
        count //= 2


def events_json(events: list[tuple[str, int, dict[str, Any]]]) -> str:
    """Return the value of the tag `events`."""
    items: list[dict[str, Any]] = []
    for name, time_unix_nano, attributes in events:
        item: dict[str, Any] = {"name": name, "time_unix_nano": time_unix_nano}
        if attributes:
            item["attributes"] = attributes
        items.append(item)
    return _dump(items)


def links_json(links: list[tuple[int, int, str | None, int | None, dict[str, str]]]) -> str:
    """Return the value of the tag `_dd.span_links`."""
    items: list[dict[str, Any]] = []
    for trace_id, span_id, tracestate, flags, attributes in links:
        item: dict[str, Any] = {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"}
        if attributes:
            item["attributes"] = attributes
        if tracestate:
            item["tracestate"] = tracestate
        if flags is not None:
            item["flags"] = flags
        items.append(item)
    return _dump(items)


def tracestate_of(context: Context) -> str | None:
    """Return the W3C tracestate a link to `context` carries."""
    text: str | None = load("fasttrace.propagation.tracecontext").tracestate_of(context)
    return text


def _add_attributes(values: dict[str, Any], attributes: Mapping[str, Any] | None) -> None:
    """Add those of an event that the application gave; what has no usable type is left out."""
    try:
        for key, value in (attributes or {}).items():
            name = str(key)
            if _is_attribute(value):
                values[name] = value
            else:
                _log.warn("event_attribute", f"event attribute {name:.100} has no usable type")
    except Exception as error:
        _log.warn("event_attributes", f"event attributes ignored: {type(error).__name__}")


def _dump(items: list[dict[str, Any]]) -> str:
    text: str = load("json").dumps(items, default=_as_text)
    return text


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return type(value).__name__


def _type_name(exc_type: type[BaseException]) -> str:
    return f"{exc_type.__module__}.{exc_type.__name__}"


def _message(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception:
        return type(exception).__name__


def _is_attribute(value: object) -> bool:
    if isinstance(value, (str, bool)):
        return True
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor nan
    if isinstance(value, (list, tuple)):
        return len({type(item) for item in value}) <= 1 and all(
            not isinstance(item, (list, tuple)) and _is_attribute(item) for item in value
        )
    return False


def _format_chain(exception: BaseException, traceback: TracebackType | None, count: int) -> str:
    """Causes and contexts first, each followed by how it led to the next."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = exception
    while current is not None and id(current) not in seen and len(seen) < _MAX_CHAIN:
        seen.add(id(current))
        parts.append(_format_one(current, traceback, count))
        if current.__cause__ is not None:
            current, joint = current.__cause__, _CAUSE
        elif current.__context__ is not None and not current.__suppress_context__:
            current, joint = current.__context__, _CONTEXT
        else:
            break
        if id(current) in seen or len(seen) >= _MAX_CHAIN:
            break
        parts.append(joint)
        traceback = current.__traceback__
    parts.reverse()
    return "".join(parts)


def _format_one(exception: BaseException, traceback: TracebackType | None, count: int) -> str:
    if (
        isinstance(exception, SyntaxError)
        or hasattr(exception, "__notes__")
        or _is_group(exception)
    ):
        return _format_rare(exception, traceback, count)
    frames: list[tuple[FrameType, int]] = []
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lineno or 0))
        traceback = traceback.tb_next
    lines = _frame_lines(frames[-count:] if count else [])
    if frames:
        lines.insert(0, "Traceback (most recent call last):\n")
    kind = type(exception)
    name = kind.__qualname__
    if kind.__module__ not in ("__main__", "builtins"):
        name = f"{kind.__module__}.{name}"
    try:
        message = str(exception)
    except Exception:
        message = "<exception str() failed>"
    lines.append(f"{name}: {message}\n" if message else f"{name}\n")
    return "".join(lines)


def _is_group(exception: BaseException) -> bool:
    group = getattr(builtins, "BaseExceptionGroup", None)  # CPython 3.11
    return group is not None and isinstance(exception, group)


def _format_rare(exception: BaseException, traceback: TracebackType | None, count: int) -> str:
    """Syntax errors, groups and notes: what the standard library says, less its carets."""
    make = load("traceback").TracebackException
    described = make(type(exception), exception, traceback, limit=-count)
    _drop_carets(described)
    return "".join(described.format(chain=False))


def _drop_carets(described: Any) -> None:
    for frame in described.stack:
        if hasattr(frame, "colno"):
            frame.colno = frame.end_colno = None
    for part in getattr(described, "exceptions", None) or ():
        _drop_carets(part)


def _frame_lines(frames: list[tuple[FrameType, int]]) -> list[str]:
    """The lines of a stack; a place met more than three times in a row is counted instead."""
    lines: list[str] = []
    last = ""
    repeats = 0
    for frame, line_number in frames:
        text = _place(frame, line_number)
        if text == last:
            repeats += 1
        else:
            _add_repeats(lines, repeats)
            last, repeats = text, 1
        if repeats <= _REPEATS_SHOWN:
            lines.append(text)
    _add_repeats(lines, repeats)
    return lines


def _add_repeats(lines: list[str], repeats: int) -> None:
    more = repeats - _REPEATS_SHOWN
    if more > 0:
        lines.append(f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n")


def _place(frame: FrameType, line_number: int) -> str:
    """The one or two lines that describe a frame."""
    code = frame.f_code
    known = _places.get((id(code), line_number))
    if known is not None and known[0] is code:
        return known[1]
    text = f'  File "{code.co_filename}", line {line_number}, in {code.co_name}\n'
    source = linecache.getline(code.co_filename, line_number, frame.f_globals).strip()
    if source:
        text += f"    {source}\n"
    if len(_places) >= _CACHED_PLACES:
        _places.clear()
    _places[(id(code), line_number)] = (code, text)
    return text
