"""A wrapped function passes for the function: with inspect, copy and pickle."""

from __future__ import annotations

import asyncio
import collections.abc
import copy
import inspect
import pickle
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from wrap_subjects import KINDS, TRACER, WRAPPED, Shop, plain, wrapped_plain

pytestmark = pytest.mark.usefixtures("no_spans_of_subjects")
by_kind = pytest.mark.parametrize("function", KINDS, ids=lambda function: function.__name__)


# -- what it looks like ----------------------------------------------------------------------------

QUESTIONS = (
    inspect.isfunction,
    inspect.isroutine,
    inspect.ismethod,
    inspect.isclass,
    inspect.isbuiltin,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isdatadescriptor,
    inspect.ismethoddescriptor,
    inspect.getdoc,
    inspect.getsource,
    inspect.getmodule,
    inspect.signature,
    inspect.unwrap,
    typing.get_type_hints,
    callable,
)


@by_kind
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_inspection_sees_the_function(function: Any, question: Callable[[Any], Any]) -> None:
    """inspect, typing and callable() answer for a wrapped function as for the function."""
    assert question(WRAPPED[function.__name__]) == question(function)


@by_kind
def test_types_of_callables(function: Any) -> None:
    """A wrapped function is an instance of what the function is an instance of."""
    wrapped = WRAPPED[function.__name__]
    for kind in (types.FunctionType, collections.abc.Callable, collections.abc.Hashable):
        assert isinstance(wrapped, kind)
    assert not isinstance(wrapped, (type, types.MethodType, collections.abc.Awaitable))
    assert hasattr(wrapped, "__call__")  # noqa: B004


@by_kind
def test_attributes_are_those_of_the_function(function: Any) -> None:
    """Names, documentation, annotations, module, globals and the function itself are there."""
    wrapped = WRAPPED[function.__name__]
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(wrapped, name) == getattr(function, name)
    assert wrapped.__globals__ is function.__globals__
    assert wrapped.__wrapped__ is function
    assert set(function.__dict__) <= set(wrapped.__dict__)
    for name in ("__code__", "__defaults__", "__kwdefaults__", "__closure__"):
        assert hasattr(wrapped, name)


@by_kind
def test_attributes_can_be_set_and_deleted(function: Any) -> None:
    """A wrapped function takes attributes of its own, which the function does not get."""
    function.given = 1
    wrapped = TRACER.wrap()(function)
    wrapped.added = 2
    assert (wrapped.given, wrapped.added) == (1, 2)
    assert not hasattr(function, "added")
    del wrapped.added, wrapped.given
    assert not hasattr(wrapped, "added")
    assert function.given == 1
    del function.given


@by_kind
def test_weak_references(function: Any) -> None:
    """A wrapped function can be referenced weakly and goes when nobody holds it."""
    wrapped = TRACER.wrap()(function)
    reference = weakref.ref(wrapped)
    assert reference() is wrapped
    del wrapped
    assert reference() is None


@by_kind
def test_copies_are_the_function_itself(function: Any) -> None:
    """copy() and deepcopy() give the wrapped function itself, as they do for functions."""
    wrapped = WRAPPED[function.__name__]
    if function is plain:
        wrapped = wrapped_plain
        wrapped.__qualname__ = "wrapped_plain"
    assert copy.copy(wrapped) is wrapped
    assert copy.deepcopy(wrapped) is wrapped


def test_what_is_returned_is_what_the_function_returns() -> None:
    """Calling a wrapped function gives a result, a coroutine, a generator or an async generator."""
    assert WRAPPED["plain"](1, None, 3, c="d", e=5) == (1, None, (3,), "d", {"e": 5})
    result = WRAPPED["coroutine"](1, c="d")
    assert inspect.iscoroutine(result)
    assert result.__qualname__ == "coroutine"
    assert asyncio.run(result) == (1, None, "d")
    items = WRAPPED["generator"](1, c="d")
    assert inspect.isgenerator(items)
    assert items.__qualname__ == "generator"
    assert list(items) == [1, None, "d"]
    later = WRAPPED["async_generator"](1, c="d")
    assert inspect.isasyncgen(later)

    async def collect() -> list[Any]:
        return [item async for item in later]

    assert asyncio.run(collect()) == [1, None, "d"]


# -- pickling --------------------------------------------------------------------------------------


@by_kind
def test_pickling_by_name(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapped function of a module pickles as its name, with every protocol."""
    import sys

    wrapped = WRAPPED[function.__name__]
    monkeypatch.setattr(sys.modules[function.__module__], function.__name__, wrapped)
    monkeypatch.setattr(wrapped, "__qualname__", function.__name__)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(wrapped, protocol)
        assert pickle.loads(pickled) is wrapped
        assert len(pickled) < 150


def test_methods_pickle() -> None:
    """Wrapped methods pickle by name, bound ones with their object."""
    assert pickle.loads(pickle.dumps(Shop.sell)) is Shop.sell
    assert pickle.loads(pickle.dumps(Shop.tax)) is Shop.tax
    assert pickle.loads(pickle.dumps(Shop().sell))(3) == 6
    assert pickle.loads(pickle.dumps(Shop.found))(3) == (Shop, 3)
