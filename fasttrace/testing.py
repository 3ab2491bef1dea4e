"""What tests need to look at traces: those of a block of code, captured instead of sent.

    from fasttrace.testing import capture, render_tree

    def test_toast():
        with capture() as spans:
            make_sandwich()
        sandwich, toast = spans
        assert toast.parent is sandwich
        assert toast.tags == {"bread": "rye"}
        print(render_tree(spans))

Captured is what the encoder has written for the agent, decoded again: the spans as they are after
filters, sampling and the rules for tags. Under pytest the fixture `fasttrace_spans` captures for as
long as a test runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fasttrace import _fork, tree
from fasttrace._decode import application_tags, decode_body
from fasttrace.tracer import Tracer
from fasttrace.tracer import tracer as _default_tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, overload

    from fasttrace._span import Payload
    from fasttrace.tree import AnySpan

__all__ = ["CapturedSpan", "CapturedSpans", "capture", "render_tree"]

#: The reason by which `Tracer.stats()` counts captured spans, among the dropped ones.
CAPTURED = "captured"


class CapturedSpan:
    """A finished span as the agent would have received it.

    * name, service, resource, span_type: str, "" for none
    * trace_id (128 bits), span_id, parent_id: int; parent_id is None for a root
    * start_ns: int, since the epoch; duration_ns: int
    * error: 0 or 1; the details are in `meta`: error.type, error.message, error.stack
    * meta: dict of str to str; metrics: dict of str to number; both with what the tracer adds
    * tags: dict of `meta` and `metrics` together, without what the tracer adds
    * links, events: lists of dicts: what is linked (trace_id, span_id, attributes); what happened
      (name, time_unix_nano, attributes)
    * parent: CapturedSpan or None; children: list of CapturedSpan, in the order of their start
    * raw: dict, the span with the keys of the agent's v0.4 format
    """

    def __init__(self, raw: dict[str, Any], upper_trace_id: int, others: CapturedSpans) -> None:
        self._others = others
        self.raw = raw
        self.name: str = raw.get("name") or ""
        self.service: str = raw.get("service") or ""
        self.resource: str = raw.get("resource") or ""
        self.span_type: str = raw.get("type") or ""
        self.trace_id: int = upper_trace_id << 64 | raw["trace_id"]
        self.span_id: int = raw["span_id"]
        self.parent_id: int | None = raw.get("parent_id") or None
        self.start_ns: int = raw["start"]
        self.duration_ns: int = raw["duration"]
        self.error: int = raw.get("error") or 0
        self.meta: dict[str, str] = raw.get("meta") or {}
        self.metrics: dict[str, float] = raw.get("metrics") or {}

    @property
    def tags(self) -> dict[str, Any]:
        """Return the tags and metrics of the application."""
        both = {**self.meta, **self.metrics}
        return {name: both[name] for name in application_tags(both)}

    @property
    def links(self) -> list[dict[str, Any]]:
        """Return the spans this one is linked with, the ids as int whatever the format."""
        found = []
        for link in self.raw.get("span_links") or json.loads(self.meta.get("_dd.span_links", "[]")):
            if isinstance(link["span_id"], str):  # format v0.5
                ids = {"trace_id": int(link["trace_id"], 16), "span_id": int(link["span_id"], 16)}
            else:
                upper = link.get("trace_id_high", 0)
                ids = {"trace_id": upper << 64 | link["trace_id"], "span_id": link["span_id"]}
            found.append({**ids, "attributes": link.get("attributes", {})})
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return what has been noted on the span with a time of its own, whatever the format."""
        found = []
        for event in self.raw.get("span_events") or json.loads(self.meta.get("events", "[]")):
            tags = {name: _plain(value) for name, value in event.get("attributes", {}).items()}
            found.append({**event, "attributes": tags})
        return found

    @property
    def parent(self) -> CapturedSpan | None:
        """Return the parent; None for a root, and if the parent has not been captured."""
        return self._others._find(self.raw["trace_id"], self.parent_id)

    @property
    def children(self) -> list[CapturedSpan]:
        """Return the children that have been captured."""
        return self._others._children(self.raw["trace_id"], self.span_id)

    def __repr__(self) -> str:
        error = " error" if self.error else ""
        return f"<CapturedSpan {self.name} service={self.service} resource={self.resource}{error}>"


