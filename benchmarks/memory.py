"""How much memory a finished span takes while its trace is still open: resident bytes per span.

Every tracer is in a process of its own. A root stays open, and 50,000 children of it finish, which
are also kept in a list that was made before. The figure is the growth of the resident set divided
by that number; the median of three processes.

    python benchmarks/memory.py              about a minute
    python benchmarks/memory.py --check      exit code 1 if a bar is missed
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interpreter

ROOT = Path(__file__).resolve().parent.parent
SPANS = 50_000
TRACERS = ("fasttrace", "ddtrace", "otel")
KINDS = ("plain", "tagged")
SHARE_MAX = {"ddtrace": (1 / 4, 1 / 2), "otel": (1 / 15, 1 / 8)}
"""fasttrace takes at most this share of the tracer's memory, plain and tagged."""
NEVER = "1000000000"
ENVIRONMENT = {
    # The trace stays whole, in every tracer.
    "DD_TRACE_PARTIAL_FLUSH_ENABLED": "false",
    "DD_TRACE_PARTIAL_FLUSH_MIN_SPANS": NEVER,
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_ENABLED": "true",
}


def rss_bytes() -> int:
    """The resident set of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _datadog(tracer: Any) -> tuple[Any, dict[str, Callable[[], Any]]]:
    def plain() -> Any:
        with tracer.trace("cache.get") as span:
            return span

    def tagged() -> Any:
        with tracer.trace("db.query", service="web", resource="SELECT cart") as span:
            span.set_tag("db.system", "postgres")
            span.set_tag("db.name", "shop")
            span.set_metric("db.rows", 12)
            return span

    return tracer.trace("web.request"), {"plain": plain, "tagged": tagged}


def _open_trace(name: str) -> tuple[Any, dict[str, Callable[[], Any]]]:
    """An open root that must be kept, and what makes a finished child of it."""
    if name == "fasttrace":
        from fasttrace import tracer

        tracer._flusher_running = True  # no thread, whose memory would be counted
        tracer._set_limits(0, 1 << 30, 1 << 30)  # the trace stays whole
        return _datadog(tracer)
    if name == "ddtrace":
        sys.path.insert(1, str(ROOT / "benchmarks" / "peers"))
        import peer_ddtrace

        return _datadog(peer_ddtrace.tracer)
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")

    def plain() -> Any:
        with tracer.start_as_current_span("cache.get") as span:
            return span

    def tagged() -> Any:
        with tracer.start_as_current_span(
            "db.query", attributes={"db.statement": "SELECT cart"}
        ) as span:
            span.set_attribute("db.system", "postgres")
            span.set_attribute("db.name", "shop")
            span.set_attribute("db.rows", 12)
            return span

    manager = tracer.start_as_current_span("web.request")
    manager.__enter__()
    return manager, {"plain": plain, "tagged": tagged}


def measure(name: str, kind: str) -> float:
    """Bytes per span, in this process."""
    sys.path.append(str(ROOT))
    root, makers = _open_trace(name)
    make = makers[kind]
    kept: list[Any] = [0] * SPANS
    for _ in range(500):
        make()  # what the first spans bring in is not theirs
    gc.collect()
    before = rss_bytes()
    for at in range(SPANS):
        kept[at] = make()
    gc.collect()
    per_span = (rss_bytes() - before) / SPANS
    assert len(set(map(id, kept))) == SPANS
    assert root is not None
    return per_span


def main() -> int:
    """Measure in processes of their own, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--one", nargs=2, metavar=("TRACER", "KIND"), help="measure in this process")
    add("--python", default=sys.executable, help="interpreter for all")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if a bar is missed")
    arguments = parser.parse_args()
    if arguments.one:
        print(measure(*arguments.one))
        sys.stdout.flush()
        os._exit(0)
    import report
    from compare import machine_line

    environment = {**interpreter.clean_environment(), **ENVIRONMENT}
    figures: dict[str, list[float]] = {}
    for name in TRACERS:
        figures[name] = []
        for kind in KINDS:
            command = [arguments.python, __file__, "--one", name, kind]
            found = [
                float(subprocess.run(command, check=True, env=environment, stdout=-1).stdout)
                for _ in range(3)
            ]
            figures[name].append(statistics.median(found))
    ours = figures["fasttrace"]
    rows, verdicts = [], []
    for name, bytes_each in figures.items():
        shares = [mine / theirs for mine, theirs in zip(ours, bytes_each, strict=True)]
        rows.append([name, *(f"{b:.0f}" for b in bytes_each), *(f"1/{1 / s:.1f}" for s in shares)])
        for kind, share, most in zip(KINDS, shares, SHARE_MAX.get(name, ()), strict=False):
            claim = f"{kind}: 1/{1 / share:.1f} of {name}, at most 1/{1 / most:.0f}"
            verdicts.append((share <= most, claim))
    head = ["tracer", "plain bytes", "tagged bytes", "fasttrace's share, plain", "tagged"]
    result = report.markdown(head, rows) + (
        f"\n\nResident bytes per finished span of an open trace, {SPANS:,} spans, median of 3 "
        f"processes; {machine_line()}; {interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "memory", result, figures)
    print()
    return report.print_verdicts(verdicts, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
