"""set_tag, set_metric and the others: what becomes text, what a number, what nothing."""

from __future__ import annotations

import decimal
import enum
import fractions
import math
from typing import Any

import pytest
from helpers import by_name, make_offline_tracer, spans_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrace import Span, Tracer


class Text(str):
    """A subclass of str."""


class Whole(int):
    """A subclass of int."""


class Real(float):
    """A subclass of float."""


class Index:
    """Not a number, but usable as an index."""

    def __index__(self) -> int:
        return 7


class Convertible:
    """Not a number, but float() takes it."""

    def __float__(self) -> float:
        return 2.5

    def __str__(self) -> str:
        return "convertible"


class Unprintable:
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Name(str, enum.Enum):
    ANN = "ann"


#: value, what set_tag stores as text (or None), what it stores as a number (or None)
SET_TAG_TABLE: list[tuple[Any, str | None, float | None]] = [
    ("text", "text", None),
    ("", "", None),
    ("nul\0inside", "nul\0inside", None),
    (Text("sub"), "sub", None),
    (Name.ANN, "ann", None),
    (True, "True", None),
    (False, "False", None),
    (None, "None", None),
    (0, None, 0),
    (1, None, 1),
    (-1, None, -1),
    (2**53, None, 2**53),
    (-(2**53), None, -(2**53)),
    (2**53 + 1, None, 2**53 + 1),
    (2**63 - 1, None, 2**63 - 1),
    (-(2**63), None, -(2**63)),
    (2**63, "9223372036854775808", None),
    (-(2**63) - 1, "-9223372036854775809", None),
    (2**70, "1180591620717411303424", None),
    (Whole(5), None, 5),
    (Level.HIGH, None, 3),
    (Index(), None, 7),
    (1.5, None, 1.5),
    (-0.0, None, 0.0),
    (5e-324, None, 5e-324),
    (1.7976931348623157e308, None, 1.7976931348623157e308),
    (Real(2.5), None, 2.5),
    (math.nan, None, None),
    (math.inf, None, None),
    (-math.inf, None, None),
    (b"by\xff", "b'by\\xff'", None),
    (bytearray(b"x"), "bytearray(b'x')", None),
    ([1, "a"], "[1, 'a']", None),
    ((1, 2), "(1, 2)", None),
    ({"a": 1}, "{'a': 1}", None),
    (decimal.Decimal("1.10"), "1.10", None),
    (fractions.Fraction(1, 3), "1/3", None),
    (1 + 2j, "(1+2j)", None),
    (Convertible(), "convertible", None),
    (Color.RED, "Color.RED", None),
    (Unprintable(), None, None),
]


@pytest.mark.parametrize(
    ("value", "text", "number"), SET_TAG_TABLE, ids=lambda value: ascii(type(value).__name__)
)
def test_set_tag(value: Any, text: str | None, number: float | None) -> None:
    """set_tag stores a text, a number, the str() of other values, or nothing."""
    span = Span("op")
    span.set_tag("key", value)
    assert span.get_tags() == ({} if text is None else {"key": text})
    assert span.get_metrics() == ({} if number is None else {"key": number})
    assert span.get_tag("key") == text
    assert span.get_metric("key") == number
    # Values of subclasses are converted, so that no foreign object can outlive or change a span.
    assert {type(one) for one in span.get_tags().values()} <= {str}
    assert {type(one) for one in span.get_metrics().values()} <= {int, float}


