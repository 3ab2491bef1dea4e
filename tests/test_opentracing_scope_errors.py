"""Scopes and what goes wrong: exceptions that pass through, and tracers that record nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import opentracing
import pytest
from helpers import spans_of

from fasttrace import Tracer as NativeTracer
from fasttrace._span import Context
from fasttrace.opentracer import Tracer


def test_an_exception_through_a_scope(ot_any: Tracer, tracer: NativeTracer) -> None:
    """A scope describes an exception exactly as a native `with` does."""

    def fail() -> None:
        raise opentracing.UnsupportedFormatException("no such format")

    for span in (lambda: ot_any.start_active_span("op"), lambda: tracer.trace("op")):
        with pytest.raises(opentracing.UnsupportedFormatException):
            with span():
                fail()
    ours, native = spans_of(tracer)
    assert ours["error"] == native["error"] == 1
    assert ours["meta"]["error.type"] == native["meta"]["error.type"]
    assert ours["meta"]["error.message"] == "no such format"
    assert ours["meta"]["error.stack"] == native["meta"]["error.stack"]
    assert "error" not in {*ours["meta"], *ours["metrics"]}


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (KeyboardInterrupt(), True),
        (asyncio.CancelledError(), True),
        (SystemExit(1), True),
        (Mute(), True),
        (SystemExit(0), False),
        (SystemExit(), False),
        (GeneratorExit(), False),
    ],
    ids=repr,
)
def test_exceptions_that_are_special(
    ot_any: Tracer, tracer: NativeTracer, error: BaseException, failed: bool
) -> None:
    """Ends of programs and generators are no failures; an exception without text is one."""
    with pytest.raises(type(error)) as caught:
        with ot_any.start_active_span("op"):
            raise error
    assert caught.value is error
    (span,) = spans_of(tracer)
    assert span.get("error", 0) == failed
    assert ("error.type" in span["meta"]) == failed
    assert ot_any.active_span is None


def test_a_generator_that_is_closed(ot_any: Tracer, tracer: NativeTracer) -> None:
    """A scope in a generator that is closed early ends without an error."""

    def numbers() -> Iterator[int]:
        with ot_any.start_active_span("numbers"):
            yield 1

    generator = numbers()
    assert next(generator) == 1
    generator.close()
    (span,) = spans_of(tracer)
    assert span.get("error", 0) == 0
    assert ot_any.active_span is None


# -- where nothing is recorded ---------------------------------------------------------------------


def test_a_disabled_tracer_lets_a_trace_pass(ot_any: Tracer, tracer: NativeTracer) -> None:
    """Nothing is recorded; what was extracted is what is injected, with its baggage."""
    tracer.enabled = False
    carrier = {
        "x-datadog-trace-id": "7",
        "x-datadog-parent-id": "9",
        "x-datadog-sampling-priority": "1",
        "ot-baggage-user": "ada",
    }
    context = ot_any.extract(opentracing.Format.TEXT_MAP, carrier)
    with ot_any.start_active_span("op", child_of=context, tags={"a": 1}) as scope:
        scope.span.set_tag("b", 2).set_tag("error", True).log_kv({"event": "error"})
        assert ot_any.active_span is scope.span
        out: dict[str, str] = {}
        ot_any.inject(scope.span.context, opentracing.Format.TEXT_MAP, out)
    assert {name: out[name] for name in carrier} == carrier
    assert ot_any.scope_manager.active is None
    assert tracer.stats()["finished"] == 0
    assert spans_of(tracer) == []


def test_a_disabled_tracer_keeps_an_activated_context(ot: Tracer, tracer: NativeTracer) -> None:
    """A trace that the native API has activated passes through scopes of a disabled tracer."""
    tracer.enabled = False
    tracer.context_provider.activate(Context(7, 9, sampling_priority=1))
    with ot.start_active_span("outer"), ot.start_active_span("inner") as scope:
        out: dict[str, str] = {}
        ot.inject(scope.span.context, opentracing.Format.TEXT_MAP, out)
    assert (out["x-datadog-trace-id"], out["x-datadog-parent-id"]) == ("7", "9")
    tracer.context_provider.activate(None)
