"""Finish: order, times, callbacks."""

import threading

from ddtrace.trace import Span, tracer

EPOCH_S = 1500000000


def case_twice(say):
    """The second finish does nothing.

    covers: 4.4.twice
    """
    calls = []
    span = Span("twice", on_finish=[calls.append])
    span.finish()
    first = span.duration_ns
    span.finish(finish_time=EPOCH_S)
    say("same", span.duration_ns == first)
    say("calls", len(calls))
    with tracer.trace("root") as root:
        root.finish()
        duration = root.duration
        say("finished", root.finished)
    say("with", root.duration == duration)


def case_twice_child(say):
    """A child finished twice is sent once.

    covers: 4.4.twice
    """
    root = tracer.trace("root")
    child = tracer.trace("child")
    child.finish()
    child.finish()
    root.finish()
    root.finish()
    say("active", tracer.current_span())


def case_finish_time(say):
    """finish_time is epoch seconds.

    covers: 4.4.finish-time 4.4.units 4.2.span-attributes
    """
    span = tracer.start_span("timed")
    span.start = EPOCH_S
    span.finish(finish_time=EPOCH_S + 100.5)
    say("seconds", (span.start, span.duration))
    say("nanoseconds", (span.start_ns, span.duration_ns))
    say(
        "types",
        (
            type(span.start).__name__,
            type(span.duration).__name__,
            type(span.start_ns).__name__,
            type(span.duration_ns).__name__,
        ),
    )


def case_finish_time_int(say):
    """finish_time may be an int, and positional.

    covers: 4.4.finish-time
    """
    span = tracer.start_span("timed")
    span.start = EPOCH_S
    span.finish(EPOCH_S + 100)
    say("duration", (span.duration, span.duration_ns))


def case_finish_time_zero(say):
    """finish_time=0 is a time like any other.

    covers: 4.4.finish-time
    """
    span = tracer.start_span("timed")
    span.start = 100
    span.finish(finish_time=0)
    say("duration", span.duration_ns)


def case_units(say):
    """duration is None until finished.

    covers: 4.4.units 4.2.span-attributes
    """
    span = tracer.start_span("units")
    say("open", (span.duration, span.duration_ns, span.finished))
    say("start", (abs(span.start - span.start_ns / 1e9) < 1e-3, type(span.start).__name__))
    span.finish()
    say(
        "closed",
        (
            span.duration >= 0,
            span.duration_ns >= 0,
            span.finished,
            abs(span.duration - span.duration_ns / 1e9) < 1e-6,
        ),
    )


def case_negative(say):
    """A negative duration is kept.

    covers: 4.4.negative
    """
    span = tracer.start_span("negative")
    span.start = EPOCH_S
    span.finish(finish_time=EPOCH_S - 100)
    say("duration", span.duration)


def case_start_setter(say):
    """start is writable in seconds, start_ns in nanoseconds.

    covers: 4.2.span-attributes
    """
    span = tracer.start_span("start")
    span.start = EPOCH_S + 0.5
    say("start", (span.start, span.start_ns))
    span.start_ns = EPOCH_S * 10**9 + 7
    say("start_ns", (span.start, span.start_ns))
    span.finish(finish_time=EPOCH_S + 100)
    say("duration", span.duration_ns)


def case_start_setter_after_finish(say):
    """start and duration changed after finish, while the trace is open, are sent.

    covers: 4.2.span-attributes
    """
    with tracer.trace("root"):
        with tracer.trace("child") as child:
            pass
        child.start = EPOCH_S
        child.duration = 100.5
        say("child", (child.start_ns, child.duration_ns, child.duration))


def case_duration_setter(say):
    """duration set before finish.

    covers: 4.4.duration-setter
    alone: yes
    """
    span = tracer.start_span("duration")
    span.duration = 100
    say("set", (span.duration, span.duration_ns, span.finished))
    span.finish()
    say("finished", (span.duration, span.finished))


def case_finished_setter(say):
    """finished is a property of the duration.

    covers: 4.4.finished-setter
    oracle: 2.21
    alone: yes
    """
    span = tracer.start_span("finished")
    say.raises("set", setattr, span, "finished", True)
    say("finished", span.finished)
    span.finish()


def case_parent_first(say):
    """A parent may finish before its child; the chunk waits for both.

    covers: 4.4.parent-first
    """
    parent = tracer.trace("parent")
    child = tracer.trace("child")
    parent.finish()
    say("active", tracer.current_span() is child)
    say("root", getattr(tracer.current_root_span(), "name", None))
    with tracer.trace("grandchild") as grandchild:
        say("parent", grandchild.parent_id == child.span_id)
    child.finish()
    say("end", tracer.current_span())


def case_child_of_finished_parent(say):
    """A child created from a finished parent while the trace is open.

    covers: 4.4.parent-first
    """
    root = tracer.trace("root")
    parent = tracer.trace("parent")
    parent.finish()
    child = tracer.start_span("child", child_of=parent)
    say("parent", child.parent_id == parent.span_id)
    child.finish()
    root.finish()


