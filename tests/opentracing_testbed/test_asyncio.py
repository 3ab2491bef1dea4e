"""OpenTracing's patterns of use with asyncio.

Tasks inherit what was active where they were created, whatever the scope manager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager
from opentracing_testbed.lab import WAIT_S, Lab, Requests, same_trace


@pytest.fixture(params=[None, AsyncioScopeManager, ContextVarsScopeManager])
def lab(request: pytest.FixtureRequest) -> Lab:
    """A tracer with the default scope manager, and with those that opentracing has for asyncio."""
    return Lab(request.param)


def run(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a pattern to its end."""
    asyncio.run(asyncio.wait_for(coroutine, WAIT_S))


def test_active_span_replacement(lab: Lab) -> None:
    """A task finishes a span it was given, and its own span is active again afterwards."""

    async def task(given: Any) -> None:
        with lab.tracer.start_active_span("task") as scope:
            with lab.tracer.scope_manager.activate(given, True):
                assert lab.tracer.active_span is given
                await asyncio.sleep(0)
                with lab.tracer.start_active_span("for the one given"):
                    await asyncio.sleep(0)
            assert lab.tracer.active_span is scope.span
            with lab.tracer.start_active_span("subtask"):
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.create_task(task(lab.tracer.start_span("given")))

    run(main())
    assert lab.tree() == [["given", "for the one given"], ["task", "subtask"]]
    assert not same_trace(lab.one("given"), lab.one("task"))


def test_client_and_server(lab: Lab) -> None:
    """A server's span is the child of the client's, whose context came with the message."""

    async def server(messages: Any) -> None:
        carrier, reply = await messages.get()
        lab.serve(carrier)
        reply.set()

    async def main() -> None:
        messages: asyncio.Queue[Any] = asyncio.Queue()
        serving = asyncio.create_task(server(messages))
        with lab.tracer.start_active_span("ask") as scope:
            carrier = lab.ask(scope.span)
            reply = asyncio.Event()
            await messages.put((carrier, reply))
            await reply.wait()
        await serving

    run(main())
    lab.assert_served()


class Client(Requests):
    """A client library whose requests take a while."""

    async def send(self, text: str) -> str:
        """Send a request; returns the answer."""
        span = self.begin()
        await asyncio.sleep(0.001)
        return self.answered(span, text)


def test_common_request_handler_with_concurrent_requests(lab: Lab) -> None:
    """Requests that are under way at the same time have spans, and traces, of their own."""
    client = Client(lab.tracer)

    async def main() -> None:
        answers = await asyncio.gather(*(client.send(str(number)) for number in range(5)))
        assert answers == [f"answer to {number}" for number in range(5)]

    run(main())
    assert lab.tree() == ["send"] * 5
    assert len({span["trace_id"] for span in lab.spans()}) == 5


@pytest.mark.parametrize("ignored", [True, False])
def test_common_request_handler_and_what_is_active(lab: Lab, ignored: bool) -> None:
    """What is active where the request is sent is its parent, unless the handler ignores it."""
    client = Client(lab.tracer, ignore_active_span=ignored)

    async def main() -> None:
        with lab.tracer.start_active_span("page"):
            await asyncio.create_task(client.send("x"))

    run(main())
    assert lab.tree() == (["page", "send"] if ignored else [["page", "send"]])


def test_common_request_handler_with_a_parent(lab: Lab) -> None:
    """A handler that was given a parent puts all requests below it."""
    parent = lab.tracer.start_span("parent")
    client = Client(lab.tracer, parent)

    async def main() -> None:
        await asyncio.gather(client.send("one"), client.send("two"))

    run(main())
    parent.finish()
    assert lab.tree() == [["parent", "send", "send"]]


def test_late_span_finish(lab: Lab) -> None:
    """A span that outlives the tasks begun under it is finished after them, in nobody's scope."""

    async def task(parent: Any, name: str) -> None:
        with lab.tracer.scope_manager.activate(parent, False):
            with lab.tracer.start_active_span(name):
                await asyncio.sleep(0.001)

    async def main() -> None:
        parent = lab.tracer.start_span("parent")
        await asyncio.gather(task(parent, "task1"), task(parent, "task2"))
        assert not parent.finished
        assert lab.tracer.active_span is None
        parent.finish()

    run(main())
    assert lab.tree() == [["parent", "task1", "task2"]]


