"""Wrappers of coroutine functions that take what the function takes, by name.

A wrapper of `*args, **kwargs` makes a tuple and a dict for every call and takes them apart again,
which costs as much as half a span. For functions of a few plain parameters there is one written
out for each number of them; its code then gets the names of the function's parameters.
"""

from __future__ import annotations

from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fasttrace._span import Span


def _of_none(function: Any, start: Callable[[], Span]) -> FunctionType:
    async def traced() -> Any:
        with start():
            return await function()

    return traced  # type: ignore[return-value]


def _of_one(function: Any, start: Callable[[], Span]) -> FunctionType:
    async def traced(a: Any) -> Any:
        with start():
            return await function(a)

    return traced  # type: ignore[return-value]


def _of_two(function: Any, start: Callable[[], Span]) -> FunctionType:
    async def traced(a: Any, b: Any) -> Any:
        with start():
            return await function(a, b)

    return traced  # type: ignore[return-value]


def _of_three(function: Any, start: Callable[[], Span]) -> FunctionType:
    async def traced(a: Any, b: Any, c: Any) -> Any:
        with start():
            return await function(a, b, c)

    return traced  # type: ignore[return-value]


def _of_four(function: Any, start: Callable[[], Span]) -> FunctionType:
    async def traced(a: Any, b: Any, c: Any, d: Any) -> Any:
        with start():
            return await function(a, b, c, d)

    return traced  # type: ignore[return-value]


_BY_PARAMETERS = (_of_none, _of_one, _of_two, _of_three, _of_four)


def wrap_exactly(function: Any, start: Callable[[], Span]) -> FunctionType | None:
    """Return a coroutine function that runs `function` in a span and has its parameters.

    None if `function` is no plain coroutine function of at most four parameters, has `*` or `/`,
    or has defaults: they could be changed later, and that would not be seen here.
    """
    if type(function) is not FunctionType or function.__defaults__ is not None:
        return None
    code = function.__code__
    count = code.co_argcount
    names = code.co_varnames[:count]
    if (
        count >= len(_BY_PARAMETERS)
        or code.co_kwonlyargcount
        or code.co_posonlyargcount
        or code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
        or not {"function", "start"}.isdisjoint(names)
    ):
        return None
    traced = _BY_PARAMETERS[count](function, start)
    # The name is for the TypeError of a wrong call.
    traced.__code__ = traced.__code__.replace(co_varnames=names, co_name=function.__name__)
    return traced
