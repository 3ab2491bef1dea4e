"""Wrapped functions under functools and unittest.mock."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any
from unittest import mock

import pytest
from helpers import spans_of
from wrap_subjects import KINDS, TRACER, WRAPPED, PlainShop, Shop, plain

pytestmark = pytest.mark.usefixtures("no_spans_of_subjects")


def test_lru_cache() -> None:
    """A cache over wrap() spares calls their spans; one under it does not, and stays reachable."""

    @functools.lru_cache
    @TRACER.wrap("computed")
    def over(number: int) -> int:
        return number * 2

    assert [over(1), over(1)] == [2, 2]
    assert over.cache_info().hits == 1

    @TRACER.wrap("asked")
    @functools.lru_cache
    def under(number: int) -> int:
        return number * 2

    assert [under(1), under(1)] == [2, 2]
    assert under.cache_info().hits == 1
    under.cache_clear()
    assert under.cache_info().hits == 0
    assert [span["name"] for span in spans_of(TRACER)] == ["computed", "asked", "asked"]

    class Cached:
        @TRACER.wrap("method")
        @functools.lru_cache  # noqa: B019
        def get(self, number: int) -> int:
            return number

        @functools.lru_cache  # noqa: B019
        @TRACER.wrap("method")
        def get_too(self, number: int) -> int:
            return number

    assert (Cached().get(3), Cached().get_too(4)) == (3, 4)


def test_singledispatch() -> None:
    """singledispatch works over and under wrap(), and registers wrapped functions by annotation."""

    @functools.singledispatch
    @TRACER.wrap("default")
    def describe(thing: Any) -> str:
        return "thing"

    @describe.register
    @TRACER.wrap("int")
    def _(thing: int) -> str:
        return "int"

    @describe.register(str)
    @TRACER.wrap("str")
    def _(thing: Any) -> str:
        return "str"

    assert [describe(one) for one in (None, 1, "a")] == ["thing", "int", "str"]
    assert [span["name"] for span in spans_of(TRACER)] == ["default", "int", "str"]

    outside = TRACER.wrap("outside")(describe)
    assert outside(1) == "int"
    assert outside.dispatch(str)("a") == "str"

    class Formatter:
        @functools.singledispatchmethod
        @TRACER.wrap("method")
        def format(self, thing: Any) -> str:
            return "thing"

        @format.register
        @TRACER.wrap("int method")
        def _(self, thing: int) -> str:
            return "int"

    assert [Formatter().format(one) for one in (None, 1)] == ["thing", "int"]


def test_autospec_of_functions() -> None:
    """create_autospec() of a wrapped function checks calls against its signature."""
    for function in KINDS[:2]:
        fake = mock.create_autospec(WRAPPED[function.__name__], return_value=7)
        assert type(fake) is type(mock.create_autospec(function))

        def call(*args: Any, fake: Any = fake, **kwargs: Any) -> Any:
            result = fake(*args, **kwargs)
            return asyncio.run(result) if inspect.iscoroutine(result) else result

        assert call(1, c="d") == 7
        fake.assert_called_once_with(1, c="d")
        with pytest.raises(TypeError, match="missing a required argument: 'a'"):
            call()


def test_autospec_of_methods() -> None:
    """create_autospec() of a class checks calls of wrapped methods as it does those of others."""
    for shop in (Shop, PlainShop):
        fake = mock.create_autospec(shop)
        assert isinstance(fake.sell, mock.MagicMock)
        for made in (fake(), mock.create_autospec(shop, instance=True)):
            made.sell(1, price=2)
            with pytest.raises(TypeError, match="too many positional arguments"):
                made.sell(1, 2, 3)
            with pytest.raises(TypeError, match="too many positional arguments"):
                made.tax(1, 2)
            with pytest.raises(TypeError, match="too many positional arguments"):
                made.found(1, 2)
            made.order.return_value = 5
            assert asyncio.run(made.order(1)) == 5


def test_patching_a_wrapped_function() -> None:
    """mock.patch with autospec replaces a wrapped method and puts it back."""
    original = Shop.sell
    with mock.patch.object(Shop, "sell", autospec=True, return_value=9):
        assert Shop().sell(1) == 9
        with pytest.raises(TypeError):
            Shop().sell()  # type: ignore[call-arg]
    assert Shop.sell is original


def test_wraps_over_a_wrapped_function() -> None:
    """Another decorator that uses functools.wraps works on a wrapped function."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def outer(*args: Any) -> Any:
            return function(*args)

        return outer

    outer = decorate(TRACER.wrap("inner")(plain))
    assert outer(1)[0] == 1
    assert inspect.unwrap(outer) is plain
    assert [span["name"] for span in spans_of(TRACER)] == ["inner"]
