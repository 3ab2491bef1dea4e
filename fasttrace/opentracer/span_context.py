"""SpanContext: what of a span its descendants get, in this process or another one."""

from __future__ import annotations

import opentracing

from fasttrace._span import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class SpanContext(opentracing.SpanContext):  # type: ignore[misc]  # opentracing has no types
    """The trace of a span, and baggage (ddtrace 2.21 `ddtrace.opentracer.span_context`).

    Args:
        trace_id: int of up to 128 bits, or None.
        span_id: int of 64 bits, or None.
        sampling_priority: -1, 0, 1 or 2, or None if not decided.
        baggage: items that spans begun under this context inherit; copied.
        ddcontext: fasttrace's own Context, in place of the three first.

    """

    __slots__ = ("_baggage", "_dd_context")

    def __init__(
        self,
        trace_id: int | None = None,
        span_id: int | None = None,
        sampling_priority: float | None = None,
        baggage: Mapping[str, Any] | None = None,
        ddcontext: Context | None = None,
    ) -> None:
        if ddcontext is None:
            ddcontext = Context(trace_id, span_id, sampling_priority=sampling_priority)
        self._dd_context = ddcontext
        self._baggage: dict[str, Any] = dict(baggage) if baggage else {}

    @property
    def baggage(self) -> dict[str, Any]:
        """The baggage items; not to be changed by the caller."""
        return self._baggage

    def set_baggage_item(self, key: str, value: Any) -> None:
        """Set a baggage item of this very context."""
        self._baggage[key] = value

    def with_baggage_item(self, key: str, value: Any) -> SpanContext:
        """Return a context of the same span with one more baggage item."""
        return SpanContext(ddcontext=self._dd_context, baggage={**self._baggage, key: value})

    def get_baggage_item(self, key: str) -> Any:
        """Return the baggage item of that key, or None."""
        return self._baggage.get(key)

    def __repr__(self) -> str:
        context = self._dd_context
        return (
            f"<SpanContext trace_id={context.trace_id} span_id={context.span_id} "
            f"baggage={sorted(self._baggage)}>"
        )
