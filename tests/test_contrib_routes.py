"""Routes of Starlette and FastAPI: how the ASGI middleware learns of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from asgi_requests import answers, scope_of, serve, span_of

from fasttrace import Tracer
from fasttrace.contrib.asgi import TraceMiddleware, route_of


def route(path: str) -> Any:
    """A route of Starlette."""
    return SimpleNamespace(path=path, endpoint=object())


def test_the_route_is_the_resource(tracer: Tracer) -> None:
    """What the framework says the route is becomes http.route and the resource."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(path_params={"id": 7}, route=route("/bread/{id}"))
        await answers(scope, receive, send)

    serve(TraceMiddleware(app, tracer), scope_of("/bread/7"))
    span = span_of(tracer)
    assert (span["resource"], span["meta"]["http.route"]) == ("GET /bread/{id}", "/bread/{id}")


def test_a_resource_of_the_applications_own(tracer: Tracer) -> None:
    """A resource the application has set stays; http.route is there all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tracer.current_span().resource = "bread by number"
        scope.update(path_params={"id": 7}, route=route("/bread/{id}"))
        await answers(scope, receive, send)

    serve(TraceMiddleware(app, tracer), scope_of("/bread/7"))
    span = span_of(tracer)
    assert (span["resource"], span["meta"]["http.route"]) == ("bread by number", "/bread/{id}")


ENDPOINT = object()
ROUTES = SimpleNamespace(
    routes=[
        SimpleNamespace(path="/other", endpoint=object()),
        SimpleNamespace(path="/shop", routes=[SimpleNamespace(path="/b/{id}", endpoint=ENDPOINT)]),
    ]
)
TWICE = SimpleNamespace(
    routes=[
        SimpleNamespace(path="/a", endpoint=ENDPOINT),
        SimpleNamespace(path="/b", endpoint=ENDPOINT),
    ]
)


@pytest.mark.parametrize(
    ("found", "path"),
    [
        ({}, None),
        ({"path_params": {}}, None),
        ({"path_params": {}, "route": route("/a")}, "/a"),
        ({"path_params": {}, "route": route("/a"), "root_path": "/proxy"}, "/a"),
        (
            {
                "path_params": {"id": 7, "shop": "north"},
                "route": route("/bread/{id}"),
                "app_root_path": "/proxy",
                "root_path": "/proxy/api/north",
            },
            "/api/{shop}/bread/{id}",
        ),
        (
            {
                "path_params": {},
                "route": SimpleNamespace(path="/static", app=object()),
                "app_root_path": "",
                "root_path": "/static",
            },
            "/static",
        ),
        (
            {
                "path_params": {},
                "route": route("/{id}"),
                "fastapi": {"effective_route_context": SimpleNamespace(path_format="/items/{id}")},
            },
            "/items/{id}",
        ),
        ({"path_params": {}, "endpoint": ENDPOINT, "router": ROUTES}, "/b/{id}"),
        ({"path_params": {}, "endpoint": object(), "router": ROUTES}, None),
        ({"path_params": {}, "endpoint": ENDPOINT, "router": TWICE}, None),
        ({"path_params": {}, "endpoint": ENDPOINT}, None),
    ],
)
def test_routes(found: dict[str, Any], path: str | None) -> None:
    """The template of the path, as the different versions of Starlette and FastAPI tell it."""
    assert route_of(scope_of(**found)) == path
