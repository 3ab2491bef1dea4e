"""The decision without rules: keep everything, or what the agent's answer says."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import by_name, spans_of
from sampling_cases import HALF_RATE

from fasttrace import Context, Tracer


def sampled(tracer: Tracer, trace_id: int = 5) -> dict[str, Any]:
    """Finish one trace of the given id that has no decision yet; return its root as sent."""
    span = tracer.start_span("op", child_of=Context(trace_id=trace_id, span_id=6))
    span.finish()
    [sent] = spans_of(tracer)
    return sent


def test_without_rates_everything_is_kept(tracer: Tracer) -> None:
    """A trace is kept with priority 1, decision maker "-0" and no rate."""
    with tracer.trace("op"):
        pass
    [sent] = spans_of(tracer)
    assert sent["metrics"]["_sampling_priority_v1"] == 1
    assert sent["meta"]["_dd.p.dm"] == "-0"
    assert "_dd.agent_psr" not in sent["metrics"]


@pytest.mark.parametrize(("rate", "priority"), [(1.0, 1), (0.0, 0)])
def test_a_rate_of_one_or_zero_decides_for_all(tracer: Tracer, rate: float, priority: int) -> None:
    """Rate 1 keeps and rate 0 rejects every trace, which is sent nevertheless."""
    tracer._set_rates({"service:svc,env:": rate})
    sent = sampled(tracer)
    assert sent["metrics"]["_sampling_priority_v1"] == priority
    assert sent["metrics"]["_dd.agent_psr"] == rate
    assert sent["meta"]["_dd.p.dm"] == "-1"


@pytest.mark.parametrize(("trace_id", "kept"), HALF_RATE)
@pytest.mark.parametrize("high", [0, 0x1234_5678_0000_0000])
def test_the_decision_is_a_function_of_the_trace_id(
    tracer: Tracer, trace_id: int, kept: bool, high: int
) -> None:
    """At a rate of one half the low 64 bits of the trace id decide, as in all tracers."""
    tracer._set_rates({"service:svc,env:": 0.5})
    sent = sampled(tracer, high << 64 | trace_id)
    assert sent["metrics"]["_sampling_priority_v1"] == int(kept)
    assert sent["metrics"]["_dd.agent_psr"] == 0.5
    assert sent["meta"]["_dd.p.ksr"] == "0.5"


def test_a_rate_is_for_exactly_one_service_and_environment(new_tracer: Any) -> None:
    """Only the entry for the root's service and the configured environment counts."""
    tracer = new_tracer(env="prod")
    rates = {"service:other,env:prod": 0.0, "service:svc,env:": 0.0, "service:,env:": 0.0}
    tracer._set_rates(rates)
    assert sampled(tracer)["meta"]["_dd.p.dm"] == "-0"
    tracer._set_rates({**rates, "service:svc,env:prod": 0.0})
    assert sampled(tracer)["metrics"]["_sampling_priority_v1"] == 0


def test_the_roots_service_decides(tracer: Tracer) -> None:
    """The service of a child has no part in the decision."""
    tracer._set_rates({"service:child,env:": 0.0, "service:root,env:": 1.0})
    with tracer.trace("root", service="root"), tracer.trace("child", service="child"):
        pass
    sent = by_name(spans_of(tracer))
    assert sent["root"]["metrics"]["_sampling_priority_v1"] == 1
    assert "_sampling_priority_v1" not in sent["child"]["metrics"]


def test_new_rates_replace_the_old_table(tracer: Tracer) -> None:
    """An entry that is missing in the newest answer is gone."""
    tracer._set_rates({"service:svc,env:": 0.0})
    assert sampled(tracer)["metrics"]["_sampling_priority_v1"] == 0
    tracer._set_rates({})
    assert sampled(tracer)["meta"]["_dd.p.dm"] == "-0"


@pytest.mark.parametrize("priority", [-1, 0, 1, 2, 7])
def test_a_given_decision_stands(tracer: Tracer, priority: int) -> None:
    """A trace that came with a priority keeps it, and no rate or reason is invented."""
    tracer._set_rates({"service:svc,env:": 0.0})
    remote = Context(trace_id=5, span_id=6, sampling_priority=priority)
    span = tracer.start_span("op", child_of=remote)
    span.finish()
    [sent] = spans_of(tracer)
    assert sent["metrics"]["_sampling_priority_v1"] == priority
    assert "_dd.agent_psr" not in sent["metrics"]
    assert "_dd.p.dm" not in sent["meta"]


def test_a_manual_decision_wins_over_rates(tracer: Tracer) -> None:
    """manual.keep and manual.drop decide whatever the agent's rate is."""
    tracer._set_rates({"service:svc,env:": 0.0})
    with tracer.trace("op") as span:
        span.set_tag("manual.keep")
    [sent] = spans_of(tracer)
    assert sent["metrics"]["_sampling_priority_v1"] == 2
    assert sent["meta"]["_dd.p.dm"] == "-4"
    assert "_dd.agent_psr" not in sent["metrics"]


def test_a_late_manual_decision_takes_the_rate_away(new_tracer: Any) -> None:
    """manual.drop after a decision by rate changes the later chunks, and their root has no rate."""
    tracer = new_tracer(partial_flush_min_spans=1)
    tracer._set_rates({"service:svc,env:": 1.0})
    with tracer.trace("root") as root:
        with tracer.trace("child"):
            pass
        root.set_tag("manual.drop")
    child, sent_root = spans_of(tracer)
    assert child["metrics"]["_sampling_priority_v1"] == 1
    assert child["meta"]["_dd.p.dm"] == "-1"
    assert sent_root["metrics"]["_sampling_priority_v1"] == -1
    assert sent_root["meta"]["_dd.p.dm"] == "-4"
    assert "_dd.agent_psr" not in sent_root["metrics"]


def test_all_chunks_of_a_trace_have_one_decision(new_tracer: Any) -> None:
    """Rates that change while a trace is open do not change its decision."""
    tracer = new_tracer(partial_flush_min_spans=2)
    tracer._set_rates({"service:svc,env:": 0.0})
    with tracer.trace("root") as root:
        for _ in range(2):
            with tracer.trace("child"):
                pass
        tracer._set_rates({"service:svc,env:": 1.0})
    first, second, third = spans_of(tracer)
    assert second["name"] == "child"
    assert third["span_id"] == root.span_id
    assert first["metrics"]["_sampling_priority_v1"] == 0
    assert third["metrics"]["_sampling_priority_v1"] == 0


def test_no_priority_before_the_decision(tracer: Tracer) -> None:
    """An open trace without a remote or manual decision has no priority yet."""
    with tracer.trace("root") as root:
        assert root.context.sampling_priority is None
    assert root.context.sampling_priority == 1


def test_rates_of_the_agents_answer_are_used(session: Any) -> None:
    """The rates in the answer to one flush decide about the traces after it."""
    session.set_rates({"service:svc,env:": 0.0})
    tracer = session.make_tracer()
    with tracer.trace("first"):
        pass
    session.received()
    with tracer.trace("second"):
        pass
    sent = by_name(session.received())
    assert sent["first"]["metrics"]["_sampling_priority_v1"] == 1
    assert sent["second"]["metrics"]["_sampling_priority_v1"] == 0
    assert sent["second"]["meta"]["_dd.p.dm"] == "-1"
