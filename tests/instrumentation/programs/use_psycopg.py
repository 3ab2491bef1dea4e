"""psycopg on a real PostgreSQL: cursors, asynchronous ones, errors, transactions, threads."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from opentelemetry import trace
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Query."""
    PsycopgInstrumentor().instrument()
    where = f"host=127.0.0.1 port={os.environ['POSTGRESQL_PORT']} user=shop dbname=shop"
    notes: list[Any] = []
    with psycopg.connect(where) as connection:
        connection.execute("CREATE TEMPORARY TABLE bread (name text, slices int)")
        with tracer.start_as_current_span("order"):
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO bread VALUES (%s, %s)", [("rye", 5), ("oat", 7)])
                cursor.execute("SELECT name FROM bread WHERE slices > %s", (5,))
                notes.append(cursor.fetchall())
            connection.commit()
            try:
                with connection.transaction(), tracer.start_as_current_span("transaction"):
                    connection.execute("SELECT nothing FROM nowhere")
            except psycopg.errors.UndefinedTable:
                pass

    def elsewhere(i: int) -> Any:
        with tracer.start_as_current_span(f"thread {i}"), psycopg.connect(where) as own:
            return own.execute("SELECT 1 + %s", (i,)).fetchone()

    with ThreadPoolExecutor(4) as pool:
        notes.append(list(pool.map(elsewhere, range(4))))
    notes.append(asyncio.run(in_tasks(tracer, where)))
    return notes


async def in_tasks(tracer: trace.Tracer, where: str) -> Any:
    """Query from several tasks."""

    async def one(i: int) -> Any:
        with tracer.start_as_current_span(f"task {i}"):
            async with await psycopg.AsyncConnection.connect(where) as connection:
                async with connection.cursor() as cursor:
                    await cursor.execute("SELECT %s + 1", (i,))
                    return await cursor.fetchone()

    with tracer.start_as_current_span("tasks"):
        return await asyncio.gather(*(one(i) for i in range(3)))
