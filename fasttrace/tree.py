"""Traces drawn as text: one line for each span, children indented under their parents.

    trace 6b02d5f5000000004ed1d0b1a0a0a0dd  4 spans  8.21 ms  1 error
    web.request          sandwich-web      8.21 ms  GET /sandwich
    ├─ sqlite.query      sandwich-db        381 us  SELECT euro FROM price WHERE sandwich = ?
    └─ kitchen.prepare   sandwich-kitchen  6.15 ms  tuna  ERROR shop.OutOfStock: no tuna left
       └─ kitchen.toast  sandwich-kitchen  2.40 ms  kitchen.toast

The columns are name, service, duration and resource. Spans are taken as an agent gives them back
(mappings with the keys of the v0.4 format) or as live `Span` objects. Their texts may come from
anywhere, so nothing in them can break the picture: control characters are escaped, long texts cut;
cycles, repeated ids and missing parents do no harm, and every span is drawn exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from ._span import Span

    #: A live span, a span as decoded from the wire, or one read already.
    AnySpan: TypeAlias = "Span | Mapping[str, Any] | TreeSpan"

#: Spans below this level are drawn on it, with their depth in brackets: the size of the picture
#: stays proportional to the number of spans.
MAX_DEPTH = 24
#: Longest name, service, resource, tag value or error that is drawn, in characters.
MAX_TEXT = 90

_BRANCHES = ("├─ ", "└─ ", "│  ", "   ")
_ASCII_BRANCHES = ("|- ", "`- ", "|  ", "   ")
_UNITS = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000))


class TreeSpan:
    """What is drawn of one span.

    Attributes: `trace_id`, `span_id`, `parent_id` (int, 0 for none); `name`, `service`, `resource`
    (str); `start_ns` (int, since the epoch); `duration_ns` (int, None while the span is open);
    `error` (bool); `tags` (dict of str to str or number, what the wire calls meta and metrics).
    """

    __slots__ = (
        "duration_ns",
        "error",
        "name",
        "parent_id",
        "resource",
        "service",
        "span_id",
        "start_ns",
        "tags",
        "trace_id",
    )

    def __init__(self, span: Span | Mapping[str, Any]) -> None:
        self.tags: dict[str, Any]
        self.duration_ns: int | None
        if isinstance(span, Mapping):
            self.trace_id = int(span["trace_id"])
            self.span_id = int(span["span_id"])
            self.parent_id = int(span.get("parent_id") or 0)
            self.name = str(span["name"])
            self.service = str(span.get("service") or "")
            self.resource = str(span.get("resource") or "")
            self.start_ns = int(span.get("start") or 0)
            self.duration_ns = int(span.get("duration") or 0)
            self.error = bool(span.get("error"))
            self.tags = {**(span.get("meta") or {}), **(span.get("metrics") or {})}
        else:
            self.trace_id = span.trace_id
            self.span_id = span.span_id
            self.parent_id = span.parent_id or 0
            self.name = span.name
            self.service = span.service or ""
            self.resource = span.resource or ""
            self.start_ns = span.start_ns
            self.duration_ns = span.duration_ns
            self.error = bool(span.error)
            self.tags = {**span.get_tags(), **span.get_metrics()}

    @property
    def error_text(self) -> str:
        """Type and message of the error, first line only; "" if it has neither."""
        kind = str(self.tags.get("error.type") or "")
        message = str(self.tags.get("error.message") or "").strip().partition("\n")[0]
        return ": ".join(part for part in (kind, message) if part)


def read_spans(spans: Iterable[AnySpan]) -> list[TreeSpan]:
    """Read each span once; those read already are taken as they are."""
    return [span if isinstance(span, TreeSpan) else TreeSpan(span) for span in spans]


def group_traces(spans: Iterable[AnySpan]) -> list[list[TreeSpan]]:
    """Sort the spans of any number of traces by trace id; the trace that started first is first."""
    traces: dict[int, list[TreeSpan]] = {}
    for span in read_spans(spans):
        traces.setdefault(span.trace_id, []).append(span)
    return sorted(traces.values(), key=lambda trace: min(span.start_ns for span in trace))


def draw(spans: Iterable[AnySpan], **options: Any) -> str:
    """Draw any number of traces, each under its heading; `options` are those of `draw_trace`."""
    return "\n\n".join(
        f"{heading(trace)}\n{draw_trace(trace, **options)}" for trace in group_traces(spans)
    )


def heading(trace: Iterable[AnySpan]) -> str:
    """Say the id of a trace, how many spans and errors it has, and how long it took in all.

    The id is the 128-bit one if any of the spans tells its upper half (tag ``_dd.p.tid``).
    """
    spans = read_spans(trace)
    if not spans:
        return "empty trace"
    trace_id = f"{spans[0].trace_id:016x}"
    if len(trace_id) == 16:
        for upper in (str(span.tags.get("_dd.p.tid")) for span in spans):
            if len(upper) == 16 and not set(upper) - set("0123456789abcdef"):
                trace_id = upper + trace_id
                break
    duration_ns = max(span.start_ns + (span.duration_ns or 0) for span in spans) - min(
        span.start_ns for span in spans
    )
    errors = sum(span.error for span in spans)
    facts = [f"trace {trace_id}", count(len(spans), "span"), format_duration(duration_ns)]
    if errors:
        facts.append(count(errors, "error"))
    return "  ".join(facts)


def draw_trace(
    trace: Iterable[AnySpan],
    *,
    durations: bool = True,
    tags: Sequence[str] = (),
    align: bool = True,
    max_spans: int | None = None,
    ascii_only: bool = False,
) -> str:
    """Draw the spans of one trace; siblings stand in the order they were started.

    durations: with the column of durations. Without it the text of a given program is the same in
        every run, which suits tests.
    tags: names of tags to write behind the resource of each span that has them.
    align: in columns; else two spaces between the parts, so that no line depends on another.
    max_spans: draw no more than these and say how many were left out; None draws all.
    ascii_only: draw with ASCII characters only.
    """
    branches = _ASCII_BRANCHES if ascii_only else _BRANCHES
    spans = read_spans(trace)
    rows: list[tuple[list[str], str]] = []
    for span, head in _walk(spans, branches):
        if max_spans is not None and len(rows) >= max_spans:
            break
        cells = [head + clean(span.name, ascii_only), clean(span.service, ascii_only)]
        if durations:
            cells.append(format_duration(span.duration_ns))
        rows.append((cells, _remarks(span, tags, ascii_only)))
    widths = [max(map(len, column)) for column in zip(*(cells for cells, _ in rows), strict=True)]
    lines = []
    for cells, remarks in rows:
        if align:
            cells = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            if durations:
                cells[-1] = cells[-1].strip().rjust(widths[-1])
        lines.append("  ".join([*cells, remarks]))
    if len(rows) < len(spans):
        lines.append(f"... and {count(len(spans) - len(rows), 'more span')}")
    return "\n".join(lines)


def format_duration(duration_ns: int | None) -> str:
    """Write a duration with its unit and at least three digits; "open" for a span not finished."""
    if duration_ns is None:
        return "open"
    for unit, size in _UNITS:
        if abs(duration_ns) >= size:
            value = duration_ns / size
            decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
            return f"{value:.{decimals}f} {unit}"
    return f"{duration_ns} ns"


def clean(text: str, ascii_only: bool = False) -> str:
    """Make a text safe to print on one line: no control characters, at most MAX_TEXT long."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 3] + "..."
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    if ascii_only:
        text = text.encode("ascii", "backslashreplace").decode()
    return text