#: value, what set_metric stores as a number (or None), as text (or None)
SET_METRIC_TABLE: list[tuple[Any, float | None, str | None]] = [
    (1, 1, None),
    (-1, -1, None),
    (2**63 - 1, 2**63 - 1, None),
    (-(2**63), -(2**63), None),
    (2**63, None, "9223372036854775808"),
    (2**70, None, "1180591620717411303424"),
    (1.5, 1.5, None),
    (True, 1, None),
    (False, 0, None),
    (Whole(5), 5, None),
    (Level.HIGH, 3, None),
    (Real(2.5), 2.5, None),
    (Index(), 7, None),
    (Convertible(), 2.5, None),
    (decimal.Decimal("1.10"), 1.1, None),
    (fractions.Fraction(1, 4), 0.25, None),
    ("text", None, None),
    ("", None, None),
    (None, None, None),
    (math.nan, None, None),
    (math.inf, None, None),
    (b"1", 1, None),
    ("5", 5, None),
    (" 1e3 ", 1000, None),
    ([1], None, None),
    (1 + 2j, None, None),
    (Color.RED, None, None),
    (Unprintable(), None, None),
]


@pytest.mark.parametrize(
    ("value", "number", "text"), SET_METRIC_TABLE, ids=lambda value: ascii(type(value).__name__)
)
def test_set_metric(value: Any, number: float | None, text: str | None) -> None:
    """set_metric stores numbers, integers beyond 64 bits as text, and ignores the rest."""
    span = Span("op")
    span.set_metric("key", value)
    assert span.get_metrics() == ({} if number is None else {"key": number})
    assert span.get_tags() == ({} if text is None else {"key": text})
    assert {type(one) for one in span.get_metrics().values()} <= {int, float}


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("key", "key"),
        ("", ""),
        ("a.b c", "a.b c"),
        ("schlüssel", "schlüssel"),
        (Text("sub"), "sub"),
        (Name.ANN, "ann"),
        (b"by\xff", "by\ufffd"),
        (1, None),
        (None, None),
        (("a",), None),
    ],
)
def test_keys_of_set_tag(key: Any, stored: str | None) -> None:
    """A key that is bytes is decoded; one that is neither text nor bytes is ignored."""
    span = Span("op")
    span.set_tag(key, "value")
    assert span.get_tags() == ({} if stored is None else {stored: "value"})
    assert {type(one) for one in span.get_tags()} <= {str}


@pytest.mark.parametrize("key", [1, None, ("a",)])
def test_a_metric_with_a_key_that_is_not_text_is_ignored(key: Any) -> None:
    """set_metric ignores a key that cannot be one, and does not raise."""
    span = Span("op")
    span.set_metric(key, 1)
    assert span.get_metrics() == {}


def test_a_tag_without_a_value_is_the_text_none() -> None:
    """set_tag(key) stores the text "None"."""
    span = Span("op")
    span.set_tag("key")
    assert span.get_tags() == {"key": "None"}


def test_a_later_value_replaces_an_earlier_one_of_either_kind() -> None:
    """A key is either a tag or a metric: the last call decides."""
    span = Span("op")
    span.set_tag("key", "text")
    span.set_tag("key", 1)
    assert (span.get_tags(), span.get_metrics()) == ({}, {"key": 1})
    span.set_tag("key", "again")
    assert (span.get_tags(), span.get_metrics()) == ({"key": "again"}, {})
    span.set_metric("key", 3)
    assert (span.get_tags(), span.get_metrics()) == ({}, {"key": 3})
    span.set_metric("key", 4.5)
    assert (span.get_tags(), span.get_metrics()) == ({}, {"key": 4.5})


@pytest.mark.parametrize("value", [math.nan, Unprintable()], ids=["nan", "unprintable"])
def test_a_value_that_cannot_be_stored_leaves_the_earlier_one(value: Any) -> None:
    """Setting a key to a value that is ignored does not remove what the key had."""
    span = Span("op")
    span.set_tag("key", "text")
    span.set_tag("key", value)
    assert span.get_tags() == {"key": "text"}


def test_tags_keep_their_order_of_first_setting() -> None:
    """Tags come back, and go out, in the order in which their keys were first set."""
    span = Span("op")
    for key in ("one", "two", "three", "two", "one"):
        span.set_tag(key, f"{key} again")
    assert list(span.get_tags()) == ["one", "two", "three"]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 17, 64, 500])
