"""redis on a real Redis: commands, pipelines, transactions, errors, threads, tasks."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
import redis.asyncio
from opentelemetry import trace
from opentelemetry.instrumentation.redis import RedisInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Send commands."""
    RedisInstrumentor().instrument()
    port = int(os.environ["REDIS_PORT"])
    client = redis.Redis(port=port, decode_responses=True)
    client.flushall()
    notes: list[Any] = []
    with tracer.start_as_current_span("order"):
        client.set("bread", "rye")
        notes.append(client.get("bread"))
        client.hset("table", mapping={"seats": 4, "number": 7})
        with client.pipeline(transaction=True) as pipeline:
            notes.append(pipeline.incr("n").incr("n").get("bread").execute())
        try:
            client.incr("bread")
        except redis.ResponseError as error:
            notes.append(str(error))
        with tracer.start_as_current_span("watched"), client.pipeline() as pipeline:
            pipeline.watch("bread")
            client.set("bread", "oat")
            pipeline.multi()
            pipeline.get("bread")
            try:
                pipeline.execute()
            except redis.WatchError as error:
                notes.append(str(error))

    def elsewhere(i: int) -> Any:
        with tracer.start_as_current_span(f"thread {i}"):
            return client.set(f"k{i}", i)

    with ThreadPoolExecutor(4) as pool:
        notes.append(list(pool.map(elsewhere, range(4))))
    client.close()
    notes.append(asyncio.run(in_tasks(tracer, port)))
    return notes


async def in_tasks(tracer: trace.Tracer, port: int) -> Any:
    """Send commands from several tasks."""
    client = redis.asyncio.Redis(port=port, decode_responses=True)

    async def one(i: int) -> Any:
        with tracer.start_as_current_span(f"task {i}"):
            return await client.get(f"k{i}")

    with tracer.start_as_current_span("tasks"):
        found = await asyncio.gather(*(one(i) for i in range(4)))
        async with client.pipeline() as pipeline:
            found += await pipeline.get("k0").get("k1").execute()
    await client.aclose()
    return found
