"""DD_TRACE_METHODS does what it does in ddtrace 4.16; what is different on purpose is in a table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from parity.oracle import oracle_python

from fasttrace._instrumentor_names import KNOWN, OF_DDTRACE, ONLY_DDTRACE, normalised

CHILD = Path(__file__).parent / "child" / "run_methods.py"
METHODS = (
    "kitchen.oven:plain,fails,outer,later,decorated,Base.method,Sub.method,Base.later,Base.static;"
    "kitchen.oven:Base.made,Base.__call__,Base.Inner.deep"
)
#: call -> resources there and here
DIFFERENCES = {
    # ddtrace names the class of the class
    "class method": (["type.made"], ["Sub.made"]),
}


def answers(python: str, library: str, **env: str) -> dict[str, Any]:
    """What each call of the child returned, and its spans, under a library."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DD_", "OTEL_"))}
    if library == "ddtrace":
        kept.pop("PYTHONPATH", None)
    quiet = {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
        "DD_TRACE_METHODS": METHODS,
        "DD_TRACE_ASYNCIO_ENABLED": "false",
        "DD_SERVICE": "shop",
    }
    child = subprocess.run(
        [python, str(CHILD), library],
        env={**kept, **quiet, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return {
        name: [result, spans] for name, result, spans in map(json.loads, child.stdout.splitlines())
    }


def test_methods_are_traced_alike() -> None:
    """Results, names, resources, tags, errors and parents are the same."""
    theirs = answers(oracle_python("4.16"), "ddtrace")
    ours = answers(sys.executable, "fasttrace")
    assert list(ours) == list(theirs)
    found = {}
    for name in ours:
        if ours[name] != theirs[name]:
            resources = [[span[1] for span in one[name][1]] for one in (theirs, ours)]
            found[name] = tuple(resources)
            for one, resource in zip((theirs, ours), resources, strict=True):
                for span, place in zip(one[name][1], resource, strict=True):
                    assert span[1] == place
                    span[1] = ""
            assert ours[name] == theirs[name], name
    assert found == DIFFERENCES
    traced = [name for name, (_, spans) in ours.items() if spans]
    assert len(traced) >= 14
    assert ours["untouched"] == ["u", []]


def test_every_integration_has_its_place() -> None:
    """`patch` knows what every name is that ddtrace's `patch` knows."""
    code = "from ddtrace._monkey import PATCH_MODULES; print(*PATCH_MODULES)"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [oracle_python("4.16"), "-c", code]
    child = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    theirs = {normalised(name) for name in child.stdout.split()}
    assert len(theirs) > 90
    assert theirs - KNOWN.keys() - OF_DDTRACE.keys() == ONLY_DDTRACE
    assert OF_DDTRACE.keys() <= theirs


def test_it_can_fail() -> None:
    """Without the variable there are no spans."""
    ours = answers(sys.executable, "fasttrace", DD_TRACE_METHODS="")
    assert [name for name, (_, spans) in ours.items() if spans] == []
