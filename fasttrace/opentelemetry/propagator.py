"""The configured propagation styles under the API of `opentelemetry.propagate`."""

from __future__ import annotations

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from fasttrace import _log, _span
from fasttrace.config import Config
from fasttrace.opentelemetry.bridge import RemoteSpan, native_context
from fasttrace.propagation import baggage as baggage_style
from fasttrace.propagation import http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADERS = {
    "datadog": (
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-origin",
        "x-datadog-tags",
    ),
    "tracecontext": ("traceparent", "tracestate"),
    "b3": ("b3",),
    "b3multi": ("x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"),
    "baggage": (baggage_style.HEADER,),
}
_OT_BAGGAGE = "ot-baggage-"


class Propagator(TextMapPropagator):
    """Writes and reads the headers of all configured styles, OpenTelemetry's baggage included.

    Args:
        config: the settings, of a tracer; None: from the environment.

    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = Config.from_env() if config is None else config
        self._native = http.Propagator(self._config)
        self._fields = {
            name for style in self._config.propagation_style_inject for name in _HEADERS[style]
        }
        self._read = [
            name for style in self._config.propagation_style_extract for name in _HEADERS[style]
        ]

    def inject(
        self,
        carrier: Any,
        context: Context | None = None,
        setter: Setter[Any] = default_setter,
    ) -> None:
        """Write the headers of the span and the baggage in `context` (None: the current one)."""
        span: Any = trace.get_current_span(context)
        source = span if type(span) is _span.Span else native_context(span)
        headers: dict[str, str] = {}
        if source is not None:
            self._native.inject(source, headers)
        items = baggage.get_all(context)
        # What goes along by itself is that of the current context, not of the one that is given.
        attached = headers.pop(baggage_style.HEADER, None) is not None
        if (items or attached) and "baggage" in self._config.propagation_style_inject:
            own = source.context if type(source) is _span.Span else source
            text = baggage_style.encode({**own.get_all_baggage_items(), **items} if own else items)
            if text:
                headers[baggage_style.HEADER] = text
        for name, value in headers.items():
            setter.set(carrier, name, value)

    def extract(
        self,
        carrier: Any,
        context: Context | None = None,
        getter: Getter[Any] = default_getter,
    ) -> Context:
        """Return `context` (None: an empty one) with the trace and the baggage of the headers."""
        if context is None:
            context = Context()
        try:
            headers = self._headers(carrier, getter)
        except Exception as error:
            _log.warn("extract", f"headers could not be read: {type(error).__name__}")
            return context
        if not headers:
            return context
        found = self._native.extract(headers)
        if found.trace_id or found._span_links:
            context = trace.set_span_in_context(RemoteSpan(found), context)
        for key, value in found.get_all_baggage_items().items():
            context = baggage.set_baggage(key, value, context)
        return context

    def _headers(self, carrier: Any, getter: Getter[Any]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name in self._read:
            values = getter.get(carrier, name)
            if values:
                headers[name] = ",".join(values)
        if self._config.propagation_ot_baggage:
            for name in getter.keys(carrier):
                values = getter.get(carrier, name) if name.lower().startswith(_OT_BAGGAGE) else None
                if values:
                    headers[name.lower()] = values[0]
        return headers

    @property
    def fields(self) -> set[str]:
        """Names of the headers that `inject` may write."""
        return self._fields


class DatadogPropagator(Propagator):
    """Only Datadog's own headers: `datadog` among OTEL_PROPAGATORS."""

    def __init__(self) -> None:
        styles = ("datadog",)
        super().__init__(
            Config.from_env().replace(
                propagation_style_inject=styles, propagation_style_extract=styles
            )
        )