def test_listener_per_request(lab: Lab) -> None:
    """A listener made for one request finishes its span when the answer arrives."""

    async def work(text: str) -> str:
        await asyncio.sleep(0.001)
        return f"{text}::answer"

    def request(text: str) -> asyncio.Task[str]:
        span = lab.tracer.start_span("send")

        def listener(done: asyncio.Task[str]) -> None:
            span.set_tag("answer", done.result()).finish()

        task = asyncio.get_running_loop().create_task(work(text))
        task.add_done_callback(listener)
        return task

    async def main() -> None:
        answers = await asyncio.gather(request("one"), request("two"))
        assert answers == ["one::answer", "two::answer"]
        await asyncio.sleep(0)

    run(main())
    assert {span["meta"]["answer"] for span in lab.named("send")} == {"one::answer", "two::answer"}


def test_multiple_callbacks(lab: Lab) -> None:
    """A span with many callbacks under way ends with the last one."""
    left = [20]

    async def callback(parent: Any, number: int) -> None:
        with lab.tracer.start_active_span("callback"):
            await asyncio.sleep(0.001 * (number % 3))
        left[0] -= 1
        if left[0] == 0:
            parent.finish()

    async def main() -> None:
        with lab.tracer.start_active_span("parent", finish_on_close=False) as scope:
            tasks = [asyncio.create_task(callback(scope.span, number)) for number in range(20)]
        await asyncio.gather(*tasks)

    run(main())
    assert lab.tree() == [["parent", *["callback"] * 20]]


def test_nested_callbacks(lab: Lab) -> None:
    """Callbacks that schedule one another all work on the span that the first one was given."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def step(span: Any, number: int) -> None:
            with lab.tracer.scope_manager.activate(span, number == 3):
                lab.tracer.active_span.set_tag(f"step{number}", number)
                with lab.tracer.start_active_span(f"within {number}"):
                    pass
                if number < 3:
                    loop.call_soon(step, span, number + 1)
                else:
                    ended.set()

        loop.call_soon(step, lab.tracer.start_span("one"), 1)
        await ended.wait()
        assert lab.tracer.active_span is None

    run(main())
    assert lab.tree() == [["one", "within 1", "within 2", "within 3"]]
    assert {lab.one("one")["metrics"][f"step{number}"] for number in (1, 2, 3)} == {1, 2, 3}


def test_subtask_propagation(lab: Lab) -> None:
    """Coroutines, tasks, callbacks and `to_thread` inherit the active span and its baggage."""

    async def subtask(name: str) -> None:
        await asyncio.sleep(0)
        work(name)

    def work(name: str) -> None:
        with lab.tracer.start_active_span(name) as scope:
            assert scope.span.get_baggage_item("user") == "ada"

    async def main() -> None:
        with lab.tracer.start_active_span("parent") as scope:
            scope.span.set_baggage_item("user", "ada")
            await subtask("awaited")
            await asyncio.create_task(subtask("task"))
            await asyncio.to_thread(work, "thread")
            asyncio.get_running_loop().call_soon(work, "callback")
            await asyncio.sleep(0.001)

    run(main())
    assert lab.tree() == [["parent", "awaited", "callback", "task", "thread"]]


def test_tasks_that_run_in_turns_do_not_mix(lab: Lab) -> None:
    """Each of many tasks that switch at every step sees its own span as the active one."""

    async def work(number: int) -> None:
        with lab.tracer.start_active_span(f"work{number}") as scope:
            for _ in range(3):
                await asyncio.sleep(0)
                assert lab.tracer.active_span is scope.span
                with lab.tracer.start_active_span("step"):
                    await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(10)))

    run(main())
    assert lab.tree() == [[f"work{number}", "step", "step", "step"] for number in range(10)]