def test_a_span_takes_any_number_of_tags(tracer: Tracer, count: int) -> None:
    """The number of tags and metrics is not limited, and none is lost where storage grows."""
    tags = {f"tag{i}": f"text{i}" for i in range(count)}
    metrics = {f"metric{i}": i for i in range(count)}
    with tracer.trace("root"), tracer.trace("child") as span:
        for i in range(count):
            span.set_tag(f"tag{i}", "first value")
            span.set_tag(f"metric{i}", i)
        span.set_tags(tags)
        assert span.get_tags() == tags
        assert span.get_metrics() == metrics
    sent = spans_of(tracer)[1]
    assert sent["meta"] == tags
    assert sent["metrics"] == metrics


def test_keys_are_compared_by_their_text() -> None:
    """Two equal keys are one key, whether or not they are the same object."""
    span = Span("op")
    span.set_tag("".join(["k", "ey", "ß"]), "first")
    span.set_tag("".join(["ke", "y", "ß"]), "second")
    span.set_tag("keyß", "third")
    assert span.get_tags() == {"keyß": "third"}
    assert span.get_tag("".join(["keyß"])) == "third"


def test_set_tags_and_set_metrics_take_a_dict() -> None:
    """set_tags and set_metrics treat every item as set_tag and set_metric do; no items, nothing."""
    span = Span("op")
    span.set_tags({"text": "a", "number": 1, "other": None})
    span.set_metrics({"half": 0.5, "bad": "text"})
    assert span.get_tags() == {"text": "a", "other": "None"}
    assert span.get_metrics() == {"number": 1, "half": 0.5}
    for nothing in ({}, None, []):
        span.set_tags(nothing)
        span.set_metrics(nothing)
    assert len(span.get_tags()) + len(span.get_metrics()) == 4


@pytest.mark.parametrize("value", [[("a", 1)], "text", (("a", "b"),)])
def test_set_tags_of_something_without_items_raises(value: Any) -> None:
    """set_tags and set_metrics of something that is no mapping raise AttributeError, as ddtrace."""
    span = Span("op")
    with pytest.raises(AttributeError):
        span.set_tags(value)
    with pytest.raises(AttributeError):
        span.set_metrics(value)


def test_reading_gives_copies() -> None:
    """Changing what get_tags or get_metrics returned does not change the span."""
    span = Span("op")
    span.set_tag("text", "a")
    span.set_tag("number", 1)
    span.get_tags()["new"] = "b"
    span.get_metrics().clear()
    assert span.get_tags() == {"text": "a"}
    assert span.get_metrics() == {"number": 1}


def test_reading_a_missing_tag_gives_none() -> None:
    """get_tag and get_metric give None for a key that is not set, or is set as the other kind."""
    span = Span("op")
    assert span.get_tag("key") is None
    assert span.get_metric("key") is None
    span.set_tag("text", "a")
    span.set_tag("number", 1)
    assert span.get_metric("text") is None
    assert span.get_tag("number") is None


def test_set_tag_str_takes_text_only() -> None:
    """The older set_tag_str stores text and decoded bytes, and ignores all else."""
    span = Span("op")
    span.set_tag_str("text", "a")
    span.set_tag_str("bytes", b"by\xff")  # type: ignore[arg-type]
    span.set_tag_str("number", 1)  # type: ignore[arg-type]
    assert span.get_tags() == {"text": "a", "bytes": "by\ufffd"}
    assert span.get_metrics() == {}


