"""A FastAPI application with routers, a mounted application, streams and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from fasttrace import tracer
from fasttrace.contrib.asgi import TraceMiddleware

app = FastAPI()
router = APIRouter()


@router.get("/{number}")
async def bread(number: int) -> dict[str, int]:
    """A route of a router that is included in the application."""
    with tracer.trace("bake"):
        await asyncio.sleep(0)
    return {"bread": number}


app.include_router(router, prefix="/bread")


@app.get("/thread/{number}")
def in_thread(number: int) -> int:
    """A handler that runs in a thread of the pool."""
    with tracer.trace("bake"):
        return number


@app.get("/fails")
async def fails() -> None:
    """A handler that raises."""
    raise ValueError("no bread")


@app.get("/stream")
async def stream() -> StreamingResponse:
    """A response in parts."""

    async def parts() -> AsyncIterator[str]:
        for number in range(3):
            await asyncio.sleep(0.02)
            with tracer.trace("part"):
                yield f"part {number}\n"

    return StreamingResponse(parts())


@app.get("/endless")
async def endless() -> StreamingResponse:
    """A response that goes on until the client leaves."""

    async def parts() -> AsyncIterator[str]:
        while True:
            yield "part\n"
            await asyncio.sleep(0.005)

    return StreamingResponse(parts())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    """A response with work left to do after it."""

    async def work() -> None:
        with tracer.trace("background"):
            await asyncio.sleep(0)

    tasks.add_task(work)
    return "done"


@app.websocket("/feed")
async def feed(socket: WebSocket) -> None:
    """Answers each message."""
    await socket.accept()
    for _ in range(2):
        text = await socket.receive_text()
        with tracer.trace("message"):
            await socket.send_text(text.upper())
    await socket.close()


async def cake(request: Request) -> PlainTextResponse:
    """A route of a mounted Starlette application."""
    return PlainTextResponse(request.path_params["kind"])


app.mount("/{town}/cakes", Starlette(routes=[Route("/{kind}", cake)]))

app.add_middleware(TraceMiddleware)


async def tart(request: Request) -> PlainTextResponse:
    """A route of a mounted part."""
    return PlainTextResponse("tart")


starlette = TraceMiddleware(
    Starlette(routes=[Mount("/shop", routes=[Route("/tart/{kind}", tart)])])
)
