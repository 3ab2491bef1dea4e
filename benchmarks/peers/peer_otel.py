"""opentelemetry-sdk as a peer: TracerProvider with every span recorded and no span processor.

A span is made, timed, tagged and ended; nobody exports it, so neither a batch queue nor encoding
is in its figure, while our encoding is in ours. The tagged scenario gives it one value less than
the others: OpenTelemetry keeps the service on the Resource, so a span costs nothing for it.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

from bursts import CHILDREN, EXTRA_FRAMES, Burst, awaits_of, calls_of, raise_deep
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import NoOpTracer

label = "opentelemetry-sdk"


def _provider(sampler: Sampler = ALWAYS_ON) -> TracerProvider:
    return TracerProvider(sampler=ParentBased(sampler), shutdown_on_exit=False)


def _build(tracer: Any) -> dict[str, Burst]:
    """The scenarios of shapes.py in OpenTelemetry's words."""

    def single_root(n: int) -> None:
        for _ in range(n):
            with tracer.start_as_current_span("web.request"):
                pass

    def child10(n: int) -> None:
        for _ in range(n // 10):
            with tracer.start_as_current_span("web.request"):
                for _ in CHILDREN:
                    with tracer.start_as_current_span("cache.get"):
                        pass

    def tagged_child10(n: int) -> None:
        for _ in range(n // 10):
            with tracer.start_as_current_span(
                "web.request", attributes={"http.target": "GET /cart"}
            ) as root:
                root.set_attribute("http.method", "GET")
                root.set_attribute("http.route", "/cart")
                root.set_attribute("cart.items", 3)
                for _ in CHILDREN:
                    with tracer.start_as_current_span(
                        "db.query", attributes={"db.statement": "SELECT cart"}
                    ) as span:
                        span.set_attribute("db.system", "postgres")
                        span.set_attribute("db.name", "shop")
                        span.set_attribute("db.rows", 12)

    @tracer.start_as_current_span("work.item")
    def work(value: int) -> int:
        return value

    @tracer.start_as_current_span("work.item")
    async def work_async(value: int) -> int:
        return value

    def wrap10(n: int) -> None:
        for _ in range(n // 10):
            with tracer.start_as_current_span("web.request"):
                for _ in CHILDREN:
                    work(1)

    def discarded_child(n: int) -> None:
        with tracer.start_as_current_span("noise.request"):
            for _ in range(n - 1):
                with tracer.start_as_current_span("cache.get"):
                    pass

    def exception(n: int) -> None:
        for _ in range(n):
            try:
                with tracer.start_as_current_span("web.request"):
                    raise_deep(EXTRA_FRAMES)
            except ValueError:
                pass

    return {
        "single_root": single_root,
        "child10": child10,
        "tagged_child10": tagged_child10,
        "wrap": calls_of(work),
        "wrap10": wrap10,
        "otel_face": child10,
        "discarded_child": discarded_child,
        "wrap_coroutine": awaits_of(work_async),
        "exception": exception,
    }


def _with_others(recording: dict[str, Burst], discarding: TracerProvider) -> dict[str, Burst]:
    # What get_tracer() returns under OTEL_SDK_DISABLED=true.
    noop = _build(NoOpTracer())
    discarded = _build(discarding.get_tracer("bench"))["discarded_child"]
    return {
        **recording,
        "disabled_with": noop["single_root"],
        "disabled_wrap": noop["wrap"],
        "discarded_child": discarded,
    }


class _CountProcessor(SpanProcessor):
    count = 0

    def on_end(self, span: Any) -> None:
        self.count += 1


_counter = _CountProcessor()
_counting_provider = _provider()
_counting_provider.add_span_processor(_counter)
_counting_discarding = _provider(ALWAYS_OFF)
_counting_discarding.add_span_processor(_counter)
_counting = _with_others(_build(_counting_provider.get_tracer("bench")), _counting_discarding)

scenarios: dict[str, Burst] = _with_others(
    _build(_provider().get_tracer("bench")), _provider(ALWAYS_OFF)
)


def versions() -> dict[str, str]:
    """Versions of the installed packages."""
    names = ("opentelemetry-sdk", "opentelemetry-api")
    return {name: importlib.metadata.version(name) for name in names}


def count_spans(burst: Burst, n: int) -> int:
    """Run the twin of `burst` that reports to a counting processor; return the spans it ended."""
    name = next(name for name, function in scenarios.items() if function is burst)
    _counter.count = 0
    _counting[name](n)
    return _counter.count
