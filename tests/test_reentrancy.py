"""Tracing from where nobody expects it: destructors, signal handlers, hooks, inside of str()."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import accounting_difference, run_python, spans_of

from fasttrace import Context, Span, Tracer


@pytest.fixture
def eager_gc() -> Iterator[None]:
    """Run a test with the collector at work after nearly every allocation."""
    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*thresholds)


class Traced:
    """Its destructor makes a span."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.cycle = self

    def __del__(self) -> None:
        with self.tracer.trace("destructor") as span:
            span.set_tag("key", "value")


@pytest.mark.usefixtures("eager_gc")
def test_destructors_that_trace(tracer: Tracer) -> None:
    """Spans made by destructors, whenever the collector runs them, are sent like all others."""
    for i in range(300):
        Traced(tracer)
        with tracer.trace("outer") as outer:
            Traced(tracer)
            outer.set_tags({"number": i, "text": str(i)})
            with tracer.trace("inner"):
                Traced(tracer)
    gc.collect()
    names = [span["name"] for span in spans_of(tracer)]
    assert {name: names.count(name) for name in set(names)} == {
        "outer": 300,
        "inner": 300,
        "destructor": 900,
    }


def test_a_text_that_traces(tracer: Tracer) -> None:
    """A tag value whose str() tags, finishes or makes spans harms neither them nor itself."""

    class Busy:
        def __init__(self, span: Span) -> None:
            self.span = span

        def __str__(self) -> str:
            for i in range(100):
                self.span.set_tag(f"from str {i}", str(i))
            with tracer.trace("in str"):
                pass
            self.span.finish()
            return "busy"

    with tracer.trace("op") as span:
        span.set_tag("busy", Busy(span))
        assert span.get_tag("busy") == "busy"
    sent = {one["name"]: one for one in spans_of(tracer)}
    assert set(sent) == {"op", "in str"}
    assert sum(key.startswith("from str") for key in sent["op"]["meta"]) == 100


def test_a_text_that_drops_its_span(tracer: Tracer) -> None:
    """A tag value whose str() gives up the last reference to its span does no harm."""
    holder: list[Any] = [tracer.start_span("op")]

    class Dropping:
        def __str__(self) -> str:
            holder.clear()
            gc.collect()
            return "dropped"

    holder[0].set_tag("key", Dropping())
    assert holder == []
    assert tracer.stats()["open"] == 0


def test_a_mapping_that_changes_while_its_items_are_set(tracer: Tracer) -> None:
    """A set_tags whose values change the mapping raises what dict raises, at worst."""
    tags: dict[str, Any] = {}

    class Growing:
        def __str__(self) -> str:
            tags[f"new {len(tags)}"] = "x"
            return "grown"

    tags["first"] = Growing()
    with tracer.trace("op") as span:
        try:
            span.set_tags(tags)
        except RuntimeError as error:
            span.set_tag("error", str(error))
    [sent] = spans_of(tracer)
    assert sent["meta"]["first"] == "grown"


def test_a_callback_that_traces(tracer: Tracer) -> None:
    """An on_finish callback may make spans, tag its span and finish others."""
    with tracer.trace("root") as root:
        other = tracer.start_span("other", child_of=root)

        def callback(span: Span) -> None:
            span.set_tag("from callback", "yes")
            with tracer.trace("in callback"):
                pass
            other.finish()
            span.finish()

        span = tracer.start_span("op", child_of=root)
        span._on_finish_callbacks.append(callback)  # type: ignore[attr-defined]
        span.finish()
    sent = {one["name"]: one for one in spans_of(tracer)}
    assert set(sent) == {"root", "other", "in callback", "op"}
    assert sent["op"]["meta"]["from callback"] == "yes"


def test_threads_that_finish_the_same_spans(tracer: Tracer) -> None:
    """Spans finished by several threads at the same time are sent once each."""
    for _ in range(50):
        root = tracer.start_span("root")
        spans = [tracer.start_span("child", child_of=root) for _ in range(20)]
        barrier = threading.Barrier(4)

        def work(spans: list[Span] = [*spans, root], barrier: Any = barrier) -> None:  # noqa: B006
            barrier.wait()
            for span in spans:
                span.set_tag("thread", threading.get_ident())
                span.finish()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(spans_of(tracer)) == 50 * 21


