"""Reference counts around the C API: no call keeps or gives away a reference.

Each operation is run many times on objects that nobody else holds. Afterwards their reference
counts are what they were, and the interpreter has as many blocks of memory in use. A debug build of
Python counts all references as well.
"""

from __future__ import annotations

import contextvars
import gc
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest
from helpers import make_offline_tracer, note_figure

from fasttrace import Context, Span, TraceFilter, Tracer
from fasttrace.propagation.http import HTTPPropagator

ROUNDS = 200
WARM_UP = 1100  # more than the core keeps freed spans for reuse
TRIES = 4
BLOCKS = 40  # that may be in use for other reasons: free lists, caches


class Things:
    """Objects that are passed in; each is its own, so that a count says something."""

    def __init__(self) -> None:
        self.key = "".join(["a", " key"])
        self.text = "".join(["a", " text"])
        self.wide = "".join(["ä", "𝄞"])
        self.number = 10**12 + 1
        self.real = 10.0**12 + 0.5
        self.items = {self.key: self.text, "other": self.number}
        self.list = [self.text, self.number]
        self.error = ValueError(self.text)
        self.context = Context(trace_id=2**100 + 7, span_id=2**50, baggage={self.key: self.text})
        self.headers = {"traceparent": f"00-{5:032x}-{7:016x}-01", "baggage": "a=b"}
        self.callback: Callable[[Any], None] = lambda span: None
        self.function: Callable[[Any], Any] = lambda value: value
        self.wrapped: Any = None

    def counts(self) -> dict[str, int]:
        """Reference counts of all of them and of what they share with the rest of the world."""
        shared = {"Span": Span, "Context": Context, "Tracer": Tracer, "None": None, "empty": ""}
        return {name: sys.getrefcount(value) for name, value in {**vars(self), **shared}.items()}


