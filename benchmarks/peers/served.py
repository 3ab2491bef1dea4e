"""Requests through the ASGI and the WSGI middleware of fasttrace or ddtrace, without a server."""

from __future__ import annotations

from typing import Any

from bursts import Burst, drive
from propagated import ORDINARY, TRACE

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/bread/7",
    "raw_path": b"/bread/7",
    "query_string": b"a=1&b=2",
    "root_path": "",
    "headers": [(name.encode(), value.encode()) for name, value in {**ORDINARY, **TRACE}.items()],
    "client": ("10.0.0.1", 5000),
    "server": ("10.0.0.2", 8000),
}
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/bread/7",
    "QUERY_STRING": "a=1&b=2",
    "SERVER_NAME": "10.0.0.2",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
    **{
        "HTTP_" + name.upper().replace("-", "_"): value
        for name, value in {**ORDINARY, **TRACE}.items()
    },
}
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"bread"}


async def _asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)


async def _ignore(message: Any = None) -> None:
    """In place of a server's `send` and `receive`."""


def _wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"bread"]


def _start_response(status: str, headers: Any, exc_info: Any = None) -> None:
    """In place of a server's."""


def served_scenarios(asgi_middleware: Any, wsgi_middleware: Any) -> dict[str, Burst]:
    """One request each, what the server and the application themselves do included."""
    asgi_app = asgi_middleware(_asgi_app)
    wsgi_app = wsgi_middleware(_wsgi_app)

    async def requests(n: int) -> None:
        for _ in range(n):
            await asgi_app(dict(SCOPE), _ignore, _ignore)

    def asgi(n: int) -> None:
        drive(requests(n))

    def wsgi(n: int) -> None:
        for _ in range(n):
            response = wsgi_app(dict(ENVIRON), _start_response)
            for _ in response:
                pass
            response.close()

    return {"asgi": asgi, "wsgi": wsgi}
