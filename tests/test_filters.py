"""Code of the application that sees spans: filters, hooks on start, callbacks on finish."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from helpers import by_name, chunks_of, spans_of

from fasttrace import Span, TraceFilter, Tracer


class Calling(TraceFilter):
    """A filter that is a function."""

    def __init__(self, function: Callable[[list[Span]], Any]) -> None:
        self.function = function

    def process_trace(self, trace: list[Span]) -> Any:
        """Do what the function does."""
        return self.function(trace)


def install(tracer: Tracer, *functions: Callable[[list[Span]], Any]) -> None:
    """Make functions the tracer's filters."""
    tracer.configure(trace_processors=[Calling(function) for function in functions])


def make_trace(tracer: Tracer) -> None:
    """Make a trace of a root and two children."""
    with tracer.trace("root", resource="/") as root:
        root.set_tag("secret", "1234")
        with tracer.trace("a"):
            pass
        with tracer.trace("b"):
            pass


# -- filters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, []])
def test_a_trace_is_dropped(tracer: Tracer, nothing: Any) -> None:
    """A filter that returns nothing drops the trace, which is counted."""
    install(tracer, lambda trace: nothing if trace[0].resource == "/" else trace)
    make_trace(tracer)
    with tracer.trace("other"):
        pass
    assert [span["name"] for span in spans_of(tracer)] == ["other"]
    assert tracer.stats()["dropped"] == {"filtered": 3, "test": 1}


def test_health_checks_do_not_reach_the_agent(session: Any) -> None:
    """What is dropped is not sent, what is scrubbed is sent without."""
    tracer = session.make_tracer()

    def drop(trace: list[Span]) -> list[Span] | None:
        return None if trace[0].get_tag("http.route") == "/health" else trace

    def scrub(trace: list[Span]) -> list[Span]:
        for span in trace:
            if span.get_tag("secret"):
                span.set_tag("secret", "*")
        return trace

    install(tracer, drop, scrub)
    for route in ("/health", "/menu"):
        with tracer.trace("web.request") as span:
            span.set_tag("http.route", route)
            with tracer.trace("query") as query:
                query.set_tag("secret", "1234")
    sent = by_name(session.received())
    assert set(sent) == {"web.request", "query"}
    assert sent["web.request"]["meta"]["http.route"] == "/menu"
    assert sent["query"]["meta"]["secret"] == "*"


def test_everything_of_a_span_can_be_changed(tracer: Tracer) -> None:
    """Name, resource, service, type, error and tags are sent as the filter leaves them."""

    def change(trace: list[Span]) -> list[Span]:
        root = trace[0]
        root.name, root.resource, root.service, root.span_type = "new", "res", "other", "web"
        root.error = 1
        root.remove_tag("secret")
        root.set_tags({"text": "t", "number": 5})
        return trace

    install(tracer, change)
    make_trace(tracer)
    root = spans_of(tracer)[0]
    assert (root["name"], root["resource"], root["service"]) == ("new", "res", "other")
    assert (root["type"], root["error"]) == ("web", 1)
    assert root["meta"]["text"] == "t"
    assert root["metrics"]["number"] == 5
    assert "secret" not in root["meta"]


def test_the_chunk_is_complete_without_its_first_span(tracer: Tracer) -> None:
    """Tags that belong to a chunk go on the first span that is left."""
    install(tracer, lambda trace: [trace[2], trace[1]])
    make_trace(tracer)
    [chunk] = chunks_of(tracer)
    assert [span["name"] for span in chunk] == ["b", "a"]
    assert chunk[0]["metrics"]["_sampling_priority_v1"] == 1
    assert chunk[0]["meta"]["language"] == "python"
    assert tracer.stats()["dropped"]["filtered"] == 1


def test_a_filter_may_add_spans(tracer: Tracer) -> None:
    """A span that a filter made itself is sent with the others, and accounted for."""

    def add(trace: list[Span]) -> list[Span]:
        return [*trace, Span("added", trace_id=trace[0].trace_id, parent_id=trace[0].span_id)]

    install(tracer, add)
    make_trace(tracer)
    assert [span["name"] for span in spans_of(tracer)] == ["root", "a", "b", "added"]
    assert tracer.stats()["added_by_filter"] == 1


def test_a_decision_by_a_filter(tracer: Tracer) -> None:
    """Filters run before the decision, so they can take it."""
    install(tracer, lambda trace: trace[0].set_tag("manual.drop") or trace)
    make_trace(tracer)
    assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == -1


