"""What the tests of wrap() wrap: functions, methods and objects of every kind."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from helpers import make_offline_tracer

TRACER = make_offline_tracer()


class Thrown(Exception):
    """What tests throw into a generator."""


class Payload:
    """Something whose end can be seen."""


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
