"""Span links and span events: their form on the wire, and what is done with unusable values."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from helpers import spans_of

from fasttrace import Context, Span, Tracer

BIG = 0x640CFD8D00000000ABCDEF0123456789


class Unprintable:
    """Something whose text cannot be had."""

    def __str__(self) -> str:
        """Fail."""
        raise ValueError("no text")

    __repr__ = __str__


def links_sent(tracer: Tracer, make: Callable[[Span], object]) -> list[dict[str, Any]]:
    """The links of a span on which `make` was called, as they are encoded in v0.4."""
    with tracer.trace("op") as span:
        make(span)
    [sent] = spans_of(tracer)
    links: list[dict[str, Any]] = sent.get("span_links", [])
    return links


def events_sent(tracer: Tracer, make: Callable[[Span], object]) -> list[dict[str, Any]]:
    """The same for its events."""
    with tracer.trace("op") as span:
        make(span)
    [sent] = spans_of(tracer)
    events: list[dict[str, Any]] = json.loads(sent["meta"].get("events", "[]"))
    return events


# -- their form ------------------------------------------------------------------------------------


def test_links_have_a_field_of_their_own_in_v04(tracer: Tracer) -> None:
    """A link has the two halves of the trace id, the span id, flat attributes, state and flags."""
    attributes = {"text": "a", "flag": True, "list": ["x", [2, 3.5]], "none": None}
    [link] = links_sent(
        tracer, lambda span: span.set_link(BIG, 6, "dd=s:1", flags=1, attributes=attributes)
    )
    assert link == {
        "trace_id": BIG & (1 << 64) - 1,
        "trace_id_high": BIG >> 64,
        "span_id": 6,
        "tracestate": "dd=s:1",
        "flags": 0x80000001,
        "attributes": {
            "text": "a",
            "flag": "true",
            "list.0": "x",
            "list.1.0": "2",
            "list.1.1": "3.5",
            "none": "None",
        },
    }


def test_links_are_json_in_v05(new_tracer: Any) -> None:
    """v0.5 has no field for links: they are in the tag _dd.span_links, ids in hexadecimal."""
    tracer = new_tracer(api_version="v0.5")
    with tracer.trace("op") as span:
        span.set_link(BIG, 6, flags=0, attributes={"a": 1})
        span.link_span(Context(trace_id=5, span_id=7))
    [sent] = spans_of(tracer)
    first, second = json.loads(sent["meta"]["_dd.span_links"])
    assert first == {
        "trace_id": f"{BIG:032x}",
        "span_id": f"{6:016x}",
        "flags": 0,
        "attributes": {"a": "1"},
    }
    assert (second["trace_id"], second["span_id"]) == (f"{5:032x}", f"{7:016x}")


def test_the_agent_understands_links_and_events(session: Any) -> None:
    """The test agent decodes both, in both formats."""
    for version in ("v0.4", "v0.5"):
        tracer = session.make_tracer(api_version=version)
        with tracer.trace(version) as span:
            span.link_span(Context(trace_id=BIG, span_id=6), {"a": ["b"]})
            span.record_exception(ValueError("wrong"), {"attempt": 2})
    v04, v05 = sorted(session.received(), key=lambda span: str(span["name"]))
    assert v04["span_links"][0]["attributes"] == {"a.0": "b"}
    assert json.loads(v05["meta"]["_dd.span_links"])[0]["attributes"] == {"a.0": "b"}
    for span in (v04, v05):
        [event] = json.loads(span["meta"]["events"])
        assert event["attributes"]["exception.message"] == "wrong"
        assert event["attributes"]["attempt"] == 2


def test_a_later_link_to_a_span_replaces_the_earlier(tracer: Tracer) -> None:
    """There is one link for each span, in the place of the first."""

    def make(span: Span) -> None:
        span.set_link(1, 2, attributes={"n": 1})
        span.set_link(1, 3)
        span.set_link(1, 2, attributes={"n": 2})

    links = links_sent(tracer, make)
    assert [(link["span_id"], link.get("attributes")) for link in links] == [
        (2, {"n": "2"}),
        (3, None),
    ]


def test_recording_an_exception_marks_nothing(tracer: Tracer) -> None:
    """record_exception adds an event with type, message and stack; the span has not failed."""
    try:
        raise KeyError("missing")
    except KeyError as error:
        caught = error
    with tracer.trace("op") as span:
        span.record_exception(caught, {"exception.message": "mine", "list": [1, 2]})
    [sent] = spans_of(tracer)
    assert not sent.get("error")
    [event] = json.loads(sent["meta"]["events"])
    assert event["name"] == "exception"
    assert span.start_ns <= event["time_unix_nano"] <= span.start_ns + 10**10
    stack = event["attributes"].pop("exception.stacktrace")
    assert "test_recording_an_exception_marks_nothing" in stack
    assert event["attributes"] == {
        "exception.type": "builtins.KeyError",
        "exception.message": "mine",
        "list": [1, 2],
    }


# -- unusable values -------------------------------------------------------------------------------

CYCLE: list[Any] = []
CYCLE.append(CYCLE)
BUSH: list[Any] = []
BUSH += [BUSH, BUSH]
ENDLESS = {"key": [[number] for number in range(5000)]}


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
@pytest.mark.parametrize(
    "given",
    [
        {"attributes": 5},
        {"attributes": ["a"]},
        {"attributes": {Unprintable(): 1}},
        {"attributes": {"key": Unprintable()}},
        {"attributes": {None: 1}},
        {"attributes": {"key": CYCLE}},
        {"attributes": {"key": BUSH}},
        {"attributes": ENDLESS},
        {"attributes": {"\ud800": "\udfff"}},
        {"flags": "x"},
        {"flags": Unprintable()},
        {"flags": -1},
        {"flags": 2**70},
        {"tracestate": Unprintable()},
        {"tracestate": 5},
        {"tracestate": "\ud800"},
        {"tracestate": "x" * 100_000},
    ],
    ids=lambda given: str(list(given)),
)
def test_a_bad_value_costs_itself_alone(new_tracer: Any, version: str, given: Any) -> None:
    """An attribute, flags or a state that cannot be sent loses neither the link nor the trace."""
    tracer = new_tracer(api_version=version)
    with tracer.trace("op") as span:
        span.set_link(1, 2, **given)
    [sent] = spans_of(tracer)
    links = sent.get("span_links") or json.loads(sent["meta"]["_dd.span_links"])
    assert len(links) == 1
    assert len(links[0].get("attributes", {})) <= 1000
    assert tracer.stats()["dropped"] == {"test": 1}


@pytest.mark.parametrize("ids", [("1", 2), (1, None), (-1, 2), (2**128, 2), (1, 2**64)])
def test_a_link_without_usable_ids_is_none(
    tracer: Tracer, ids: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Wrong ids make no link, and one warning."""
    with caplog.at_level(logging.WARNING):
        assert links_sent(tracer, lambda span: span.set_link(*ids)) == []


@pytest.mark.parametrize(
    "attributes",
    [
        5,
        ["a"],
        {Unprintable(): 1},
        {"key": Unprintable()},
        {"key": float("nan")},
        {"key": 2**70},
        {"key": CYCLE},
        {"key": [1, "a"]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_bad_attribute_of_an_event_is_left_out(tracer: Tracer, attributes: Any) -> None:
    """The event is there, with the exception and without what cannot be sent."""
    [event] = events_sent(
        tracer, lambda span: span.record_exception(ValueError("wrong"), attributes)
    )
    assert sorted(event["attributes"]) == [
        "exception.message",
        "exception.stacktrace",
        "exception.type",
    ]


def test_what_is_no_exception_makes_no_event(tracer: Tracer) -> None:
    """record_exception(5) does nothing but warn."""
    assert events_sent(tracer, lambda span: span.record_exception(5)) == []  # type: ignore[arg-type]
