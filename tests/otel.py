"""What the tests of the OpenTelemetry face share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from helpers import spans_of
from opentelemetry import trace

from fasttrace import Tracer
from fasttrace.opentelemetry import TracerProvider


class Face:
    """An OpenTelemetry tracer, the native one under it, and what they have recorded."""

    def __init__(self, native: Tracer) -> None:
        self.native = native
        self.provider = TracerProvider(native)
        self.tracer: Any = self.provider.get_tracer("tests")

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans of the traces that are complete, as the agent gets them."""
        return spans_of(self.native)

    def span(self) -> dict[str, Any]:
        """Return the only span recorded since the last call."""
        (span,) = self.spans()
        return span

    def recorded(self, kind: trace.SpanKind, attributes: dict[str, Any]) -> dict[str, Any]:
        """Return what a span of that kind with these attributes becomes."""
        with self.tracer.start_as_current_span("given", kind=kind, attributes=attributes):
            pass
        return self.span()


@pytest.fixture
def face(new_tracer: Callable[..., Tracer]) -> Face:
    """An OpenTelemetry tracer without network."""
    return Face(new_tracer())
