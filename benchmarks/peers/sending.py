"""Tracers that really send, to the sink at a URL; each takes the configuration it has by default.

`make(name, url)` returns a burst of 10-span tagged traces, a function that waits until all of it is
sent, and the tracer. "none" is the control: the same loops without a tracer.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import measured
from bursts import CHILDREN, Burst

Sending = tuple[Burst, Callable[[], object], Any]


def _fasttrace(url: str) -> Sending:
    os.environ["DD_TRACE_AGENT_URL"] = url
    from fasttrace import tracer

    measured.tracer = tracer
    return importlib.import_module("shapes").tagged_child10, tracer.flush, tracer


def _ddtrace(url: str) -> Sending:
    os.environ.update(
        DD_TRACE_AGENT_URL=url,
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
    )
    from ddtrace.trace import tracer

    measured.tracer = tracer
    return importlib.import_module("shapes").tagged_child10, tracer.flush, tracer


def _otel(url: str) -> Sending:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=url + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")
    peer = importlib.import_module("peer_otel")
    return peer._build(tracer)["tagged_child10"], provider.force_flush, tracer


def _none(url: str) -> Sending:
    def burst(n: int) -> None:
        for _ in range(n // 10):
            for _ in CHILDREN:
                pass

    return burst, lambda: None, None


def make(name: str, url: str) -> Sending:
    """Raises KeyError if there is no tracer of that name."""
    makers = {"none": _none, "fasttrace": _fasttrace, "ddtrace": _ddtrace, "otel": _otel}
    return makers[name](url)