def count(number: int, what: str) -> str:
    """Write a number of things: ``1 span``, ``2 spans``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _walk(spans: Sequence[TreeSpan], branches: Sequence[str]) -> Iterator[tuple[TreeSpan, str]]:
    """Yield each span once, depth first, with the branches that are drawn before its name.

    The first span with an id is the parent of all that name this id. Spans whose parents form a
    cycle hang from the earliest of them. Iterative, as a trace may be deeper than Python recurses.
    """
    fork, last, through, blank = branches
    spans = sorted(spans, key=lambda span: span.start_ns)
    ids = {span.span_id for span in spans}
    children: dict[int, list[TreeSpan]] = {}
    roots = []
    for span in spans:
        if span.parent_id in ids and span.parent_id != span.span_id:
            children.setdefault(span.parent_id, []).append(span)
        else:
            roots.append(span)
    drawn: set[int] = set()  # by identity, as ids may repeat
    for root in (*roots, *spans):  # after the roots only members of cycles are left
        stack = [(root, "", "", 0)]
        while stack:
            span, head, tail, depth = stack.pop()
            if id(span) in drawn:
                continue
            drawn.add(id(span))
            yield span, f"{head}[depth {depth}] " if depth > MAX_DEPTH else head
            below = children.pop(span.span_id, [])
            for child in reversed(below):
                if depth >= MAX_DEPTH:
                    stack.append((child, head, tail, depth + 1))
                elif child is below[-1]:
                    stack.append((child, tail + last, tail + blank, depth + 1))
                else:
                    stack.append((child, tail + fork, tail + through, depth + 1))


def _remarks(span: TreeSpan, tags: Sequence[str], ascii_only: bool) -> str:
    parts = [clean(span.resource, ascii_only)]
    for name in tags:
        if name in span.tags:
            parts.append(f"{clean(name, ascii_only)}={clean(str(span.tags[name]), ascii_only)}")
    if span.error:
        parts.append(f"ERROR {clean(span.error_text, ascii_only)}".strip())
    return "  ".join(parts)
