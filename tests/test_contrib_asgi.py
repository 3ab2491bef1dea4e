"""The ASGI middleware on hand-made requests: one span each, the application as without it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from asgi_requests import OK, answering, answers, body, scope_of, serve, span_of
from helpers import by_name, make_offline_tracer, spans_of

from fasttrace import Context, Tracer
from fasttrace.contrib.asgi import TraceMiddleware
from fasttrace.propagation.http import HTTPPropagator


def test_a_request(tracer: Tracer) -> None:
    """A request is one span of type web with the tags of a server; the response goes through."""
    sent = serve(TraceMiddleware(answers, tracer), scope_of(query_string=b"a=1&password=x"))
    assert sent == [OK, body(b"bread")]
    span = span_of(tracer)
    assert (span["name"], span["service"], span["type"]) == ("asgi.request", "svc", "web")
    assert (span["resource"], span.get("error", 0)) == ("GET /bread", 0)
    tags = {key: value for key, value in span["meta"].items() if not key.startswith("_dd.p.")}
    del tags["runtime-id"], tags["language"]
    assert tags == {
        "component": "asgi",
        "span.kind": "server",
        "http.method": "GET",
        "http.status_code": "200",
        "http.url": "http://shop:8000/bread?a=1&<redacted>",
        "http.useragent": "curl/8",
        "http.version": "1.1",
    }


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "http://shop:8000/bread"),
        ({"headers": []}, "http://10.0.0.2:8000/bread"),
        ({"headers": [], "server": ("h", 80)}, "http://h/bread"),
        ({"headers": [], "server": ("h", 443), "scheme": "https"}, "https://h/bread"),
        ({"headers": [], "server": ("::1", 8000)}, "http://[::1]:8000/bread"),
        ({"headers": [], "server": ("/run/web.sock", None)}, None),
        ({"headers": [], "server": None}, None),
        ({"headers": [(b"host", b"user:secret@shop")]}, "http://shop/bread"),
        ({"path": "/a b/\u00e9", "query_string": b"\xff"}, "http://shop:8000/a b/\u00e9?\u00ff"),
    ],
)
def test_the_url(tracer: Tracer, changes: dict[str, Any], url: str | None) -> None:
    """http.url is scheme, host, path and query; without a header Host the server's address."""
    serve(TraceMiddleware(answers, tracer), scope_of(**changes))
    assert span_of(tracer)["meta"].get("http.url") == url


def test_settings(new_tracer: Any) -> None:
    """Query strings can be left out, secrets be told otherwise, and other statuses be errors."""
    scope = scope_of(query_string=b"password=x&id=5")
    app = answering({**OK, "status": 404}, body())
    tracer = new_tracer(http_query_string=False)
    serve(TraceMiddleware(app, tracer), scope)
    span = span_of(tracer)
    assert (span["meta"]["http.url"], span.get("error")) == ("http://shop:8000/bread", None)
    tracer = new_tracer(http_query_secrets="id=[0-9]+", http_error_statuses=((400, 404),))
    serve(TraceMiddleware(app, tracer), scope)
    span = span_of(tracer)
    assert span["meta"]["http.url"] == "http://shop:8000/bread?password=x&<redacted>"
    assert span["error"] == 1


def test_service_and_modifier(tracer: Tracer) -> None:
    """The service can be named, and a function add tags; its failure is no one else's."""

    def modify(span: Any, scope: Any) -> None:
        span.set_tag("port", scope["client"][1])
        raise ValueError

    serve(TraceMiddleware(answers, tracer, service="web", span_modifier=modify))
    span = span_of(tracer)
    assert (span["service"], span["metrics"]["port"]) == ("web", 5000)
    assert span["meta"]["http.status_code"] == "200"


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        *((200, "200", 0), (404, "404", 0), (499, "499", 0), (500, "500", 1), (599, "599", 1)),
        *((HTTPStatus.OK, "200", 0), (HTTPStatus.BAD_GATEWAY, "502", 1)),
    ],
)
def test_statuses(tracer: Tracer, status: int, text: str, error: int) -> None:
    """Statuses from 500 to 599 are errors."""
    serve(TraceMiddleware(answering({**OK, "status": status}, body()), tracer))
    span = span_of(tracer)
    assert (span["meta"]["http.status_code"], span.get("error", 0)) == (text, error)


