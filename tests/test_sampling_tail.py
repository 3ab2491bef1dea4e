"""Tail keep: rules that keep a rejected trace because of how its local root ended."""

from __future__ import annotations

import time
from typing import Any

import pytest
from helpers import by_name, chunks_of, run_python, spans_of

from fasttrace import Context, Tracer
from fasttrace.propagation.http import HTTPPropagator

ERRORS: dict[str, Any] = {"sample_rate": 0, "keep_errors": True}
SLOW: dict[str, Any] = {"sample_rate": 0, "keep_slower_than_ms": 50}


def finish(tracer: Tracer, error: bool = False, lasted_s: float = 0.0, **kwargs: Any) -> int:
    """Finish a trace of two spans; return the priority it was sent with."""
    with tracer.start_span("root", activate=True, **kwargs) as root, tracer.trace("child"):
        root.error = int(error)
        root.duration = lasted_s
    spans = spans_of(tracer)
    assert len(spans) == 2
    return int(spans[0]["metrics"]["_sampling_priority_v1"])


@pytest.mark.parametrize(
    ("rule", "error", "lasted_s", "expected"),
    [
        (ERRORS, True, 0.0, 2),
        (ERRORS, False, 9.0, -1),
        (SLOW, False, 0.05, 2),
        (SLOW, False, 0.0499, -1),
        (SLOW, True, 0.0, -1),
        ({**ERRORS, **SLOW}, True, 0.0, 2),
        ({**ERRORS, **SLOW}, False, 1.0, 2),
        ({**ERRORS, **SLOW}, False, 0.0, -1),
        ({"sample_rate": 0, "keep_slower_than_ms": 0}, False, 0.0, 2),
        ({**ERRORS, "discard": True}, True, 0.0, 2),
        ({**ERRORS, "name": "other"}, True, 0.0, 1),
        ({"sample_rate": 0}, True, 9.0, -1),
    ],
)
def test_failed_and_slow_traces_are_kept(
    new_tracer: Any, rule: dict[str, Any], error: bool, lasted_s: float, expected: int
) -> None:
    """A rejected trace is kept if its root failed, or took as long as the rule says or longer."""
    assert finish(new_tracer(sampling_rules=[rule]), error, lasted_s) == expected


def test_what_is_left_on_the_trace(new_tracer: Any) -> None:
    """A trace kept for its end is a rule's user keep without a rate: it stands for itself alone."""
    tracer = new_tracer(sampling_rules=[ERRORS])
    with pytest.raises(ValueError), tracer.trace("root"):
        raise ValueError("x")
    [sent] = spans_of(tracer)
    assert sent["metrics"]["_sampling_priority_v1"] == 2
    assert sent["meta"]["_dd.p.dm"] == "-3"
    assert not {"_dd.rule_psr", "_dd.limit_psr"} & set(sent["metrics"])
    assert "_dd.p.ksr" not in sent["meta"]
    assert tracer.stats()["tail_kept_traces"] == 1


def test_an_error_below_the_root_does_not_count(new_tracer: Any) -> None:
    """It is the local root that must end in error."""
    tracer = new_tracer(sampling_rules=[ERRORS])
    with tracer.trace("root"), pytest.raises(ValueError), tracer.trace("child"):
        raise ValueError("x")
    assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == -1


def test_what_the_rate_keeps_is_kept_by_the_rate(new_tracer: Any) -> None:
    """A trace that the head decision keeps is not touched."""
    tracer = new_tracer(sampling_rules=[{**ERRORS, "sample_rate": 1}])
    assert finish(tracer, error=True) == 2
    assert tracer.stats()["tail_kept_traces"] == 0


def test_a_discarded_trace_that_fails(new_tracer: Any) -> None:
    """With `discard`, what ends well is not sent, and what fails is."""
    tracer = new_tracer(sampling_rules=[{**ERRORS, "discard": True}])
    with tracer.trace("well"), tracer.trace("child"):
        pass
    assert spans_of(tracer) == []
    assert finish(tracer, error=True) == 2


def test_a_long_trace_is_held_whole(new_tracer: Any) -> None:
    """The finished spans of a rejected trace wait for its end instead of leaving in parts."""
    tracer = new_tracer(partial_flush_min_spans=5, sampling_rules=[ERRORS])
    with pytest.raises(ValueError), tracer.trace("root"):
        for _ in range(40):
            with tracer.trace("child"):
                pass
        assert chunks_of(tracer) == []
        assert tracer.stats()["held"] == tracer.stats()["tail_held"] == 40
        raise ValueError("x")
    [chunk] = chunks_of(tracer)
    assert len(chunk) == 41
    assert chunk[0]["metrics"]["_sampling_priority_v1"] == 2
    assert "_dd.py.partial_flush" not in chunk[0]["metrics"]
    assert tracer.stats()["tail_held"] == 0


