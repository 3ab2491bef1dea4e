"""FastAPI: routes in the loop and in threads, dependencies, errors, tasks, background work."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from http_peer import asgi_server, fetch
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Serve."""
    app = FastAPI()

    async def kitchen() -> Any:
        with tracer.start_as_current_span("kitchen opens"):
            pass
        yield "kitchen"

    @app.get("/order/{bread}")
    async def order(bread: str, n: int = 1, where: str = Depends(kitchen)) -> dict[str, Any]:
        async def slice_one(i: int) -> None:
            with tracer.start_as_current_span(f"slice {i}"):
                await asyncio.sleep(0)

        await asyncio.gather(*(slice_one(i) for i in range(n)))
        return {"bread": bread, "where": where}

    @app.get("/slow")
    def slow() -> dict[str, str]:
        with tracer.start_as_current_span("in a thread"):
            return {}

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("no bread")

    @app.get("/refuse")
    async def refuse() -> None:
        raise HTTPException(403, "closed")

    @app.post("/orders")
    async def orders(later: BackgroundTasks) -> dict[str, str]:
        def wash() -> None:
            with tracer.start_as_current_span("wash"):
                pass

        later.add_task(wash)
        return {}

    FastAPIInstrumentor.instrument_app(app)
    with asgi_server(app) as port:
        statuses = [fetch(port, "/order/alone")]
        with tracer.start_as_current_span("client"):
            for path in ("/order/rye?n=3", "/slow", "/fail", "/refuse", "/missing", "/order/x?n=x"):
                statuses.append(fetch(port, path))
            statuses.append(fetch(port, "/orders", "POST", "{}"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: fetch(port, f"/order/{i}"), range(4)))
    return statuses