@pytest.mark.parametrize("wrong", [5, "raise", True, [5, None], {"a": 1}, "twice"])
def test_a_filter_that_is_wrong_loses_nothing(
    tracer: Tracer, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A filter that raises or returns nonsense is passed over; the next one runs."""
    seen: list[int] = []

    def fail(trace: list[Span]) -> Any:
        if wrong == "raise":
            raise ValueError("wrong")
        return trace * 2 if wrong == "twice" else [*trace, *wrong] if wrong == [5, None] else wrong

    install(tracer, lambda trace: seen.append(len(trace)) or trace, fail)
    with caplog.at_level(logging.WARNING):
        make_trace(tracer)
    sent = [span["name"] for span in spans_of(tracer)]
    assert seen == [3]
    assert sent == ([] if wrong == {"a": 1} else ["root", "a", "b"])
    assert "1234" not in caplog.text


def test_a_filter_may_trace(tracer: Tracer) -> None:
    """Spans that a filter itself makes are traces of their own, and pass the filters as well."""
    depth: list[str] = []

    def trace_too(trace: list[Span]) -> list[Span]:
        depth.append(trace[0].name)
        if len(depth) < 3:
            with tracer.trace(f"inner {len(depth)}"):
                pass
        return trace

    install(tracer, trace_too)
    with tracer.trace("outer"):
        pass
    assert depth == ["outer", "inner 1", "inner 2"]
    assert sorted(span["name"] for span in spans_of(tracer)) == ["inner 1", "inner 2", "outer"]


def test_filters_are_replaced_and_removed(tracer: Tracer) -> None:
    """configure() replaces all filters, under the newer and the older name."""
    calls: list[str] = []

    def noting(name: str) -> Calling:
        return Calling(lambda trace: calls.append(name) or trace)

    tracer.configure(trace_processors=[noting("a"), noting("b")])
    make_trace(tracer)
    tracer.configure(settings={"FILTERS": [noting("c")]})
    make_trace(tracer)
    tracer.configure(trace_processors=[])
    make_trace(tracer)
    assert calls == ["a", "b", "c"]
    assert len(spans_of(tracer)) == 9


def test_parts_of_a_long_trace_are_filtered_one_by_one(new_tracer: Any) -> None:
    """Each chunk of a partially flushed trace goes through the filters."""
    tracer = new_tracer(partial_flush_min_spans=5)
    lengths: list[int] = []
    install(tracer, lambda trace: lengths.append(len(trace)) or trace)
    with tracer.trace("root"):
        for _ in range(12):
            with tracer.trace("child"):
                pass
    assert lengths == [5, 5, 3]
    assert len(spans_of(tracer)) == 13


# -- hooks -----------------------------------------------------------------------------------------


def test_a_hook_sees_every_span_that_starts(tracer: Tracer) -> None:
    """on_start_span is a decorator; its function sees each span, and may tag it."""

    @tracer.on_start_span
    def tag(span: Span) -> None:
        span.set_tag("hooked", span.name)

    make_trace(tracer)
    tracer.start_span("by hand").finish()
    assert tracer.deregister_on_start_span(tag) is tag
    tracer.start_span("later").finish()
    hooked = {span["name"]: span.get("meta", {}).get("hooked") for span in spans_of(tracer)}
    assert hooked == {"root": "root", "a": "a", "b": "b", "by hand": "by hand", "later": None}


def test_a_hook_that_raises_does_no_harm(tracer: Tracer) -> None:
    """What a hook raises stays in it, and the other hooks run."""
    seen: list[str] = []

    @tracer.on_start_span
    def fail(span: Span) -> None:
        raise ValueError("wrong")

    tracer.on_start_span(lambda span: seen.append(span.name))
    make_trace(tracer)
    assert seen == ["root", "a", "b"]
    assert len(spans_of(tracer)) == 3


def test_callbacks_on_finish(tracer: Tracer) -> None:
    """They are called once, when the duration is known, in their order; what they raise stays."""
    calls: list[Any] = []

    def fail(span: Span) -> None:
        raise ValueError("wrong")

    def note(span: Span) -> None:
        calls.append((span.name, span.finished, span.duration is not None))
        span.set_tag("noted", "yes")

    span = Span("own", on_finish=[fail, note])
    span.finish()
    span.finish()
    assert calls == [("own", True, True)]
    assert span.get_tag("noted") == "yes"