def test_kept_and_foreign_traces_are_not_held(new_tracer: Any) -> None:
    """Traces that no tail rule is for are flushed in parts as ever."""
    tracer = new_tracer(
        partial_flush_min_spans=2,
        sampling_rules=[{**ERRORS, "name": "rejected"}, {"name": "no tail", "sample_rate": 0}],
    )
    for name, held in (("rejected", True), ("no tail", False), ("kept", False)):
        with tracer.trace(name):
            for _ in range(5):
                with tracer.trace("child"):
                    pass
            assert (chunks_of(tracer) == []) is held
        chunks_of(tracer)


def test_once_the_root_has_ended_nothing_is_held(new_tracer: Any) -> None:
    """When the root ends before other spans, its fate is known and the trace flows in parts."""
    for error in (False, True):
        tracer = new_tracer(partial_flush_min_spans=3, sampling_rules=[ERRORS])
        root = tracer.start_span("root")
        last = tracer.start_span("last", child_of=root)
        root.error = int(error)
        root.finish()
        for _ in range(2):
            tracer.start_span("child", child_of=last).finish()
        [chunk] = chunks_of(tracer)
        assert len(chunk) == 3
        assert chunk[0]["metrics"]["_sampling_priority_v1"] == (2 if error else -1)
        last.finish()
        [[sent]] = chunks_of(tracer)
        assert sent["metrics"]["_sampling_priority_v1"] == (2 if error else -1)


@pytest.mark.parametrize("bound", [{"tail_max_spans": 20}, {"tail_max_bytes": 8000}])
def test_over_the_bound_the_head_decision_stands(new_tracer: Any, bound: dict[str, int]) -> None:
    """Beyond the bound the trace leaves, rejected, and is counted."""
    tracer = new_tracer(partial_flush_min_spans=5, sampling_rules=[ERRORS], **bound)
    with pytest.raises(ValueError), tracer.trace("root"):
        for _ in range(100):
            with tracer.trace("child") as child:
                child.set_tag("k", "x" * 100)
        raise ValueError("x")
    chunks = chunks_of(tracer)
    assert len(chunks[0]) > 5
    assert {len(chunk) for chunk in chunks[1:-1]} == {5}
    assert {chunk[0]["metrics"]["_sampling_priority_v1"] for chunk in chunks} == {-1}
    assert sum(map(len, chunks)) == 101
    stats = tracer.stats()
    assert (stats["tail_overflowed_traces"], stats["tail_kept_traces"]) == (1, 0)
    assert stats["tail_held"] == 0


def test_the_bound_is_for_all_traces_together(new_tracer: Any) -> None:
    """Traces held at the same time share the bound, and give it back when they end."""
    tracer = new_tracer(
        partial_flush_min_spans=2,
        sampling_rules=[ERRORS],
        tail_max_spans=10,
        tail_max_bytes=1 << 20,
    )
    for _ in range(3):
        roots = [tracer.start_span("root") for _ in range(3)]
        for root in roots:
            for _ in range(4):
                tracer.start_span("child", child_of=root).finish()
        for root in roots:
            root.error = 1
            root.finish()
        whole = [chunk for chunk in chunks_of(tracer) if len(chunk) == 5]
        assert len(whole) == 2
        assert all(chunk[0]["metrics"]["_sampling_priority_v1"] == 2 for chunk in whole)
        assert tracer.stats()["tail_held"] == 0
    assert tracer.stats()["tail_overflowed_traces"] == 3


def test_abandoned_spans_give_the_bound_back(new_tracer: Any) -> None:
    """A held trace whose root is thrown away leaves, and is not counted as held any more."""
    tracer = new_tracer(partial_flush_min_spans=2, sampling_rules=[ERRORS])
    root = tracer.start_span("root")
    for _ in range(6):
        tracer.start_span("child", child_of=root).finish()
    assert tracer.stats()["tail_held"] == 6
    del root
    assert tracer.stats()["tail_held"] == 0
    assert len(spans_of(tracer)) == 6


def test_not_after_headers_were_injected(new_tracer: Any) -> None:
    """Once another service was told of the rejection, it stands, and nothing is held for it."""
    tracer = new_tracer(partial_flush_min_spans=3, sampling_rules=[ERRORS])
    for source in ("span", "context", "list"):
        with pytest.raises(ValueError), tracer.trace("root") as root:
            headers: Any = [] if source == "list" else {}
            HTTPPropagator.inject(root.context if source == "context" else root, headers)
            told = {str(k): str(v) for k, v in dict(headers).items()}
            assert "-1" in str(
                told.get("x-datadog-sampling-priority") or told["b'x-datadog-sampling-priority'"]
            )
            for _ in range(4):
                with tracer.trace("child"):
                    pass
            assert len(spans_of(tracer)) == 3
            raise ValueError("x")
        assert by_name(spans_of(tracer))["root"]["metrics"]["_sampling_priority_v1"] == -1
    assert tracer.stats()["tail_kept_traces"] == 0


def test_sample_is_no_obstacle(new_tracer: Any) -> None:
    """A decision taken by `tracer.sample()` was told to nobody."""
    tracer = new_tracer(sampling_rules=[ERRORS])
    with tracer.trace("root") as root:
        tracer.sample(root)
        root.error = 1
    assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == 2


