"""Where the active span is kept: the default of the compiled core, or one of the application.

Follows ddtrace 4.16 `BaseContextProvider`.
"""

from __future__ import annotations

from fasttrace import _span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace._span import Context, Span


class BaseContextProvider:
    """Base of context providers: derive, define `activate` and `active`.

    A provider of the application's own is called once to find the parent and once to activate each
    new span; register it with `tracer.configure(context_provider=...)`.
    """

    def activate(self, ctx: Span | Context | None) -> None:
        """Make `ctx` the active item."""
        raise NotImplementedError

    def active(self) -> Span | Context | None:
        """Return the active item."""
        raise NotImplementedError

    def _has_active_context(self) -> bool:
        return self.active() is not None

    def __call__(self, *args: Any, **kwargs: Any) -> Span | Context | None:
        """Return the active item; the older spelling of `active()`."""
        return self.active()


class DefaultContextProvider(BaseContextProvider):
    """The active item of the current thread, asyncio task or greenlet (one context variable)."""

    def activate(self, ctx: Span | Context | None) -> None:
        """Make a Span, a Context or None active; a Context is used up by its first child."""
        _span.activate(ctx)

    def active(self) -> Span | Context | None:
        """Return the active unfinished Span, the activated Context, or None."""
        return _span.active()
