"""aiohttp's server: routes, errors, what is raised, spans inside of handlers, tasks."""

from __future__ import annotations

import asyncio
from typing import Any

from http_peer import fetch
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Serve."""
    AioHttpServerInstrumentor().instrument()
    from aiohttp import web  # only what is made after that is instrumented

    async def order(request: web.Request) -> web.Response:
        with tracer.start_as_current_span("cook") as span:
            span.set_attribute("bread", request.match_info["bread"])
            await asyncio.sleep(0)
        return web.Response(text="ready")

    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("no bread")

    async def refuse(request: web.Request) -> web.Response:
        raise web.HTTPForbidden(text="closed")

    async def serve() -> list[int]:
        app = web.Application()
        app.router.add_get("/order/{bread}", order)
        app.router.add_post("/order/{bread}", order)
        app.router.add_get("/fail", fail)
        app.router.add_get("/refuse", refuse)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        statuses = []
        try:
            with tracer.start_as_current_span("client"):
                for path in ("/order/rye?n=2", "/fail", "/refuse", "/missing"):
                    statuses.append(await asyncio.to_thread(fetch, port, path))
                statuses.append(await asyncio.to_thread(fetch, port, "/order/oat", "POST", "x"))
                await asyncio.gather(
                    *(asyncio.to_thread(fetch, port, f"/order/{i}") for i in range(4))
                )
            statuses.append(await asyncio.to_thread(fetch, port, "/order/alone"))
        finally:
            await runner.cleanup()
        return statuses

    import logging

    logging.disable(logging.CRITICAL)  # aiohttp logs what handlers raise
    return asyncio.run(serve())
