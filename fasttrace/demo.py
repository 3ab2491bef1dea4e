"""The demo: a traced service, the real test agent, and proof that every span has arrived.

`run` starts the agent, runs ``examples/sandwich.py`` against it, asks the agent what it received,
draws some of the traces, sums up the rest, and compares finished with received, id by id.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from . import Tracer, __version__
from ._demo_agent import AgentError, EmbeddedAgent, TestAgent
from ._demo_processes import start_python, stop
from .tree import (
    TreeSpan,
    clean,
    count,
    draw_trace,
    format_duration,
    group_traces,
    heading,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Traces drawn in full, one of each kind.
DRAWN_TRACES = 4
#: Rounds and traces per round of the cost measurement; ten spans to a trace.
COST_ROUNDS, COST_TRACES = 200, 100

_SESSION_HEADER = "X-Datadog-Test-Session-Token"
_SHOWN_IDS = 5


class ServiceError(Exception):
    """The traced service did not run to its end; the text is what it printed."""


def run(requests: int = 64, agent_url: str | None = None) -> int:
    """Run the demo with that many HTTP requests; return the exit code for the command line.

    `agent_url` names a running test agent to use; without it one is started and stopped again.
    0: everything the service finished has been received, once. 1: not so. 2: there is no agent.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fasttrace-demo-")))
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _leave))
        try:
            program = find_example()
            agent: TestAgent = TestAgent(agent_url) if agent_url else EmbeddedAgent(directory)
            if isinstance(agent, EmbeddedAgent):
                stack.enter_context(agent)
            token = f"fasttrace-demo-{secrets.token_hex(8)}"
            agent.start_session(token)
        except AgentError as error:
            print(error, file=sys.stderr)
            return 2
        kind = "test agent" if agent_url else "ddapm-test-agent started"
        print(f"fasttrace {__version__} on {_python()}; {kind} at {agent.url}", flush=True)
        try:
            report = _run_service(program, requests, agent.url, token, directory)
            received = agent.received_spans(token)
        except (ServiceError, OSError) as error:
            print(f"The demo failed: {error}", file=sys.stderr)
            return 1
        complete = _show(report, received, alone=agent_url is None)
        if not complete and isinstance(agent, EmbeddedAgent) and (log := agent.log_tail()):
            print(f"the agent printed:\n{log}")
        print(f"\n{_cost_line()}")
        return 0 if complete else 1


def find_example() -> Path:
    """Return the path of the service's source: installed with the package, or in a checkout."""
    package = Path(__file__).resolve().parent
    for path in (
        package / "_examples" / "sandwich.py",
        package.parent / "examples" / "sandwich.py",
    ):
        if path.is_file():
            return path
    raise AgentError(f"examples/sandwich.py is missing from this installation ({package})")


def _leave(signum: int, frame: object) -> None:
    """Turn SIGTERM into an exception, so that the children are stopped and the files removed."""
    raise SystemExit(128 + signum)


def _run_service(
    program: Path, requests: int, agent_url: str, token: str, directory: Path
) -> Mapping[str, Any]:
    """Run the service to its end; return what `_demo_recorder` wrote down."""
    report_path, output_path = directory / "report.json", directory / "service.log"
    headers = os.environ.get("_DD_TRACE_WRITER_ADDITIONAL_HEADERS", "")
    env = {
        **os.environ,
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(directory)),  # removed, even if it is killed
        "DD_TRACE_AGENT_URL": agent_url,
        "_DD_TRACE_WRITER_ADDITIONAL_HEADERS": ",".join(
            part for part in (headers, f"{_SESSION_HEADER}:{token}") if part
        ),
    }
    arguments = [str(program), str(report_path), "--requests", str(requests)]
    begin_s = time.monotonic()
    with output_path.open("wb") as output:
        process = start_python(
            "fasttrace._demo_recorder", arguments, cwd=None, env=env, output=output
        )
        try:
            code = process.wait(60 + requests)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            stop(process, patience_s=0)
    printed = output_path.read_text(errors="replace").strip()
    if code != 0:
        how = "did not end" if code is None else f"ended with code {code}"
        raise ServiceError(f"the service {how}; it printed:\n\n{printed}")
    print(f"{printed}\n{program.name} ran for {time.monotonic() - begin_s:.1f} s\n")
    report: Mapping[str, Any] = json.loads(report_path.read_text())
    return report


