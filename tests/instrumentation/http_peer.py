"""The other end of the instrumented HTTP clients, and a client for the instrumented servers.

Neither is instrumented. The server makes a span of its own from the headers of each request, so
that the trace shows what the client had sent; the client sends the headers of the active span.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry import baggage, propagate, trace

HOST = "127.0.0.1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer what the path says: /status/<code>, /redirect, /cut or anything else."""
        context = propagate.extract(self.headers)
        tracer = trace.get_tracer("peer")
        name = f"{self.command} {self.path}"
        with tracer.start_as_current_span(name, context, trace.SpanKind.SERVER) as span:
            span.set_attribute("baggage", str(dict(baggage.get_all(context))))
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            span.set_attribute("body.bytes", len(body))
            if self.path == "/cut":
                self.close_connection = True
                return
            path = self.path.partition("?")[0]
            status = int(path.rpartition("/")[2]) if path.startswith("/status/") else 200
            answer = b"hello"
            self.send_response(302 if self.path == "/redirect" else status)
            if self.path == "/redirect":
                self.send_header("location", "/landed")
            self.send_header("content-length", str(len(answer)))
            self.send_header("content-type", "text/plain")
            self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_POST = do_HEAD = do_PUT = do_GET

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@contextlib.contextmanager
def http_server() -> Iterator[str]:
    """Run the server; yield its URL."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    server.daemon_threads = False  # its threads' spans have ended when the block has
    with serving(server.serve_forever, server.shutdown):
        yield f"http://{HOST}:{server.server_address[1]}"
    server.server_close()


@contextlib.contextmanager
def serving(run: Callable[[], Any], stop: Callable[[], Any]) -> Iterator[None]:
    """Have `run()` work in a thread until the end of the block calls `stop()`."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


@contextlib.contextmanager
def asgi_server(app: Any) -> Iterator[int]:
    """Run an ASGI application under uvicorn; yield its port."""
    import socket
    import time

    import uvicorn

    with socket.create_server((HOST, 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))

        def stop() -> None:
            server.should_exit = True

        with serving(lambda: server.run([listener]), stop):
            while not server.started:
                time.sleep(0.005)
            yield listener.getsockname()[1]


@contextlib.contextmanager
def wsgi_server(app: Any) -> Iterator[int]:
    """Run a WSGI application under the server of the standard library; yield its port."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = False

    class Handler(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def get_stderr(self) -> Any:
            import io

            return io.StringIO()

    server = make_server(HOST, 0, app, Server, Handler)
    with serving(server.serve_forever, server.shutdown):
        yield server.server_port
    server.server_close()


def fetch(port: int, path: str, method: str = "GET", body: str | None = None) -> int:
    """Send one request as a browser would, in the trace that is active; return the status."""
    headers = {"User-Agent": "fetch/1"}
    propagate.inject(headers)
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


def closed_port() -> int:
    """Return a port where nobody listens."""
    import socket

    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port
