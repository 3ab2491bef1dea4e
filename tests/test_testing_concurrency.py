"""Several captures, threads and processes at once; the tracer while it is captured."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from helpers import run_python, spans_of
from test_testing import names
from test_testing_flusher import Gate, make_tracer_with

import fasttrace
from fasttrace import Tracer
from fasttrace.exporter import ExportResult
from fasttrace.testing import CapturedSpan, capture

if TYPE_CHECKING:
    from conftest import Session


# -- several captures, threads, failures -----------------------------------------------------------


@pytest.mark.parametrize("flusher_running", [False, True])
def test_nested_captures_each_get_what_completes_in_their_block(
    tracer: Tracer, flusher_running: bool
) -> None:
    """The outer capture has the spans of the inner one too, and both may be read meanwhile."""
    tracer._flusher_running = flusher_running
    with capture(tracer) as outer:
        with tracer.trace("first"):
            pass
        with capture(tracer) as inner:
            with tracer.trace("second"):
                pass
            assert (names(outer), names(inner)) == (["first", "second"], ["second"])
        with tracer.trace("third"):
            pass
    assert names(outer) == ["first", "second", "third"]
    assert names(inner) == ["second"]
    tracer._flusher_running = False
    assert tracer.stats()["dropped"] == {"captured": 3}


def test_captures_may_end_in_any_order(tracer: Tracer) -> None:
    """A capture that outlives the one around it goes on, then the tracer is as before."""
    first, second = capture(tracer), capture(tracer)
    a = first.__enter__()
    with tracer.trace("one"):
        pass
    b = second.__enter__()
    with tracer.trace("two"):
        pass
    first.__exit__(None, None, None)
    with tracer.trace("three"):
        pass
    second.__exit__(None, None, None)
    with tracer.trace("four"):
        pass
    assert (names(a), names(b)) == (["one", "two"], ["two", "three"])
    with capture(tracer) as empty:
        with capture(tracer), tracer.trace("inner"):
            pass
        empty.clear()
        with capture(tracer):  # as empty as the one around it, and yet another one
            pass
        with tracer.trace("outer"):
            pass
    assert names(empty) == ["outer"]
    assert [span["name"] for span in spans_of(tracer)] == ["four"]


def test_captures_of_different_tracers_are_independent(new_tracer: Callable[..., Tracer]) -> None:
    """Each tracer's capture has what that tracer encodes, also where they share a trace."""
    one, two = new_tracer(service="one"), new_tracer(service="two")
    with capture(one) as first, capture(two) as second:
        with one.trace("root"), two.trace("child"):
            pass
    assert (names(first), names(second)) == (["root"], ["child"])
    assert first[0].trace_id == second[0].trace_id


def test_spans_of_all_threads_are_captured(tracer: Tracer) -> None:
    """What other threads complete during the block is in the list."""

    def work(number: int) -> None:
        for _ in range(50):
            with tracer.trace(f"thread {number}"), tracer.trace("below"):
                pass

    with capture(tracer) as spans:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(spans) == 800
    assert all(len(spans.named(f"thread {number}")) == 50 for number in range(8))
    assert all(span.parent is not None for span in spans.named("below"))


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after a few instructions instead of 5 ms."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("hasty_threads")
@pytest.mark.parametrize("flushing", [True, False])
def test_no_span_goes_astray_while_captures_come_and_go(flushing: bool) -> None:
    """With threads that trace, a busy flusher and overlapping captures each span is counted once,
    and the captures of a thread have all that it finished itself."""
    exporter = Gate(ExportResult("sent"))
    exporter.go_on.set()
    tracer = make_tracer_with(exporter)
    if not flushing:
        tracer._on_first_chunk = None
    stop = threading.Event()
    failures: list[str] = []

    def trace_on() -> None:
        while not stop.is_set():
            with tracer.trace("elsewhere"):
                time.sleep(0.0001)  # or the buffer is full before anybody can empty it

    def capture_on(number: int) -> None:
        for turn in range(300):
            with capture(tracer) as spans:
                for _ in range(turn % 5):
                    with tracer.trace(f"mine {number} {turn}"):
                        pass
            found = len(spans.named(f"mine {number} {turn}"))
            if found != turn % 5:
                failures.append(f"{found} of {turn % 5} captured")
            with tracer.trace("between"):
                pass

    background = [threading.Thread(target=trace_on) for _ in range(2)]
    capturing = [threading.Thread(target=capture_on, args=(number,)) for number in range(3)]
    for thread in background + capturing:
        thread.start()
    for thread in capturing:
        thread.join()
    stop.set()
    for thread in background:
        thread.join()
    assert tracer.flush(30.0)
    stats = tracer.stats()
    assert failures == []
    assert stats["sent"] == exporter.spans
    assert stats["sent"] + stats["dropped"]["captured"] == stats["finished"]
    assert stats["dropped"]["captured"] >= 3 * 600


def test_an_exception_in_the_block_goes_on_and_ends_the_capture(tracer: Tracer) -> None:
    """The exception reaches the caller, its span is captured, what follows is not."""
    with pytest.raises(ZeroDivisionError), capture(tracer) as spans, tracer.trace("op"):
        1 / 0  # noqa: B018
    with tracer.trace("later"):
        pass
    [span] = spans
    assert (span.error, span.meta["error.type"]) == (1, "builtins.ZeroDivisionError")
    assert [span["name"] for span in spans_of(tracer)] == ["later"]


