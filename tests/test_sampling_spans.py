"""Rules for single spans: what is kept of rejected traces (DD_SPAN_SAMPLING_RULES)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import by_name, spans_of
from sampling_cases import HALF_RATE

from fasttrace import Context, Tracer
from fasttrace.config import Config

REJECT = [{"sample_rate": 0}]
MECHANISM = "_dd.span_sampling.mechanism"
RATE = "_dd.span_sampling.rule_rate"
LIMIT = "_dd.span_sampling.max_per_second"


def marks(sent: dict[str, Any]) -> dict[str, float]:
    """The marks of a span rule on a decoded span."""
    metrics = sent.get("metrics", {})
    return {key: metrics[key] for key in metrics if key.startswith("_dd.span_sampling.")}


def family(tracer: Tracer) -> dict[str, dict[str, Any]]:
    """Finish a trace of a root, a query and a call; return its spans as sent, by name."""
    with tracer.trace("root"):
        with tracer.trace("query", service="db"):
            pass
        with tracer.trace("call", service="far"):
            pass
    return by_name(spans_of(tracer))


@pytest.mark.parametrize(
    ("rule", "marked"),
    [
        ({"name": "query"}, {"query"}),
        ({"service": "db"}, {"query"}),
        ({"service": "D?"}, {"query"}),
        ({"name": "*"}, {"root", "query", "call"}),
        ({"name": "c*", "service": "f*"}, {"call"}),
        ({"name": "c*", "service": "db"}, set()),
        ({"name": "query", "sample_rate": 0}, set()),
    ],
)
def test_matching_spans_of_rejected_traces_are_marked(
    new_tracer: Any, rule: dict[str, Any], marked: set[str]
) -> None:
    """Service and name are globs; a match gets mechanism 8 and the rule's rate, others nothing."""
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=[rule])
    sent = family(tracer)
    assert {name for name in sent if marks(sent[name])} == marked
    for name in marked:
        assert marks(sent[name]) == {MECHANISM: 8, RATE: 1.0}
    assert sent["root"]["metrics"]["_sampling_priority_v1"] == -1


def test_kept_traces_are_left_alone(new_tracer: Any) -> None:
    """Span rules have no part in traces that are kept."""
    tracer = new_tracer(span_sampling_rules=[{"name": "*"}])
    assert not any(marks(span) for span in family(tracer).values())


@pytest.mark.parametrize("priority", [0, -1])
def test_whoever_rejected_the_trace(new_tracer: Any, priority: int) -> None:
    """The agent's, a remote or a manual rejection counts like a rule's."""
    tracer = new_tracer(span_sampling_rules=[{"name": "op"}])
    remote = Context(trace_id=5, span_id=6, sampling_priority=priority)
    tracer.start_span("op", child_of=remote).finish()
    assert marks(spans_of(tracer)[0])
    tracer._set_rates({"service:svc,env:": 0.0})
    tracer.start_span("op").finish()
    assert marks(spans_of(tracer)[0])


def test_the_first_rule_counts(new_tracer: Any) -> None:
    """Only the first rule that matches is asked, even if it says no."""
    rules = [{"name": "query", "sample_rate": 0}, {"service": "*", "max_per_second": 5}]
    sent = family(new_tracer(sampling_rules=REJECT, span_sampling_rules=rules))
    assert not marks(sent["query"])
    assert marks(sent["call"]) == {MECHANISM: 8, RATE: 1.0, LIMIT: 5}


@pytest.mark.parametrize(("span_id", "kept"), HALF_RATE)
def test_the_rate_is_applied_to_the_span_id(new_tracer: Any, span_id: int, kept: bool) -> None:
    """At a rate of one half the id of the span decides."""
    rules = [{"name": "op", "sample_rate": 0.5}]
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=rules)
    span = tracer.start_span("op")
    span.span_id = span_id
    span.finish()
    assert marks(spans_of(tracer)[0]) == ({MECHANISM: 8, RATE: 0.5} if kept else {})


