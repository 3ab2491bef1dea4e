"""OpenTracing spans: what is set on them arrives in the native span."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

import opentracing
import pytest
from helpers import spans_of
from opentracing.ext import tags as ot_tags

from fasttrace.opentracer import Tracer
from fasttrace.opentracer.span import Span
from fasttrace.opentracer.span_context import SpanContext


def only(tracer: Tracer) -> dict[str, Any]:
    """The one span that has left."""
    (span,) = spans_of(tracer._dd_tracer)
    return span


def test_it_is_an_opentracing_span(ot: Tracer) -> None:
    """Span and SpanContext are of OpenTracing's types."""
    span = ot.start_span("op")
    assert isinstance(span, opentracing.Span)
    assert isinstance(span.context, opentracing.SpanContext)
    assert span.tracer is ot
    assert span.context is span.context
    span.finish()
    assert "op" in repr(span)
    assert str(span._dd_span.span_id) in repr(span.context)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("span.type", "web", {"type": "web"}),
        ("service.name", "other", {"service": "other"}),
        ("resource.name", "GET /", {"resource": "GET /"}),
        (ot_tags.DATABASE_STATEMENT, "SELECT 1", {"resource": "SELECT 1"}),
    ],
)
def test_tags_that_are_fields(ot: Tracer, key: str, value: str, expected: dict[str, str]) -> None:
    """Four tags are fields of the span, and no tags."""
    ot.start_span("op").set_tag(key, value).finish()
    sent = only(ot)
    assert {name: sent[name] for name in expected} == expected
    assert key not in sent["meta"]


def test_tags_with_other_names(ot: Tracer) -> None:
    """The peer's host and port go by the agent's names."""
    span = ot.start_span("op").set_tag("peer.hostname", "db").set_tag("peer.port", 5432)
    span.finish()
    sent = only(ot)
    assert sent["meta"]["out.host"] == "db"
    assert sent["metrics"]["network.destination.port"] == 5432
    assert not {"peer.hostname", "peer.port"} & {*sent["meta"], *sent["metrics"]}


def test_sampling_priority(ot: Tracer) -> None:
    """sampling.priority decides for the whole trace."""
    with ot.start_active_span("root") as scope:
        with ot.start_active_span("child") as child:
            child.span.set_tag(ot_tags.SAMPLING_PRIORITY, 2)
        assert scope.span.context._dd_context.sampling_priority == 2
    assert spans_of(ot._dd_tracer)[0]["metrics"]["_sampling_priority_v1"] == 2


@pytest.mark.parametrize(
    ("value", "error", "tag"),
    [
        (True, 1, None),
        (False, 0, None),
        (1, 1, None),
        (0, 0, None),
        (None, 0, None),
        ("true", 1, None),
        ("True", 1, None),
        ("false", 0, None),
        ("", 0, None),
        ("connection reset", 1, "connection reset"),
        (["x"], 1, "['x']"),
    ],
)
def test_the_tag_error(ot: Tracer, value: Any, error: int, tag: str | None) -> None:
    """`error` marks the span; a value that says more than yes or no is kept as a tag."""
    ot.start_span("op").set_tag("error", value).finish()
    sent = only(ot)
    assert sent.get("error", 0) == error
    assert sent["meta"].get("error") == tag


def test_error_can_be_taken_back(ot: Tracer) -> None:
    """error=False after error=True: the span did not fail."""
    ot.start_span("op").set_tag("error", True).set_tag("error", False).finish()
    assert only(ot).get("error", 0) == 0


@pytest.mark.parametrize("key", [None, 7, [], b"bytes", object()])
def test_a_key_that_is_no_text_does_not_raise(ot: Tracer, key: Any) -> None:
    """Whatever is given as the key of a tag, the span goes on."""
    span = ot.start_span("op")
    assert span.set_tag(key, "value") is span
    span.finish()
    assert only(ot)["name"] == "op"


