"""`Tracer.wrap`: a span around a function, whatever kind of function it is.

A plain function becomes a compiled callable. Coroutine functions, generators and async generators
stay what they are, because their callers ask `inspect`: their wrappers are functions of the same
kind. A generator's span covers its whole iteration, but is active only while the generator itself
runs, not in the code that consumes it: whenever control passes between the two, the active item of
one is put aside for that of the other (`_span.Inside`). What goes in by send, throw and close, and
what comes out by yield, return and raise, passes through unchanged.
"""

from __future__ import annotations

import functools
import inspect
import sys
from types import FunctionType

from fasttrace import _log
from fasttrace._exact import wrap_exactly
from fasttrace._span import Inside, WrappedCallable, WrappedFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any

    from fasttrace._span import Span
    from fasttrace.tracer import Tracer


def wrap(
    tracer: Tracer,
    function: Any,
    name: str | None,
    service: str | None,
    resource: str | None,
    span_type: str | None,
    activate_in_consumer: bool,
    include_class: bool,
) -> Any:
    """Return `function` with a span around every call, coroutine or iteration.

    Raises:
        TypeError: `function` cannot be called, as a property cannot.

    """
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
    if not callable(function):
        raise TypeError(f"wrap() takes something that can be called, not {function!r:.100}")
    name = name or span_name_of(function, include_class)
    binds = _binds(function)
    make = _MAKERS.get(_kind_of(function))
    if make is None:
        kind = WrappedFunction if binds else WrappedCallable
        made: Any = kind(tracer, function, name, service, resource, span_type)
    else:
        start = functools.partial(tracer.trace, name, service, resource, span_type)
        inside = functools.partial(_make_inside, tracer, activate_in_consumer)
        made = _at_home(make(function, start, inside), function)
        if not binds:
            made = _Unbound(made)
    return _dress(made, function)


def span_name_of(function: Any, include_class: bool = False) -> str:
    """Return `module.name`, the span name where none is given (ddtrace 4.16)."""
    target = _without_partials(function)
    named = target if hasattr(target, "__name__") else type(target)
    name = named.__name__
    if include_class:
        name = getattr(named, "__qualname__", name).rpartition("<locals>.")[2]
    module = getattr(named, "__module__", None) or type(named).__module__
    return f"{module}.{name}"


def _binds(function: Any) -> bool:
    """Whether `function` in a class is a method: functions are, most objects with `__call__` not.

    Partials are from CPython 3.14 on; in 3.13 they have a `__get__` that warns of that.
    """
    if inspect.ismethod(function):
        return False
    if isinstance(function, functools.partial) and sys.version_info < (3, 14):
        return False
    return hasattr(type(function), "__get__")


class _Unbound(functools.partial):  # type: ignore[type-arg]
    """A function that is no method of the class it is in. `inspect` looks through partials."""

    def __get__(self, instance: object, owner: type | None = None) -> _Unbound:
        return self


# -- what kind of function it is, and looks like ---------------------------------------------------