def test_what_the_application_raises(tracer: Tracer) -> None:
    """An exception marks the span, is the server's status 500, and reaches the server."""
    with pytest.raises(ValueError, match="no bread"):
        serve(TraceMiddleware(answering(ValueError("no bread")), tracer))
    span = span_of(tracer)
    assert (span["error"], span["meta"]["http.status_code"]) == (1, "500")
    assert span["meta"]["error.message"] == "no bread"
    assert "raise message" in span["meta"]["error.stack"]


def test_an_exception_after_the_answer_to_it(tracer: Tracer) -> None:
    """Starlette answers 500 first and raises then: the span has both."""
    app = answering({**OK, "status": 500}, body(), KeyError("bread"))
    with pytest.raises(KeyError):
        serve(TraceMiddleware(app, tracer))
    span = span_of(tracer)
    assert (span["error"], span["meta"]["http.status_code"]) == (1, "500")
    assert span["meta"]["error.type"] == "builtins.KeyError"


def test_an_exception_in_the_middle(tracer: Tracer) -> None:
    """An exception after the first part keeps the status that was sent."""
    app = answering(OK, body(b"x", more=True), OSError("client left"))
    with pytest.raises(OSError, match="client left"):
        serve(TraceMiddleware(app, tracer))
    span = span_of(tracer)
    assert (span["error"], span["meta"]["http.status_code"]) == (1, "200")


def test_a_cancelled_request(tracer: Tracer) -> None:
    """A request that the server cancels ends without an error."""

    async def main() -> None:
        async def waits(scope: Any, receive: Any, send: Any) -> None:
            await send(OK)
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            pass

        task = asyncio.create_task(TraceMiddleware(waits, tracer)(scope_of(), send, send))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    span = span_of(tracer)
    assert (span.get("error", 0), span["meta"]["http.status_code"]) == (0, "200")


STREAMS = {
    "parts": [OK, body(b"a", more=True), body(b"b", more=True), body()],
    "trailers": [
        {**OK, "trailers": True},
        body(b"a"),
        {"type": "http.response.trailers", "headers": [], "more_trailers": True},
        {"type": "http.response.trailers", "headers": []},
    ],
    "a path": [OK, {"type": "http.response.pathsend", "path": "/bread"}],
    "a file": [
        OK,
        {"type": "http.response.zerocopysend", "file": 3, "more_body": True},
        {"type": "http.response.zerocopysend", "file": 3},
    ],
    "after hints": [{"type": "http.response.early_hint", "links": []}, OK, body()],
}


@pytest.mark.parametrize("messages", STREAMS.values(), ids=STREAMS.keys())
def test_the_span_ends_with_the_last_byte(tracer: Tracer, messages: list[Any]) -> None:
    """The span is open until the last part of the response, whatever its kind, has been sent."""
    open_after: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        span = tracer.current_span()
        for message in messages:
            await send(message)
            open_after.append(not span.finished)

    assert serve(TraceMiddleware(app, tracer)) == messages
    assert open_after == [True] * (len(messages) - 1) + [False]
    assert span_of(tracer)["meta"]["http.status_code"] == "200"


def test_work_after_the_response(tracer: Tracer) -> None:
    """What is done after the last byte begins a trace of its own, and its errors are its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answers(scope, receive, send)
        with tracer.trace("background"):
            raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"):
        serve(TraceMiddleware(app, tracer))
    spans = by_name(spans_of(tracer))
    assert spans["background"].get("parent_id", 0) == 0
    assert spans["background"]["trace_id"] != spans["asgi.request"]["trace_id"]
    assert spans["asgi.request"].get("error", 0) == 0


def test_an_application_that_does_not_answer(tracer: Tracer) -> None:
    """A request without a response is a span without a status."""
    assert serve(TraceMiddleware(answering(), tracer)) == []
    assert "http.status_code" not in span_of(tracer)["meta"]


def test_a_client_that_left(tracer: Tracer) -> None:
    """What the server raises when it cannot send reaches the application, and the span ends."""

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("client left")

    seen: list[type] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await answers(scope, receive, send)
        except OSError as error:
            seen.append(type(error))

    asyncio.run(TraceMiddleware(app, tracer)(scope_of(), send, send))
    assert seen == [OSError]
    assert span_of(tracer).get("error", 0) == 0


# -- which trace -----------------------------------------------------------------------------------

REMOTE = [(b"x-datadog-trace-id", b"5"), (b"x-datadog-parent-id", b"6")]


def test_the_trace_of_the_headers(tracer: Tracer) -> None:
    """The span continues the trace of the headers, and the handler's spans are below it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with tracer.trace("handler"):
            await answers(scope, receive, send)

    headers = [*REMOTE, (b"x-datadog-sampling-priority", b"2")]
    serve(TraceMiddleware(app, tracer), scope_of(headers=headers))
    spans = by_name(spans_of(tracer))
    server = spans["asgi.request"]
    assert (server["trace_id"], server["parent_id"]) == (5, 6)
    assert server["metrics"]["_sampling_priority_v1"] == 2
    assert spans["handler"]["parent_id"] == server["span_id"]


