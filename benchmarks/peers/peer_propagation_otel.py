"""opentelemetry's default propagator: W3C trace context and baggage, but no Datadog style."""

from __future__ import annotations

import importlib.metadata

from bursts import Burst
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from propagated import BAGGAGE, BAGGAGE_HEADER, RECEIVED_BAGGAGE, TRACE_ID, extracting

label = "opentelemetry"

_propagator = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


def _build() -> dict[str, Burst]:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("bench").start_span("request")
    plain = trace.set_span_in_context(span, Context())
    with_baggage = plain
    for key, value in BAGGAGE.items():
        with_baggage = baggage.set_baggage(key, value, with_baggage)

    sent: dict[str, str] = {}
    _propagator.inject(sent, with_baggage)
    assert {"traceparent", *BAGGAGE_HEADER} == set(sent), sent
    found = _propagator.extract(RECEIVED_BAGGAGE, Context())
    assert trace.get_current_span(found).get_span_context().trace_id == TRACE_ID
    assert baggage.get_all(found) == BAGGAGE

    def inject(n: int) -> None:
        for _ in range(n):
            _propagator.inject({}, plain)

    def inject_baggage(n: int) -> None:
        for _ in range(n):
            _propagator.inject({}, with_baggage)

    return {"inject": inject, "inject_baggage": inject_baggage, **extracting(_propagator)}


scenarios: dict[str, Burst] = _build()


def versions() -> dict[str, str]:
    """Versions of the installed packages."""
    names = ("opentelemetry-sdk", "opentelemetry-api")
    return {name: importlib.metadata.version(name) for name in names}
