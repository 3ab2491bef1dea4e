"""Real instrumentation packages, unmodified, record here what they record under the SDK.

Each program of programs/ runs in two processes, under opentelemetry-sdk and under fasttrace, and
talks to real servers. What the Datadog agent receives from the second has to be what the table of
docs/opentelemetry.md makes of the spans of the first.
"""

from __future__ import annotations

import json
import os
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from instrumentation.expected import datadog_span, lines_of, received_span

PROGRAMS = sorted(path.stem for path in Path(__file__).parent.glob("programs/use_*.py"))
#: Least number of spans of a program, so that none can pass by doing nothing.
LEAST_SPANS = {"use_logging": 2}
SERVICE = "program"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_agent_receives_what_the_sdk_records(runs: Any, session: Any, name: str) -> None:
    """Names, kinds, parents, attributes, status, events and links are those of the SDK's spans."""
    settings = {"DD_SERVICE": SERVICE, "OTEL_SERVICE_NAME": SERVICE}
    with_sdk = runs.start("sdk", name, {**os.environ, **settings})
    with_fasttrace = runs.start("fasttrace", name, session.env(**settings))
    theirs, ours = json.loads(with_sdk.result()), json.loads(with_fasttrace.result())
    recorded = theirs["spans"]
    assert len(recorded) >= LEAST_SPANS.get(name, 8)
    received = session.wait_for_spans(len(recorded))
    expected = lines_of([datadog_span(span, SERVICE) for span in recorded])
    found = lines_of([received_span(span) for span in received])
    assert found == expected, "\n".join(unified_diff(expected, found, "SDK", "fasttrace", n=6))
    assert ours["notes"] == theirs["notes"]
