"""Filters and hooks."""

import logging

from ddtrace.trace import Context, TraceFilter, tracer

logging.disable(logging.CRITICAL)


class Recorder(TraceFilter):
    """Notes what it sees."""

    def __init__(self, say):
        self.say = say

    def process_trace(self, trace):
        """Note names and some values."""
        self.say("type", type(trace).__name__)
        self.say("names", [span.name for span in trace])
        return trace


class Function(TraceFilter):
    """Calls a function."""

    def __init__(self, function):
        self.function = function

    def process_trace(self, trace):
        """Whatever the function gives."""
        return self.function(trace)


def _family():
    with tracer.trace("root") as root:
        with tracer.trace("child"):
            pass
        with tracer.trace("foreign", service="foreign"):
            pass
    return root


def case_sees(say):
    """A filter sees the finished spans in creation order.

    covers: 4.7.filter.register 4.7.chunk-order
    alone: yes
    """
    tracer.configure(trace_processors=[Recorder(say)])
    _family()
    a, b = tracer.trace("a"), tracer.trace("b")
    a.finish()
    b.finish()


def case_drop(say):
    """None drops the chunk.

    covers: 4.7.filter.drop
    alone: yes
    """
    tracer.configure(
        trace_processors=[Function(lambda trace: None if trace[0].name == "health" else trace)]
    )
    with tracer.trace("health"):
        with tracer.trace("child"):
            pass
    _family()


def case_drop_empty(say):
    """An empty list.

    covers: 4.7.filter.drop
    alone: yes
    """
    tracer.configure(
        trace_processors=[Function(lambda trace: [] if trace[0].name == "health" else trace)]
    )
    with tracer.trace("health"):
        pass
    _family()


def case_edit(say):
    """A filter may edit spans.

    covers: 4.7.filter.edit
    alone: yes
    """

    def edit(trace):
        for span in trace:
            span.set_tag("filtered", "yes")
            span.set_metric("filtered.number", 1)
            span.resource = span.resource.upper()
        trace[0].service = "renamed"
        return trace

    tracer.configure(trace_processors=[Function(edit)])
    _family()


def case_remove_spans(say):
    """A filter may take spans out.

    covers: 4.7.filter.edit
    alone: yes
    """
    tracer.configure(
        trace_processors=[Function(lambda trace: [span for span in trace if span.name != "child"])]
    )
    _family()


def case_remove_first(say):
    """The chunk keys go on what is then the first span.

    covers: 4.7.filter.edit 2.1.first.index0
    alone: yes
    oracle: 4.16
    """
    tracer.configure(trace_processors=[Function(lambda trace: trace[1:])])
    _family()


def case_reorder(say):
    """A filter may change the order.

    covers: 4.7.filter.edit 2.1.first.index0
    alone: yes
    oracle: 4.16
    """
    tracer.configure(trace_processors=[Function(lambda trace: trace[::-1])])
    _family()


def case_add_span(say):
    """A filter may add a span.

    covers: 4.7.filter.edit
    alone: yes
    """
    from ddtrace.trace import Span

    def add(trace):
        extra = Span(
            "extra", trace_id=trace[0].trace_id, parent_id=trace[0].span_id, service="extra"
        )
        extra.finish()
        return [*trace, extra]

    tracer.configure(trace_processors=[Function(add)])
    _family()


def case_raises(say):
    """A filter that raises leaves the chunk as it is.

    covers: 4.7.filter.raise
    alone: yes
    """

    def broken(trace):
        raise ValueError("filter")

    tracer.configure(trace_processors=[Function(broken)])
    _family()
    say("alive", True)


def case_raises_between(say):
    """The filters after one that raised still run.

    covers: 4.7.filter.raise
    alone: yes
    """

    def broken(trace):
        trace[0].set_tag("half", "done")
        raise ValueError("filter")

    def mark(trace):
        trace[0].set_tag("marked", "yes")
        return trace

    tracer.configure(trace_processors=[Function(broken), Function(mark)])
    _family()


def case_several(say):
    """Filters run in order, and a drop ends the row.

    covers: 4.7.filter.register 4.7.filter.drop
    alone: yes
    """

    def one(trace):
        trace[0].set_tag("one", "1")
        return trace

    def two(trace):
        say("two sees", trace[0].get_tag("one"))
        return None if trace[0].name == "dropped" else trace

    def three(trace):
        say("three sees", trace[0].name)
        return trace

    tracer.configure(trace_processors=[Function(one), Function(two), Function(three)])
    _family()
    with tracer.trace("dropped"):
        pass


