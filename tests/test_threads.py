"""Threads and processes begin with nothing active; `tracer.carry()` takes the trace there."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers import by_name, chunks_of, make_offline_tracer, spans_of

from fasttrace import Context, Span, Tracer, carrying
from fasttrace.trace import BaseContextProvider


def run_in_thread(function: Callable[[], Any]) -> Any:
    """Call `function` in a new thread; return what it returns or raise what it raises."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return future.result()


# -- without help ----------------------------------------------------------------------------------


def test_threads_begin_empty(tracer: Tracer) -> None:
    """A Thread, a Timer, an executor's thread and asyncio.run in a thread see no active span."""
    seen: list[Any] = []

    def look() -> None:
        seen.append(tracer.current_span())

    async def look_later() -> None:
        look()

    with tracer.trace("request"), ThreadPoolExecutor(1) as executor:
        run_in_thread(look)
        timer = threading.Timer(0, look)
        timer.start()
        timer.join()
        executor.submit(look).result()
        list(executor.map(lambda _: look(), [1]))
        run_in_thread(lambda: asyncio.run(look_later()))
    assert seen == [None] * 5


def test_a_pool_thread_carries_nothing_to_its_next_job(tracer: Tracer) -> None:
    """What a carried job leaves open is not active in the next job of the same thread."""

    def leave_open() -> Span:
        return tracer.trace("left open")

    with ThreadPoolExecutor(1) as executor:
        with tracer.trace("request"):
            left = executor.submit(tracer.carry(leave_open)).result()
        assert executor.submit(tracer.current_span).result() is None
        executor.submit(left.finish).result()
        assert executor.submit(tracer.current_span).result() is None


# -- carry -----------------------------------------------------------------------------------------


def test_carry_into_a_thread(tracer: Tracer) -> None:
    """A carried function runs in the trace that was active when carry() was called."""

    def work(a: int, *, b: int) -> None:
        assert tracer.current_span() is None  # the span itself belongs to the other thread
        context = tracer.current_trace_context()
        assert context is not None
        assert context.trace_id == request.trace_id
        for name in ("first", "second"):
            with tracer.trace(f"{name} {a} {b}"):
                pass

    with tracer.trace("request") as request:
        thread = threading.Thread(target=tracer.carry(work), args=(1,), kwargs={"b": 2})
        thread.start()
        thread.join()
        assert tracer.current_span() is request
    [chunk] = chunks_of(tracer)
    sent = by_name(chunk)
    assert sent["first 1 2"]["parent_id"] == request.span_id
    assert sent["second 1 2"]["parent_id"] == request.span_id


def test_carry_into_an_executor(tracer: Tracer) -> None:
    """carry() works with submit, map and run_in_executor; every job has the caller's parent."""

    def work(number: int) -> int:
        with tracer.trace("work") as span:
            assert tracer.current_span() is span
            with tracer.trace("inner"):
                pass
        return number

    async def main(executor: ThreadPoolExecutor) -> int:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, tracer.carry(work), 8)

    with ThreadPoolExecutor(3) as executor, tracer.trace("request") as request:
        futures = [executor.submit(tracer.carry(work), number) for number in range(4)]
        assert [future.result() for future in futures] == [0, 1, 2, 3]
        assert list(executor.map(tracer.carry(work), range(4, 8))) == [4, 5, 6, 7]
        assert asyncio.run(main(executor)) == 8
    [chunk] = chunks_of(tracer)
    works = [span for span in chunk if span["name"] == "work"]
    assert [span["parent_id"] for span in works] == [request.span_id] * 9
    ids = {span["span_id"] for span in works}
    assert {span["parent_id"] for span in chunk if span["name"] == "inner"} == ids


def test_carry_takes_what_is_active_at_its_call(tracer: Tracer) -> None:
    """What is active when the carried function runs, or was before carry(), plays no role."""
    with tracer.trace("outer"):
        with tracer.trace("inner") as inner:
            carried = tracer.carry(tracer.current_trace_context)
        with tracer.trace("sibling") as sibling:
            context = carried()
            assert tracer.current_span() is sibling
    assert context is not None
    assert context.span_id == inner.span_id
    with tracer.trace("another trace") as another:
        context = carried()
        assert context is not None
        assert context.span_id == inner.span_id
        assert tracer.current_span() is another


def test_carry_with_nothing_active(tracer: Tracer) -> None:
    """Carried from where nothing was active, a function begins traces of its own anywhere."""
    carried = tracer.carry(lambda: tracer.trace("own"))
    with tracer.trace("request") as request:
        own = carried()
        assert own.parent_id is None
        assert own.trace_id != request.trace_id
        assert tracer.current_span() is request
        own.finish()


