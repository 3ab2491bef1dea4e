"""The OpenTelemetry API on fasttrace's compiled core: `pip install fasttrace[opentelemetry]`.

    from opentelemetry import trace
    from fasttrace.opentelemetry import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    tracer = trace.get_tracer(__name__)

    with tracer.start_as_current_span("checkout", kind=trace.SpanKind.SERVER) as span:
        span.set_attribute("basket.items", 3)

The spans are fasttrace's own, which have the methods of the API: OpenTelemetry spans, native ones
and those of OpenTracing nest in each other. Names and attributes are mapped as ddtrace 4.16's table
intends; docs/opentelemetry.md has it.
"""

try:
    import opentelemetry.trace as _trace
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] != "opentelemetry":
        raise
    raise ImportError(
        "fasttrace.opentelemetry needs the package opentelemetry-api. Install it with "
        "`pip install fasttrace[opentelemetry]`",
        name=error.name,
    ) from error

from fasttrace import _span
from fasttrace._otel_context import RuntimeContext
from fasttrace.opentelemetry.propagator import DatadogPropagator, Propagator
from fasttrace.opentelemetry.provider import Tracer, TracerProvider

# isinstance(span, trace.Span) is remembered for each class; a registered class itself is not.
_trace.Span.register(_span.SpanBase)
_trace.Tracer.register(_span.OtelTracerBase)

__all__ = ["DatadogPropagator", "Propagator", "RuntimeContext", "Tracer", "TracerProvider"]
