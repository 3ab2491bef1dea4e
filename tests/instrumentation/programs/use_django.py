"""Django: views of both kinds, routes with names, errors, middleware, under WSGI and ASGI."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from http_peer import asgi_server, fetch, wsgi_server
from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor

tracer = trace.get_tracer("program")


def order(request: HttpRequest, bread: str) -> HttpResponse:
    """Answer, in a span of the application's own."""
    with tracer.start_as_current_span("cook", attributes={"bread": bread}):
        return HttpResponse(bread)


async def coroutine(request: HttpRequest) -> HttpResponse:
    """Answer from a coroutine."""
    with tracer.start_as_current_span("cook in a task"):
        return HttpResponse("ready")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer in parts."""
    return StreamingHttpResponse(iter(("a", "b")))


def fail(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise RuntimeError("no bread")


def gone(request: HttpRequest) -> HttpResponse:
    """Answer 404 from a view."""
    raise Http404("sold out")


def marks(get_response: Any) -> Any:
    """A middleware."""

    def middleware(request: HttpRequest) -> Any:
        with tracer.start_as_current_span("middleware"):
            return get_response(request)

    return middleware


def main(_tracer: trace.Tracer) -> Any:
    """Serve."""
    here = sys.modules[__name__]
    settings.configure(
        SECRET_KEY="x",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=here,
        MIDDLEWARE=[f"{__name__}.marks"],
        LOGGING_CONFIG=None,
    )
    import logging

    logging.disable(logging.CRITICAL)
    DjangoInstrumentor().instrument()
    django.setup()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    here.urlpatterns = [  # type: ignore[attr-defined]
        path("order/<str:bread>", order, name="order"),
        path("coroutine", coroutine),
        path("stream", stream),
        path("fail", fail),
        path("gone", gone, name="gone"),
    ]
    paths = ("/order/rye?n=2", "/coroutine", "/stream", "/fail", "/gone", "/missing")
    statuses = []
    with wsgi_server(get_wsgi_application()) as port:
        statuses.append(fetch(port, "/order/alone"))
        with tracer.start_as_current_span("client of WSGI"):
            statuses += [fetch(port, each) for each in paths]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: fetch(port, f"/order/{i}"), range(4)))
    with asgi_server(get_asgi_application()) as port:
        with tracer.start_as_current_span("client of ASGI"):
            statuses += [fetch(port, each) for each in paths]
    return statuses