# -- keys with a meaning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "tags", "metrics"),
    [
        ("http.status_code", 200, {"http.status_code": "200"}, {}),
        ("http.status_code", "404", {"http.status_code": "404"}, {}),
        ("http.status_code", 200.5, {"http.status_code": "200.5"}, {}),
        ("http.status_code", None, {"http.status_code": "None"}, {}),
        ("network.destination.port", "80", {}, {"network.destination.port": 80}),
        ("network.destination.port", 80, {}, {"network.destination.port": 80}),
        ("network.destination.port", "x", {"network.destination.port": "x"}, {}),
        ("service.version", "1", {"service.version": "1", "version": "1"}, {}),
        ("_dd.measured", True, {}, {"_dd.measured": 1}),
        ("_dd.measured", "x", {}, {"_dd.measured": 1}),
        ("_dd.measured", 0, {}, {"_dd.measured": 0}),
        ("_dd.measured", None, {}, {"_dd.measured": 1}),
        ("analytics.event", True, {"analytics.event": "True"}, {}),
        ("error", 1, {}, {"error": 1}),
        ("error.message", "m", {"error.message": "m"}, {}),
        ("span.type", "web", {"span.type": "web"}, {}),
        ("span.kind", "server", {"span.kind": "server"}, {}),
        ("resource.name", "r", {"resource.name": "r"}, {}),
        ("operation.name", "o", {"operation.name": "o"}, {}),
        ("sampling.priority", 2, {}, {"sampling.priority": 2}),
        ("env", "e", {"env": "e"}, {}),
        ("version", "v", {"version": "v"}, {}),
        ("runtime-id", "r", {"runtime-id": "r"}, {}),
        ("_dd.origin", "o", {"_dd.origin": "o"}, {}),
        ("_dd.base_service", "b", {"_dd.base_service": "b"}, {}),
    ],
)
def test_keys_with_a_rule_of_their_own(
    key: str, value: Any, tags: dict[str, str], metrics: dict[str, float]
) -> None:
    """The keys that have a rule of their own are stored by it, and no other attribute changes."""
    span = Span("op")
    span.set_tag(key, value)
    assert span.get_tags() == tags
    assert span.get_metrics() == metrics
    assert (span.name, span.resource, span.span_type, span.error) == ("op", "op", None, 0)
    assert span.context.sampling_priority is None


def test_the_tag_service_name_also_sets_the_service(tracer: Tracer) -> None:
    """set_tag("service.name", ...) changes the span's service and is kept as a tag."""
    with tracer.trace("op") as span:
        span.set_tag("service.name", "other")
        assert span.service == "other"
    [sent] = spans_of(tracer)
    assert sent["service"] == "other"
    assert sent["meta"]["service.name"] == "other"


@pytest.mark.parametrize(("key", "priority"), [("manual.keep", 2), ("manual.drop", -1)])
@pytest.mark.parametrize("value", [None, True, False, "", 0])
def test_manual_keep_and_drop_decide_for_the_trace(
    tracer: Tracer, key: str, priority: int, value: Any
) -> None:
    """manual.keep and manual.drop, on any span, whatever their value, set the trace's priority."""
    with tracer.trace("root") as root, tracer.trace("child") as child:
        child.set_tag(key, value)
        assert child.get_tags() == {}
        assert root.context.sampling_priority == priority
    first, second = spans_of(tracer)
    assert first["metrics"]["_sampling_priority_v1"] == priority
    assert first["meta"]["_dd.p.dm"] == "-4"
    assert key not in second.get("meta", {})


def test_removing_a_tag_removes_what_it_had_replaced(tracer: Tracer) -> None:
    """remove_tag and remove_metric leave nothing of a key, also where it was tracer-wide."""
    tracer.set_tags({"text": "wide", "number": 7})
    with tracer.trace("root"), tracer.trace("child") as child:
        child.set_tag("number", "text")
        child.remove_tag("number")
        child.set_tag("text", 1)
        child.remove_metric("text")
        child.remove_metric("missing")
        assert (child.get_tags(), child.get_metrics()) == ({}, {})
    sent = spans_of(tracer)[1]
    assert "meta" not in sent
    assert "metrics" not in sent


