"""Making one tracer the one that everybody uses."""

from __future__ import annotations

import opentracing

import fasttrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fasttrace.opentracer.tracer import Tracer


def set_global_tracer(tracer: Tracer) -> None:
    """Make `tracer` both `opentracing.tracer` and, with its spans, `fasttrace.tracer`."""
    opentracing.set_global_tracer(tracer)
    fasttrace.tracer = tracer._dd_tracer
