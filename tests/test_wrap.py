"""tracer.wrap() on functions, methods and coroutines."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Tracer

WRAPPING_TRACER = Tracer()


@WRAPPING_TRACER.wrap()
def module_level(x: int = 1) -> int:
    """Doc of a module-level function."""
    return x + 1


def test_a_wrapped_function_makes_a_span_per_call(tracer: Tracer) -> None:
    """wrap() names the span after module and function and gives back what the function gives."""

    @tracer.wrap()
    def work(a: int, b: int = 2, *args: int, c: int = 3, **kwargs: int) -> tuple[Any, ...]:
        span = tracer.current_span()
        assert span is not None
        assert span.name == f"{__name__}.work"
        return a, b, args, c, kwargs

    assert work(1) == (1, 2, (), 3, {})
    assert work(1, 5, 6, 7, c=8, d=9) == (1, 5, (6, 7), 8, {"d": 9})
    assert work(a=1) == (1, 2, (), 3, {})
    sent = spans_of(tracer)
    assert [span["name"] for span in sent] == [f"{__name__}.work"] * 3
    assert [span["resource"] for span in sent] == [f"{__name__}.work"] * 3
    assert [span["service"] for span in sent] == ["svc"] * 3


def test_wrap_with_arguments(tracer: Tracer) -> None:
    """wrap() takes name, service, resource and type, by position or by name."""

    @tracer.wrap("named", "service", "resource", "worker")
    def by_position() -> None:
        pass

    @tracer.wrap(name="other", service="service", resource="resource", span_type="worker")
    def by_keyword() -> None:
        pass

    by_position()
    by_keyword()
    for sent, name in zip(spans_of(tracer), ("named", "other"), strict=True):
        assert (sent["name"], sent["service"], sent["resource"], sent["type"]) == (
            name,
            "service",
            "resource",
            "worker",
        )


def test_wrapped_functions_nest(tracer: Tracer) -> None:
    """A wrapped function called by another, or by itself, makes a child span."""

    @tracer.wrap("outer")
    def outer() -> None:
        inner(2)

    @tracer.wrap("inner")
    def inner(depth: int) -> None:
        if depth:
            inner(depth - 1)

    outer()
    spans = spans_of(tracer)
    assert [span["name"] for span in spans] == ["outer", "inner", "inner", "inner"]
    assert [span.get("parent_id") for span in spans] == [None] + [s["span_id"] for s in spans[:3]]


def test_a_call_inside_a_block_is_its_child(tracer: Tracer) -> None:
    """wrap() and with can be mixed in any way."""

    @tracer.wrap("wrapped")
    def work() -> None:
        with tracer.trace("inside"):
            pass

    with tracer.trace("outside") as outside:
        work()
        assert tracer.current_span() is outside
    sent = by_name(spans_of(tracer))
    assert sent["wrapped"]["parent_id"] == sent["outside"]["span_id"]
    assert sent["inside"]["parent_id"] == sent["wrapped"]["span_id"]


def test_an_exception_passes_and_marks_the_span(tracer: Tracer) -> None:
    """What a wrapped function raises reaches the caller unchanged; its span tells of it."""
    error = ValueError("boom")

    @tracer.wrap("work")
    def work() -> None:
        raise error

    with pytest.raises(ValueError, match="boom") as caught:
        work()
    assert caught.value is error
    [sent] = spans_of(tracer)
    assert sent["error"] == 1
    assert sent["meta"]["error.type"] == "builtins.ValueError"
    assert sent["meta"]["error.message"] == "boom"
    assert "in work" in sent["meta"]["error.stack"]
    assert tracer.current_span() is None


def test_calling_with_wrong_arguments_raises_as_the_function_does(tracer: Tracer) -> None:
    """A wrong call raises the function's own TypeError."""

    @tracer.wrap("work")
    def work(a: int) -> None:
        pass

    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'a'"):
        work()  # type: ignore[call-arg]
    [sent] = spans_of(tracer)
    assert sent["error"] == 1


def test_the_wrapped_function_keeps_its_identity() -> None:
    """Name, module, doc, annotations, defaults and signature are those of the function."""
    assert module_level.__name__ == "module_level"
    assert module_level.__qualname__ == "module_level"
    assert module_level.__module__ == __name__
    assert module_level.__doc__ == "Doc of a module-level function."
    assert str(inspect.signature(module_level)) == "(x: 'int' = 1) -> 'int'"
    assert inspect.unwrap(module_level) is module_level.__wrapped__  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert callable(module_level)


