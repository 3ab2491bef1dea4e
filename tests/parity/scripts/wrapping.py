"""tracer.wrap on functions and coroutine functions."""

import asyncio
import inspect

from ddtrace.trace import tracer


def _active():
    return getattr(tracer.current_span(), "name", None)


@tracer.wrap()
def plain(a, b=2, *args, **kwargs):
    """Documentation of plain."""
    return (a, b, args, kwargs, _active())


@tracer.wrap("named", service="svc", resource="res", span_type="web")
def named():
    """With arguments."""
    return _active()


@tracer.wrap()
def failing():
    """Raises."""
    raise ValueError("boom")


@tracer.wrap()
async def coroutine(value):
    """A coroutine."""
    await asyncio.sleep(0)
    return (value, _active())


@tracer.wrap()
async def failing_coroutine():
    """A coroutine that raises."""
    await asyncio.sleep(0)
    raise ValueError("boom")


@tracer.wrap()
def generator(count):
    """A generator."""
    for number in range(count):
        with tracer.trace(f"step{number}"):
            pass
        yield number
    return "returned"


@tracer.wrap()
async def async_generator(count):
    """An async generator."""
    for number in range(count):
        await asyncio.sleep(0)
        with tracer.trace(f"step{number}"):
            pass
        yield number


class Shop:
    """Methods, plain and async."""

    @tracer.wrap()
    def method(self, value):
        """A method."""
        return (type(self).__name__, value, _active())

    @tracer.wrap()
    async def async_method(self, value):
        """An async method."""
        await asyncio.sleep(0)
        return (type(self).__name__, value, _active())


def case_plain(say):
    """A wrapped function is called inside a span named after it.

    covers: 4.6.name 4.6.sync 4.2.wrap
    """
    say("result", plain(1))
    say("all arguments", plain(1, 3, 4, 5, c=6))
    say("keyword", plain(b=1, a=2))
    say("after", tracer.current_span())


def case_wrong_arguments(say):
    """Wrong arguments are the function's own TypeError, inside the span.

    covers: 4.6.sync
    """
    say.raises("missing", plain)
    say.raises("too many", named, 1)


def case_named(say):
    """wrap's arguments.

    covers: 4.2.wrap
    """
    say("result", named())
    with tracer.trace("parent", service="parent-svc"):
        named()
        plain(1)


def case_positional(say):
    """wrap's arguments by position.

    covers: 4.2.wrap
    """

    @tracer.wrap("name", "svc", "res", "web")
    def inner():
        return _active()

    say("result", inner())


def case_failing(say):
    """The exception goes through and marks the span.

    covers: 4.6.sync 4.5.with
    """
    say.raises("failing", failing)
    with tracer.trace("parent"):
        say.raises("inside", failing)


def case_metadata(say):
    """Name, documentation and signature stay.

    covers: 4.6.metadata
    """
    for function in (plain, coroutine, generator, async_generator, Shop.method):
        say(
            function.__name__,
            (
                function.__qualname__,
                function.__module__,
                function.__doc__,
                str(inspect.signature(function)),
            ),
        )
        say(f"wrapped {function.__name__}", hasattr(function, "__wrapped__"))


def case_kinds(say):
    """inspect sees the same kind of function.

    covers: 4.6.metadata 4.6.coroutine
    oracle: 4.16
    """
    for function in (plain, coroutine, generator, async_generator):
        say(
            function.__name__,
            (
                inspect.iscoroutinefunction(function),
                inspect.isgeneratorfunction(function),
                inspect.isasyncgenfunction(function),
            ),
        )


def case_qualified_name(say):
    """The default name has no class.

    covers: 4.6.name
    """

    class Local:
        @tracer.wrap()
        def method(self):
            return _active()

    def factory():
        @tracer.wrap()
        def inner():
            return _active()

        return inner

    say("method", Local().method())
    say("inner", factory()())
    say("shop", Shop().method(1))


def case_qualified_name_class(say):
    """The qualified name on request.

    covers: 4.6.name-class
    oracle: 4.16
    env: DD_TRACE_WRAP_SPAN_NAME_INCLUDE_CLASS=true
    """
    case_qualified_name(say)
    say("plain", plain(1)[-1])


def case_name_lambda(say):
    """wrap called with a lambda.

    covers: 4.6.name
    """
    say("lambda", tracer.wrap()(lambda: _active())())
    say("given", tracer.wrap(name="given")(lambda: _active())())


def case_attributes(say):
    """A wrapped function takes attributes and keeps those it had.

    covers: 4.6.metadata
    """

    def function():
        return _active()

    function.before = 1
    wrapped = tracer.wrap("attributes")(function)
    say("before", wrapped.before)
    wrapped.after = 2
    say("after", wrapped.after)
    say("dict", sorted(k for k in vars(wrapped) if k in ("before", "after")))


def case_thread(say):
    """A wrapped function in another thread is a root.

    covers: 4.6.sync 4.3.contextvar.threads
    """
    import threading

    with tracer.trace("parent"):
        thread = threading.Thread(target=plain, args=(1,))
        thread.start()
        thread.join()


def case_double(say):
    """wrap over wrap.

    covers: 4.6.sync
    """

    @tracer.wrap("outer")
    @tracer.wrap("inner")
    def function():
        return _active()

    say("result", function())


def case_recursion(say):
    """A wrapped function that calls itself.

    covers: 4.6.sync
    """

    @tracer.wrap("factorial")
    def factorial(number):
        return number * factorial(number - 1) if number > 1 else 1

    say("result", factorial(4))


def case_coroutine(say):
    """A coroutine is awaited inside its span.

    covers: 4.6.coroutine
    """
    say("result", asyncio.run(coroutine(1)))
    say.raises("failing", asyncio.run, failing_coroutine())

    async def main():
        with tracer.trace("main"):
            results = await asyncio.gather(coroutine(1), coroutine(2))
            task = asyncio.create_task(coroutine(3))
            results.append(await task)
            results.append(await Shop().async_method(4))
            results.append(_active())
            return results

    say("gathered", asyncio.run(main()))


def case_coroutine_cancelled(say):
    """A cancelled coroutine is an error.

    covers: 4.6.coroutine 4.5.base-exceptions
    """

    @tracer.wrap("sleeper")
    async def sleeper():
        await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(sleeper())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"

    say("result", asyncio.run(main()))


def case_coroutine_never_awaited(say):
    """A coroutine that is made and closed has no span.

    covers: 4.6.coroutine
    """
    made = coroutine(1)
    say("awaitable", inspect.isawaitable(made))
    made.close()
    say("active", _active())


def case_wrap_executor(say):
    """wrap_executor of 2.x runs the body.

    covers: 4.6.wrap-executor
    oracle: 2.21
    alone: yes
    """

    def executor(
        tracer_, function, args, kwargs, name, service=None, resource=None, span_type=None
    ):
        say("called", (function.__name__, args, kwargs, name, service, resource, span_type))
        with tracer_.trace("executor." + (name or "none")):
            return ("executor", function(*args, **kwargs))

    tracer.configure(wrap_executor=executor)

    @tracer.wrap("name", service="svc", resource="res", span_type="web")
    def function(a, b):
        return (a, b, _active())

    say("result", function(1, b=2))


def case_disabled(say):
    """A wrapped function of a disabled tracer is called all the same.

    covers: 4.7.disabled
    alone: yes
    """
    tracer.enabled = False
    say("result", plain(1)[:2])
    say("items", list(generator(2)))
    say("coroutine", asyncio.run(coroutine(1))[0])
    tracer.enabled = True
