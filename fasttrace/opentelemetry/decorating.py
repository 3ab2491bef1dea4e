"""`@tracer.start_as_current_span(...)` in front of a function."""

from __future__ import annotations

import functools
import inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from fasttrace._span import SpanScope

    F = TypeVar("F", bound=Callable[..., Any])


def decorate(new_scope: Callable[[], SpanScope], function: F) -> F:
    """Return `function` in a scope of its own with each call.

    That of a coroutine function lasts until the coroutine is done. Generators are begun in it, not
    run in it, as with OpenTelemetry's SDK: `Tracer.wrap` covers their iteration.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def in_scope(*args: Any, **kwargs: Any) -> Any:
            with new_scope():
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def in_scope(*args: Any, **kwargs: Any) -> Any:
            with new_scope():
                return function(*args, **kwargs)

    return in_scope  # type: ignore[return-value]
