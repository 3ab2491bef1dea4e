"""Celery with a real Redis between client and worker: success, failure, retries, chains."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery import Celery, chain, group
from celery.contrib.testing.worker import start_worker
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Send tasks and carry them out."""
    logging.disable(logging.CRITICAL)
    CeleryInstrumentor().instrument()
    url = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0"
    app = Celery("shop", broker=url, backend=url)
    app.conf.worker_hijack_root_logger = False

    # The package keeps what it knows of a message under the task's id. Client and worker share that
    # here, so that the task may be sent again only when it was sent for the first time.
    published = threading.Event()

    @app.task(name="cook")
    def cook(bread: str) -> str:
        with tracer.start_as_current_span("heat", attributes={"bread": bread}):
            return bread.upper()

    @app.task(name="burn")
    def burn() -> None:
        raise ValueError("burnt")

    @app.task(name="again", bind=True, max_retries=2)
    def again(self: Any) -> str:
        if self.request.retries < 1:
            published.wait(30)
            raise self.retry(countdown=0)
        return "done"

    @app.task(name="nested")
    def nested() -> None:
        cook.delay("nested")

    notes: list[Any] = []
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        notes.append(cook.delay("alone").get(timeout=30))
        with tracer.start_as_current_span("order"):
            notes.append(cook.delay("rye").get(timeout=30))
            notes.append(str(burn.delay().get(timeout=30, propagate=False)))
            result = again.delay()
            published.set()
            notes.append(result.get(timeout=30))
            notes.append(chain(cook.s("a"), cook.s()).apply_async().get(timeout=30))
            notes.append(group(cook.s("b"), cook.s("c"))().get(timeout=30))
            nested.delay().get(timeout=30)
            cook.apply_async(("q",), countdown=0, headers={"x-shop": "1"}).get(timeout=30)
        app.control.purge()
    return notes
