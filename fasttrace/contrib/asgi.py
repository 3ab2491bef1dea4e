"""`TraceMiddleware` for ASGI applications: Starlette, FastAPI, Quart, Django's asgi.py and others.

    app = TraceMiddleware(app)                  # any ASGI application
    app.add_middleware(TraceMiddleware)         # Starlette and FastAPI

A span `asgi.request` covers each HTTP request, from its arrival to the last byte of the response,
and the handshake of each WebSocket. Follows ASGI 3.0 and, in names, ddtrace 4.16.
"""

from __future__ import annotations

from fasttrace.contrib import _server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    from fasttrace._span import Span
    from fasttrace.tracer import Tracer

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class TraceMiddleware:
    """Traces the requests of an ASGI application; what it does not know it passes through.

    Args:
        app: the application, ASGI 3.
        tracer: makes the spans; None: `fasttrace.tracer`.
        service: of the spans; None: the tracer's.
        span_modifier: called as f(span, scope) when a span has begun, to add tags of one's own.

    """

    def __init__(
        self,
        app: App,
        tracer: Tracer | None = None,
        *,
        service: str | None = None,
        span_modifier: Callable[[Span, Scope], object] | None = None,
    ) -> None:
        self.app = app
        self._server = _server.Server(tracer, "asgi.request", "asgi", service, span_modifier)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope.get("type")
        if kind != "http" and kind != "websocket":
            await self.app(scope, receive, send)  # lifespan
            return
        try:
            exchange = _Exchange(self._server, scope, send)
        except Exception as failure:
            _server.complain(failure)
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, exchange.send)
        except Exception as error:
            exchange.fail(error)
            raise
        finally:  # also when the server cancels a request nobody waits for: no error
            exchange.end()
            _server.restore_active(self._server.tracer, exchange.before)


class _Exchange:
    """One request and its response, or the handshake of a WebSocket."""

    __slots__ = (
        *("_done", "_method", "_resource", "_routed", "_scope", "_send", "_server", "_span"),
        *("_status", "_trailers", "before"),
    )

    def __init__(self, server: _server.Server, scope: Scope, send: Send) -> None:
        self._server = server
        self._scope = scope
        self._send = send
        self._done = self._routed = self._trailers = False
        self._status: int | None = None
        socket = scope["type"] == "websocket"
        self._method = method = "websocket" if socket else scope["method"]
        self._resource = resource = f"{method} {scope['path']}"
        span, self.before = server.begin(scope.get("headers") or (), resource)
        self._span = span
        try:
            if socket:
                span.set_tag("http.upgraded", "websocket")
            else:
                span.set_tag(_server.METHOD, method)
            self._set_request_tags(span, scope)
            if server.modify is not None:
                server.modify(span, scope)
        except Exception as failure:
            _server.complain(failure)

    def _set_request_tags(self, span: Span, scope: Scope) -> None:
        host = ""
        for name, value in scope.get("headers") or ():
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"user-agent":
                span.set_tag(_server.USER_AGENT, value.decode("latin-1"))
        scheme = scope.get("scheme") or "http"
        server = scope.get("server")
        if not host and server and server[1] is not None:  # not a Unix socket
            host, port = server
            if ":" in host:
                host = f"[{host}]"
            if port != _DEFAULT_PORTS.get(scheme):
                host = f"{host}:{port}"
        if host:
            query = scope.get("query_string") or b""
            url = f"{scheme}://{host}{scope['path']}"
            span.set_tag(_server.URL, self._server.full_url(url, query.decode("latin-1")))
        version = scope.get("http_version")
        if version:
            span.set_tag(_server.VERSION, version)

    async def send(self, message: Message) -> None:
        """What the application calls: `send`, watched."""
        last = False
        try:
            last = self._is_last(message)
        except Exception as failure:
            _server.complain(failure)
        await self._send(message)
        # After an error status the application may yet raise the error itself.
        if last and not self._span.error:
            self.end()

    def _is_last(self, message: Message) -> bool:
        """Note what the message says; return whether it is the last of the response."""
        kind = message["type"]
        if kind == "http.response.body" or kind == "http.response.zerocopysend":
            return not message.get("more_body", False) and not self._trailers
        if kind == "http.response.start":
            self._trailers = bool(message.get("trailers", False))
            self._answer(message["status"])
        elif kind == "websocket.accept":
            self._answer(101)
            return True
        elif kind == "websocket.close":
            if self._status is None:
                self._answer(403)  # before the connection is accepted: what the server answers then
            return True
        elif kind == "websocket.http.response.start":
            self._answer(message["status"])
        elif kind == "websocket.http.response.body":
            return not message.get("more_body", False)
        elif kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            return not self._trailers
        return False

    def _answer(self, status: int) -> None:
        if self._done:
            return
        self._status = status
        self._set_route()
        self._server.set_status(self._span, status)

    def _set_route(self) -> None:
        """The route, once the framework has found it: by the time it answers."""
        route = None if self._routed else route_of(self._scope)
        if route is not None:
            self._routed = True
            _server.set_route(self._span, self._resource, self._method, route)

    def fail(self, error: BaseException) -> None:
        """Note what the application raised."""
        if not self._done:
            self._server.set_error(self._span, error, self._status is not None)

    def end(self) -> None:
        """Finish the span, if it is not finished yet."""
        if self._done:
            return
        self._done = True
        try:
            self._set_route()
            self._span.finish()
        except Exception as failure:
            _server.complain(failure)


# -- routes of Starlette and FastAPI ---------------------------------------------------------------

_routes: dict[
    Any, str | None
] = {}  # endpoint -> path, for versions that do not put it in the scope


def route_of(scope: Scope) -> str | None:
    """The template of the path, such as `/users/{id}`; None where the framework does not tell."""
    params = scope.get("path_params")
    if params is None:  # neither of them has found a route
        return None
    route = scope.get("route")
    if route is None:
        path = _path_of_endpoint(scope)
    elif hasattr(route, "endpoint"):
        # Of a router included in another one, FastAPI keeps the whole path elsewhere.
        included = scope.get("fastapi")
        effective = included.get("effective_route_context") if type(included) is dict else None
        path = getattr(effective, "path_format", None) or getattr(route, "path", None)
    else:
        path = ""  # an application that is mounted; its prefix is all there is
    if path is None:
        return None
    prefix = _mounted_at(scope, params)
    return prefix + path or None


def _mounted_at(scope: Scope, params: Any) -> str:
    """The path of the mounts that led to the route, without what the server is mounted at."""
    root: str = scope.get("root_path", "")
    own = scope.get("app_root_path")
    if own is None or not root.startswith(own) or len(root) == len(own):
        return ""
    prefix = root[len(own) :]
    if params:
        names = {str(value): f"{{{name}}}" for name, value in params.items()}
        prefix = "/".join([names.get(part, part) for part in prefix.split("/")])
    return prefix


def _path_of_endpoint(scope: Scope) -> str | None:
    """The path of the endpoint's route, for versions of Starlette that do not tell the route."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    found: set[str] = set()
    _add_paths(getattr(scope.get("router"), "routes", None), endpoint, found)
    return found.pop() if len(found) == 1 else None


def _add_paths(routes: Any, endpoint: object, found: set[str]) -> None:
    for route in routes or ():
        if getattr(route, "endpoint", None) is endpoint:
            found.add(route.path)
        else:
            _add_paths(getattr(route, "routes", None), endpoint, found)
