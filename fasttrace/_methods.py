"""DD_TRACE_METHODS: functions traced by name, without a change to their code.

    DD_TRACE_METHODS="shop.cart:total,add;shop.till:Till.charge"

As in ddtrace 4.16 the span is `trace.annotation`, with the function, or class and method, as
resource and the tag component=trace. A coroutine function's span lasts until the coroutine is done.
Where ddtrace covers but the making of a generator, here it is the whole iteration; a class method's
resource has the name of its class, not that of the metaclass; and an item that cannot be used
leaves the others as they are.
"""

from __future__ import annotations

import functools
import inspect

from fasttrace import _log
from fasttrace._imports import when_imported
from fasttrace.tracer import tracer
from fasttrace.wrapping import _MAKERS, _kind_of, _make_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_VARIABLE = "DD_TRACE_METHODS"
_EXPECTED = "module:function,Class.method;module:function"
_installed: set[tuple[str, str]] = set()


def install(text: str) -> None:
    """Trace the functions that `text` names, each when its module has been imported."""
    for module, path in parse(text):
        if (module, path) not in _installed:
            _installed.add((module, path))
            when_imported(module, functools.partial(_wrap_in, path=path))


def parse(text: str) -> list[tuple[str, str]]:
    """Return pairs of module and function or Class.method; warn of items that are neither."""
    found: list[tuple[str, str]] = []
    for group in text.split(";"):
        if not group.strip():
            continue
        module, colon, methods = (part.strip() for part in group.partition(":"))
        if not colon or not _is_dotted(module):
            _warn(group.strip(), _EXPECTED)
        elif module == "__main__":
            _warn(group.strip(), "a module that is imported, which __main__ is not")
        else:
            for method in methods.split(","):
                if _is_dotted(method.strip()):
                    found.append((module, method.strip()))
                else:
                    _warn(f"{module}:{method}", _EXPECTED)
    return found


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _warn(item: str, expected: str) -> None:
    shown = item if len(item) <= 100 else item[:97] + "..."
    _log.warn(
        f"config {_VARIABLE} {shown}",
        f"{_VARIABLE}: {shown!r} is not usable: expected {expected}; it is left out",
    )


def _wrap_in(module: ModuleType, path: str) -> None:
    item = f"{module.__name__}:{path}"
    *owners, name = path.split(".")
    owner: Any = module
    try:
        for part in owners:
            owner = getattr(owner, part)
        found = inspect.getattr_static(owner, name)
    except AttributeError:
        _warn(item, f"a function that {module.__name__} has")
        return
    inner = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
    if not callable(inner) or inspect.isclass(inner):
        _warn(item, f"a function, not {type(inner).__name__!r}")
        return
    traced = _traced(inner, _resource(owner, found, name))
    if inner is not found:
        traced = type(found)(traced)
    try:
        setattr(owner, name, traced)
    except (AttributeError, TypeError):
        _warn(item, "a function that can be replaced")


def _resource(owner: Any, found: Any, name: str) -> Callable[[tuple[Any, ...]], str]:
    """Return what gives the resource of a call by its positional arguments."""
    if not inspect.isclass(owner) or isinstance(found, staticmethod):
        return lambda args: name
    if isinstance(found, classmethod):
        return lambda args: f"{(args[0] if args else owner).__name__}.{name}"
    # The object's class, which may be a subclass; the function may also be called without any.
    return lambda args: f"{type(args[0]).__name__ if args else owner.__name__}.{name}"


def _traced(function: Any, resource: Callable[[tuple[Any, ...]], str]) -> Any:
    def start(args: tuple[Any, ...]) -> Any:
        span = tracer.trace("trace.annotation", resource=resource(args))
        span.set_tag("component", "trace")
        return span

    async def run_later(*args: Any, **kwargs: Any) -> Any:
        with start(args):
            return await function(*args, **kwargs)

    def run(*args: Any, **kwargs: Any) -> Any:
        with start(args):
            return function(*args, **kwargs)

    kind = _kind_of(function)
    wrapper: Any = run_later if kind == "coroutine" else run
    if kind in _MAKERS and kind != "coroutine":  # a generator, whose class is the one that is named
        inside = functools.partial(_make_inside, tracer, False)
        wrapper = _MAKERS[kind](function, functools.partial(start, ()), inside)
    return functools.update_wrapper(wrapper, function)
