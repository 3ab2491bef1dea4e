"""The middlewares under real servers: uvicorn with FastAPI and Starlette, gunicorn with Flask."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from web_process import WebServer, named
from websockets.sync.client import connect

REMOTE = {"x-datadog-trace-id": "5", "x-datadog-parent-id": "6"}


def environment(session: Any) -> dict[str, str]:
    """The environment of a server whose traces arrive in this session without delay."""
    env: dict[str, str] = session.env(DD_SERVICE="shop", DD_TRACE_WRITER_INTERVAL_SECONDS="0.02")
    return env


def request_span(session: Any, count: int, name: str = "asgi.request") -> dict[str, Any]:
    """The only span of that name, once `count` spans have arrived."""
    (span,) = named(session.wait_for_spans(count), name)
    return span


def duration_s(span: dict[str, Any]) -> float:
    """How long the span took."""
    return float(span["duration"]) / 1e9


@pytest.fixture
def fastapi(session: Any) -> Iterator[WebServer]:
    """uvicorn with the FastAPI application."""
    with WebServer("uvicorn", "shop_fastapi:app", environment(session)) as server:
        yield server


@pytest.fixture
def flask(session: Any) -> Iterator[WebServer]:
    """gunicorn with the Flask application."""
    with WebServer("gunicorn", "shop_flask:app", environment(session)) as server:
        yield server


def test_fastapi(session: Any, fastapi: WebServer) -> None:
    """FastAPI under uvicorn: routes, traces, threads, errors, unknown paths."""
    assert fastapi.get("/bread/7?token=x", **REMOTE) == (200, b'{"bread":7}')
    spans = session.wait_for_spans(2)
    (server,), (bake,) = named(spans, "asgi.request"), named(spans, "bake")
    assert (server["trace_id"], server["parent_id"], bake["parent_id"]) == (
        *(5, 6, server["span_id"]),
    )
    assert (server["service"], server["type"], server["resource"]) == (
        *("shop", "web", "GET /bread/{number}"),
    )
    assert server["meta"]["http.route"] == "/bread/{number}"
    assert server["meta"]["http.url"] == f"{fastapi.url}/bread/7?<redacted>"
    assert server["meta"]["http.status_code"] == "200"

    session.clear()
    assert fastapi.get("/thread/8") == (200, b"8")
    spans = session.wait_for_spans(2)
    (server,), (bake,) = named(spans, "asgi.request"), named(spans, "bake")
    assert bake["parent_id"] == server["span_id"]
    assert not server.get("parent_id")

    session.clear()
    assert fastapi.get("/fails")[0] == 500
    server = request_span(session, 1)
    assert (server["error"], server["meta"]["http.status_code"]) == (1, "500")
    assert server["meta"]["error.message"] == "no bread"
    assert "in fails" in server["meta"]["error.stack"]

    session.clear()
    assert fastapi.get("/unknown")[0] == 404
    server = request_span(session, 1)
    assert (server["resource"], server.get("error", 0)) == ("GET /unknown", 0)

    session.clear()
    assert fastapi.get("/north/cakes/plum") == (200, b"plum")
    assert request_span(session, 1)["resource"] == "GET /{town}/cakes/{kind}"


def test_fastapi_streams(session: Any, fastapi: WebServer) -> None:
    """Streams are covered to their last byte, also if the client leaves; later work is not."""
    assert fastapi.get("/stream") == (200, b"part 0\npart 1\npart 2\n")
    spans = session.wait_for_spans(4)
    (server,) = named(spans, "asgi.request")
    assert duration_s(server) >= 0.06
    assert [part["parent_id"] for part in named(spans, "part")] == [server["span_id"]] * 3

    session.clear()
    started_s = time.monotonic()
    fastapi.leave_during("/endless")
    server = request_span(session, 1)
    assert server.get("error", 0) == 0
    assert duration_s(server) <= time.monotonic() - started_s

    session.clear()
    assert fastapi.get("/background")[0] == 200
    spans = session.wait_for_spans(2)
    assert {span["name"] for span in spans} == {"asgi.request", "background"}
    assert len({span["trace_id"] for span in spans}) == 2


def test_fastapi_websockets(session: Any, fastapi: WebServer) -> None:
    """A WebSocket's handshake is one span; what is done for messages begins other traces."""
    url = fastapi.url.replace("http", "ws") + "/feed"
    with connect(url, additional_headers=REMOTE) as socket:
        server = request_span(session, 1)  # while the connection is open
        for text in ("a", "b"):
            socket.send(text)
            assert socket.recv() == text.upper()
    assert (server["trace_id"], server["resource"]) == (5, "websocket /feed")
    assert server["meta"]["http.status_code"] == "101"
    spans = session.wait_for_spans(3)
    assert [not span.get("parent_id") for span in named(spans, "message")] == [True, True]


