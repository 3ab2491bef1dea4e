"""A shop in FastAPI: SQL by SQLAlchemy, and a request to itself by httpx. Nothing here traces.

fasttrace-run uvicorn fastapi_shop:app
"""

import httpx
from fastapi import FastAPI, Request
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

app = FastAPI()
engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE stock (item TEXT, pieces INTEGER)"))
    connection.execute(text("INSERT INTO stock VALUES ('bread', 5)"))


@app.get("/order/{item}")
async def order(item: str, request: Request) -> dict[str, int]:
    """Ask for the stock over HTTP, as another service would."""
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(f"{request.base_url}stock/{item}")
    return {item: answer.json() - 1}


@app.get("/stock/{item}")
def stock(item: str) -> int:
    """Look it up in the database, in a thread of the server."""
    with engine.connect() as connection:
        query = text("SELECT pieces FROM stock WHERE item = :item")
        return connection.execute(query, {"item": item}).scalar() or 0
