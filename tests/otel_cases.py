"""What a program can do with OpenTelemetry's API, case by case: for `test_otel_contract.py`.

A case is a function of a tracer, or of a provider. It returns what the API let it see.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable
from typing import Any

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

REMOTE = SpanContext(1 << 90 | 5, 7, True, TraceFlags(1), TraceState([("vendor", "x")]))
EXPLICIT_NS = 1_700_000_000_000_000_000
CASES: list[Callable[[Any], Any]] = []


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add a case."""
    CASES.append(function)
    return function


def facts(span: Any) -> list[Any]:
    """What the API says of a span, without ids."""
    found = span.get_span_context()
    flags = (bool(found.trace_flags.sampled), found.is_remote)
    return [span.is_recording(), found.is_valid, flags, isinstance(span, trace.Span)]


# -- the tracer ------------------------------------------------------------------------------------


@case
def life_of_a_span(tracer: Any) -> Any:
    """Begin, end, end again."""
    span = tracer.start_span("s")
    before = facts(span)
    return [before, span.end(), facts(span), span.end(end_time=5), facts(span)]


@case
def every_argument(tracer: Any) -> Any:
    """All arguments of start_span, by name and by position."""
    links = [Link(REMOTE, {"why": "test", "n": 1, "b": True, "list": ["a", "b"]})]
    attributes = {"s": "v", "i": 1, "f": 1.5, "b": True, "l": ["a", "b"], "n": (1, 2)}
    named = tracer.start_span(
        "named",
        context=Context(),
        kind=SpanKind.CLIENT,
        attributes=attributes,
        links=links,
        start_time=EXPLICIT_NS,
        record_exception=True,
        set_status_on_exception=True,
    )
    named.end(end_time=EXPLICIT_NS + 5_000)
    placed = tracer.start_span(
        "placed", None, SpanKind.SERVER, attributes, links, EXPLICIT_NS, True, True
    )
    placed.end(EXPLICIT_NS + 7_000)
    with tracer.start_as_current_span(
        "scope", None, SpanKind.PRODUCER, attributes, links, EXPLICIT_NS, True, True, False
    ) as scoped:
        pass
    still_open = scoped.is_recording()
    scoped.end(EXPLICIT_NS + 9_000)
    return still_open


@case
def arguments_that_are_missing(tracer: Any) -> Any:
    """A call that Python refuses, and a call with no more than a name."""
    refused = []
    for call in (
        lambda: tracer.start_span(),
        lambda: tracer.start_as_current_span(),
        lambda: tracer.start_span("s", nonsense=1),
    ):
        try:
            call()
        except TypeError:
            refused.append(True)
    tracer.start_span(name="by name").end()
    return refused


@case
def parents(tracer: Any) -> Any:
    """Local, remote, invalid, ended and no parents, in contexts and as the current span."""
    outer = tracer.start_span("outer")
    in_outer = trace.set_span_in_context(outer)
    ended = tracer.start_span("ended", context=in_outer)
    ended.end()
    for name, parent in (
        ("local", outer),
        ("ended", ended),
        ("remote", NonRecordingSpan(REMOTE)),
        ("invalid", INVALID_SPAN),
        ("zero", NonRecordingSpan(SpanContext(0, 0, False))),
    ):
        named = trace.set_span_in_context(parent, Context())
        tracer.start_span(f"{name} by context", context=named).end()
        with tracer.start_as_current_span(f"{name} in scope", context=named):
            tracer.start_span("leaf").end()
        with trace.use_span(parent):
            with tracer.start_as_current_span(f"under {name}"):
                tracer.start_span("leaf").end()
    outer.end()
    return facts(trace.get_current_span())


@case
def ids_of_a_trace(tracer: Any) -> Any:
    """Children share the trace id, roots do not."""
    with tracer.start_as_current_span("a") as a, tracer.start_as_current_span("b") as b:
        one, two = a.get_span_context(), b.get_span_context()
        same = one.trace_id == two.trace_id
        other = tracer.start_span("c", context=Context())
        differs = other.get_span_context().trace_id != one.trace_id
        other.end()
        again = a.get_span_context()
        return [same, differs, one.span_id != two.span_id, again == one, one.is_remote]


@case
def remote_ids(tracer: Any) -> Any:
    """A child of a remote span has its trace id, flags and what others put into tracestate."""
    named = trace.set_span_in_context(NonRecordingSpan(REMOTE))
    with tracer.start_as_current_span("s", context=named) as span:
        found = span.get_span_context()
        return [found.trace_id, found.trace_flags, found.trace_state.get("vendor")]


@case
def tracers_of_a_provider(provider: Any) -> Any:
    """All arguments of get_tracer, by name and by position; every tracer works."""
    named = provider.get_tracer(
        instrumenting_module_name="library",
        instrumenting_library_version="1.2",
        schema_url="https://opentelemetry.io/schemas/1.21.0",
        attributes={"k": "v"},
    )
    placed = provider.get_tracer("library", "1.2", None, {"k": "v"})
    tracers = [named, placed, provider.get_tracer("library"), provider.get_tracer("")]
    for number, tracer in enumerate(tracers):
        with tracer.start_as_current_span(str(number)):
            pass
    return [isinstance(provider, trace.TracerProvider)] + [
        isinstance(tracer, trace.Tracer) for tracer in tracers
    ]


