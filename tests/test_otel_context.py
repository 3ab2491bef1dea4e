"""One active span for native, OpenTelemetry and OpenTracing code, in every order of scopes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from otel import Face, face

from fasttrace import _span
from fasttrace.opentracer import Tracer as OpenTracingTracer
from fasttrace.propagation.http import HTTPPropagator

__all__ = ["face"]

REMOTE = SpanContext(
    0x6B031652000000009EA7EB928D0E882E,
    7,
    True,
    TraceFlags(1),
    TraceState([("dd", "s:2;o:synthetics;t.usr.id:dQ~~"), ("vendor", "x")]),
)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry logs an error where a context cannot be detached: there must be none."""
    with caplog.at_level(logging.WARNING, logger="opentelemetry"):
        yield
    assert not [record.getMessage() for record in caplog.records]


class Apis:
    """The ways to begin a span, each as a context manager that yields the native span."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.opentracing = OpenTracingTracer("svc", dd_tracer=face.native)

    def native(self) -> Any:
        return self.face.native.trace("s")

    def otel(self) -> Any:
        return self.face.tracer.start_as_current_span("s")

    def use_span(self) -> Any:
        return trace.use_span(self.face.tracer.start_span("s"), end_on_exit=True)

    def opentracing_scope(self) -> Any:
        return self.opentracing.start_active_span("s")


WAYS = ("native", "otel", "use_span", "opentracing_scope")


@pytest.mark.parametrize("ways", list(itertools.product(WAYS, repeat=3)))
def test_spans_of_all_apis_nest(face: Face, ways: tuple[str, ...]) -> None:
    """Whatever began the active span, the next one is its child, and is what OpenTelemetry sees."""
    apis = Apis(face)
    above: list[Any] = []

    def nest(rest: tuple[str, ...]) -> None:
        if not rest:
            return
        with getattr(apis, rest[0])():
            span = face.native.current_span()
            assert trace.get_current_span() is span
            assert span.parent_id == (above[-1].span_id if above else None)
            above.append(span)
            nest(rest[1:])
            assert face.native.current_span() is span
            assert trace.get_current_span() is span
            above.pop()

    nest(ways)
    assert face.native.current_span() is None
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert len(face.spans()) == 3


def test_baggage_attached_then_a_native_span(face: Face) -> None:
    """What is attached stays current under native spans, until it is detached."""
    with face.native.trace("outer") as outer:
        token = context.attach(baggage.set_baggage("user", "bo"))
        with face.native.trace("inner") as inner:
            assert baggage.get_baggage("user") == "bo"
            assert trace.get_current_span() is inner
            assert inner.parent_id == outer.span_id
        assert trace.get_current_span() is outer
        assert baggage.get_baggage("user") == "bo"
        context.detach(token)
        assert baggage.get_baggage("user") is None
        assert face.native.current_span() is outer


def test_native_headers_have_the_baggage_that_is_attached(face: Face) -> None:
    """HTTPPropagator.inject() writes OpenTelemetry's baggage for spans of the active trace only."""

    def injected(source: Any) -> str | None:
        headers: dict[str, str] = {}
        HTTPPropagator.inject(source, headers)
        return headers.get("baggage")

    with face.native.trace("outer") as outer:
        outer.context.set_baggage_item("own", "1")
        token = context.attach(baggage.set_baggage("user", "bo"))
        assert injected(outer) == injected(outer.context) == "own=1,user=bo"
        with face.native.trace("inner") as inner:
            assert injected(inner) == "own=1,user=bo"
            other = face.tracer.start_span("other", context=Context())
            assert injected(other) is None
            given: dict[str, str] = {}
            propagate.inject(given, trace.set_span_in_context(inner, Context()))
            assert given["baggage"] == "own=1"
            other.end()
        context.detach(token)
        assert injected(outer) == "own=1"


def test_an_attached_context_is_the_current_one(face: Face) -> None:
    """get_current() returns the very object while nothing was begun under it."""
    attached = Context({"k": 1})
    token = context.attach(attached)
    assert context.get_current() is attached
    with face.native.trace("s"):
        assert context.get_value("k") == 1
    assert context.get_current() is attached
    context.detach(token)
    assert context.get_current() == {}


def test_an_empty_context_begins_a_new_trace(face: Face) -> None:
    """start_as_current_span(context=Context()) inside a span: a root, and then the span again."""
    with face.native.trace("outer") as outer:
        for _ in range(2):
            with face.tracer.start_as_current_span("root", context=Context()) as root:
                assert root.parent_id is None
                assert root.trace_id != outer.trace_id
                with face.native.trace("child") as child:
                    assert child.parent_id == root.span_id
                assert trace.get_current_span() is root
            assert face.native.current_span() is outer
    assert face.native.current_span() is None


