"""gevent and greenlet: spans of greenlets that run in turns never mix, and leave in the background.

Each program runs in a process of its own, because gevent patches the whole interpreter.
"""

from __future__ import annotations

import textwrap
from typing import Any

import greenlet
import pytest
from helpers import by_name, run_python, spans_of

from fasttrace import Tracer

#: Where the program patches the interpreter: not at all, before or after it imports fasttrace.
PATCHES = {
    "unpatched": "from fasttrace import tracer\nimport gevent",
    "patched first": (
        "from gevent import monkey; monkey.patch_all()\nfrom fasttrace import tracer\nimport gevent"
    ),
    "patched later": (
        "from fasttrace import tracer\nfrom gevent import monkey; monkey.patch_all()\nimport gevent"
    ),
    "patched after the first trace": (
        "from fasttrace import tracer\n"
        "with tracer.trace('early'): pass\n"
        "tracer.flush()\n"
        "from gevent import monkey; monkey.patch_all()\nimport gevent"
    ),
}

in_every_way = pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES.keys())
in_both_ways = pytest.mark.parametrize(
    "patch", list(PATCHES.values())[:2], ids=list(PATCHES.keys())[:2]
)


def run(patch: str, body: str, env: dict[str, str]) -> str:
    """Run `body` after `patch`; return what it printed. It must have written nothing else."""
    warnings = {"PYTHONWARNINGS": "ignore::Warning"}  # gevent's own, of being late
    child = run_python(
        f"{patch}\n{textwrap.dedent(body)}",
        env={**env, **warnings},
    )
    assert child.stderr == ""
    return child.stdout


@in_every_way
def test_concurrent_greenlets_do_not_mix(session: Any, patch: str) -> None:
    """Children of greenlets that switch at every step are below their own greenlet's spans."""
    body = """
        from gevent.pool import Pool
        def work(number):
            assert tracer.current_span() is None
            with tracer.trace("work") as span:
                span.set_tag("number", str(number))
                for step in range(number % 3 + 1):
                    gevent.sleep(0)
                    with tracer.trace("child") as child:
                        child.set_tag("number", str(number))
                        gevent.sleep(0.001 * (number % 2))
                        assert tracer.current_span() is child
                    assert tracer.current_span() is span
            assert tracer.current_span() is None
        with tracer.trace("main") as main:
            jobs = [gevent.spawn(work, number) for number in range(50)]
            gevent.joinall(jobs, raise_error=True)
            assert tracer.current_span() is main
            Pool(7).map(work, range(50, 100))
            assert tracer.current_span() is main
        assert tracer.flush()
    """
    run(patch, body, session.env())
    spans = [span for span in session.received() if span["name"] != "early"]
    by_id = {span["span_id"]: span for span in spans}
    children = [span for span in spans if span["name"] == "child"]
    assert len(children) == sum(number % 3 + 1 for number in range(100))
    for child in children:
        assert by_id[child["parent_id"]]["meta"]["number"] == child["meta"]["number"]
    assert len({span["trace_id"] for span in spans}) == 101


@in_every_way
def test_greenlets_begin_empty_unless_carried(session: Any, patch: str) -> None:
    """A greenlet begins with nothing active, as a thread; tracer.carry() takes the trace in."""
    body = """
        import threading
        def work(name):
            with tracer.trace(name):
                gevent.sleep(0.001)
                with tracer.trace(name + " child"):
                    gevent.sleep(0)
        with tracer.trace("main") as main:
            jobs = [
                gevent.spawn(work, "plain"),
                gevent.spawn(tracer.carry(work), "spawned"),
                gevent.spawn_later(0.001, tracer.carry(work), "later"),
            ]
            gevent.joinall(jobs, raise_error=True)
            thread = threading.Thread(target=tracer.carry(work), args=("thread",))
            thread.start()
            thread.join()
            gevent.get_hub().threadpool.apply(tracer.carry(work), ("native thread",))
            assert tracer.current_span() is main
        assert tracer.flush()
    """
    run(patch, body, session.env())
    sent = by_name(session.received())
    for name in ("spawned", "later", "thread", "native thread"):
        assert sent[name]["parent_id"] == sent["main"]["span_id"]
        assert sent[f"{name} child"]["parent_id"] == sent[name]["span_id"]
    assert not sent["plain"].get("parent_id")
    assert sent["plain child"]["parent_id"] == sent["plain"]["span_id"]


@in_every_way
def test_traces_leave_while_the_hub_is_blocked(session: Any, patch: str) -> None:
    """Code that never yields to gevent's hub does not keep finished traces from being sent."""
    body = """
        import time
        from gevent.monkey import get_original
        sleep, clock = get_original("time", "sleep"), time.monotonic
        def work(number):
            with tracer.trace("work"):
                gevent.sleep(0.001)
        sent_before = tracer.stats()["sent"]
        gevent.joinall([gevent.spawn(work, number) for number in range(10)], raise_error=True)
        end = clock() + 30
        while tracer.stats()["sent"] < sent_before + 10 and clock() < end:
            sleep(0.005)   # blocks every greenlet of this thread
        stats = tracer.stats()
        assert stats["sent"] == sent_before + 10, stats
        end = clock() + 5
        with tracer.trace("busy"):
            pass
        while tracer.stats()["sent"] < sent_before + 11 and clock() < end:
            sum(range(1000))   # the same with a busy loop
        assert tracer.stats()["sent"] == sent_before + 11
    """
    run(patch, body, session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="0.1"))
    assert sum(span["name"] == "work" for span in session.received()) == 10


