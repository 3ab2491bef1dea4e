"""The WSGI middleware on hand-made requests: one span each, the application as without it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from helpers import by_name, spans_of

from fasttrace import Tracer
from fasttrace.contrib.wsgi import DDWSGIMiddleware, TraceMiddleware
from fasttrace.propagation.http import HTTPPropagator

REMOTE = {"HTTP_X_DATADOG_TRACE_ID": "5", "HTTP_X_DATADOG_PARENT_ID": "6"}


def environ_of(path: str = "/bread", **changes: Any) -> dict[str, Any]:
    """A GET request as gunicorn describes it."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "10.0.0.2",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop:8000",
        "HTTP_USER_AGENT": "curl/8",
        "wsgi.url_scheme": "http",
        "wsgi.file_wrapper": FileWrapper,
    }
    return {**environ, **changes}


def answers(environ: Any, start_response: Any) -> list[bytes]:
    """An application that answers every request."""
    start_response("200 OK", [])
    return [b"bread"]


def answering(status: str) -> Callable[..., Any]:
    """An application that answers with this status."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [b"bread"]

    return app


def serve(app: Any, environ: Any = None) -> tuple[str | None, bytes]:
    """Run a request through `app` as a server does; return status and body."""
    started: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        started.append(status)
        return None

    response = app(environ_of() if environ is None else environ, start_response)
    try:
        content = b"".join(response)
    finally:
        if hasattr(response, "close"):
            response.close()
    return (started[-1] if started else None), content


def span_of(tracer: Tracer) -> dict[str, Any]:
    """The one span that was made."""
    (span,) = spans_of(tracer)
    return span


def test_a_request(tracer: Tracer) -> None:
    """A request is one span of type web with the tags of a server; the response goes through."""
    environ = environ_of(QUERY_STRING="a=1&password=x")
    assert serve(TraceMiddleware(answers, tracer), environ) == ("200 OK", b"bread")
    assert tracer.current_span() is None
    span = span_of(tracer)
    assert (span["name"], span["service"], span["type"]) == ("wsgi.request", "svc", "web")
    assert (span["resource"], span.get("error", 0)) == ("GET /bread", 0)
    tags = {key: value for key, value in span["meta"].items() if not key.startswith("_dd.p.")}
    del tags["runtime-id"], tags["language"]
    assert tags == {
        "component": "wsgi",
        "span.kind": "server",
        "http.method": "GET",
        "http.status_code": "200",
        "http.url": "http://shop:8000/bread?a=1&<redacted>",
        "http.useragent": "curl/8",
        "http.version": "1.1",
    }


@pytest.mark.parametrize(
    ("changes", "resource", "url"),
    [
        ({"HTTP_HOST": ""}, "GET /bread", "http://10.0.0.2:8000/bread"),
        ({"HTTP_HOST": "", "SERVER_PORT": "80"}, "GET /bread", "http://10.0.0.2/bread"),
        ({"SCRIPT_NAME": "/shop"}, "GET /shop/bread", "http://shop:8000/shop/bread"),
        ({"PATH_INFO": "/a b/\u00c3\u00a9"}, "GET /a b/\u00e9", "http://shop:8000/a%20b/%C3%A9"),
        ({"HTTP_HOST": "user:secret@shop"}, "GET /bread", "http://shop/bread"),
        ({"wsgi.url_scheme": "https"}, "GET /bread", "https://shop:8000/bread"),
    ],
)
def test_the_url(tracer: Tracer, changes: dict[str, Any], resource: str, url: str) -> None:
    """http.url is put together as PEP 3333 says; the resource has the path as text."""
    serve(TraceMiddleware(answers, tracer), environ_of(**changes))
    span = span_of(tracer)
    assert (span["resource"], span["meta"]["http.url"]) == (resource, url)


def test_service_and_modifier(tracer: Tracer) -> None:
    """The service can be named, and a function add tags; its failure is no one else's."""

    def modify(span: Any, environ: Any) -> None:
        span.set_tag("port", environ["SERVER_PORT"])
        raise ValueError

    serve(TraceMiddleware(answers, tracer, service="web", span_modifier=modify))
    span = span_of(tracer)
    assert (span["service"], span["meta"]["port"]) == ("web", "8000")


@pytest.mark.parametrize(("status", "error"), [("204 No Content", 0), ("404 x", 0), ("503 x", 1)])
def test_statuses(tracer: Tracer, status: str, error: int) -> None:
    """Statuses from 500 to 599 are errors."""
    serve(TraceMiddleware(answering(status), tracer))
    span = span_of(tracer)
    assert (span["meta"]["http.status_code"], span.get("error", 0)) == (status[:3], error)


def test_a_status_that_is_replaced(tracer: Tracer) -> None:
    """A second start_response, for an error, is the one that counts."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("500 Oops", [], (ValueError, ValueError("x"), None))
        return [b"oops"]

    assert serve(TraceMiddleware(app, tracer)) == ("500 Oops", b"oops")
    assert span_of(tracer)["meta"]["http.status_code"] == "500"


def test_what_the_application_raises(tracer: Tracer) -> None:
    """An exception marks the span, is the server's status 500, and reaches the server."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise ValueError("no bread")

    with pytest.raises(ValueError, match="no bread"):
        serve(TraceMiddleware(app, tracer))
    assert tracer.current_span() is None
    span = span_of(tracer)
    assert (span["error"], span["meta"]["http.status_code"]) == (1, "500")
    assert span["meta"]["error.message"] == "no bread"


