"""fasttrace.testing: traces captured in a test instead of sent."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from helpers import run_python, spans_of

import fasttrace
from fasttrace import Context, TraceFilter, Tracer
from fasttrace._span import NativeEvent
from fasttrace.config import Config
from fasttrace.exporter import ExportResult
from fasttrace.flusher import Flusher
from fasttrace.testing import CapturedSpan, capture, render_tree

if TYPE_CHECKING:
    from conftest import Session

VERSIONS = pytest.mark.parametrize("api_version", ["v0.4", "v0.5"])


def names(spans: Any) -> list[str]:
    """Return the names of captured spans, in their order."""
    return [span.name for span in spans]


def sandwich(tracer: Tracer) -> None:
    """Make a trace of three spans, the last of them with an error."""
    with tracer.trace("sandwich", service="shop", resource="blt", span_type="web") as root:
        root.set_tag("customer", "Ada")
        with tracer.trace("toast", service="kitchen") as toast:
            toast.set_metric("slices", 2)
        try:
            with tracer.trace("charge", service="till", resource="card"):
                raise ValueError("no money\nat all")
        except ValueError:
            pass


# -- what is captured ------------------------------------------------------------------------------


@VERSIONS
def test_captured_spans_are_those_that_would_have_been_sent(
    new_tracer: Callable[..., Tracer], api_version: str
) -> None:
    """What the block traced is there with names, tags, errors, times and the tracer's own tags."""
    tracer = new_tracer(api_version=api_version, env="prod", version="7")
    with capture(tracer) as spans:
        sandwich(tracer)
    root, toast, charge = spans
    assert (root.name, root.service, root.resource, root.span_type) == (
        "sandwich",
        "shop",
        "blt",
        "web",
    )
    assert (toast.name, toast.service, toast.resource, toast.span_type) == (
        "toast",
        "kitchen",
        "toast",
        "",
    )
    assert [span.error for span in spans] == [0, 0, 1]
    assert charge.meta["error.type"] == "builtins.ValueError"
    assert charge.meta["error.message"] == "no money\nat all"
    assert charge.meta["error.stack"].endswith("ValueError: no money\nat all\n")
    assert root.meta["language"] == "python"
    assert root.metrics["_sampling_priority_v1"] == 1
    assert root.metrics["process_id"] == os.getpid()
    assert root.tags == {"customer": "Ada", "env": "prod"}
    assert toast.tags == {"slices": 2, "env": "prod"}
    for span in spans:
        assert 0 <= span.duration_ns <= root.duration_ns
        assert root.start_ns <= span.start_ns
        assert span.raw["name"] == span.name


@VERSIONS
def test_captured_spans_have_the_ids_of_the_live_ones(
    new_tracer: Callable[..., Tracer], api_version: str
) -> None:
    """Trace ids have their 128 bits, parents are None for roots, as on a live Span."""
    tracer = new_tracer(api_version=api_version)
    with capture(tracer) as spans, tracer.trace("root") as root, tracer.trace("child") as child:
        pass
    for live, captured in zip((root, child), spans, strict=True):
        assert captured.trace_id == live.trace_id
        assert captured.trace_id >> 64 != 0
        assert (captured.span_id, captured.parent_id) == (live.span_id, live.parent_id)
        assert (captured.start_ns, captured.duration_ns) == (live.start_ns, live.duration_ns)


def test_ids_of_a_trace_begun_elsewhere(tracer: Tracer) -> None:
    """A span below a remote parent has its id, whatever somebody puts into the tag for its half."""
    with capture(tracer) as spans:
        tracer.start_span("below", child_of=Context(trace_id=2**100 + 5, span_id=9)).finish()
        tracer.start_span("narrow", child_of=Context(trace_id=5, span_id=9)).finish()
        with tracer.trace("odd") as odd:
            odd.set_tag("_dd.p.tid", "not hexadecimal")
    below, narrow = spans[:2]
    assert (below.trace_id, below.parent_id, below.parent) == (2**100 + 5, 9, None)
    assert (narrow.trace_id, narrow.parent_id, narrow.parent) == (5, 9, None)
    assert spans[2].name == "odd"
    assert spans[2].trace_id & (2**64 - 1) == odd.trace_id & (2**64 - 1)


