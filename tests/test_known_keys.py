"""Keys of tags that come again: what they mean is not looked up again, and stays what it is."""

from __future__ import annotations

import gc
import sys
from typing import Any

from helpers import make_offline_tracer, spans_of, take_payloads
from hypothesis import given, settings
from hypothesis import strategies as st

#: A tracer's table holds so many keys at most, none longer than this.
KEYS_HELD, KEY_MAX_CHARS = 128, 100
PLAIN = ["db.name", "a", "k" * 7, "é", "k" * KEY_MAX_CHARS, "k" * (KEY_MAX_CHARS + 1), "_x"]
SPECIAL = ["http.status_code", "_dd.measured", "service.version", "runtime-id", "team"]
VALUES = ["text", "", "x" * 40, 7, -1, 2.5, 1 << 70, True, None, float("nan")]

keys = st.sampled_from(PLAIN + SPECIAL)
calls = st.tuples(st.sampled_from(["set_tag", "set_metric"]), keys, st.sampled_from(VALUES))


def tags_of(span: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a span on the wire has besides what every span has."""
    ours = ("_dd.p.", "_dd.tracer", "_sampling", "process_id", "language", "_dd.top_level")
    return tuple(
        {key: value for key, value in span.get(kind, {}).items() if not key.startswith(ours)}
        for kind in ("meta", "metrics")
    )


@settings(max_examples=150, deadline=None)
@given(spans=st.lists(st.lists(calls, max_size=12), min_size=1, max_size=8))
def test_tags_are_the_same_however_often_a_key_has_come(spans: list[Any]) -> None:
    """Spans of a tracer that knows the keys are those of one that never saw them."""
    used = make_offline_tracer(service="web")
    used.set_tags({"team": "search"})
    for _ in range(3):
        for number, made in enumerate(spans):
            fresh = make_offline_tracer(service="web")
            fresh.set_tags({"team": "search"})
            for tracer in (used, fresh):
                with tracer.trace(str(number)) as span:
                    for method, key, value in made:
                        getattr(span, method)(key, value)
            [got], [expected] = spans_of(used), spans_of(fresh)
            for span in (got, expected):
                span["meta"].pop("runtime-id", None)
            assert tags_of(got) == tags_of(expected)


def tag(tracer: Any) -> Any:
    """Make one span with a tag and a metric, and return it."""
    with tracer.trace("a") as span:
        span.set_tag("team", "own")
        span.set_metric("size", 1)
    return span


def test_a_key_that_becomes_special_is_no_longer_plain() -> None:
    """A tag of every span gives way to the span's own of that name, known before or not."""
    tracer = make_offline_tracer()
    for _ in range(5):
        tag(tracer)
    tracer.set_tags({"team": "every", "size": 2})
    tag(tracer)
    *_, last = spans_of(tracer)
    assert last["meta"]["team"] == "own"
    assert last["metrics"]["size"] == 1
    assert "size" not in last["meta"]


def test_a_key_is_there_once_after_many_were_removed() -> None:
    """A span that had many tags and has few replaces a tag as any other does."""
    tracer = make_offline_tracer()
    for _ in range(3):
        with tracer.trace("a") as span:
            for number in range(40):
                span.set_tag(f"key.{number}", "x")
            for number in range(37):
                span.remove_tag(f"key.{number}")
            for value in ("1", "2", "3"):
                span.set_tag("again", value)
                span.set_metric("number", int(value))
        [[(_, body)]] = [take_payloads(tracer)]
        assert (body.count(b"again"), body.count(b"number")) == (1, 1)


def test_a_span_that_records_nothing_takes_no_known_key() -> None:
    """What a disabled tracer's span does not record it does not record under a known key either."""
    tracer = make_offline_tracer()
    for _ in range(5):
        tag(tracer)
    tracer.enabled = False
    span = tag(tracer)
    assert span.get_tag("team") is None
    assert span.get_metric("size") is None


def forget_last(tracer: Any) -> None:
    """Have the context keep another finished span than that of a test."""
    with tracer.trace("other"):
        pass
    spans_of(tracer)
    gc.collect()


def held(tracer: Any, key: str, times: int) -> int:
    """Set a tag with `key` so often; return how many references to it that leaves."""
    before = sys.getrefcount(key)
    for _ in range(times):
        with tracer.trace("a") as span:
            span.set_tag(key, "x")
    forget_last(tracer)
    del span
    return sys.getrefcount(key) - before


def test_keys_are_held_once_if_they_come_again_and_go_with_their_tracer() -> None:
    """A key in code is held, one made for a tag is not, nor a long one; nothing is left behind."""
    tracer = make_offline_tracer()
    again, once = "ag" + str(1) + "ain", "on" + str(1) + "ce"
    long = "k" * KEY_MAX_CHARS + str(1)
    assert held(tracer, again, 10) == 1
    assert held(tracer, once, 1) == 0
    assert held(tracer, long, 10) == 0
    count = sys.getrefcount(again)
    tracer.set_tags(
        {"other": "tags"}
    )  # a new table; the old one goes with the last span that has it
    forget_last(tracer)
    assert sys.getrefcount(again) == count - 1


def test_however_many_keys_there_are_few_are_held() -> None:
    """Keys made in a loop and used three times each do not pile up."""
    tracer = make_offline_tracer()
    many = [f"key.{number}" for number in range(2000)]
    before = [sys.getrefcount(key) for key in many]
    for key in many:
        for _ in range(3):
            with tracer.trace("a") as span:
                span.set_tag(key, 1)
    forget_last(tracer)
    del span, key
    after = [sys.getrefcount(key) for key in many]
    kept = sum(after) - sum(before)
    assert 0 < kept <= KEYS_HELD
