"""Runs the demo's service, unchanged, and writes down every span it finished.

`main` is run in a child process, as `_demo_recorder PROGRAM REPORT ARGUMENTS...`: it loads PROGRAM,
calls its `main(ARGUMENTS)`, flushes, and writes REPORT. The ids are noted by a trace filter, that
is before sampling, encoding and sending: whatever gets lost after that shows when they are compared
with what the agent received.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from . import TraceFilter, tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._span import Span

_LOW_64_BITS = (1 << 64) - 1  # the part of a trace id that is on the wire


class Recorder(TraceFilter):
    """Notes (trace id, span id) of each finished span and lets the trace pass."""

    def __init__(self) -> None:
        self.finished: list[tuple[int, int]] = []

    def process_trace(self, trace: list[Span]) -> list[Span]:
        """Note the spans of one chunk."""
        self.finished += [(span.trace_id & _LOW_64_BITS, span.span_id) for span in trace]
        return trace


def main() -> int:
    """Run the program named on the command line; return 0, or let its exception go up."""
    program, report, *arguments = sys.argv[1:]
    recorder = Recorder()
    enabled = tracer.enabled
    tracer.configure(trace_processors=[recorder])
    tracer.enabled = enabled  # configure() turns a disabled tracer on, but that is not ours to do
    spec = importlib.util.spec_from_file_location(Path(program).stem, program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    module.main(arguments)
    tracer.flush()
    Path(report).write_text(json.dumps({"finished": recorder.finished, "stats": tracer.stats()}))
    return 0
