"""The Span object: construction, attributes, inheritance from the parent, finishing."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from helpers import by_name, chunks_of, spans_of

from fasttrace import Context, Span, Tracer

# -- construction and coercion ---------------------------------------------------------------------


def test_defaults_of_a_new_span() -> None:
    """A span needs only a name; its resource is the name, everything else is empty."""
    span = Span("op")
    assert (span.name, span.resource, span.service, span.span_type) == ("op", "op", None, None)
    assert (span.parent_id, span.error, span.duration, span.duration_ns) == (None, 0, None, None)
    assert not span.finished
    assert (span.get_tags(), span.get_metrics()) == ({}, {})
    assert span.context.sampling_priority is None


def test_every_argument_of_a_span_arrives() -> None:
    """Span() takes its arguments in the order name, service, resource, span_type, ids, start."""
    span = Span("op", "svc", "res", "web", 7, 9, 8, 1.5)
    assert (span.name, span.service, span.resource, span.span_type) == ("op", "svc", "res", "web")
    assert (span.trace_id, span.span_id, span.parent_id, span.start) == (7, 9, 8, 1.5)
    assert (span.context.trace_id, span.context.span_id) == (7, 9)


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("name", 5, ""),
        ("service", 5, None),
        ("service", "", ""),
        ("service", None, None),
        ("resource", 5, ""),
        ("resource", "", ""),
        ("span_type", 5, None),
        ("span_type", None, None),
        ("span_type", "", ""),
        ("name", b"by\xff", "by\ufffd"),
        ("service", b"bytes", "bytes"),
        ("resource", b"bytes", "bytes"),
        ("span_type", b"bytes", "bytes"),
    ],
)
def test_texts_of_a_wrong_type_are_replaced(attribute: str, value: Any, expected: Any) -> None:
    """Bytes are decoded; another name or resource becomes "", a service or type None."""
    span = Span(**{"name": "op", attribute: value})
    assert getattr(span, attribute) == expected
    span = Span("op", "svc", "res", "web")
    setattr(span, attribute, value)
    assert getattr(span, attribute) == expected


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("trace_id", "x"),
        ("trace_id", -1),
        ("trace_id", 2**128),
        ("trace_id", 1.5),
        ("span_id", "x"),
        ("span_id", -1),
        ("span_id", 2**64),
    ],
)
def test_an_impossible_id_is_replaced_by_a_generated_one(argument: str, value: Any) -> None:
    """An id that is no number, or out of range, is replaced by a generated one."""
    span = Span("op", **{argument: value})
    assert getattr(span, argument) > 0
    assert getattr(span, argument) != value


@pytest.mark.parametrize("value", [0, None, "x", -1, 2**64])
def test_an_impossible_parent_id_is_none(value: Any) -> None:
    """A parent id of 0, of a wrong type or out of range means no parent."""
    assert Span("op", parent_id=value).parent_id is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (True, 1),
        (False, 0),
        (0, 0),
        (5, 5),
        (-1, -1),
        ("x", 0),
        (None, 0),
        (1.0, 0),
        (2**40, 0),
    ],
)
def test_error_is_a_32_bit_integer(value: Any, expected: int) -> None:
    """span.error holds a 32-bit integer; a value that is none becomes 0."""
    span = Span("op")
    span.error = value
    assert span.error == expected
    assert type(span.error) is int


def test_an_unknown_keyword_raises() -> None:
    """Unknown keywords raise TypeError in the constructor, trace() and start_span()."""
    tracer = Tracer()
    for call in (Span, tracer.trace, tracer.start_span):
        with pytest.raises(TypeError):
            call("op", bogus=1)  # type: ignore[call-arg, operator]
        with pytest.raises(TypeError):
            call()  # type: ignore[call-arg, operator]
    assert tracer.current_span() is None


def test_a_span_has_no_other_attributes() -> None:
    """Setting an attribute that does not exist raises AttributeError."""
    with pytest.raises(AttributeError):
        Span("op").bogus = 1  # type: ignore[attr-defined]


def test_a_span_cannot_be_subclassed() -> None:
    """Span is final."""
    with pytest.raises(TypeError):
        type("Sub", (Span,), {})


def test_repr_names_the_span() -> None:
    """repr and str of a span show its ids and its name, and never a tag's value."""
    span = Span("op", trace_id=5, span_id=6, parent_id=4)
    span.set_tag("key", "secret-value")
    for text in (repr(span), str(span)):
        assert "op" in text
        assert "6" in text
        assert "secret-value" not in text
    assert str(span) == "<Span(id=6,trace_id=5,parent_id=4,name=op)>"


