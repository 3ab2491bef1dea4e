"""logging: records carry the ids of the span that is active, and nothing outside of one."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.logging import LoggingInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Log."""
    LoggingInstrumentor().instrument(
        set_logging_format=True,
        log_hook=lambda span, record: setattr(record, "hooked", span.is_recording()),
    )
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logging.Formatter("%(otelTraceID)s %(otelSpanID)s %(otelTraceSampled)s"))
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.propagate = False
    notes: list[Any] = []

    def log() -> list[Any]:
        """Log one line; return whether its ids are those of the active span, and what it said."""
        lines.seek(0)
        lines.truncate()
        logger.warning("sold")
        trace_id, span_id, sampled = lines.getvalue().split()
        found = trace.get_current_span().get_span_context()
        expected = ("0", "0")
        if found.is_valid:
            expected = (f"{found.trace_id:032x}", f"{found.span_id:016x}")
        return [(trace_id, span_id) == expected, sampled]

    notes.append(log())
    with tracer.start_as_current_span("order") as span:
        notes.append(log())
        with tracer.start_as_current_span("inner"):
            notes.append(log())
        record = logger.makeRecord("shop", logging.INFO, "", 0, "sold", (), None)
        notes.append([record.hooked, record.otelServiceName])  # type: ignore[attr-defined]
        span.set_attribute("logged", True)
    with ThreadPoolExecutor(1) as pool:
        notes.append(pool.submit(log).result())
    return notes
