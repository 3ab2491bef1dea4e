"""ddtrace's HTTPPropagator, in the styles datadog, tracecontext and baggage, and middlewares.

Its writer drops what it gets, as in peer_ddtrace: its encoding is not counted, ours is.
"""

from __future__ import annotations

import importlib.metadata

import peer_ddtrace  # puts the writer in its place
from bursts import Burst
from ddtrace.contrib.asgi import TraceMiddleware
from ddtrace.contrib.wsgi import DDWSGIMiddleware
from ddtrace.propagation.http import HTTPPropagator
from propagated import datadog_scenarios
from served import served_scenarios

label = "ddtrace"
scenarios: dict[str, Burst] = {
    **datadog_scenarios(peer_ddtrace.tracer, HTTPPropagator),
    **served_scenarios(TraceMiddleware, DDWSGIMiddleware),
}


def versions() -> dict[str, str]:
    """Version of the installed package."""
    return {"ddtrace": importlib.metadata.version("ddtrace")}