# -- start_span, trace and what a child takes from its parent --------------------------------------


def test_trace_makes_a_child_of_the_active_span_and_activates_it(tracer: Tracer) -> None:
    """trace() begins a child of the active span and makes it the active one."""
    with tracer.trace("a", "svc-a", "res-a", "web") as a:
        assert tracer.current_span() is a
        assert (a.name, a.service, a.resource, a.span_type) == ("a", "svc-a", "res-a", "web")
        with tracer.trace("b") as b:
            assert tracer.current_span() is b
            assert b.parent_id == a.span_id
            assert b.trace_id == a.trace_id
        assert tracer.current_span() is a


def test_start_span_neither_looks_for_a_parent_nor_activates(tracer: Tracer) -> None:
    """start_span() makes a root unless child_of is given, and activates only when told to."""
    with tracer.trace("active") as active:
        root = tracer.start_span("root")
        child = tracer.start_span("child", child_of=active)
        assert root.parent_id is None
        assert root.trace_id != active.trace_id
        assert child.parent_id == active.span_id
        assert tracer.current_span() is active
        activated = tracer.start_span("activated", child_of=active, activate=True)
        assert tracer.current_span() is activated
        for span in (activated, child, root):
            span.finish()


def test_a_child_of_a_context_is_in_its_trace(tracer: Tracer) -> None:
    """child_of may be a Context: its trace id is taken over, its span id is the parent."""
    span = tracer.start_span("op", child_of=Context(trace_id=5, span_id=6))
    assert (span.trace_id, span.parent_id) == (5, 6)
    span.finish()


@pytest.mark.parametrize(
    "context", [None, Context(), Context(span_id=6)], ids=["none", "empty", "no trace id"]
)
def test_a_child_of_nothing_is_a_root(tracer: Tracer, context: Context | None) -> None:
    """Without a trace id to join, a new trace begins."""
    span = tracer.start_span("op", child_of=context)
    assert span.trace_id > 2**64
    assert span.parent_id is None
    span.finish()


@pytest.mark.parametrize("junk", ["text", 5, object()])
def test_a_child_of_something_else_is_a_root(tracer: Tracer, junk: Any) -> None:
    """child_of of another type never raises into the application: a new trace begins."""
    span = tracer.start_span("op", child_of=junk)
    assert span.parent_id is None
    span.finish()
    assert len(spans_of(tracer)) == 1


def test_a_child_inherits_the_service_its_parent_has_at_that_moment(tracer: Tracer) -> None:
    """A child without a service takes its parent's; renaming the parent later does not move it."""
    with tracer.trace("a", service="first") as a:
        with tracer.trace("b") as b:
            pass
        a.service = "second"
        with tracer.trace("c") as c:
            pass
        with tracer.trace("d", service="own") as d, tracer.trace("e") as e:
            pass
    assert [span.service for span in (a, b, c, d, e)] == ["second", "first", "second", "own", "own"]


def test_a_root_has_the_configured_service(new_tracer: Any) -> None:
    """A span without a parent span takes DD_SERVICE, also below a remote parent."""
    tracer = new_tracer(service="configured")
    remote = Context(trace_id=5, span_id=6)
    with tracer.trace("a") as a, tracer.trace("b") as b:
        pass
    c = tracer.start_span("c", child_of=remote)
    c.finish()
    assert [span.service for span in (a, b, c)] == ["configured"] * 3