def _show(report: Mapping[str, Any], received: Sequence[Mapping[str, Any]], alone: bool) -> bool:
    """Print traces, table and balance; return whether all that was finished was received once.

    Unless we are `alone` at the agent, traces that are not ours are left out.
    """
    finished = Counter((trace_id, span_id) for trace_id, span_id in report["finished"])
    ours = {trace_id for trace_id, _ in finished}
    spans = [TreeSpan(span) for span in received if alone or span["trace_id"] in ours]
    traces = group_traces(spans)
    ascii_only = not _can_print("├─")
    for trace in choose_traces(traces):
        print(f"{heading(trace)}\n{draw_trace(trace, ascii_only=ascii_only)}\n")
    if len(traces) > DRAWN_TRACES:
        print(f"... and {count(len(traces) - DRAWN_TRACES, 'more trace')}\n")
    print(f"{summarize(spans)}\n")
    arrived = Counter((span.trace_id, span.span_id) for span in spans)
    return _balance(finished, arrived, report["stats"])


def choose_traces(traces: Sequence[Sequence[TreeSpan]]) -> list[Sequence[TreeSpan]]:
    """Return a handful of traces, all different in what they show, small ones first."""
    kinds: dict[str, Sequence[TreeSpan]] = {}
    for trace in traces:
        kinds.setdefault(draw_trace(trace, durations=False, align=False), trace)
    return [trace for _, trace in sorted(kinds.items(), key=lambda kind: (len(kind[1]), kind[0]))][
        :DRAWN_TRACES
    ]


def summarize(spans: Sequence[TreeSpan]) -> str:
    """Return a table with a line for each service and resource: count, errors, p50 and p99."""
    groups: dict[tuple[str, str], list[TreeSpan]] = {}
    for span in spans:
        groups.setdefault((span.service, span.resource), []).append(span)
    rows = [("service", "resource", "spans", "errors", "p50", "p99")]
    for (service, resource), group in sorted(groups.items()):
        durations = sorted(span.duration_ns or 0 for span in group)
        rows.append(
            (
                clean(service),
                clean(resource),
                str(len(group)),
                str(sum(span.error for span in group)),
                format_duration(percentile(durations, 50)),
                format_duration(percentile(durations, 99)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least `percent` % of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _balance(
    finished: Counter[tuple[int, int]],
    arrived: Counter[tuple[int, int]],
    stats: Mapping[str, Any],
) -> bool:
    """Print finished against received; return whether they are the same spans, none twice."""
    missing, surplus = finished - arrived, arrived - finished
    counted = int(stats["finished"])
    equal = not missing and not surplus and counted == finished.total()
    print(
        f"finished {_in_traces(finished)} {'=' if equal else '!='} received {_in_traces(arrived)}"
    )
    if counted != finished.total():
        print(f"the tracer itself counts {counted} finished spans")
    for what, ids in (("not received", missing), ("received, but not finished", surplus)):
        if ids:
            some = ", ".join(f"{span_id:x}" for _, span_id in list(ids)[:_SHOWN_IDS])
            print(f"{what}: {_in_traces(ids)}, among them the span ids {some}")
    if not equal:
        print(f"the tracer's own account: {json.dumps(stats)}")
    if not finished:
        print("the service finished no spans at all: is tracing switched off (DD_TRACE_ENABLED)?")
    return equal and bool(finished)


def _in_traces(ids: Counter[tuple[int, int]]) -> str:
    traces = len({trace_id for trace_id, _ in ids})
    return f"{count(ids.total(), 'span')} in {count(traces, 'trace')}"


def measure_span_ns() -> tuple[float, float]:
    """Return the cost of one span in ns, median and best round; not even the loop is subtracted.

    Ten spans to a trace: a root and nine children one after the other, each in a `with`. Included
    is all that the application's thread does: ids, clock, context, and encoding for the wire.
    Nothing is sent: the payloads are thrown away between the rounds, outside the measured time.
    """
    tracer = Tracer()
    tracer._flusher_running = True
    samples = []
    for _ in range(COST_ROUNDS):
        begin_ns = time.perf_counter_ns()
        for _ in range(COST_TRACES):
            with tracer.trace("root"):
                for _ in range(9):
                    with tracer.trace("child"):
                        pass
        samples.append((time.perf_counter_ns() - begin_ns) / (COST_TRACES * 10))
        for payload in tracer._swap():
            tracer._settle(payload, "measured")
    return statistics.median(samples), min(samples)


def _cost_line() -> str:
    median_ns, best_ns = measure_span_ns()
    return (
        f"one span costs {median_ns:.0f} ns: median of {COST_ROUNDS} rounds (best {best_ns:.0f} ns)"
        f" of {COST_TRACES * 10} spans in traces of 10, each\ncreated, finished and encoded for the"
        " agent, without the sending; benchmarks/ has the comparison with others"
    )


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{sys.implementation.name} {version}"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
