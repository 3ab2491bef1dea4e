"""What the adapters of encoders.py share: ten finished spans of a tracer with ddtrace's API."""

from __future__ import annotations

from typing import Any

SPANS = 10


def finished_trace(tracer: Any, tagged: bool) -> list[Any]:
    """Ten finished spans, root first; with service, resource, two tags and a metric if `tagged`."""
    names: dict[str, str] = {"service": "web", "resource": "SELECT cart"} if tagged else {}
    spans = []
    with tracer.trace("web.request", **names) as root:
        spans.append(root)
        for _ in range(SPANS - 1):
            with tracer.trace("db.query", **names) as span:
                spans.append(span)
        if tagged:
            for span in spans:
                span.set_tag("db.system", "postgres")
                span.set_tag("db.name", "shop")
                span.set_metric("db.rows", 12)
    return spans