def test_the_resource_is_the_first_name(tracer: Tracer) -> None:
    """Renaming a span does not change a resource that was derived from its name."""
    with tracer.trace("first") as span:
        span.name = "second"
        assert span.resource == "first"
    [sent] = spans_of(tracer)
    assert (sent["name"], sent["resource"]) == ("second", "first")


def test_service_mapping_renames_at_creation(new_tracer: Any) -> None:
    """DD_SERVICE_MAPPING renames a service when the span is made, given or inherited."""
    tracer = new_tracer(service="svc", service_mapping={"db": "db-primary"})
    with tracer.trace("a", service="db") as a, tracer.trace("b") as b:
        pass
    assert (a.service, b.service) == ("db-primary", "db-primary")


def test_resource_is_the_name_and_the_type_is_not_inherited(tracer: Tracer) -> None:
    """A resource defaults to the span's own name; the type of a parent is not its children's."""
    with tracer.trace("a", resource="res", span_type="web"), tracer.trace("b") as b:
        assert (b.resource, b.span_type) == ("b", None)


# -- finishing -------------------------------------------------------------------------------------


def test_finishing_twice_changes_nothing(tracer: Tracer) -> None:
    """The second finish() is without effect, whatever its time, and the span is sent once."""
    span = tracer.start_span("op")
    span.finish()
    duration_ns = span.duration_ns
    span.finish(1.0)
    span.finish()
    assert span.duration_ns == duration_ns
    assert len(spans_of(tracer)) == 1
    assert tracer.stats()["finished"] == 1


def test_finish_inside_with_is_kept(tracer: Tracer) -> None:
    """A span finished inside its own with block is not finished again at the end of it."""
    with tracer.trace("op") as span:
        span.finish()
        assert span.finished
        duration_ns = span.duration_ns
    assert span.duration_ns == duration_ns
    assert len(spans_of(tracer)) == 1


def test_with_gives_the_span_itself(tracer: Tracer) -> None:
    """The value of `with tracer.trace()` is the span; it is finished when the block ends."""
    manager = tracer.trace("op")
    with manager as span:
        assert span is manager
        assert not span.finished
    assert span.finished


def test_an_unactivated_span_can_be_a_context_manager(tracer: Tracer) -> None:
    """`with` around start_span() finishes the span but does not activate it."""
    with tracer.start_span("op") as span:
        assert tracer.current_span() is None
    assert span.finished
    assert len(spans_of(tracer)) == 1


def test_exit_stack_and_unbound_calls_work(tracer: Tracer) -> None:
    """ExitStack, and __enter__/__exit__ called on the class or on the span, do the same as with."""
    with ExitStack() as stack:
        first = stack.enter_context(tracer.trace("first"))
        second = stack.enter_context(tracer.trace("second"))
        assert tracer.current_span() is second
    third = tracer.trace("third")
    assert Span.__enter__(third) is third
    assert not Span.__exit__(third, None, None, None)
    fourth = tracer.trace("fourth")
    assert fourth.__enter__() is fourth
    assert not fourth.__exit__(None, None, None)
    assert all(span.finished for span in (first, second, third, fourth))
    assert second.parent_id == first.span_id
    assert third.parent_id is None
    assert len(chunks_of(tracer)) == 3


def test_exit_stack_passes_an_exception_to_the_span(tracer: Tracer) -> None:
    """An exception that leaves an ExitStack marks the spans entered on it and goes on."""
    with pytest.raises(ValueError, match="boom"), ExitStack() as stack:
        span = stack.enter_context(tracer.trace("op"))
        raise ValueError("boom")
    assert span.error == 1
    assert span.get_tag("error.message") == "boom"


def test_entering_twice_is_harmless(tracer: Tracer) -> None:
    """One span used for two nested with blocks is finished by the first exit, and sent once."""
    span = tracer.trace("op")
    with span, span:
        pass
    assert span.finished
    assert len(spans_of(tracer)) == 1


