"""What one style found in the headers of a request."""

from __future__ import annotations


class Found:
    """A trace context as one style wrote it, before the styles are combined.

    * style: name of the style, see `fasttrace.config`
    * trace_id: 1 to 2^128-1, or None where only a sampling decision was found
    * span_id: 1 to 2^64-1, or None
    * priority: sampling priority, a signed 32-bit int, or None
    * origin: printable ASCII, or None
    * meta: propagated tags, `_dd.p.*` and `_dd.propagation_error`
    * tracestate: canonical W3C tracestate, or None
    * traceparent: as received, if its flags say more than the priority does; else None
    * last_parent: id of the last Datadog span, 16 hex digits, or None
    """

    __slots__ = (
        "last_parent",
        "meta",
        "origin",
        "priority",
        "span_id",
        "style",
        "trace_id",
        "traceparent",
        "tracestate",
    )

    def __init__(
        self,
        style: str,
        trace_id: int | None,
        span_id: int | None,
        priority: int | None,
        origin: str | None = None,
        meta: dict[str, str] | None = None,
    ) -> None:
        self.style = style
        self.trace_id = trace_id
        self.span_id = span_id
        self.priority = priority
        self.origin = origin
        self.meta: dict[str, str] = {} if meta is None else meta
        self.tracestate: str | None = None
        self.traceparent: str | None = None
        self.last_parent: str | None = None
