"""One program of real instrumentation packages under opentelemetry-sdk and under fasttrace.

Names, kinds, parents, attributes, status and events have to be the same, after the documented
mapping of attributes to tags.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from helpers import run_python

PROGRAM = Path(__file__).parent / "otel_program.py"
# Differ from one run to the next: the ports of both ends of a connection.
PORTS = ("net.host.port", "net.peer.port", "server.port", "client.port")


def run(which: str) -> list[dict[str, Any]]:
    """Run the program; return its spans in an order that both runs share."""
    code = f"import runpy, sys; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    output = run_python(code, which).stdout
    spans: list[dict[str, Any]] = json.loads(output)
    for span in spans:
        span["attributes"] = as_tags(span["attributes"])
    return sorted(spans, key=lambda span: json.dumps(span, sort_keys=True))


def as_tags(attributes: dict[str, Any]) -> dict[str, Any]:
    """What docs/opentelemetry.md says the attributes become."""
    tags: dict[str, Any] = {}
    for key, value in attributes.items():
        if key in ("http.status_code", "http.response.status_code"):
            tags["http.status_code"] = str(value)
        elif isinstance(value, bool):
            tags[key] = int(value)
        elif isinstance(value, list):
            tags.update({f"{key}.{i}": item for i, item in enumerate(value)})
        elif key in PORTS:
            tags[key] = "a port"
        elif isinstance(value, str):
            tags[key] = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:port", value)
        else:
            tags[key] = value
    return tags


def test_the_same_spans_as_the_sdk_records() -> None:
    """Requests, Flask, WSGI, FastAPI and ASGI instrumentation record here what they do there."""
    theirs, ours = run("sdk"), run("fasttrace")
    assert [(span["parent"], span["name"], span["kind"]) for span in ours] == [
        (span["parent"], span["name"], span["kind"]) for span in theirs
    ]
    assert len(ours) > 25
    for mine, other in zip(ours, theirs, strict=True):
        if not mine["error"]:
            mine["message"] = None  # error.message is also there for what was only recorded
        assert mine == other