def test_exiting_with_the_wrong_number_of_arguments_raises(tracer: Tracer) -> None:
    """__exit__ with one, two or four arguments raises TypeError, and finishes nothing."""
    span = tracer.trace("op")
    for arguments in ((None,), (None, None), (None,) * 4):
        with pytest.raises(TypeError):
            span.__exit__(*arguments)
    with pytest.raises(TypeError):
        Span.__enter__()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Span.__exit__(span, None)  # type: ignore[call-arg]
    span.finish()


def test_on_finish_callbacks_see_the_finished_span(tracer: Tracer) -> None:
    """Callbacks given to Span() are called once, in order, after the duration is set."""
    seen: list[Any] = []
    span = Span(
        "op",
        on_finish=[lambda s: seen.append(("a", s.duration_ns)), lambda s: seen.append(("b", s))],
    )
    span.finish()
    span.finish()
    assert seen == [("a", span.duration_ns), ("b", span)]
    assert span.duration_ns is not None


def test_a_raising_callback_never_reaches_the_application() -> None:
    """An on_finish callback that raises stops neither finish() nor the callbacks after it."""
    seen: list[Span] = []

    def fail(span: Span) -> None:
        raise RuntimeError("callback")

    span = Span("op", on_finish=[fail, seen.append])
    span.finish()
    assert span.finished
    assert seen == [span]


def test_a_span_can_be_changed_until_its_trace_is_complete(tracer: Tracer) -> None:
    """Tags, name, service, resource, type and error set after finish() still go out."""
    with tracer.trace("root"):
        with tracer.trace("child") as child:
            pass
        child.name, child.resource, child.service = "renamed", "res", "other"
        child.span_type, child.error = "db", 1
        child.set_tag("late", "yes")
    sent = by_name(spans_of(tracer))["renamed"]
    assert (sent["resource"], sent["service"], sent["type"], sent["error"]) == (
        "res",
        "other",
        "db",
        1,
    )
    assert sent["meta"]["late"] == "yes"


def test_a_finished_span_keeps_what_it_had(tracer: Tracer) -> None:
    """After its trace has been encoded a held span still gives its ids, texts, times and tags."""
    with tracer.trace("root") as root, tracer.trace("child", "svc", "res", "web") as child:
        child.set_tag("text", "a")
        child.set_tag("number", 1)
    spans_of(tracer)
    assert (child.name, child.service, child.resource, child.span_type) == (
        "child",
        "svc",
        "res",
        "web",
    )
    assert child.parent_id == root.span_id
    assert child.trace_id == root.trace_id
    assert child.duration_ns is not None
    assert child.get_tag("text") == "a"
    assert child.get_metric("number") == 1
    assert child.context.trace_id == root.trace_id


def test_finish_with_ancestors_finishes_every_ancestor(tracer: Tracer) -> None:
    """The older finish_with_ancestors finishes the span and all spans above it."""
    spans = [tracer.trace(f"op{level}") for level in range(4)]
    spans[-2].finish_with_ancestors()
    assert [span.finished for span in spans] == [True, True, True, False]
    spans[-1].finish()
    assert len(chunks_of(tracer)) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1)])
def test_any_order_of_finishing_gives_one_chunk_in_order_of_creation(
    tracer: Tracer, order: tuple[int, ...]
) -> None:
    """Spans of a trace may finish in any order; the chunk leaves complete, in creation order."""
    spans = [tracer.trace(name) for name in ("a", "b", "c")]
    for index in order[:-1]:
        spans[index].finish()
    assert chunks_of(tracer) == []
    spans[order[-1]].finish()
    [chunk] = chunks_of(tracer)
    assert [span["name"] for span in chunk] == ["a", "b", "c"]
    assert tracer.current_span() is None


@pytest.mark.parametrize("finish_time", ["text", float("nan"), float("inf"), 10**400, 1e30])
def test_an_impossible_finish_time_does_not_lose_the_span(tracer: Tracer, finish_time: Any) -> None:
    """A finish time that is no time never raises into the application; the span still arrives."""
    span = tracer.start_span("op")
    span.finish(finish_time)
    assert span.finished
    [sent] = spans_of(tracer)
    assert sent["duration"] >= 0
