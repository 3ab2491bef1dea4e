"""How long the flusher holds the interpreter's lock: what is counted and what is not."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fault_server import FaultServer, answering, response
from helpers import note_figure

from fasttrace import Tracer
from fasttrace._span import NativeEvent, NativeLock, free_what_was_left, lock_time, unlocked
from fasttrace.config import Config


def in_a_thread(function: Callable[[], Any]) -> Any:
    """Call `function` in a thread of its own, for which nobody counts yet; return its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def busy(seconds: float) -> None:
    """Run Python code for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_work_is_counted_and_waiting_is_not() -> None:
    """Held is the lock while Python code runs, and not in waits and in what `unlocked` calls."""

    def work() -> list[tuple[int, int, int]]:
        taken = [lock_time()]
        busy(0.02)
        taken.append(lock_time())
        lock = NativeLock()
        lock.acquire()
        NativeEvent().wait(0.2)
        lock.acquire(0.2)
        unlocked(time.sleep, 0.2)
        taken.append(lock_time())
        return taken

    first, working, waiting = in_a_thread(work)
    note_figure(f"working 20 ms: {working[0] / 1e6:.1f} ms, waiting 600 ms: {waiting[0] / 1e6:.1f}")
    assert first == (0, 0, 0)
    assert working[0] >= 20_000_000
    assert working[1:] == (working[0], 1)
    assert waiting[0] < 300_000_000
    assert waiting[1] <= waiting[0]
    assert waiting[2] == 4


def test_each_thread_counts_for_itself() -> None:
    """What one thread holds is not in the figure of another, nor of one that never asked."""
    in_a_thread(lock_time)
    assert in_a_thread(lambda: (busy(0.01), lock_time())[1]) == (0, 0, 0)


def test_what_is_called_unlocked_returns_and_raises() -> None:
    """Result and exception of the function pass through."""
    assert unlocked(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        unlocked(divmod, 1, 0)


def test_flushes_are_counted() -> None:
    """Nothing sent, nothing counted; then each flush adds to every figure."""
    with FaultServer(answering(response())) as server:
        tracer = Tracer(config=Config.from_env({}, agent_url=server.url, flush_interval_s=0.01))
        counter = tracer._flusher.lock_time
        seen = []
        for _ in range(5):
            seen.append((counter.flushes, counter.held_ns, counter.longest_ns))
            tracer.trace("op").finish()
            assert tracer.flush(10.0)
            end = time.monotonic() + 10.0
            while counter.flushes == seen[-1][0] and time.monotonic() < end:
                time.sleep(0.001)
        assert counter.last_ns >= counter.last_stretches > 0
        assert counter.held_ns >= counter.longest_ns > 0
        quiet = (counter.flushes, counter.held_ns)
        time.sleep(0.1)  # some rounds without anything to send
        assert (counter.flushes, counter.held_ns) == quiet
        tracer.shutdown()
    note_figure(f"{quiet[0]} flushes, the lock held {quiet[1] / 1e3:,.0f} us")
    assert seen[0] == (0, 0, 0)
    assert [flushes for flushes, _, _ in seen] == [0, 1, 2, 3, 4]
    assert all(before < after for before, after in itertools.pairwise(seen))


def test_a_full_buffer_is_sent_with_the_lock_taken_a_few_times() -> None:
    """How often the flusher takes the lock does not depend on how much it sends."""
    times = []
    with FaultServer(answering(response())) as server:
        for size in (1, 7500):  # less than half of a buffer: then nobody wakes the flusher early
            tracer = Tracer(
                config=Config.from_env({}, agent_url=server.url, flush_interval_s=3600.0)
            )
            tracer.flush()
            for number in range(size):
                with tracer.trace("op") as span:
                    span.set_tag("text", f"{number:01000}")
            assert tracer.flush(20.0)
            tracer.shutdown(20.0)
            counter = tracer._flusher.lock_time
            assert counter.flushes == 1
            assert tracer.stats()["sent"] == size
            times.append(counter.last_stretches)
    largest = max(len(request["body"]) for request in server.requests)
    note_figure(f"taken {times[0]} times for one trace, {times[1]} times for {largest:,} bytes")
    assert largest > 8_000_000
    assert times[1] <= times[0] + 3


def test_what_was_sent_is_freed_at_the_next_wait(new_tracer: Callable[..., Tracer]) -> None:
    """A large payload is left until the thread waits, one at a time, and the lock is kept."""
    tracer = new_tracer()
    payloads = []
    for _ in range(4):
        for i in range(700):
            with tracer.trace("op", resource=f"{i:06}".ljust(20_000, "x")):
                pass
        payloads += tracer._swap(True)
    assert [payload.nbytes > 8 << 20 for payload in payloads] == [True] * 4
    event = NativeEvent()
    event.set()  # it is up, and the wait frees all the same

    def stretches_of(call: Callable[[], object]) -> int:
        lock_time()
        call()
        return lock_time()[2]

    def settle_all() -> list[int]:
        lock_time()
        return [
            stretches_of(lambda: tracer._settle(payloads[0], "test")),
            stretches_of(lambda: tracer._settle(payloads[1], "test")),  # there is one left already
            stretches_of(event.wait),
            stretches_of(event.wait),  # which has nothing to free
            stretches_of(lambda: tracer._settle(payloads[2], "test")),
            stretches_of(free_what_was_left),
            stretches_of(lambda: tracer._settle(payloads[3], "test")),
            stretches_of(free_what_was_left),
        ]

    assert in_a_thread(settle_all) == [1, 2, 2, 1, 1, 1, 1, 1]
