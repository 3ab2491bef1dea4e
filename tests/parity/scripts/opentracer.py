"""The OpenTracing face: spans, scopes, references and carriers.

oracle: 2.21
"""

import ddtrace
import opentracing
from ddtrace.opentracer import Tracer
from ddtrace.opentracer.span_context import SpanContext
from ddtrace.trace import tracer as native
from opentracing import Format

tracer = Tracer("ot-service")


def ids(context):
    """Ids of an OpenTracing span context."""
    return context._dd_context.trace_id, context._dd_context.span_id


def case_start_span(say):
    """start_span makes a root with the tracer's service; finish sends it.

    covers: 9.start-span 9.service
    """
    span = tracer.start_span("operation")
    say("finished", span.finished)
    say("active", tracer.active_span)
    span.finish()
    say("finished", span.finished)


def case_service_always(say):
    """The service is the tracer's, whatever the parent's is.

    covers: 9.service
    """
    with native.trace("native", service="other"):
        with tracer.start_active_span("child"):
            with native.trace("inner"):
                pass


def case_start_active_span(say):
    """start_active_span makes a span the parent of those begun inside.

    covers: 9.start-active-span 9.active.lookup
    """
    with tracer.start_active_span("parent") as scope:
        say("active", tracer.active_span is scope.span)
        say("manager", tracer.scope_manager.active is scope)
        with tracer.start_active_span("child"):
            tracer.start_span("grandchild").finish()
    say("after", tracer.active_span)


def case_not_finished_on_close(say):
    """finish_on_close=False leaves the span open when its scope ends.

    covers: 9.start-active-span.finish-on-close
    """
    with tracer.start_active_span("span", finish_on_close=False) as scope:
        pass
    say("finished", scope.span.finished)
    say("native", native.current_span() is not None)
    scope.span.finish()


def case_ignore_active_span(say):
    """ignore_active_span begins a new trace.

    covers: 9.ignore-active
    """
    with tracer.start_active_span("outer"):
        with tracer.start_active_span("apart", ignore_active_span=True):
            pass
        tracer.start_span("apart too", ignore_active_span=True).finish()


def case_child_of_span(say):
    """child_of a Span wins over the active one and passes baggage on.

    covers: 9.child-of.span 9.baggage.child-of-span
    """
    parent = tracer.start_span("parent")
    parent.set_baggage_item("user", "ada")
    with tracer.start_active_span("active"):
        child = tracer.start_span("child", child_of=parent)
    say("baggage", child.get_baggage_item("user"))
    child.finish()
    parent.finish()


def case_child_of_context(say):
    """child_of a SpanContext makes a child of the same trace.

    covers: 9.child-of.context
    """
    parent = tracer.start_span("parent")
    tracer.start_span("child", child_of=parent.context).finish()
    parent.finish()


def case_child_of_context_baggage(say):
    """Baggage of a SpanContext and its child.

    covers: 9.baggage.child-of-context
    """
    parent = tracer.start_span("parent")
    parent.set_baggage_item("user", "ada")
    child = tracer.start_span("child", child_of=parent.context)
    say("baggage", child.get_baggage_item("user"))
    child.finish()
    parent.finish()


def case_child_of_remote(say):
    """child_of a context that came from elsewhere.

    covers: 9.child-of.context
    """
    context = SpanContext(trace_id=123456, span_id=654321, sampling_priority=2)
    tracer.start_span("child", child_of=context).finish()


def case_child_of_wrong(say):
    """child_of something else is ignored.

    covers: 9.child-of.wrong
    """
    with tracer.start_active_span("active"):
        span = say.raises("string", tracer.start_span, "span", child_of="parent")
        span.finish()


def case_child_of_wrong_testing(say):
    """child_of something else raises where mistakes are to raise.

    covers: 9.child-of.wrong
    env: DD_TESTING_RAISE=true
    """
    say.raises("string", tracer.start_span, "span", child_of="parent")


def case_reference_child_of(say):
    """A CHILD_OF reference names the parent.

    covers: 9.references.first
    """
    parent = tracer.start_span("parent")
    reference = opentracing.child_of(parent.context)
    tracer.start_span("child", references=[reference]).finish()
    parent.finish()


