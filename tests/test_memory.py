"""Memory: what tracing holds, and for how long. Extreme cases run in a process of their own."""

from __future__ import annotations

import contextvars
import gc
import os
import sys
import threading
from typing import Any

import pytest
from helpers import note_figure, run_python, spans_of

from fasttrace import Context, Span, Tracer

FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
MILLION = 1_000_000

# Prints how many MiB the resident set has grown by since the last call; 0 the first time.
RSS = """
    import gc, os, sys
    if sys.platform == "linux":
        def rss_mib():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    else:
        import resource
        def rss_mib():  # a maximum, so a bound on it is all the stricter
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak / (2**20 if sys.platform == "darwin" else 2**10)
    from fasttrace import Context, Span, Tracer
    tracer = Tracer()
    tracer._on_first_chunk = None
    def take():
        for payload in tracer._swap():
            tracer._settle(payload, "test")
"""


def run_with_rss(code: str) -> float:
    """Run `code`, which may use rss_mib(), tracer and take(); return the number it prints last."""
    import textwrap

    result = run_python(textwrap.dedent(RSS) + textwrap.dedent(code))
    grown_mib = float(result.stdout.split()[-1])
    note_figure(f"RSS grew by {grown_mib:.1f} MiB")
    return grown_mib


class Canary:
    """Counts how many of its kind are alive."""

    alive = 0

    def __init__(self) -> None:
        Canary.alive += 1

    def __del__(self) -> None:
        Canary.alive -= 1

    def __call__(self, span: Span) -> None:
        """Be an on_finish callback."""


def live_spans() -> int:
    """How many spans the collector knows of."""
    return sum(type(one) is Span for one in gc.get_objects())


# -- spans die by reference counting alone ---------------------------------------------------------


@pytest.mark.usefixtures("no_gc")
def test_finished_traces_die_without_the_collector(tracer: Tracer) -> None:
    """With the collector off, a trace that was encoded leaves no span behind."""
    before = live_spans()
    for _ in range(100):
        with tracer.trace("root") as root:
            root.set_tag("key", "value")
            with tracer.trace("child") as child:
                child.set_metric("number", 1)
            tracer.start_span("loose", child_of=root).finish()
    del root, child
    tracer.context_provider.activate(None)
    assert live_spans() == before
    spans_of(tracer)


@pytest.mark.usefixtures("no_gc")
def test_unfinished_spans_die_without_the_collector(tracer: Tracer) -> None:
    """With the collector off, spans thrown away open are freed at once, in any order."""
    before = live_spans()
    for _ in range(100):
        root = tracer.start_span("root")
        child = tracer.start_span("child", child_of=root)
        grandchild = tracer.start_span("grandchild", child_of=child)
        child.finish()
        del root
        del child
        del grandchild
    assert live_spans() == before
    assert tracer.stats()["open"] == 0
    spans_of(tracer)


@pytest.mark.usefixtures("no_gc")
def test_spans_with_errors_die_without_the_collector(tracer: Tracer) -> None:
    """A span that saw an exception keeps neither the exception nor its frames."""
    before = live_spans()

    def work() -> None:
        canary = Canary()
        with tracer.trace("op"):
            raise ValueError(canary)

    for _ in range(10):
        with pytest.raises(ValueError, match="Canary"):
            work()
    tracer.context_provider.activate(None)
    gc.collect()  # pytest's own records of the exceptions are cycles
    assert live_spans() == before
    assert Canary.alive == 0
    spans_of(tracer)


def test_cycles_through_callbacks_are_collected(tracer: Tracer) -> None:
    """A span that is part of a cycle, by way of a callback, is freed by the collector."""

    def make() -> None:
        canary = Canary()
        held: list[Any] = [canary]
        span = Span("op", on_finish=[lambda _: held.clear()])
        held.append(span)

    before = live_spans()
    for _ in range(10):
        make()
    gc.collect()
    assert Canary.alive == 0
    assert live_spans() == before


def test_cycles_through_a_context_are_collected(tracer: Tracer) -> None:
    """A cycle by way of a trace's baggage or metadata is freed by the collector."""

    class Text(str):
        """A text that can be part of a cycle."""

    before = live_spans()
    for _ in range(10):
        span = tracer.start_span("op")
        text = Text("value")
        text.span = span  # type: ignore[attr-defined]
        span.context.set_baggage_item("key", text)
        span.finish()
        del span, text
    spans_of(tracer)
    gc.collect()
    assert live_spans() == before


def test_callbacks_are_released_after_they_were_called(tracer: Tracer) -> None:
    """A finished span does not keep its callbacks alive."""
    span = Span("op", on_finish=[Canary()])
    span.finish()
    gc.collect()
    assert Canary.alive == 0


