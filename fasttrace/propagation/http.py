"""`HTTPPropagator`: a trace into headers and out of them, in all configured styles.

    headers: dict[str, str] = {}
    HTTPPropagator.inject(span, headers)          # in the service that calls

    context = HTTPPropagator.extract(request.headers)   # in the one that is called
    tracer.context_provider.activate(context)

Which styles, and what is done when they contradict each other, is configured (`Config`, fields
`propagation_*`). Follows ddtrace 4.16; neither function ever raises because of what is in the
headers.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace._span import Context, PropagatorCore, Span, decide_context, otel_baggage
from fasttrace.propagation import b3, baggage, carrier, datadog, tracecontext
from fasttrace.propagation.text import SPAN_ID_MAX, is_printable
from fasttrace.tracer import tracer as default_tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.config import Config
    from fasttrace.propagation.found import Found

    Link = tuple[int, int, str | None, int, dict[str, str]]

_LAST_PARENT = "_dd.parent_id"
_BAGGAGE_TAG = "baggage."


class Propagator(PropagatorCore):
    """Injects and extracts in the styles of one configuration.

    The base class does the common cases: plain dicts of what well-behaved services send. This class
    does all of them, and is the measure of what the base class does.

    Args:
        config: the settings; of a tracer, or `Config.from_env()`.
        compiled: whether the base class may do anything, for tests.

    """

    def __init__(self, config: Config, *, compiled: bool = True) -> None:
        trace_styles = [style for style in config.propagation_style_extract if style != "baggage"]
        if config.propagation_extract_first:
            del trace_styles[1:]
        ignore = config.propagation_behavior_extract == "ignore"
        self._extracted: tuple[str, ...] = () if ignore else tuple(trace_styles)
        self._extracts_baggage = not ignore and "baggage" in config.propagation_style_extract
        self._restarts = config.propagation_behavior_extract == "restart"
        self._injected = frozenset(config.propagation_style_inject)
        self._wide_ids = config.trace_id_128bit
        self._tags_max_chars = config.propagation_tags_max_chars
        self._ot_baggage = config.propagation_ot_baggage
        self._tag_keys = config.baggage_tag_keys
        super().__init__(
            config.propagation_style_inject,
            self._extracted,
            self._extracts_baggage,
            self._wide_ids,
            self._tags_max_chars,
            self._tag_keys,
            compiled and not self._ot_baggage,
            compiled and not self._ot_baggage and not self._restarts,
        )

    # -- out -------------------------------------------------------------------------------------

    def _inject_slow(self, source: object, headers: Any) -> None:
        try:
            found = self._headers(source)
            if found:
                carrier.write(headers, found)
        except Exception as error:
            _log.warn("inject", f"headers could not be injected: {type(error).__name__}")

    def _headers(self, source: object) -> dict[str, str]:
        styles = self._injected
        headers: dict[str, str] = {}
        if not styles:
            return headers
        context = _decided_context(source)
        if context is None:
            return headers
        items = context.get_all_baggage_items()
        attached = otel_baggage(source)
        if attached:
            items = {**items, **attached}
        if items and "baggage" in styles:
            text = baggage.encode(items)
            if text:
                headers[baggage.HEADER] = text
        trace_id, span_id = context.trace_id, context.span_id
        if trace_id is None or span_id is None:
            return headers
        if items and self._ot_baggage:
            _write_ot_baggage(headers, items)
        priority, origin, meta = context.sampling_priority, context.dd_origin, context._meta
        if "datadog" in styles:
            if trace_id > SPAN_ID_MAX:
                high = f"{trace_id >> 64:016x}"
                if meta.get(datadog.HIGH_ID) != high:
                    # Spans begun from now on have the tag, as in ddtrace.
                    context._set_meta(datadog.HIGH_ID, high)
                    meta = context._meta
            error = datadog.inject(
                headers, trace_id, span_id, priority, origin, meta, self._tags_max_chars
            )
            if error is not None:
                context._set_meta(datadog.ERROR, error)
        if "b3multi" in styles:
            b3.inject_multi(headers, trace_id, span_id, priority)
        if "b3" in styles:
            b3.inject_single(headers, trace_id, span_id, priority)
        if "tracecontext" in styles:
            parent = meta.get(_LAST_PARENT) if context._is_remote else f"{span_id:016x}"
            tracecontext.inject(headers, trace_id, span_id, priority, origin, meta, parent)
        return headers

    # -- in --------------------------------------------------------------------------------------

    def _extract_slow(self, headers: Any) -> Context:
        try:
            return self._context(headers)
        except Exception as error:
            _log.warn("extract", f"headers could not be read: {type(error).__name__}")
            return Context()

    def _context(self, headers: Any) -> Context:
        if not headers or not (self._extracted or self._extracts_baggage):
            return Context()
        known = carrier.read(headers)
        if type(headers) is not dict and type(headers) is not list:
            context = self._extract_known(known)
            if context is not None:
                return context
        items = baggage.extract(known) if self._extracts_baggage else {}
        contexts = [found for style in self._extracted if (found := self._found(style, known))]
        primary: Found | None = None
        links: list[Link] = []
        if contexts:
            primary = next((found for found in contexts if found.trace_id), contexts[0])
            links = _resolve(primary, contexts)
            if self._ot_baggage and not items:
                items = carrier.read_ot_baggage(headers)
        if self._restarts:
            link = _link(primary, "propagation_behavior_extract") if primary else None
            return Context(span_links=[link] if link else None, baggage=items or None)
        meta = primary.meta if primary else {}
        if items:
            self._add_baggage_tags(meta, items)
        if primary is None:
            return Context(meta=meta, baggage=items or None)
        # The core keeps these with the propagated tags, and does not put them on spans.
        if primary.traceparent:
            meta[tracecontext.TRACEPARENT] = primary.traceparent
        if primary.tracestate:
            meta[tracecontext.TRACESTATE] = primary.tracestate
        if primary.last_parent:
            meta[_LAST_PARENT] = primary.last_parent
        return Context(
            trace_id=primary.trace_id,
            span_id=primary.span_id,
            dd_origin=primary.origin,
            sampling_priority=primary.priority,
            meta=meta,
            span_links=links,
            baggage=items or None,
        )

    def _found(self, style: str, headers: dict[str, str]) -> Found | None:
        if style == "datadog":
            return datadog.extract(headers, self._wide_ids)
        if style == "tracecontext":
            return tracecontext.extract(headers)
        if style == "b3":
            return b3.extract_single(headers)
        return b3.extract_multi(headers)

    def _add_baggage_tags(self, meta: dict[str, str], items: dict[str, str]) -> None:
        keys = items if "*" in self._tag_keys else self._tag_keys
        for key in keys:
            if key in items:
                meta.setdefault(_BAGGAGE_TAG + key, items[key])


def _decided_context(source: object) -> Context | None:
    """The context to inject, its trace's sampling decision taken where that is possible."""
    if not isinstance(source, (Span, Context)):
        if source is not None:
            _log.warn("inject", f"inject takes a Span or a Context, got {type(source).__name__}")
        return None
    decide_context(source)
    return source.context if isinstance(source, Span) else source