def test_tasks_are_captured(tracer: Tracer) -> None:
    """A capture works in a coroutine, with the tasks that run meanwhile."""

    async def step(name: str) -> None:
        with tracer.trace(name):
            await asyncio.sleep(0)

    async def main() -> list[CapturedSpan]:
        with capture(tracer) as spans:
            with tracer.trace("main"):
                await asyncio.gather(step("one"), step("two"))
        return list(spans)

    main_span, one, two = asyncio.run(main())
    assert main_span.children == [one, two]


def test_finalizers_that_trace_and_look_do_no_harm(tracer: Tracer) -> None:
    """Spans made by finalizers that run in the middle of a look at the list are captured too."""

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            tracer.start_span("finalizer").finish()
            looks.append(len(spans))

    looks: list[int] = []
    threshold = gc.get_threshold()
    with capture(tracer) as spans:
        gc.set_threshold(1)
        try:
            for _ in range(300):
                Cycle()
                tracer.start_span("op").finish()
                looks.append(len(spans))
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
    assert len(looks) == 600
    assert (len(spans.named("op")), len(spans.named("finalizer"))) == (300, 300)


# -- the tracer meanwhile --------------------------------------------------------------------------


def test_without_argument_it_is_the_default_tracer() -> None:
    """capture() captures what `from fasttrace import tracer` traces."""
    captured = fasttrace.tracer.stats()["dropped"].get("captured", 0)
    with capture() as spans:
        with fasttrace.tracer.trace("op"):
            pass
    assert names(spans) == ["op"]
    assert fasttrace.tracer.stats()["dropped"]["captured"] == captured + 1


def test_a_disabled_tracer_records_for_the_time_of_the_capture(tracer: Tracer) -> None:
    """Tests may switch tracing off for all but what is captured."""
    tracer.enabled = False
    with capture(tracer) as spans:
        with capture(tracer), tracer.trace("op"):
            pass
        assert tracer.enabled
    assert tracer.enabled is False
    assert names(spans) == ["op"]


def test_the_program_may_switch_tracing_off_itself(tracer: Tracer) -> None:
    """What the code under test does to `enabled` holds, also after the capture."""
    with capture(tracer) as spans:
        with tracer.trace("op"):
            pass
        tracer.shutdown()
        with tracer.trace("after"):
            pass
    assert names(spans) == ["op"]
    assert tracer.enabled is False


def test_the_program_may_flush_and_configure(session: Session) -> None:
    """flush() has nothing to wait for; a tracer configured anew is still captured, then sends."""
    tracer = session.make_tracer(agent_url="http://127.0.0.1:9")
    host, _, port = session.agent.url.removeprefix("http://").partition(":")
    with capture(tracer) as spans:
        with tracer.trace("first"):
            pass
        assert tracer.flush(0.0)
        tracer.configure(hostname=host, port=int(port))
        for _ in range(3):
            with tracer.trace("second"):
                pass
        assert tracer.flush(30.0)
    assert names(spans) == ["first", "second", "second", "second"]
    assert tracer._on_first_chunk == tracer._flusher.start
    with tracer.trace("sent"):
        pass
    assert [span["name"] for span in session.received()] == ["sent"]


if hasattr(os, "fork"):

    def test_a_child_forked_in_the_block_sends_nothing(session: Session) -> None:
        """What a forked child traces stays in its memory, and the parent captures its own."""
        code = """
            import os
            from fasttrace import tracer
            from fasttrace.testing import capture
            with capture() as spans:
                with tracer.trace("before"):
                    pass
                pid = os.fork()
                with tracer.trace("child" if pid == 0 else "parent"):
                    pass
                if pid == 0:
                    tracer.flush()
                    assert [span.name for span in spans] == ["before", "child"]
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
            assert [span.name for span in spans] == ["before", "parent"]
        """
        run_python(code, env=session.env())
        assert session.spans() == []

    def test_a_child_forked_while_another_thread_captures_does_not_wait() -> None:
        """The lock of a thread that does not exist in the child holds up nobody there."""
        code = """
            import os, threading, time
            from fasttrace import testing, tracer
            held, done = threading.Event(), threading.Event()
            def hold():
                with testing._taps:
                    held.set()
                    done.wait()
            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            pid = os.fork()
            if pid == 0:
                begin_s = time.monotonic()
                for _ in range(5):
                    with testing.capture() as spans, tracer.trace("child"):
                        pass
                    assert len(spans) == 1
                os._exit(time.monotonic() - begin_s > 8.0)  # each wait would take 2 s
            done.set()
            assert os.waitpid(pid, 0)[1] == 0
        """
        run_python(code)


@pytest.mark.parametrize("wrong", [1, "tracer", fasttrace])
def test_anything_but_a_tracer_is_a_type_error(wrong: Any) -> None:
    """A capture of something else fails before the block begins."""
    with pytest.raises(TypeError, match="takes a Tracer"), capture(wrong):
        raise AssertionError("the block was run")