def test_a_trace_that_is_active_already(tracer: Tracer) -> None:
    """Without headers, or with those of the same trace, the active span is the parent."""
    with tracer.trace("outer") as outer:
        serve(TraceMiddleware(answers, tracer))
        headers: list[Any] = []
        HTTPPropagator.inject(Context(outer.trace_id, 77), headers)
        serve(TraceMiddleware(answers, tracer), scope_of(headers=headers))
        assert tracer.current_span() is outer
        serve(TraceMiddleware(answers, tracer), scope_of(headers=REMOTE))
        assert tracer.current_span() is outer
    *inner, last = (span for span in spans_of(tracer) if span["name"] == "asgi.request")
    if last["trace_id"] != 5:  # another trace, another chunk
        inner, last = [*inner[1:], last], inner[0]
    assert [span["parent_id"] for span in inner] == [outer.span_id] * 2
    assert (last["trace_id"], last["parent_id"]) == (5, 6)


def test_one_middleware_in_another(tracer: Tracer) -> None:
    """A mounted application with a middleware of its own has a span below the outer one's."""
    inner = TraceMiddleware(answers, tracer, service="inner")
    serve(TraceMiddleware(inner, tracer), scope_of(headers=REMOTE))
    spans = {span["service"]: span for span in spans_of(tracer)}
    assert spans["svc"]["parent_id"] == 6
    assert spans["inner"]["parent_id"] == spans["svc"]["span_id"]


def test_baggage_alone(tracer: Tracer) -> None:
    """Headers with nothing but baggage give a new trace that has it."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(tracer.current_span().context.get_baggage_item("user.id"))
        await answers(scope, receive, send)

    serve(TraceMiddleware(app, tracer), scope_of(headers=[(b"baggage", b"user.id=7")]))
    assert seen == ["7"]
    assert span_of(tracer)["meta"]["baggage.user.id"] == "7"


def test_a_span_left_open(tracer: Tracer) -> None:
    """A span the handler forgot to finish is not active after the request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tracer.trace("forgotten")
        await answers(scope, receive, send)

    async def main() -> None:
        async def send(message: Any) -> None:
            pass

        await TraceMiddleware(app, tracer)(scope_of(), send, send)
        assert tracer.current_span() is None

    asyncio.run(main())
    spans_of(tracer)


def test_a_disabled_tracer(tracer: Tracer) -> None:
    """A disabled tracer records nothing and passes the trace of the headers on."""
    tracer.enabled = False
    sent: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        HTTPPropagator.inject(tracer.current_span(), sent)
        await answers(scope, receive, send)

    assert serve(TraceMiddleware(app, tracer), scope_of(headers=REMOTE)) == [OK, body(b"bread")]
    assert (sent["x-datadog-trace-id"], sent["x-datadog-parent-id"]) == ("5", "6")
    assert spans_of(tracer) == []


# -- WebSockets and everything else ----------------------------------------------------------------

CONNECT = {"type": "websocket.connect"}


def socket_scope() -> dict[str, Any]:
    """A WebSocket handshake as uvicorn describes it."""
    scope = scope_of("/feed", type="websocket", scheme="ws", subprotocols=[])
    del scope["method"]
    return scope


