"""Context: constructor, attributes, baggage, copies; inject and extract."""

import copy
import pickle

from ddtrace.trace import Context, tracer

BIG = 0x640CFD8D00000000ABCDEF0123456789


def case_propagator(say):
    """HTTPPropagator with its two functions.

    covers: 4.1.propagator 4.2.extract 4.2.inject-4x
    """
    from ddtrace.propagation.http import HTTPPropagator

    headers = {}
    HTTPPropagator.inject(Context(trace_id=BIG, span_id=77, sampling_priority=2), headers)
    context = HTTPPropagator.extract(headers)
    say(
        "context",
        (type(context).__name__, context.trace_id, context.span_id, context.sampling_priority),
    )
    empty = HTTPPropagator.extract({})
    say("empty", (empty.trace_id, empty.span_id, empty.sampling_priority))
    say("instance", HTTPPropagator().extract(headers).trace_id == BIG)


def case_inject_span(say):
    """inject takes a span.

    covers: 4.2.inject-4x
    oracle: 4.16
    """
    from ddtrace.propagation.http import HTTPPropagator

    with tracer.trace("root") as root:
        headers = {}
        HTTPPropagator.inject(root, headers)
        say("id", headers["x-datadog-parent-id"] == str(root.span_id))
        say("keys", sorted(headers))


def case_inject_non_active(say):
    """inject with the argument non_active_span of 2.x.

    covers: 4.2.inject-2x
    oracle: 2.21
    """
    from ddtrace.propagation.http import HTTPPropagator

    with tracer.trace("root") as root:
        headers = {}
        HTTPPropagator.inject(root.context, headers, root)
        say("id", headers["x-datadog-parent-id"] == str(root.span_id))
        HTTPPropagator.inject(root.context, headers, non_active_span=root)


def case_context_shared_identity(say):
    """span.context is one object.

    covers: 4.2.span-attributes
    """
    with tracer.trace("span") as span:
        say("same", span.context is span.context)
        say("ids", (span.context.trace_id == span.trace_id, span.context.span_id == span.span_id))


def case_context_constructor(say):
    """Context made by its constructor.

    covers: 4.2.context-constructor 4.2.context-attributes
    """
    context = Context(
        trace_id=BIG,
        span_id=77,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        metrics={"m": 1},
        baggage={"b": "c"},
        is_remote=False,
    )
    say(
        "attributes",
        (
            context.trace_id,
            context.span_id,
            context.dd_origin,
            context.sampling_priority,
            context.dd_user_id,
        ),
    )
    say("baggage", context.get_all_baggage_items())
    empty = Context()
    say(
        "empty",
        (empty.trace_id, empty.span_id, empty.dd_origin, empty.sampling_priority, empty.dd_user_id),
    )
    say(
        "positional",
        (lambda c: (c.trace_id, c.span_id, c.dd_origin, c.sampling_priority))(
            Context(5, 6, "rum", 1)
        ),
    )


def case_context_attributes(say):
    """Context attributes can be written.

    covers: 4.2.context-attributes
    """
    context = Context()
    context.trace_id = 5
    context.span_id = 6
    context.sampling_priority = 1
    context.dd_origin = "rum"
    context.dd_user_id = "me"
    say(
        "values",
        (
            context.trace_id,
            context.span_id,
            context.sampling_priority,
            context.dd_origin,
            context.dd_user_id,
        ),
    )
    context.sampling_priority = None
    context.dd_origin = None
    context.dd_user_id = None
    say("none", (context.sampling_priority, context.dd_origin, context.dd_user_id))


def case_context_user_id(say):
    """dd_user_id is propagated.

    covers: 4.2.context-attributes
    """
    with tracer.trace("root") as root:
        root.context.dd_user_id = "me"
        say("value", root.context.dd_user_id)
        with tracer.trace("child"):
            pass


def case_context_baggage(say):
    """Baggage functions.

    covers: 4.2.context-baggage
    """
    context = Context(trace_id=5, span_id=6)
    say("set", context.set_baggage_item("a", "1"))
    context.set_baggage_item("b", "2")
    context.set_baggage_item("a", "3")
    say("get", (context.get_baggage_item("a"), context.get_baggage_item("missing")))
    say("all", context.get_all_baggage_items())
    context.remove_baggage_item("a")
    say.raises("missing", context.remove_baggage_item, "missing")
    say("removed", context.get_all_baggage_items())
    context.remove_all_baggage_items()
    say("empty", context.get_all_baggage_items())


def case_context_baggage_odd(say):
    """Baggage values are kept as given.

    covers: 4.2.context-baggage
    """
    context = Context()
    for label, value in [("int", 1), ("none", None), ("empty", "")]:
        say.raises(label, context.set_baggage_item, label, value)
        say(f"value {label}", context.get_baggage_item(label))


def case_context_copy(say):
    """Context.copy gives other ids and the same values.

    covers: 4.2.context-copy
    oracle: 4.16
    """
    context = Context(
        trace_id=5,
        span_id=6,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        baggage={"a": "1"},
    )
    other = context.copy(7, 8)
    say("values", (other.trace_id, other.span_id, other.dd_origin, other.sampling_priority))
    say("baggage", other.get_all_baggage_items())
    other.set_baggage_item("b", "2")
    say("shared", context.get_baggage_item("b"))


def case_context_equality(say):
    """Contexts compare by value.

    covers: 4.2.context-attributes
    """
    say("equal", Context(trace_id=5, span_id=6) == Context(trace_id=5, span_id=6))
    say("other", Context(trace_id=5, span_id=6) == Context(trace_id=5, span_id=7))
    say("nothing", Context(trace_id=5, span_id=6) == 5)
    say(
        "priority",
        Context(trace_id=5, span_id=6, sampling_priority=1) == Context(trace_id=5, span_id=6),
    )


def case_context_pickle(say):
    """A Context pickles by value.

    covers: 4.2.context-attributes
    """
    context = Context(
        trace_id=BIG,
        span_id=6,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        baggage={"a": "1"},
    )
    other = pickle.loads(pickle.dumps(context))
    say("equal", other == context)
    say(
        "values",
        (
            other.trace_id,
            other.span_id,
            other.dd_origin,
            other.sampling_priority,
            other.get_all_baggage_items(),
        ),
    )
    with tracer.trace("root") as root:
        again = pickle.loads(pickle.dumps(root.context))
        say("span's", (again.trace_id == root.trace_id, again.span_id == root.span_id))


def case_context_pickled_parent(say):
    """A pickled Context carries its values into another trace part.

    covers: 4.2.context-attributes 2.1.every.p-tags
    """
    context = Context(
        trace_id=123,
        span_id=456,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        baggage={"a": "1"},
    )
    tracer.context_provider.activate(pickle.loads(pickle.dumps(context)))
    with tracer.trace("root") as root:
        say("baggage", root.context.get_baggage_item("a"))
        with tracer.trace("child"):
            pass


def case_context_deepcopy(say):
    """A Context can be copied.

    covers: 4.2.context-attributes
    """
    context = Context(trace_id=BIG, span_id=6, dd_origin="rum", sampling_priority=2)
    other = copy.deepcopy(context)
    say("values", (other == context, other is context))