def case_any_order(say):
    """Out-of-order finishes give one chunk in creation order.

    covers: 4.4.any-order 4.7.chunk-order 2.1.first.index0
    """
    spans = [tracer.trace(name) for name in "abcde"]
    for index in (2, 0, 4, 1, 3):
        spans[index].finish()
        say(f"after {spans[index].name}", getattr(tracer.current_span(), "name", None))


def case_any_order_detached(say):
    """The same with spans that were never active.

    covers: 4.4.any-order 4.7.chunk-order
    """
    root = tracer.start_span("root")
    children = [tracer.start_span(f"child{n}", child_of=root) for n in range(4)]
    root.finish()
    for child in reversed(children):
        child.finish()


def case_interleaved_traces(say):
    """Two traces that overlap are sent apart.

    covers: 4.4.any-order
    """
    one = tracer.start_span("one")
    two = tracer.start_span("two")
    one_child = tracer.start_span("one.child", child_of=one)
    two_child = tracer.start_span("two.child", child_of=two)
    one.finish()
    two_child.finish()
    two.finish()
    one_child.finish()


def case_late_child(say):
    """A child of a trace that was already sent makes a new chunk with the same decision.

    covers: 4.4.late-child 4.7.several-chunks 2.1.first.priority 2.1.first.dm
    """
    root = tracer.start_span("root")
    root.finish()
    tracer.flush()
    late = tracer.start_span("late", child_of=root)
    say("trace", late.trace_id == root.trace_id)
    say("priority", late.context.sampling_priority)
    inner = tracer.start_span("inner", child_of=late)
    inner.finish()
    late.finish()


def case_late_child_kept(say):
    """The late chunk has the manual decision too.

    covers: 4.4.late-child
    """
    root = tracer.start_span("root")
    root.set_tag("manual.keep")
    root.finish()
    late = tracer.start_span("late", child_of=root)
    late.finish()


def case_late_child_of_context(say):
    """A late child through the context.

    covers: 4.4.late-child
    """
    root = tracer.start_span("root")
    root.finish()
    late = tracer.start_span("late", child_of=root.context)
    late.finish()


def case_active_after_trace(say):
    """After the whole trace finished nothing is active.

    covers: 4.4.any-order 4.3.active-walk
    """
    a = tracer.trace("a")
    b = tracer.trace("b")
    a.finish()
    b.finish()
    say("span", tracer.current_span())
    with tracer.trace("next") as span:
        say("parent", span.parent_id)


def case_ancestors(say):
    """finish_with_ancestors finishes the span and all above it.

    covers: 4.4.ancestors 4.2.span-2x
    oracle: 2.21
    """
    a = tracer.trace("a")
    b = tracer.trace("b")
    c = tracer.trace("c")
    c.finish_with_ancestors()
    say("finished", (a.finished, b.finished, c.finished))
    say("active", tracer.current_span())


def case_unfinished(say):
    """Spans that never finish are not sent, and hold back their trace.

    covers: 4.4.unfinished 4.4.unfinished-warning
    alone: yes
    """
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    child.finish()
    other = tracer.start_span("other")
    other.finish()
    tracer.flush()
    say("open", root.finished)
    globals()["kept"] = root


def case_on_finish(say):
    """Callbacks run after the duration is set.

    covers: 4.4.on-finish 4.2.span-constructor
    """
    seen = []
    span = Span(
        "callback",
        on_finish=[
            lambda s: seen.append((s.name, s.duration is not None, s.finished)),
            lambda s: seen.append("second"),
        ],
    )
    span.finish()
    say("seen", seen)


def case_on_finish_raises(say):
    """A callback that raises.

    covers: 4.4.on-finish-raises
    """

    def broken(span):
        raise ValueError("callback")

    span = Span("broken", on_finish=[broken])
    say.raises("finish", span.finish)
    say("finished", span.finished)


def case_with_returns_span(say):
    """with gives the span itself.

    covers: 4.2.span-methods
    """
    span = tracer.start_span("span")
    with span as inner:
        say("same", inner is span)
    say("finished", span.finished)


def case_exit_returns_none(say):
    """__enter__ and __exit__ can be called by hand.

    covers: 4.2.span-methods
    """
    span = tracer.trace("span")
    say("enter", span.__enter__() is span)
    say("exit", span.__exit__(None, None, None))
    say("finished", span.finished)


def case_nested_with_same_span(say):
    """A span entered twice is finished at the first exit.

    covers: 4.4.twice
    """
    span = tracer.trace("span")
    with span:
        with span:
            pass
        say("finished", span.finished)


def case_finish_in_thread(say):
    """A span may be finished by another thread.

    covers: 4.4.any-order
    """
    root = tracer.trace("root")
    child = tracer.trace("child")
    thread = threading.Thread(target=child.finish)
    thread.start()
    thread.join()
    say("active", tracer.current_span() is root)
    root.finish()


def case_single_child_sent_with_root(say):
    """Nothing is sent before the trace is complete.

    covers: 4.7.flush
    """
    root = tracer.trace("root")
    with tracer.trace("child"):
        pass
    tracer.flush()
    other = tracer.start_span("other")
    other.finish()
    tracer.flush()
    root.finish()