def test_parents_and_children_are_linked(tracer: Tracer) -> None:
    """A captured span knows its parent and its children, in the order of their start."""
    with capture(tracer) as spans:
        with tracer.trace("root"):
            with tracer.trace("first"):
                with tracer.trace("below"):
                    pass
            with tracer.trace("second"):
                pass
        with tracer.trace("other"):
            pass
    root, first, below, second, other = spans
    assert root.children == [first, second]
    assert first.children == [below]
    assert below.children == []
    assert (root.parent, first.parent, below.parent, second.parent) == (None, root, first, root)
    assert spans.roots == [root, other]
    assert spans.named("first") == [first]
    assert spans.named("nobody") == []


@pytest.mark.parametrize(
    "form", [{}, {"api_version": "v0.5"}, {"native_span_events": True}], ids=str
)
def test_links_and_events_have_one_form(
    new_tracer: Callable[..., Tracer], form: dict[str, Any]
) -> None:
    """Links have their ids as numbers, events their attributes, however they are encoded."""
    tracer = new_tracer(**form)
    target = Context(trace_id=2**100 + 3, span_id=4)
    with capture(tracer) as spans, tracer.trace("op") as op:
        op.link_span(target, {"why": "retry"})
        op._add_event("stirred", {"times": 3, "by": ["Ada", "Bo"]}, 1_700_000_000_000_000_000)
        op._add_event("done")
    [span] = spans
    assert span.links == [
        {"trace_id": 2**100 + 3, "span_id": 4, "attributes": {"why": "retry"}},
    ]
    stirred, done = span.events
    assert stirred == {
        "name": "stirred",
        "time_unix_nano": 1_700_000_000_000_000_000,
        "attributes": {"times": 3, "by": ["Ada", "Bo"]},
    }
    assert (done["name"], done["attributes"]) == ("done", {})
    assert span.tags == {}


def test_filters_and_decisions_have_been_applied(tracer: Tracer) -> None:
    """Dropped by a filter is not captured, changed by a filter is captured as changed."""

    class Edit(TraceFilter):
        def process_trace(self, trace: list[Any]) -> list[Any] | None:
            if trace[0].name == "health":
                return None
            trace[0].set_tag("edited", "yes")
            return trace

    tracer.configure(trace_processors=[Edit()])
    with capture(tracer) as spans:
        with tracer.trace("health"):
            pass
        with tracer.trace("work") as work:
            work.set_tag("manual.drop")
    [span] = spans
    assert (span.name, span.tags) == ("work", {"edited": "yes"})
    assert span.metrics["_sampling_priority_v1"] == -1
    assert tracer.stats()["dropped"] == {"filtered": 1, "captured": 1}


def test_a_trace_flushed_in_parts_is_one_tree(new_tracer: Callable[..., Tracer]) -> None:
    """Chunks of one trace are put together: one id, every child below its parent."""
    tracer = new_tracer(partial_flush_min_spans=10)
    with capture(tracer) as spans, tracer.trace("root") as root:
        for _ in range(95):
            with tracer.trace("child"):
                pass
        assert 90 <= len(spans) < 96
        early = spans[0]
        assert early.parent is None
    assert len(spans) == 96
    assert {span.trace_id for span in spans} == {root.trace_id}
    [captured_root] = spans.named("root")
    assert len(captured_root.children) == 95
    assert early.parent is captured_root


def test_spans_of_an_unfinished_trace_are_not_captured_yet(tracer: Tracer) -> None:
    """A finished span that waits for its trace is captured with the trace, begun before or not."""
    with tracer.trace("outer"):
        with capture(tracer) as spans:
            with tracer.trace("inner"):
                pass
        assert spans == []
        outer_capture = capture(tracer)
        late = outer_capture.__enter__()
    outer_capture.__exit__(None, None, None)
    assert names(late) == ["outer", "inner"]


