"""pyperf: what each way to put tags on a span costs, nanoseconds per call.

    python benchmarks/bench_tags.py [--fast] [-o FILE] [any other pyperf option]

Every call is on a span of its own, in traces of ten, whose cost is in every figure: "none" has no
call at all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pyperf
from pyperf_bursts import BURST_SPANS, timer

CHILDREN = range(9)
SAME = cycle(["SELECT cart 000"])
OTHERS = cycle([f"SELECT cart {i:03}" for i in range(1000)])
THREE = {"db.system": "postgres", "db.name": "shop", "db.user": "reader"}


def _each(trace: Callable[[], Any], call: Callable[[Any], Any]) -> Callable[[int], None]:
    def burst(n: int) -> None:
        for _ in range(n // 10):
            with trace() as span:
                call(span)
                for _ in CHILDREN:
                    with trace() as span:
                        call(span)

    return burst


def main() -> None:
    """Run every way."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "fasttrace, one span with one call that tags it"
    import peer_fasttrace

    tracer = peer_fasttrace.tracer

    def plain() -> Any:
        return tracer.trace("db.query")

    def with_keywords() -> Any:
        return tracer.trace("db.query", service="web", resource="SELECT cart")

    def with_the_same_resource() -> Any:
        return tracer.trace("db.query", resource=next(SAME))

    def with_another_resource() -> Any:
        return tracer.trace("db.query", resource=next(OTHERS))

    def three_calls(span: Any) -> None:
        span.set_tag("db.system", "postgres")
        span.set_tag("db.name", "shop")
        span.set_tag("db.user", "reader")

    ways: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "none": (plain, lambda span: None),
        "service and resource at the start": (with_keywords, lambda span: None),
        "the same resource on all": (with_the_same_resource, lambda span: None),
        "a thousand resources in turns": (with_another_resource, lambda span: None),
        "set_tag, text": (plain, lambda span: span.set_tag("db.name", "shop")),
        "set_tag, int": (plain, lambda span: span.set_tag("db.rows", 12)),
        "set_tag, float": (plain, lambda span: span.set_tag("db.cost", 1.5)),
        "set_metric": (plain, lambda span: span.set_metric("db.rows", 12)),
        "three set_tag": (plain, three_calls),
        "set_tags of three": (plain, lambda span: span.set_tags(THREE)),
    }
    for name, (trace, call) in ways.items():
        burst = _each(trace, call)
        time_it = timer(burst, peer_fasttrace.after_burst)
        runner.bench_time_func(name, time_it, inner_loops=BURST_SPANS)


if __name__ == "__main__":
    main()
