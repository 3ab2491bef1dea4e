"""ddtrace 2.21's OpenTracing face as a peer: everything up to the writer, which drops.

Telemetry and remote configuration are off (bench_opentracing.py sets the variables).
"""

from __future__ import annotations

import importlib
import importlib.metadata

import ddtrace
import measured
from bursts import Burst
from ddtrace.opentracer import Tracer
from ddtrace_writer import CountWriter

label = "ddtrace.opentracer"

_writer = CountWriter()
measured.tracer = Tracer("shop")
ddtrace.tracer._configure(writer=_writer)
scenarios: dict[str, Burst] = importlib.import_module("opentracing_shapes").scenarios


def versions() -> dict[str, str]:
    """Versions of the installed packages."""
    return {name: importlib.metadata.version(name) for name in ("ddtrace", "opentracing")}


def count_spans(burst: Burst, n: int) -> int:
    """Run `burst(n)` and return how many spans reached the writer."""
    _writer.count = 0
    burst(n)
    return _writer.count