def test_a_parent_from_another_context(face: Face) -> None:
    """A context names the parent; afterwards the active span is the one from before."""
    elsewhere = face.tracer.start_span("elsewhere")
    named = trace.set_span_in_context(elsewhere, Context())
    with face.native.trace("outer") as outer:
        with face.tracer.start_as_current_span("s", context=named) as span:
            assert span.parent_id == elsewhere.span_id
        assert face.native.current_span() is outer
        assert face.tracer.start_span("t", context=named).parent_id == elsewhere.span_id
        with face.tracer.start_as_current_span("u", context=context.get_current()) as span:
            assert span.parent_id == outer.span_id
    elsewhere.end()


def test_a_remote_parent(face: Face) -> None:
    """Ids, decision and origin of a remote span continue, whoever begins the next one."""
    remote = trace.set_span_in_context(NonRecordingSpan(REMOTE), Context())
    with face.tracer.start_as_current_span("s", context=remote) as span:
        assert (span.trace_id, span.parent_id) == (REMOTE.trace_id, REMOTE.span_id)
        assert span.context.sampling_priority == 2
        assert span.context.dd_origin == "synthetics"
        assert span.get_span_context().trace_state["vendor"] == "x"
    token = context.attach(remote)
    assert trace.get_current_span().get_span_context() is REMOTE
    for _ in range(2):
        with face.native.trace("n") as native:
            assert (native.trace_id, native.parent_id) == (REMOTE.trace_id, REMOTE.span_id)
    context.detach(token)
    assert face.native.current_trace_context() is None


@pytest.mark.parametrize(
    ("flags", "priority"),
    [(TraceFlags(1), 1), (TraceFlags(0), 0), (trace.DEFAULT_TRACE_OPTIONS, None)],
)
def test_the_flags_of_a_remote_parent(face: Face, flags: TraceFlags, priority: int | None) -> None:
    """A sampled flag keeps, an unset one rejects, and flags nobody gave decide nothing."""
    parent = NonRecordingSpan(SpanContext(5, 6, True, flags))
    span = face.tracer.start_span("s", context=trace.set_span_in_context(parent))
    assert span.context.sampling_priority == priority
    span.end()


def test_a_native_context_is_seen_by_opentelemetry(face: Face) -> None:
    """What context_provider.activate() was given is the current span, which does not record."""
    face.native.context_provider.activate(
        _span.Context(trace_id=5, span_id=6, sampling_priority=1, meta={"_dd.p.dm": "-4"})
    )
    found = trace.get_current_span()
    assert not found.is_recording()
    assert (found.get_span_context().trace_id, found.get_span_context().span_id) == (5, 6)
    assert found.get_span_context().is_remote
    with face.tracer.start_as_current_span("s") as span:
        assert (span.trace_id, span.parent_id) == (5, 6)
        with face.tracer.start_as_current_span("t") as inner:
            assert inner.parent_id == span.span_id
    assert trace.get_current_span().get_span_context().span_id == 6
    face.native.context_provider.activate(None)


@pytest.mark.parametrize("parent", [trace.INVALID_SPAN, NonRecordingSpan(SpanContext(0, 0, True))])
def test_an_invalid_parent_is_none(face: Face, parent: Any) -> None:
    """Under an invalid span begins a new trace, also when it hides an active one."""
    with face.native.trace("outer") as outer, trace.use_span(parent):
        assert trace.get_current_span() is parent
        with face.tracer.start_as_current_span("s") as span:
            assert span.parent_id is None
            assert span.trace_id != outer.trace_id
        with face.native.trace("n") as native:
            assert native.parent_id is None
    assert len(face.spans()) == 3


class _Foreign(NonRecordingSpan):
    """A span of another library, whose class has no room for what fasttrace remembers."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if name != "_context":
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_a_parent_of_another_library(face: Face) -> None:
    """Any implementation of the API's Span can be a parent."""
    parent = _Foreign(REMOTE)
    with trace.use_span(parent), face.tracer.start_as_current_span("s") as span:
        assert (span.trace_id, span.parent_id) == (REMOTE.trace_id, REMOTE.span_id)


