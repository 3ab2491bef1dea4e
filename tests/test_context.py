"""The Context object: ids, decision and baggage of a trace, shared by all of its spans."""

from __future__ import annotations

import pickle
import threading

import pytest
from helpers import spans_of

from fasttrace import Context, Tracer


def test_an_empty_context_has_nothing() -> None:
    """Context() has no ids, no priority, no origin and no baggage."""
    context = Context()
    assert (context.trace_id, context.span_id) == (None, None)
    assert (context.sampling_priority, context.dd_origin) == (None, None)
    assert context.get_all_baggage_items() == {}


def test_a_context_holds_what_it_is_given() -> None:
    """Every argument of Context() can be read back."""
    context = Context(
        trace_id=2**127 + 1,
        span_id=2**64 - 1,
        dd_origin="synthetics",
        sampling_priority=-1,
        meta={"_dd.p.dm": "-4"},
        baggage={"user": "ann"},
    )
    assert (context.trace_id, context.span_id) == (2**127 + 1, 2**64 - 1)
    assert (context.sampling_priority, context.dd_origin) == (-1, "synthetics")
    assert context.get_baggage_item("user") == "ann"


def test_baggage_can_be_set_read_and_removed() -> None:
    """Baggage items are set, read, listed and removed by name."""
    context = Context()
    context.set_baggage_item("a", "1")
    context.set_baggage_item("b", "2")
    assert context.get_baggage_item("a") == "1"
    assert context.get_baggage_item("missing") is None
    assert context.get_all_baggage_items() == {"a": "1", "b": "2"}
    context.remove_baggage_item("a")
    context.remove_baggage_item("missing")
    assert context.get_all_baggage_items() == {"b": "2"}
    context.remove_all_baggage_items()
    assert context.get_all_baggage_items() == {}


def test_spans_of_a_trace_share_baggage_and_decision(tracer: Tracer) -> None:
    """Baggage or a priority set through any span of a trace is seen by all of them."""
    with tracer.trace("a") as a, tracer.trace("b") as b:
        b.context.set_baggage_item("user", "ann")
        b.context.sampling_priority = 2
        assert a.context.get_baggage_item("user") == "ann"
        assert a.context.sampling_priority == 2
    assert spans_of(tracer)[0]["metrics"]["_sampling_priority_v1"] == 2


def test_the_context_of_a_span_has_its_ids(tracer: Tracer) -> None:
    """span.context gives the trace id and the span's own id."""
    with tracer.trace("a"), tracer.trace("b") as b:
        assert (b.context.trace_id, b.context.span_id) == (b.trace_id, b.span_id)


def test_priority_and_origin_of_a_remote_parent_go_on(tracer: Tracer) -> None:
    """A local trace below a remote parent sends its priority and, on every span, its origin."""
    remote = Context(trace_id=5, span_id=6, dd_origin="rum", sampling_priority=2)
    tracer.context_provider.activate(remote)
    with tracer.trace("a"), tracer.trace("b"):
        pass
    a, b = spans_of(tracer)
    assert (a["trace_id"], a["parent_id"]) == (5, 6)
    assert a["metrics"]["_sampling_priority_v1"] == 2
    assert a["meta"]["_dd.origin"] == b["meta"]["_dd.origin"] == "rum"


def test_the_origin_of_the_trace_wins(tracer: Tracer) -> None:
    """A span's own tag _dd.origin does not replace the origin of its trace."""
    remote = Context(trace_id=5, span_id=6, dd_origin="rum", sampling_priority=1)
    tracer.context_provider.activate(remote)
    with tracer.trace("a") as a:
        a.set_tag("_dd.origin", "mine")
        with tracer.trace("b") as b:
            b.set_tag("_dd.origin", 1)
    assert [sent["meta"]["_dd.origin"] for sent in spans_of(tracer)] == ["rum", "rum"]


def test_propagated_tags_of_a_remote_parent_go_on_the_first_span(tracer: Tracer) -> None:
    """The _dd.p.* values of a context land on the first span of the chunk; user tags win."""
    remote = Context(
        trace_id=5, span_id=6, sampling_priority=1, meta={"_dd.p.dm": "-3", "_dd.p.usr": "x"}
    )
    tracer.context_provider.activate(remote)
    with tracer.trace("a") as a:
        a.set_tag("_dd.p.usr", "mine")
        with tracer.trace("b"):
            pass
    first, _ = spans_of(tracer)
    assert first["meta"]["_dd.p.dm"] == "-3"
    assert first["meta"]["_dd.p.usr"] == "mine"


def test_a_decision_through_a_joined_thread_reaches_the_root(tracer: Tracer) -> None:
    """manual.drop in a thread that joined by activate(span.context) decides for the whole trace."""

    def work(context: Context) -> None:
        tracer.context_provider.activate(context)
        with tracer.trace("in thread") as span:
            span.set_tag("manual.drop")

    with tracer.trace("root") as root:
        thread = threading.Thread(target=work, args=(root.context,))
        thread.start()
        thread.join()
    priorities = {
        span["name"]: span.get("metrics", {}).get("_sampling_priority_v1")
        for span in spans_of(tracer)
    }
    assert priorities["root"] == -1


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_context_pickles_by_value(tracer: Tracer, protocol: int) -> None:
    """A pickled Context carries ids, priority, origin and baggage, and is independent."""
    context = Context(
        trace_id=2**100, span_id=6, dd_origin="rum", sampling_priority=2, baggage={"user": "ann"}
    )
    copy = pickle.loads(pickle.dumps(context, protocol))
    assert type(copy) is Context
    for name in ("trace_id", "span_id", "dd_origin", "sampling_priority"):
        assert getattr(copy, name) == getattr(context, name)
    copy.set_baggage_item("user", "bob")
    assert context.get_baggage_item("user") == "ann"


def test_the_context_of_a_live_span_pickles(tracer: Tracer) -> None:
    """The context of an open span can be sent to another process and continued there."""
    with tracer.trace("a") as a:
        copy = pickle.loads(pickle.dumps(a.context))
        assert (copy.trace_id, copy.span_id) == (a.trace_id, a.span_id)
        child = tracer.start_span("child", child_of=copy)
        child.finish()
    assert (child.trace_id, child.parent_id) == (a.trace_id, a.span_id)


def test_a_context_outlives_its_span(tracer: Tracer) -> None:
    """A context held after its trace was sent still has its ids and can have children."""
    with tracer.trace("a") as a:
        context = a.context
    trace_id, span_id = a.trace_id, a.span_id
    spans_of(tracer)
    del a
    assert (context.trace_id, context.span_id) == (trace_id, span_id)
    child = tracer.start_span("late", child_of=context)
    child.finish()
    [late] = spans_of(tracer)
    assert late["parent_id"] == span_id
    assert late["trace_id"] == trace_id & (2**64 - 1)


def test_baggage_alone_begins_a_trace_that_has_it(tracer: Tracer) -> None:
    """A Context with baggage but no ids makes a new root that shares the baggage."""
    tracer.context_provider.activate(Context(baggage={"user": "ann"}))
    with tracer.trace("a") as a:
        assert a.parent_id is None
        assert a.trace_id
        assert a.context.get_baggage_item("user") == "ann"