def test_the_list_is_live_while_the_block_runs(tracer: Tracer) -> None:
    """Each look at the list shows what is complete by then; clear() forgets that."""
    with capture(tracer) as spans:
        assert len(spans) == 0
        with tracer.trace("first"):
            pass
        assert names(spans) == ["first"]
        spans.clear()
        assert spans == []
        with tracer.trace("second"):
            assert not spans
        assert spans[-1].name == "second"
    assert names(spans) == ["second"]


def test_clear_forgets_parents_and_children(tracer: Tracer) -> None:
    """After clear() there is nobody left to be somebody's parent or child."""
    with capture(tracer) as spans, tracer.trace("root"), tracer.trace("child"):
        pass
    root, child = spans
    spans.clear()
    assert (child.parent, root.children, len(spans)) == (None, [], 0)


def test_spans_finished_while_the_list_is_walked_through(tracer: Tracer) -> None:
    """A loop over the list sees the spans there were at its start."""
    with capture(tracer) as spans:
        sandwich(tracer)
        seen = 0
        for _ in zip(range(100), spans, strict=False):
            seen += 1 if len(spans) else 0
            with tracer.trace("meanwhile"):
                pass
    assert (seen, len(spans)) == (3, 6)


def test_it_is_like_a_list(tracer: Tracer) -> None:
    """Indices, slices, `in`, reversed, equality with a list and a short repr work."""
    with capture(tracer) as spans:
        sandwich(tracer)
    as_list = list(spans)
    assert spans == as_list
    assert as_list == spans
    assert spans != as_list[:2]
    assert (spans == 3) is False
    assert spans[0] is as_list[0]
    assert spans[1:] == as_list[1:]
    assert as_list[2] in spans
    assert list(reversed(spans)) == as_list[::-1]
    assert spans.index(as_list[1]) == 1
    assert repr(spans) == "<CapturedSpans [sandwich, toast, charge]>"
    assert repr(spans[2]) == "<CapturedSpan charge service=till resource=card error>"
    with pytest.raises(IndexError):
        spans[3]


# -- where the other spans go ----------------------------------------------------------------------