def test_tracing_makes_no_work_for_the_collector(tracer: Tracer) -> None:
    """Thousands of finished traces do not pile up in the collector's youngest generation."""
    with tracer.trace("warm up"):
        pass
    spans_of(tracer)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        for _ in range(5000):
            with tracer.trace("root"), tracer.trace("child"):
                pass
        after = gc.get_count()[0]
    finally:
        gc.enable()
    assert after - before < 1000
    spans_of(tracer)


def test_an_idle_context_keeps_at_most_one_span(tracer: Tracer) -> None:
    """After its traces ended, a context of execution holds one span at the most."""
    gc.collect()
    before = live_spans()
    contexts = []
    for _ in range(50):
        context = contextvars.copy_context()

        def work() -> None:
            with tracer.trace("a"), tracer.trace("b"), tracer.trace("c"):
                pass

        context.run(work)
        contexts.append(context)
    gc.collect()
    assert live_spans() - before <= 50
    spans_of(tracer)


def test_references_are_balanced(tracer: Tracer) -> None:
    """Making, tagging, wrapping, failing and finishing spans leaks no reference."""
    texts = ["".join(["na", "me"]), "".join(["key", "1"]), "".join(["val", "ue"])]
    name, key, value = texts

    @tracer.wrap(name, service=value, resource=value)
    def work(argument: Any) -> None:
        span = tracer.current_span()
        assert span is not None
        span.set_tag(key, value)
        span.set_metric(key, 1)
        span.set_tag(key, value)

    def once() -> None:
        work(value)
        with tracer.trace(name, service=value, resource=value, span_type=value) as span:
            span.set_tags({key: value})
            span.get_tags()
            tracer.current_span()
            tracer.current_root_span()
        tracer.context_provider.activate(Context(trace_id=1, span_id=2, dd_origin=value))
        with tracer.trace(name) as span:
            span.context.set_baggage_item(key, value)
        with pytest.raises(ValueError, match="boom"), tracer.trace(name):
            raise ValueError("boom")
        del span
        tracer.context_provider.activate(None)
        spans_of(tracer)

    once()
    gc.collect()
    before = [sys.getrefcount(one) for one in [*texts, None]]
    for _ in range(200):
        once()
    gc.collect()
    after = [sys.getrefcount(one) for one in [*texts, None]]
    assert all(abs(b - a) < 100 for a, b in zip(before, after, strict=True)), (before, after)


# -- bounded memory --------------------------------------------------------------------------------


def test_a_million_finished_spans_leave_memory_flat() -> None:
    """After a warm-up, a million more finished spans do not grow the process."""
    code = f"""
        def work(count):
            for i in range(count):
                with tracer.trace("root") as root:
                    root.set_tag("number", i)
                    with tracer.trace("child"):
                        pass
                if i % 1000 == 0:
                    take()
            take()
        work(50_000)
        before = rss_mib()
        work({MILLION // 2})
        print(rss_mib() - before)
    """
    assert run_with_rss(code) < 16


def test_a_million_abandoned_roots_leave_memory_flat() -> None:
    """Roots thrown away unfinished, with a finished child each or without, are not kept."""
    code = f"""
        gc.disable()
        def work(count):
            for i in range(count):
                root = tracer.start_span("root")
                if i % 2:
                    tracer.start_span("child", child_of=root).finish()
                root = None
                if i % 1000 == 0:
                    take()
            take()
        work(50_000)
        before = rss_mib()
        work({MILLION})
        assert tracer.stats()["open"] == 0, tracer.stats()
        print(rss_mib() - before)
    """
    assert run_with_rss(code) < 16


def test_a_million_activated_roots_that_never_finish_are_bounded() -> None:
    """Activated spans that nobody finishes hold a bounded amount each, and go with their chain."""
    code = f"""
        import contextvars
        def work(count):
            for i in range(count):
                contextvars.Context().run(tracer.trace, "root")
        work(50_000)
        before = rss_mib()
        work({MILLION})
        assert tracer.stats()["open"] == 0, tracer.stats()
        print(rss_mib() - before)
    """
    assert run_with_rss(code) < 16


def test_a_chain_of_a_million_open_spans_can_be_dropped() -> None:
    """A million nested spans that never finish cost a bounded amount and are freed, no crash."""
    code = f"""
        import contextvars, threading
        gc.disable()
        before = rss_mib()
        def nest():
            for _ in range({MILLION}):
                tracer.trace("nested")
            return rss_mib()
        context = contextvars.Context()
        grown = context.run(nest) - before
        assert tracer.stats()["open"] == {MILLION}
        # Dropped in a thread, whose stack is small: freeing must not recurse.
        threading.stack_size(256 * 1024)
        holder = [context]
        del context
        thread = threading.Thread(target=holder.clear)
        thread.start()
        thread.join()
        assert tracer.stats()["open"] == 0, tracer.stats()
        print(grown)
    """
    assert 0 < run_with_rss(code) < 400