def test_the_limit_of_a_rule(new_tracer: Any) -> None:
    """A rule marks no more spans a second than it says; each rule has a limit of its own."""
    rules = [{"name": "a", "max_per_second": 3}, {"name": "b", "max_per_second": 1}]
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=rules)
    with tracer.trace("root"):
        for _ in range(5):
            tracer.start_span("a").finish()
            tracer.start_span("b", child_of=tracer.current_span()).finish()
    sent = spans_of(tracer)
    counts = {name: sum(bool(marks(s)) for s in sent if s["name"] == name) for name in "ab"}
    assert counts["b"] == 1
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=rules)
    with tracer.trace("root") as root:
        for _ in range(5):
            tracer.start_span("a", child_of=root).finish()
    assert sum(bool(marks(span)) for span in spans_of(tracer)) == 3


def test_a_span_without_a_service(new_tracer: Any) -> None:
    """A rule for services matches no span that has none."""
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=[{"service": "*"}])
    span = tracer.start_span("op")
    span.service = None
    span.finish()
    assert marks(spans_of(tracer)[0])  # "*" asks for nothing
    tracer.configure(span_sampling_rules=[{"service": "?*"}])
    span = tracer.start_span("op")
    span.service = None
    span.finish()
    assert not marks(spans_of(tracer)[0])


def test_the_tracers_marks_win(new_tracer: Any) -> None:
    """A tag of the same name that the application has set gives way, in both formats."""
    for version in ("v0.4", "v0.5"):
        tracer = new_tracer(
            api_version=version, sampling_rules=REJECT, span_sampling_rules=[{"name": "op"}]
        )
        with tracer.trace("op") as span:
            span.set_tag(MECHANISM, "mine")
        [sent] = spans_of(tracer)
        assert marks(sent) == {MECHANISM: 8, RATE: 1.0}
        assert MECHANISM not in sent["meta"]


def test_many_span_rules(new_tracer: Any) -> None:
    """A rule beyond the first 63 is found as well."""
    rules = [{"name": f"n{i}", "sample_rate": 1 - i / 200} for i in range(100)]
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=rules)
    for i in (0, 62, 63, 64, 99):
        span = tracer.start_span(f"n{i}")
        span.span_id = 1  # hashed to the lowest sixteenth
        span.finish()
        assert marks(spans_of(tracer)[0])[RATE] == 1 - i / 200


def test_every_chunk_of_a_rejected_trace(new_tracer: Any) -> None:
    """Spans that leave early are looked at as well."""
    tracer = new_tracer(
        partial_flush_min_spans=2, sampling_rules=REJECT, span_sampling_rules=[{"name": "child"}]
    )
    with tracer.trace("root"):
        for _ in range(5):
            with tracer.trace("child"):
                pass
    sent = spans_of(tracer)
    assert [bool(marks(span)) for span in sent] == [span["name"] == "child" for span in sent]


def test_rules_from_a_file(tmp_path: Path) -> None:
    """The file counts if the variable with the rules themselves is not set."""
    path = tmp_path / "rules.json"
    path.write_text('[{"name": "from-file"}]')
    env = {"DD_SPAN_SAMPLING_RULES_FILE": str(path)}
    assert Config.from_env(env).span_sampling_rules == '[{"name": "from-file"}]'
    env["DD_SPAN_SAMPLING_RULES"] = '[{"name": "direct"}]'
    assert Config.from_env(env).span_sampling_rules == '[{"name": "direct"}]'


def test_rules_of_a_file_are_used(new_tracer: Any, tmp_path: Path) -> None:
    """A tracer applies the rules of the file."""
    path = tmp_path / "rules.json"
    path.write_text('[{"name": "query"}]')
    config = Config.from_env({"DD_SPAN_SAMPLING_RULES_FILE": str(path)})
    tracer = new_tracer(sampling_rules=REJECT, span_sampling_rules=config.span_sampling_rules)
    assert marks(family(tracer)["query"])