def _write_ot_baggage(headers: dict[str, str], items: dict[str, Any]) -> None:
    from fasttrace._parse import is_header_name

    for key, value in items.items():
        name, text = carrier.OT_BAGGAGE_PREFIX + str(key), str(value)
        if is_header_name(name) and is_printable(text):
            headers[name] = text
        else:
            _log.debug("a baggage item that cannot stand in a header is not sent")


def _resolve(primary: Found, contexts: list[Found]) -> list[Link]:
    """Complete `primary` with what the other contexts know; return links to other traces."""
    links: list[Link] = []
    dd_context = next((found for found in contexts if found.style == "datadog"), None)
    for found in contexts:
        if found is primary or found.trace_id is None:
            continue
        if _whole_id(found) != _whole_id(primary):
            link = _link(found, "terminated_context")
            if link is not None:
                links.append(link)
        elif found.style == "tracecontext":
            primary.traceparent, primary.tracestate = found.traceparent, found.tracestate
            if primary.span_id != found.span_id:
                # A service without Datadog's tracer was in between: its span is the parent, and
                # the backend learns the last Datadog span before it.
                if found.last_parent:
                    primary.last_parent = found.last_parent
                elif dd_context is not None and dd_context.span_id:
                    primary.last_parent = f"{dd_context.span_id:016x}"
                primary.span_id = found.span_id
    return links


def _whole_id(found: Found) -> int | None:
    """The trace id with the half that is only a tag while 128-bit ids are off."""
    high = found.meta.get(datadog.HIGH_ID)
    if high is None or found.trace_id is None or found.trace_id > SPAN_ID_MAX:
        return found.trace_id
    return int(high, 16) << 64 | found.trace_id


def _link(found: Found, reason: str) -> Link | None:
    if not found.trace_id or not found.span_id:
        return None
    return (
        found.trace_id,
        found.span_id,
        found.tracestate if found.style == "tracecontext" else None,
        1 if found.priority is not None and found.priority > 0 else 0,
        {"reason": reason, "context_headers": found.style},
    )


_default = Propagator(default_tracer._config)


class HTTPPropagator:
    """The configured styles of the default tracer, under the name ddtrace users know."""

    inject = staticmethod(_default.inject)  # of the base class
    extract = staticmethod(_default.extract)
