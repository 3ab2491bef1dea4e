"""sqlite3: queries, many at once, scripts, errors, transactions, threads."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor


def main(tracer: trace.Tracer) -> Any:
    """Query."""
    SQLite3Instrumentor().instrument()
    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE bread (name TEXT, slices INTEGER)")
    with tracer.start_as_current_span("order"):
        cursor.executemany("INSERT INTO bread VALUES (?, ?)", [("rye", 5), ("oat", 7)])
        found = cursor.execute("SELECT * FROM bread WHERE slices > ?", (5,)).fetchall()
        connection.commit()
        try:
            cursor.execute("SELECT nothing FROM nowhere")
        except sqlite3.OperationalError:
            pass
        cursor.executescript("DELETE FROM bread; VACUUM;")
        with tracer.start_as_current_span("inner"):
            connection.execute("SELECT 1")

    def elsewhere(i: int) -> Any:
        with tracer.start_as_current_span(f"thread {i}"):
            own = sqlite3.connect(":memory:")
            rows = own.cursor().execute("SELECT ?", (i,)).fetchall()
            own.close()
            return rows

    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(elsewhere, range(4)))
    connection.close()
    return [found, rows]