@pytest.mark.parametrize(
    ("overrides", "inherited", "manual"),
    [([], -1, -1), (["inherited"], 2, -1), (["manual"], -1, 2), (["inherited", "manual"], 2, 2)],
)
def test_decisions_of_others_stand_unless_the_rule_says_so(
    new_tracer: Any, overrides: list[str], inherited: int, manual: int
) -> None:
    """An inherited rejection and manual.drop are overridden only if `keep_overrides` names them."""
    tracer = new_tracer(sampling_rules=[{**ERRORS, "keep_overrides": overrides}])
    remote = Context(trace_id=4242, span_id=17, sampling_priority=-1)
    assert finish(tracer, error=True, child_of=remote) == inherited
    for by_tag in (True, False):
        with tracer.trace("root") as root:
            if by_tag:
                root.set_tag("manual.drop")
            else:
                root.context.sampling_priority = -1
            root.error = 1
        assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == manual


@pytest.mark.parametrize("priority", [0, -1])
def test_an_extracted_rejection(new_tracer: Any, priority: int) -> None:
    """A rejection that came in headers is inherited, whatever its number."""
    tracer = new_tracer(sampling_rules=[{**ERRORS, "keep_overrides": ["inherited"]}])
    headers = {
        "x-datadog-trace-id": "4242",
        "x-datadog-parent-id": "17",
        "x-datadog-sampling-priority": str(priority),
    }
    remote = HTTPPropagator.extract(headers)
    assert finish(tracer, error=True, child_of=remote) == 2
    tracer.configure(sampling_rules=[ERRORS])
    assert finish(tracer, error=True, child_of=HTTPPropagator.extract(headers)) == priority


def test_the_agents_rejection_stands(new_tracer: Any) -> None:
    """A trace that no rule matched and the agent's rate rejected is not kept."""
    tracer = new_tracer(sampling_rules=[{**ERRORS, "name": "other"}])
    tracer._set_rates({"service:svc,env:": 0.0})
    assert finish(tracer, error=True) == 0


def test_the_limit_holds_for_late_keeps(new_tracer: Any) -> None:
    """The rate limit bounds what is kept late, too: a storm of errors does not flood the agent."""
    tracer = new_tracer(rate_limit=3, sampling_rules=[ERRORS])
    kept = [finish(tracer, error=True) for _ in range(8)]
    assert kept == [2] * 3 + [-1] * 5
    assert tracer.stats()["tail_limited_traces"] == 5


def test_rules_that_change_while_a_trace_is_held(new_tracer: Any) -> None:
    """The rule that rejected a trace may keep it, also if it was replaced meanwhile."""
    for rules, expected in (([{"sample_rate": 1}], 2), ([], -1), ([{**ERRORS}], 2)):
        tracer = new_tracer(partial_flush_min_spans=2, sampling_rules=[ERRORS])
        with tracer.trace("root") as root:
            for _ in range(4):
                with tracer.trace("child"):
                    pass
            tracer.configure(sampling_rules=rules)
            root.error = 1
        sent = spans_of(tracer)
        assert len(sent) == 5
        assert sent[0]["metrics"]["_sampling_priority_v1"] == expected
        assert tracer.stats()["tail_held"] == 0


def test_real_time_counts(new_tracer: Any) -> None:
    """The clock decides about slow traces."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 0, "keep_slower_than_ms": 20}])
    with tracer.trace("quick"):
        pass
    with tracer.trace("slow"):
        time.sleep(0.03)
    sent = by_name(spans_of(tracer))
    assert sent["slow"]["metrics"]["_sampling_priority_v1"] == 2


def test_off_unless_asked_for(new_tracer: Any) -> None:
    """Without such a rule a failed trace that was rejected stays rejected, and nothing is held."""
    tracer = new_tracer(partial_flush_min_spans=2, sampling_rules=[{"sample_rate": 0}])
    with tracer.trace("root") as root:
        for _ in range(3):
            with tracer.trace("child"):
                pass
        assert len(spans_of(tracer)) == 2
        root.error = 1
    assert tracer.stats()["tail_held"] == 0
    assert len(spans_of(tracer)) == 2


def test_a_forked_child_holds_nothing_of_its_parent() -> None:
    """In a child process the counts begin at zero; the parent's spans do not disturb."""
    code = """
        import os, sys
        from fasttrace import tracer
        tracer._on_first_chunk = lambda: None
        tracer.configure(partial_flush_min_spans=2, sampling_rules=[
            {"sample_rate": 0, "keep_errors": True}])
        with tracer.trace("root") as root:
            for _ in range(5):
                tracer.start_span("child", child_of=root).finish()
            assert tracer.stats()["tail_held"] == 5
            pid = os.fork()
            if pid == 0:
                with tracer.trace("in child") as inner:
                    for _ in range(5):
                        tracer.start_span("grandchild", child_of=inner).finish()
                    assert tracer.stats()["tail_held"] <= 5, tracer.stats()
                root.finish()
                assert tracer.stats()["tail_held"] == 0, tracer.stats()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert tracer.stats()["tail_held"] == 5
        assert tracer.stats()["tail_held"] == 0
        os._exit(0)
    """
    run_python(code)
