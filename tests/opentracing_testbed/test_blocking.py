"""OpenTracing's patterns of use with threads and with greenlets of gevent.

In both worlds, what is begun elsewhere has nothing active: the application hands spans over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import gevent.event
import gevent.queue
import pytest
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.gevent import GeventScopeManager
from opentracing_testbed.lab import WAIT_S, Lab, same_trace


class Threads:
    """Work in threads of the operating system."""

    Queue: Any = queue.Queue
    Event: Any = threading.Event
    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(16)

    def begin(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Begin work; what is returned waits for its result."""
        future = self._pool.submit(function, *args)
        return lambda: future.result(WAIT_S)

    def close(self) -> None:
        """End all threads."""
        self._pool.shutdown()


class Greenlets:
    """Work in greenlets, without a patched interpreter."""

    Queue: Any = gevent.queue.Queue
    Event: Any = gevent.event.Event
    sleep: Callable[[float], None] = staticmethod(gevent.sleep)

    def begin(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Begin work; what is returned waits for its result."""
        greenlet = gevent.spawn(function, *args)
        return lambda: greenlet.get(timeout=WAIT_S)

    def close(self) -> None:
        """Nothing is left."""


KINDS = {
    "threads": (Threads, None),
    "threads, ThreadLocalScopeManager": (Threads, ThreadLocalScopeManager),
    "gevent": (Greenlets, None),
    "gevent, GeventScopeManager": (Greenlets, GeventScopeManager),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request: pytest.FixtureRequest) -> Any:
    """A world to work in, and a scope manager that fits."""
    return request.param


@pytest.fixture
def lab(kind: Any) -> Lab:
    """A tracer with that scope manager."""
    return Lab(kind[1])


@pytest.fixture
def world(kind: Any) -> Iterator[Any]:
    """Where work is done."""
    made = kind[0]()
    yield made
    made.close()


def test_active_span_replacement(lab: Lab, world: Any) -> None:
    """A task finishes a span it was given, and its own span is active again afterwards."""

    def task(given: Any) -> None:
        with lab.tracer.start_active_span("task") as scope:
            with lab.tracer.scope_manager.activate(given, True):
                assert lab.tracer.active_span is given
                with lab.tracer.start_active_span("for the one given"):
                    world.sleep(0.001)
            assert lab.tracer.active_span is scope.span
            with lab.tracer.start_active_span("subtask"):
                pass

    given = lab.tracer.start_span("given")
    world.begin(task, given)()
    assert lab.tree() == [["given", "for the one given"], ["task", "subtask"]]
    assert not same_trace(lab.one("given"), lab.one("task"))
    assert lab.tracer.active_span is None


def test_client_and_server(lab: Lab, world: Any) -> None:
    """A server's span is the child of the client's, whose context came with the message."""
    messages = world.Queue()

    def server() -> None:
        carrier, reply = messages.get()
        lab.serve(carrier)
        reply.set()

    done = world.begin(server)
    with lab.tracer.start_active_span("ask") as scope:
        carrier = lab.ask(scope.span)
        reply = world.Event()
        messages.put((carrier, reply))
        assert reply.wait(WAIT_S)
    done()
    lab.assert_served()


class Handler:
    """What a client library calls before and after every request; one object for all requests."""

    def __init__(self, tracer: Any, parent: Any = None) -> None:
        self._tracer = tracer
        self._parent = parent

    def before(self, request: dict[str, Any]) -> None:
        """A request is about to be sent."""
        request["span"] = self._tracer.start_span(
            "send", child_of=self._parent, ignore_active_span=True
        )

    def after(self, request: dict[str, Any]) -> None:
        """The answer is there; in whatever thread that may be."""
        assert self._tracer.active_span is None
        request["span"].set_tag("answered", True).finish()


def send(world: Any, handler: Handler, request: dict[str, Any]) -> Callable[[], Any]:
    """Send a request; what is returned waits for the answer."""

    def work() -> str:
        world.sleep(0.001)
        handler.after(request)
        return f"answer to {request['text']}"

    handler.before(request)
    return world.begin(work)


def test_common_request_handler_with_concurrent_requests(lab: Lab, world: Any) -> None:
    """Requests that are under way at the same time have spans, and traces, of their own."""
    handler = Handler(lab.tracer)
    answers = [send(world, handler, {"text": str(number)}) for number in range(5)]
    assert [answer() for answer in answers] == [f"answer to {number}" for number in range(5)]
    assert lab.tree() == ["send"] * 5
    assert len({span["trace_id"] for span in lab.spans()}) == 5


def test_common_request_handler_ignores_what_is_active(lab: Lab, world: Any) -> None:
    """What is active where the request is sent is no parent if the handler says so."""
    handler = Handler(lab.tracer)
    with lab.tracer.start_active_span("page"):
        answer = send(world, handler, {"text": "x"})
    answer()
    assert lab.tree() == ["page", "send"]


def test_common_request_handler_with_a_parent(lab: Lab, world: Any) -> None:
    """A handler that was given a parent puts all requests below it."""
    parent = lab.tracer.start_span("parent")
    handler = Handler(lab.tracer, parent)
    answers = [send(world, handler, {"text": str(number)}) for number in range(2)]
    for answer in answers:
        answer()
    parent.finish()
    assert lab.tree() == [["parent", "send", "send"]]


def test_late_span_finish(lab: Lab, world: Any) -> None:
    """A span that outlives the work begun under it is finished after it, in nobody's scope."""

    def task(parent: Any, name: str) -> None:
        with lab.tracer.scope_manager.activate(parent, False):
            with lab.tracer.start_active_span(name):
                world.sleep(0.001)

    parent = lab.tracer.start_span("parent")
    waits = [world.begin(task, parent, name) for name in ("task1", "task2")]
    for wait in waits:
        wait()
    assert not parent.finished
    parent.finish()
    assert lab.tree() == [["parent", "task1", "task2"]]
    ends = {span["name"]: span["start"] + span["duration"] for span in lab.spans()}
    assert ends["parent"] >= max(ends["task1"], ends["task2"])


def test_listener_per_request(lab: Lab, world: Any) -> None:
    """A listener made for one request finishes its span wherever the answer arrives."""

    def send_to(listener: Callable[[str], str], text: str) -> str:
        world.sleep(0.001)
        return listener(f"{text}::answer")

    def request(text: str) -> Callable[[], Any]:
        span = lab.tracer.start_span("send")

        def listener(answer: str) -> str:
            span.set_tag("answer", answer).finish()
            return answer

        return world.begin(send_to, listener, text)

    answers = [request(text) for text in ("one", "two")]
    assert [answer() for answer in answers] == ["one::answer", "two::answer"]
    assert {span["meta"]["answer"] for span in lab.named("send")} == {"one::answer", "two::answer"}


def test_multiple_callbacks(lab: Lab, world: Any) -> None:
    """A span with many callbacks under way ends with the last one, in that one's thread."""
    lock = threading.Lock()
    left = [20]

    def callback(parent: Any) -> None:
        with lab.tracer.scope_manager.activate(parent, False):
            with lab.tracer.start_active_span("callback"):
                world.sleep(0.001)
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            parent.finish()

    with lab.tracer.start_active_span("parent", finish_on_close=False) as scope:
        waits = [world.begin(callback, scope.span) for _ in range(left[0])]
    for wait in waits:
        wait()
    assert lab.tree() == [["parent", *["callback"] * 20]]


def test_nested_callbacks(lab: Lab, world: Any) -> None:
    """Callbacks that begin one another all work on the span that the first one was given."""

    def step(span: Any, number: int) -> None:
        with lab.tracer.scope_manager.activate(span, number == 3):
            lab.tracer.active_span.set_tag(f"step{number}", number)
            with lab.tracer.start_active_span(f"within {number}"):
                pass
            if number < 3:
                wait = world.begin(step, span, number + 1)
        assert lab.tracer.active_span is None
        if number < 3:
            wait()

    span = lab.tracer.start_span("one")
    world.begin(step, span, 1)()
    assert lab.tree() == [["one", "within 1", "within 2", "within 3"]]
    assert {lab.one("one")["metrics"][f"step{number}"] for number in (1, 2, 3)} == {1, 2, 3}


def test_subtask_propagation(lab: Lab, world: Any) -> None:
    """A subtask begins with nothing active, and is a child once it was handed the span."""

    def subtask(parent: Any) -> None:
        assert lab.tracer.active_span is None
        with lab.tracer.scope_manager.activate(parent, False):
            with lab.tracer.start_active_span("child") as scope:
                assert scope.span.get_baggage_item("user") == "ada"

    with lab.tracer.start_active_span("parent") as scope:
        scope.span.set_baggage_item("user", "ada")
        world.begin(subtask, scope.span)()
        assert lab.tracer.active_span is scope.span
    assert lab.tree() == [["parent", "child"]]


def test_subtask_propagation_by_carry(lab: Lab, world: Any) -> None:
    """`carry()` of the native tracer takes an OpenTracing span along as well."""

    def subtask() -> None:
        with lab.tracer.start_active_span("child"):
            pass

    with lab.tracer.start_active_span("parent"):
        world.begin(lab.native.carry(subtask))()
    assert lab.tree() == [["parent", "child"]]
