"""The scenarios every peer is measured in: names, sizes, and what a ratio divides by.

An adapter (peers/peer_*.py) maps these names to functions `f(n)`; a name an adapter does not have
is printed as "-". `n` counts spans, so every figure is nanoseconds per span.
"""

from __future__ import annotations

from typing import NamedTuple


class Scenario(NamedTuple):
    """One row of the comparison."""

    name: str
    title: str
    burst_spans: int
    """Spans in one timed burst; a multiple of twenty, since some traces have twenty spans."""
    floor_scenario: str | None
    """The floor's scenario that the "x floor" column divides by; None leaves it empty."""
    variant: str = ""
    """Which of compare.VARIANTS its process is started as, where the peer has that variant."""


PEER_SHARE = 5
"""The tracers that take microseconds get bursts of a fifth of that. A burst of many milliseconds is
interrupted on any but an idle machine, and then its fastest is no measure: it would flatter us."""

SPAN, TREE = "single_root", "child10"

SCENARIOS = (
    Scenario("single_root", "single root", 1000, SPAN),
    Scenario("child10", "child in a 10-span trace", 1000, TREE),
    Scenario("tagged_child10", "tagged child in a 10-span trace", 1000, TREE),
    Scenario("wrap", "wrapped function, each a trace", 1000, SPAN),
    Scenario("wrap10", "wrapped function in a 10-span trace", 1000, TREE),
    Scenario("wrap_coroutine", "wrapped coroutine, no suspension", 1000, SPAN),
    Scenario("disabled_with", "disabled, with", 1000, SPAN),
    Scenario("disabled_wrap", "disabled, wrapped function", 1000, SPAN),
    Scenario("discarded_child", "child of a discarded trace", 1000, TREE, "discarding"),
    Scenario("otel_face", "OpenTelemetry API, 10-span trace", 1000, TREE, "otel_face"),
    Scenario("exception", "exception in with, 30 frames", 50, None),
    # What the loops above cost without any tracing; only the floor adapter has these.
    Scenario("plain_loop", "(no tracing) loop", 1000, None),
    Scenario("plain_call", "(no tracing) function call", 1000, None),
    Scenario("plain_await", "(no tracing) await", 1000, None),
    Scenario("plain_exception", "(no tracing) raise, 30 frames", 50, None),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
