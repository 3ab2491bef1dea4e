"""Starlette and the middleware for any ASGI application, with a mount and a WebSocket."""

from __future__ import annotations

from typing import Any

from http_peer import asgi_server, fetch
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect


def main(tracer: trace.Tracer) -> Any:
    """Serve."""

    async def order(request: Request) -> PlainTextResponse:
        with tracer.start_as_current_span("cook"):
            return PlainTextResponse(request.path_params["bread"])

    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            for i in range(3):
                with tracer.start_as_current_span(f"part {i}"):
                    yield str(i)

        return StreamingResponse(parts())

    async def fail(request: Request) -> None:
        raise RuntimeError("no bread")

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        text = await socket.receive_text()
        with tracer.start_as_current_span("answer"):
            await socket.send_text(text.upper())
        await socket.close()

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        """An application without a framework."""
        with tracer.start_as_current_span("plain"):
            status = 500 if scope["path"].endswith("/broken") else 200
            await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    app = Starlette(
        routes=[
            Route("/order/{bread}", order),
            Route("/stream", stream),
            Route("/fail", fail),
            WebSocketRoute("/talk", talk),
            Mount("/inner", routes=[Route("/order/{bread}", order)]),
        ]
    )
    StarletteInstrumentor.instrument_app(app)
    with asgi_server(app) as port:
        statuses = [fetch(port, "/order/alone")]
        with tracer.start_as_current_span("client"):
            for path in ("/order/rye?n=2", "/inner/order/oat", "/stream", "/fail", "/missing"):
                statuses.append(fetch(port, path))
        with connect(f"ws://127.0.0.1:{port}/talk") as socket:
            socket.send("hello")
            statuses.append(socket.recv())
    wrapped = OpenTelemetryMiddleware(
        plain,
        default_span_details=lambda scope: (f"plain {scope['path']}", {"detail": "given"}),
        server_request_hook=lambda span, scope: span.set_attribute("hook", scope["type"]),
    )
    with asgi_server(wrapped) as port:
        with tracer.start_as_current_span("client of plain"):
            statuses += [fetch(port, "/ok"), fetch(port, "/broken", "POST", "x")]
    return statuses