def case_reference_follows_from(say):
    """A FOLLOWS_FROM reference names the parent as well.

    covers: 9.references.first
    """
    parent = tracer.start_span("parent")
    reference = opentracing.follows_from(parent.context)
    tracer.start_span("child", references=[reference]).finish()
    parent.finish()


def case_references(say):
    """Of several references the first one names the parent.

    covers: 9.references.first
    """
    first, second = tracer.start_span("first"), tracer.start_span("second")
    references = [opentracing.child_of(first.context), opentracing.child_of(second.context)]
    tracer.start_span("child", references=references).finish()
    first.finish()
    second.finish()


def case_references_mixed(say):
    """A FOLLOWS_FROM before a CHILD_OF.

    covers: 9.references.first
    """
    first, second = tracer.start_span("first"), tracer.start_span("second")
    references = [opentracing.follows_from(first.context), opentracing.child_of(second.context)]
    tracer.start_span("child", references=references).finish()
    first.finish()
    second.finish()


def case_references_and_child_of(say):
    """child_of goes before references.

    covers: 9.references.first 9.child-of.span
    """
    first, second = tracer.start_span("first"), tracer.start_span("second")
    references = [opentracing.child_of(first.context)]
    tracer.start_span("child", child_of=second, references=references).finish()
    first.finish()
    second.finish()


def case_times(say):
    """start_time and finish_time are seconds since the epoch.

    covers: 9.start-time 9.span.finish
    """
    span = tracer.start_span("span", start_time=1500000000.25)
    span.finish(1500000100.5)
    span.finish(1500000200.5)
    say("start", span._dd_span.start)
    say("duration", span._dd_span.duration)


def case_tags_at_start(say):
    """Tags given at the start are set as by set_tag.

    covers: 9.start-span.tags
    """
    tags = {"resource.name": "GET /", "http.method": "GET", "count": 3}
    tracer.start_span("span", tags=tags).finish()


def case_nesting(say):
    """Native and OpenTracing spans are each other's parents.

    covers: 9.active.newer
    """
    with native.trace("native 1"):
        with tracer.start_active_span("ot 1"):
            with native.trace("native 2"):
                with tracer.start_active_span("ot 2"):
                    pass
                tracer.start_span("ot 3").finish()
        with native.trace("native 3"):
            pass
    with tracer.start_active_span("ot 4"):
        native.trace("native 4").finish()
        tracer.start_span("ot 5").finish()


def case_active_span_native(say):
    """active_span shows the native span where OpenTracing has none.

    covers: 9.active-span.native
    """
    with native.trace("native") as span:
        shown = tracer.active_span
        say("name", shown._dd_span.name)
        say("same", shown._dd_span is span)
        shown.set_tag("seen", "yes")


def case_active_span_beneath_native(say):
    """active_span inside of a native span that is inside of a scope.

    covers: 9.active-span.native
    """
    with tracer.start_active_span("ot"):
        with native.trace("native"):
            say("name", tracer.active_span._dd_span.name)


def case_activate(say):
    """The scope manager's activate makes a span the native parent as well.

    covers: 9.scope.activate
    """
    span = tracer.start_span("span")
    with tracer.scope_manager.activate(span, False) as scope:
        say("active", tracer.active_span is span)
        say("scope", scope.span is span)
        with tracer.start_active_span("child"):
            pass
    say("finished", span.finished)
    span.finish()


def case_activate_native_child(say):
    """A native span begun under an activated one is its child.

    covers: 9.scope.activate
    """
    span = tracer.start_span("span")
    with tracer.scope_manager.activate(span, True):
        with native.trace("child"):
            pass
    say("finished", span.finished)


def case_inject(say):
    """inject writes the headers of the trace, in TEXT_MAP as in HTTP_HEADERS.

    covers: 9.inject.formats 9.inject.styles
    """
    context = SpanContext(trace_id=123456, span_id=654321, sampling_priority=2)
    for carrier_format in (Format.HTTP_HEADERS, Format.TEXT_MAP):
        carrier = {}
        tracer.inject(context, carrier_format, carrier)
        say(carrier_format, sorted(carrier.items()))


