"""Sampling settings that cannot be used: one warning names variable and item, the rest applies."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from helpers import run_python, spans_of

import fasttrace._log
from fasttrace.config import Config
from fasttrace.sampling import span_rules, trace_rules

GOOD = {"name": "good", "sample_rate": 0}
TRACES, SPANS = "DD_TRACE_SAMPLING_RULES", "DD_SPAN_SAMPLING_RULES"


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of the test."""
    found: list[str] = []
    monkeypatch.setattr(fasttrace._log, "warn", lambda cause, message: found.append(message))
    return found


BAD_TRACE_RULES = [
    ({"name": "x"}, "no sample_rate"),
    ({"name": "x", "sample_rate": 7}, "sample_rate must be a number from 0 to 1"),
    ({"sample_rate": -0.1}, "sample_rate must be a number from 0 to 1"),
    ({"sample_rate": "often"}, "sample_rate must be a number from 0 to 1"),
    ({"sample_rate": None}, "sample_rate must be a number from 0 to 1"),
    ({"sample_rate": True}, "sample_rate must be a number from 0 to 1"),
    ({"sample_rate": 10**400}, "sample_rate must be a number from 0 to 1"),
    ({"sample_rate": 0, "nmae": "x"}, "unknown key nmae"),
    ({"sample_rate": 0, "name": 5}, "name must be text"),
    ({"sample_rate": 0, "service": ["a"]}, "service must be text"),
    ({"sample_rate": 0, "resource": {}}, "resource must be text"),
    ({"sample_rate": 0, "tags": ["a"]}, "tags must be"),
    ({"sample_rate": 0, "tags": {"a": None}}, "tags must be"),
    ({"sample_rate": 0, "provenance": "nobody"}, "provenance must be"),
    ({"sample_rate": 0, "provenance": []}, "provenance must be"),
    ({"sample_rate": 0, "discard": "yes"}, "discard must be true or false"),
    ({"sample_rate": 0, "keep_errors": 1}, "keep_errors must be true or false"),
    ({"sample_rate": 0, "keep_slower_than_ms": -5}, "keep_slower_than_ms must be a number"),
    ({"sample_rate": 0, "keep_overrides": ["all"]}, "keep_overrides must be a list"),
    ({"sample_rate": 0, "keep_overrides": "manual"}, "keep_overrides must be a list"),
    ("rule", "no object"),
    (None, "no object"),
    (["sample_rate"], "no object"),
]

BAD_SPAN_RULES = [
    ({"sample_rate": 1}, "neither service nor name"),
    ({"service": "", "name": ""}, "neither service nor name"),
    ({"name": "x", "sample_rate": 7}, "sample_rate must be a number from 0 to 1"),
    ({"name": "x", "max_per_second": "many"}, "max_per_second must be a number"),
    ({"name": "x", "max_per_second": -1}, "max_per_second must be a number"),
    ({"name": "x", "resource": "y"}, "unknown key resource"),
    ({"name": 5}, "name must be text"),
    (5, "no object"),
]


@pytest.mark.parametrize(("rule", "said"), BAD_TRACE_RULES)
def test_a_bad_trace_rule(warnings: list[str], rule: Any, said: str) -> None:
    """The warning names variable, rule and what is wrong; the other rules apply."""
    found = trace_rules(json.dumps([GOOD, rule, GOOD]), TRACES)
    assert [each["name"] for each in found] == ["good", "good"]
    [warning] = warnings
    assert warning.startswith(f"{TRACES}: rule 2 is left out: ")
    assert said in warning


@pytest.mark.parametrize(("rule", "said"), BAD_SPAN_RULES)
def test_a_bad_span_rule(warnings: list[str], rule: Any, said: str) -> None:
    """The same for rules for single spans."""
    found = span_rules(json.dumps([rule, {"name": "good"}]), SPANS)
    assert [each["name"] for each in found] == ["good"]
    [warning] = warnings
    assert warning.startswith(f"{SPANS}: rule 1 is left out: ")
    assert said in warning


