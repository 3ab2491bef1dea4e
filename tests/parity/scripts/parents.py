"""Parents, services, activation."""

from ddtrace.trace import Context, tracer


def case_nested(say):
    """trace() takes the active span as parent.

    covers: 4.3.trace 2.1.top.absent 2.1.top.local-root 4.3.trace-id
    """
    with tracer.trace("root") as root:
        with tracer.trace("child") as child:
            with tracer.trace("grandchild") as grandchild:
                say("ids", (child.parent_id == root.span_id, grandchild.parent_id == child.span_id))
                say("trace", root.trace_id == child.trace_id == grandchild.trace_id)
        with tracer.trace("sibling"):
            pass
    say("root parent", root.parent_id)


def case_sequence(say):
    """Traces one after the other are separate.

    covers: 4.3.trace
    """
    ids = set()
    for number in range(3):
        with tracer.trace(f"root{number}") as span:
            ids.add(span.trace_id)
    say("different", len(ids))


def case_trace_not_with(say):
    """trace() activates at the call, finish() deactivates.

    covers: 4.3.trace 4.2.current
    """
    span = tracer.trace("manual")
    say("active", tracer.current_span() is span)
    inner = tracer.trace("inner")
    say("inner", tracer.current_span() is inner)
    inner.finish()
    say("back", tracer.current_span() is span)
    span.finish()
    say("none", tracer.current_span())


def case_start_span_bare(say):
    """start_span alone ignores the active span and does not activate.

    covers: 4.3.start-span-bare 4.2.start-span
    """
    with tracer.trace("active") as active:
        span = tracer.start_span("bare")
        say("parent", span.parent_id)
        say("active", tracer.current_span() is active)
        say("trace", span.trace_id == active.trace_id)
        span.finish()


def case_start_span_with(say):
    """A span from start_span used as a context manager is not active either.

    covers: 4.3.start-span-bare
    """
    with tracer.start_span("with") as span:
        say("active", tracer.current_span())
        with tracer.trace("inner"):
            pass
        say("same", span.name)


def case_start_span_activate(say):
    """start_span(activate=True) becomes active.

    covers: 4.3.start-span-activate 4.2.start-span
    """
    span = tracer.start_span("activated", activate=True)
    say("active", tracer.current_span() is span)
    with tracer.trace("child"):
        pass
    span.finish()
    say("after", tracer.current_span())


def case_child_of_span(say):
    """child_of takes a span.

    covers: 4.3.child-of.types 4.3.trace-id
    """
    root = tracer.start_span("root", service="svc")
    child = tracer.start_span("child", child_of=root)
    grandchild = tracer.start_span("grandchild", child_of=child, service="other")
    say("services", (child.service, grandchild.service))
    grandchild.finish()
    child.finish()
    root.finish()


def case_child_of_context(say):
    """child_of takes a Context.

    covers: 4.3.child-of.types 4.3.service.context-parent 2.1.entry.bare-context
    """
    root = tracer.start_span("root", service="svc")
    child = tracer.start_span("child", child_of=root.context)
    say("service", child.service == root.service)
    say("trace", child.trace_id == root.trace_id)
    child.finish()
    root.finish()


def case_child_of_literal_context(say):
    """child_of a Context made by hand.

    covers: 4.3.child-of.types 2.1.entry.remote 2.1.entry.runtime-id 2.1.entry.process-id
    """
    context = Context(trace_id=123, span_id=456, sampling_priority=2, dd_origin="synthetics")
    child = tracer.start_span("child", child_of=context)
    say("ids", (child.trace_id, child.parent_id))
    inner = tracer.start_span("inner", child_of=child)
    inner.finish()
    child.finish()


def case_child_of_none(say):
    """child_of=None makes a root.

    covers: 4.3.child-of.types
    """
    with tracer.trace("active"):
        span = tracer.start_span("root", child_of=None)
        say("parent", span.parent_id)
        span.finish()


def case_child_of_wrong(say):
    """child_of anything else.

    covers: 4.3.child-of.types
    """
    for label, value in [("int", 5), ("text", "junk"), ("object", object())]:
        say.raises(label, tracer.start_span, "wrong", child_of=value)


def case_service_given(say):
    """A given service wins over the parent's.

    covers: 4.3.service.given 2.1.top.service-change 2.1.every.base-service 4.2.trace
    """
    with tracer.trace("root", service="one"):
        with tracer.trace("child", service="two"):
            with tracer.trace("inherits") as span:
                say("inherits", span.service)
            with tracer.trace("back", service="one"):
                pass


def case_service_parent_current(say):
    """The parent's service counts at the time the child is created.

    covers: 4.3.service.parent
    """
    with tracer.trace("root", service="one") as root:
        with tracer.trace("before") as before:
            pass
        open_child = tracer.trace("open")
        root.service = "two"
        say("open", open_child.service)
        open_child.finish()
        with tracer.trace("after") as after:
            pass
        say("services", (before.service, after.service))


def case_service_none_given(say):
    """An empty service.

    covers: 4.3.service.given
    """
    with tracer.trace("root", service="one"):
        with tracer.trace("empty", service="") as span:
            say("service", span.service)