class CapturedSpans(Sequence[CapturedSpan]):
    """The spans captured so far, also while the block still runs.

    Traces stand in the order in which they were completed, the spans of a trace in that of their
    start. Equal to a list of the same spans.
    """

    def __init__(self) -> None:
        self._tap: _Tap | None = None
        self._lock = _fork._Gate()
        self._bodies: list[tuple[bytes, str]] = []  # not decoded yet, with their API versions
        self._spans: list[CapturedSpan] = []
        self._by_id: dict[tuple[int, int | None], CapturedSpan] = {}
        self._by_parent: dict[tuple[int, int | None], list[CapturedSpan]] = {}

    def named(self, name: str) -> list[CapturedSpan]:
        """Return the spans of this name."""
        return [span for span in self._read() if span.name == name]

    @property
    def roots(self) -> list[CapturedSpan]:
        """Return the spans whose parent has not been captured."""
        return [span for span in self._read() if span.parent is None]

    def clear(self) -> None:
        """Forget what has been captured so far."""
        with self._lock:
            self._read()
            self._spans = []
            self._by_id.clear()
            self._by_parent.clear()

    def _read(self) -> list[CapturedSpan]:
        """Return all spans, what has only just been finished included."""
        tap = self._tap
        if tap is not None:
            tap.collect()
        with self._lock:
            while self._bodies:
                for chunk in decode_body(*self._bodies.pop(0)):
                    self._add(chunk)
            return self._spans

    def _add(self, chunk: list[dict[str, Any]]) -> None:
        upper = _upper_trace_id(chunk[0])
        for raw in chunk:
            span = CapturedSpan(raw, upper, self)
            self._spans.append(span)
            self._by_id[raw["trace_id"], span.span_id] = span
            if span.parent_id is not None:
                self._by_parent.setdefault((raw["trace_id"], span.parent_id), []).append(span)

    def _find(self, trace_id: int, span_id: int | None) -> CapturedSpan | None:
        self._read()
        return self._by_id.get((trace_id, span_id))

    def _children(self, trace_id: int, span_id: int) -> list[CapturedSpan]:
        self._read()
        return sorted(self._by_parent.get((trace_id, span_id), ()), key=lambda span: span.start_ns)

    def __len__(self) -> int:
        return len(self._read())

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> CapturedSpan: ...
        @overload
        def __getitem__(self, index: slice) -> list[CapturedSpan]: ...

    def __getitem__(self, index: int | slice) -> CapturedSpan | list[CapturedSpan]:
        return self._read()[index]

    def __iter__(self) -> Iterator[CapturedSpan]:
        return iter(list(self._read()))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (CapturedSpans, list)):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<CapturedSpans [{', '.join(span.name for span in self)}]>"


@contextmanager
def capture(tracer: Tracer | None = None) -> Iterator[CapturedSpans]:
    """Capture, instead of sending them, the traces that are completed while the block runs.

        with capture() as spans:
            make_sandwich()

    No agent is needed and nothing goes over the network; a tracer that is disabled records for as
    long as the block runs. Captured are the traces of the whole process that this tracer encodes
    meanwhile, in whatever thread. Spans that have finished but wait in their trace for an open one
    are not sent yet, so they are not captured yet either. What was waiting to be sent before is
    sent as if nothing had happened. In `tracer.stats()` the captured spans are among the dropped
    ones, for the reason "captured".

    Captures of one tracer may overlap: each gets everything that is completed during its block.

    Args:
        tracer: whose traces; None: those of the default tracer.

    Raises:
        TypeError: `tracer` is not a Tracer.

    """
    if tracer is None:
        tracer = _default_tracer
    if not isinstance(tracer, Tracer):
        raise TypeError(f"capture() takes a Tracer, not {type(tracer).__name__}")
    spans = CapturedSpans()
    tap = _open_tap(tracer, spans)
    try:
        yield spans
    finally:
        tap.close(spans)


def render_tree(
    spans: Iterable[CapturedSpan | AnySpan],
    *,
    durations: bool = False,
    tags: Sequence[str] = (),
    align: bool = True,
) -> str:
    """Draw spans as trees: a line for each with name, service, resource and error.

        make.sandwich  shop     blt
        └─ toast       kitchen  toast

    The same program gives the same text every time, so a test can compare it. Several traces are
    separated by an empty line, the one that began first in front.

    Args:
        spans: captured spans, live `Span` objects, or mappings with the keys of the v0.4 format.
        durations: whether there is a column of durations.
        tags: names of tags to write behind the resource of each span that has them.
        align: in columns; else two spaces between the parts, so that no line depends on another.

    """
    read = [span.raw if isinstance(span, CapturedSpan) else span for span in spans]
    return "\n\n".join(
        tree.draw_trace(trace, durations=durations, tags=tags, align=align)
        for trace in tree.group_traces(read)
    )


