"""Pieces of v0.4 that are copied whole: names that come again, and all tags of a usual root."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from helpers import note_figure, spans_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import decode_payload

from fasttrace import Span
from fasttrace._span import encode_trace

NAMES_HELD = 3 * 128
"""Strings that the table of names may hold: three for each of its places."""


def named(span: Span) -> dict[str, Any]:
    """Return the fields of a span that its names make, as v0.4 has them on the wire."""
    [[sent]] = decode_payload(encode_trace([span], "v0.4"), "v0.4")
    return {field: sent.get(field) for field in ("name", "service", "resource", "type", "error")}


def fresh(text: str) -> str:
    """Return an equal text that is an object of its own."""
    return "".join(list(text)) if len(text) > 1 else text


words = st.text(st.sampled_from("aé\u20ac"), max_size=3) | st.sampled_from(
    ["GET /cart", "web.request", "x" * 31, "x" * 32, "é" * 20, "y" * 140, "y" * 161]
)


@settings(max_examples=300)
@given(
    pool=st.lists(words, min_size=2, max_size=4),
    picks=st.lists(st.tuples(*[st.integers(0, 3)] * 4, st.booleans()), min_size=1, max_size=40),
)
def test_names_are_what_the_span_has_however_often(pool: list[str], picks: list[Any]) -> None:
    """Spans whose names are the same few objects, in any mixture, are encoded as each one is."""
    pool = [fresh(text) for text in pool]
    for name, service, resource, span_type, failed in picks:
        chosen = [pool[i % len(pool)] for i in (name, service, resource, span_type)]
        span = Span(chosen[0], service=chosen[1], resource=chosen[2], span_type=chosen[3] or None)
        span.error = int(failed)
        expected = {
            "name": chosen[0],
            "service": chosen[1],
            "resource": chosen[2],
            "type": chosen[3] or None,
            "error": int(failed),
        }
        for _ in range(3):
            assert {key: value or None for key, value in named(span).items()} == {
                key: value or None for key, value in expected.items()
            }


def test_a_text_in_the_place_of_another_is_not_taken_for_it() -> None:
    """Where a resource was freed and another one made, mostly in its place, the new one is sent."""
    places = set()
    for i in range(3000):
        resource = f"GET /cart/{i:06}/items"
        places.add(id(resource))
        span = Span("web.request", service="shop", resource=resource)
        assert named(span)["resource"] == resource
        assert named(span)["resource"] == resource
        del span, resource
    note_figure(f"3000 resources in {len(places)} places of memory")
    assert len(places) < 3000


def test_what_is_held_for_names_is_bounded() -> None:
    """A hundred thousand different names leave no more strings than the table has places."""
    keep = ["shop", "web"]

    def one(i: int) -> None:
        name, resource = f"work.{i}", f"item {i}"
        span = Span(name, service=keep[0], resource=resource)
        for _ in range(3):
            encode_trace([span], "v0.4")

    for i in range(5000):
        one(i)
    gc.collect()
    before = sys.getallocatedblocks()
    for i in range(5000, 105_000):
        one(i)
    gc.collect()
    grown = sys.getallocatedblocks() - before
    note_figure(f"100,000 combinations of names: {grown:+} blocks")
    assert grown < NAMES_HELD


@pytest.mark.parametrize("service", ["svc", "other"])
@pytest.mark.parametrize(
    "decision", ["default", "rule", "rejecting rule", "agent's rate", "by hand"]
)
@pytest.mark.parametrize("version", [None, "1.2"])
def test_a_usual_root_has_the_tags_of_any_other(
    new_tracer: Any, decision: str, version: str | None, service: str
) -> None:
    """A root whose tags are one piece is sent as one is whose tags are put together singly."""
    settings: dict[str, Any] = {"version": version, "env": "prod", "tags": {"team": "a", "n": "1"}}
    if "rule" in decision:
        settings["sampling_rules"] = [{"sample_rate": 0 if "rejecting" in decision else 1}]
    tracer = new_tracer(**settings)
    if decision == "agent's rate":
        tracer._set_rates({"service:svc,env:prod": 1.0, "service:other,env:prod": 1.0})

    def root(put_together: bool) -> dict[str, Any]:
        with tracer.trace("root", service=service) as span:
            if decision == "by hand":
                span.context.sampling_priority = 2
            if put_together:
                span.set_tag("_dd.p.own", "1")  # a name that may be one of ours: no piece fits
        [sent] = spans_of(tracer)
        sent["meta"].pop("_dd.p.own", None)
        return {key: sent[key] for key in ("name", "service", "resource", "meta", "metrics")}

    first = root(False)
    assert first["meta"]["team"] == "a"
    assert first["meta"].get("version") == (version if service == "svc" else None)
    for _ in range(3):
        usual, other = root(False), root(True)
        usual["meta"].pop("_dd.p.tid")  # of the second in which it began
        other["meta"].pop("_dd.p.tid")
        assert usual == other
    tracer.set_tags({"team": "b"})
    assert root(False)["meta"]["team"] == "b"


def test_decisions_do_not_share_their_tags(new_tracer: Any) -> None:
    """Roots of two rules, of none and of another tracer in turns have each their own rate."""
    rules = [{"name": "a", "sample_rate": 1}, {"name": "b", "sample_rate": 0.999999}]
    tracer, beside = new_tracer(sampling_rules=rules), new_tracer(service="beside")
    expected = [
        (tracer, "a", "-3", "1"),
        (tracer, "b", "-3", "0.999999"),
        (tracer, "c", "-0", None),
        (beside, "a", "-0", None),
    ]
    for _ in range(5):
        for its_tracer, name, maker, rate in expected:
            with its_tracer.trace(name):
                pass
            [sent] = spans_of(its_tracer)
            assert sent["name"] == name
            assert sent["service"] == ("svc" if its_tracer is tracer else "beside")
            assert sent["meta"]["_dd.p.dm"] == maker
            assert sent["meta"].get("_dd.p.ksr") == rate
