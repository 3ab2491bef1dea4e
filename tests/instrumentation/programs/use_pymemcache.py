"""pymemcache on a real memcached: commands on one key and on many, errors, pools, threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.pymemcache import PymemcacheInstrumentor
from pymemcache.client.base import Client, PooledClient
from pymemcache.exceptions import MemcacheError


def main(tracer: trace.Tracer) -> Any:
    """Send commands."""
    PymemcacheInstrumentor().instrument()
    where = ("127.0.0.1", int(os.environ["MEMCACHED_PORT"]))
    client = Client(where)
    client.flush_all()
    notes: list[Any] = []
    with tracer.start_as_current_span("order"):
        client.set("bread", "rye", noreply=False)
        notes.append(str(client.get("bread")))
        client.set_many({"a": "1", "b": "2"}, noreply=False)
        notes.append(sorted(client.get_many(["a", "b", "c"])))
        notes.append(client.incr("a", 5))
        with tracer.start_as_current_span("inner"):
            client.delete("b", noreply=False)
        for broken in (lambda: client.set("with space", "x"), lambda: client.incr("bread", 1)):
            try:
                broken()
            except MemcacheError as error:
                notes.append(type(error).__name__)
    client.close()
    pooled = PooledClient(where, max_pool_size=4)

    def elsewhere(i: int) -> Any:
        with tracer.start_as_current_span(f"thread {i}"):
            return pooled.set(f"k{i}", str(i), noreply=False)

    with ThreadPoolExecutor(4) as pool:
        notes.append(list(pool.map(elsewhere, range(4))))
    pooled.close()
    return notes
