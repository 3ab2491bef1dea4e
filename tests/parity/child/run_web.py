"""Serve requests through the middlewares of one library: JSON lines in, JSON lines out.

``run_web.py LIBRARY``. A line is a request; the answer is the server span that came of it.
"""

import asyncio
import importlib
import json
import logging
import sys

logging.disable(logging.CRITICAL)
LIBRARY = sys.argv[1]
tracing = importlib.import_module(f"{LIBRARY}.trace")
asgi = importlib.import_module(f"{LIBRARY}.contrib.asgi")
wsgi = importlib.import_module(f"{LIBRARY}.contrib.wsgi")
SHOWN = {
    *("component", "span.kind", "http.method", "http.url", "http.status_code", "http.version"),
    *("http.useragent", "http.upgraded", "error.type", "error.message"),
}
finished = []


class Keep(tracing.TraceFilter):
    """Keeps what is finished here."""

    def process_trace(self, trace):
        """Keep the chunk; send nothing."""
        finished.extend(trace)


tracing.tracer.configure(trace_processors=[Keep()])


def serve_asgi(request):
    """One request to an ASGI application."""
    scope = {
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "type": "http",
        "http_version": request["version"],
        "method": request["method"],
        "scheme": request["scheme"],
        "path": request["path"],
        "raw_path": request["path"].encode(),
        "query_string": request["query"].encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in request["headers"].items()],
        "client": ("10.0.0.1", 5000),
        "server": ("10.0.0.2", request["port"]),
    }
    start = {"type": "http.response.start", "status": request["status"], "headers": []}

    async def app(scope, receive, send):
        if request["raises"] == "first":
            raise KeyError("bread")
        await send(start)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        if request["raises"] == "later" and request["status"] >= 500:
            raise KeyError("bread")
        await send({"type": "http.response.body", "body": b"x"})

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        pass

    try:
        asyncio.run(asgi.TraceMiddleware(app)(scope, receive, send))
    except KeyError:
        pass


def serve_wsgi(request):
    """One request to a WSGI application."""
    environ = {
        "REQUEST_METHOD": request["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": request["path"],
        "QUERY_STRING": request["query"],
        "SERVER_NAME": "10.0.0.2",
        "SERVER_PORT": str(request["port"]),
        "SERVER_PROTOCOL": f"HTTP/{request['version']}",
        "wsgi.url_scheme": request["scheme"],
    }
    for name, value in request["headers"].items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value

    def app(environ, start_response):
        if request["raises"] == "first":
            raise KeyError("bread")
        start_response(f"{request['status']} Status", [])
        return [b"x"]

    try:
        response = wsgi.DDWSGIMiddleware(app)(environ, lambda *arguments: None)
        list(response)
        response.close()
    except KeyError:
        pass


def shown(span):
    """What is compared of a span."""
    tags = span.get_tags()
    return {
        "name": span.name,
        "service": span.service,
        "resource": span.resource,
        "type": span.span_type,
        "error": span.error,
        "trace_id": span.trace_id if span.parent_id else None,
        "parent_id": span.parent_id,
        **{key: tags[key] for key in sorted(SHOWN & set(tags))},
    }


for line in sys.stdin:
    request = json.loads(line)
    finished.clear()
    (serve_asgi if request["server"] == "asgi" else serve_wsgi)(request)
    (server,) = [span for span in finished if span.name in ("asgi.request", "wsgi.request")]
    print(json.dumps(shown(server)))