def test_threads_that_share_one_trace(tracer: Tracer) -> None:
    """Threads that make children of one span, by itself or by its context, lose none of them."""
    with tracer.trace("root") as root:

        def work(parent: Span | Context) -> None:
            for _ in range(500):
                child = tracer.start_span("child", child_of=parent)
                child.set_tag("key", "value")
                tracer.start_span("abandoned", child_of=child)
                child.finish()

        parents = [root, root.context, root, root.context]
        threads = [threading.Thread(target=work, args=(parent,)) for parent in parents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    spans = spans_of(tracer)
    assert len(spans) == 2001
    assert {span.get("parent_id") for span in spans} == {None, root.span_id}
    assert tracer.stats()["open"] == 0


@pytest.mark.usefixtures("eager_gc")
def test_an_eager_collector(tracer: Tracer) -> None:
    """With the collector at work all the time, contexts, callbacks and baggage stay intact."""
    for i in range(200):
        span = Span("callback", on_finish=[lambda _: None])
        span.context.set_baggage_item("key", "value")
        with tracer.trace("root") as root:
            root.context.set_baggage_item("number", str(i))
            with tracer.trace("child") as child:
                child.set_tag("text", "a" * i)
                child.set_exc_info(ValueError, ValueError("x"), None)
                context = child.context
            tracer.start_span("open", child_of=context)
            del context, child
        span.finish()
        assert root.context.get_all_baggage_items() == {"number": str(i)}
    assert len(spans_of(tracer)) == 400


if hasattr(signal, "setitimer"):

    def test_signal_handlers_that_trace() -> None:
        """A signal handler that makes spans, at any point of the main thread, loses none."""
        code = """
            import os, signal
            from helpers import accounting_difference, make_offline_tracer, spans_of
            tracer = make_offline_tracer(partial_flush_min_spans=3)
            made = 0
            def handler(number, frame):
                global made
                with tracer.trace("handler") as span:
                    span.set_tag("key", "value")
                    tracer.stats()
                made += 1
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            sent = loops = 0
            while made < 300:
                loops += 1
                with tracer.trace("root") as root:
                    for i in range(5):
                        with tracer.trace("child") as child:
                            child.set_tags({"number": i, "text": str(i)})
                    try:
                        with tracer.trace("error"):
                            raise ValueError("boom")
                    except ValueError:
                        pass
                sent += len(spans_of(tracer))
            signal.setitimer(signal.ITIMER_REAL, 0)
            sent += len(spans_of(tracer))
            stats = tracer.stats()
            assert sent == stats["finished"] == made + 7 * loops, (sent, stats, made, loops)
            assert accounting_difference(stats) == stats["open"] == 0, stats
            print("ok")
        """
        tests = os.path.dirname(os.path.abspath(__file__))
        path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
        result = run_python(code, env={**os.environ, "PYTHONPATH": path})
        assert result.stdout == "ok\n"


if hasattr(os, "fork"):

    def test_forks_while_threads_trace() -> None:
        """Children forked while other threads trace and send can trace, flush and exit."""
        code = """
            import os, threading, warnings
            warnings.simplefilter("ignore")  # newer interpreters warn of forks beside threads
            from fasttrace import Tracer
            tracer = Tracer(url="http://127.0.0.1:1")
            stop = threading.Event()
            def work():
                while not stop.is_set():
                    with tracer.trace("root") as root, tracer.trace("child"):
                        root.set_tag("key", "value")
                    tracer.stats()
            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(60):
                pid = os.fork()
                if pid == 0:
                    with tracer.trace("in child") as span:
                        span.set_tag("pid", os.getpid())
                    stats = tracer.stats()
                    ok = stats["finished"] == 1 and stats["open"] == 0
                    tracer.shutdown(0.5)
                    os._exit(0 if ok else 1)
                assert os.waitpid(pid, 0)[1] == 0
            stop.set()
            for thread in threads:
                thread.join()
            tracer.shutdown(1.0)
            print("ok")
        """
        assert run_python(code).stdout.endswith("ok\n")


def test_stats_in_the_middle_of_everything(tracer: Tracer) -> None:
    """The accounting adds up also when it is read inside of a callback of a finishing span."""
    differences = []

    def callback(span: Span) -> None:
        differences.append(accounting_difference(tracer.stats()))

    with tracer.trace("root"):
        for _ in range(3):
            with tracer.trace("op") as span:
                span._on_finish_callbacks.append(callback)  # type: ignore[attr-defined]
    assert differences == [0, 0, 0]
    spans_of(tracer)
