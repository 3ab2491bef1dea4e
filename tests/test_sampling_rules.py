"""Sampling rules: which trace a rule is for, and what it decides (DD_TRACE_SAMPLING_RULES)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import by_name, run_python, spans_of
from hypothesis import example, given
from hypothesis import strategies as st
from test_sampling_default import HALF_RATE

from fasttrace import Context, Tracer
from fasttrace._span import match_glob, sample_id

DROP = [{"name": "dropped", "sample_rate": 0}]


def decided(tracer: Tracer, name: str = "op", **names: Any) -> dict[str, Any]:
    """Finish one trace of one span and return it as sent."""
    tags = names.pop("tags", {})
    with tracer.trace(name, **names) as span:
        span.set_tags(tags)
    [sent] = spans_of(tracer)
    return sent


def priority(sent: dict[str, Any]) -> int:
    """The sampling priority of a decoded root."""
    return int(sent["metrics"]["_sampling_priority_v1"])


# -- what a decision leaves ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provenance", "maker"),
    [({}, "-3"), ({"provenance": "customer"}, "-11"), ({"provenance": "dynamic"}, "-12")],
)
@pytest.mark.parametrize(("rate", "expected"), [(1, 2), (0, -1)])
def test_a_rule_decides_for_the_user(
    new_tracer: Any, rate: int, expected: int, provenance: dict[str, str], maker: str
) -> None:
    """A rule gives priority 2 or -1, its decision maker and its rate, which stay on the root."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": rate, **provenance}])
    with tracer.trace("root"), tracer.trace("child"):
        pass
    sent = by_name(spans_of(tracer))
    root = sent["root"]
    assert priority(root) == expected
    assert root["meta"]["_dd.p.dm"] == maker
    assert root["meta"]["_dd.p.ksr"] == str(rate)
    assert root["metrics"]["_dd.rule_psr"] == rate
    assert ("_dd.limit_psr" in root["metrics"]) == bool(rate)
    assert not {"_dd.p.dm", "_dd.p.ksr"} & set(sent["child"].get("meta", {}))
    assert not {"_sampling_priority_v1", "_dd.rule_psr"} & set(sent["child"].get("metrics", {}))


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (1.0, "1"),
        (0.5, "0.5"),
        (0.1234567, "0.123457"),
        (0.0000001, "0"),
        (0.0000005, "0.000001"),
        (0.9999999, "1"),
    ],
)
def test_the_rate_is_also_told_as_text(new_tracer: Any, rate: float, text: str) -> None:
    """`_dd.p.ksr` is the rate with six decimals at most and no trailing zeros."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": rate}])
    assert decided(tracer)["meta"]["_dd.p.ksr"] == text


@pytest.mark.parametrize(("trace_id", "kept"), HALF_RATE)
def test_the_reference_vectors(new_tracer: Any, trace_id: int, kept: bool) -> None:
    """At a rate of one half the low 64 bits of the trace id decide, as in all tracers."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 0.5}])
    for high in (0, 0x65000000_00000000):
        remote = Context(trace_id=high << 64 | trace_id, span_id=6)
        tracer.start_span("op", child_of=remote).finish()
        [sent] = spans_of(tracer)
        assert priority(sent) == (2 if kept else -1)
        assert sent["metrics"]["_dd.rule_psr"] == 0.5


@given(st.integers(0, 2**64 - 1), st.floats(0, 1))
@example(0, 0.0)
@example(2**64 - 1, 1.0)
def test_the_hash_against_exact_arithmetic(trace_id: int, rate: float) -> None:
    """The compiled decision is that of exact integers, but within rounding of the rate."""
    hashed = trace_id * 1111111111111111111 % 2**64
    bound = rate * (2**64 - 1)
    if rate in (0.0, 1.0):
        assert sample_id(trace_id, rate) == bool(rate)
    elif abs(hashed - bound) > 4096:
        assert sample_id(trace_id, rate) == (hashed <= bound)


