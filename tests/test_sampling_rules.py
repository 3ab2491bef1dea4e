"""Sampling rules: which trace a rule is for, and what it leaves (DD_TRACE_SAMPLING_RULES)."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import by_name, spans_of
from hypothesis import example, given
from hypothesis import strategies as st
from sampling_cases import DROP, decided, priority
from test_sampling_default import HALF_RATE

from fasttrace import Context
from fasttrace._span import match_glob, sample_id

# -- what a decision leaves ------------------------------------------------------------------------


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


# -- which trace a rule is for ---------------------------------------------------------------------


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
