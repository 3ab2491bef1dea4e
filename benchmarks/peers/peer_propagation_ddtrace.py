"""ddtrace's HTTPPropagator: the styles datadog, tracecontext and baggage."""

from __future__ import annotations

import importlib.metadata

from bursts import Burst
from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import tracer
from propagated import datadog_scenarios

label = "ddtrace"
scenarios: dict[str, Burst] = datadog_scenarios(tracer, HTTPPropagator)


def versions() -> dict[str, str]:
    """Version of the installed package."""
    return {"ddtrace": importlib.metadata.version("ddtrace")}
