"""The active item: activate, tasks, threads, copied contexts."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

from ddtrace.trace import Context, tracer


def _name(span):
    return getattr(span, "name", span)


def case_context_without_ids(say):
    """A Context with baggage and no ids starts a new trace that adopts it.

    covers: 4.3.context-without-ids
    """
    context = Context(baggage={"k": "v"})
    tracer.context_provider.activate(context)
    with tracer.trace("root") as root:
        say("parent", root.parent_id)
        say("has trace id", root.trace_id > 2**64)
        say("baggage", root.context.get_all_baggage_items())
        with tracer.trace("child") as child:
            child.context.set_baggage_item("more", "x")
    say("context", context.get_all_baggage_items())


def case_context_with_priority_only(say):
    """A Context with a priority and no ids.

    covers: 4.3.context-without-ids
    """
    tracer.context_provider.activate(Context(sampling_priority=2, dd_origin="rum"))
    with tracer.trace("root") as root:
        say("priority", root.context.sampling_priority)
        say("origin", root.context.dd_origin)


def case_activate_context(say):
    """An activated Context is the parent of the next trace().

    covers: 4.3.activate.context 4.3.activate.priority-origin 4.3.activate.consumed 2.1.first.origin 2.1.every.origin
    """
    context = Context(trace_id=123, span_id=456, sampling_priority=1, dd_origin="rum")
    tracer.context_provider.activate(context)
    say("span", tracer.current_span())
    say("root span", tracer.current_root_span())
    say("context", tracer.current_trace_context() is context)
    say("active", tracer.context_provider.active() is context)
    with tracer.trace("entry") as span:
        say("ids", (span.trace_id, span.parent_id))
        say("priority", span.context.sampling_priority)
        say("origin", span.context.dd_origin)
        say("local root", tracer.current_root_span() is span)
        with tracer.trace("child"):
            pass
    say("after", (tracer.current_span(), tracer.current_trace_context()))
    with tracer.trace("next") as span:
        say("next parent", span.parent_id)


def case_activate_twice(say):
    """A second activate replaces the first.

    covers: 4.3.activate.context
    """
    tracer.context_provider.activate(Context(trace_id=101, span_id=102))
    tracer.context_provider.activate(Context(trace_id=201, span_id=202))
    with tracer.trace("entry") as span:
        say("ids", (span.trace_id, span.parent_id))


def case_activate_context_inside_span(say):
    """A Context activated inside a span wins until it is used up.

    covers: 4.3.activate.context
    """
    with tracer.trace("outer") as outer:
        tracer.context_provider.activate(Context(trace_id=101, span_id=102))
        with tracer.trace("remote") as remote:
            say("ids", (remote.trace_id, remote.parent_id))
        say("after", _name(tracer.current_span()))
        with tracer.trace("next") as after:
            say("next is child of outer", after.parent_id == outer.span_id)
    say("end", tracer.current_span())


def case_activate_none(say):
    """activate(None) clears.

    covers: 4.3.activate.context
    """
    outer = tracer.trace("outer")
    tracer.context_provider.activate(None)
    say("span", tracer.current_span())
    with tracer.trace("root") as span:
        say("parent", span.parent_id)
    outer.finish()
    say("end", tracer.current_span())


def case_activate_span(say):
    """activate(span) makes that span active.

    covers: 4.3.activate.context
    """
    span = tracer.start_span("span")
    tracer.context_provider.activate(span)
    say("active", tracer.current_span() is span)
    with tracer.trace("child") as child:
        say("child", child.parent_id == span.span_id)
    say("back", tracer.current_span() is span)
    span.finish()
    say("end", tracer.current_span())


def case_activate_junk(say):
    """activate of something else does not raise.

    covers: 4.3.activate.junk
    """
    say.raises("junk", tracer.context_provider.activate, "junk")
    tracer.context_provider.activate(None)


def case_activate_finished_span(say):
    """A finished span is not active.

    covers: 4.3.active-walk 4.3.activate.context
    """
    span = tracer.start_span("span")
    span.finish()
    tracer.context_provider.activate(span)
    say("active", tracer.current_span())


def case_active_walk(say):
    """Finished spans are skipped to the nearest open ancestor.

    covers: 4.3.active-walk
    """
    a = tracer.trace("a")
    b = tracer.trace("b")
    c = tracer.trace("c")
    b.finish()
    say("c", tracer.current_span() is c)
    c.finish()
    say("a", tracer.current_span() is a)
    with tracer.trace("d") as d:
        say("d", d.parent_id == a.span_id)
    a.finish()
    say("none", tracer.current_span())


def case_current_root(say):
    """current_root_span is the local root of the active span.

    covers: 4.3.current-root 4.2.current
    """
    say("none", tracer.current_root_span())
    with tracer.trace("root") as root:
        say("root", tracer.current_root_span() is root)
        with tracer.trace("child"):
            say("child", tracer.current_root_span() is root)
            tracer.current_root_span().set_tag("from.child", "x")
        say("again", tracer.current_root_span() is root)
    say("end", tracer.current_root_span())


def case_current_root_of_finished(say):
    """The local root of a child made from a finished span is that span's local root.

    covers: 4.3.current-root
    """
    first = tracer.start_span("first")
    first.finish()
    entry = tracer.start_span("entry", child_of=first.context, activate=True)
    finished = tracer.trace("finished")
    finished.finish()
    still_open = tracer.trace("open")
    entry.finish()
    say("open", _name(tracer.current_root_span()))
    late = tracer.start_span("late", child_of=finished, activate=True)
    say("late", _name(tracer.current_root_span()))
    late.finish()
    still_open.finish()


def case_current_context(say):
    """current_trace_context is the active span's context.

    covers: 4.2.current
    """
    say("none", tracer.current_trace_context())
    with tracer.trace("root") as root:
        context = tracer.current_trace_context()
        say("same", context is root.context)
        say("ids", (context.trace_id == root.trace_id, context.span_id == root.span_id))


def case_tasks(say):
    """asyncio tasks inherit the active span and do not disturb each other.

    covers: 4.3.contextvar.tasks
    """

    async def work(name):
        with tracer.trace(name) as span:
            await asyncio.sleep(0)
            with tracer.trace(f"{name}.inner") as inner:
                await asyncio.sleep(0)
                return (_name(tracer.current_span()), inner.parent_id == span.span_id)

    async def main():
        with tracer.trace("main"):
            tasks = [asyncio.create_task(work(f"task{n}")) for n in range(3)]
            result = [await task for task in tasks]
            say("active", _name(tracer.current_span()))
            return result

    say("tasks", asyncio.run(main()))
    say("end", tracer.current_span())


def case_task_outlives_parent(say):
    """A task created inside a span sees it also after it finished in the creator.

    covers: 4.3.contextvar.tasks 4.3.active-walk
    """

    async def work(gate):
        say("at start", _name(tracer.current_span()))
        await gate.wait()
        say("parent finished", _name(tracer.current_span()))
        with tracer.trace("late") as span:
            return span.parent_id

    async def main():
        gate = asyncio.Event()
        with tracer.trace("root") as root:
            with tracer.trace("creator"):
                task = asyncio.create_task(work(gate))
                await asyncio.sleep(0)
            gate.set()
            say("late is child of root", await task == root.span_id)

    asyncio.run(main())


def case_threads(say):
    """Plain threads start with nothing active.

    covers: 4.3.contextvar.threads
    """
    seen = []

    def work():
        seen.append(tracer.current_span())
        with tracer.trace("in.thread") as span:
            seen.append(span.parent_id)

    with tracer.trace("root"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    say("seen", seen)


def case_executor(say):
    """Executor threads start with nothing active, unless the context is copied by hand.

    covers: 4.3.contextvar.threads
    """
    with tracer.trace("root") as root:
        with ThreadPoolExecutor(1) as pool:
            say("plain", pool.submit(tracer.current_span).result())
            context = contextvars.copy_context()
            say("copied", pool.submit(context.run, tracer.current_span).result() is root)


def case_thread_join(say):
    """A thread joins the trace through activate(ctx); its entry span is a local root of its own.

    covers: 4.3.thread-join 2.1.entry.thread
    """
    seen = []

    def work(context):
        tracer.context_provider.activate(context)
        with tracer.trace("entry") as span:
            seen.append(tracer.current_root_span() is span)
            with tracer.trace("entry.child"):
                pass

    with tracer.trace("root") as root:
        thread = threading.Thread(target=work, args=(root.context,))
        thread.start()
        thread.join()
        with tracer.trace("child"):
            pass
    say("seen", seen)


def case_thread_join_service(say):
    """The joined thread does not inherit the service.

    covers: 4.3.thread-join 4.3.service.context-parent
    """

    def work(context):
        tracer.context_provider.activate(context)
        with tracer.trace("entry") as span:
            say("service is inherited", span.service == "mine")

    with tracer.trace("root", service="mine") as root:
        thread = threading.Thread(target=work, args=(root.context,))
        thread.start()
        thread.join()


def case_thread_join_keep(say):
    """manual.keep in a joined thread is seen by the root.

    covers: 4.3.thread-join 2.2.key.manual-keep
    """

    def work(context):
        tracer.context_provider.activate(context)
        with tracer.trace("entry") as span:
            span.set_tag("manual.keep")

    with tracer.trace("root") as root:
        thread = threading.Thread(target=work, args=(root.context,))
        thread.start()
        thread.join()
        say("priority", root.context.sampling_priority)


def case_copied_context(say):
    """A copied contextvars context keeps its own active span.

    covers: 4.3.contextvar.tasks
    """
    with tracer.trace("root") as root:
        copy = contextvars.copy_context()

        def inner():
            tracer.trace("left-open")
            return _name(tracer.current_span())

        say("inside", copy.run(inner))
        say("outside", tracer.current_span() is root)
        copy.run(lambda: tracer.current_span().finish())
        say("inside after", _name(copy.run(tracer.current_span)))
