"""OpenTracing's patterns of use with coroutines and callbacks of tornado.

The default scope manager needs nothing of tornado. The one that opentracing has for it needs stack
contexts, which tornado 6 no longer has; tornado 5 installs up to Python 3.11. Generator coroutines
share one context, so a scope is kept open across a `yield` only where nothing else runs meanwhile,
or it is activated again.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentracing_testbed.lab import WAIT_S, Lab, Requests, same_trace

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tornado 5 is older than this Python
    import tornado
    from tornado import gen, ioloop, locks, queues

    MANAGERS: list[Any] = [None]
    if tornado.version_info < (6,):
        from opentracing.scope_managers.tornado import TornadoScopeManager, tracer_stack_context

        MANAGERS.append(TornadoScopeManager)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=MANAGERS)
def lab(request: pytest.FixtureRequest) -> Lab:
    """A tracer with the default scope manager, and with the one opentracing has for tornado."""
    made = Lab(request.param)
    made.stack_context = tracer_stack_context if request.param else contextlib.nullcontext  # type: ignore[attr-defined]
    return made


@pytest.fixture
def loop() -> Iterator[Any]:
    """An event loop of tornado."""
    made = ioloop.IOLoop(make_current=True)
    yield made
    made.close()
    ioloop.IOLoop.clear_current()


@pytest.fixture
def run(lab: Any, loop: Any) -> Callable[[Callable[[], Any]], Any]:
    """Run a coroutine to its end, as a request handler would be."""

    def run_coroutine(main: Callable[[], Any]) -> Any:
        def within() -> Any:
            with lab.stack_context():
                return main()

        return loop.run_sync(within, timeout=WAIT_S)

    return run_coroutine


def test_active_span_replacement(lab: Lab, run: Any) -> None:
    """A task finishes a span it was given, and its own span is active again afterwards."""

    @gen.coroutine
    def task(given: Any) -> Any:
        with lab.tracer.start_active_span("task") as scope:
            with lab.tracer.scope_manager.activate(given, True):
                assert lab.tracer.active_span is given
                yield gen.sleep(0.001)
                with lab.tracer.start_active_span("for the one given"):
                    yield gen.sleep(0.001)
            assert lab.tracer.active_span is scope.span
            with lab.tracer.start_active_span("subtask"):
                yield gen.sleep(0.001)

    run(lambda: task(lab.tracer.start_span("given")))
    assert lab.tree() == [["given", "for the one given"], ["task", "subtask"]]
    assert not same_trace(lab.one("given"), lab.one("task"))


def test_client_and_server(lab: Lab, run: Any, loop: Any) -> None:
    """A server's span is the child of the client's, whose context came with the message."""
    messages = queues.Queue()

    @gen.coroutine
    def server() -> Any:
        carrier, reply = yield messages.get()
        lab.serve(carrier)
        reply.set()

    @gen.coroutine
    def client() -> Any:
        with lab.tracer.start_active_span("ask") as scope:
            carrier = lab.ask(scope.span)
            reply = locks.Event()
            yield messages.put((carrier, reply))
            yield reply.wait()

    loop.add_callback(server)
    run(client)
    lab.assert_served()


class Client(Requests):
    """A client library whose requests take a while."""

    @gen.coroutine
    def send(self, text: str) -> Any:
        """Send a request; returns the answer."""
        span = self.begin()
        yield gen.sleep(0.001)
        return self.answered(span, text)


def test_common_request_handler_with_concurrent_requests(lab: Lab, run: Any) -> None:
    """Requests that are under way at the same time have spans, and traces, of their own."""
    client = Client(lab.tracer)

    @gen.coroutine
    def main() -> Any:
        answers = yield [client.send(str(number)) for number in range(5)]
        return answers

    assert run(main) == [f"answer to {number}" for number in range(5)]
    assert lab.tree() == ["send"] * 5
    assert len({span["trace_id"] for span in lab.spans()}) == 5


@pytest.mark.parametrize("ignored", [True, False])
def test_common_request_handler_and_what_is_active(lab: Lab, run: Any, ignored: bool) -> None:
    """What is active where the request is sent is its parent, unless the handler ignores it."""
    client = Client(lab.tracer, ignore_active_span=ignored)

    @gen.coroutine
    def main() -> Any:
        with lab.tracer.start_active_span("page"):
            yield client.send("x")

    run(main)
    assert lab.tree() == (["page", "send"] if ignored else [["page", "send"]])


def test_common_request_handler_with_a_parent(lab: Lab, run: Any) -> None:
    """A handler that was given a parent puts all requests below it."""
    parent = lab.tracer.start_span("parent")
    client = Client(lab.tracer, parent)

    @gen.coroutine
    def main() -> Any:
        yield [client.send("one"), client.send("two")]

    run(main)
    parent.finish()
    assert lab.tree() == [["parent", "send", "send"]]


def test_late_span_finish(lab: Lab, run: Any, loop: Any) -> None:
    """A span that outlives the callbacks begun under it is finished after them."""

    @gen.coroutine
    def task(parent: Any, name: str, ended: Any) -> Any:
        with lab.tracer.scope_manager.activate(parent, False):
            with lab.tracer.start_active_span(name):
                pass
        yield gen.sleep(0.001)
        ended.set()

    @gen.coroutine
    def main() -> Any:
        parent = lab.tracer.start_span("parent")
        events = [locks.Event(), locks.Event()]
        for number, ended in enumerate(events, 1):
            loop.add_callback(task, parent, f"task{number}", ended)
        for ended in events:
            yield ended.wait()
        assert not parent.finished
        assert lab.tracer.active_span is None
        parent.finish()

    run(main)
    assert lab.tree() == [["parent", "task1", "task2"]]


def test_listener_per_request(lab: Lab, run: Any, loop: Any) -> None:
    """A listener made for one request finishes its span when the answer arrives."""

    @gen.coroutine
    def work(text: str) -> Any:
        yield gen.sleep(0.001)
        return f"{text}::answer"

    def request(text: str) -> Any:
        span = lab.tracer.start_span("send")
        future = work(text)
        loop.add_future(future, lambda done: span.set_tag("answer", done.result()).finish())
        return future

    @gen.coroutine
    def main() -> Any:
        answers = yield [request("one"), request("two")]
        yield gen.sleep(0.001)
        return answers

    assert run(main) == ["one::answer", "two::answer"]
    assert {span["meta"]["answer"] for span in lab.named("send")} == {"one::answer", "two::answer"}


def test_multiple_callbacks(lab: Lab, run: Any) -> None:
    """A span with many callbacks under way ends with the last one."""
    left = [20]

    @gen.coroutine
    def callback(parent: Any, number: int) -> Any:
        span = lab.tracer.start_span("callback", child_of=parent)
        yield gen.sleep(0.001 * (number % 3))
        span.finish()
        left[0] -= 1
        if left[0] == 0:
            parent.finish()

    @gen.coroutine
    def main() -> Any:
        with lab.tracer.start_active_span("parent", finish_on_close=False) as scope:
            futures = [callback(scope.span, number) for number in range(20)]
        yield futures

    run(main)
    assert lab.tree() == [["parent", *["callback"] * 20]]


def test_nested_callbacks(lab: Lab, run: Any, loop: Any) -> None:
    """Callbacks that schedule one another all work on the span that the first one was given."""
    ended = locks.Event()

    def step(span: Any, number: int) -> None:
        with lab.tracer.scope_manager.activate(span, number == 3):
            lab.tracer.active_span.set_tag(f"step{number}", number)
            with lab.tracer.start_active_span(f"within {number}"):
                pass
            if number < 3:
                loop.add_callback(step, span, number + 1)
            else:
                ended.set()

    @gen.coroutine
    def main() -> Any:
        loop.add_callback(step, lab.tracer.start_span("one"), 1)
        yield ended.wait()

    run(main)
    assert lab.tree() == [["one", "within 1", "within 2", "within 3"]]
    assert {lab.one("one")["metrics"][f"step{number}"] for number in (1, 2, 3)} == {1, 2, 3}


def test_subtask_propagation(lab: Lab, run: Any, loop: Any) -> None:
    """Coroutines and callbacks of tornado inherit the active span and its baggage."""

    def work(name: str) -> None:
        with lab.tracer.start_active_span(name) as scope:
            assert scope.span.get_baggage_item("user") == "ada"

    @gen.coroutine
    def subtask() -> Any:
        work("before")
        yield gen.sleep(0.001)
        work("after")

    async def native_subtask() -> None:
        await gen.sleep(0.001)
        work("awaited")

    @gen.coroutine
    def main() -> Any:
        with lab.tracer.start_active_span("parent") as scope:
            scope.span.set_baggage_item("user", "ada")
            yield subtask()
            yield native_subtask()
            loop.add_callback(work, "callback")
            yield gen.sleep(0.001)
            assert lab.tracer.active_span is scope.span

    run(main)
    assert lab.tree() == [["parent", "after", "awaited", "before", "callback"]]