def test_traces_of_many_seconds(new_tracer: Any) -> None:
    """Traces of different seconds that end in turns get each their own `_dd.p.tid`."""
    tracer = new_tracer(sampling_rules=[{"sample_rate": 1, "name": "a*"}, {"sample_rate": 0}])
    seconds = [100, 101, 100, 102, 101, 103, 100]
    for number, second in enumerate(seconds):
        remote = Context(trace_id=second << 96 | (number + 1), span_id=9)
        for name in ("a", "b"):
            tracer.start_span(name, child_of=remote.copy(remote.trace_id, 9)).finish()
    sent = spans_of(tracer)
    assert [span["meta"]["_dd.p.tid"] for span in sent] == [
        f"{second:08x}00000000" for second in seconds for _ in "ab"
    ]
    assert [priority(span) for span in sent] == [2, -1] * len(seconds)


# -- which trace a rule is for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("web.*", "web.request", True),
        ("web.*", "WEB.", True),
        ("web.*", "web", False),
        ("*", "", True),
        ("**", "anything", True),
        ("", "", True),
        ("", "x", False),
        ("?", "", False),
        ("?", "é", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*.End", "the.END", True),
        ("*.end", "the.end.", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("*a*a*", "banana", True),
        ("?*", "", False),
        ("[ab]", "a", False),
        ("[AB]", "[ab]", True),
        ("a\\*", "a*", False),
        ("ÄÖ*", "äöü", True),
    ],
)
def test_globs(glob: str, text: str, matches: bool) -> None:
    """`*` is any run, `?` one character; whole text, any case, nothing else special."""
    assert match_glob(glob, text) is matches


@given(st.text("ab*?", max_size=8), st.text("abAB", max_size=12))
def test_globs_against_regular_expressions(glob: str, text: str) -> None:
    """A glob matches what the regular expression of the same meaning does."""
    import re

    pattern = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in glob)
    assert match_glob(glob, text) == bool(re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL))


def test_a_glob_of_stars_is_quick() -> None:
    """A pattern of many stars does not take exponential time."""
    assert match_glob("*a" * 40 + "*", "a" * 5000) is True
    assert match_glob("*a" * 40 + "*b", "a" * 5000) is False


@pytest.mark.parametrize("field", ["service", "name", "resource"])
def test_each_field_must_match(new_tracer: Any, field: str) -> None:
    """A rule that names a field is for traces whose root matches it, and no others."""
    rule = {"service": "s", "name": "n", "resource": "r"}
    tracer = new_tracer(sampling_rules=[{**rule, "sample_rate": 0}])
    assert priority(decided(tracer, "n", service="s", resource="r")) == -1
    names = {**rule, field: "other"}
    sent = decided(tracer, names.pop("name"), **names)
    assert sent["meta"]["_dd.p.dm"] == "-0"


def test_only_the_root_counts(new_tracer: Any) -> None:
    """Rules are not matched against children."""
    tracer = new_tracer(sampling_rules=DROP)
    with tracer.trace("root"), tracer.trace("dropped"):
        pass
    assert priority(spans_of(tracer)[0]) == 1


def test_the_first_rule_counts(new_tracer: Any) -> None:
    """The first match decides; customer rules and dynamic ones come before others."""
    rules = [
        {"name": "a", "sample_rate": 0},
        {"sample_rate": 1},
        {"name": "b", "sample_rate": 0, "provenance": "dynamic"},
        {"name": "c", "sample_rate": 0, "provenance": "dynamic"},
        {"name": "c", "sample_rate": 1, "provenance": "customer"},
    ]
    tracer = new_tracer(sampling_rules=rules)
    makers = {name: decided(tracer, name)["meta"]["_dd.p.dm"] for name in "abcd"}
    assert makers == {"a": "-3", "b": "-12", "c": "-11", "d": "-3"}
    assert [priority(decided(tracer, name)) for name in "abcd"] == [-1, -1, 2, 2]


@pytest.mark.parametrize(
    ("globs", "tags", "matches"),
    [
        ({"tier": "g*"}, {"tier": "GOLD"}, True),
        ({"tier": "g*"}, {"tier": "silver"}, False),
        ({"tier": "*"}, {}, False),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, True),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, False),
        ({"n": "2?"}, {"n": 23}, True),
        ({"n": "23"}, {"n": 23.0}, True),
        ({"n": "23.*"}, {"n": 23.5}, False),
        ({"n": "*"}, {"n": 23.5}, True),
        ({"n": "?*"}, {"n": 23.5}, True),
        ({"n": "-1"}, {"n": -1}, True),
        ({"http.status_code": "5??"}, {"http.status_code": 503}, True),
        ({"flag": "true"}, {"flag": True}, True),
        ({"n": 5}, {"n": 5}, True),
    ],
)
def test_tags_must_match(
    new_tracer: Any, globs: dict[str, Any], tags: dict[str, Any], matches: bool
) -> None:
    """Tags of the root match as text; a number that is not whole only by wildcards."""
    tracer = new_tracer(sampling_rules=[{"tags": globs, "sample_rate": 0}])
    assert (priority(decided(tracer, tags=tags)) == -1) is matches


