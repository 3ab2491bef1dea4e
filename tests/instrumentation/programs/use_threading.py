"""threading: threads, timers and pools go on in the trace that was active where they began."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Begin threads."""
    ThreadingInstrumentor().instrument()
    notes: list[Any] = []

    def work(name: str) -> str:
        with tracer.start_as_current_span(name):
            notes.append([name, baggage.get_baggage("table")])
            if name == "failing":
                raise ValueError(name)
        return name

    class Own(threading.Thread):
        def run(self) -> None:
            work("a class")

    def run(thread: threading.Thread) -> None:
        thread.start()
        thread.join()

    run(threading.Thread(target=work, args=("alone",)))
    with tracer.start_as_current_span("order"):
        token = context.attach(baggage.set_baggage("table", "7"))
        run(threading.Thread(target=work, args=("thread",)))
        run(threading.Timer(0.01, work, ("timer",)))
        run(Own())
        context.detach(token)
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(work, f"job {i}") for i in range(6)]
            failing = pool.submit(work, "failing")
            notes.append([future.result() for future in futures])
            notes.append(str(failing.exception()))
        with tracer.start_as_current_span("ended first") as span:
            late = threading.Thread(target=lambda: (span.is_recording(), go.wait(), work("late")))
            go = threading.Event()
            late.start()
        go.set()
        late.join()
    reused = ThreadPoolExecutor(1)
    for name in ("first", "second"):
        with tracer.start_as_current_span(name):
            reused.submit(work, f"for the {name}").result()
    reused.submit(work, "for nobody").result()
    reused.shutdown()
    return sorted(notes, key=str)
