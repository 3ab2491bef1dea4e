"""The middleware for any WSGI application: answers, errors, bodies that are iterated."""

from __future__ import annotations

from typing import Any

from http_peer import fetch, wsgi_server
from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware


def main(tracer: trace.Tracer) -> Any:
    """Serve."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == "/fail":
            raise RuntimeError("no bread")
        status = {"/missing": "404 Not Found", "/broken": "503 Service Unavailable"}
        start_response(status.get(path, "200 OK"), [("Content-Type", "text/plain")])

        def body() -> Any:
            with tracer.start_as_current_span("body"):
                yield b"a"
            yield b"b"

        return body()

    wrapped = OpenTelemetryMiddleware(
        app,
        request_hook=lambda span, environ: span.set_attribute("hook", environ["PATH_INFO"]),
        response_hook=lambda span, environ, status, headers: span.set_attribute("answer", status),
    )
    with wsgi_server(wrapped) as port:
        statuses = [fetch(port, "/alone")]
        with tracer.start_as_current_span("client"):
            for path in ("/order?n=2", "/missing", "/broken", "/fail"):
                statuses.append(fetch(port, path))
            statuses.append(fetch(port, "/order", "POST", "rye"))
    return statuses
