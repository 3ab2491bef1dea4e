"""Small parts that the bursts of all adapters share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Burst = Callable[[int], None]

CHILDREN = range(9)
"""A trace of ten spans: one root and nine children, one after the other."""
EXTRA_FRAMES = 28
"""With the frame holding the `with` and the one that raises: a traceback of 30 frames."""


def raise_deep(depth: int) -> None:
    """Raise ValueError `depth` frames further down."""
    if depth:
        raise_deep(depth - 1)
    else:
        raise ValueError("boom")


def drive(coroutine: Any) -> None:
    """Run a coroutine that never suspends, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the benchmark coroutine suspended")


def calls_of(function: Callable[[int], int]) -> Burst:
    """A burst of calls of `function`: one that is wrapped, or none that the floor compares with."""

    def burst(n: int) -> None:
        for _ in range(n):
            function(1)

    return burst


def awaits_of(function: Callable[[int], Awaitable[int]]) -> Burst:
    """The same for a coroutine function."""

    async def await_many(n: int) -> None:
        for _ in range(n):
            await function(1)

    def burst(n: int) -> None:
        drive(await_many(n))

    return burst
