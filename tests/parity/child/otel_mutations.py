"""Ways in which the OpenTelemetry face could be wrong."""

import importlib

from mutation_registry import behaviour


def _module(library, name):
    return importlib.import_module(f"{library}.{name}")


@behaviour("otel.record_exception", "otel.exception_*")
def otel_exceptions_are_forgotten(library):
    """No exception is recorded."""
    _module(library, "errors").record_otel = lambda *args, **kwargs: None


@behaviour("otel.baggage")
def otel_baggage_stays_home(library):
    """The native propagator does not know OpenTelemetry's baggage."""
    _module(library, "propagation.http").otel_baggage = lambda source: None


@behaviour("otel.remote_parent")
def otel_remote_parents_are_not_seen(library):
    """A span of another process is nobody's parent."""
    _module(library, "opentelemetry.bridge").native_context = lambda span: None


@behaviour("otel.span_context")
def otel_decisions_stay_open(library):
    """Asking for the SpanContext decides nothing."""
    _module(library, "_span").decide_context = lambda source: None