@pytest.mark.parametrize(
    "text",
    ["nonsense", "[", '{"sample_rate": 0}', '"text"', "7", "null", "[{}]]", "[" * 100_000],
)
@pytest.mark.parametrize("read", [trace_rules, span_rules])
def test_no_list_of_rules(warnings: list[str], read: Any, text: str) -> None:
    """Text that is no JSON, or no list, gives one warning that says so, and no rules."""
    assert read(text, "VARIABLE") == []
    [warning] = warnings
    assert warning.startswith("VARIABLE is ignored: ")
    assert "expected a list of rules" in warning


@pytest.mark.parametrize("text", ["", "   ", "[]"])
def test_no_rules(warnings: list[str], text: str) -> None:
    """Nothing, and an empty list, are no mistake."""
    assert trace_rules(text, TRACES) == span_rules(text, SPANS) == []
    assert warnings == []


def test_numbers_as_text_are_taken(warnings: list[str]) -> None:
    """A rate in quotes is a rate, as in ddtrace."""
    [rule] = trace_rules('[{"sample_rate": "0.25"}]', TRACES)
    assert rule["sample_rate"] == 0.25
    assert warnings == []


@pytest.mark.parametrize("rules", [5, {"sample_rate": 1}, object()])
def test_rules_given_by_the_program(
    new_tracer: Any, warnings: list[str], monkeypatch: pytest.MonkeyPatch, rules: Any
) -> None:
    """configure() does not raise either: a warning names the argument, and there are no rules."""
    tracer = new_tracer(sampling_rules=[GOOD])
    tracer.configure(sampling_rules=rules)
    assert any(warning.startswith("sampling_rules is ignored: ") for warning in warnings)
    with tracer.trace("good"):
        pass
    assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == 1


def test_a_rule_whose_parts_misbehave(warnings: list[str]) -> None:
    """A rule object that cannot even be printed is left out with a warning."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert trace_rules([{"sample_rate": 0, "name": Hostile()}], "sampling_rules") == []
    assert "name must be text" in warnings[0]


def test_variables_of_a_process() -> None:
    """At import, each bad variable is named once, and what is good in it and beside it applies."""
    code = """
        from fasttrace import tracer
        with tracer.trace("good") as span:
            tracer.sample(span)
            print(span.context.sampling_priority)
        with tracer.trace("other") as span:
            tracer.sample(span)
            print(span.context.sampling_priority, tracer._config.service)
        tracer.enabled = False
    """
    env = {
        "DD_SERVICE": "still-applies",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:1",
        "DD_TRACE_SAMPLING_RULES": json.dumps([{"sample_rate": 7}, GOOD, {"name": "x"}]),
        "DD_SPAN_SAMPLING_RULES": "{not json",
        "DD_TRACE_SAMPLE_RATE": "7",
        "DD_TRACE_RATE_LIMIT": "many",
        "DD_SPAN_SAMPLING_RULES_FILE": "/does/not/exist",
    }
    result = run_python(code, env={**os.environ, **env})
    assert result.stdout.splitlines() == ["-1", "1 still-applies"]
    lines = [line for line in result.stderr.splitlines() if line.startswith("DD_")]
    assert [line.split()[0].split("=")[0].rstrip(":") for line in sorted(lines)] == [
        "DD_SPAN_SAMPLING_RULES",
        "DD_TRACE_RATE_LIMIT",
        "DD_TRACE_SAMPLE_RATE",
        "DD_TRACE_SAMPLING_RULES",
        "DD_TRACE_SAMPLING_RULES",
    ]
    assert "rule 1 is left out: sample_rate must be a number from 0 to 1" in result.stderr
    assert "rule 3 is left out: it has no sample_rate" in result.stderr


def test_an_unreadable_file(warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of rules that cannot be read is named with its variable."""
    config = Config.from_env({"DD_SPAN_SAMPLING_RULES_FILE": "/does/not/exist", "DD_SERVICE": "s"})
    assert config.span_sampling_rules == ""
    assert config.service == "s"
    [warning] = warnings
    assert "DD_SPAN_SAMPLING_RULES_FILE='/does/not/exist'" in warning
