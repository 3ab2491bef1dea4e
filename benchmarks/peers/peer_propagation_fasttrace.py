"""fasttrace's HTTPPropagator, in the styles datadog, tracecontext and baggage, and middlewares."""

from __future__ import annotations

import importlib.metadata

from bursts import Burst
from peer_fasttrace import after_burst as after_burst
from propagated import datadog_scenarios
from served import served_scenarios

import fasttrace
from fasttrace import _span, tracer
from fasttrace.contrib.asgi import TraceMiddleware
from fasttrace.contrib.wsgi import DDWSGIMiddleware
from fasttrace.propagation.http import HTTPPropagator

label = "fasttrace"
file = _span.__file__  # shown, because a stale build is easily measured
scenarios: dict[str, Burst] = {
    **datadog_scenarios(tracer, HTTPPropagator),
    **served_scenarios(TraceMiddleware, DDWSGIMiddleware),
}


def versions() -> dict[str, str]:
    """Version of the package."""
    try:
        version = importlib.metadata.version("fasttrace")
    except importlib.metadata.PackageNotFoundError:
        version = getattr(fasttrace, "__version__", "in place")
    return {"fasttrace": version}