def test_every_setter_returns_the_span(ot: Tracer) -> None:
    """Calls can be chained, the old ones too."""
    span = ot.start_span("op")
    chained = span.set_tag("a", 1).set_operation_name("b").set_baggage_item("c", "d")
    assert chained.log_kv({"event": "x"}).log_event("y").log(event="z") is span
    span.finish()


def test_the_name_changes_and_the_resource_stays(ot: Tracer) -> None:
    """set_operation_name leaves the resource what the first name was."""
    ot.start_span("before").set_operation_name("after").finish()
    sent = only(ot)
    assert (sent["name"], sent["resource"]) == ("after", "before")


def test_times_are_seconds(ot: Tracer) -> None:
    """start_time and finish_time are seconds since the epoch; the first finish counts."""
    span = ot.start_span("op", start_time=1_500_000_000.5)
    span.finish(1_500_000_002.0)
    span.finish()
    sent = only(ot)
    assert (sent["start"], sent["duration"]) == (1_500_000_000_500_000_000, 1_500_000_000)


# -- errors ----------------------------------------------------------------------------------------


def raise_error() -> None:
    """Raise an error whose name is not a builtin's."""
    raise opentracing.InvalidCarrierException("no carrier")


ERROR_TYPE = "opentracing.propagation.InvalidCarrierException"


def check_described(sent: dict[str, Any]) -> None:
    """The span is marked and described as by the native API."""
    assert sent["error"] == 1
    assert sent["meta"]["error.type"] == ERROR_TYPE
    assert sent["meta"]["error.message"] == "no carrier"
    assert sent["meta"]["error.stack"].startswith("Traceback (most recent call last):")
    assert "in raise_error" in sent["meta"]["error.stack"]
    assert "error" not in {*sent["meta"], *sent["metrics"]}


def test_an_exception_through_a_span(ot: Tracer) -> None:
    """An exception that leaves the `with` of a span is described, and goes on."""
    with pytest.raises(opentracing.InvalidCarrierException):
        with ot.start_span("op"):
            raise_error()
    check_described(only(ot))


def test_an_exception_that_is_logged(ot: Tracer) -> None:
    """log_kv with the fields OpenTracing defines for an error describes the exception."""
    with ot.start_span("op") as span:
        try:
            raise_error()
        except opentracing.InvalidCarrierException as error:
            record = {"event": "error", "error.object": error, "message": str(error)}
            span.log_kv({**record, "error.kind": type(error), "stack": sys.exc_info()[2]})
    check_described(only(ot))


def test_an_exception_that_was_never_raised(ot: Tracer) -> None:
    """An exception without a traceback has type and message."""
    ot.start_span("op").log_kv({"event": "error", "error.object": KeyError("key")}).finish()
    sent = only(ot)
    assert sent["error"] == 1
    assert sent["meta"]["error.type"] == "builtins.KeyError"
    assert sent["meta"]["error.stack"] == "KeyError: 'key'\n"


def test_an_exception_that_is_no_failure(ot: Tracer) -> None:
    """Logged without event=error, an exception is described and the span is not marked."""
    ot.start_span("op").log_kv({"event": "retry", "error.object": KeyError("key")}).finish()
    sent = only(ot)
    assert sent.get("error", 0) == 0
    assert sent["meta"]["error.type"] == "builtins.KeyError"


@pytest.mark.parametrize(
    ("record", "error", "meta"),
    [
        ({"event": "error"}, 1, {}),
        ({"event": "error", "error.object": "Oops"}, 1, {"error.type": "Oops"}),
        ({"error": "Oops"}, 0, {"error.type": "Oops"}),
        ({"event": "error", "error.kind": "OSError"}, 1, {"error.type": "OSError"}),
        ({"event": "error", "error.kind": OSError}, 1, {"error.type": "builtins.OSError"}),
        ({"message": "it broke"}, 0, {"error.message": "it broke"}),
        ({"stack": "line 1"}, 0, {"error.stack": "line 1"}),
        ({"event": "soft error", "size": 3}, 0, {}),
        ({}, 0, {}),
    ],
)
def test_fields_of_log_kv(
    ot: Tracer, record: dict[str, Any], error: int, meta: dict[str, str]
) -> None:
    """Fields about an error are kept, the others are not."""
    ot.start_span("op").log_kv(record, 1_500_000_000.0).finish()
    sent = only(ot)
    assert sent.get("error", 0) == error
    assert {key: text for key, text in sent["meta"].items() if key.startswith("error")} == meta
    assert "size" not in sent["metrics"]


