"""A program of instrumented libraries: `python otel_program.py sdk|fasttrace`.

It prints what was recorded as JSON: for each span name, kind, name of the parent, attributes,
status and events. test_otel_oracle.py runs it.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import ExitStack
from typing import Any

import flask
import requests
import uvicorn
from fastapi import FastAPI
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.trace import SpanKind, Status, StatusCode
from werkzeug.serving import make_server


def work(tracer: trace.Tracer) -> None:
    """Spans, errors and baggage as an application makes them."""
    with tracer.start_as_current_span("order", kind=SpanKind.CONSUMER) as span:
        span.set_attributes(
            {"items": 3, "price": 2.5, "paid": True, "who": "bo", "tags": ["a", "b"]}
        )
        token = context.attach(baggage.set_baggage("table", "7"))
        with tracer.start_as_current_span("detached", context=context.Context()):
            pass
        try:
            with tracer.start_as_current_span("cook"):
                raise ValueError("burnt")
        except ValueError:
            pass
        context.detach(token)
        later = tracer.start_span("later")
        with trace.use_span(later, end_on_exit=True):
            tracer.start_span("leaf").end()
        span.set_status(Status(StatusCode.OK))


def serve_flask(tracer: trace.Tracer) -> None:
    """A Flask server that is called by requests, and calls on."""
    app = flask.Flask("shop")
    FlaskInstrumentor().instrument_app(app)

    @app.route("/order/<name>")
    def order(name: str) -> Any:
        with tracer.start_as_current_span("make"):
            return f"{name} for table {baggage.get_baggage('table')}"

    @app.route("/fail")
    def fail() -> Any:
        raise RuntimeError("no bread")

    app.logger.disabled = True
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tracer.start_as_current_span("client"):
            token = context.attach(baggage.set_baggage("table", "7"))
            for path in ("/order/rye", "/fail", "/missing"):
                reply = requests.get(f"http://127.0.0.1:{server.server_port}{path}", timeout=30)
            context.detach(token)
            assert reply.status_code == 404
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serve_fastapi(tracer: trace.Tracer) -> None:
    """A FastAPI application, with routes that are coroutines and routes that run in threads."""
    app = FastAPI()

    @app.get("/items/{name}")
    async def item(name: str) -> dict[str, str]:
        with tracer.start_as_current_span("look up"):
            return {"name": name}

    @app.get("/slow")
    def slow() -> dict[str, str]:
        with tracer.start_as_current_span("compute"):
            return {}

    FastAPIInstrumentor.instrument_app(app)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with tracer.start_as_current_span("around"):
            for path in ("/items/1?size=2", "/slow", "/missing"):
                requests.get(f"http://127.0.0.1:{port}{path}", timeout=30)
    finally:
        server.should_exit = True
        thread.join()


def record_sdk() -> Any:
    """Set up opentelemetry-sdk; return a function that returns what was recorded."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def recorded() -> list[dict[str, Any]]:
        spans = exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans if span.context}
        return [
            {
                "name": span.name,
                "kind": span.kind.name.lower(),
                "parent": names[span.parent.span_id] if span.parent else None,
                "attributes": dict(span.attributes or {}),
                "error": span.status.status_code is StatusCode.ERROR,
                "message": span.status.description,
                "events": [event.name for event in span.events],
            }
            for span in spans
        ]

    return recorded


def record_fasttrace() -> Any:
    """The same for fasttrace."""
    stack = ExitStack()
    from fasttrace.opentelemetry import TracerProvider
    from fasttrace.testing import capture

    trace.set_tracer_provider(TracerProvider())
    spans = stack.enter_context(capture())

    def recorded() -> list[dict[str, Any]]:
        stack.close()
        names = {span.span_id: span.resource for span in spans}
        return [
            {
                "name": span.resource,
                "kind": span.meta.get("span.kind", "internal"),
                "parent": names[span.parent_id] if span.parent_id else None,
                "attributes": {
                    name: value
                    for name, value in span.tags.items()
                    if name.partition(".")[0] not in ("error", "span", "events")
                },
                "error": bool(span.error),
                "message": span.meta.get("error.message"),
                "events": [event["name"] for event in span.events],
            }
            for span in spans
        ]

    return recorded


if __name__ == "__main__":
    recorded = record_sdk() if sys.argv[1] == "sdk" else record_fasttrace()
    RequestsInstrumentor().instrument()
    tracer = trace.get_tracer("program")
    work(tracer)
    serve_flask(tracer)
    serve_fastapi(tracer)
    print(json.dumps(recorded()))
