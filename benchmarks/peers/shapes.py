"""The measured code, once, for every tracer with a ddtrace-shaped API.

fasttrace and ddtrace run these very functions; the floor runs those it can. Only the import that
produced `tracer` differs. What peer_otel.py writes out in OpenTelemetry's words has the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CHILDREN = range(9)
"""A trace of ten spans: one root and nine children, one after the other."""
EXTRA_FRAMES = 28
"""With the frame holding the `with` and the one that raises: a traceback of 30 frames."""

Burst = Callable[[int], None]


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


def span_scenarios(tracer: Any) -> dict[str, Burst]:
    """Scenarios that need `with tracer.trace(name)` and nothing else; the floor has these too."""

    def single_root(n: int) -> None:
        for _ in range(n):
            with tracer.trace("web.request"):
                pass

    def child10(n: int) -> None:
        for _ in range(n // 10):
            with tracer.trace("web.request"):
                for _ in CHILDREN:
                    with tracer.trace("cache.get"):
                        pass

    def exception(n: int) -> None:
        for _ in range(n):
            try:
                with tracer.trace("web.request"):
                    raise_deep(EXTRA_FRAMES)
            except ValueError:
                pass

    return {"single_root": single_root, "child10": child10, "exception": exception}


def tracer_scenarios(tracer: Any) -> dict[str, Burst]:
    """Every scenario, for a tracer with tags, `wrap` and `enabled`."""

    def tagged_child10(n: int) -> None:
        # The root is tagged like its children: an untagged root would flatter the average.
        for _ in range(n // 10):
            with tracer.trace("web.request", service="web", resource="GET /cart") as root:
                root.set_tag("http.method", "GET")
                root.set_tag("http.route", "/cart")
                root.set_metric("cart.items", 3)
                for _ in CHILDREN:
                    with tracer.trace("db.query", service="web", resource="SELECT cart") as span:
                        span.set_tag("db.system", "postgres")
                        span.set_tag("db.name", "shop")
                        span.set_metric("db.rows", 12)

    @tracer.wrap("work.item")
    def work(value: int) -> int:
        return value

    @tracer.wrap("work.item")
    async def work_async(value: int) -> int:
        return value

    def wrap(n: int) -> None:
        for _ in range(n):
            work(1)

    async def await_many(n: int) -> None:
        for _ in range(n):
            await work_async(1)

    def wrap_coroutine(n: int) -> None:
        drive(await_many(n))

    single_root = span_scenarios(tracer)["single_root"]

    def disabled_with(n: int) -> None:
        tracer.enabled = False
        try:
            single_root(n)
        finally:
            tracer.enabled = True

    def disabled_wrap(n: int) -> None:
        tracer.enabled = False
        try:
            wrap(n)
        finally:
            tracer.enabled = True

    return {
        **span_scenarios(tracer),
        "tagged_child10": tagged_child10,
        "wrap": wrap,
        "wrap_coroutine": wrap_coroutine,
        "disabled_with": disabled_with,
        "disabled_wrap": disabled_wrap,
    }