@pytest.mark.parametrize(
    "globs",
    [
        {"env": "prod"},
        {"team": "c*"},
        {"version": "v1"},
        {"process_id": "??*"},
        {"runtime-id": "????????????????????????????????"},
        {"size": "7"},
    ],
)
def test_tags_of_the_configuration_match(new_tracer: Any, globs: dict[str, str]) -> None:
    """What the tracer itself puts on the root matches too, and the application's value wins."""
    tracer = new_tracer(
        env="prod",
        version="v1",
        tags={"team": "core"},
        sampling_rules=[{"tags": globs, "sample_rate": 0}],
    )
    tracer.set_tags({"size": 7})
    assert priority(decided(tracer)) == -1
    [key] = globs
    assert priority(decided(tracer, tags={key: "x"})) == 1


def test_a_tag_from_outside_matches(new_tracer: Any) -> None:
    """Propagated tags and the origin of a remote trace without decision can be matched."""
    rules = [
        {"tags": {"_dd.p.usr.id": "abc"}, "sample_rate": 0},
        {"tags": {"_dd.origin": "rum"}, "sample_rate": 0},
    ]
    tracer = new_tracer(sampling_rules=rules)
    for meta, expected in (({"_dd.p.usr.id": "abc"}, -1), ({"_dd.origin": "rum"}, -1), ({}, 1)):
        remote = Context(trace_id=5, span_id=6, meta=meta)
        tracer.start_span("op", child_of=remote).finish()
        assert priority(spans_of(tracer)[0]) == expected


def test_a_rule_with_tags_gives_way_to_the_next(new_tracer: Any) -> None:
    """If the names match and the tags do not, the rules after it have their turn."""
    rules = [
        {"name": "op", "tags": {"a": "1"}, "sample_rate": 0},
        {"name": "op", "tags": {"b": "1"}, "sample_rate": 0},
        {"name": "o?", "sample_rate": 1},
    ]
    tracer = new_tracer(sampling_rules=rules)
    assert priority(decided(tracer, tags={"a": "1"})) == -1
    assert priority(decided(tracer, tags={"b": "1"})) == -1
    assert priority(decided(tracer, tags={"c": "1"})) == 2


def test_many_rules(new_tracer: Any) -> None:
    """Two hundred rules, with and without tags: each is found, also beyond the first 63."""
    rules: list[dict[str, Any]] = [
        {"name": f"n{i}.*", "sample_rate": i % 2, **({"tags": {"t": "x"}} if i % 3 == 0 else {})}
        for i in range(200)
    ]
    last = {"sample_rate": 0.5, "name": "rest"}
    tracer = new_tracer(rate_limit=-1, sampling_rules=[*rules, last])
    for _ in range(2):  # from memory the second time
        for i in range(200):
            sent = decided(tracer, f"N{i}.a", tags={"t": "x"})
            assert priority(sent) == (2 if i % 2 else -1)
        assert decided(tracer, "n3.a")["meta"]["_dd.p.dm"] == "-0"
        assert decided(tracer, "n198.a")["meta"]["_dd.p.dm"] == "-0"
        assert decided(tracer, "rest")["metrics"]["_dd.rule_psr"] == 0.5


def test_thousands_of_names(new_tracer: Any) -> None:
    """More names than are remembered, short and very long, in turns: every answer is right."""
    tracer = new_tracer(sampling_rules=[{"resource": "*7", "sample_rate": 0}])
    for _ in range(2):
        for i in range(1500):
            with tracer.trace("op", resource=f"/item/{'x' * (i % 3 * 200)}{i}"):
                pass
        for i, sent in enumerate(spans_of(tracer)):
            assert (priority(sent) == -1) is (i % 10 == 7)


# -- when it is decided --------------------------------------------------------------------------


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


# -- rates and limits ----------------------------------------------------------------------------


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


# -- changing rules ------------------------------------------------------------------------------


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