def test_a_span_that_never_ends(face: Face) -> None:
    """A child of a span that nobody ends arrives without it."""
    parent = face.tracer.start_span("never ended")
    with trace.use_span(parent), face.tracer.start_as_current_span("child"):
        pass
    assert parent.is_recording()
    del parent
    assert [span["resource"] for span in face.spans()] == ["child"]


def test_use_span_leaves_the_span_open(face: Face) -> None:
    """use_span() and end_on_exit=False make a span current without ending it."""
    span = face.tracer.start_span("s")
    for scope in (trace.use_span(span), trace.use_span(span, end_on_exit=False)):
        with scope:
            assert face.native.current_span() is span
        assert face.native.current_span() is None
        assert span.is_recording()
    with face.native.trace("outer") as outer:
        with face.tracer.start_as_current_span("open", end_on_exit=False) as kept:
            with face.native.trace("inner"):
                pass
            assert face.native.current_span() is kept
        assert face.native.current_span() is outer
    assert kept.is_recording()
    kept.end()
    span.end()


def test_a_span_left_open_inside_a_scope(face: Face) -> None:
    """The end of a scope restores what was active before it, whatever was begun inside."""
    with face.native.trace("outer") as outer:
        with face.tracer.start_as_current_span("scope"):
            leaked = face.native.trace("leaked")
            assert face.native.current_span() is leaked
        assert face.native.current_span() is outer
        leaked.finish()
        assert face.native.current_span() is outer


def test_a_span_ended_inside_its_scope(face: Face) -> None:
    """A span may end before its block does."""
    with face.native.trace("outer") as outer:
        with face.tracer.start_as_current_span("s") as span:
            span.end()
            with face.native.trace("after") as after:
                assert after.parent_id == outer.span_id
        assert face.native.current_span() is outer
    assert len(face.spans()) == 3


def test_an_ended_span_that_is_attached_is_still_the_parent(face: Face) -> None:
    """A context that names a span names it after its end too: background tasks need that."""
    ended = face.tracer.start_span("request")
    with face.native.trace("outer") as outer, trace.use_span(ended):
        ended.end()
        assert trace.get_current_span() is ended
        for start in (face.tracer.start_as_current_span, face.native.trace):
            with start("in the background") as span:
                assert (span.trace_id, span.parent_id) == (ended.trace_id, ended.span_id)
                with face.tracer.start_as_current_span("inner") as inner:
                    assert inner.parent_id == span.span_id
        assert face.native.current_span() is ended
    assert outer.trace_id != ended.trace_id
    assert face.native.current_span() is None
    assert len(face.spans()) == 6


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_detach_in_any_order(face: Face, order: tuple[int, ...]) -> None:
    """What is detached is gone with what was attached after it, and in the end all is as before."""
    with face.native.trace("outer") as outer:
        tokens = [context.attach(context.set_value(f"k{i}", i)) for i in range(3)]
        left = {0, 1, 2}
        for i in order:
            context.detach(tokens[i])
            left -= set(range(i, 3))
            current = context.get_current()
            top = max(left, default=None)
            assert (f"k{top}" in current) == (top is not None)
            context.detach(tokens[i])  # a second time has no effect
        assert face.native.current_span() is outer
        assert set(context.get_current()) == set(trace.set_span_in_context(outer, Context()))


def test_what_is_never_detached_goes_with_its_scope(face: Face) -> None:
    """Contexts attached inside a scope and forgotten there, as Flask's instrumentation does it."""

    def forget() -> None:
        context.attach(context.set_value("k", "v"))
        context.attach(baggage.set_baggage("table", "7"))
        context.attach(Context())

    remote = trace.set_span_in_context(NonRecordingSpan(REMOTE))
    for start in (
        lambda: face.tracer.start_as_current_span("s"),
        lambda: face.tracer.start_as_current_span("s", context=Context()),
        lambda: face.tracer.start_as_current_span("s", context=remote),
        lambda: trace.use_span(face.tracer.start_span("s"), end_on_exit=True),
        lambda: trace.use_span(NonRecordingSpan(REMOTE)),
    ):
        outers: list[Any] = [contextlib.nullcontext, lambda: face.native.trace("outer")]
        for outer in outers:
            with outer() as above:
                before = dict(context.get_current())
                with start():
                    forget()
                    with face.tracer.start_as_current_span("inner"):
                        forget()
                    with face.native.trace("native"):
                        forget()
                assert face.native.current_span() is above
                assert dict(context.get_current()) == before
        assert not context.get_current()
    face.spans()


