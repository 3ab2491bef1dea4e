"""examples/: each program runs by itself, and what it claims to trace arrives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TIMEOUT_S = 120


def run_example(name: str, session, *arguments: str) -> str:
    """Run a file of examples/ as a user would, against the agent; return what it printed."""
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=session.env(),
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_sandwich_runs_by_itself(session):
    """The service needs no more than DD_TRACE_AGENT_URL; its last traces leave at exit."""
    printed = run_example("sandwich.py", session, "--requests", "8")
    assert printed == (
        "sandwich shop: 8 HTTP requests answered: 5 x 200, 1 x 402, 1 x 404, 1 x 503\n"
    )
    spans = session.wait_for_spans(90)
    assert len(spans) == 90
    assert len({span["trace_id"] for span in spans}) == 8
    assert all(span["meta"]["shop"] == "corner" for span in spans)
    assert all(span["metrics"]["shop.tables"] == 4 for span in spans)
    web = [span for span in spans if span["name"] == "web.request"]
    assert sorted(span["meta"]["http.status_code"] for span in web) == (
        ["200"] * 5 + ["402", "404", "503"]
    )
    assert {span["type"] for span in web} == {"web"}
    (charged,) = [span for span in spans if span["name"] == "till.charge" and span.get("error")]
    assert charged["metrics"]["price.eur"] == 8.5
    taken = [span for span in spans if span["name"] == "stock.take" and span.get("error")]
    assert [span["meta"]["error.type"] for span in taken] == ["__main__.OutOfStock"]
    assert "raise OutOfStock" in taken[0]["meta"]["error.stack"]


def test_first_steps_runs_by_itself(session):
    """Every sample of the first steps arrives, with parents, tags and errors as it says."""
    assert run_example("first_steps.py", session).startswith("9 spans in 6 traces")
    spans = session.wait_for_spans(9)
    assert len(spans) == 9
    assert len({span["trace_id"] for span in spans}) == 6
    by_name = {span["name"]: span for span in spans}
    assert by_name["greeter.shout"]["resource"] == "loud"
    assert by_name["outer"]["meta"]["greeting.language"] == "en"
    assert by_name["outer"]["metrics"]["greeting.count"] == 3
    assert by_name["inner"]["parent_id"] == by_name["outer"]["span_id"]
    assert by_name["step.by_hand"]["parent_id"] == by_name["request.by_hand"]["span_id"]
    assert by_name["division"]["meta"]["error.type"] == "builtins.ZeroDivisionError"
    assert by_name["answer"]["error"] == 1
    assert {span["meta"]["team"] for span in spans} == {"greeters"}


def test_every_example_is_executed_by_a_test():
    """No example is here that the tests do not run."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"first_steps.py", "sandwich.py"}
