"""pyperf: ids made, and read as a program reads them, nanoseconds per id.

    python benchmarks/bench_ids.py [--fast] [-o FILE] [any other pyperf option]

The call from Python and the number object that it returns are in every figure; a span makes its id
without either.
"""

from __future__ import annotations

import pyperf
from pyperf_bursts import timer

CALLS = 1000


def main() -> None:
    """Read every kind."""
    runner = pyperf.Runner()
    runner.metadata["description"] = "fasttrace, ids of a span"
    import peer_fasttrace

    from fasttrace._span import new_id

    tracer = peer_fasttrace.tracer
    span = tracer.start_span("web.request", activate=True)

    def a_new_id(n: int) -> None:
        for _ in range(n):
            new_id()

    def span_id(n: int) -> None:
        for _ in range(n):
            _ = span.span_id

    def trace_id(n: int) -> None:
        for _ in range(n):
            _ = span.trace_id

    def log_context(n: int) -> None:
        for _ in range(n):
            tracer.get_log_correlation_context()

    def of_the_active_span(n: int) -> None:
        for _ in range(n):
            _ = tracer.current_span().trace_id

    for burst in (a_new_id, span_id, trace_id, of_the_active_span, log_context):
        time_it = timer(burst, peer_fasttrace.after_burst, CALLS)
        runner.bench_time_func(burst.__name__, time_it, inner_loops=CALLS)


if __name__ == "__main__":
    main()
