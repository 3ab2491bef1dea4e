"""A small sandwich shop, traced from the counter to the till.

One process with real work in it: orders come in over HTTP, prices and stock are in SQLite, the
kitchen is asyncio, and the receipts are printed by another thread. Each way of making a span is
used where it fits best:

    @tracer.wrap()                         the steps in the kitchen, sync and async
    with tracer.trace(...)                 the HTTP request, the SQL queries
    tracer.start_span(...), span.finish()  the card payment
    context_provider.activate(context)     the receipt, printed in another thread
    tracer.set_tags({...})                 tags that every span carries

To see its traces, start an agent and run

    DD_TRACE_AGENT_URL=http://localhost:8126 python examples/sandwich.py

or let ``fasttrace demo`` do both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fasttrace import tracer

tracer.set_tags({"shop": "corner", "shop.tables": 4})

MENU = {  # name: (price in euro, ingredients)
    "blt": (6.5, ("bacon", "lettuce", "tomato")),
    "cheese": (4.0, ("cheddar",)),
    "club": (8.5, ("chicken", "bacon", "egg")),
    "tuna": (7.0, ("tuna", "cucumber")),  # there is never any tuna left
}
ORDERS = ("blt", "cheese", "blt", "tuna", "cheese", "club", "blt", "ham")  # ham is not on the menu
CARD_LIMIT_EUR = 8.0  # the card terminal refuses more than that


class OutOfStock(Exception):
    """The kitchen has nothing left of an ingredient."""


class CardRefused(Exception):
    """The bank does not pay."""


# -- the stockroom: SQL, one span for each query --------------------------------------------------


class Stockroom:
    """Prices and stock in a SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._connect() as db:
            db.execute("CREATE TABLE price (sandwich TEXT PRIMARY KEY, euro REAL)")
            db.execute("CREATE TABLE stock (item TEXT PRIMARY KEY, pieces INTEGER)")
            for name, (euro, ingredients) in MENU.items():
                db.execute("INSERT INTO price VALUES (?, ?)", (name, euro))
                for ingredient in ingredients:
                    pieces = 0 if ingredient == "tuna" else 1_000_000
                    db.execute("INSERT OR IGNORE INTO stock VALUES (?, ?)", (ingredient, pieces))

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as db:
            db.execute("PRAGMA synchronous = OFF")  # nobody needs this stock tomorrow
            with db:
                yield db

    def query(self, sql: str, *values: str) -> tuple[list[tuple], int]:
        """Run one statement; return its rows and how many rows it changed.

        The span's resource is the text without the values: all calls of one kind add up.
        """
        with tracer.trace("sqlite.query", "sandwich-db", resource=sql, span_type="sql") as span:
            with self._connect() as db:
                cursor = db.execute(sql, values)
                rows = cursor.fetchall()
            span.set_tag("db.name", self.path.name)
            span.set_metric("db.row_count", max(cursor.rowcount, len(rows)))
            return rows, cursor.rowcount

    def price(self, sandwich: str) -> float:
        """Price in euro; KeyError for what is not on the menu."""
        rows, _ = self.query("SELECT euro FROM price WHERE sandwich = ?", sandwich)
        if not rows:
            raise KeyError(sandwich)
        return rows[0][0]

    def take(self, ingredient: str) -> None:
        """Take one piece; OutOfStock if there is none."""
        with tracer.trace("stock.take", resource=ingredient):
            _, taken = self.query(
                "UPDATE stock SET pieces = pieces - 1 WHERE item = ? AND pieces > 0",
                ingredient,
            )
            if not taken:
                raise OutOfStock(f"no {ingredient} left")  # the span records it on its way out


# -- the kitchen: coroutines, whose tasks continue the trace of the order -------------------------


@tracer.wrap("kitchen.toast", service="sandwich-kitchen")
async def toast(slices: int) -> None:
    """Toast bread; the toaster takes a moment, and others may cook meanwhile."""
    tracer.current_span().set_metric("bread.slices", slices)
    await asyncio.sleep(0.002)


@tracer.wrap("kitchen.slice", service="sandwich-kitchen")
async def cut(ingredient: str) -> None:
    """Cut one ingredient."""
    tracer.current_span().set_tag("ingredient", ingredient)
    await asyncio.sleep(0.001)


@tracer.wrap()  # named after the function; the service is that of the span it is called in
def assemble(ingredients: tuple[str, ...]) -> str:
    """Put it all between two slices."""
    return " | ".join(("bread", *ingredients, "bread"))


