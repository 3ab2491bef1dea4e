"""`Tracer.wrap`: a span around a function, whatever kind of function it is.

Plain functions become a compiled callable. Coroutine functions, generators and async generators
stay what they are (their callers ask `inspect`), so their wrappers are functions of the same kind.
A generator's span covers its whole iteration, but is active only while the generator itself runs,
not in the code that consumes it.
"""

from __future__ import annotations

import functools
import inspect

from fasttrace._span import WrappedFunction, exchange_active, peek_active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any

    from fasttrace._span import TracerCore


def wrap(
    tracer: TracerCore,
    function: Any,
    name: str | None,
    service: str | None,
    resource: str | None,
    span_type: str | None,
    activate_in_consumer: bool,
    include_class: bool,
) -> Any:
    """Return `function` with a span around every call, coroutine or iteration."""
    if isinstance(function, (staticmethod, classmethod)):
        inner = wrap(
            tracer,
            function.__func__,
            name,
            service,
            resource,
            span_type,
            activate_in_consumer,
            include_class,
        )
        return type(function)(inner)
    span_name = name if name is not None else span_name_of(function, include_class)
    keywords = {"service": service, "resource": resource, "span_type": span_type}
    kind = _kind_of(function)
    if kind == "coroutine":
        return _dress(_wrap_coroutine(tracer, function, span_name, keywords), function)
    if kind == "generator":
        make = _wrap_generator_open if activate_in_consumer else _wrap_generator
        return _dress(make(tracer, function, span_name, keywords), function)
    if kind == "async generator":
        make = _wrap_async_generator_open if activate_in_consumer else _wrap_async_generator
        return _dress(make(tracer, function, span_name, keywords), function)
    return _dress(
        WrappedFunction(tracer, function, span_name, service, resource, span_type), function
    )


def span_name_of(function: Any, include_class: bool = False) -> str:
    """Return `module.name`, the span name where none is given (ddtrace 4.16)."""
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    named = target if hasattr(target, "__name__") else type(target)
    name = named.__name__
    if include_class:
        name = getattr(named, "__qualname__", name).rpartition("<locals>.")[2]
    return f"{named.__module__}.{name}"


def _kind_of(function: Any) -> str:
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    if not (inspect.isroutine(target) or inspect.isclass(target) or hasattr(target, "__code__")):
        target = getattr(type(target), "__call__", target)  # noqa: B004
    if inspect.iscoroutinefunction(target):
        return "coroutine"
    if inspect.isasyncgenfunction(target):
        return "async generator"
    if inspect.isgeneratorfunction(target):
        return "generator"
    return "function"


def _dress(wrapper: Any, function: Any) -> Any:
    """Give the wrapper the name, documentation, annotations and attributes of the function."""
    functools.update_wrapper(wrapper, function)
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        if not hasattr(function, attribute):  # a partial or a callable object
            source = function.func if isinstance(function, functools.partial) else type(function)
            value = getattr(source, attribute, None)
            if value is not None or attribute == "__doc__":
                setattr(wrapper, attribute, value)
    return wrapper


def _wrap_coroutine(
    tracer: TracerCore, function: Any, name: str, keywords: dict[str, Any]
) -> Callable[..., Any]:
    service, resource, span_type = keywords["service"], keywords["resource"], keywords["span_type"]
    trace = tracer.trace

    async def traced(*args: Any, **kwargs: Any) -> Any:
        with trace(name, service, resource, span_type):
            return await function(*args, **kwargs)

    return traced


def _wrap_generator_open(
    tracer: TracerCore, function: Any, name: str, keywords: dict[str, Any]
) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with tracer.trace(name, **keywords):
            return (yield from function(*args, **kwargs))

    return traced


def _wrap_async_generator_open(
    tracer: TracerCore, function: Any, name: str, keywords: dict[str, Any]
) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with tracer.trace(name, **keywords):
            inner = function(*args, **kwargs)
            step = inner.__anext__()
            try:
                while True:
                    try:
                        value = await step
                    except StopAsyncIteration:
                        return
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = inner.athrow(error)
                    else:
                        step = inner.asend(sent)
            finally:
                await inner.aclose()

    return traced


def _wrap_generator(
    tracer: TracerCore, function: Any, name: str, keywords: dict[str, Any]
) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not tracer.enabled:
            return (yield from function(*args, **kwargs))
        around = peek_active()
        span = tracer.trace(name, **keywords)
        inside = exchange_active(around)
        with span:
            inner = function(*args, **kwargs)
            advance: Any = inner.__next__
            argument: tuple[Any, ...] = ()
            while True:
                around = exchange_active(inside)
                try:
                    value = advance(*argument)
                except StopIteration as stop:
                    return stop.value
                finally:
                    inside = exchange_active(around)
                try:
                    sent = yield value
                except GeneratorExit:
                    around = exchange_active(inside)
                    try:
                        inner.close()
                    finally:
                        inside = exchange_active(around)
                    raise
                except BaseException as error:
                    advance, argument = inner.throw, (error,)
                else:
                    if sent is None:
                        advance, argument = inner.__next__, ()
                    else:
                        advance, argument = inner.send, (sent,)

    return traced


def _wrap_async_generator(
    tracer: TracerCore, function: Any, name: str, keywords: dict[str, Any]
) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        around = peek_active()
        span = tracer.trace(name, **keywords)
        inside = exchange_active(around)
        with span:
            inner = function(*args, **kwargs)
            step = inner.__anext__()
            while True:
                around = exchange_active(inside)
                try:
                    value = await step
                except StopAsyncIteration:
                    return
                finally:
                    inside = exchange_active(around)
                try:
                    sent = yield value
                except GeneratorExit:
                    around = exchange_active(inside)
                    try:
                        await inner.aclose()
                    finally:
                        inside = exchange_active(around)
                    raise
                except BaseException as error:
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)

    return traced