@pytest.mark.parametrize(
    ("raised", "error"),
    [(SystemExit(0), 0), (StopIteration(), 0), (GeneratorExit(), 0), (SystemExit(1), 1)],
)
def test_what_is_no_error(tracer: Tracer, raised: BaseException, error: int) -> None:
    """A server that stops, or a client that leaves, is no error of the application."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise raised

    with pytest.raises(type(raised)):
        TraceMiddleware(app, tracer)(environ_of(), print)
    assert span_of(tracer).get("error", 0) == error


# -- the response ----------------------------------------------------------------------------------


def test_a_stream(tracer: Tracer) -> None:
    """The span is open, and active, until the last part has been taken."""
    closed: list[bool] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            for part in (b"a", b"b"):
                with tracer.trace("part"):
                    yield part

        def close(self) -> None:
            closed.append(tracer.current_span() is None)

    def app(environ: Any, start_response: Any) -> Parts:
        start_response("200 OK", [])
        return Parts()

    response = iter(TraceMiddleware(app, tracer)(environ_of(), lambda *_: None))
    assert (next(response), next(response)) == (b"a", b"b")
    assert spans_of(tracer) == []
    with pytest.raises(StopIteration):
        next(response)
    response.close()  # type: ignore[attr-defined]
    assert closed == [True]
    server, *parts = spans_of(tracer)
    assert server["name"] == "wsgi.request"
    assert [part["parent_id"] for part in parts] == [server["span_id"]] * 2


def test_an_application_that_is_a_generator(tracer: Tracer) -> None:
    """A status that is given only when the response is read is the span's all the same."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("201 Created", [])
        yield b"bread"

    assert serve(TraceMiddleware(app, tracer)) == ("201 Created", b"bread")
    assert span_of(tracer)["meta"]["http.status_code"] == "201"


def test_a_stream_that_fails(tracer: Tracer) -> None:
    """An exception while the response is read marks the span; the status stays as it was sent."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        serve(TraceMiddleware(app, tracer))
    span = span_of(tracer)
    assert (span["error"], span["meta"]["http.status_code"]) == (1, "200")
    assert span["meta"]["error.message"] == "no more"


def test_a_client_that_left(tracer: Tracer) -> None:
    """A response that is closed before its end is no error, and its generator is closed."""
    left: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"a"
            yield b"b"
        except GeneratorExit:
            left.append("closed")
            raise

    response: Any = TraceMiddleware(app, tracer)(environ_of(), lambda *_: None)
    assert next(response) == b"a"
    response.close()
    response.close()
    assert left == ["closed"]
    assert tracer.current_span() is None
    assert span_of(tracer).get("error", 0) == 0


def test_an_exception_from_close(tracer: Tracer) -> None:
    """An exception of close() reaches the server, and marks a span that is not finished."""

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b"])

        def close(self) -> None:
            raise ValueError("cannot close")

    def app(environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    response: Any = TraceMiddleware(app, tracer)(environ_of(), lambda *_: None)
    next(response)
    with pytest.raises(ValueError, match="cannot close"):
        response.close()
    assert span_of(tracer)["error"] == 1


def test_the_number_of_parts(tracer: Tracer) -> None:
    """A list has a length for the server, which then knows the length of the content."""
    assert len(TraceMiddleware(answers, tracer)(environ_of(), lambda *_: None)) == 1  # type: ignore[arg-type]

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""

    assert not hasattr(TraceMiddleware(app, tracer)(environ_of(), print), "__len__")
    tracer.context_provider.activate(None)


def test_files_stay_files(tracer: Tracer) -> None:
    """A file for the server's own wrapper stays in it, and the span ends when it is closed."""
    file = io.BytesIO(b"bread")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    response: Any = TraceMiddleware(app, tracer)(environ_of(), lambda *_: None)
    assert type(response) is FileWrapper
    assert b"".join(response) == b"bread"
    assert spans_of(tracer) == []
    response.close()
    assert file.closed
    assert span_of(tracer)["meta"]["http.status_code"] == "200"


def test_files_of_a_wrapper_that_cannot_be_watched(tracer: Tracer) -> None:
    """If the server's wrapper takes no attributes, the span ends where the file begins."""

    class Wrapper:
        __slots__ = ("file",)

        def __init__(self, file: Any) -> None:
            self.file = file

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](None)

    environ = environ_of(**{"wsgi.file_wrapper": Wrapper})
    assert type(TraceMiddleware(app, tracer)(environ, lambda *_: None)) is Wrapper
    assert tracer.current_span() is None
    assert span_of(tracer)["meta"]["http.status_code"] == "200"


