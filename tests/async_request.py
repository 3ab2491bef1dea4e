"""A request of an asyncio application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from helpers import by_name, spans_of

from fasttrace import Span, Tracer


def run_in_request(
    tracer: Tracer, body: Callable[[Span], Awaitable[None]]
) -> dict[str, dict[str, Any]]:
    """Run `await body(span)` in a span `request`, which stays active; return the spans by name."""

    async def main() -> None:
        with tracer.trace("request") as request:
            await body(request)
            assert tracer.current_span() is request
        assert tracer.current_span() is None

    asyncio.run(main())
    return by_name(spans_of(tracer))
