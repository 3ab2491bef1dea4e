"""OpenTelemetry's values made of ours, and ours made of OpenTelemetry's."""

from __future__ import annotations

from opentelemetry.baggage import _BAGGAGE_KEY as BAGGAGE_KEY
from opentelemetry.trace import (
    DEFAULT_TRACE_OPTIONS,
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation import _SPAN_KEY as SPAN_KEY

from fasttrace import _log, _span
from fasttrace._span import Context, Span
from fasttrace.propagation import tracecontext
from fasttrace.propagation.found import Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = tuple(SpanKind)  # by value
_FLAGS = (TraceFlags(0), TraceFlags(1))
_NO_STATE = TraceState()

_span.set_otel(SPAN_KEY, BAGGAGE_KEY, _KINDS)


class RemoteSpan(NonRecordingSpan):
    """A span of another process, or of another thread's trace: what spans begun under it continue.

    Args:
        context: fasttrace's own form of it, with all that the headers said.

    """

    def __init__(self, context: Context) -> None:
        super().__init__(_context_of(context, context.span_id or 0, context._is_remote))
        self._fasttrace_context = context


def kind_of(number: int) -> SpanKind:
    """Return the SpanKind of that number."""
    return _KINDS[number]


def span_context(span: Span) -> SpanContext:
    """Return the SpanContext of a span of ours.

    Takes the sampling decision of its trace if that is open. The context of a span that records
    nothing is that of the trace which came in from outside, if one did.
    """
    _span.decide_context(span)
    context = span.context
    return _context_of(context, context.span_id or 0, context._is_remote)


def _context_of(context: Context, span_id: int, is_remote: bool) -> SpanContext:
    trace_id = context.trace_id
    if not trace_id or not span_id:
        return INVALID_SPAN_CONTEXT
    priority = context.sampling_priority
    meta = context._meta
    last_parent = meta.get("_dd.parent_id") if is_remote else f"{span_id:016x}"
    text = tracecontext.write_state(priority, context.dd_origin, meta, last_parent)
    members = [member.partition("=") for member in text.split(",") if member]
    state = TraceState([(key, value) for key, _, value in members]) if members else _NO_STATE
    sampled = priority is not None and priority > 0
    return SpanContext(trace_id, span_id, is_remote, _FLAGS[sampled], state)


def native_context(span: object) -> Context | None:
    """Return what a span of ours would have as parent under a `span` of another kind.

    That is a Context, the same one each time it is asked for; None for an invalid span.
    """
    known = getattr(span, "_fasttrace_context", None)
    if known is not None:
        return known if type(known) is Context else None
    if not isinstance(span, OtelSpan):
        return None
    try:
        found = span.get_span_context()
        context = _native_of(found) if found.is_valid else None
    except Exception as error:
        _log.warn("otel_parent", f"a parent span was ignored: {type(error).__name__}")
        return None
    if context is not None:
        try:
            span._fasttrace_context = context  # type: ignore[attr-defined]
        except AttributeError:  # it has slots: every child finds a Context of its own
            pass
    return context


def _native_of(span_context: SpanContext) -> Context:
    flags = span_context.trace_flags
    # Flags that were not given say nothing about sampling.
    priority = None if flags is DEFAULT_TRACE_OPTIONS else int(flags) & 1
    found = Found("tracecontext", span_context.trace_id, span_context.span_id, priority)
    header = span_context.trace_state.to_header() if span_context.trace_state else ""
    if header:
        tracecontext.read_state(found, header)
        if flags is DEFAULT_TRACE_OPTIONS and found.priority == 0:
            found.priority = None
    meta = found.meta
    if found.tracestate:
        meta[tracecontext.TRACESTATE] = found.tracestate
    if found.last_parent:
        meta["_dd.parent_id"] = found.last_parent
    return Context(
        trace_id=found.trace_id,
        span_id=found.span_id,
        dd_origin=found.origin,
        sampling_priority=found.priority,
        meta=meta,
        is_remote=span_context.is_remote,
    )


def native_item(context: Any) -> Span | Context | None:
    """Return what is active for native spans under an OpenTelemetry `context`."""
    span = context.get(SPAN_KEY)
    if span is None or type(span) is Span:
        return span
    return native_context(span)