def test_a_wrapped_function_takes_attributes(tracer: Tracer) -> None:
    """Attributes can be set on a wrapped function, and those of the function are there."""

    def work() -> None:
        pass

    work.existing = 1  # type: ignore[attr-defined]
    wrapped = tracer.wrap()(work)
    wrapped.added = 2
    assert (wrapped.existing, wrapped.added) == (1, 2)


def test_methods(tracer: Tracer) -> None:
    """wrap() works on methods, class methods and static methods, in either order."""

    class Shop:
        def __init__(self) -> None:
            self.sold = 0

        @tracer.wrap("method")
        def sell(self, count: int = 1) -> int:
            self.sold += count
            return self.sold

        @classmethod
        @tracer.wrap("class method")
        def open(cls) -> type:
            return cls

        @staticmethod
        @tracer.wrap("static method")
        def tax(amount: int) -> int:
            return amount * 2

    shop = Shop()
    assert (shop.sell(), shop.sell(count=2), Shop.sell(shop, 3)) == (1, 3, 6)
    assert Shop.open() is shop.open() is Shop
    assert (Shop.tax(2), shop.tax(3)) == (4, 6)
    names = [span["name"] for span in spans_of(tracer)]
    assert names == ["method"] * 3 + ["class method"] * 2 + ["static method"] * 2


def test_the_class_can_be_part_of_the_name(new_tracer: Any) -> None:
    """DD_TRACE_WRAP_SPAN_NAME_INCLUDE_CLASS puts the class in the default name of a method."""

    class Shop:
        def sell(self) -> None:
            pass

    for include, expected in ((True, f"{__name__}.Shop.sell"), (False, f"{__name__}.sell")):
        tracer = new_tracer(wrap_name_include_class=include)
        tracer.wrap()(Shop.sell)(Shop())
        assert [span["name"] for span in spans_of(tracer)] == [expected]


def test_callable_objects_and_partials(tracer: Tracer) -> None:
    """wrap(name) works on functools.partial and on objects that can be called."""

    class Adder:
        def __call__(self, a: int, b: int) -> int:
            return a + b

    assert tracer.wrap("object")(Adder())(1, 2) == 3
    assert tracer.wrap("partial")(functools.partial(Adder(), 1))(b=4) == 5
    assert [span["name"] for span in spans_of(tracer)] == ["object", "partial"]


def test_wrapping_twice_makes_two_spans(tracer: Tracer) -> None:
    """A function wrapped twice makes a span and its child."""

    @tracer.wrap("outer")
    @tracer.wrap("inner")
    def work() -> None:
        pass

    work()
    outer, inner = spans_of(tracer)
    assert (outer["name"], inner["name"]) == ("outer", "inner")
    assert inner["parent_id"] == outer["span_id"]


def test_one_decorator_can_wrap_several_functions(tracer: Tracer) -> None:
    """The decorator that wrap() returns can be used again."""
    decorator = tracer.wrap("shared")
    assert decorator(lambda: 1)() == 1
    assert decorator(lambda: 2)() == 2
    assert [span["name"] for span in spans_of(tracer)] == ["shared", "shared"]


def test_disabling_takes_effect_on_functions_wrapped_before(tracer: Tracer) -> None:
    """A wrapped function makes no span while the tracer is disabled, and spans again after."""

    @tracer.wrap("work")
    def work() -> int:
        return 1

    tracer.enabled = False
    assert work() == 1
    assert spans_of(tracer) == []
    tracer.enabled = True
    assert work() == 1
    assert len(spans_of(tracer)) == 1


# -- coroutines ------------------------------------------------------------------------------------


