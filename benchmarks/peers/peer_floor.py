"""The CPython floor (benchmarks/floor) and the bare loops, as a peer."""

from __future__ import annotations

import platform

from floor.build import load
from shapes import EXTRA_FRAMES, Burst, drive, raise_deep, span_scenarios

label = "CPython floor"


def versions() -> dict[str, str]:
    """The floor has no version of its own; the interpreter is what it measures."""
    return {"CPython": platform.python_version()}


def _call(value: int) -> int:
    return value


async def _call_async(value: int) -> int:
    return value


def _plain_loop(n: int) -> None:
    for _ in range(n):
        pass


def _plain_call(n: int) -> None:
    for _ in range(n):
        _call(1)


async def _await_many(n: int) -> None:
    for _ in range(n):
        await _call_async(1)


def _plain_await(n: int) -> None:
    drive(_await_many(n))


def _plain_exception(n: int) -> None:
    for _ in range(n):
        try:
            raise_deep(EXTRA_FRAMES)
        except ValueError:
            pass


scenarios: dict[str, Burst] = {
    **span_scenarios(load().FloorTracer()),
    "plain_loop": _plain_loop,
    "plain_call": _plain_call,
    "plain_await": _plain_await,
    "plain_exception": _plain_exception,
}
