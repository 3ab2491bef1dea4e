"""The first service, FastAPI under uvicorn: takes orders and has them made in the kitchen.

KITCHEN_URL says where the kitchen is.
"""

import asyncio
import os

from calls import call
from fastapi import FastAPI

from fasttrace import tracer
from fasttrace.contrib.asgi import TraceMiddleware

app = FastAPI()
app.add_middleware(TraceMiddleware)


@app.get("/order/{sandwich}")
async def order(sandwich: str, customer: str = "nobody", unimportant: bool = False):
    """One sandwich, please."""
    request = tracer.current_root_span()
    request.context.set_baggage_item("customer", customer)
    if unimportant:
        request.set_tag("manual.drop")  # in all three services
    # asyncio.to_thread takes the active span along.
    made = await asyncio.to_thread(call, f"{os.environ['KITCHEN_URL']}/make/{sandwich}")
    return {"customer": customer, **made}