def test_a_chain_of_a_million_finished_spans_can_be_dropped() -> None:
    """A million nested spans, finished innermost first in one open trace, are freed, no crash."""
    code = f"""
        gc.disable()
        before = rss_mib()
        spans = [tracer.trace("nested")]
        for _ in range({MILLION // 4}):
            spans.append(tracer.start_span("nested", child_of=spans[-1]))
        while len(spans) > 1:
            spans.pop().finish()
            if len(spans) % 10_000 == 0:
                take()
        spans.pop().finish()
        take()
        stats = tracer.stats()
        assert (stats["open"], stats["held"]) == (0, 0), stats
        print(rss_mib() - before)
    """
    assert run_with_rss(code) < 100


def test_a_chain_of_contexts_each_inside_of_the_last_is_not_kept() -> None:
    """Spans each begun in a context copied inside of the one before keep no chain of parents."""
    code = f"""
        import contextvars
        gc.disable()
        context = contextvars.copy_context()
        def step():
            with tracer.trace("step"):
                return contextvars.copy_context()
        def work(count):
            global context
            for i in range(count):
                context = context.run(step)
                if i % 1000 == 0:
                    take()
            take()
        work(20_000)
        before = rss_mib()
        work({MILLION // 4})
        print(rss_mib() - before)
    """
    assert run_with_rss(code) < 16


def test_a_long_trace_runs_in_bounded_memory() -> None:
    """A root with a million children leaves in parts and does not grow the process."""
    code = f"""
        gc.disable()
        def work(count):
            for i in range(count):
                with tracer.trace("child") as child:
                    child.set_tag("number", i)
                if i % 10_000 == 0:
                    take()
        with tracer.trace("root"):
            work(50_000)
            before = rss_mib()
            work({MILLION if FULL else MILLION // 2})
            grown = rss_mib() - before
        take()
        print(grown)
    """
    assert run_with_rss(code) < 16


def test_an_agent_that_is_down_does_not_grow_the_process() -> None:
    """With nobody taking the payloads, memory stays within the buffer's bound."""
    code = """
        from fasttrace.config import Config
        tracer = Tracer(config=Config.from_env({}, buffer_max_bytes=5_000_000))
        tracer._on_first_chunk = None
        before = rss_mib()
        for i in range(300_000):
            with tracer.trace("root") as root:
                root.set_tag("number", i)
        stats = tracer.stats()
        assert stats["finished"] == 300_000
        assert sum(stats["dropped"].values()) == 300_000 - stats["buffered"]
        assert tracer._buffered_bytes <= 5_000_000
        take()
        print(rss_mib() - before)
    """
    assert run_with_rss(code) < 32


def test_the_number_of_open_spans_is_bounded() -> None:
    """Beyond a million open spans further ones record nothing, are counted, and do no harm."""
    code = f"""
        gc.disable()  # it would walk over the million again and again
        before = rss_mib()
        roots = [tracer.start_span("root") for _ in range({MILLION})]
        beyond = [tracer.start_span("beyond") for _ in range(10)]
        with tracer.trace("active") as active:
            active.set_tag("key", "value")
            with tracer.trace("child"):
                pass
        stats = tracer.stats()
        assert (stats["open"], stats["unrecorded"]) == ({MILLION}, 12), stats
        for span in roots + beyond:
            span.finish()
        stats = tracer.stats()
        assert (stats["open"], stats["finished"]) == (0, {MILLION}), stats
        assert stats["buffered"] + sum(stats["dropped"].values()) == {MILLION}, stats
        with tracer.trace("after") as after:
            pass
        assert tracer.stats()["finished"] == {MILLION} + 1
        take()
        print(rss_mib() - before)
    """
    # AddressSanitizer puts room that must not be touched around every object.
    assert run_with_rss(code) < (1000 if "libasan" in os.environ.get("LD_PRELOAD", "") else 600)


def test_a_thread_that_ends_leaves_nothing(tracer: Tracer) -> None:
    """A thread that traced and ended keeps no spans alive."""
    gc.collect()
    before = live_spans()

    def work() -> None:
        with tracer.trace("in thread"), tracer.trace("child"):
            pass

    for _ in range(50):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    gc.collect()
    assert live_spans() - before <= 1
    spans_of(tracer)
