"""Taking the active trace to where it does not go by itself, and keeping it out of where it does.

`carry(function)` takes it into a thread, an executor or another process. A plain thread begins with
nothing active, as with ddtrace 4.16; asyncio takes it along into tasks and `to_thread` by itself.

`Detached` keeps it out of a block, so that background work begun there starts traces of its own.
"""

from __future__ import annotations

import functools
import inspect
from weakref import ref

from fasttrace import _span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, TypeVar

    from fasttrace._span import AttachNode, Context, Span
    from fasttrace.provider import BaseContextProvider

    P = ParamSpec("P")
    R = TypeVar("R")
    F = TypeVar("F", bound=Callable[..., Any])


class _Scope:
    """Has an item active from enter to exit, then what was active before. For one use.

    What was started inside and is still open at the exit is no longer active after it.
    """

    __slots__ = ("_before", "_item", "_provider")

    def __init__(self, item: Context | None, provider: BaseContextProvider | None) -> None:
        self._item = item
        self._provider = provider
        self._before: AttachNode | Span | Context | None = None

    def __enter__(self) -> None:
        if self._provider is None:
            self._before = _span.attach(self._item)
        else:
            self._before = self._provider.active()
            self._provider.activate(self._item)

    def __exit__(self, *exc_info: object) -> None:
        before, self._before = self._before, None
        if self._provider is not None:
            self._provider.activate(before)  # type: ignore[arg-type]  # no node with a provider
        elif before is not None:
            _span.detach(before)  # type: ignore[arg-type]


class Detached(_Scope):
    """A section of code, and all that is begun in it, that belongs to no trace begun outside.

    `with tracer.detached():`, `async with` as well; or `@tracer.detached()` on a function or a
    coroutine function, which is detached in every call.
    """

    __slots__ = ()

    def __init__(self, provider: BaseContextProvider | None = None) -> None:
        super().__init__(None, provider)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)

    def __call__(self, function: F) -> F:
        """Return `function` so that each of its calls is detached.

        Raises:
            TypeError: `function` is a generator: its consumer would be detached, too.

        """
        provider = self._provider
        detached: Any
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("detached() is for functions and coroutine functions, not generators")
        if inspect.iscoroutinefunction(function):

            async def detached(*args: Any, **kwargs: Any) -> Any:
                with Detached(provider):
                    return await function(*args, **kwargs)
        else:

            def detached(*args: Any, **kwargs: Any) -> Any:
                with Detached(provider):
                    return function(*args, **kwargs)

        functools.update_wrapper(detached, function)
        return detached  # type: ignore[no-any-return]


class Carried:
    """A function together with the trace it is to run in: what `carry()` makes. Call it likewise.

    Pickles if the function does, for use with processes. What crosses over to another process is a
    copy: the sampling decision is taken before, and what is decided over there is not known here.
    """

    __slots__ = ("__dict__", "__weakref__", "_context", "_function", "_provider", "_span")

    def __init__(
        self,
        function: Callable[..., Any],
        item: Span | Context | None,
        provider: BaseContextProvider | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"carry() takes something that can be called, not {function!r:.100}")
        self._function = function
        self._context: Context | None
        self._span: ref[Span] | None = None
        if isinstance(item, _span.Span):
            self._context = item.context
            self._span = ref(item)  # its life is not ours to prolong
        else:
            self._context = item
        self._provider = provider
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in the trace that was active when `carry()` was called."""
        with _Scope(self._context, self._provider):
            return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        span = None if self._span is None else self._span()
        if span is not None:
            _decide(span)
        return type(self), (self._function, self._context, self._provider)

    def __repr__(self) -> str:
        return f"<carried {self._function!r}>"


class CarriedCoroutine(Carried):
    """As `Carried`, for a coroutine function: its coroutine may run in any task or loop."""

    __slots__ = ()

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Await the function in the trace that was active when `carry()` was called."""
        with _Scope(self._context, self._provider):
            return await self._function(*args, **kwargs)


def carry(
    function: Callable[P, R],
    item: Span | Context | None = None,
    provider: BaseContextProvider | None = None,
) -> Callable[P, R]:
    """Return a callable that runs `function` in the trace that is active now.

        threading.Thread(target=carry(work)).start()
        executor.submit(carry(work), argument)      # threads or processes

    Args:
        function: what to run: a function, or a coroutine function.
        item: a Span or Context to use instead of the active one.
        provider: where the active item is kept; None: the default.

    Raises:
        TypeError: `function` cannot be called.

    """
    if item is None:
        item = _span.active() if provider is None else provider.active()
    kind = CarriedCoroutine if inspect.iscoroutinefunction(function) else Carried
    carried: Callable[P, R] = kind(function, item, provider)
    return carried


def _decide(span: Span) -> None:
    """Take the sampling decision of the span's trace now: two processes must not decide."""
    scope = _span.attach(span)
    try:
        _span.decide_before_fork()
    finally:
        _span.detach(scope)
