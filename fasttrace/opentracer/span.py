"""Span: a span of the compiled core under the names of OpenTracing.

The first lines of every method decide what an application pays for the face, so they are few. All
state is the core's, but for baggage: in OpenTracing it belongs to a span and what descends from it,
in the core to the whole trace.
"""

from __future__ import annotations

from types import TracebackType

import opentracing

from fasttrace import _log
from fasttrace._fork import load
from fasttrace.opentracer.span_context import SpanContext
from fasttrace.opentracer.tags import SPECIAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fasttrace import _span
    from fasttrace.opentracer.tracer import Tracer


class Span(opentracing.Span):  # type: ignore[misc]  # opentracing has no types
    """A timed operation (OpenTracing's `Span`, ddtrace 2.21 `ddtrace.opentracer.span`).

    Made by `Tracer.start_span()` or `Tracer.start_active_span()`. No method raises.
    """

    __slots__ = ("_baggage", "_context", "_dd_span", "_tracer")

    _tracer: Tracer
    _dd_span: _span.Span
    _baggage: dict[str, Any] | None  # never changed in place: spans share it
    _context: SpanContext | None  # made when it is asked for

    def __init__(
        self, tracer: Tracer, span: _span.Span, baggage: dict[str, Any] | None = None
    ) -> None:
        self._tracer = tracer
        self._dd_span = span
        self._baggage = baggage
        self._context = None

    @property
    def context(self) -> SpanContext:
        """The trace and the baggage, to refer to from other spans or to inject."""
        context = self._context
        if context is None:
            context = SpanContext(ddcontext=self._dd_span.context, baggage=self._baggage)
            self._context = context
        return context

    @property
    def finished(self) -> bool:
        """Whether the span was finished."""
        return self._dd_span.finished

    @property
    def _dd_context(self) -> _span.Context:
        return self._dd_span.context

    def finish(self, finish_time: float | None = None) -> None:
        """End the span; a second call does nothing.

        Args:
            finish_time: seconds since the epoch; None: now.

        """
        self._dd_span.finish(finish_time)

    def set_operation_name(self, operation_name: str) -> Span:
        """Change the name; the resource stays what it was."""
        self._dd_span.name = operation_name
        return self

    def set_tag(self, key: str, value: Any) -> Span:
        """Set a tag; `fasttrace.opentracer.tags` lists those that do more than be there."""
        act = SPECIAL.get(key) if isinstance(key, str) else None
        if act is None:
            self._dd_span.set_tag(key, value)
        else:
            act(self._dd_span, value)
        return self

    def log_kv(self, key_values: Mapping[str, Any], timestamp: float | None = None) -> Span:
        """Take what a log record says about an error; everything else in it is not kept.

        | field | effect |
        |---|---|
        | event: "error" | the span is marked as failed |
        | error.object, error: an exception | error.type, error.message, error.stack |
        | error.object, error: anything else | tag error.type |
        | error.kind, without an exception | tag error.type |
        | message | tag error.message |
        | stack | tag error.stack |

        Args:
            key_values: the record.
            timestamp: not used.

        """
        try:
            _log_error(self._dd_span, key_values)
        except Exception as error:
            _log.warn("log_kv", f"log_kv: a record was ignored: {type(error).__name__}")
        return self

    def set_baggage_item(self, key: str, value: Any) -> Span:
        """Give this span, and what will descend from it, a baggage item."""
        self._baggage = {**(self._baggage or {}), key: value}
        context = self._context
        if context is not None:
            self._context = SpanContext(ddcontext=context._dd_context, baggage=self._baggage)
        return self

    def get_baggage_item(self, key: str) -> Any:
        """Return the baggage item of that key, or None."""
        return self._baggage.get(key) if self._baggage else None

    def _get_tag(self, key: str) -> str | None:
        return self._dd_span.get_tag(key)

    def _get_metric(self, key: str) -> float | None:
        return self._dd_span.get_metric(key)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self._dd_span.set_exc_info(exc_type, exc_val, exc_tb)
        self.finish()

    def __repr__(self) -> str:
        span = self._dd_span
        return f"<opentracer.Span {span.name!r} id={span.span_id} trace_id={span.trace_id}>"


def _log_error(span: _span.Span, record: Mapping[str, Any]) -> None:
    """Put what `record` says about an error on `span`."""
    failed = record.get("event") == "error"
    if failed:
        span.error = 1
    thrown = record.get("error.object", record.get("error"))
    stack = record.get("stack")
    if isinstance(thrown, BaseException):
        before = span.error
        if not isinstance(stack, TracebackType):
            traceback = thrown.__traceback__
        else:
            traceback, stack = stack, None
        if traceback is not None:
            span.set_exc_info(type(thrown), thrown, traceback)
        else:  # it was never raised
            load("fasttrace.errors").capture(span, type(thrown), thrown, None)
        span.error = before  # an exception may be logged without being the span's failure
    elif thrown is not None:
        span.set_tag("error.type", thrown)
    elif "error.kind" in record:
        kind = record["error.kind"]
        is_class = isinstance(kind, type)
        span.set_tag("error.type", f"{kind.__module__}.{kind.__name__}" if is_class else kind)
    if "message" in record:
        span.set_tag("error.message", record["message"])
    if stack is not None:
        span.set_tag("error.stack", stack)
