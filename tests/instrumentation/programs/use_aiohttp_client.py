"""aiohttp's client: answers, redirects, failures, tasks, a request that is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from http_peer import closed_port, http_server
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Call the server."""
    AioHttpClientInstrumentor().instrument(
        request_hook=lambda span, params: span.set_attribute("hook", params.method)
    )
    with http_server() as url:
        asyncio.run(in_tasks(tracer, url))


async def in_tasks(tracer: trace.Tracer, url: str) -> None:
    """Send requests one after the other and at the same time."""
    async with aiohttp.ClientSession() as session:

        async def get(path: str, **kwargs: Any) -> None:
            async with session.get(url + path, **kwargs) as reply:
                await reply.read()

        async def one(i: int) -> None:
            with tracer.start_as_current_span(f"task {i}"):
                await get(f"/{i}")

        await get("/alone")
        with tracer.start_as_current_span("order"):
            for path in ("/status/200?size=2", "/status/404", "/status/500", "/redirect"):
                await get(path)
            async with session.post(f"{url}/orders", data=b"rye") as reply:
                await reply.read()
            for broken in (f"http://127.0.0.1:{closed_port()}/", f"{url}/cut"):
                try:
                    await session.post(broken)
                except aiohttp.ClientError:
                    pass
            await asyncio.gather(*(one(i) for i in range(4)))
            try:
                await get("/status/404", raise_for_status=True)
            except aiohttp.ClientResponseError:
                pass
