"""References: what an OpenTracing span descends from, and what it links to."""

from __future__ import annotations

from typing import Any

import opentracing
import pytest
from helpers import by_name, spans_of
from opentracing import child_of, follows_from

from fasttrace import Context
from fasttrace import Tracer as NativeTracer
from fasttrace.opentracer import Tracer
from fasttrace.opentracer.span_context import SpanContext


def links_of(span: dict[str, Any]) -> list[tuple[int, str]]:
    """The linked spans and how they are related."""
    return [
        (link["span_id"], link["attributes"]["opentracing.ref_type"])
        for link in span.get("span_links", [])
    ]


class Family:
    """Three spans to refer to, and what a span that does so comes to."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.a, self.b, self.c = (tracer.start_span(name) for name in "abc")

    def child(self, **arguments: Any) -> tuple[str | None, list[tuple[str, str]]]:
        """Start a span: the name of its parent, and names and types of what it links to."""
        with self._tracer.start_active_span("active"):
            self._tracer.start_span("child", **arguments).finish()
        for span in (self.a, self.b, self.c):
            span.finish()
        spans = by_name(spans_of(self._tracer._dd_tracer))
        names = {span["span_id"]: name for name, span in spans.items()}
        child = spans["child"]
        return (
            names.get(child.get("parent_id")),
            [(names[span_id], kind) for span_id, kind in links_of(child)],
        )


@pytest.fixture
def family(ot: Tracer) -> Family:
    """Spans a, b and c."""
    return Family(ot)


def test_child_of_a_span(family: Family) -> None:
    """child_of names the parent, whatever is active."""
    assert family.child(child_of=family.a) == ("a", [])


def test_child_of_a_context(family: Family) -> None:
    """child_of takes a SpanContext as well."""
    assert family.child(child_of=family.a.context) == ("a", [])


def test_no_reference(family: Family) -> None:
    """Without a reference the active span is the parent."""
    assert family.child() == ("active", [])


def test_a_child_of_reference(family: Family) -> None:
    """A CHILD_OF reference names the parent, and is no link."""
    assert family.child(references=[child_of(family.a.context)]) == ("a", [])


def test_a_reference_to_a_span(family: Family) -> None:
    """A reference to a span, where a context is due, is understood."""
    assert family.child(references=[child_of(family.a)]) == ("a", [])


def test_a_reference_without_a_list(family: Family) -> None:
    """A single reference need not be in a list."""
    assert family.child(references=child_of(family.a.context)) == ("a", [])


def test_a_follows_from_reference(family: Family) -> None:
    """FOLLOWS_FROM goes on with the trace, and is a link."""
    references = (follows_from(family.a.context),)
    assert family.child(references=references) == ("a", [("a", "follows_from")])


def test_several_references(family: Family) -> None:
    """The first CHILD_OF is the parent, all others are links."""
    references = [
        follows_from(family.c.context),
        child_of(family.a.context),
        child_of(family.b.context),
    ]
    links = [("c", "follows_from"), ("b", "child_of")]
    assert family.child(references=references) == ("a", links)


def test_references_beside_child_of(family: Family) -> None:
    """child_of is the parent; references beside it are links."""
    references = [child_of(family.b.context), follows_from(family.c.context)]
    links = [("b", "child_of"), ("c", "follows_from")]
    assert family.child(child_of=family.a, references=references) == ("a", links)


def test_references_to_nothing(family: Family) -> None:
    """A reference to None, as after a failed extract, is as good as none."""
    assert family.child(references=[child_of(None), follows_from(None)]) == ("active", [])


def test_a_reference_to_a_context_without_ids(family: Family) -> None:
    """What extract returns where there is nothing begins a new trace, and is never a link."""
    references = [child_of(SpanContext()), follows_from(SpanContext())]
    assert family.child(references=references) == (None, [])


def test_a_link_to_another_trace(ot: Tracer) -> None:
    """A link says which trace and span it leads to, with the state of that trace."""
    remote = SpanContext(trace_id=(5 << 64) | 7, span_id=9, sampling_priority=1)
    with ot.start_active_span("op", child_of=ot.active_span, references=[follows_from(remote)]):
        pass
    (span,) = spans_of(ot._dd_tracer)
    (link,) = span["span_links"]
    assert (link["trace_id"], link["trace_id_high"], link["span_id"]) == (7, 5, 9)
    assert link["flags"] & 1


@pytest.mark.parametrize("way", ["span", "context", "reference", "follows", "native"])
def test_baggage_is_inherited_every_way(ot: Tracer, way: str) -> None:
    """Whatever names the parent passes its baggage on."""
    parent = ot.start_span("parent").set_baggage_item("user", "ada")
    arguments: dict[str, Any] = {
        "span": {"child_of": parent},
        "context": {"child_of": parent.context},
        "reference": {"references": [child_of(parent.context)]},
        "follows": {"references": [follows_from(parent.context)]},
        "native": {},
    }[way]
    if way == "native":
        with ot.scope_manager.activate(parent, False):
            child = ot.start_span("child")
    else:
        child = ot.start_span("child", **arguments)
    assert child.context.baggage == {"user": "ada"}
    child.finish()
    parent.finish()
    assert len(spans_of(ot._dd_tracer)) == 2


def test_native_parents(ot: Tracer, tracer: NativeTracer) -> None:
    """A native span or context can be given as parent."""
    native = tracer.start_span("native")
    ot.start_span("child", child_of=native).finish()
    ot.start_span("remote child", child_of=Context(7, 9)).finish()
    native.finish()
    spans = by_name(spans_of(tracer))
    assert spans["child"]["parent_id"] == spans["native"]["span_id"]
    assert spans["remote child"]["parent_id"] == 9


def test_ignore_active_span(ot: Tracer) -> None:
    """ignore_active_span begins a new trace, unless a parent is named."""
    with ot.start_active_span("outer") as outer:
        with ot.start_active_span("apart", ignore_active_span=True) as apart:
            assert apart.span._dd_span.parent_id is None
        child = ot.start_span("child", child_of=outer.span, ignore_active_span=True)
        child.finish()
    spans = by_name(spans_of(ot._dd_tracer))
    assert spans["child"]["parent_id"] == spans["outer"]["span_id"]
    assert spans["apart"]["trace_id"] != spans["outer"]["trace_id"]


@pytest.mark.parametrize("wrong", ["text", 7, object(), opentracing.SpanContext()])
def test_a_parent_of_a_wrong_type(ot: Tracer, caplog: Any, monkeypatch: Any, wrong: Any) -> None:
    """What cannot be a parent begins a new trace, with a warning, and raises nothing."""
    monkeypatch.setattr("fasttrace._log._last_ns", {})
    with ot.start_active_span("active"):
        span = ot.start_span("op", child_of=wrong)
        assert span._dd_span.parent_id is None
        span.finish()
    assert type(wrong).__name__ in caplog.text
    assert len(spans_of(ot._dd_tracer)) == 2


@pytest.mark.parametrize("wrong", ["text", 7, [None], [object()]])
def test_references_of_a_wrong_type(ot: Tracer, caplog: Any, monkeypatch: Any, wrong: Any) -> None:
    """What are no references are as good as none, with a warning."""
    monkeypatch.setattr("fasttrace._log._last_ns", {})
    with ot.start_active_span("active") as active:
        span = ot.start_span("op", references=wrong)
        assert span._dd_span.parent_id == active.span._dd_span.span_id
        span.finish()
    assert "opentracing.Reference" in caplog.text
    assert len(spans_of(ot._dd_tracer)) == 2


def test_a_parent_of_a_wrong_type_in_tests(ot: Tracer, monkeypatch: Any) -> None:
    """With DD_TESTING_RAISE set, a wrong parent is a TypeError, as in ddtrace."""
    monkeypatch.setenv("DD_TESTING_RAISE", "true")
    with pytest.raises(TypeError, match="str"):
        ot.start_span("op", child_of="text")


def test_a_child_of_a_finished_trace(ot: Tracer) -> None:
    """A span can descend from one whose trace has long been sent."""
    parent = ot.start_span("parent")
    parent.finish()
    (sent,) = spans_of(ot._dd_tracer)
    ot.start_span("late", child_of=parent).finish()
    (late,) = spans_of(ot._dd_tracer)
    assert (late["trace_id"], late["parent_id"]) == (sent["trace_id"], sent["span_id"])
