"""wrap() on what FastAPI calls: handlers and dependencies, whose annotations it resolves."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from helpers import by_name, make_offline_tracer, spans_of
from pydantic import BaseModel

TRACER = make_offline_tracer()
app = FastAPI()


class Item(BaseModel):
    """Annotations of this module are texts, to be resolved with the globals of the function."""

    name: str
    price: int = 1


@app.get("/plain/{number}")
@TRACER.wrap("plain")
def plain(number: int, item: Annotated[str, "a query argument"] = "none") -> Item:
    """A handler that runs in a thread of the server's pool."""
    return Item(name=item, price=number)


@app.get("/async/{number}")
@TRACER.wrap("async")
async def later(number: int) -> Item:
    """A handler that runs in the loop."""
    return Item(name="async", price=number)


@TRACER.wrap("user")
def user(token: str = "nobody") -> str:
    """A dependency."""
    return token


@TRACER.wrap("connection", activate_in_consumer=True)
async def connection() -> AsyncIterator[str]:
    """A dependency that is open while the handler runs."""
    with TRACER.trace("connect"):
        await asyncio.sleep(0)
    yield "connection"
    with TRACER.trace("disconnect"):
        await asyncio.sleep(0)


@TRACER.wrap("lock")
def lock() -> Iterator[str]:
    """A dependency that is open while the handler runs; FastAPI runs it in threads."""
    yield "lock"


class Paging:
    """A dependency that is an object."""

    @TRACER.wrap("paging")
    def __call__(self, page: int = 1) -> int:
        """Give the number of the page."""
        return page


@app.get("/dependencies")
@TRACER.wrap("handler")
async def with_dependencies(
    who: Annotated[str, Depends(user)],
    connected: Annotated[str, Depends(connection)],
    locked: Annotated[str, Depends(lock)],
    page: Annotated[int, Depends(Paging())],
) -> list[Any]:
    """A handler that needs them all."""
    return [who, connected, locked, page]


@app.get("/failing")
@TRACER.wrap("failing")
async def failing(connected: Annotated[str, Depends(connection)]) -> None:
    """A handler that raises."""
    raise ValueError("handler failed")


@TRACER.wrap("background")
async def background(note: str) -> None:
    """Something to do after the response."""
    await asyncio.sleep(0)


@app.get("/background")
@TRACER.wrap("with background")
async def with_background(tasks: BackgroundTasks) -> str:
    """A handler that leaves work behind."""
    tasks.add_task(background, "note")
    tasks.add_task(TRACER.detached()(background), "detached")
    return "done"


async def get(path: str, query: str = "") -> tuple[int, Any]:
    """Send a GET request to the application; return status and decoded body."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [],
        "client": ("client", 1),
        "server": ("server", 80),
    }
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in messages)
    return messages[0]["status"], json.loads(body)


def request(path: str, query: str = "") -> tuple[int, Any]:
    """Send a GET request inside a span `request`; return status and decoded body."""

    async def main() -> tuple[int, Any]:
        with TRACER.trace("request"):
            return await get(path, query)

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Leave nothing of this module's own tracer to the next test."""
    yield
    spans_of(TRACER)


def test_handlers() -> None:
    """Wrapped handlers get their arguments by their annotations, in the loop and in threads."""
    assert request("/plain/3", "item=bread") == (200, {"name": "bread", "price": 3})
    assert request("/async/4") == (200, {"name": "async", "price": 4})
    assert request("/plain/none")[0] == 422
    spans = spans_of(TRACER)
    assert [span["name"] for span in spans] == ["request", "plain", "request", "async", "request"]
    assert spans[1]["parent_id"] == spans[0]["span_id"]
    assert spans[3]["parent_id"] == spans[2]["span_id"]


def test_dependencies() -> None:
    """Wrapped dependencies work; those that yield last as long as the handler, its span inside."""
    assert request("/dependencies", "token=ann&page=7") == (200, ["ann", "connection", "lock", 7])
    sent = by_name(spans_of(TRACER))
    assert sent["handler"]["parent_id"] == sent["connection"]["span_id"]
    for name in ("connect", "disconnect"):
        assert sent[name]["parent_id"] == sent["connection"]["span_id"]
    assert sent["connection"]["parent_id"] == sent["request"]["span_id"]
    start, end = sent["handler"]["start"], sent["handler"]["start"] + sent["handler"]["duration"]
    for name in ("connection", "lock"):
        around = sent[name]
        assert around["start"] <= start
        assert end <= around["start"] + around["duration"]
    assert not any(span.get("error") for span in sent.values())


def test_errors_of_handlers_reach_dependencies() -> None:
    """A handler's error passes through the dependencies that were open, and marks their spans."""
    with pytest.raises(ValueError, match="handler failed"):
        request("/failing")
    sent = by_name(spans_of(TRACER))
    for name in ("failing", "connection", "request"):
        assert sent[name]["meta"]["error.message"] == "handler failed"


def test_background_tasks() -> None:
    """Background tasks join the request's trace; detached ones do not."""
    assert request("/background") == (200, "done")
    spans = spans_of(TRACER)
    root = next(span for span in spans if span["name"] == "request")
    joined, apart = (span for span in spans if span["name"] == "background")
    if joined["trace_id"] != root["trace_id"]:
        joined, apart = apart, joined
    assert joined["trace_id"] == root["trace_id"]
    assert apart["trace_id"] != root["trace_id"]
    assert not apart.get("parent_id")


def test_the_schema_is_that_of_the_functions() -> None:
    """Descriptions and parameters in the OpenAPI document come from the wrapped functions."""
    paths = app.openapi()["paths"]
    operation = paths["/plain/{number}"]["get"]
    assert operation["description"] == inspect.getdoc(plain)
    assert [one["name"] for one in operation["parameters"]] == ["number", "item"]
    assert {one["name"] for one in paths["/dependencies"]["get"]["parameters"]} == {"token", "page"}
