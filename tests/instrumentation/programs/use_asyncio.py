"""asyncio: traced coroutines, tasks, futures and functions in threads."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from opentelemetry import trace

os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"] = "cook,burn,sleepy"
os.environ["OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE"] = "heat"
os.environ["OTEL_PYTHON_ASYNCIO_FUTURE_TRACE_ENABLED"] = "true"


def main(tracer: trace.Tracer) -> Any:
    """Run a loop."""
    from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor

    AsyncioInstrumentor().instrument()

    async def cook(bread: str) -> str:
        with tracer.start_as_current_span(f"slice {bread}"):
            await asyncio.sleep(0)
        return bread

    async def burn() -> None:
        raise ValueError("burnt")

    async def sleepy() -> None:
        await asyncio.sleep(60)

    def heat(degrees: int) -> int:
        with tracer.start_as_current_span("in a thread"):
            return degrees

    async def run() -> Any:
        notes: list[Any] = []
        with tracer.start_as_current_span("order"):
            notes.append(await asyncio.create_task(cook("rye")))
            notes += await asyncio.gather(cook("a"), cook("b"), burn(), return_exceptions=True)
            notes.append(await asyncio.to_thread(heat, 200))
            try:
                await asyncio.wait_for(sleepy(), 0.01)
            except asyncio.TimeoutError:
                notes.append("late")
            with tracer.start_as_current_span("inner"):
                await asyncio.ensure_future(cook("inner"))
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, 1)
            notes.append(await asyncio.gather(future, cook("c")))
        notes.append(await asyncio.create_task(cook("alone")))
        return notes

    return [str(note) for note in asyncio.run(run())]