def case_service_global(say):
    """Without a parent the global service is used.

    covers: 4.3.service.global 2.1.service.env
    env: DD_SERVICE=global-svc
    """
    with tracer.trace("root") as root:
        with tracer.trace("child") as child:
            pass
    bare = tracer.start_span("bare")
    bare.finish()
    say("services", (root.service, child.service, bare.service))


def case_service_from_context(say):
    """A Context parent gives the global service, not the parent's.

    covers: 4.3.service.context-parent
    env: DD_SERVICE=global-svc
    """
    root = tracer.start_span("root", service="mine")
    child = tracer.start_span("child", child_of=root.context)
    remote = tracer.start_span("remote", child_of=Context(trace_id=11, span_id=12))
    say("services", (child.service, remote.service))
    remote.finish()
    child.finish()
    root.finish()


def case_resource(say):
    """resource defaults to the name and does not follow it.

    covers: 4.3.resource
    """
    with tracer.trace("name") as span:
        say("resource", span.resource)
        span.name = "renamed"
        say("after", (span.name, span.resource))
    with tracer.trace("given", resource="GET /") as span:
        say("given", span.resource)


def case_resource_none_later(say):
    """resource set to None after the start.

    covers: 4.3.resource
    """
    with tracer.trace("resource-none") as span:
        span.resource = None
        say("resource", span.resource)


def case_span_type(say):
    """span_type is not inherited.

    covers: 4.3.span-type
    """
    with tracer.trace("root", span_type="web") as root:
        with tracer.trace("child") as child:
            say("types", (root.span_type, child.span_type))
        with tracer.trace("typed", span_type="sql"):
            pass


def case_top_level_late(say):
    """Renaming the parent's service before the child finishes makes the child top level.

    covers: 4.3.top-level-late
    """
    with tracer.trace("root", service="one") as root:
        child = tracer.trace("child")
        root.service = "two"
        child.finish()
        late = tracer.trace("late")
        late.service = "three"
        late.finish()


def case_top_level_renamed_to_parent(say):
    """A child renamed to its parent's service is not top level.

    covers: 4.3.top-level-late 2.1.top.service-change
    """
    with tracer.trace("root", service="one"):
        with tracer.trace("child", service="two") as child:
            child.service = "one"
        with tracer.trace("same", service="one"):
            pass


def case_top_level_after_finish(say):
    """Services renamed after the child finished change nothing about its top level.

    covers: 4.3.top-level-late
    """
    with tracer.trace("root", service="one") as root:
        with tracer.trace("different", service="two") as different:
            pass
        different.service = "one"
        with tracer.trace("same"):
            pass
        with tracer.trace("other", service="two"):
            pass
        root.service = "two"


def case_top_level_renamed_sent_parent(say):
    """A parent renamed after its trace was sent.

    covers: 4.3.top-level-late
    """
    root = tracer.start_span("root", service="one")
    root.finish()
    child = tracer.start_span("child", child_of=root, service="one")
    root.service = "two"
    child.finish()


def case_top_level_detached(say):
    """Top level of spans made by start_span with child_of.

    covers: 2.1.top.local-root 2.1.top.service-change
    """
    root = tracer.start_span("root", service="one")
    same = tracer.start_span("same", child_of=root, service="one")
    other = tracer.start_span("other", child_of=root, service="two")
    context = tracer.start_span("context", child_of=root.context, service="one")
    for span in (context, other, same, root):
        span.finish()


def case_baggage_shared(say):
    """Baggage is one set for parent and child.

    covers: 4.3.baggage-shared 4.2.context-baggage
    """
    with tracer.trace("root") as root:
        root.context.set_baggage_item("a", "1")
        with tracer.trace("child") as child:
            say("child", child.context.get_baggage_item("a"))
            child.context.set_baggage_item("b", "2")
            say("child all", child.context.get_all_baggage_items())
        say("root", root.context.get_baggage_item("b"))
        say("root all", root.context.get_all_baggage_items())


def case_deep(say):
    """A chain of five hundred spans.

    covers: 4.3.trace 4.7.chunk-order
    env: DD_TRACE_PARTIAL_FLUSH_ENABLED=false
    """
    spans = [tracer.trace(f"s{number}") for number in range(500)]
    for span in reversed(spans):
        span.finish()
    say("active", tracer.current_span())


def case_span_api(say):
    """span_api is accepted by trace and start_span.

    covers: 4.2.trace 4.2.start-span
    """
    with tracer.trace("trace", "svc", "res", "web", "datadog") as span:
        say("trace", (span.service, span.resource, span.span_type))
    span = tracer.start_span("start", None, "svc", "res", "web", True, "otel")
    say("start", (span.service, span.resource, span.span_type, tracer.current_span() is span))
    span.finish()


def case_unknown_keyword(say):
    """An unknown keyword is a TypeError.

    covers: 4.2.unknown-keyword
    """
    say.raises("trace", tracer.trace, "x", nonsense=1)
    say.raises("start_span", tracer.start_span, "x", nonsense=1)
    say.raises("wrap", tracer.wrap, nonsense=1)
    say.raises("no name", tracer.trace)
    say.raises("Context", Context, nonsense=1)
    span = tracer.start_span("x")
    say.raises("finish", span.finish, nonsense=1)
    say.raises("set_tag", span.set_tag, "a", "b", "c")
    span.finish()
