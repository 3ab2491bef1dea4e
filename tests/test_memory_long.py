"""Long chains and huge traces: memory stays bounded, and is freed by reference counting alone.

A tenth of the size by default; in full size, a million of each, with FASTTRACE_TEST_FULL=1. The
collector is off in all of them. Each prints by how many MiB the process grew.
"""

from __future__ import annotations

from test_memory import FULL, MILLION, run_with_rss

COUNT = MILLION - 10 if FULL else MILLION // 10  # more than a million open spans are refused


def grown_mib(code: str) -> float:
    """Run `code` with `count` in its place and the collector off; return what it prints last."""
    imports = "import asyncio, contextvars, threading"
    return run_with_rss(f"gc.disable()\n{imports}\ncount = {COUNT}\n{code}")


# Runs step(0), step(1) ... each in a task begun inside the one before; the last one sets `done`.
TASKS = """
async def chain(step, length):
    done = asyncio.get_running_loop().create_future()
    def begin(number):
        if number == length:
            done.set_result(rss_mib())
        else:
            tasks.add(task := asyncio.create_task(step(number, begin)))
            task.add_done_callback(tasks.discard)
    tasks = set()
    begin(0)
    return await done
"""


def test_a_chain_of_tasks_whose_spans_overlap() -> None:
    """Spans each begun in a task of the one before, ending meanwhile: one trace, flat memory."""
    code = """
async def step(number, begin):
    with tracer.trace("step"):
        begin(number + 1)
        await asyncio.sleep(0)
        if number % 1000 == 0:
            take()
async def main():
    await chain(step, 20_000)
    before = rss_mib()
    grown = await chain(step, count) - before
    await asyncio.sleep(0)
    return grown
grown = asyncio.run(main())
stats = tracer.stats()
assert (stats["open"], stats["finished"]) == (0, count + 20_000), stats
print(grown)
"""
    assert grown_mib(TASKS + code) < 16


def test_a_chain_of_tasks_whose_spans_follow_each_other() -> None:
    """Spans each begun in a task of the one before, after that ended: many traces, flat memory."""
    code = """
async def step(number, begin):
    with tracer.trace("step"):
        begin(number + 1)
    if number % 1000 == 0:
        take()
async def main():
    await chain(step, 20_000)
    before = rss_mib()
    return await chain(step, count) - before
grown = asyncio.run(main())
stats = tracer.stats()
assert (stats["open"], stats["finished"]) == (0, count + 20_000), stats
print(grown)
"""
    assert grown_mib(TASKS + code) < 16


def test_a_chain_of_tasks_whose_spans_never_finish() -> None:
    """Open spans chained through tasks cost a bounded amount each, and go without recursion."""
    code = """
threading.stack_size(256 * 1024)
async def step(number, begin):
    tracer.trace("step").set_tag("number", number)
    begin(number + 1)
def run():
    before = rss_mib()
    print(asyncio.run(chain(step, count)) - before)
thread = threading.Thread(target=run)
thread.start()
thread.join()
stats = tracer.stats()
assert (stats["open"], stats["abandoned"]) == (0, count), stats
"""
    assert grown_mib(TASKS + code) < 800 * COUNT / MILLION + 8


def test_a_chain_of_detached_tasks() -> None:
    """Tasks each detached from the one before that began it keep no chain of their pasts."""
    code = """
async def step(number, begin):
    with tracer.trace("step"), tracer.detached():
        begin(number + 1)
    if number % 1000 == 0:
        take()
async def main():
    await chain(step, 20_000)
    before = rss_mib()
    return await chain(step, count) - before
print(asyncio.run(main()))
assert tracer.stats()["open"] == 0
"""
    assert grown_mib(TASKS + code) < 16


def test_a_chain_of_carried_functions() -> None:
    """Functions each carried out of the run of the one before keep no chain of their pasts."""
    code = """
def step():
    with tracer.trace("step"):
        return tracer.carry(step)
def work(length):
    carried = step
    for number in range(length):
        carried = carried()
        if number % 1000 == 0:
            take()
    take()
work(20_000)
before = rss_mib()
work(count)
assert tracer.current_span() is None
print(rss_mib() - before)
"""
    assert grown_mib(code) < 16


def test_blocks_that_are_never_left() -> None:
    """A chain of detached blocks, none of them left, is freed without running out of stack."""
    code = """
def enter():
    for _ in range(count):
        tracer.detached().__enter__()
    return rss_mib()
before = rss_mib()
context = contextvars.Context()
print(context.run(enter) - before)
del context
gc.collect()
"""
    assert grown_mib(code) < 400 * COUNT / MILLION + 8


def test_open_children_of_one_root() -> None:
    """A root with a million open children costs a bounded amount for each; all of them leave."""
    code = """
before = rss_mib()
root = tracer.start_span("root")
children = [tracer.start_span("child", child_of=root) for _ in range(count)]
grown = rss_mib() - before
for number, child in enumerate(children):
    child.finish()
    if number % 10_000 == 0:
        take()
del child
children.clear()
root.finish()
take()
stats = tracer.stats()
assert (stats["open"], stats["held"], stats["finished"]) == (0, 0, count + 1), stats
print(grown)
"""
    assert grown_mib(code) < 300 * COUNT / MILLION + 8


def test_children_thrown_away_under_a_root() -> None:
    """Children of an open root that are dropped unfinished are not kept until the root ends."""
    code = """
root = tracer.start_span("root")
def work(length):
    for number in range(length):
        child = tracer.start_span("child", child_of=root)
        child.set_tag("number", number)
        tracer.start_span("grandchild", child_of=child)
work(20_000)
before = rss_mib()
work(count)
print(rss_mib() - before)
root.finish()
stats = tracer.stats()
assert (stats["open"], stats["finished"], stats["abandoned"]) == (0, 1, 2 * (count + 20_000)), stats
"""
    assert grown_mib(code) < 16


def test_half_used_generators() -> None:
    """Wrapped generators that are left half-way are freed at once."""
    code = """
@tracer.wrap("rows")
def rows():
    with tracer.trace("inner"):
        yield b"x" * 100_000
        yield 2
def work(length):
    for number in range(length):
        next(rows())
        if number % 1000 == 0:
            take()
    take()
work(20_000)
before = rss_mib()
work(count)
print(rss_mib() - before)
stats = tracer.stats()
assert (stats["open"], stats["finished"]) == (0, 2 * (count + 20_000)), stats
"""
    assert grown_mib(code) < 16


def test_contexts_that_are_kept() -> None:
    """Keeping the Context of every span keeps no span alive."""
    code = """
import weakref
contexts, references = [], []
before = rss_mib()
for number in range(count):
    with tracer.trace("root") as span:
        contexts.append(span.context)
    if number % 1000 == 0:
        references.append(weakref.ref(span))
        take()
del span
tracer.context_provider.activate(None)
grown = rss_mib() - before
take()
assert not any(reference() for reference in references)
assert contexts[0].trace_id != contexts[1].trace_id
print(grown)
"""
    assert grown_mib(code) < 800 * COUNT / MILLION + 8