def test_starlette(session: Any) -> None:
    """A Starlette application wrapped as a whole: its mounts are part of the route."""
    with WebServer("uvicorn", "shop_fastapi:starlette", environment(session)) as server:
        assert server.get("/shop/tart/plum") == (200, b"tart")
        assert request_span(session, 1)["resource"] == "GET /shop/tart/{kind}"


def test_flask(session: Any, flask: WebServer) -> None:
    """Flask under gunicorn: routes, traces, errors, unknown paths, files, nothing left behind."""
    assert flask.get("/bread/7?token=x", **REMOTE) == (200, b"bread 7")
    spans = session.wait_for_spans(2)
    (server,), (bake,) = named(spans, "wsgi.request"), named(spans, "bake")
    assert (server["trace_id"], server["parent_id"], bake["parent_id"]) == (
        *(5, 6, server["span_id"]),
    )
    assert (server["service"], server["type"], server["resource"]) == (
        *("shop", "web", "GET /bread/<int:number>"),
    )
    assert server["meta"]["http.route"] == "/bread/<int:number>"
    assert server["meta"]["http.url"] == f"{flask.url}/bread/7?<redacted>"
    assert server["meta"]["http.version"] == "1.1"

    session.clear()
    assert flask.get("/fails")[0] == 500
    server = request_span(session, 1, "wsgi.request")
    assert (server["error"], server["meta"]["http.status_code"]) == (1, "500")

    session.clear()
    assert flask.get("/unknown")[0] == 404
    server = request_span(session, 1, "wsgi.request")
    assert (server["resource"], server.get("error", 0)) == ("GET /unknown", 0)

    session.clear()
    assert flask.get("/file") == (200, b"bread" * 1000)
    assert request_span(session, 1, "wsgi.request")["resource"] == "GET /file"

    session.clear()
    flask.get("/forgets")
    assert flask.get("/bread/8")[0] == 200
    spans = session.wait_for_spans(3)
    assert [not span.get("parent_id") for span in named(spans, "wsgi.request")] == [True, True]


def test_flask_streams(session: Any, flask: WebServer) -> None:
    """Streams are covered to their last byte, also if the client leaves."""
    assert flask.get("/stream") == (200, b"part 0\npart 1\npart 2\n")
    spans = session.wait_for_spans(4)
    (server,) = named(spans, "wsgi.request")
    assert duration_s(server) >= 0.06
    assert [part["parent_id"] for part in named(spans, "part")] == [server["span_id"]] * 3

    session.clear()
    flask.leave_during("/endless")
    server = request_span(session, 1, "wsgi.request")
    assert (server.get("error", 0), server["meta"]["http.status_code"]) == (0, "200")


def test_flask_mounted(session: Any) -> None:
    """A prefix is part of the route; an error that reaches the server marks the span."""
    with WebServer("gunicorn", "shop_flask:mounted", environment(session)) as server:
        assert server.get("/shop/cake/plum") == (200, b"plum")
        assert request_span(session, 1, "wsgi.request")["resource"] == "GET /shop/cake/<kind>"
        session.clear()
        assert server.get("/elsewhere")[0] == 500
        span = request_span(session, 1, "wsgi.request")
    assert (span["error"], span["meta"]["http.status_code"]) == (1, "500")
    assert span["meta"]["error.message"] == "nobody catches this"