# -- the span --------------------------------------------------------------------------------------


@case
def attributes(tracer: Any) -> Any:
    """Set at the start, later, again and after the end."""
    with tracer.start_as_current_span("s", attributes={"a": 1, "b": "first"}) as span:
        span.set_attribute("b", "second")
        span.set_attribute("a", "now text")
        span.set_attributes({"c": 2.5, "d": False, "e": ["x", "y"]})
        span.set_attributes({})
        span.set_attribute("operation.name", "ordering")
    span.set_attribute("late", 1)


@case
def names_and_kinds(tracer: Any) -> Any:
    """update_name, and each kind."""
    for kind in SpanKind:
        with tracer.start_as_current_span("before", kind=kind) as span:
            span.update_name(f"after {kind.name}")
    span.update_name("late")


@case
def events(tracer: Any) -> Any:
    """With and without attributes and a time."""
    with tracer.start_as_current_span("s") as span:
        span.add_event("plain")
        span.add_event("with", {"a": 1, "b": "x", "c": True, "d": 1.5, "e": ["x", "y"]})
        span.add_event("then", {}, 1_700_000_000_000_000_000)
        span.add_event("then", timestamp=1_700_000_000_000_000_001)
    span.add_event("late")


@case
def links(tracer: Any) -> Any:
    """At the start and later, to invalid spans, after the end."""
    other = tracer.start_span("other")
    first = [Link(REMOTE), Link(other.get_span_context(), {"a": 1})]
    with tracer.start_as_current_span("s", links=first) as span:
        with tracer.start_as_current_span("linked") as inner:
            pass
        span.add_link(inner.get_span_context(), {"b": "x"})
    span.add_link(REMOTE)
    other.end()


@case
def exceptions_recorded(tracer: Any) -> Any:
    """record_exception with all its arguments."""
    with tracer.start_as_current_span("s") as span:
        span.record_exception(ValueError("one"))
        span.record_exception(KeyError("two"), {"a": 1}, escaped=True)
        span.record_exception(ValueError("x"), {"exception.message": "mine"})
        span.record_exception(OSError("late"), timestamp=EXPLICIT_NS)
    span.record_exception(ValueError("late"))


STATUSES: list[list[Any]] = [
    [(StatusCode.OK,)],
    [(StatusCode.ERROR,)],
    [(StatusCode.ERROR, "bad")],
    [(Status(StatusCode.ERROR, "bad"),)],
    [(StatusCode.ERROR, "bad"), (StatusCode.UNSET,)],
    [(StatusCode.ERROR, "bad"), (StatusCode.OK,)],
    [(StatusCode.OK,), (StatusCode.ERROR, "bad")],
    [(Status(StatusCode.OK),), (StatusCode.UNSET,)],
    [(StatusCode.ERROR, "bad"), (StatusCode.ERROR, "worse")],
]


@case
def statuses(tracer: Any) -> Any:
    """Every order of statuses."""
    for number, steps in enumerate(STATUSES):
        with tracer.start_as_current_span(str(number)) as span:
            for step in steps:
                span.set_status(*step)
        span.set_status(StatusCode.ERROR, "late")


@case
def exceptions_that_leave(tracer: Any) -> Any:
    """All ways out of a block, with every combination of flags."""
    passed = []
    for record in (True, False):
        for status in (True, False):
            flags = {"record_exception": record, "set_status_on_exception": status}
            for error in (ValueError("boo"), KeyboardInterrupt(), SystemExit(1)):
                for start in (tracer.start_as_current_span, tracer.start_span):
                    try:
                        with start(f"{record} {status}", **flags):
                            raise error
                    except BaseException as caught:
                        passed.append(caught is error)
                span = tracer.start_span("used")
                try:
                    with trace.use_span(span, end_on_exit=True, **flags):
                        raise error
                except BaseException as caught:
                    passed.append(caught is error)
                passed.append(span.is_recording())
    return passed


@case
def status_given_before_an_exception(tracer: Any) -> Any:
    """What the application has said stands against what leaves the block, or not."""
    for status in (StatusCode.OK, StatusCode.ERROR):
        try:
            with tracer.start_as_current_span(status.name) as span:
                span.set_status(status)
                raise ValueError("boo")
        except ValueError:
            pass


# -- spans that record nothing ---------------------------------------------------------------------


@case
def invalid_spans(tracer: Any) -> Any:
    """Every method of a span that records nothing, and of none."""
    found = []
    for span in (INVALID_SPAN, NonRecordingSpan(REMOTE), trace.get_current_span()):
        span.set_attribute("k", 1)
        span.set_attributes({"k": 1})
        span.add_event("e", {"k": 1})
        span.add_link(REMOTE)
        span.update_name("n")
        span.set_status(StatusCode.ERROR, "bad")
        span.record_exception(ValueError())
        with trace.use_span(span) as used:
            found.append(used is span)
            found.append(trace.get_current_span() is span)
        try:
            with span as entered:
                found.append(entered is span)
                raise ValueError("boo")
        except ValueError as error:
            found.append(str(error))
        span.end()
        found.append(facts(span))
    return found


