"""elastic-apm as a peer: transactions and spans, up to the queue of its transport, which drops.

Metrics, instrumentation, stack traces of spans and the remote configuration are off; on, they would
cost more.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import elasticapm
from bursts import CHILDREN, Burst

label = "elastic-apm"


class _Client(elasticapm.Client):
    """Drops what it would send; counts it, if asked to."""

    counting = False
    count = 0

    def queue(self, event_type: str, data: Any, flush: bool = False) -> None:
        if self.counting and event_type in ("span", "transaction"):
            self.count += 1


_client = _Client(
    service_name="shop",
    server_url="http://127.0.0.1:9",
    central_config=False,
    metrics_interval="0s",
    span_stack_trace_min_duration="-1ms",
    span_compression_enabled=False,
    instrument=False,
    cloud_provider="none",
)


def single_root(n: int) -> None:
    for _ in range(n):
        _client.begin_transaction("request")
        _client.end_transaction("web.request", "ok")


def child10(n: int) -> None:
    for _ in range(n // 10):
        _client.begin_transaction("request")
        for _ in CHILDREN:
            with elasticapm.capture_span("cache.get"):
                pass
        _client.end_transaction("web.request", "ok")


def tagged_child10(n: int) -> None:
    for _ in range(n // 10):
        _client.begin_transaction("request")
        elasticapm.label(method="GET", route="/cart", items=3)
        for _ in CHILDREN:
            with elasticapm.capture_span(
                "db.query",
                span_type="db",
                labels={"system": "postgres", "name": "shop", "rows": 12},
            ):
                pass
        _client.end_transaction("GET /cart", "ok")


scenarios: dict[str, Burst] = {
    burst.__name__: burst for burst in (single_root, child10, tagged_child10)
}


def versions() -> dict[str, str]:
    """Version of the installed package."""
    return {"elastic-apm": importlib.metadata.version("elastic-apm")}


def count_spans(burst: Burst, n: int) -> int:
    """Run `burst(n)` and return how many spans and transactions were queued."""
    _client.count, _client.counting = 0, True
    burst(n)
    _client.counting = False
    return _client.count