def test_the_function_write(tracer: Tracer) -> None:
    """What start_response returns reaches the application."""
    written: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"bread")
        return []

    TraceMiddleware(app, tracer)(environ_of(), lambda *_: written.append).close()  # type: ignore[attr-defined]
    assert written == [b"bread"]
    assert span_of(tracer)["meta"]["http.status_code"] == "200"


# -- which trace -----------------------------------------------------------------------------------


def test_the_trace_of_the_headers(tracer: Tracer) -> None:
    """The span continues the trace of the headers, and the handler's spans are below it."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with tracer.trace("handler"):
            return answers(environ, start_response)

    serve(TraceMiddleware(app, tracer), environ_of(**REMOTE))
    spans = by_name(spans_of(tracer))
    server = spans["wsgi.request"]
    assert (server["trace_id"], server["parent_id"]) == (5, 6)
    assert spans["handler"]["parent_id"] == server["span_id"]


def test_nothing_is_left_for_the_next_request(tracer: Tracer) -> None:
    """A span or context that a handler left behind is not active in its thread's next request."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        tracer.trace("forgotten")
        return answers(environ, start_response)

    serve(TraceMiddleware(app, tracer), environ_of(**REMOTE))
    assert tracer.current_span() is None
    spans_of(tracer)
    serve(TraceMiddleware(answers, tracer))
    assert span_of(tracer).get("parent_id", 0) == 0


def test_a_response_closed_in_another_thread(tracer: Tracer) -> None:
    """A server that closes the response elsewhere changes nothing about what is active there."""
    response: Any = TraceMiddleware(answers, tracer)(environ_of(), lambda *_: None)
    active: list[Any] = []

    def other() -> None:
        with tracer.trace("other") as span:
            response.close()
            active.append(tracer.current_span() is span)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert active == [True]
    assert {span["name"] for span in spans_of(tracer)} == {"other", "wsgi.request"}
    tracer.context_provider.activate(None)


def test_a_disabled_tracer(tracer: Tracer) -> None:
    """A disabled tracer records nothing, and passes on the trace of each request's own headers."""
    tracer.enabled = False
    sent: list[dict[str, str]] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        sent.append({})
        HTTPPropagator.inject(tracer.current_span(), sent[-1])
        return answers(environ, start_response)

    assert serve(TraceMiddleware(app, tracer), environ_of(**REMOTE)) == ("200 OK", b"bread")
    assert serve(TraceMiddleware(app, tracer)) == ("200 OK", b"bread")
    assert (sent[0]["x-datadog-trace-id"], sent[1]) == ("5", {})
    assert spans_of(tracer) == []


# -- routes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "resource"),
    [
        ({}, "GET /bread"),
        ({"werkzeug.request": SimpleNamespace(url_rule=None)}, "GET /bread"),
        (
            {"werkzeug.request": SimpleNamespace(url_rule=SimpleNamespace(rule="/<kind>"))},
            "GET /<kind>",
        ),
        (
            {
                "werkzeug.request": SimpleNamespace(url_rule=SimpleNamespace(rule="/<kind>")),
                "SCRIPT_NAME": "/shop",
            },
            "GET /shop/<kind>",
        ),
        ({"bottle.route": SimpleNamespace(rule="/<kind>")}, "GET /<kind>"),
        ({"bottle.route": 5}, "GET /bread"),
    ],
)
def test_routes(tracer: Tracer, found: dict[str, Any], resource: str) -> None:
    """The route that Flask or Bottle found is the resource, and http.route."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ.update(found)
        return answers(environ, start_response)

    serve(TraceMiddleware(app, tracer))
    span = span_of(tracer)
    assert span["resource"] == resource
    assert span["meta"].get("http.route", "/bread") == resource.partition(" ")[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"PATH_INFO": None},
        {"PATH_INFO": "/\u20ac"},
        {"QUERY_STRING": None},
        {"SERVER_PROTOCOL": "INCLUDED"},
        {"SERVER_PROTOCOL": 5},
        {"HTTP_HOST": 5},
        {"wsgi.file_wrapper": None},
        {"wsgi.file_wrapper": int},
    ],
)
def test_requests_that_make_no_sense(tracer: Tracer, changes: dict[str, Any]) -> None:
    """An environ that breaks the rules reaches the application like any other."""
    result = serve(TraceMiddleware(answers, tracer), environ_of(**changes))
    assert result == ("200 OK", b"bread")
    assert len(spans_of(tracer)) <= 1


def test_requests_that_lack_everything(tracer: Tracer) -> None:
    """An empty environ reaches the application like any other."""
    assert serve(TraceMiddleware(answers, tracer), {}) == ("200 OK", b"bread")
    assert spans_of(tracer) == []


def test_a_status_that_makes_no_sense(tracer: Tracer) -> None:
    """A status without a number reaches the server; the span has none."""
    assert serve(TraceMiddleware(answering("OK"), tracer)) == ("OK", b"bread")
    assert "http.status_code" not in span_of(tracer)["meta"]


def test_the_name_in_ddtrace() -> None:
    """The class has its name of ddtrace as well."""
    assert DDWSGIMiddleware is TraceMiddleware