def test_carry_with_a_remote_trace_active(tracer: Tracer) -> None:
    """An activated Context is carried without being used up."""
    tracer.context_provider.activate(Context(trace_id=5, span_id=6, sampling_priority=2))
    carried = tracer.carry(lambda: tracer.trace("work"))
    for _ in range(2):
        span = run_in_thread(carried)
        assert (span.trace_id, span.parent_id) == (5, 6)
        assert span.context.sampling_priority == 2
        run_in_thread(span.finish)
    context = tracer.current_trace_context()
    assert context is not None
    assert context.trace_id == 5
    tracer.context_provider.activate(None)


def test_the_module_function(tracer: Tracer) -> None:
    """fasttrace.carrying.carry() does what tracer.carry() does, or takes what to carry."""
    with tracer.trace("request") as request:
        carried = carrying.carry(tracer.current_trace_context)
    other = tracer.start_span("other")
    for item in (other, other.context):
        context = carrying.carry(tracer.current_trace_context, item)()
        assert context is not None
        assert context.span_id == other.span_id
    other.finish()
    context = run_in_thread(carried)
    assert context.span_id == request.span_id


def test_a_trace_that_ended_can_still_be_joined(tracer: Tracer) -> None:
    """Work carried out of a request and done after it has the same trace id and decision."""
    with tracer.trace("request") as request:
        request.set_tag("manual.keep")
        carried = tracer.carry(lambda: tracer.trace("late"))
    late = run_in_thread(carried)
    run_in_thread(late.finish)
    assert (late.trace_id, late.parent_id) == (request.trace_id, request.span_id)
    first, second = chunks_of(tracer)
    assert [chunk[0]["metrics"]["_sampling_priority_v1"] for chunk in (first, second)] == [2, 2]
    assert second[0]["meta"]["_dd.p.dm"] == "-4"


def test_errors_and_results_pass(tracer: Tracer) -> None:
    """A carried function returns and raises as the function does, and leaves nothing active."""

    def fail() -> None:
        tracer.trace("left open")
        raise KeyError("boom")

    with tracer.trace("request"):
        carried = tracer.carry(fail)
    with pytest.raises(KeyError, match="boom"):
        carried()
    assert tracer.current_span() is None
    assert tracer.carry(divmod)(7, 2) == (3, 1)
    with pytest.raises(TypeError, match="can be called"):
        tracer.carry(5)  # type: ignore[type-var]


def test_a_carried_function_looks_like_the_function(tracer: Tracer) -> None:
    """Name, documentation and signature are the function's."""

    def work(a: int) -> None:
        """Do something."""

    carried = tracer.carry(work)
    assert (carried.__name__, carried.__doc__) == ("work", "Do something.")
    assert carried.__wrapped__ is work  # type: ignore[attr-defined]
    assert "carried" in repr(carried)
    assert weakref.ref(carried)() is carried


def test_carried_coroutine_functions(tracer: Tracer) -> None:
    """A carried coroutine function's coroutine joins the trace, in any loop and task."""

    async def work(number: int) -> int:
        await asyncio.sleep(0)
        with tracer.trace("work") as span:
            await asyncio.sleep(0)
            assert span.parent_id == request.span_id
        return number

    async def elsewhere() -> list[int]:
        with tracer.trace("other") as other:
            results = [await carried(1), *await asyncio.gather(carried(2), carried(3))]
            assert tracer.current_span() is other
        return results

    with tracer.trace("request") as request:
        carried = tracer.carry(work)
    assert run_in_thread(lambda: asyncio.run(elsewhere())) == [1, 2, 3]
    assert len(spans_of(tracer)) == 5


def test_carrying_does_not_keep_the_span(tracer: Tracer) -> None:
    """A carried function that is kept holds the trace's identity, not its spans."""
    request = tracer.start_span("request")
    carried = carrying.carry(len, request)
    reference = weakref.ref(request)
    del request
    assert reference() is None
    assert tracer.stats()["open"] == 0
    assert carried("abc") == 3