def _without_partials(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _body_of(function: Any) -> Any:
    """What runs when `function` is called: of an object with `__call__`, that method."""
    target = _without_partials(function)
    if inspect.isroutine(target) or inspect.isclass(target) or hasattr(target, "__code__"):
        return target
    return getattr(type(target), "__call__", target)  # noqa: B004


def _kind_of(function: Any) -> str:
    target = _body_of(function)
    if inspect.iscoroutinefunction(target) or _is_marked_coroutine(target):
        return "coroutine"
    if inspect.isasyncgenfunction(target):
        return "async generator"
    if inspect.isgeneratorfunction(target):
        return "generator"
    return "function"


def _is_marked_coroutine(target: Any) -> bool:
    """Whether asyncio takes it for a coroutine function because of a mark (before CPython 3.12)."""
    mark = getattr(sys.modules.get("asyncio.coroutines"), "_is_coroutine", None)
    return mark is not None and getattr(target, "_is_coroutine", None) is mark


def _at_home(wrapper: Any, function: Any) -> Any:
    """Give the wrapper the globals of the function, with which FastAPI resolves annotations."""
    home = getattr(_body_of(function), "__globals__", None)
    if not isinstance(home, dict):
        return wrapper
    return FunctionType(wrapper.__code__, home, wrapper.__name__, None, wrapper.__closure__)


def _dress(wrapper: Any, function: Any) -> Any:
    """Give the wrapper the name, documentation, annotations and attributes of the function."""
    if inspect.isclass(function):
        functools.update_wrapper(wrapper, function, updated=())
    else:
        functools.update_wrapper(wrapper, function)
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        if not hasattr(function, attribute):  # a partial or a callable object
            source = function.func if isinstance(function, functools.partial) else type(function)
            value = getattr(source, attribute, None)
            if value is not None or attribute == "__doc__":
                setattr(wrapper, attribute, value)
    return wrapper


# -- whose active item it is -----------------------------------------------------------------------


def _make_inside(tracer: Tracer, activate_in_consumer: bool) -> Inside:
    """Make what changes between the active item of a generator and that of its consumer."""
    if activate_in_consumer or not tracer.enabled:
        return Inside(True)
    provider = tracer._provider
    if provider is None:
        return Inside()

    def peek() -> object:
        try:
            return provider.active()
        except Exception as error:
            _log.warn("provider", f"the context provider raised {type(error).__name__}")
            return None

    def exchange(item: Any) -> object:
        before = peek()
        try:
            provider.activate(item)
        except Exception as error:
            _log.warn("provider", f"the context provider raised {type(error).__name__}")
        return before

    return Inside(False, peek, exchange)


def _begin_steps(inside: Inside, inner: AsyncGenerator[Any, Any]) -> None:
    """Have the first step of an async generator awaited.

    The event loop is not told of `inner`, whose end the wrapper sees to: at its own end the loop
    closes all generators it knows of at once, and would find this one being closed.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        inside.begin(inner)
    finally:
        sys.set_asyncgen_hooks(*hooks)


# -- the wrappers ----------------------------------------------------------------------------------
#
# They use no global name but those of exceptions, because they get the globals of the function.


def _wrap_coroutine(
    function: Any, start: Callable[[], Span], make_inside: Callable[[], Inside]
) -> Callable[..., Any]:
    exact = wrap_exactly(function, start)
    if exact is not None:
        return exact

    async def traced(*args: Any, **kwargs: Any) -> Any:
        with start():
            return await function(*args, **kwargs)

    return traced


def _wrap_generator(
    function: Any, start: Callable[[], Span], make_inside: Callable[[], Inside]
) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inside = make_inside()
        span = start()
        inside.put_aside()
        with span:
            body = inside.run(function(*args, **kwargs))
            while True:
                try:
                    result = yield from body
                except BaseException as error:
                    if not inside.takes(error):
                        raise
                else:
                    if inside.has_ended():
                        return result
                    # From CPython 3.12 on, `yield from` takes a StopIteration that is thrown in,
                    # where there is no method `throw` for it, for that of the iterator.
                    inside.takes(StopIteration(result))

    return traced


def _wrap_async_generator(
    function: Any, start: Callable[[], Span], make_inside: Callable[[], Inside]
) -> Callable[..., Any]:
    begin_steps = _begin_steps

    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inside = make_inside()
        span = start()
        inside.put_aside()
        with span:
            begin_steps(inside, function(*args, **kwargs))
            while True:
                try:
                    inside.resume((yield (await inside)))
                except BaseException as error:
                    if inside.takes(error):
                        continue
                    if isinstance(error, StopAsyncIteration):
                        return
                    raise

    return traced


_MAKERS = {
    "coroutine": _wrap_coroutine,
    "generator": _wrap_generator,
    "async generator": _wrap_async_generator,
}
