"""fasttrace's HTTPPropagator: the styles datadog, tracecontext and baggage."""

from __future__ import annotations

import importlib.metadata

from bursts import Burst
from propagated import datadog_scenarios

import fasttrace
from fasttrace import _span, tracer
from fasttrace.propagation.http import HTTPPropagator

label = "fasttrace"
file = _span.__file__  # shown, because a stale build is easily measured
scenarios: dict[str, Burst] = datadog_scenarios(tracer, HTTPPropagator)


def versions() -> dict[str, str]:
    """Version of the package."""
    try:
        version = importlib.metadata.version("fasttrace")
    except importlib.metadata.PackageNotFoundError:
        version = getattr(fasttrace, "__version__", "in place")
    return {"fasttrace": version}
