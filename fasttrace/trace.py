"""The import path of ddtrace 3.x and later: `from fasttrace.trace import tracer`."""

from fasttrace._span import Context, Span
from fasttrace.filters import TraceFilter
from fasttrace.provider import BaseContextProvider
from fasttrace.tracer import Tracer, tracer

__all__ = ["BaseContextProvider", "Context", "Span", "TraceFilter", "Tracer", "tracer"]
