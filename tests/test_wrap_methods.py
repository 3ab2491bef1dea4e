"""wrap() on methods and other descriptors, on partials, objects and classes."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import functools
import inspect
import weakref
from collections.abc import Callable, Iterator

import pytest
from helpers import spans_of
from wrap_subjects import KINDS, TRACER, AsyncCallable, GeneratorCallable, Shop, plain

pytestmark = pytest.mark.usefixtures("no_spans_of_subjects")


# -- methods and other descriptors -----------------------------------------------------------------


def test_methods_of_every_kind() -> None:
    """Methods, class methods and static methods work on the class and on an instance."""
    shop = Shop()
    assert (shop.sell(2), Shop.sell(shop, 2, price=3), shop.both(), shop.both(4)) == (4, 6, 4, 8)
    assert Shop.found(1) == shop.found(1) == Shop.close(1) == shop.close(1) == (Shop, 1)
    assert Shop.tax(10) == shop.tax(10) == Shop.toll(10) == shop.toll(10) == 2
    assert (shop.sign, shop.address, shop.address) == ("open", "here", "here")
    assert asyncio.run(shop.order(3)) == 3
    assert list(shop.stock(3)) == [3]
    names = [span["name"].rpartition(".")[2] for span in spans_of(TRACER)]
    assert names[:4] == ["sell"] * 4
    assert names[4:12] == ["found", "found", "close", "close", "tax", "tax", "toll", "toll"]
    assert names[12:] == ["sign", "address", "order", "stock"]


def test_class_and_static_methods_stay_what_they_are() -> None:
    """wrap() over @classmethod or @staticmethod gives a classmethod or staticmethod again."""
    assert type(inspect.getattr_static(Shop, "found")) is classmethod
    assert type(inspect.getattr_static(Shop, "tax")) is staticmethod

    class Special(classmethod):  # type: ignore[type-arg]
        pass

    assert type(TRACER.wrap("special")(Special(plain))) is Special


def test_bound_methods() -> None:
    """A wrapped method binds as a function does."""
    shop = Shop()
    bound = shop.sell
    assert inspect.ismethod(bound)
    assert (bound.__self__, bound.__func__) == (shop, Shop.sell)
    assert bound == shop.sell
    assert bound.__name__ == "sell"
    assert str(inspect.signature(bound)) == "(count: 'int', price: 'int' = 2) -> 'int'"
    assert Shop.sell.__get__(None, Shop) is Shop.sell
    assert TRACER.wrap("again")(bound)(3) == 6
    assert weakref.WeakMethod(bound)() == bound


def test_inheritance() -> None:
    """Wrapped methods can be overridden, called by super() and shared by subclasses."""

    class Bakery(Shop):
        @TRACER.wrap("bake")
        def sell(self, count: int, price: int = 5) -> int:
            return super().sell(count, price)

    assert Bakery().sell(2) == 10
    assert Bakery.found(1) == (Bakery, 1)
    outer, inner, _ = spans_of(TRACER)
    assert outer["name"] == "bake"
    assert inner["parent_id"] == outer["span_id"]


def test_abstract_methods() -> None:
    """@abstractmethod counts on either side of wrap()."""

    class Base(abc.ABC):
        @TRACER.wrap()
        @abc.abstractmethod
        def inner(self) -> None: ...

        @abc.abstractmethod
        @TRACER.wrap()
        def outer(self) -> None: ...

        @TRACER.wrap()
        @classmethod
        @abc.abstractmethod
        def of_class(cls) -> None: ...

    assert Base.__abstractmethods__ == {"inner", "outer", "of_class"}
    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]


def test_dataclasses() -> None:
    """Methods of dataclasses, and functions in their fields, can be wrapped."""

    @dataclasses.dataclass(frozen=True)
    class Order:
        count: int
        rule: Callable[[int], int] = dataclasses.field(default=TRACER.wrap("rule")(lambda n: n + 1))

        @TRACER.wrap("total")
        def total(self) -> int:
            return self.count * 2

        @TRACER.wrap("post init")
        def __post_init__(self) -> None:
            assert self.count

    assert Order(2).total() == 4
    assert Order(2) == Order(2)
    assert [field.name for field in dataclasses.fields(Order)] == ["count", "rule"]


def test_special_methods() -> None:
    """Special methods, which Python looks up on the class, can be wrapped."""

    class Box:
        @TRACER.wrap("init")
        def __init__(self, size: int) -> None:
            self.size = size

        @TRACER.wrap("len")
        def __len__(self) -> int:
            return self.size

        @TRACER.wrap("call")
        def __call__(self, more: int) -> int:
            return self.size + more

        @TRACER.wrap("iter")
        def __iter__(self) -> Iterator[int]:
            yield from range(self.size)

        @TRACER.wrap("enter")
        def __enter__(self) -> Box:
            return self

        @TRACER.wrap("exit")
        def __exit__(self, *exc_info: object) -> None:
            self.size = 0

        @TRACER.wrap("subclass")
        def __init_subclass__(cls, extra: int = 0) -> None:
            cls.extra = extra  # type: ignore[attr-defined]

    class Sub(Box, extra=5):
        pass

    assert Sub.extra == 5  # type: ignore[attr-defined]
    with Box(3) as box:
        assert (len(box), box(1), tuple(iter(box))) == (3, 4, (0, 1, 2))
    names = [span["name"] for span in spans_of(TRACER)]
    assert names == ["subclass", "init", "enter", "len", "call", "iter", "exit"]


# -- partials, objects, classes --------------------------------------------------------------------


def test_partials_keep_the_kind() -> None:
    """A wrapped partial, even of a partial, is of the kind of its innermost function."""
    for function in KINDS:
        part = functools.partial(functools.partial(function, 1), c="d")
        wrapped = TRACER.wrap()(part)
        for is_kind in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ):
            assert is_kind(wrapped) == is_kind(function)
        assert inspect.signature(wrapped) == inspect.signature(part)
        assert wrapped.func if function is plain else True
    assert TRACER.wrap()(functools.partial(plain, 1))(c="d")[0] == 1
    [span] = spans_of(TRACER)
    assert span["name"] == f"{plain.__module__}.plain"


def test_callable_objects_keep_the_kind() -> None:
    """A wrapped object with `__call__` is of the kind of that method."""
    wrapped = TRACER.wrap()(AsyncCallable())
    assert inspect.iscoroutinefunction(wrapped)
    assert asyncio.run(wrapped(3)) == 3
    items = TRACER.wrap()(GeneratorCallable())
    assert inspect.isgeneratorfunction(items)
    assert list(items(3)) == [0, 1, 2]
    names = [span["name"] for span in spans_of(TRACER)]
    assert names == [f"wrap_subjects.{kind}Callable" for kind in ("Async", "Generator")]


def test_builtins_and_classes() -> None:
    """wrap() works on functions written in C, on methods of C types and on classes."""
    assert TRACER.wrap()(len)("abc") == 3
    assert TRACER.wrap()(str.upper)("abc") == "ABC"
    assert TRACER.wrap()("abc".upper)() == "ABC"
    made = TRACER.wrap()(Shop)
    assert type(made()) is Shop
    assert made.__name__ == "Shop"
    names = [span["name"] for span in spans_of(TRACER)]
    assert names[:1] == ["builtins.len"]
    assert names[3:] == [f"{Shop.__module__}.Shop"]


def test_what_cannot_be_called_is_refused() -> None:
    """wrap() raises TypeError at once for what cannot be called."""
    for thing in (5, None, property(plain)):
        with pytest.raises(TypeError, match="can be called"):
            TRACER.wrap("name")(thing)  # type: ignore[type-var]


def test_an_empty_name_is_no_name() -> None:
    """wrap("") names the span after the function, as ddtrace does."""
    TRACER.wrap("")(plain)(1)
    [span] = spans_of(TRACER)
    assert span["name"] == f"{plain.__module__}.plain"