class Wrong:
    """Objects whose conversion fails."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Keep(TraceFilter):
    """Returns what it gets, or raises."""

    raises = False

    def process_trace(self, trace: list[Span]) -> list[Span]:
        """Do it."""
        if self.raises:
            raise RuntimeError
        return list(trace)


SPAN_ATTRIBUTES = (
    *("name", "service", "resource", "span_type", "error", "trace_id", "span_id", "parent_id"),
    *("start", "duration", "finished", "_local_root", "_parent", "context"),
)
CONTEXT_ATTRIBUTES = ("trace_id", "span_id", "sampling_priority", "dd_origin", "_meta")

OPERATIONS: dict[str, Callable[[Tracer, Things], object]] = {}


def _operation(function: Callable[[Tracer, Things], object]) -> Callable[..., object]:
    """Add an operation to the table."""
    OPERATIONS[function.__name__[1:]] = function
    return function


@_operation
def _trace(tracer: Tracer, it: Things) -> None:
    with tracer.trace(it.text, service=it.key, resource=it.wide, span_type=it.text):
        with tracer.trace(it.key):
            pass


@_operation
def _start_span(tracer: Tracer, it: Things) -> None:
    root = tracer.start_span(it.text, child_of=it.context, service=it.key, activate=True)
    tracer.start_span(it.text, child_of=root).finish()
    root.finish()


@_operation
def _wrong_arguments(tracer: Tracer, it: Things) -> None:
    for call in (
        lambda: tracer.start_span(it.text, child_of=it.number),
        lambda: tracer.trace(it.text, nothing=it.key),  # type: ignore[call-arg]
        lambda: tracer.trace(),  # type: ignore[call-arg]
        lambda: Span(it.number, service=it.real, resource=it.list),  # type: ignore[arg-type]
        lambda: Context(trace_id=it.text),  # type: ignore[arg-type]
        lambda: Span(it.text).set_tag(),  # type: ignore[call-arg]
    ):
        try:
            call()
        except TypeError:
            pass


@_operation
def _tags(tracer: Tracer, it: Things) -> None:
    with tracer.trace("op") as span:
        for value in (it.text, it.wide, it.number, it.real, it.list, it.items, None, True, Wrong()):
            span.set_tag(it.key, value)
        for index in range(12):
            span.set_tag(f"{it.key}{index}", it.text)
            span.set_metric(f"{it.key}{index}", it.real)
        span.set_tags(it.items)
        span.set_metrics({it.key: it.number})
        span.get_tag(it.key), span.get_metric(it.key), span.get_tags(), span.get_metrics()


@_operation
def _attributes(tracer: Tracer, it: Things) -> None:
    with tracer.trace("op") as span:
        span.name, span.service, span.resource, span.span_type = it.key, it.text, it.wide, it.key
        span.error = 1
        for owner, names in ((span, SPAN_ATTRIBUTES), (span.context, CONTEXT_ATTRIBUTES)):
            for name in names:
                getattr(owner, name)
        repr(span)


@_operation
def _errors(tracer: Tracer, it: Things) -> None:
    try:
        with tracer.trace("op"):
            raise it.error
    except ValueError:
        it.error.__traceback__ = None
    with tracer.trace("op") as span:
        span.set_exc_info(ValueError, it.error, None)


@_operation
def _links_and_events(tracer: Tracer, it: Things) -> None:
    with tracer.trace("op") as span:
        span.link_span(it.context, {it.key: it.text})
        span.set_link(trace_id=5, span_id=6, attributes=it.items)
        span._add_event(it.text, {it.key: it.number})


@_operation
def _callbacks(tracer: Tracer, it: Things) -> None:
    with tracer.trace("op") as span:
        span._on_finish_callbacks.append(it.callback)
    hook = tracer.on_start_span(it.callback)
    tracer.trace("op").finish()
    tracer.deregister_on_start_span(hook)


@_operation
def _contexts(tracer: Tracer, it: Things) -> None:
    tracer.context_provider.activate(it.context)
    with tracer.trace("op") as span:
        span.context.set_baggage_item(it.key, it.text)
        span.context.get_baggage_item(it.key), span.context.get_all_baggage_items()
        pickle.loads(pickle.dumps(span.context))
        assert span.context == span.context
        tracer.current_span(), tracer.current_root_span(), tracer.current_trace_context()
    tracer.context_provider.activate(None)


@_operation
def _headers(tracer: Tracer, it: Things) -> None:
    with tracer.trace("op") as span:
        carrier: dict[str, str] = {}
        HTTPPropagator.inject(span.context, carrier)
        HTTPPropagator.extract(carrier)
        HTTPPropagator.extract(it.headers)


@_operation
def _wrap(tracer: Tracer, it: Things) -> None:
    wrapped = tracer.wrap(it.text, service=it.key)(it.function)
    wrapped(it.text)
    if it.wrapped is None:
        it.wrapped = wrapped
    it.wrapped(value=it.number)


@_operation
def _filters(tracer: Tracer, it: Things) -> None:
    for raises in (False, True):
        keep = Keep()
        keep.raises = raises
        tracer.configure(trace_processors=[keep])
        with tracer.trace(it.text), tracer.trace(it.key):
            pass
    tracer.configure(trace_processors=[])


@_operation
def _abandoned(tracer: Tracer, it: Things) -> None:
    root = tracer.start_span(it.text)
    tracer.start_span(it.key, child_of=root).set_tag(it.key, it.text)
    tracer.start_span(it.key, child_of=root).finish()


@_operation
def _without_a_tracer(tracer: Tracer, it: Things) -> None:
    with Span(it.text, service=it.key, trace_id=5, span_id=6, parent_id=7) as span:
        span.set_tag(it.key, it.text)


@_operation
def _in_another_context(tracer: Tracer, it: Things) -> None:
    contextvars.copy_context().run(lambda: tracer.trace(it.text).finish())


@_operation
def _payloads(tracer: Tracer, it: Things) -> None:
    with tracer.trace(it.text) as span:
        span.set_tag(it.key, it.wide)
    for payload in tracer._swap():
        pieces = payload.buffers()
        memoryview(pieces[-1])[:3].tobytes()
        assert payload.nbytes
        tracer._settle(payload, "sent", spans=0, traces=0, nbytes=0)
        assert tracer._unswap(payload)
    for payload in tracer._swap():
        try:
            tracer._settle(payload, "sent", spans=10**6, traces=1, nbytes=1)
        except ValueError:
            tracer._settle(payload, "sent")


@_operation
def _disabled(tracer: Tracer, it: Things) -> None:
    tracer.enabled = False
    with tracer.trace(it.text) as span:
        span.set_tag(it.key, it.text)
    tracer.enabled = True


@_operation
def _stats(tracer: Tracer, it: Things) -> None:
    tracer.stats()
    tracer._set_rates({"service:a,env:b": it.real, it.text: 0.5, "service:,env:": 0.5})


def settle_all(tracer: Tracer) -> None:
    """Empty the buffer, and the caches of what is freed later."""
    for payload in tracer._swap():
        tracer._settle(payload, "test")
    tracer.context_provider.activate(None)
    gc.collect()


def measure(tracer: Tracer, things: Things) -> tuple[dict[str, int], int, int]:
    """Counts, blocks in use, and all references of a debug build."""
    settle_all(tracer)
    total = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    return things.counts(), sys.getallocatedblocks(), total


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_reference_is_kept_or_given_away(name: str, version: str) -> None:
    """After many rounds of an operation every count is what it was, and memory is not used up."""
    run = OPERATIONS[name]
    tracer = make_offline_tracer(api_version=version)
    things = Things()
    for _ in range(WARM_UP):
        run(tracer, things)
    for _ in range(TRIES):  # caches fill up in the end, a leak goes on
        counts, blocks, total = measure(tracer, things)
        for _ in range(ROUNDS):
            run(tracer, things)
        counts_after, blocks_after, total_after = measure(tracer, things)
        if blocks_after - blocks < BLOCKS and abs(total_after - total) < BLOCKS:
            break
    note_figure(f"{blocks_after - blocks:+} blocks, {total_after - total:+} references")
    changed = {
        key: counts_after[key] - counts[key]
        for key in counts
        if abs(counts_after[key] - counts[key]) >= ROUNDS // 10
    }
    assert not changed, f"references kept (+) or given away (-) in {ROUNDS} rounds: {changed}"
    assert blocks_after - blocks < BLOCKS
    assert abs(total_after - total) < BLOCKS
