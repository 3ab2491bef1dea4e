"""httpx: clients and asynchronous clients, in tasks, with redirects, streams and failures."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from http_peer import closed_port, http_server
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Call the server."""
    HTTPXClientInstrumentor().instrument()
    with http_server() as url:
        broken = f"http://127.0.0.1:{closed_port()}/"
        httpx.get(f"{url}/alone", trust_env=False)
        with tracer.start_as_current_span("order"):
            with httpx.Client(trust_env=False) as client:
                for path in ("/status/200?size=2", "/status/404", "/status/500"):
                    client.get(url + path)
                client.get(f"{url}/redirect", follow_redirects=True)
                client.post(f"{url}/orders", json={"bread": "rye"})
                with client.stream("GET", f"{url}/stream") as reply:
                    reply.read()
                try:
                    client.get(broken)
                except httpx.ConnectError:
                    pass
        asyncio.run(in_tasks(tracer, url, broken))


async def in_tasks(tracer: trace.Tracer, url: str, broken: str) -> None:
    """Send requests at the same time, each in its own task under its own span."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def one(i: int) -> None:
            with tracer.start_as_current_span(f"task {i}"):
                await client.get(f"{url}/{i}")

        with tracer.start_as_current_span("tasks"):
            await asyncio.gather(*(one(i) for i in range(4)))
            await client.get(f"{url}/status/404")
            try:
                await client.get(broken)
            except httpx.ConnectError:
                pass
