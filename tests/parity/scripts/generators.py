"""tracer.wrap on generators, async generators and context managers."""

import asyncio
import contextlib

from ddtrace.trace import tracer


def _active():
    return getattr(tracer.current_span(), "name", None)


@tracer.wrap()
def generator(count):
    """A generator."""
    for number in range(count):
        with tracer.trace(f"step{number}"):
            pass
        yield number
    return "returned"


@tracer.wrap()
def echo():
    """A generator that takes values."""
    received = []
    while True:
        try:
            received.append((yield len(received)))
        except KeyError:
            received.append("KeyError")
        if received[-1] == "stop":
            return received


@tracer.wrap()
def failing_generator():
    """A generator that raises."""
    yield 1
    raise ValueError("boom")


@tracer.wrap()
async def async_generator(count):
    """An async generator."""
    for number in range(count):
        await asyncio.sleep(0)
        with tracer.trace(f"step{number}"):
            pass
        yield number


@tracer.wrap()
async def async_echo():
    """An async generator that takes values."""
    received = []
    while True:
        try:
            received.append((yield len(received)))
        except KeyError:
            received.append("KeyError")
        if received[-1] == "stop":
            return


@tracer.wrap()
async def failing_async_generator():
    """An async generator that raises."""
    yield 1
    raise ValueError("boom")


def case_generator_interleaved(say):
    """Two wrapped generators consumed in turn, after one another.

    covers: 4.6.generator
    oracle: 4.16
    """
    say("first", list(generator(1)))
    say("second", list(generator(1)))
    say("active", _active())


def case_generator(say):
    """The span covers the whole iteration.

    covers: 4.6.generator
    """
    say("items", list(generator(3)))
    say("after", _active())
    with tracer.trace("parent"):
        say("inside", list(generator(2)))


def case_generator_return(say):
    """The return value arrives.

    covers: 4.6.generator
    oracle: 4.16
    """

    def outer():
        return (yield from generator(2))

    items = outer()
    values = []
    try:
        while True:
            values.append(next(items))
    except StopIteration as stop:
        values.append(stop.value)
    say("values", values)


def case_generator_send(say):
    """send and throw reach the generator.

    covers: 4.6.generator
    oracle: 4.16
    """
    items = echo()
    say("next", next(items))
    say("send", items.send("a"))
    say("throw", items.throw(KeyError("x")))
    try:
        items.send("stop")
    except StopIteration as stop:
        say("value", stop.value)


def case_generator_raises(say):
    """An exception in the generator marks its span.

    covers: 4.6.generator 4.5.with
    oracle: 4.16
    """
    items = failing_generator()
    say("next", next(items))
    say.raises("raises", next, items)


def case_generator_thrown(say):
    """An exception thrown in and not caught marks the span.

    covers: 4.6.generator
    oracle: 4.16
    """
    items = generator(3)
    next(items)
    say.raises("throw", items.throw, ValueError("thrown"))


def case_generator_not_started(say):
    """A generator that is never started has no span.

    covers: 4.6.generator
    oracle: 4.16
    """
    items = generator(3)
    say("active", _active())
    items.close()


def case_generator_active(say):
    """Whether the span is active in the consumer.

    covers: 4.6.generator-active
    oracle: 4.16
    """
    items = generator(2)
    say("first", next(items))
    say("active in the consumer", _active())
    with tracer.trace("consumer"):
        pass
    say("rest", list(items))
    say("after", _active())


def case_generator_close(say):
    """A generator closed early.

    covers: 4.6.generator-close
    oracle: 4.16
    """
    items = generator(3)
    next(items)
    items.close()
    say("after", _active())


def case_generator_2x(say):
    """2.x covers the call that makes the generator.

    covers: 4.6.generator-2x
    oracle: 2.21
    """
    items = generator(0)
    say("items", list(items))


def case_async_generator(say):
    """The span covers the whole async iteration.

    covers: 4.6.async-generator
    """

    async def main():
        with tracer.trace("main"):
            return [item async for item in async_generator(3)]

    say("items", asyncio.run(main()))


def case_async_generator_send(say):
    """asend and athrow reach the async generator.

    covers: 4.6.async-generator
    oracle: 4.16
    """

    async def main():
        items = async_echo()
        say("first", await items.__anext__())
        say("asend", await items.asend("a"))
        say("athrow", await items.athrow(KeyError("x")))
        try:
            await items.asend("stop")
        except StopAsyncIteration:
            say("stopped", True)

    asyncio.run(main())


def case_async_generator_raises(say):
    """An exception in the async generator marks its span.

    covers: 4.6.async-generator
    oracle: 4.16
    """

    async def main():
        items = failing_async_generator()
        say("first", await items.__anext__())
        try:
            await items.__anext__()
        except ValueError:
            say("raised", True)

    asyncio.run(main())


def case_async_generator_close(say):
    """An async generator closed early.

    covers: 4.6.async-generator
    oracle: 4.16
    """

    async def main():
        items = async_generator(3)
        say("first", await items.__anext__())
        await items.aclose()

    asyncio.run(main())


def case_contextmanager_over(say):
    """@contextmanager over wrap: the body runs while the generator is suspended.

    covers: 4.6.contextmanager
    oracle: 4.16
    """

    @contextlib.contextmanager
    @tracer.wrap("manager")
    def manager():
        with tracer.trace("before"):
            pass
        yield 5
        with tracer.trace("after"):
            pass

    with manager() as value:
        say("value", value)


def case_contextmanager_body(say):
    """The body of a @contextmanager over wrap.

    covers: 4.6.contextmanager 4.6.generator-active
    oracle: 4.16
    """

    @contextlib.contextmanager
    @tracer.wrap("manager")
    def manager():
        yield 5

    with manager():
        with tracer.trace("body"):
            pass


def case_contextmanager_under(say):
    """wrap over @contextmanager covers the call only.

    covers: 4.6.contextmanager
    """

    @tracer.wrap("manager")
    @contextlib.contextmanager
    def manager():
        with tracer.trace("inside"):
            pass
        yield 5

    with manager() as value:
        say("value", value)
        with tracer.trace("body"):
            pass


def case_contextmanager_raises(say):
    """An exception in the body passes through the wrapped generator.

    covers: 4.6.contextmanager
    oracle: 4.16
    """

    @contextlib.contextmanager
    @tracer.wrap("manager")
    def manager():
        try:
            yield 5
        except KeyError:
            pass

    with manager():
        raise KeyError("swallowed by the manager")

    def loud():
        with manager():
            raise ValueError("not swallowed")

    say.raises("loud", loud)


def case_async_contextmanager(say):
    """@asynccontextmanager over wrap.

    covers: 4.6.contextmanager
    oracle: 4.16
    """

    @contextlib.asynccontextmanager
    @tracer.wrap("manager")
    async def manager():
        yield 5

    async def main():
        async with manager() as value:
            return value

    say("value", asyncio.run(main()))