def test_a_websocket(tracer: Tracer) -> None:
    """The span of a WebSocket covers its handshake; messages begin traces of their own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == CONNECT
        span = tracer.current_span()
        with tracer.trace("check"):
            pass
        await send({"type": "websocket.accept"})
        assert span.finished
        for _ in range(2):
            with tracer.trace("message"):
                await send({"type": "websocket.send", "text": (await receive())["text"]})
        await send({"type": "websocket.close", "code": 1000})

    messages = [{"type": "websocket.receive", "text": text} for text in "ab"]
    sent = serve(TraceMiddleware(app, tracer), socket_scope(), (CONNECT, *messages))
    assert [message["type"] for message in sent] == [
        *("websocket.accept", "websocket.send", "websocket.send", "websocket.close")
    ]
    spans = spans_of(tracer)
    server, check, *others = spans
    assert (server["name"], server["resource"]) == ("asgi.request", "websocket /feed")
    assert server["meta"]["http.upgraded"] == "websocket"
    assert server["meta"]["http.status_code"] == "101"
    assert server["meta"]["http.url"] == "ws://shop:8000/feed"
    assert "http.method" not in server["meta"]
    assert check["parent_id"] == server["span_id"]
    assert [span["name"] for span in others] == ["message", "message"]
    assert len({span["trace_id"] for span in spans}) == 3


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([{"type": "websocket.close", "code": 1000}], "403"),
        (
            [
                {"type": "websocket.http.response.start", "status": 401, "headers": []},
                {"type": "websocket.http.response.body", "body": b"no", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"no"},
            ],
            "401",
        ),
    ],
)
def test_a_websocket_that_is_refused(tracer: Tracer, messages: list[Any], status: str) -> None:
    """A handshake that is refused has the status of the refusal."""
    assert serve(TraceMiddleware(answering(*messages), tracer), socket_scope()) == messages
    assert span_of(tracer)["meta"]["http.status_code"] == status


def test_a_websocket_that_fails(tracer: Tracer) -> None:
    """An exception before the connection is accepted marks the span."""
    with pytest.raises(ValueError, match="no feed"):
        serve(TraceMiddleware(answering(ValueError("no feed")), tracer), socket_scope())
    assert span_of(tracer)["error"] == 1


@pytest.mark.parametrize("kind", ["lifespan", "something new"])
def test_other_scopes_pass_through(tracer: Tracer, kind: str) -> None:
    """Scopes of other types reach the application as they are, with its own functions."""
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    async def receive() -> None: ...

    async def send(message: Any) -> None: ...

    scope = {"type": kind}
    asyncio.run(TraceMiddleware(app, tracer)(scope, receive, send))
    assert seen[0] is scope
    assert seen[1:] == [receive, send]
    assert spans_of(tracer) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"method": None},
        {"path": None},
        {"headers": None},
        {"headers": [(b"host", 5), 7]},
        {"query_string": 5},
        {"server": "x"},
        {"root_path": 5, "path_params": {"a": 1}, "app_root_path": 7, "route": 9},
    ],
)
def test_requests_that_make_no_sense(tracer: Tracer, changes: dict[str, Any]) -> None:
    """A scope that breaks the rules reaches the application like any other."""
    scope = scope_of(**changes)
    assert serve(TraceMiddleware(answers, tracer), scope) == [OK, body(b"bread")]
    assert len(spans_of(tracer)) <= 1


@pytest.mark.parametrize("name", ["path", "headers"])
def test_requests_that_lack_something(tracer: Tracer, name: str) -> None:
    """A scope without something it must have reaches the application like any other."""
    scope = scope_of()
    del scope[name]
    assert serve(TraceMiddleware(answers, tracer), scope) == [OK, body(b"bread")]
    spans_of(tracer)


@pytest.mark.parametrize("message", [{}, {"type": "http.response.start"}, {**OK, "status": "x"}, 5])
def test_messages_that_make_no_sense(tracer: Tracer, message: Any) -> None:
    """What the application sends reaches the server, whatever it is."""
    assert serve(TraceMiddleware(answering(message, body()), tracer)) == [message, body()]
    assert span_of(tracer)["resource"] == "GET /bread"


@pytest.fixture(autouse=True)
def _default_tracer_records_nothing() -> Iterator[None]:
    """Requests in here are traced by tracers without network."""
    from fasttrace import tracer

    before = tracer.stats()["finished"]
    yield
    assert tracer.stats()["finished"] == before


def test_the_default_tracer() -> None:
    """Without a tracer the default one is used, and its propagation styles."""
    from fasttrace import tracer

    middleware = TraceMiddleware(answers)
    assert middleware._server.tracer is tracer
    assert TraceMiddleware(answers, make_offline_tracer())._server.tracer is not tracer
