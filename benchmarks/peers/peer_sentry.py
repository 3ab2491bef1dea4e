"""sentry-sdk as a peer: transactions and spans, up to a transport that drops.

A span is recorded and a transaction is made into an event; nothing is encoded or sent. Integrations
are off, so that nothing but these loops is traced.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import sentry_sdk
from bursts import CHILDREN, Burst
from sentry_sdk.transport import Transport

label = "sentry-sdk"


class _Drop(Transport):
    """Counts the spans of transactions, if asked to, and forgets them."""

    counting = False
    count = 0

    def capture_envelope(self, envelope: Any) -> None:
        if self.counting:
            event = envelope.get_transaction_event()
            self.count += 1 + len(event["spans"]) if event else 0


_transport = _Drop()
sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    traces_sample_rate=1.0,
    transport=_transport,
    default_integrations=False,
    auto_enabling_integrations=False,
)


def single_root(n: int) -> None:
    for _ in range(n):
        with sentry_sdk.start_transaction(name="web.request"):
            pass


def child10(n: int) -> None:
    for _ in range(n // 10):
        with sentry_sdk.start_transaction(name="web.request"):
            for _ in CHILDREN:
                with sentry_sdk.start_span(name="cache.get"):
                    pass


def tagged_child10(n: int) -> None:
    for _ in range(n // 10):
        with sentry_sdk.start_transaction(name="web.request", op="GET /cart") as root:
            root.set_data("http.method", "GET")
            root.set_data("http.route", "/cart")
            root.set_data("cart.items", 3)
            for _ in CHILDREN:
                with sentry_sdk.start_span(name="db.query", op="SELECT cart") as span:
                    span.set_data("db.system", "postgres")
                    span.set_data("db.name", "shop")
                    span.set_data("db.rows", 12)


scenarios: dict[str, Burst] = {
    burst.__name__: burst for burst in (single_root, child10, tagged_child10)
}


def versions() -> dict[str, str]:
    """Version of the installed package."""
    return {"sentry-sdk": importlib.metadata.version("sentry-sdk")}


def count_spans(burst: Burst, n: int) -> int:
    """Run `burst(n)` and return how many spans reached the transport."""
    _transport.count, _transport.counting = 0, True
    burst(n)
    _transport.counting = False
    return _transport.count
