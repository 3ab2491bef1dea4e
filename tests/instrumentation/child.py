"""Runs one program of programs/: `python child.py sdk|fasttrace use_redis`.

Prints JSON: what the program returned and, under opentelemetry-sdk, every span it recorded. Under
fasttrace the spans go to the agent that the environment names.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry import trace

PROGRAMS = Path(__file__).parent / "programs"


def record_sdk() -> Callable[[], list[dict[str, Any]]]:
    """Set opentelemetry-sdk up; return a function that returns what it has recorded."""
    from sdk import Recorder

    recorder = Recorder()
    trace.set_tracer_provider(recorder.provider)
    return recorder.spans


def record_fasttrace() -> Callable[[], list[dict[str, Any]]]:
    """Set fasttrace up; its spans are not here but at the agent."""
    from fasttrace import tracer
    from fasttrace.opentelemetry import TracerProvider

    trace.set_tracer_provider(TracerProvider())

    def delivered() -> list[dict[str, Any]]:
        assert tracer.flush(20.0), tracer.stats()
        return []

    return delivered


def main(which: str, name: str) -> None:
    """Run the program."""
    recorded = {"sdk": record_sdk, "fasttrace": record_fasttrace}[which]()
    spec = importlib.util.spec_from_file_location(name, PROGRAMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    sys.modules[name] = program
    spec.loader.exec_module(program)
    notes = program.main(trace.get_tracer("program"))
    print(json.dumps({"notes": notes, "spans": recorded()}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the libraries; the programs are about their spans
    main(*sys.argv[1:])
