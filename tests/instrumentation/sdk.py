"""opentelemetry-sdk as the oracle: what a program records with it, in a form to compare."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# The SDK forgets a description when a later status has none, and keeps no order between
# descriptions and the exceptions that are recorded: span id -> (events before it, description).
_described: dict[int, tuple[int, str]] = {}
_set_status = Span.set_status


def _set_status_and_note(span: Any, *args: Any, **kwargs: Any) -> None:
    before = span.status
    _set_status(span, *args, **kwargs)
    if span.status is not before and span.status.description:
        _described[span.context.span_id] = (len(span.events), span.status.description)


Span.set_status = _set_status_and_note  # type: ignore[method-assign]


class Recorder:
    """A tracer provider of the SDK and what it has recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource.create())
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self) -> list[dict[str, Any]]:
        """Take the spans that have ended since the last call."""
        taken = [_as_dict(span) for span in self._exporter.get_finished_spans()]
        self._exporter.clear()
        return taken


def _as_dict(span: Any) -> dict[str, Any]:
    return {
        "trace_id": span.context.trace_id,
        "span_id": span.context.span_id,
        "parent_id": span.parent.span_id if span.parent else None,
        "name": span.name,
        "kind": span.kind.name,
        "attributes": dict(span.attributes),
        "status": span.status.status_code.name,
        "described": _described.get(span.context.span_id),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "events": [
            {"name": event.name, "attributes": dict(event.attributes), "time_ns": event.timestamp}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.context.trace_id,
                "span_id": link.context.span_id,
                "attributes": dict(link.attributes),
            }
            for link in span.links
        ],
    }
