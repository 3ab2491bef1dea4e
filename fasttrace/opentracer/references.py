"""References of a new span to others: which one is its parent, which ones it links to."""

from __future__ import annotations

import opentracing

from fasttrace import _log, _span
from fasttrace.opentracer.settings import raises
from fasttrace.opentracer.span import Span
from fasttrace.opentracer.span_context import SpanContext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Parent = _span.Span | _span.Context | None

#: Attribute of a link that says how the spans are related, as OpenTelemetry names it.
LINK_TYPE = "opentracing.ref_type"


class Origin:
    """Where a new span comes from.

    * parent: native span or context it is a child of, None: a new trace
    * baggage: what it inherits, None if nothing
    * links: pairs of a context and the type of the reference
    * known: whether any of it was said; if not, the active span decides
    """

    __slots__ = ("baggage", "known", "links", "parent")

    def __init__(self) -> None:
        self.parent: Parent = None
        self.baggage: dict[str, Any] | None = None
        self.links: list[tuple[_span.Context, str]] = []
        self.known = False

    def _descend(self, item: Any) -> None:
        self.known = True
        if isinstance(item, Span):
            self.parent, self.baggage = item._dd_span, item._baggage
        elif isinstance(item, SpanContext):
            self.parent = item._dd_context
            self.baggage = dict(item._baggage) if item._baggage else None
        elif isinstance(item, (_span.Span, _span.Context)):
            self.parent = item
        else:
            message = f"a span cannot descend from {type(item).__name__}: a new trace was started"
            if raises():
                raise TypeError(message)
            _log.warn("opentracer_parent", message)

    def _link(self, item: Any, kind: str) -> None:
        context = _context_of(item)
        if context is not None and context.trace_id and context.span_id:
            self.links.append((context, kind))


def resolve(child_of: Any, references: Any) -> Origin:
    """Return what `child_of` and `references` of a new span come to.

    The parent is `child_of`, else the first CHILD_OF reference, else the first of any type: a span
    that follows from another one is part of its trace. All references but the parent's CHILD_OF
    become links.

    Raises:
        TypeError: the parent is no span and no context, and DD_TESTING_RAISE is set.

    """
    origin = Origin()
    if child_of is not None:
        origin._descend(child_of)
    if not references:
        return origin
    given = _given(references)
    parent: Any = None
    if child_of is None and given:
        causes = (ref for ref in given if ref.type == opentracing.ReferenceType.CHILD_OF)
        parent = next(causes, given[0])
        origin._descend(parent.referenced_context)
    for reference in given:
        if reference is not parent or reference.type != opentracing.ReferenceType.CHILD_OF:
            origin._link(reference.referenced_context, str(reference.type))
    return origin


def _given(references: Any) -> list[Any]:
    """The references that refer to something."""
    if isinstance(references, opentracing.Reference):
        references = [references]
    try:
        return [item for item in references if item.referenced_context is not None]
    except (AttributeError, TypeError):
        _log.warn("opentracer_references", "references are a list of opentracing.Reference")
        return []


def _context_of(item: Any) -> _span.Context | None:
    if isinstance(item, Span):
        return item._dd_span.context
    if isinstance(item, SpanContext):
        return item._dd_context
    if isinstance(item, _span.Span):
        return item.context
    return item if isinstance(item, _span.Context) else None
