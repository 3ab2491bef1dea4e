"""Random cases answered by fasttrace and by ddtrace 4.16, each in a process of its own, compared.

FASTTRACE_TEST_FULL=1 tries more of them, and other ones every time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from parity.oracle import oracle_python

FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
ROUNDS = 20_000 if FULL else 1_500
SEED = random.randrange(2**32) if FULL else 416


def answers(
    program: str, environ: dict[str, str], cases: list[Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What `child/program` says to each of the cases with fasttrace, and what with ddtrace."""
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    theirs = _run(oracle_python("4.16"), "ddtrace", program, environ, lines)
    ours = _run(sys.executable, "fasttrace", program, environ, lines)
    assert len(ours) == len(theirs) == len(cases)
    return ours, theirs


def _run(
    python: str, library: str, program: str, environ: dict[str, str], lines: str
) -> list[dict[str, Any]]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DD_", "OTEL_"))}
    if library == "ddtrace":
        kept.pop("PYTHONPATH", None)
    quiet = {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    }
    child = subprocess.run(
        [python, str(Path(__file__).parent / "child" / program), library],
        input=lines,
        env={**kept, **quiet, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return [json.loads(line) for line in child.stdout.splitlines()]


def difference(case: Any, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Describe how two answers to a case differ; "" if they are equal."""
    if ours == theirs:
        return ""
    parts = {
        key: (ours.get(key, "absent"), theirs.get(key, "absent"))
        for key in {*ours, *theirs}
        if key not in ours or key not in theirs or ours[key] != theirs[key]
    }
    return f"{case}\n  ours, theirs: {parts}"


def assert_none(differences: list[str]) -> None:
    """Fail, showing the first of them, if there are differences."""
    found = [text for text in differences if text]
    assert not found, f"seed {SEED}: {len(found)} of {ROUNDS}:\n" + "\n".join(found[:3])
