"""Runs one program of programs/: `python child.py sdk|fasttrace use_redis`.

Prints JSON: what the program returned and, under opentelemetry-sdk, every span it recorded. Under
fasttrace the spans go to the agent that the environment names.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry import trace

PROGRAMS = Path(__file__).parent / "programs"


def record_sdk() -> Callable[[], list[dict[str, Any]]]:
    """Set opentelemetry-sdk up; return a function that returns what it has recorded."""
    from opentelemetry.sdk.trace import Span, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    # The SDK forgets a description when a later status has none, and keeps no order between
    # descriptions and the exceptions that are recorded.
    described: dict[int, tuple[int, str]] = {}
    set_status = Span.set_status

    def set_status_and_note(span: Any, *args: Any, **kwargs: Any) -> None:
        before = span.status
        set_status(span, *args, **kwargs)
        if span.status is not before and span.status.description:
            described[span.context.span_id] = (len(span.events), span.status.description)

    Span.set_status = set_status_and_note  # type: ignore[method-assign]

    def as_dict(span: Any) -> dict[str, Any]:
        return {
            "trace_id": span.context.trace_id,
            "span_id": span.context.span_id,
            "parent_id": span.parent.span_id if span.parent else None,
            "name": span.name,
            "kind": span.kind.name,
            "attributes": dict(span.attributes),
            "status": span.status.status_code.name,
            "described": described.get(span.context.span_id),
            "events": [
                {"name": event.name, "attributes": dict(event.attributes)} for event in span.events
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

    return lambda: [as_dict(span) for span in exporter.get_finished_spans()]


def record_fasttrace() -> Callable[[], list[dict[str, Any]]]:
    """Set fasttrace up; its spans are not here but at the agent."""
    from fasttrace import tracer
    from fasttrace.opentelemetry import TracerProvider

    trace.set_tracer_provider(TracerProvider())

    def delivered() -> list[dict[str, Any]]:
        assert tracer.flush(20.0), tracer.stats()
        return []

    return delivered


def main(which: str, name: str) -> None:
    """Run the program."""
    recorded = {"sdk": record_sdk, "fasttrace": record_fasttrace}[which]()
    spec = importlib.util.spec_from_file_location(name, PROGRAMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    sys.modules[name] = program
    spec.loader.exec_module(program)
    notes = program.main(trace.get_tracer("program"))
    print(json.dumps({"notes": notes, "spans": recorded()}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the libraries; the programs are about their spans
    main(*sys.argv[1:])
