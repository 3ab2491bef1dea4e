"""The measured code, once, for every tracer with ddtrace's API: an adapter's `tracer`, as imported.

fasttrace and ddtrace run these very functions; only `tracer` differs (see measured.py).
peer_otel.py writes the same shapes out in OpenTelemetry's words, peer_floor.py those it can.
"""

from __future__ import annotations

import os

from bursts import CHILDREN, EXTRA_FRAMES, Burst, awaits_of, calls_of, raise_deep
from measured import Context, tracer

TRACE_ID = 0x640CFD8D00000000ABCDEF0123456789
MORE_CHILDREN = range(19)


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


def child20(n: int) -> None:
    for _ in range(n // 20):
        with tracer.trace("web.request"):
            for _ in MORE_CHILDREN:
                with tracer.trace("cache.get"):
                    pass


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


wrap = calls_of(work)


def wrap10(n: int) -> None:
    for _ in range(n // 10):
        with tracer.trace("web.request"):
            for _ in CHILDREN:
                work(1)


def disabled(burst: Burst, n: int) -> None:
    tracer.enabled = False
    try:
        burst(n)
    finally:
        tracer.enabled = True


def disabled_with(n: int) -> None:
    disabled(single_root, n)


def disabled_wrap(n: int) -> None:
    disabled(wrap, n)


def exception(n: int) -> None:
    for _ in range(n):
        try:
            with tracer.trace("web.request"):
                raise_deep(EXTRA_FRAMES)
        except ValueError:
            pass


def rule_root(n: int) -> None:
    # As single_root, in an environment with a rule for it.
    for _ in range(n):
        with tracer.trace("web.request"):
            pass


def discarded_child(n: int) -> None:
    # Children of one discarded root: its own cost is spread over all of them.
    with tracer.trace("noise.request", resource="/health"):
        for _ in range(n - 1):
            with tracer.trace("cache.get"):
                pass


def in_production(traces: int, children: range) -> None:
    # A request as a service gets it: its caller is in another process. Context is what reading the
    # headers of a request makes; tracer, Context and rules are the same in ddtrace.
    for _ in range(traces):
        caller = Context(trace_id=TRACE_ID, span_id=0x1234)
        with tracer.start_span("web.request", child_of=caller, activate=True):
            for _ in children:
                with tracer.trace("cache.get"):
                    pass


def production10(n: int) -> None:
    in_production(n // 10, CHILDREN)


def production20(n: int) -> None:
    in_production(n // 20, MORE_CHILDREN)


scenarios: dict[str, Burst] = {
    "single_root": single_root,
    "child10": child10,
    "child20": child20,
    "tagged_child10": tagged_child10,
    "wrap": wrap,
    "wrap10": wrap10,
    "wrap_coroutine": awaits_of(work_async),
    "disabled_with": disabled_with,
    "disabled_wrap": disabled_wrap,
    "exception": exception,
}
if "web.*" in os.environ.get("DD_TRACE_SAMPLING_RULES", ""):  # see sampling_rules.py
    scenarios["rule_root"] = rule_root
if "noise.*" in os.environ.get("DD_TRACE_SAMPLING_RULES", ""):
    scenarios["discarded_child"] = discarded_child
if "DD_SERVICE" in os.environ:  # see profiles.py
    scenarios |= {"production10": production10, "production20": production20}
