"""fasttrace as a peer: the whole path of a span, up to bytes waiting in the payload buffer.

Ids, parentage, clocks, sampling decision, chunk tags, v0.4 encoding and submission are all timed.
Only the sending is left out, as it is for the peers: the flusher is kept from starting, and what it
does beside sending is done between bursts, outside the timed part: payloads are taken away and the
clock is calibrated. FASTTRACE_TSC=0 in the environment keeps the time stamp counter out.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import time
from typing import Any

import measured
from bursts import Burst

import fasttrace
from fasttrace import Context, _span, tracer

label = "fasttrace"
file = _span.__file__  # shown, because a stale build is easily measured

# As if a flusher were already there: the first chunk then starts no thread.
tracer._flusher_running = True

TSC_ALLOWED = os.environ.get("FASTTRACE_TSC", "1") not in ("0", "false")
time.sleep(0.02)  # the calibration refuses a shorter baseline
CLOCK = _span.adjust_clock(TSC_ALLOWED)

measured.tracer, measured.Context = tracer, Context
scenarios: dict[str, Burst] = importlib.import_module("shapes").scenarios


def versions() -> dict[str, str]:
    """Version of the package, and the clock in use."""
    try:
        version = importlib.metadata.version("fasttrace")
    except importlib.metadata.PackageNotFoundError:
        version = getattr(fasttrace, "__version__", "in place")
    found = {"fasttrace": version, "clock": CLOCK}
    if os.environ.get("FASTTRACE_INPLACE_CONTEXT"):
        found["context in place"] = _span.inplace_context()
    return found


def after_burst() -> None:
    """Do what a flush does but send: take the payloads away, re-anchor the clock."""
    _span.adjust_clock(TSC_ALLOWED)
    for payload in tracer._swap():
        tracer._settle(payload, "bench")


def count_spans(burst: Burst, n: int) -> int:
    """Run `burst(n)` and return how many spans the encoded payloads really hold."""
    import msgpack

    after_burst()
    burst(n)
    count = 0
    for payload in tracer._swap():
        body = b"".join(bytes(piece) for piece in payload.buffers())
        traces: Any = msgpack.unpackb(body)
        count += sum(len(trace) for trace in traces)
        tracer._settle(payload, "bench")
    return count