def test_a_wrapped_coroutine_function_spans_the_whole_await(tracer: Tracer) -> None:
    """The span of a wrapped coroutine lasts until it returns, and is current inside of it."""

    @tracer.wrap("outer")
    async def outer(x: int) -> int:
        span = tracer.current_span()
        assert span is not None
        assert span.name == "outer"
        await asyncio.sleep(0.02)
        assert tracer.current_span() is span
        return await inner(x) + 1

    @tracer.wrap("inner")
    async def inner(x: int) -> int:
        await asyncio.sleep(0)
        return x * 2

    async def main() -> int:
        with tracer.trace("root") as root:
            result = await outer(20)
            assert tracer.current_span() is root
            return result

    assert asyncio.run(main()) == 41
    sent = by_name(spans_of(tracer))
    assert sent["outer"]["parent_id"] == sent["root"]["span_id"]
    assert sent["inner"]["parent_id"] == sent["outer"]["span_id"]
    assert sent["outer"]["duration"] >= 15_000_000
    assert inspect.iscoroutinefunction(outer)
    assert asyncio.iscoroutinefunction(outer)


def test_a_wrapped_coroutine_begins_its_span_when_it_runs(tracer: Tracer) -> None:
    """Calling a wrapped coroutine function makes no span yet; running it does."""

    @tracer.wrap("work")
    async def work() -> None:
        pass

    coroutine = work()
    assert tracer.current_span() is None
    assert tracer.stats()["finished"] == 0
    asyncio.run(coroutine)
    assert len(spans_of(tracer)) == 1


def test_an_exception_in_a_coroutine_passes_and_marks_the_span(tracer: Tracer) -> None:
    """What a wrapped coroutine raises reaches who awaits it; its span tells of it."""

    @tracer.wrap("work")
    async def work() -> None:
        await asyncio.sleep(0)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        asyncio.run(work())
    [sent] = spans_of(tracer)
    assert sent["error"] == 1
    assert sent["meta"]["error.type"] == "builtins.KeyError"
    assert sent["meta"]["error.message"] == "'lost'"


def test_a_cancelled_coroutine_finishes_its_span(tracer: Tracer) -> None:
    """Cancelling a task inside a wrapped coroutine ends and marks its span."""

    @tracer.wrap("work")
    async def work() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(work())
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    [sent] = spans_of(tracer)
    assert sent["error"] == 1
    assert sent["meta"]["error.type"] == "asyncio.exceptions.CancelledError"


def test_concurrent_calls_of_one_coroutine_do_not_mix(tracer: Tracer) -> None:
    """Many tasks in the same wrapped coroutine each have their own span and children."""

    @tracer.wrap("work")
    async def work(number: int) -> int:
        span = tracer.current_span()
        assert span is not None
        span.set_tag("number", str(number))
        for _ in range(number % 3):
            await asyncio.sleep(0)
        with tracer.trace("child") as child:
            await asyncio.sleep(0)
            child.set_tag("number", str(number))
        assert tracer.current_span() is span
        return number

    async def main() -> list[int]:
        with tracer.trace("root"):
            return await asyncio.gather(*map(work, range(50)))

    assert asyncio.run(main()) == list(range(50))
    spans = spans_of(tracer)
    parents = {span["span_id"]: span for span in spans}
    children = [span for span in spans if span["name"] == "child"]
    assert len(children) == 50
    for child in children:
        assert parents[child["parent_id"]]["meta"]["number"] == child["meta"]["number"]


def test_a_coroutine_can_be_driven_by_hand(tracer: Tracer) -> None:
    """send, throw and close reach a wrapped coroutine, whose span ends with it."""

    class Pause:
        def __await__(self) -> Any:
            received = yield "paused"
            return received

    @tracer.wrap("work")
    async def work() -> Any:
        try:
            return await Pause()
        except LookupError:
            return "caught"

    coroutine = work()
    assert coroutine.send(None) == "paused"
    with pytest.raises(StopIteration) as stop:
        coroutine.send("hello")
    assert stop.value.value == "hello"

    coroutine = work()
    coroutine.send(None)
    with pytest.raises(StopIteration) as stop:
        coroutine.throw(LookupError())
    assert stop.value.value == "caught"

    coroutine = work()
    coroutine.send(None)
    coroutine.close()
    sent = spans_of(tracer)
    assert [span.get("error", 0) for span in sent] == [0, 0, 0]
    assert tracer.current_span() is None


def test_a_wrapped_async_method(tracer: Tracer) -> None:
    """wrap() works on coroutine methods."""

    class Shop:
        @tracer.wrap("sell")
        async def sell(self, count: int) -> int:
            return count

    assert asyncio.run(Shop().sell(3)) == 3
    assert inspect.iscoroutinefunction(Shop.sell)
    assert [span["name"] for span in spans_of(tracer)] == ["sell"]