class OneItem(BaseContextProvider):
    """Keeps the active item of each thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    def activate(self, ctx: Span | Context | None) -> None:
        """Make `ctx` the active item."""
        self._local.item = ctx

    def active(self) -> Span | Context | None:
        """Return the active item."""
        item: Span | Context | None = getattr(self._local, "item", None)
        while isinstance(item, Span) and item.finished:
            item = item._parent
        return item


def test_a_context_provider_of_the_application(tracer: Tracer) -> None:
    """carry() and detached() use the context provider the tracer was given."""
    tracer.configure(context_provider=OneItem())
    with tracer.trace("request") as request:
        span = run_in_thread(tracer.carry(lambda: tracer.trace("work")))
        with tracer.detached():
            assert tracer.current_span() is None
        assert tracer.current_span() is request
        span.finish()
    assert span.parent_id == request.span_id
    assert len(spans_of(tracer)) == 2


# -- processes -------------------------------------------------------------------------------------


def module_function(number: int) -> int:
    """Something that pickles."""
    return number * 2


def test_carried_functions_pickle(tracer: Tracer) -> None:
    """A carried function pickles with the trace's ids, decision, origin and baggage."""
    tracer.context_provider.activate(Context(trace_id=2**100, span_id=6, dd_origin="rum"))
    with tracer.trace("request") as request:
        request.context.set_baggage_item("user", "ann")
        carried = tracer.carry(module_function)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(carried, protocol))
            assert again(4) == 8
            context = again._context
            assert (context.trace_id, context.span_id) == (2**100, request.span_id)
            assert context.get_all_baggage_items() == {"user": "ann"}
            assert context.dd_origin == "rum"
        assert copy.copy(carried)(3) == 6
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(tracer.carry(lambda: None))


def test_the_decision_is_taken_before_a_trace_crosses_over(tracer: Tracer) -> None:
    """Pickling decides on the trace, so that both processes agree; carry() alone does not."""
    tracer._set_rates({"service:svc,env:": 0.0})
    with tracer.trace("request") as request:
        carried = tracer.carry(module_function)
        assert request.context.sampling_priority is None
        again = pickle.loads(pickle.dumps(carried))
        assert request.context.sampling_priority == 0
        assert again._context.sampling_priority == 0
        assert tracer.current_span() is request


PROGRAM = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from fasttrace import tracer

@tracer.wrap("work")
def work(number):
    with tracer.trace("inner"):
        return number * 2

def finish():
    tracer.flush()

if __name__ == "__main__":
    start = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=start) as executor:
        with tracer.trace("request"):
            print(sum(executor.map(tracer.carry(work), range(4))))
            executor.submit(finish).result()
            process = start.Process(target=tracer.carry(work), args=(5,))
            process.start()
            process.join()
            sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes(session: Any, tmp_path: Path, method: str) -> None:
    """Functions carried into other processes, however those start, send spans of the same trace."""
    if method not in __import__("multiprocessing").get_all_start_methods():
        method = "spawn"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    child = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(program), method],
        env=session.env(DD_SERVICE="svc"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (child.returncode, child.stdout.strip(), child.stderr) == (0, "12", "")
    spans = session.received()
    [root] = [span for span in spans if span["name"] == "request"]
    works = [span for span in spans if span["name"] == "work"]
    assert [span["parent_id"] for span in works] == [root["span_id"]] * 5
    assert {span["trace_id"] for span in spans} == {root["trace_id"]}
    assert {span["parent_id"] for span in spans if span["name"] == "inner"} == {
        span["span_id"] for span in works
    }
    assert {span["metrics"]["_sampling_priority_v1"] for span in [root, *works]} == {1}
    assert root["metrics"]["process_id"] not in {span["metrics"]["process_id"] for span in works}
    assert len({span["span_id"] for span in spans}) == len(spans) == 11


# -- copied contexts -------------------------------------------------------------------------------


def test_copied_contexts_carry_the_span_itself(tracer: Tracer) -> None:
    """contextvars.copy_context().run in a thread has the span, and may finish it there."""
    with tracer.trace("request") as request:
        context = contextvars.copy_context()
        assert run_in_thread(lambda: context.run(tracer.current_span)) is request
        child = run_in_thread(lambda: context.run(tracer.trace, "child"))
        assert child.parent_id == request.span_id
        assert tracer.current_span() is request
        run_in_thread(child.finish)
        run_in_thread(request.finish)
        assert tracer.current_span() is None
    assert len(spans_of(tracer)) == 2


def test_threads_that_end_leave_nothing() -> None:
    """Contexts of ended threads, with carried traces, hold no span."""
    tracer = make_offline_tracer()
    with tracer.trace("request") as request:
        for _ in range(20):
            run_in_thread(tracer.carry(lambda: tracer.trace("left open")))
    references = weakref.ref(request)
    del request
    spans_of(tracer)
    tracer.context_provider.activate(None)
    gc.collect()
    assert references() is None
    assert tracer.stats()["open"] == 0