def case_replaced(say):
    """A later configure replaces the filters.

    covers: 4.7.filter.register
    alone: yes
    """

    def mark(name):
        def function(trace):
            trace[0].set_tag(name, "yes")
            return trace

        return Function(function)

    tracer.configure(trace_processors=[mark("first")])
    tracer.configure(trace_processors=[mark("second")])
    _family()


def case_not_a_trace_filter(say):
    """Any object with process_trace will do.

    covers: 4.7.filter.register
    alone: yes
    """

    class Duck:
        """Only the method."""

        def process_trace(self, trace):
            trace[0].set_tag("duck", "yes")
            return trace

    say.raises("configure", tracer.configure, trace_processors=[Duck()])
    _family()


def case_order(say):
    """Filters run before the decision and the chunk tags.

    covers: 4.7.filter.order 4.7.filter.base-service
    alone: yes
    """

    def look(trace):
        root = trace[0]
        say("priority", root.context.sampling_priority)
        say("metric", root.get_metric("_sampling_priority_v1"))
        say("language", root.get_tag("language"))
        say("runtime-id", root.get_tag("runtime-id") is not None)
        say("top level", root.get_metric("_dd.top_level"))
        say("base service", trace[2].get_tag("_dd.base_service"))
        return trace

    tracer.configure(trace_processors=[Function(look)])
    _family()


def case_decides(say):
    """A filter may make the decision.

    covers: 4.7.filter.order
    alone: yes
    oracle: 4.16
    """

    def keep(trace):
        trace[0].set_tag("manual.keep")
        return trace

    def rename(trace):
        trace[0].service = "filtered"
        return trace

    tracer.configure(trace_processors=[Function(keep), Function(rename)])
    _family()


def case_partial(say):
    """Filters see each partial chunk.

    covers: 4.7.filter.register 4.7.partial.min
    alone: yes
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2
    """
    tracer.configure(trace_processors=[Recorder(say)])
    with tracer.trace("root"):
        for number in range(4):
            with tracer.trace(f"child{number}"):
                pass


def case_remote(say):
    """Filters see continued traces with their priority.

    covers: 4.7.filter.order
    alone: yes
    """

    def look(trace):
        say("priority", trace[0].context.sampling_priority)
        return trace

    tracer.configure(trace_processors=[Function(look)])
    tracer.context_provider.activate(Context(trace_id=123, span_id=456, sampling_priority=2))
    _family()


def case_settings(say):
    """2.x registers filters through settings.

    covers: 4.7.filter.register-2x
    alone: yes
    oracle: 2.21
    """

    def mark(trace):
        trace[0].set_tag("marked", "yes")
        return None if trace[0].name == "health" else trace

    tracer.configure(settings={"FILTERS": [Function(mark)]})
    with tracer.trace("health"):
        pass
    _family()


def case_start_hooks(say):
    """on_start_span functions get every new span.

    covers: 4.6.start-hooks 4.2.start-hooks
    alone: yes
    oracle: 2.21
    """
    seen = []

    @tracer.on_start_span
    def hook(span):
        seen.append(
            (
                span.name,
                span.service,
                span.parent_id is not None,
                getattr(tracer.current_span(), "name", None),
            )
        )
        span.set_tag("hooked", "yes")

    say("returned", hook.__name__)
    _family()
    tracer.start_span("bare").finish()
    say("seen", [(name, parent) for name, _, parent, _ in seen])
    say("active", [active for _, _, _, active in seen])
    tracer.deregister_on_start_span(hook)
    with tracer.trace("after"):
        pass
    say("count", len(seen))


def case_start_hook_raises(say):
    """A start hook that raises.

    covers: 4.6.start-hooks
    alone: yes
    oracle: 2.21
    """

    @tracer.on_start_span
    def hook(span):
        raise ValueError("hook")

    say.raises("trace", lambda: tracer.trace("root").finish())
    tracer.deregister_on_start_span(hook)


def case_start_hooks_several(say):
    """Several start hooks.

    covers: 4.6.start-hooks
    alone: yes
    oracle: 2.21
    """
    seen = []
    first = tracer.on_start_span(lambda span: seen.append(("first", span.name)))
    tracer.on_start_span(lambda span: seen.append(("second", span.name)))
    tracer.trace("one").finish()
    tracer.deregister_on_start_span(first)
    tracer.trace("two").finish()
    say("seen", sorted(seen))
