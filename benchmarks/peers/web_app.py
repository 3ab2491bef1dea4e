"""One instrumented web application in a process: `python web_app.py flask|fastapi TRACER`.

TRACER is untraced, packages (OpenTelemetry's instrumentation with no tracer), fasttrace, otel or
ddtrace. Prints its port and the id of the process that answers. Each request reads three rows from
sqlite3 and has one span of the application's own.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

BREADS = [("rye", 5), ("oat", 7), ("spelt", 9)]


def set_up_untraced(app: str) -> Callable[[str], AbstractContextManager[Any]]:
    """Trace nothing; return what begins a span."""
    return lambda name: nullcontext()


def set_up_fasttrace(app: str) -> Callable[[str], AbstractContextManager[Any]]:
    """fasttrace under the packages of OpenTelemetry's instrumentation."""
    from opentelemetry import trace

    from fasttrace.opentelemetry import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    return instrument(app)


def set_up_otel(app: str) -> Callable[[str], AbstractContextManager[Any]]:
    """The SDK, which sends batches as OTLP over HTTP, under the same packages."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return instrument(app)


def instrument(app: str) -> Callable[[str], AbstractContextManager[Any]]:
    """Load the packages for the framework and for sqlite3."""
    from opentelemetry import trace
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    if app == "flask":
        from opentelemetry.instrumentation.flask import FlaskInstrumentor as Instrumentor
    else:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor as Instrumentor

    SQLite3Instrumentor().instrument()
    Instrumentor().instrument()
    return trace.get_tracer("benchmark").start_as_current_span


def set_up_ddtrace(app: str) -> Callable[[str], AbstractContextManager[Any]]:
    """ddtrace with the integrations that it loads by itself."""
    import ddtrace.auto  # noqa: F401
    from ddtrace.trace import tracer

    return tracer.trace


def make_connection() -> sqlite3.Connection:
    """Return a database of three rows."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE bread (name TEXT, slices INTEGER)")
    connection.executemany("INSERT INTO bread VALUES (?, ?)", BREADS)
    return connection


def answer(connection: sqlite3.Connection, span: Any, bread: str) -> dict[str, Any]:
    """Do what a request does."""
    with span("look up"):
        rows = connection.cursor().execute("SELECT * FROM bread WHERE name != ?", (bread,))
        return {"bread": bread, "others": rows.fetchall()}


def run_flask(span: Any) -> None:
    """Serve with Flask under the threaded server of werkzeug."""
    import logging

    import flask
    from werkzeug.serving import WSGIRequestHandler, make_server

    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # one connection for a burst, as uvicorn has
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = flask.Flask("shop")
    connection = make_connection()

    @app.get("/order/<bread>")
    def order(bread: str) -> Any:
        return answer(connection, span, bread)

    server = make_server("127.0.0.1", 0, app, threaded=False)
    print(server.server_port, os.getpid(), flush=True)
    server.serve_forever()


def run_fastapi(span: Any) -> None:
    """Serve with FastAPI under uvicorn."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()
    connection = make_connection()

    @app.get("/order/{bread}")
    async def order(bread: str) -> Any:
        return answer(connection, span, bread)

    # With the protocol named, asyncio turns Nagle's algorithm off; a reply takes 44 ms with it.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], os.getpid(), flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])


if __name__ == "__main__":
    app, tracer = sys.argv[1:]
    started = {
        "untraced": set_up_untraced,
        "packages": instrument,
        "fasttrace": set_up_fasttrace,
        "otel": set_up_otel,
        "ddtrace": set_up_ddtrace,
    }[tracer](app)
    {"flask": run_flask, "fastapi": run_fastapi}[app](started)