@in_both_ways
def test_ten_thousand_greenlets(session: Any, patch: str) -> None:
    """Ten thousand greenlets with open spans at once: none lost, none mixed, nothing left over."""
    body = """
        tracer._on_first_chunk = lambda: None
        def work(number):
            with tracer.trace("work") as span:
                gevent.sleep(0)
                with tracer.trace("child") as child:
                    gevent.sleep(0)
                    assert child.parent_id == span.span_id
                assert tracer.current_span() is span
        before = tracer.stats()["finished"]
        jobs = [gevent.spawn(work, number) for number in range(10_000)]
        gevent.sleep(0)
        assert tracer.stats()["open"] >= 10_000, tracer.stats()
        gevent.joinall(jobs, raise_error=True)
        stats = tracer.stats()
        assert (stats["open"], stats["finished"] - before) == (0, 20_000), stats
        for payload in tracer._swap():
            tracer._settle(payload, "test")
        print("done")
    """
    assert run(patch, body, session.env()) == "done\n"


@in_both_ways
def test_killed_greenlets(session: Any, patch: str) -> None:
    """A greenlet that is killed, or times out, ends its spans; others are not disturbed."""
    body = """
        def work():
            with tracer.trace("work"):
                gevent.sleep(60)
        def timed_out():
            with tracer.trace("slow"):
                with gevent.Timeout(0.005, False):
                    gevent.sleep(60)
        with tracer.trace("main") as main:
            job = gevent.spawn(work)
            gevent.sleep(0.001)
            job.kill()
            assert tracer.current_span() is main
            gevent.spawn(timed_out).get()
            assert tracer.current_span() is main
        assert tracer.stats()["open"] == 0
        tracer.flush()
    """
    run(patch, body, session.env())
    sent = by_name([span for span in session.received() if span["name"] != "early"])
    assert sent["work"]["meta"]["error.type"].endswith("GreenletExit")
    assert "error" not in sent["slow"]
    assert "error" not in sent["main"]


@in_every_way
def test_the_end_of_the_process(session: Any, patch: str) -> None:
    """What greenlets finished shortly before the process ends arrives, without a flush."""
    body = """
        def work(number):
            gevent.sleep(0.001)
            with tracer.trace("work"):
                gevent.sleep(0)
        gevent.joinall([gevent.spawn(work, number) for number in range(10)], raise_error=True)
    """
    run(patch, body, session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="3600"))
    assert sum(span["name"] == "work" for span in session.received()) == 10


@in_both_ways
def test_a_fork_with_greenlets(session: Any, patch: str) -> None:
    """A child process forked below a span joins the trace and sends its own spans."""
    body = """
        import os
        with tracer.trace("main") as main:
            gevent.sleep(0)
            pid = os.fork()
            if pid == 0:
                def work():
                    with tracer.trace("in child"):
                        gevent.sleep(0.001)
                gevent.spawn(tracer.carry(work)).get()
                tracer.flush()
                os._exit(0)
            os.waitpid(pid, 0)
        tracer.flush()
    """
    run(patch, body, session.env())
    sent = by_name([span for span in session.received() if span["name"] != "early"])
    assert sent["in child"]["parent_id"] == sent["main"]["span_id"]
    assert sent["in child"]["trace_id"] == sent["main"]["trace_id"]


# -- greenlet without gevent -----------------------------------------------------------------------


def test_bare_greenlets(tracer: Tracer) -> None:
    """Greenlets switched by hand each have their own active span."""

    def work(name: str) -> None:
        assert tracer.current_span() is None
        with tracer.trace(name) as span:
            for _ in range(3):
                main.switch()
                assert tracer.current_span() is span
                with tracer.trace(f"{name} child") as child:
                    main.switch()
                    assert tracer.current_span() is child
                    assert child.parent_id == span.span_id
        assert tracer.current_span() is None

    main = greenlet.getcurrent()
    with tracer.trace("main") as span:
        running = [greenlet.greenlet(work) for _ in range(5)]
        for number, one in enumerate(running):
            one.switch(f"work {number}")
        while running:
            for one in list(running):
                one.switch()
                assert tracer.current_span() is span
                if one.dead:
                    running.remove(one)
    spans = spans_of(tracer)
    assert len(spans) == 1 + 5 + 15
    names = {one["span_id"]: one["name"] for one in spans}
    for one in spans:
        if one["name"].endswith(" child"):
            assert names[one["parent_id"]] + " child" == one["name"]


def test_a_greenlet_with_a_copied_context(tracer: Tracer) -> None:
    """A greenlet that is given a copy of the context begins below the active span."""
    import contextvars

    def work() -> None:
        with tracer.trace("work") as span:
            main.switch()
            assert tracer.current_span() is span

    main = greenlet.getcurrent()
    with tracer.trace("request") as request:
        one = greenlet.greenlet(work)
        one.gr_context = contextvars.copy_context()
        one.switch()
        assert tracer.current_span() is request
        one.switch()
    sent = by_name(spans_of(tracer))
    assert sent["work"]["parent_id"] == request.span_id


def test_a_forgotten_greenlet(tracer: Tracer) -> None:
    """A greenlet dropped in the middle of a span ends it, and changes nothing elsewhere."""

    def work() -> None:
        with tracer.trace("work"):
            main.switch()

    main = greenlet.getcurrent()
    one = greenlet.greenlet(work)
    one.switch()
    with tracer.trace("other") as other:
        del one
        assert tracer.current_span() is other
    assert tracer.stats()["open"] == 0
    assert {span["name"] for span in spans_of(tracer)} == {"work", "other"}
