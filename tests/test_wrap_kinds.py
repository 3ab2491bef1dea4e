"""A wrapped function passes for the function: with inspect, pickle, functools, unittest.mock ..."""

from __future__ import annotations

import abc
import asyncio
import collections.abc
import contextlib
import copy
import dataclasses
import functools
import gc
import inspect
import pickle
import types
import typing
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from helpers import make_offline_tracer, spans_of

from fasttrace import Tracer

TRACER = make_offline_tracer()


class Local:
    """Something that annotations of this module refer to."""


def plain(
    a: int, b: Local | None = None, *args: int, c: str = "c", **kwargs: Any
) -> tuple[Any, ...]:
    """Say what it was called with."""
    return a, b, args, c, kwargs


async def coroutine(a: int, b: Local | None = None, *, c: str = "c") -> tuple[Any, ...]:
    """Say what it was called with, later."""
    return a, b, c


def generator(a: int, b: Local | None = None, *, c: str = "c") -> Iterator[Any]:
    """Yield what it was called with."""
    yield a
    yield b
    yield c


async def async_generator(a: int, b: Local | None = None, *, c: str = "c") -> AsyncIterator[Any]:
    """Yield what it was called with, later."""
    yield a
    yield b
    yield c


KINDS: list[Callable[..., Any]] = [plain, coroutine, generator, async_generator]
WRAPPED = {function.__name__: TRACER.wrap()(function) for function in KINDS}
wrapped_plain = TRACER.wrap()(plain)


class Shop:
    """Methods of every kind, wrapped on either side of the other decorator."""

    open = True

    @TRACER.wrap()
    def sell(self, count: int, price: int = 2) -> int:
        """Sell something."""
        return count * price

    @TRACER.wrap()
    async def order(self, count: int) -> int:
        """Order something."""
        return count

    @TRACER.wrap()
    def stock(self, count: int) -> Iterator[int]:
        """List something."""
        yield count

    @TRACER.wrap()
    async def deliveries(self, count: int) -> AsyncIterator[int]:
        """Await something."""
        yield count

    @TRACER.wrap()
    @classmethod
    def found(cls, count: int) -> tuple[type, int]:
        """Found a shop."""
        return cls, count

    @classmethod
    @TRACER.wrap()
    def close(cls, count: int) -> tuple[type, int]:
        """Close a shop."""
        return cls, count

    @TRACER.wrap()
    @staticmethod
    def tax(amount: int) -> int:
        """Compute tax."""
        return amount // 5

    @staticmethod
    @TRACER.wrap()
    def toll(amount: int) -> int:
        """Compute toll."""
        return amount // 5

    @property
    @TRACER.wrap()
    def sign(self) -> str:
        """Read the sign."""
        return "open"

    @functools.cached_property
    @TRACER.wrap()
    def address(self) -> str:
        """Look the address up."""
        return "here"

    both = functools.partialmethod(sell, 2)


class PlainShop:
    """The same without wrap()."""

    def sell(self, count: int, price: int = 2) -> int:
        """Sell something."""
        return count * price

    async def order(self, count: int) -> int:
        """Order something."""
        return count

    @classmethod
    def found(cls, count: int) -> tuple[type, int]:
        """Found a shop."""
        return cls, count

    @staticmethod
    def tax(amount: int) -> int:
        """Compute tax."""
        return amount // 5


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Leave nothing of this module's own tracer to the next test."""
    yield
    spans_of(TRACER)


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
    monkeypatch.setattr(sys.modules[__name__], function.__name__, wrapped)
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


class AsyncCallable:
    """Its instances are called as coroutine functions."""

    async def __call__(self, count: int) -> int:
        """Give it back."""
        return count


class GeneratorCallable:
    """Its instances are called as generator functions."""

    __slots__ = ()

    def __call__(self, count: int) -> Iterator[int]:
        """Count."""
        yield from range(count)


def test_partials_keep_the_kind() -> None:
    """A wrapped partial, even of a partial, is of the kind of its innermost function."""
    for function in KINDS:
        part = functools.partial(functools.partial(function, 1), c="d")
        wrapped = TRACER.wrap()(part)
        for question in QUESTIONS[5:8]:
            assert question(wrapped) == question(function)
        assert inspect.signature(wrapped) == inspect.signature(part)
        assert wrapped.func if function is plain else True
    assert TRACER.wrap()(functools.partial(plain, 1))(c="d")[0] == 1
    [span] = spans_of(TRACER)
    assert span["name"] == f"{__name__}.plain"


