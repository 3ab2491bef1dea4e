"""The formats TEXT_MAP and HTTP_HEADERS: the headers of the configured styles, and baggage.

Baggage items are headers ot-baggage-<key>, whatever is configured for the native baggage, as in
ddtrace 2.21.
"""

from __future__ import annotations

import opentracing

from fasttrace import _log
from fasttrace._parse import is_header_name
from fasttrace.opentracer.span_context import SpanContext
from fasttrace.propagation import carrier as carriers
from fasttrace.propagation.text import is_printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.propagation.http import Propagator

_PREFIX = carriers.OT_BAGGAGE_PREFIX
_PREFIX_CHARS = len(_PREFIX)

#: Style -> the header without which a carrier has no context of that style.
_ID_HEADERS = {
    "datadog": "x-datadog-trace-id",
    "tracecontext": "traceparent",
    "b3": "b3",
    "b3multi": "x-b3-traceid",
}
_B3_DECISIONS = ("0", "1", "d")  # a b3 header without ids, and well-formed


class HTTPPropagator:
    """Injects into and extracts from dicts and other mappings of text.

    Args:
        native: what handles the trace itself.
        as_headers: whether baggage must be able to stand in HTTP headers; what is not is left out.

    """

    def __init__(self, native: Propagator, as_headers: bool) -> None:
        self._native = native
        self._as_headers = as_headers

    def inject(self, span_context: SpanContext, carrier: Any) -> None:
        """Write `span_context` into `carrier`.

        Raises:
            opentracing.InvalidCarrierException: nothing can be stored in `carrier` by name.

        """
        if not isinstance(carrier, dict) and not _stores_by_name(carrier):
            raise opentracing.InvalidCarrierException(
                f"a mapping is needed as carrier, got {type(carrier).__name__}"
            )
        self._native.inject(span_context._dd_context, carrier)
        for key, value in span_context._baggage.items():
            name, text = f"{_PREFIX}{key}", str(value)
            if self._as_headers and not (is_header_name(name) and is_printable(text)):
                _log.debug("a baggage item that cannot stand in a header is not sent")
                continue
            carrier[name] = text

    def extract(self, carrier: Any) -> SpanContext:
        """Return what `carrier` holds; a context without ids if it holds none.

        Raises:
            opentracing.InvalidCarrierException: `carrier` is no mapping.
            opentracing.SpanContextCorruptedException: there are headers of a trace in it, but no
                trace can be read from them.

        """
        if not isinstance(carrier, dict) and not hasattr(carrier, "items"):
            raise opentracing.InvalidCarrierException(
                f"a mapping is needed as carrier, got {type(carrier).__name__}"
            )
        context = self._native.extract(carrier)
        if context.trace_id is None and not context._span_links:
            self._refuse_corrupted(carrier)
        baggage: dict[str, Any] = {}
        for key, value in carrier.items():
            name = _baggage_key(key)
            if name:
                baggage[name] = value
        return SpanContext(ddcontext=context, baggage=baggage)

    def _refuse_corrupted(self, carrier: Any) -> None:
        """Raise if `carrier` was meant to hold a trace."""
        try:
            headers = carriers.read(carrier)
        except Exception:  # what was reported by the native extract
            return
        for style in self._native._extracted:
            name = _ID_HEADERS[style]
            text = headers.get(name, "").strip()
            if text and not (style == "b3" and text in _B3_DECISIONS):
                raise opentracing.SpanContextCorruptedException(
                    f"the carrier has a header {name}, but no trace can be read from it"
                )


def _stores_by_name(carrier: object) -> bool:
    return hasattr(carrier, "__setitem__") and hasattr(carrier, "items")


def _baggage_key(name: object) -> str:
    """The key of the baggage item in the header `name`, "" if there is none in it.

    Names as they were injected keep their case; in any other spelling it is lost on the way.
    """
    if not isinstance(name, str) or len(name) <= _PREFIX_CHARS:
        return ""
    if name.startswith(_PREFIX):
        return name[_PREFIX_CHARS:]
    lower = name.lower()
    if lower.startswith(_PREFIX):
        return lower[_PREFIX_CHARS:]
    if lower.startswith("http_ot_baggage_"):  # a WSGI environ
        return lower[len("http_ot_baggage_") :]
    return ""
