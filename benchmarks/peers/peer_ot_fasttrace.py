"""fasttrace's OpenTracing face as a peer; the native tracer beneath is that of peer_fasttrace.

Its "native_*" scenarios are the native ones in a process that has imported the face and uses it.
"""

from __future__ import annotations

import importlib

import measured
import peer_fasttrace
from bursts import Burst
from peer_fasttrace import after_burst, count_spans, file, versions

from fasttrace.opentracer import Tracer, set_global_tracer

__all__ = ["after_burst", "count_spans", "file", "label", "scenarios", "versions"]

label = "fasttrace.opentracer"

measured.tracer = Tracer("shop")
set_global_tracer(measured.tracer)
scenarios: dict[str, Burst] = dict(importlib.import_module("opentracing_shapes").scenarios)
for _name in ("single_root", "child10"):
    scenarios[f"native_{_name}"] = peer_fasttrace.scenarios[_name]