# -- scopes ----------------------------------------------------------------------------------------


@case
def decorators(tracer: Any) -> Any:
    """Functions, coroutine functions, methods, generators of both kinds, and what inspect says."""
    decorate = tracer.start_as_current_span
    found: list[Any] = []

    def current() -> Any:
        return trace.get_current_span().is_recording()

    @decorate("function", kind=SpanKind.SERVER, attributes={"k": "v"})
    def function(a: int, *rest: int, b: int = 2, **more: int) -> Any:
        """Documented."""
        return [a, rest, b, more, current()]

    @decorate("outer")
    @decorate("inner")
    def twice() -> Any:
        return current()

    @decorate("coroutine")
    async def coroutine(a: int) -> Any:
        await asyncio.sleep(0)
        return [a, current()]

    @decorate("generator")
    def generator() -> Any:
        yield current()

    @decorate("async generator")
    async def async_generator() -> Any:
        yield current()

    class Kitchen:
        @decorate("method")
        def method(self) -> Any:
            return [type(self).__name__, current()]

        @classmethod
        @decorate("class method")
        def of_class(cls) -> Any:
            return [cls.__name__, current()]

        @staticmethod
        @decorate("static method")
        def static() -> Any:
            return current()

        @property
        @decorate("property")
        def bread(self) -> Any:
            return current()

    @decorate("failing")
    def failing() -> None:
        raise ValueError("boo")

    @decorate("failing coroutine", record_exception=False)
    async def failing_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("boo")

    @decorate("recursive")
    def count(n: int) -> int:
        return 0 if n == 0 else 1 + count(n - 1)

    async def collect() -> Any:
        one, two = await asyncio.gather(coroutine(1), coroutine(2))
        return [one, two, [x async for x in async_generator()]]

    found += [function(1, 3, b=4, c=5), twice(), asyncio.run(collect()), list(generator())]
    found += [Kitchen().method(), Kitchen.of_class(), Kitchen.static(), Kitchen().bread, count(2)]
    found.append(functools.partial(function, 1)())
    for call in (failing, lambda: asyncio.run(failing_later())):
        try:
            call()
        except ValueError as error:
            found.append(str(error))
    for wrapped in (function, coroutine, generator, async_generator):
        found.append([wrapped.__name__, wrapped.__doc__, str(inspect.signature(wrapped))])
        found.append([inspect.iscoroutinefunction(wrapped), inspect.isfunction(wrapped)])
    return found


@case
def scopes_that_are_left_open(tracer: Any) -> Any:
    """end_on_exit=False, use_span, and what is current then."""
    found = []
    with tracer.start_as_current_span("kept", end_on_exit=False) as kept:
        found.append(trace.get_current_span() is kept)
    found += [kept.is_recording(), facts(trace.get_current_span())]
    with trace.use_span(kept), tracer.start_as_current_span("child"):
        pass
    kept.end()
    return found


@case
def baggage_and_values(tracer: Any) -> Any:
    """What is attached is seen in spans begun later, and is gone after detach."""
    token = context.attach(baggage.set_baggage("k", "v", context.set_value("x", 1)))
    with tracer.start_as_current_span("s"):
        inner = [baggage.get_baggage("k"), context.get_value("x")]
        again = context.attach(baggage.set_baggage("k", "w"))
        inner.append(dict(baggage.get_all()))
        context.detach(again)
        inner.append(dict(baggage.get_all()))
    context.detach(token)
    return [inner, baggage.get_baggage("k"), context.get_value("x"), dict(context.get_current())]


@case
def scopes_in_copied_contexts(tracer: Any) -> Any:
    """A copied context keeps what it has, and has its own scopes."""
    with tracer.start_as_current_span("outer") as outer:
        copied = contextvars.copy_context()

        def inside() -> Any:
            with tracer.start_as_current_span("inner"):
                pass
            return trace.get_current_span() is outer

        return [copied.run(inside), trace.get_current_span() is outer]


@case
def tasks(tracer: Any) -> Any:
    """Tasks begin with what was current where they were made."""

    async def work(i: int) -> None:
        for _ in range(2):
            with tracer.start_as_current_span(f"task {i}"):
                await asyncio.sleep(0)

    async def main() -> None:
        with tracer.start_as_current_span("main"):
            await asyncio.gather(*(work(i) for i in range(3)))

    asyncio.run(main())


@case
def headers(tracer: Any) -> Any:
    """What one process injects, another one's spans continue."""
    carrier: dict[str, str] = {}
    with tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
        propagate.inject(carrier, baggage.set_baggage("k", "v"))
        ids = call.get_span_context()
    same = carrier["traceparent"] == f"00-{ids.trace_id:032x}-{ids.span_id:016x}-01"
    received = propagate.extract(carrier)
    parent = trace.get_current_span(received)
    with tracer.start_as_current_span("serve", context=received):
        pass
    return [same, carrier["baggage"], facts(parent), baggage.get_baggage("k", received)]
