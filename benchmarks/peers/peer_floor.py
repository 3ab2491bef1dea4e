"""The CPython floor (benchmarks/floor) and the bare loops, as a peer.

The floor is called in the cheapest form CPython has, a method of a local variable; the tracers are
called as applications call them, by an imported name. The difference counts against us.
"""

from __future__ import annotations

import platform

from bursts import CHILDREN, EXTRA_FRAMES, Burst, awaits_of, calls_of, raise_deep
from floor.build import load

label = "CPython floor"


def versions() -> dict[str, str]:
    """The floor has no version of its own; the interpreter is what it measures."""
    return {"CPython": platform.python_version()}


_floor_tracer = load().FloorTracer()


def _single_root(n: int) -> None:
    tracer = _floor_tracer
    for _ in range(n):
        with tracer.trace("web.request"):
            pass


def _child10(n: int) -> None:
    tracer = _floor_tracer
    for _ in range(n // 10):
        with tracer.trace("web.request"):
            for _ in CHILDREN:
                with tracer.trace("cache.get"):
                    pass


def _exception(n: int) -> None:
    tracer = _floor_tracer
    for _ in range(n):
        try:
            with tracer.trace("web.request"):
                raise_deep(EXTRA_FRAMES)
        except ValueError:
            pass


def _call(value: int) -> int:
    return value


async def _call_async(value: int) -> int:
    return value


def _plain_loop(n: int) -> None:
    for _ in range(n):
        pass


def _plain_exception(n: int) -> None:
    for _ in range(n):
        try:
            raise_deep(EXTRA_FRAMES)
        except ValueError:
            pass


scenarios: dict[str, Burst] = {
    "single_root": _single_root,
    "child10": _child10,
    "exception": _exception,
    "plain_loop": _plain_loop,
    "plain_call": calls_of(_call),
    "plain_await": awaits_of(_call_async),
    "plain_exception": _plain_exception,
}
