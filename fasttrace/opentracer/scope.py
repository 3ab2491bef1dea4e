"""Scopes: which span is active, and for how long.

There is one active item, that of the core: a scope puts its span there and takes it away again, so
spans of every API find each other as parents. `ContextScopeManager`, the default, keeps no state of
its own. Another scope manager goes on keeping its own; `bridge` makes its scopes do the same.
"""

from __future__ import annotations

import sys

import opentracing

from fasttrace import _log, _span
from fasttrace._span import attach, attached, detach
from fasttrace.opentracer.span import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from fasttrace._span import AttachNode, Context

_new = object.__new__

#: Where a span that was begun by another API keeps its OpenTracing face.
FACE = "fasttrace.opentracer.span"


class Scope(opentracing.Scope):  # type: ignore[misc]  # opentracing has no types
    """The time for which a span is active; ends with `close()` or its `with` statement.

    As OpenTracing asks, a scope inside of which another one is still open does not close. What is
    closed in another task or thread than it was begun in is closed in both.
    """

    __slots__ = ("_finish_on_close", "_manager", "_node", "_span")

    _finish_on_close: bool
    _manager: ContextScopeManager
    _node: AttachNode | None  # None once it is closed
    _span: Any

    def close(self) -> None:
        """Make active what was active before, and finish the span unless told not to."""
        node = self._node
        if node is None or (attached() is not node and _is_beneath_a_scope(node)):
            return
        self._node = None
        detach(node)
        if self._finish_on_close:
            self._span.finish()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            _record(self._span, exc_type, exc_val, exc_tb)
        node = self._node  # from here on as close()
        if node is None or (attached() is not node and _is_beneath_a_scope(node)):
            return
        self._node = None
        detach(node)
        if self._finish_on_close:
            self._span.finish()


class _BorrowedScope(opentracing.Scope):  # type: ignore[misc]
    """What `active` shows where a span of another API is active: it ends where it was begun."""

    def __exit__(self, *exc_info: object) -> None:
        pass


class ContextScopeManager(opentracing.ScopeManager):  # type: ignore[misc]
    """Scopes of the current thread, asyncio task or greenlet: the default scope manager.

    Tasks and callbacks of asyncio inherit what was active where they were created. All managers of
    this class are the same one.
    """

    def __init__(self) -> None:
        # The base class would make a span and a scope that are never used.
        self._tracer: Any = None  # what spans of other APIs are shown as spans of

    def activate(self, span: Any, finish_on_close: bool) -> Scope:
        """Make `span` active until the scope returned is closed.

        Under a span that is not fasttrace's, what was active before remains the parent of others.
        """
        scope = _new(Scope)
        scope._manager = self
        scope._span = span
        scope._finish_on_close = finish_on_close
        scope._node = attach(_item_of(span), scope)
        return scope

    @property
    def active(self) -> Any:
        """The active scope, or None."""
        item, scope = current()
        if scope is not None:
            return scope
        return None if item is None else _BorrowedScope(self, as_opentracing(item, self._tracer))


def current() -> tuple[_span.Span | None, Any]:
    """What is active as OpenTracing sees it: a native span, or a scope; the other one is None."""
    top = _span.attached_on_top()
    if top is not None and isinstance(top.payload, opentracing.Scope):
        return None, top.payload
    item = _span.active()
    return (item if isinstance(item, _span.Span) else None), None


def as_opentracing(item: _span.Span, tracer: Any) -> Span:
    """The OpenTracing face of a native span: always the same one, since it may hold baggage."""
    face = item._get_ctx_item(FACE)
    if not isinstance(face, Span):
        scope = enclosing_scope()
        face = Span(tracer, item, scope.span._baggage if _is_ours(scope) else None)
        item._set_ctx_item(FACE, face)
    return face


def enclosing_scope() -> Any:
    """The nearest OpenTracing scope that is open, whatever was begun inside of it, or None."""
    return _scope_from(attached())


def _is_ours(scope: Any) -> bool:
    return scope is not None and isinstance(scope.span, Span)


def _scope_from(node: AttachNode | None) -> Any:
    while node is not None:
        if isinstance(node.payload, opentracing.Scope):
            return node.payload
        if node.item is None:  # a detached section: nothing beneath is seen from in here
            return None
        node = attached(node)
    return None


def _is_beneath_a_scope(node: AttachNode) -> bool:
    """Whether a scope was opened on top of `node` and is still open."""
    above = attached()
    covered = False
    while above is not None and above is not node:
        covered = covered or isinstance(above.payload, opentracing.Scope)
        above = attached(above)
    return covered and above is node


def _item_of(span: Any) -> _span.Span | Context | None:
    """What to make active for `span`."""
    native = span._dd_span if isinstance(span, Span) else None
    if native is None or (native.finished and not native.span_id):
        return _span.active()  # a span that is not ours, or one that records nothing
    return native


def _record(span: Any, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
    if isinstance(span, Span):
        span._dd_span.set_exc_info(exc_type, exc_val, exc_tb)
    else:
        opentracing.Span._on_error(span, exc_type, exc_val, exc_tb)


# -- scope managers of others --------------------------------------------------------------------

_bridged: dict[type, type] = {}  # class of a scope -> the same one, bridged


def bridge(manager: Any) -> None:
    """Have the spans that `manager` activates active in the core as well."""
    if isinstance(manager, ContextScopeManager) or hasattr(manager, "_fasttrace_bridge"):
        return
    if type(manager) is opentracing.ScopeManager:
        return  # it does nothing
    activate = manager.activate

    def activate_bridged(span: Any, finish_on_close: bool) -> Any:
        scope = activate(span, finish_on_close)
        if isinstance(span, Span):
            _join(scope, manager)
        return scope

    try:
        manager._fasttrace_bridge = True
        manager.activate = activate_bridged
    except AttributeError:
        _log.warn("scope_manager", f"{type(manager).__name__} is not seen by other tracing APIs")


def is_cut_off(manager: Any) -> bool:
    """Whether opentracing's `no_parent_scope()` keeps the active scope from being a parent here.

    Only the manager of opentracing that also uses contextvars knows that function, and only in
    that one is nothing active for no other reason.
    """
    module = sys.modules.get("opentracing.scope_managers.contextvars")
    known = module is not None and isinstance(manager, module.ContextVarsScopeManager)
    return known and manager.active is None


def _join(scope: Any, manager: Any) -> None:
    """Put the span of a scope of another manager in place until that scope closes."""
    kind = type(scope)
    joined = _bridged.get(kind)
    if joined is None:
        joined = _bridged[kind] = _bridged_class(kind)
    try:
        scope.__class__ = joined
        scope._fasttrace_manager = manager
        scope._fasttrace_node = attach(_item_of(scope.span), scope)
    except (AttributeError, TypeError):
        _log.warn("scope_manager", f"{kind.__name__} is not seen by other tracing APIs")


def _bridged_class(kind: type) -> type:
    class Bridged(kind):  # type: ignore[misc]
        _fasttrace_manager: Any
        _fasttrace_node: AttachNode | None

        def close(self) -> None:
            closes = self._fasttrace_manager.active is self
            super().close()
            if closes:
                node, self._fasttrace_node = self._fasttrace_node, None
                if node is not None:
                    detach(node)

        def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
            if exc_type is not None:
                _record(self.span, exc_type, exc_val, exc_tb)
            self.close()

    Bridged.__name__, Bridged.__qualname__ = kind.__name__, kind.__qualname__
    return Bridged