def case_inject_styles(say):
    """inject writes all configured styles.

    covers: 9.inject.styles
    env: DD_TRACE_PROPAGATION_STYLE=b3multi,datadog
    """
    context = SpanContext(trace_id=123456, span_id=654321, sampling_priority=1)
    carrier = {}
    tracer.inject(context, Format.HTTP_HEADERS, carrier)
    say("names", sorted(carrier))
    say("parent", carrier["X-B3-SpanId" if "X-B3-SpanId" in carrier else "x-b3-spanid"])


def case_baggage_headers(say):
    """Baggage goes as ot-baggage-<key> and comes back.

    covers: 9.inject.baggage
    """
    context = SpanContext(trace_id=123456, span_id=654321, baggage={"userId": "ada", "plan": "x"})
    carrier = {}
    tracer.inject(context, Format.HTTP_HEADERS, carrier)
    say("baggage", sorted(item for item in carrier.items() if item[0].startswith("ot-baggage-")))
    back = tracer.extract(Format.HTTP_HEADERS, carrier)
    say("ids", ids(back))
    say("back", sorted(back.baggage.items()))


def case_extract(say):
    """extract returns a SpanContext of what is in the headers.

    covers: 9.extract
    """
    carrier = {
        "x-datadog-trace-id": "123456",
        "x-datadog-parent-id": "654321",
        "x-datadog-sampling-priority": "2",
    }
    context = tracer.extract(Format.TEXT_MAP, carrier)
    say("ids", ids(context))
    say("priority", context._dd_context.sampling_priority)
    tracer.start_span("child", child_of=context).finish()


def case_extract_nothing(say):
    """extract from a carrier without a trace gives a context without ids.

    covers: 9.extract.nothing
    """
    context = tracer.extract(Format.TEXT_MAP, {"unrelated": "x"})
    say("ids", ids(context))
    say("baggage", context.baggage)
    tracer.start_span("span", child_of=context).finish()


def case_extract_activates(say):
    """Whether extract makes what it found the active trace.

    covers: 9.extract.activates
    """
    carrier = {"x-datadog-trace-id": "123456", "x-datadog-parent-id": "654321"}
    tracer.extract(Format.TEXT_MAP, carrier)
    with native.trace("span"):
        pass


def case_extract_corrupted(say):
    """Headers that are no ids.

    covers: 9.extract.corrupted
    """
    carrier = {"x-datadog-trace-id": "one", "x-datadog-parent-id": "two"}
    say.raises("corrupted", tracer.extract, Format.TEXT_MAP, carrier)


def case_formats(say):
    """Which formats there are.

    covers: 9.formats
    """
    context = SpanContext(trace_id=123456, span_id=654321)
    say.raises("unknown", tracer.inject, context, "smoke signals", {})
    say.raises("unknown out", tracer.extract, "smoke signals", {})
    say.raises("binary", tracer.inject, context, Format.BINARY, bytearray())
    say.raises("binary out", tracer.extract, Format.BINARY, bytearray())


def case_carriers(say):
    """What is no dict is no carrier.

    covers: 9.carriers
    """
    context = SpanContext(trace_id=123456, span_id=654321)
    for carrier in (None, "text", [], b"", 7):
        say.raises(f"in {carrier!r}", tracer.inject, context, Format.TEXT_MAP, carrier)
        say.raises(f"out {carrier!r}", tracer.extract, Format.TEXT_MAP, carrier)


def case_set_global_tracer(say):
    """set_global_tracer sets OpenTracing's tracer and the library's own.

    covers: 9.set-global-tracer
    alone: yes
    """
    from ddtrace.opentracer import set_global_tracer

    set_global_tracer(tracer)
    say("opentracing", opentracing.tracer is tracer)
    say("own", ddtrace.tracer is tracer._dd_tracer)
    with opentracing.tracer.start_active_span("span"):
        pass


def case_log_correlation(say):
    """get_log_correlation_context is the native tracer's.

    covers: 9.log-correlation
    """
    with tracer.start_active_span("span"):
        said = tracer.get_log_correlation_context()
        say("same", said == native.get_log_correlation_context() and bool(said))