@tracer.wrap("kitchen.prepare", service="sandwich-kitchen")
async def prepare(stockroom: Stockroom, sandwich: str) -> str:
    """Make one sandwich: everything is cut while the bread is in the toaster."""
    tracer.current_span().resource = sandwich
    _, ingredients = MENU[sandwich]
    for ingredient in ingredients:
        stockroom.take(ingredient)
    await asyncio.gather(toast(2), *(cut(ingredient) for ingredient in ingredients))
    return assemble(ingredients)


# -- the till: a span by hand, and one in another thread ------------------------------------------


def charge(euro: float) -> None:
    """Let the card terminal take the money; CardRefused if it does not."""
    span = tracer.start_span(
        "till.charge", child_of=tracer.current_span(), service="sandwich-till", resource="card"
    )
    span.set_metric("price.eur", euro)
    refused = euro > CARD_LIMIT_EUR
    if refused:
        span.error = 1
        span.set_tag("error.type", "CardRefused")
        span.set_tag("error.message", f"{euro:.2f} EUR is over the limit")
    span.finish()
    if refused:
        raise CardRefused("card refused")


class ReceiptPrinter:
    """Prints in a thread of its own, so that nobody waits for the paper."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self.printed: list[str] = []

    def submit(self, text: str) -> None:
        """Hand over a receipt together with the context of the order it belongs to."""
        self._thread.submit(self._print, text, tracer.current_span().context)

    def _print(self, text: str, context) -> None:
        tracer.context_provider.activate(context)
        with tracer.trace("till.receipt", service="sandwich-till"):
            self.printed.append(text)

    def close(self) -> None:
        """Wait until everything is printed."""
        self._thread.shutdown()


# -- the counter: an HTTP server and its clients --------------------------------------------------


class Counter(BaseHTTPRequestHandler):
    """Takes one order per request: GET /sandwich/<name>."""

    server: Shop

    def do_GET(self) -> None:
        """Answer with the sandwich, or say why there is none."""
        sandwich = self.path.removeprefix("/sandwich/")
        with tracer.trace("web.request", service="sandwich-web", span_type="web") as span:
            span.set_tags({"http.method": "GET", "http.url": self.path})
            span.resource = "GET /sandwich"
            status, text = self.server.order(sandwich)
            span.set_tag("http.status_code", status)
            if status >= 500:
                span.error = 1
            self._reply(status, text)

    def _reply(self, status: int, text: str) -> None:
        body = json.dumps({"answer": text}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet: the spans tell the story."""


class Shop(ThreadingHTTPServer):
    """The whole shop; each request is handled in a thread of its own."""

    daemon_threads = False  # server_close() waits for the requests being handled

    def __init__(self, stock_file: Path) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.stockroom = Stockroom(stock_file)
        self.printer = ReceiptPrinter()

    def order(self, sandwich: str) -> tuple[int, str]:
        """Sell one sandwich; return the HTTP status and what to tell the customer."""
        try:
            euro = self.stockroom.price(sandwich)
            made = asyncio.run(prepare(self.stockroom, sandwich))
            charge(euro)
        except KeyError:
            return 404, "not on the menu"
        except OutOfStock as error:
            return 503, str(error)
        except CardRefused as error:
            return 402, str(error)
        self.printer.submit(f"{sandwich} {euro:.2f} EUR")
        return 200, made

    def server_close(self) -> None:
        """Finish what was begun, then close."""
        super().server_close()
        self.printer.close()


def send_order(address: tuple[str, int], sandwich: str) -> int:
    """Be a customer: one request, its status."""
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        connection.request("GET", f"/sandwich/{sandwich}")
        answer = connection.getresponse()
        answer.read()
        return answer.status


def run(requests: int, customers: int = 4) -> dict[int, int]:
    """Open the shop, serve that many requests, close it; return the count of each HTTP status."""
    with tempfile.TemporaryDirectory() as directory, Shop(Path(directory, "shop.db")) as shop:
        serving = threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            orders = itertools.islice(itertools.cycle(ORDERS), requests)
            with ThreadPoolExecutor(customers) as pool:
                statuses = list(pool.map(send_order, itertools.repeat(shop.server_address), orders))
        finally:
            shop.shutdown()
            serving.join()
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def main(argv: list[str] | None = None) -> None:
    """Serve some requests and say how they ended."""
    parser = argparse.ArgumentParser(description="A traced sandwich shop.")
    parser.add_argument("--requests", type=int, default=64, help="how many to serve (default 64)")
    requests = parser.parse_args(argv).requests
    statuses = run(requests)
    summary = ", ".join(f"{count} x {status}" for status, count in statuses.items())
    print(f"sandwich shop: {requests} HTTP requests answered: {summary}")


if __name__ == "__main__":
    main()