def test_both_ways_of_removing_remove_either_kind() -> None:
    """remove_tag and remove_metric remove the key, whether it is a tag or a metric, as ddtrace."""
    span = Span("op")
    span.set_tags({"text": "a", "number": 1, "kept": "b"})
    span.remove_metric("text")
    span.remove_tag("number")
    assert (span.get_tags(), span.get_metrics()) == ({"kept": "b"}, {})


def test_a_number_that_is_stored_as_text_replaces_a_tracer_wide_number(tracer: Tracer) -> None:
    """An integer too large for a metric replaces a tracer-wide metric on the wire as well."""
    tracer.set_tags({"first": 7, "second": 7})
    with tracer.trace("root"), tracer.trace("child") as child:
        child.set_metric("first", 2**70)
        child.set_tag("second", 2**70)
    sent = spans_of(tracer)[1]
    assert sent["meta"] == {"first": str(2**70), "second": str(2**70)}
    assert "metrics" not in sent


# -- any sequence of calls -------------------------------------------------------------------------

KEYS = ["a", "b", "é", "team", "number", "env", "version", "runtime-id", "process_id"]
KEYS += ["_dd.p.dm", "_dd.p.usr", "_dd.origin", "http.status_code"]
operations = st.lists(
    st.tuples(
        st.sampled_from(["set_tag", "set_tag", "set_metric", "remove_tag", "remove_metric"]),
        st.sampled_from(KEYS),
        st.sampled_from(["text", "", "é€", 1, -5, 2**40, 0.5, True, None, math.nan, 2**70]),
    ),
    max_size=30,
)
GLOBAL_TAGS, GLOBAL_METRICS = {"team": "shop", "env": "prod", "version": "1"}, {"number": 7}


@settings(max_examples=3 * settings.default.max_examples)
@given(operations, st.sampled_from(["v0.4", "v0.5"]), st.booleans())
def test_any_sequence_of_calls_agrees_with_two_dicts(
    calls: list[tuple[str, str, Any]], version: str, is_root: bool
) -> None:
    """Tags and metrics are two dicts that start with the tracer-wide tags, and so they are sent."""
    tracer = make_offline_tracer(
        api_version=version, env="prod", version="1", tags={"team": "shop"}
    )
    tracer.set_tags(GLOBAL_METRICS)
    with tracer.trace("root") as root, tracer.trace("child") as child:
        span = root if is_root else child
        tags: dict[str, str] = span.get_tags()
        metrics: dict[str, float] = span.get_metrics()
        assert GLOBAL_TAGS.items() <= tags.items()
        assert GLOBAL_METRICS.items() <= metrics.items()
        for method, key, value in calls:
            if method.startswith("remove"):
                getattr(span, method)(key)
                tags.pop(key, None)
                metrics.pop(key, None)
            else:
                getattr(span, method)(key, value)
                lone = Span("lone")  # has no tags but this one: its kind and its form
                getattr(lone, method)(key, value)
                if lone.get_tags() or lone.get_metrics():
                    tags.pop(key, None)
                    metrics.pop(key, None)
                    tags.update(lone.get_tags())
                    metrics.update(lone.get_metrics())
            assert span.get_tags() == tags
            assert span.get_metrics() == metrics
            assert span.get_tag(key) == tags.get(key)
            assert span.get_metric(key) == metrics.get(key)
    sent = by_name(spans_of(tracer))["root" if is_root else "child"]
    meta, numbers = sent.get("meta", {}), sent.get("metrics", {})
    assert tags.items() <= meta.items()
    assert metrics.items() <= numbers.items()
    assert not meta.keys() & numbers.keys(), "a key is a tag and a metric at once"
    added = (meta.keys() - tags.keys()) | (numbers.keys() - metrics.keys())
    expected = {"_dd.p.dm", "_dd.p.tid", "language", "runtime-id", "process_id", "_dd.top_level"}
    expected |= {"_sampling_priority_v1", "_dd.tracer_kr"}
    assert added <= (expected if is_root else set())
