"""`TraceMiddleware` for WSGI applications: Flask, Bottle, Django's wsgi.py and others.

    app.wsgi_app = TraceMiddleware(app.wsgi_app)        # Flask
    application = TraceMiddleware(application)          # any WSGI application

A span `wsgi.request` covers each request until the server has taken the last byte of the response.
Follows PEP 3333 and, in names, ddtrace 4.16; the three further spans ddtrace makes are left out.
"""

from __future__ import annotations

from _thread import get_ident
from urllib.parse import quote

from fasttrace.contrib import _server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from fasttrace._span import Span
    from fasttrace.tracer import Tracer

    Environ = dict[str, Any]
    App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_URL_SAFE = "/:@!$&'()*+,;=~"
_NO_THREAD = -1


class TraceMiddleware:
    """Traces the requests of a WSGI application.

    Args:
        app: the application.
        tracer: makes the spans; None: `fasttrace.tracer`.
        service: of the spans; None: the tracer's.
        span_modifier: called as f(span, environ) when a span has begun, to add tags of one's own.

    """

    def __init__(
        self,
        app: App,
        tracer: Tracer | None = None,
        *,
        service: str | None = None,
        span_modifier: Callable[[Span, Environ], object] | None = None,
    ) -> None:
        self.app = app
        self._server = _server.Server(tracer, "wsgi.request", "wsgi", service, span_modifier)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        try:
            exchange = _Exchange(self._server, environ, start_response)
        except Exception as failure:
            _server.complain(failure)
            return self.app(environ, start_response)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException as error:
            exchange.fail(error)
            exchange.close()
            raise
        return exchange.watch(body)


class _Exchange:
    """One request and its response."""

    __slots__ = (
        *("_before", "_environ", "_method", "_mounted_at", "_resource", "_server", "_span"),
        *("_start_response", "_status", "_thread"),
    )

    def __init__(
        self, server: _server.Server, environ: Environ, start_response: Callable[..., Any]
    ) -> None:
        self._server = server
        self._environ = environ
        self._start_response = start_response
        self._thread = get_ident()
        self._status: str | None = None
        self._mounted_at: str = environ.get("SCRIPT_NAME", "")
        self._method = method = environ["REQUEST_METHOD"]
        path = _as_text(self._mounted_at + environ.get("PATH_INFO", ""))
        self._resource = resource = f"{method} {path}"
        span, self._before = server.begin(environ, resource)
        self._span: Span | None = span
        try:
            self._set_request_tags(span, environ)
            if server.modify is not None:
                server.modify(span, environ)
        except Exception as failure:
            _server.complain(failure)

    def _set_request_tags(self, span: Span, environ: Environ) -> None:
        span.set_tag(_server.METHOD, self._method)
        scheme = environ.get("wsgi.url_scheme", "http")
        host = environ.get("HTTP_HOST")
        if not host:
            host = environ["SERVER_NAME"]
            port = environ.get("SERVER_PORT", "")
            if port and port != _DEFAULT_PORTS.get(scheme):
                host = f"{host}:{port}"
        path = quote(
            self._mounted_at + environ.get("PATH_INFO", ""), _URL_SAFE, "latin-1", "replace"
        )
        url = self._server.full_url(f"{scheme}://{host}{path}", environ.get("QUERY_STRING", ""))
        span.set_tag(_server.URL, url)
        agent = environ.get("HTTP_USER_AGENT")
        if agent:
            span.set_tag(_server.USER_AGENT, agent)
        version = environ.get("SERVER_PROTOCOL", "").partition("HTTP/")[2]
        if version:
            span.set_tag(_server.VERSION, version)

    def start_response(self, status: str, headers: Any, *exc_info: Any) -> Any:
        """What the application calls: `start_response`, watched."""
        self._status = status
        try:
            if self._span is not None:
                self._set_route(self._span)
        except Exception as failure:
            _server.complain(failure)
        return self._start_response(status, headers, *exc_info)

    def _set_route(self, span: Span) -> None:
        """The route, while the framework knows it: Flask forgets it after the response began."""
        request = self._environ.get("werkzeug.request")
        if request is not None:
            rule = getattr(getattr(request, "url_rule", None), "rule", None)
        else:
            rule = getattr(self._environ.get("bottle.route"), "rule", None)
        if rule:
            prefix = self._environ.get("SCRIPT_NAME", "")[len(self._mounted_at) :]
            _server.set_route(span, self._resource, self._method, _as_text(prefix) + rule)

    def watch(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return `body` so that the span ends with it."""
        try:
            wrapper = self._environ.get("wsgi.file_wrapper")
            if isinstance(wrapper, type) and isinstance(body, wrapper):
                # The server must know it again, to send the file without reading it.
                close = getattr(body, "close", None)
                body.close = _both(close, self)  # type: ignore[attr-defined]
                return body
        except Exception:
            self.close()
            return body
        return _SizedBody(body, self) if hasattr(body, "__len__") else _Body(body, self)

    def fail(self, error: BaseException) -> None:
        """Note what the application raised; a server that goes away is no error."""
        if self._span is None or isinstance(error, (GeneratorExit, StopIteration)):
            return
        if isinstance(error, SystemExit) and not error.code:
            return
        self._server.set_error(self._span, error, self._status is not None)

    def end(self) -> None:
        """Finish the span, if it is not finished yet."""
        span, self._span = self._span, None
        if span is None:
            return
        try:
            if self._status is not None:
                self._server.set_status(span, int(self._status[:3]))
        except Exception as failure:
            _server.complain(failure)
        try:
            span.finish()
        except Exception as failure:
            _server.complain(failure)

    def close(self) -> None:
        """The request is over: finish the span, and leave nothing active for the next request."""
        self.end()
        if get_ident() == self._thread:
            _server.restore_active(self._server.tracer, self._before)
        self._thread = _NO_THREAD
        self._before = None


class _Body:
    """The response of the application; its last byte ends the span."""

    __slots__ = ("_body", "_exchange", "_iterator")

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)
        except StopIteration:
            self._exchange.end()
            raise
        except BaseException as error:
            self._exchange.fail(error)
            self._exchange.end()
            raise

    def close(self) -> None:
        """Close what the application returned; servers call this in any case."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self._exchange.fail(error)
            raise
        finally:
            self._exchange.close()


class _SizedBody(_Body):
    """A response whose number of parts is known: servers tell the length of a single part."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


def _both(close: Callable[[], object] | None, exchange: _Exchange) -> Callable[[], None]:
    """A `close` for a body that cannot be wrapped."""

    def close_both() -> None:
        try:
            if close is not None:
                close()
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.close()

    return close_both


def _as_text(path: str) -> str:
    """A path of a WSGI environ, bytes spelled as Latin-1, as text."""
    if path.isascii():
        return path
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


#: The name in ddtrace.
DDWSGIMiddleware = TraceMiddleware