@VERSIONS
def test_the_agent_receives_what_is_finished_before_and_after(
    session: Session, api_version: str
) -> None:
    """With a running flusher the captured spans stay here and all others reach the agent, once."""
    tracer = session.make_tracer(api_version=api_version, flush_interval_s=0.01)
    for turn in range(20):
        with tracer.trace(f"before {turn}"):
            pass
        with capture(tracer) as spans, tracer.trace("captured"):
            pass
        assert names(spans) == ["captured"]
        with tracer.trace(f"after {turn}"):
            pass
    received = sorted(span["name"] for span in session.received())
    assert received == sorted(
        f"{when} {turn}" for when in ("before", "after") for turn in range(20)
    )
    stats = tracer.stats()
    assert (stats["sent"], stats["dropped"]) == (40, {"captured": 20})


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait, for at most 20 s, until `condition` holds."""
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Gate:
    """An exporter that keeps its caller waiting until it is told the answer."""

    def __init__(self, answer: ExportResult) -> None:
        self.answer = answer
        self.entered, self.go_on = NativeEvent(), NativeEvent()
        self.calls = 0
        self.spans = 0  # sent

    def export(self, payload: Any, trace_count: int, timeout_s: float) -> ExportResult:
        self.calls += 1
        self.entered.set()
        assert self.go_on.wait(30.0)
        if self.answer.status == "sent":
            self.spans += payload.span_count
        return self.answer


def make_tracer_with(exporter: Any) -> Tracer:
    """A tracer whose flusher uses `exporter`."""
    tracer = Tracer(config=Config.from_env({}, service="svc", flush_interval_s=0.001))
    tracer._flusher = Flusher(tracer, exporter, tracer._config)
    tracer._on_first_chunk = tracer._flusher.start
    return tracer


def test_what_the_flusher_puts_back_is_not_captured() -> None:
    """A payload on its way when the capture begins is sent later, if the agent refuses it now."""
    exporter = Gate(ExportResult("retry", reason="unreachable"))
    tracer = make_tracer_with(exporter)
    with tracer.trace("before"):
        pass
    assert exporter.entered.wait(30.0)
    with capture(tracer) as spans:
        with tracer.trace("captured"):
            pass
        exporter.go_on.set()
        wait_until(lambda: exporter.calls >= 3)
        assert names(spans) == ["captured"]
    assert names(spans) == ["captured"]
    exporter.answer = ExportResult("sent")
    assert tracer.flush(30.0)
    assert exporter.spans == 1
    stats = tracer.stats()
    assert (stats["sent"], stats["dropped"]) == (1, {"captured": 1})


def test_older_traces_are_sent_while_the_block_runs() -> None:
    """A flusher that is at it goes on to try with older traces, and never gets others."""
    exporter = Gate(ExportResult("retry", reason="unreachable"))
    tracer = make_tracer_with(exporter)
    with tracer.trace("before"):
        pass
    assert exporter.entered.wait(30.0)
    with capture(tracer) as spans:
        with tracer.trace("captured"):
            pass
        exporter.go_on.set()
        exporter.answer = ExportResult("sent")
        wait_until(lambda: tracer.stats()["sent"])
        with tracer.trace("captured, too"):
            pass
        assert tracer.flush(30.0)
    assert exporter.spans == 1
    assert names(spans) == ["captured", "captured, too"]


def test_what_waited_before_waits_afterwards(new_tracer: Callable[..., Tracer]) -> None:
    """Where nobody sends, older traces are in the buffer after the capture, in their order."""
    tracer = new_tracer(payload_max_bytes=1024)
    expected = [f"before {number}" for number in range(20)]
    for name in expected:
        with tracer.trace(name):
            pass
    with capture(tracer) as spans, tracer.trace("captured"):
        pass
    with tracer.trace("after"):
        pass
    assert names(spans) == ["captured"]
    assert [span["name"] for span in spans_of(tracer)] == [*expected, "after"]


def test_a_flusher_that_comes_too_late_gets_what_is_there(tracer: Tracer) -> None:
    """If the last capture ends between two steps of the flusher, it goes on as without one."""
    with capture(tracer):
        swap, unswap = tracer._swap, tracer._unswap  # what the flusher has just looked up
    with tracer.trace("op"):
        pass
    [payload] = swap()
    assert tracer.stats()["in_flight"] == 1
    assert unswap(payload)
    assert tracer.stats()["buffered"] == 1
    with capture(tracer) as spans:
        assert swap() == [payload]
        with tracer.trace("captured"):
            pass
        assert swap() == []
        assert unswap(payload)
    assert names(spans) == ["captured"]
    assert [span["name"] for span in spans_of(tracer)] == ["op"]


def test_a_buffer_full_of_older_traces_leaves_room_for_captures(
    new_tracer: Callable[..., Tracer],
) -> None:
    """Without an agent the buffer fills up, but what is captured is not lost to that."""
    tracer = new_tracer(buffer_max_bytes=4096)
    while not tracer.stats()["dropped"]:
        with tracer.trace("before"):
            pass
    waiting = tracer.stats()["buffered"]
    with capture(tracer) as spans, tracer.trace("captured"):
        pass
    assert names(spans) == ["captured"]
    assert tracer.stats()["buffered"] == waiting
    assert [span["name"] for span in spans_of(tracer)] == ["before"] * waiting


def test_older_traces_for_which_there_is_no_room_any_more_are_counted(
    new_tracer: Callable[..., Tracer],
) -> None:
    """If older traces do not fit into the buffer afterwards they are dropped for that reason."""
    tracer = new_tracer(buffer_max_bytes=4096)
    for _ in range(8):
        with tracer.trace("before"):
            pass
    with capture(tracer) as spans, tracer.trace("captured"):
        tracer._set_limits(0, 1024, 1024)
    assert names(spans) == ["captured"]
    assert tracer.stats()["dropped"] == {"captured": 1, "buffer_full": 8}


def test_a_block_may_trace_more_than_the_buffer_holds(new_tracer: Callable[..., Tracer]) -> None:
    """Nothing is lost to the bound of the buffer, with or without a running flusher."""
    tracer = new_tracer(buffer_max_bytes=20_000)
    with capture(tracer) as spans:
        for _ in range(1_000):
            with tracer.trace("op", resource="x" * 100):
                pass
    assert len(spans) == 1_000


def test_a_capture_without_flusher_starts_no_thread_and_no_connection() -> None:
    """Neither capturing nor the end of the process needs an agent, a thread or a socket."""
    code = """
        import os, sys
        from fasttrace import tracer
        from fasttrace.testing import capture
        for _ in range(3):
            with capture() as spans:
                for _ in range(100):
                    with tracer.trace("op"):
                        pass
            assert len(spans) == 100
        assert not tracer._flusher_running
        assert "fasttrace.agent" not in sys.modules
        if os.path.isdir("/proc/self/task"):
            assert len(os.listdir("/proc/self/task")) == 1
    """
    result = run_python(code, env={**os.environ, "DD_TRACE_AGENT_URL": "http://127.0.0.1:9"})
    assert (result.stdout, result.stderr) == ("", "")


def test_the_tracer_is_as_before_afterwards() -> None:
    """After the last capture nothing of it is left in the tracer."""
    tracer = make_tracer_with(Gate(ExportResult("sent")))
    before = dict(vars(tracer)), tracer._on_first_chunk, tracer.enabled
    with capture(tracer), capture(tracer), tracer.trace("op"):
        assert vars(tracer) != before[0]
    assert (vars(tracer), tracer._on_first_chunk, tracer.enabled) == before


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
    with capture() as spans:
        with fasttrace.tracer.trace("op"):
            pass
        assert fasttrace.tracer.stats()["buffered"] == 0
    assert names(spans) == ["op"]


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


# -- drawing ---------------------------------------------------------------------------------------


def test_render_tree_is_the_same_in_every_run(tracer: Tracer) -> None:
    """A trace is drawn with services, resources and errors in columns, without ids and times."""
    with capture(tracer) as spans:
        sandwich(tracer)
        with tracer.trace("sweep"):
            pass
    assert render_tree(spans) == (
        "sandwich   shop     blt\n"
        "├─ toast   kitchen  toast\n"
        "└─ charge  till     card  ERROR builtins.ValueError: no money\n"
        "\n"
        "sweep  svc  sweep"
    )


def test_render_tree_shows_more_if_asked(tracer: Tracer) -> None:
    """Tags, durations and lines that do not depend on each other are options."""
    with capture(tracer) as spans:
        sandwich(tracer)
    assert render_tree(spans, tags=["customer", "slices"], align=False) == (
        "sandwich  shop  blt  customer=Ada\n"
        "├─ toast  kitchen  toast  slices=2\n"
        "└─ charge  till  card  ERROR builtins.ValueError: no money"
    )
    first_line = render_tree(spans, durations=True).splitlines()[0]
    assert re.fullmatch(r"sandwich +shop +[\d.]+ (us|ms|s)  blt", first_line)


def test_render_tree_draws_other_forms_of_spans(tracer: Tracer) -> None:
    """Live spans, mappings and single captured spans can be drawn as well."""
    with capture(tracer) as spans, tracer.trace("op") as live:
        open_text = render_tree([live])
    assert open_text == render_tree(spans) == render_tree([spans[0].raw]) == "op  svc  op"
    assert render_tree(spans.named("op")) == "op  svc  op"
    assert render_tree([]) == ""


# -- cost ------------------------------------------------------------------------------------------


def test_import_fasttrace_imports_nothing_of_this() -> None:
    """The helpers for tests and the console are imported by who uses them only."""
    code = """
        import sys, fasttrace
        parts = ("testing", "pytest_plugin", "console", "_decode", "transcode", "tree")
        assert not [name for name in parts if f"fasttrace.{name}" in sys.modules]
        assert "_fasttrace_pytest" not in sys.modules and "msgpack" not in sys.modules
    """
    run_python(code)