class Broken(dict[str, Any]):
    """A record that cannot be read."""

    def get(self, *args: Any) -> Any:
        """Raise."""
        raise RuntimeError("not readable")


@pytest.mark.parametrize("record", [None, 7, "text", ["event"], Broken()], ids=repr)
def test_a_record_that_is_none_does_not_raise(ot: Tracer, record: Any) -> None:
    """Whatever is given to log_kv, the span goes on."""
    span = ot.start_span("op")
    assert span.log_kv(record) is span
    span.finish()


# -- baggage ---------------------------------------------------------------------------------------


def test_baggage_goes_to_later_descendants_only(ot: Tracer) -> None:
    """An item shows on its span and on what is begun under it afterwards, nowhere else."""
    root = ot.start_span("root")
    before = ot.start_span("before", child_of=root)
    root.set_baggage_item("user", "ada")
    child = ot.start_span("child", child_of=root)
    child.set_baggage_item("plan", "x")
    grandchild = ot.start_span("grandchild", child_of=child)
    assert root.context.baggage == {"user": "ada"}
    assert before.context.baggage == {}
    assert child.context.baggage == grandchild.context.baggage == {"user": "ada", "plan": "x"}
    assert grandchild.get_baggage_item("plan") == "x"
    assert root.get_baggage_item("plan") is None
    for span in (grandchild, child, before, root):
        span.finish()


def test_a_context_keeps_the_baggage_it_was_taken_with(ot: Tracer) -> None:
    """A SpanContext does not change when its span gets more baggage; a new one has it."""
    span = ot.start_span("op").set_baggage_item("a", "1")
    context = span.context
    span.set_baggage_item("b", "2")
    assert context.baggage == {"a": "1"}
    assert span.context.baggage == {"a": "1", "b": "2"}
    assert span.context._dd_context is context._dd_context
    span.finish()


def test_a_child_does_not_share_its_contexts_dict(ot: Tracer) -> None:
    """Items set on a SpanContext after a child began do not show on the child."""
    context = SpanContext(trace_id=1, span_id=2, baggage={"a": "1"})
    span = ot.start_span("op", child_of=context)
    context.set_baggage_item("b", "2")
    assert span.context.baggage == {"a": "1"}
    span.finish()


def test_baggage_set_from_threads(ot: Tracer) -> None:
    """Items set in turns by several threads never break a reader."""
    span = ot.start_span("op")
    stop = threading.Event()
    seen: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(sum(len(value) for value in span.context.baggage.values()))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(2000):
        span.set_baggage_item(f"k{number % 50}", "v")
    stop.set()
    thread.join()
    assert len(span.context.baggage) == 50
    span.finish()


# -- life ------------------------------------------------------------------------------------------


def test_spans_die_without_the_collector(ot: Tracer) -> None:
    """Nothing of a finished span waits for a garbage collection."""
    gc.collect()
    gc.disable()
    try:
        with ot.start_active_span("op", tags={"a": 1}) as scope:
            span = scope.span
            span.set_baggage_item("a", "b")
            span.context  # noqa: B018 - made now
        gone = [weakref.ref(scope), weakref.ref(span), weakref.ref(span._dd_span)]
        del scope, span
        assert [ref() for ref in gone] == [None, None, None]
    finally:
        gc.enable()
    assert len(spans_of(ot._dd_tracer)) == 1


def test_a_span_can_be_made_of_a_native_one(ot: Tracer) -> None:
    """Span(tracer, native span) shows a native span as OpenTracing's."""
    native = ot._dd_tracer.start_span("native")
    span = Span(ot, native)
    span.set_tag("resource.name", "r")
    assert not span.finished
    span.finish()
    assert native.finished
    assert only(ot)["resource"] == "r"
