"""One small web service in a process: `python service_app.py fastapi|flask TRACER PORT`.

TRACER is none, fasttrace, ddtrace or otel: its own ASGI or WSGI middleware around the application,
and three spans with two tags each within every request. FastAPI runs under uvicorn, Flask under
gunicorn, one process each (gunicorn has a second, which only watches).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

ITEMS = [{"number": number, "name": f"bread {number}", "price": 3.5} for number in range(40)]
SPANS = (("cache.get", "cache.key"), ("db.query", "db.name"), ("render", "template"))

Trace = Callable[[str, str], AbstractContextManager[Any]]
Wrap = Callable[[Any], Any]


def answer(trace: Trace) -> bytes:
    """What a request does: three spans, and a few kilobytes of JSON to make and read."""
    body = ""
    for name, tag in SPANS:
        with trace(name, tag):
            body = json.dumps(ITEMS if not body else json.loads(body))
    return body.encode()


def set_up_none(asgi: bool) -> tuple[Trace, Wrap]:
    """No tracer: the cheapest `with` there is, and no middleware."""
    null = contextlib.nullcontext()
    return lambda name, tag: null, lambda app: app


def _datadog(tracer: Any) -> Trace:
    def trace(name: str, tag: str) -> Any:
        span = tracer.trace(name, resource="bench")
        span.set_tag(tag, "value")
        span.set_metric("rows", 12)
        return span

    return trace


def set_up_fasttrace(asgi: bool) -> tuple[Trace, Wrap]:
    """Its own middleware."""
    from fasttrace import tracer

    if asgi:
        from fasttrace.contrib.asgi import TraceMiddleware
    else:
        from fasttrace.contrib.wsgi import TraceMiddleware
    return _datadog(tracer), TraceMiddleware


def set_up_ddtrace(asgi: bool) -> tuple[Trace, Wrap]:
    """Its own middleware, without `ddtrace.auto`, which would trace more than this."""
    from ddtrace.trace import tracer

    if asgi:
        from ddtrace.contrib.asgi import TraceMiddleware

        return _datadog(tracer), TraceMiddleware
    from ddtrace.contrib.wsgi import DDWSGIMiddleware

    return _datadog(tracer), DDWSGIMiddleware


def set_up_otel(asgi: bool) -> tuple[Trace, Wrap]:
    """The SDK with batches sent as OTLP over HTTP, and the middleware of its contrib packages."""
    from opentelemetry import trace as api
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    api.set_tracer_provider(provider)
    tracer = api.get_tracer("bench")

    def trace(name: str, tag: str) -> Any:
        return tracer.start_as_current_span(name, attributes={tag: "value", "rows": 12})

    def wrap(app: Any) -> Any:
        if asgi:
            from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

            # A span for the request and none for each message, as the others have it.
            return OpenTelemetryMiddleware(app, exclude_spans=["send", "receive"])
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WSGIMiddleware

        return WSGIMiddleware(app)

    return trace, wrap


SET_UP = {
    "none": set_up_none,
    "fasttrace": set_up_fasttrace,
    "ddtrace": set_up_ddtrace,
    "otel": set_up_otel,
}


def run_fastapi(tracer: str, port: int) -> None:
    """Serve with uvicorn."""
    import uvicorn
    from fastapi import FastAPI, Response

    trace, wrap = SET_UP[tracer](True)
    app = FastAPI()

    @app.get("/bread/{number}")
    async def bread(number: int) -> Response:
        return Response(answer(trace), media_type="application/json")

    uvicorn.run(wrap(app), host="127.0.0.1", port=port, log_level="error", access_log=False)


def run_flask(tracer: str, port: int) -> None:
    """Serve with gunicorn: one worker process with threads, which keeps connections."""
    from flask import Flask, Response
    from gunicorn.app.base import BaseApplication

    def make() -> Any:
        trace, wrap = SET_UP[tracer](False)
        app = Flask("shop")

        @app.get("/bread/<int:number>")
        def bread(number: int) -> Response:
            return Response(answer(trace), mimetype="application/json")

        app.wsgi_app = wrap(app.wsgi_app)  # type: ignore[method-assign]
        return app

    class Server(BaseApplication):
        def load_config(self) -> None:
            for name, value in {
                "bind": f"127.0.0.1:{port}",
                "workers": 1,
                "worker_class": "gthread",
                "threads": 8,
                "loglevel": "error",
            }.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return make()  # in the worker, as with a server that does not preload

    Server().run()


if __name__ == "__main__":
    framework, tracer, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.environ.setdefault("DD_SERVICE", "shop")
    {"fastapi": run_fastapi, "flask": run_flask}[framework](tracer, port)
