"""A disabled tracer: nothing is sent, nothing breaks, and an incoming trace passes through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers import spans_of

from fasttrace import Context, Span, Tracer
from fasttrace.config import Config


@pytest.fixture
def disabled(new_tracer: Any) -> Tracer:
    """A tracer without network that is disabled."""
    tracer: Tracer = new_tracer(enabled=False)
    return tracer


@pytest.mark.parametrize("env", [{"DD_TRACE_ENABLED": "false"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_environment_can_disable(env: dict[str, str]) -> None:
    """DD_TRACE_ENABLED=false, or its OpenTelemetry fallback, disables a tracer."""
    assert Tracer(config=Config.from_env(env)).enabled is False
    assert Tracer(config=Config.from_env({})).enabled is True


def test_nothing_is_counted_or_sent(disabled: Tracer) -> None:
    """Spans of a disabled tracer are neither counted nor encoded."""
    with disabled.trace("a"), disabled.trace("b"):
        pass
    disabled.start_span("c").finish()
    assert spans_of(disabled) == []
    stats = disabled.stats()
    assert (stats["finished"], stats["open"]) == (0, 0)


def test_every_method_of_a_span_still_works(disabled: Tracer) -> None:
    """A span of a disabled tracer is a Span on which every call is harmless."""
    with disabled.trace("op", service="s", resource="r", span_type="web") as span:
        assert isinstance(span, Span)
        span.set_tag("key", "value")
        span.set_tag("manual.keep")
        span.set_tags({"a": 1})
        span.set_metric("m", 1)
        span.set_metrics({"m": 2})
        span.error = 1
        span.name = "other"
        span.service = "other"
        span.resource = "other"
        span.span_type = "other"
        span.set_traceback()
        span.set_exc_info(ValueError, ValueError("x"), None)
        span.context.set_baggage_item("key", "value")
        assert span.get_tag("missing") is None
        assert span.get_metric("missing") is None
        assert isinstance(span.trace_id, int)
        assert isinstance(span.span_id, int)
        assert isinstance(span.start_ns, int)
        assert repr(span)
    span.finish()
    span.finish(1.0)


def test_nothing_is_stored_on_it(disabled: Tracer) -> None:
    """What is set on a span of a disabled tracer does not stay in memory."""
    with disabled.trace("op") as span:
        span.set_tag("key", "value")
        span.set_metric("m", 1)
        assert span.get_tags() == {}
        assert span.get_metrics() == {}


def test_exceptions_pass(disabled: Tracer) -> None:
    """An exception leaves a block of a disabled tracer unchanged."""
    error = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as caught, disabled.trace("op"):
        raise error
    assert caught.value is error


def test_there_is_always_a_current_span(disabled: Tracer) -> None:
    """current_span() of a disabled tracer is a span that ignores everything, never None."""
    with disabled.trace("op") as span:
        assert disabled.current_span() is span
        assert disabled.current_root_span() is span
    current = disabled.current_span()
    assert isinstance(current, Span)
    current.set_tag("key", "value")


def test_wrong_keywords_still_raise(disabled: Tracer) -> None:
    """A disabled tracer is as strict about arguments as an enabled one."""
    with pytest.raises(TypeError):
        disabled.trace("op", bogus=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        disabled.trace()  # type: ignore[call-arg]


def test_wrapped_functions_and_coroutines_work(disabled: Tracer) -> None:
    """wrap() of a disabled tracer passes arguments, results and exceptions through."""

    @disabled.wrap("work")
    def work(a: int, *, b: int = 2) -> int:
        return a + b

    @disabled.wrap("coroutine")
    async def coroutine(a: int) -> int:
        await asyncio.sleep(0)
        return a

    assert work(1, b=3) == 4
    assert asyncio.run(coroutine(5)) == 5
    assert spans_of(disabled) == []


def test_an_incoming_trace_passes_through(disabled: Tracer) -> None:
    """The context of a span of a disabled tracer is the remote one that is active."""
    remote = Context(trace_id=2**100, span_id=6, sampling_priority=2, dd_origin="rum")
    disabled.context_provider.activate(remote)
    with disabled.trace("op") as span:
        context = span.context
        assert (context.trace_id, context.span_id) == (2**100, 6)
        assert (context.sampling_priority, context.dd_origin) == (2, "rum")
    current = disabled.current_trace_context()
    assert current is not None
    assert (current.trace_id, current.span_id) == (2**100, 6)
    disabled.context_provider.activate(None)


def test_a_tracer_can_be_switched_off_and_on(tracer: Tracer) -> None:
    """Setting enabled takes effect at once, in both directions."""
    assert tracer.enabled is True
    tracer.enabled = False
    with tracer.trace("off"):
        pass
    tracer.enabled = True
    with tracer.trace("on"):
        pass
    assert [span["name"] for span in spans_of(tracer)] == ["on"]


def test_spans_begun_before_switching_off_do_not_break(tracer: Tracer) -> None:
    """A span that was open when the tracer was switched off can be finished; all is accounted."""
    with tracer.trace("root"):
        tracer.enabled = False
        with tracer.trace("child"):
            pass
    tracer.enabled = True
    assert tracer.current_span() is None
    assert [span["name"] for span in spans_of(tracer)] in ([], ["root"])


def test_configure_switches_on_and_off(tracer: Tracer) -> None:
    """The older configure(enabled=...) sets enabled."""
    tracer.configure(enabled=False)
    assert tracer.enabled is False
    tracer.configure(enabled=True)
    assert tracer.enabled is True


def test_shutdown_disables(new_tracer: Any) -> None:
    """After shutdown() a tracer makes no further spans, and says so without raising."""
    tracer = new_tracer()
    tracer.shutdown(1.0)
    assert tracer.enabled is False
    with tracer.trace("after"):
        pass
    assert spans_of(tracer) == []
