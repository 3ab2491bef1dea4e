"""Sampling rules: when it is decided, by whom, within which limit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import by_name, run_python, spans_of
from sampling_cases import DROP, decided, priority

from fasttrace import Context

# -- when it is decided ----------------------------------------------------------------------------


def test_decided_with_what_the_root_has_at_the_end(new_tracer: Any) -> None:
    """Names and tags set until the trace is complete count."""
    tracer = new_tracer(
        sampling_rules=[{"resource": "late", "tags": {"t": "late"}, "sample_rate": 0}]
    )
    with tracer.trace("root", resource="early") as root:
        root.resource = "late"
        assert root.context.sampling_priority is None
        root.set_tag("t", "late")
    assert priority(spans_of(tracer)[0]) == -1


def test_sample_decides_at_once_and_for_good(new_tracer: Any) -> None:
    """`tracer.sample(span)` takes the decision; a later name does not change it."""
    tracer = new_tracer(sampling_rules=DROP)
    with tracer.trace("dropped") as root, tracer.trace("child") as child:
        tracer.sample(child)
        assert root.context.sampling_priority == -1
        root.name = "other"
    assert priority(by_name(spans_of(tracer))["other"]) == -1


def test_inject_decides(new_tracer: Any) -> None:
    """Headers carry a rule's decision, which stands."""
    from fasttrace.propagation.http import HTTPPropagator

    tracer = new_tracer(sampling_rules=DROP)
    with tracer.trace("dropped") as root:
        headers: dict[str, str] = {}
        HTTPPropagator.inject(root, headers)
        assert headers["x-datadog-sampling-priority"] == "-1"
        assert "_dd.p.dm=-3" in headers["x-datadog-tags"]
        assert "ksr" not in headers["x-datadog-tags"]
        assert headers["traceparent"].endswith("-00")
        root.name = "other"
    assert priority(spans_of(tracer)[0]) == -1


def test_manual_decisions_win_before_and_after(new_tracer: Any) -> None:
    """manual.keep and manual.drop win until the flush, and leave no rate of the rule."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 0}])
    for early in (True, False):
        with tracer.trace("root") as root, tracer.trace("child") as child:
            if not early:
                tracer.sample(root)
            child.set_tag("manual.keep")
        sent = by_name(spans_of(tracer))["root"]
        assert priority(sent) == 2
        assert sent["meta"]["_dd.p.dm"] == "-4"
        assert not {"_dd.rule_psr", "_dd.limit_psr"} & set(sent["metrics"])
        assert "_dd.p.ksr" not in sent["meta"]


def test_an_assigned_priority_is_sent(new_tracer: Any) -> None:
    """A priority assigned after a rule's decision is the one that is sent."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 1}])
    with tracer.trace("root") as root:
        tracer.sample(root)
        root.context.sampling_priority = 0
    assert priority(spans_of(tracer)[0]) == 0


def test_an_inherited_decision_stands(new_tracer: Any) -> None:
    """A trace that came with a priority is not matched against rules."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 0}])
    remote = Context(trace_id=5, span_id=6, sampling_priority=1)
    tracer.start_span("op", child_of=remote).finish()
    [sent] = spans_of(tracer)
    assert priority(sent) == 1
    assert "_dd.rule_psr" not in sent["metrics"]


def test_an_inherited_decision_maker_stands(new_tracer: Any) -> None:
    """A remote trace without priority is decided here; the decision maker it came with stays."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 1}])
    remote = Context(trace_id=5, span_id=6, meta={"_dd.p.dm": "-8"})
    tracer.start_span("op", child_of=remote).finish()
    [sent] = spans_of(tracer)
    assert (priority(sent), sent["meta"]["_dd.p.dm"]) == (2, "-8")


def test_rules_come_before_the_agents_rates(new_tracer: Any) -> None:
    """The agent's rate decides only where no rule matches."""
    tracer = new_tracer(sampling_rules=[{"name": "kept", "sample_rate": 1}])
    tracer._set_rates({"service:svc,env:": 0.0})
    assert decided(tracer, "kept")["meta"]["_dd.p.dm"] == "-3"
    sent = decided(tracer, "other")
    assert (priority(sent), sent["meta"]["_dd.p.dm"]) == (0, "-1")


def test_a_partial_chunk_carries_the_decision(new_tracer: Any) -> None:
    """Every chunk has priority and decision maker; the rates are on the root alone."""
    tracer = new_tracer(partial_flush_min_spans=2, sampling_rules=[{"sample_rate": 0}])
    with tracer.trace("root"):
        for _ in range(2):
            with tracer.trace("child"):
                pass
    first, _, root = spans_of(tracer)
    assert priority(first) == priority(root) == -1
    assert first["meta"]["_dd.p.dm"] == root["meta"]["_dd.p.dm"] == "-3"
    assert "_dd.rule_psr" not in first["metrics"]
    assert root["metrics"]["_dd.rule_psr"] == 0


def test_a_root_that_is_gone_does_not_hinder_the_decision(new_tracer: Any) -> None:
    """If the root was thrown away, the first finished span stands in for it."""
    tracer = new_tracer(sampling_rules=[{"name": "child", "sample_rate": 0}])
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    del root
    child.finish()
    del child
    [sent] = spans_of(tracer)
    assert priority(sent) == -1


# -- rates and limits ------------------------------------------------------------------------------