def _plain(value: Any) -> Any:
    """Undo the `{"type": 2, "int_value": 7}` of events that have a field of their own."""
    if not isinstance(value, dict):
        return value
    [content] = [part for name, part in value.items() if name != "type"]
    return [_plain(item) for item in content["values"]] if isinstance(content, dict) else content


def _upper_trace_id(first: dict[str, Any]) -> int:
    """The upper 64 bits of the trace id, which are on the wire as a tag of a chunk's first span."""
    try:
        return int(first.get("meta", {}).get("_dd.p.tid", "0"), 16)
    except ValueError:  # somebody else has set that tag
        return 0


_taps = _fork._Gate()  # held while a tap is put in, taken out, or drained
_fork.call_in_child(_taps.renew)


def _open_tap(tracer: Tracer, spans: CapturedSpans) -> _Tap:
    with _taps:
        tap = getattr(tracer._swap, "__self__", None)
        if not isinstance(tap, _Tap):
            tap = _Tap(tracer)
        tap.open(spans)
        return tap


class _Tap:
    """Between a tracer's buffer and its flusher, for as long as there are captures.

    The flusher takes payloads by `tracer._swap()` and puts them back by `tracer._unswap()`. Here it
    meets with `swap` and `unswap` instead: what the tracer encodes is for the captures, what is
    older for the flusher. Thus no payload can go the wrong way, whatever the flusher was doing when
    the first capture began. Older payloads wait outside of the buffer, or traces that cannot be
    sent for want of an agent would leave no room in it.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._swap, self._unswap = tracer._swap, tracer._unswap
        self._on_first_chunk = tracer._on_first_chunk
        self._was_enabled = tracer.enabled
        self._captures: list[CapturedSpans] = []
        self._older: list[Payload] = []  # what the flusher may have, oldest first

    def open(self, spans: CapturedSpans) -> None:
        """Begin a capture. `_taps` is held."""
        self.collect()
        self._captures.append(spans)
        spans._tap = self
        if len(self._captures) == 1:
            self._install()

    def close(self, spans: CapturedSpans) -> None:
        """End a capture."""
        with _taps:
            self.collect()
            if len(self._captures) == 1:
                self._uninstall()
            self._captures = [other for other in self._captures if other is not spans]
            spans._tap = None
        if not self._captures and self._tracer._buffered_bytes:
            self.on_first_chunk()

    def _install(self) -> None:
        tracer = self._tracer
        tracer._swap, tracer._unswap = self.swap, self.unswap  # type: ignore[method-assign]
        tracer._on_first_chunk = self.on_first_chunk
        self._older = self._swap(True)
        tracer.enabled = True

    def _uninstall(self) -> None:
        tracer = self._tracer
        del tracer._swap, tracer._unswap
        for payload in reversed(self._older):
            if not self._unswap(payload):
                tracer._settle(payload, "buffer_full")
        if not self._was_enabled:
            tracer.enabled = False
        if tracer._on_first_chunk == self.on_first_chunk:  # else the tracer was configured anew
            tracer._on_first_chunk = self._on_first_chunk

    # -- in place of the tracer's own --------------------------------------------------------------

    def swap(self, aside: bool = False) -> list[Payload]:
        """Return what the flusher may try to send; `aside` is for the tracer's own method."""
        with _taps:
            if not self._captures:  # they have ended while the flusher was on its way here
                return self._tracer._swap()
            self.collect()
            older, self._older = self._older, []
            return older

    def unswap(self, payload: Payload) -> bool:
        """Take back what the flusher could not send yet."""
        with _taps:
            if not self._captures:
                return self._tracer._unswap(payload)
            self._older.insert(0, payload)
            return True

    def on_first_chunk(self) -> None:
        """Keep a chunk as soon as it is complete: there is no flusher that would come for it."""
        if self._captures:
            self.collect()
        elif self._on_first_chunk is not None and not self._tracer._flusher_running:
            self._on_first_chunk()

    # -- for the captures --------------------------------------------------------------------------

    def collect(self) -> None:
        """Hand what has been encoded so far to the captures."""
        with _taps:
            for payload in self._swap() if self._captures else ():
                body, version = b"".join(payload.buffers()), payload.api_version
                self._tracer._settle(payload, CAPTURED)
                for spans in self._captures:
                    spans._bodies.append((body, version))