@pytest.mark.usefixtures("no_log_lines")
def test_detach_in_a_foreign_context(face: Face) -> None:
    """A token of another thread's or task's context is taken back without an error."""
    tokens: list[Any] = []
    scopes: list[Any] = []

    def attach() -> None:
        tokens.append(context.attach(context.set_value("k", "v")))
        scopes.append(face.tracer.start_as_current_span("s"))
        scopes[0].__enter__()

    copied = contextvars.copy_context()
    copied.run(attach)
    thread = threading.Thread(target=lambda: scopes[0].__exit__(None, None, None))
    thread.start()
    thread.join()
    context.detach(tokens[0])
    assert context.get_value("k") is None
    assert copied.run(context.get_value, "k") is None
    assert copied.run(face.native.current_span) is None
    assert len(face.spans()) == 1


@pytest.mark.usefixtures("no_log_lines")
def test_a_scope_in_a_generator_closed_elsewhere(face: Face) -> None:
    """An async generator that the event loop closes in another task ends its span quietly."""

    async def produce() -> Any:
        with face.tracer.start_as_current_span("generator"):
            yield 1
            yield 2

    async def main() -> None:
        with face.tracer.start_as_current_span("main") as span:
            producing = produce()
            await producing.__anext__()
            await asyncio.create_task(producing.aclose())
            with face.native.trace("after"):
                pass
            span.set_attribute("k", "v")
        assert face.native.current_span() is None

    asyncio.run(main())
    assert sorted(span["resource"] for span in face.spans()) == ["after", "generator", "main"]


def test_tasks_keep_what_they_began_with(face: Face) -> None:
    """Tasks begun inside a scope see its span, and each has its own from there."""

    async def work(parent: Any) -> None:
        for _ in range(3):
            with face.tracer.start_as_current_span("task") as span:
                assert span.parent_id == parent.span_id
                await asyncio.sleep(0)
                assert trace.get_current_span() is span
            assert trace.get_current_span() is parent

    async def main() -> None:
        with face.tracer.start_as_current_span("main") as span:
            await asyncio.gather(*(work(span) for _ in range(5)))
            assert trace.get_current_span() is span

    asyncio.run(main())
    assert len(face.spans()) == 16


def test_interleaved_generators(face: Face) -> None:
    """Scopes of generators that take turns in one context do not disturb each other."""

    def produce(name: str) -> Iterator[int]:
        with face.tracer.start_as_current_span(name):
            yield 1

    with face.native.trace("outer") as outer:
        first, second = produce("first"), produce("second")
        next(first)
        next(second)
        assert list(first) == list(second) == []
        assert face.native.current_span() is outer
    assert face.native.current_span() is None


def test_a_provider_of_the_applications_own(face: Face) -> None:
    """A context provider of the application is asked and told, and gets back what it had."""
    from fasttrace.provider import BaseContextProvider

    class Kept(BaseContextProvider):
        item: Any = None

        def activate(self, item: Any) -> None:
            self.item = item

        def active(self) -> Any:
            return self.item

    kept = Kept()
    face.native.configure(context_provider=kept)
    with face.tracer.start_as_current_span("outer") as outer:
        assert kept.item is outer
        with face.tracer.start_as_current_span("inner") as inner:
            assert kept.item is inner
            assert inner.parent_id == outer.span_id
        assert kept.item is outer
    assert kept.item is None


def test_scopes_leave_nothing_behind(face: Face) -> None:
    """No object outlives scopes of any kind, left in any way."""

    @face.tracer.start_as_current_span("decorated", attributes={"k": "v"})
    def decorated() -> Any:
        return trace.get_current_span().get_span_context()

    def once() -> None:
        with face.tracer.start_as_current_span("outer", attributes={"l": [1, "x"]}) as outer:
            token = context.attach(baggage.set_baggage("k", "v"))
            named = trace.set_span_in_context(NonRecordingSpan(REMOTE))
            for given in (None, Context(), named):
                with face.tracer.start_as_current_span("s", context=given, end_on_exit=False) as s:
                    decorated()
                s.end()
            with pytest.raises(ValueError), face.tracer.start_as_current_span("failed"):
                raise ValueError
            links = [trace.Link(outer.get_span_context())]
            with trace.use_span(face.tracer.start_span("used", links=links), end_on_exit=True):
                pass
            face.tracer.start_as_current_span("never entered", attributes={"k": 1})
            left_open = face.tracer.start_as_current_span("never left").__enter__()
            context.detach(token)
            left_open.end()
        face.spans()

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    for _ in range(5):
        once()
    before = objects()
    for _ in range(50):
        once()
    assert objects() - before < 50