def test_the_sample_rate_is_the_last_rule(new_tracer: Any) -> None:
    """`sample_rate` decides where no rule matches, as a rule does."""
    rules = [{"name": "kept", "sample_rate": 1}]
    tracer = new_tracer(sample_rate=0.0, sampling_rules=rules)
    assert priority(decided(tracer, "kept")) == 2
    sent = decided(tracer, "other")
    assert (priority(sent), sent["meta"]["_dd.p.dm"]) == (-1, "-3")


def test_the_limit_rejects_what_rules_keep(new_tracer: Any) -> None:
    """Beyond the limit a kept trace is rejected; the share let through is on each root."""
    tracer = new_tracer(rate_limit=2, sampling_rules=[{"sample_rate": 1}])
    for _ in range(4):
        tracer.start_span("op").finish()
    sent = spans_of(tracer)
    assert [priority(span) for span in sent] == [2, 2, -1, -1]
    shares = [span["metrics"]["_dd.limit_psr"] for span in sent]
    assert shares == pytest.approx([1.0, 1.0, 2 / 3, 0.5])
    assert all(span["metrics"]["_dd.rule_psr"] == 1 for span in sent)


@pytest.mark.parametrize(("limit", "expected"), [(0, -1), (-1, 2)])
def test_limits_of_nothing_and_of_everything(new_tracer: Any, limit: int, expected: int) -> None:
    """A limit of 0 lets nothing through, a negative one everything."""
    tracer = new_tracer(rate_limit=limit, sampling_rules=[{"sample_rate": 1}])
    for _ in range(300):
        tracer.start_span("op").finish()
    assert {priority(span) for span in spans_of(tracer)} == {expected}


def test_the_limit_is_for_rules_only(new_tracer: Any) -> None:
    """Traces that no rule decides about, manual and inherited ones are not limited."""
    tracer = new_tracer(rate_limit=0, sampling_rules=[{"name": "x", "sample_rate": 1}])
    assert priority(decided(tracer, "other")) == 1
    with tracer.trace("x") as root:
        root.set_tag("manual.keep")
    assert priority(spans_of(tracer)[0]) == 2


def test_the_limit_recovers(new_tracer: Any) -> None:
    """Tokens come back with time."""
    import time

    tracer = new_tracer(rate_limit=50, sampling_rules=[{"sample_rate": 1}])
    for _ in range(60):
        tracer.start_span("op").finish()
    assert -1 in {priority(span) for span in spans_of(tracer)}
    time.sleep(0.1)
    assert priority(decided(tracer)) == 2


# -- changing rules --------------------------------------------------------------------------------


def test_rules_change_at_run_time(new_tracer: Any) -> None:
    """`configure` replaces the rules for decisions from then on."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 0}])
    assert priority(decided(tracer)) == -1
    with tracer.trace("open") as sampled:
        tracer.sample(sampled)
        with tracer.trace("child"):
            tracer.configure(sampling_rules=[{"sample_rate": 1}])
    assert priority(spans_of(tracer)[0]) == -1
    assert priority(decided(tracer)) == 2
    tracer.configure(sampling_rules='[{"sample_rate": 0, "name": "json"}]')
    assert priority(decided(tracer, "json")) == -1
    tracer.configure(sampling_rules=[])
    assert decided(tracer)["meta"]["_dd.p.dm"] == "-0"
    tracer.configure(sample_rate=0.0)
    assert priority(decided(tracer)) == -1


def test_new_rules_do_not_refill_the_limit(new_tracer: Any) -> None:
    """The limit goes on counting when the rules change, unless it changes itself."""
    tracer = new_tracer(rate_limit=1, sampling_rules=[{"sample_rate": 1}])
    assert priority(decided(tracer)) == 2
    tracer.configure(sampling_rules=[{"sample_rate": 1, "name": "*"}])
    assert priority(decided(tracer)) == -1
    tracer.configure(rate_limit=-1)
    assert priority(decided(tracer)) == 2


def test_rules_change_while_others_trace(new_tracer: Any) -> None:
    """Threads that trace while the rules are replaced always get one rule's decision."""
    import threading

    tracer = new_tracer(rate_limit=-1, sampling_rules=[{"sample_rate": 1}])
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            with tracer.trace(f"op{number}", resource=f"r{number}"):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        rate = number % 2
        tracer.configure(sampling_rules=[{"sample_rate": rate, "resource": "r*", "name": "op?"}])
    stop.set()
    for thread in threads:
        thread.join()
    for span in spans_of(tracer):
        assert (priority(span), span["metrics"]["_dd.rule_psr"]) in ((2, 1), (-1, 0))


def test_the_variables(new_tracer: Any) -> None:
    """Rules, rate and limit come from the environment."""
    code = """
        from fasttrace import tracer
        for name in ("a", "b", "c"):
            with tracer.trace(name) as span:
                tracer.sample(span)
                print(name, span.context.sampling_priority)
    """
    env = {
        "DD_TRACE_SAMPLING_RULES": json.dumps([{"name": "a", "sample_rate": 0}, *DROP]),
        "DD_TRACE_SAMPLE_RATE": "1",
        "DD_TRACE_RATE_LIMIT": "1",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:1",
    }
    import os

    result = run_python(code, env={**os.environ, **env})
    assert result.stdout.splitlines() == ["a -1", "b 2", "c -1"]
