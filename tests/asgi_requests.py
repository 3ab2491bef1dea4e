"""Requests to ASGI applications made by hand, and applications that answer them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from helpers import spans_of

from fasttrace import Tracer

OK = {"type": "http.response.start", "status": 200, "headers": []}


def scope_of(path: str = "/bread", **changes: Any) -> dict[str, Any]:
    """A GET request as uvicorn describes it."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": str(path).encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop:8000"), (b"user-agent", b"curl/8")],
        "client": ("10.0.0.1", 5000),
        "server": ("10.0.0.2", 8000),
    }
    return {**scope, **changes}


def body(content: bytes = b"", more: bool = False) -> dict[str, Any]:
    """A part of a response."""
    return {"type": "http.response.body", "body": content, "more_body": more}


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers every request."""
    await send(OK)
    await send(body(b"bread"))


def answering(*messages: Any) -> Callable[..., Any]:
    """An application that sends these messages; an exception among them is raised."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            if isinstance(message, BaseException):
                raise message
            await send(message)

    return app


def serve(app: Any, scope: Any = None, received: tuple[Any, ...] = ()) -> list[Any]:
    """Run a request through `app`; return what it sent."""
    sent: list[Any] = []
    incoming = iter(received)

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope_of() if scope is None else scope, receive, send))
    return sent


def span_of(tracer: Tracer) -> dict[str, Any]:
    """The one span that was made."""
    (span,) = spans_of(tracer)
    return span
