"""The measured code of the OpenTracing peers: a `tracer` of theirs, as imported (measured.py)."""

from __future__ import annotations

from bursts import CHILDREN, Burst
from measured import tracer


def single_root(n: int) -> None:
    for _ in range(n):
        with tracer.start_active_span("web.request"):
            pass


def child10(n: int) -> None:
    for _ in range(n // 10):
        with tracer.start_active_span("web.request"):
            for _ in CHILDREN:
                with tracer.start_active_span("cache.get"):
                    pass


def tagged_child10(n: int) -> None:
    for _ in range(n // 10):
        with tracer.start_active_span("web.request") as root:
            root.span.set_tag("http.method", "GET")
            root.span.set_tag("http.route", "/cart")
            root.span.set_tag("cart.items", 3)
            for _ in CHILDREN:
                with tracer.start_active_span("db.query") as scope:
                    scope.span.set_tag("db.system", "postgres")
                    scope.span.set_tag("db.name", "shop")
                    scope.span.set_tag("db.rows", 12)


scenarios: dict[str, Burst] = {
    "single_root": single_root,
    "child10": child10,
    "tagged_child10": tagged_child10,
}
