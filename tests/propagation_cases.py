"""What the tests of propagation share: propagators of one configuration, and example headers."""

from __future__ import annotations

from typing import Any

from fasttrace import Context
from fasttrace.config import Config
from fasttrace.propagation.http import Propagator

#: Every style that holds ids.
EVERY_STYLE = ("datadog", "tracecontext", "b3", "b3multi")

HIGH = 0x640CFD8D00000000
LOW = 0xABCDEF0123456789
BIG = HIGH << 64 | LOW  # a 128-bit trace id
SPAN = 0x1234

#: `BIG` and `SPAN` in the headers of each style, without a sampling decision.
DATADOG = {
    "x-datadog-trace-id": str(LOW),
    "x-datadog-parent-id": str(SPAN),
    "x-datadog-tags": "_dd.p.tid=640cfd8d00000000",
}
TRACEPARENT = "00-640cfd8d00000000abcdef0123456789-0000000000001234-01"
B3_TRACE = "640cfd8d00000000abcdef0123456789"
B3_SPAN = "0000000000001234"


def propagator(**environ: str) -> Propagator:
    """Return a Propagator configured by these environment variables alone."""
    return Propagator(Config.from_env(environ))


def styled(*styles: str, **environ: str) -> Propagator:
    """Return a Propagator that reads and writes these styles."""
    return propagator(DD_TRACE_PROPAGATION_STYLE=",".join(styles) or "none", **environ)


def injected(context: Any, *styles: str, **environ: str) -> dict[str, str]:
    """Return the headers these styles write for a context or span."""
    headers: dict[str, str] = {}
    styled(*styles, **environ).inject(context, headers)
    return headers


def extracted(headers: Any, *styles: str, **environ: str) -> Context:
    """Return the context these styles find in `headers`."""
    return styled(*styles, **environ).extract(headers)


def ids(context: Context) -> tuple[int | None, int | None]:
    """Trace id and span id."""
    return context.trace_id, context.span_id


def is_empty(context: Context) -> bool:
    """Whether the context says nothing at all."""
    return context == Context()