def test_callable_objects_keep_the_kind() -> None:
    """A wrapped object with `__call__` is of the kind of that method."""
    wrapped = TRACER.wrap()(AsyncCallable())
    assert inspect.iscoroutinefunction(wrapped)
    assert asyncio.run(wrapped(3)) == 3
    items = TRACER.wrap()(GeneratorCallable())
    assert inspect.isgeneratorfunction(items)
    assert list(items(3)) == [0, 1, 2]
    names = [span["name"] for span in spans_of(TRACER)]
    assert names == [f"{__name__}.AsyncCallable", f"{__name__}.GeneratorCallable"]


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
    assert names[3:] == [f"{__name__}.Shop"]


def test_what_cannot_be_called_is_refused() -> None:
    """wrap() raises TypeError at once for what cannot be called."""
    for thing in (5, None, property(plain)):
        with pytest.raises(TypeError, match="can be called"):
            TRACER.wrap("name")(thing)  # type: ignore[type-var]


def test_an_empty_name_is_no_name() -> None:
    """wrap("") names the span after the function, as ddtrace does."""
    TRACER.wrap("")(plain)(1)
    [span] = spans_of(TRACER)
    assert span["name"] == f"{__name__}.plain"


# -- functools and unittest.mock -------------------------------------------------------------------


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


# -- coroutine functions ---------------------------------------------------------------------------


def test_coroutines_with_asyncio(tracer: Tracer) -> None:
    """A wrapped coroutine function's result works with asyncio's own functions."""

    @tracer.wrap("work")
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return [
            await work(0),
            await asyncio.create_task(work(1)),
            await loop.create_task(work(2), name="named"),
            *await asyncio.gather(work(3), work(4)),
            await asyncio.wait_for(work(5), 10),
            await asyncio.shield(work(6)),
            await asyncio.ensure_future(work(7)),
        ]

    assert asyncio.run(main()) == list(range(8))
    assert asyncio.run(work(8)) == 8
    assert inspect.iscoroutinefunction(work)
    assert [span["name"] for span in spans_of(tracer)] == ["work"] * 9


def test_a_coroutine_that_is_never_awaited_warns_under_its_own_name(tracer: Tracer) -> None:
    """Forgetting to await a wrapped coroutine warns as always, and makes no span."""

    @tracer.wrap()
    async def forgotten() -> None: ...

    with pytest.warns(RuntimeWarning, match=r"coroutine '.*forgotten' was never awaited"):
        forgotten()
    assert tracer.stats()["finished"] == tracer.stats()["open"] == 0


def test_functions_marked_as_coroutine_functions(tracer: Tracer) -> None:
    """Mocks and functions marked as coroutine functions are wrapped as such."""
    fake = mock.AsyncMock(return_value=3)
    wrapped = tracer.wrap("mock")(fake)
    assert inspect.iscoroutinefunction(wrapped)
    assert asyncio.run(wrapped(1)) == 3
    fake.assert_awaited_once_with(1)

    if hasattr(inspect, "markcoroutinefunction"):
        mark = inspect.markcoroutinefunction
    else:

        def mark(function: Any) -> Any:
            function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
            return function

    async def body() -> str:
        await asyncio.sleep(0)
        span = tracer.current_span()
        return "" if span is None else span.name

    @mark
    def marked() -> Any:
        return body()

    assert asyncio.run(tracer.wrap("marked")(marked)()) == "marked"
    assert [span["name"] for span in spans_of(tracer)] == ["mock", "marked"]


def test_context_managers_under_wrap(tracer: Tracer) -> None:
    """wrap() over @contextmanager traces the call that makes the manager, as in ddtrace."""

    @tracer.wrap("made")
    @contextlib.contextmanager
    def manager() -> Iterator[int]:
        yield 5

    with manager() as value:
        assert value == 5
        assert tracer.current_span() is None
    assert [span["name"] for span in spans_of(tracer)] == ["made"]


# -- memory ----------------------------------------------------------------------------------------


def test_errors_make_no_cycles(tracer: Tracer) -> None:
    """What a wrapped function of any kind raised goes with the exception, without the collector."""

    class Payload:
        """Something an exception holds."""

    def raising(payload: Payload) -> None:
        raise ValueError(payload)

    async def raising_later(payload: Payload) -> None:
        await asyncio.sleep(0)
        raise ValueError(payload)

    def call(function: Any) -> weakref.ref[Payload]:
        payload = Payload()
        try:
            result = function(payload)
            if inspect.iscoroutine(result):
                result.send(None)
                result.send(None)
        except ValueError:
            pass
        return weakref.ref(payload)

    gc.collect()
    gc.disable()
    try:
        for function in (raising, raising_later):
            assert call(tracer.wrap("raising")(function))() is None
    finally:
        gc.enable()
    assert [span["error"] for span in spans_of(tracer)] == [1, 1]
