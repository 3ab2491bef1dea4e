"""OpenTelemetry's current context on top of the tracer's one context variable.

A native span writes nothing for OpenTelemetry: a `Context` is made only when somebody asks for the
current one. What `attach` is given becomes a node in our variable, so that native and OpenTelemetry
scopes restore each other in any order.

Loaded while `opentelemetry.context` itself is being imported (entry point `opentelemetry_context`),
so nothing here may import more of OpenTelemetry before it is needed.
"""

from __future__ import annotations

from opentelemetry.context.context import Context, _RuntimeContext

from fasttrace import _log, _span
from fasttrace._fork import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace._span import AttachNode

_EMPTY = Context()


class RuntimeContext(_RuntimeContext):
    """What `opentelemetry.context` asks for the current context.

    Args:
        earlier: the one that was in use before; what is current there shows where nothing else is,
            and its tokens can still be given back.

    """

    def __init__(self, earlier: Any = None) -> None:
        self._earlier = earlier
        if earlier is not None:
            _span.set_otel_fallback(self._earlier_item)
        self._carried: list[AttachNode] = []  # what was current there when this one took over

    def attach(self, context: Context) -> Any:
        """Make `context` current; return the token for `detach`."""
        item = load("fasttrace.opentelemetry.bridge").native_item(context)
        return _span.attach(item, context, True)

    def detach(self, token: Any) -> None:
        """Take one `attach` back, in any order and in any context; nothing is ever raised."""
        if type(token) is _span.AttachNode:
            _span.detach(token)
        elif self._earlier is not None:
            for node in self._carried:
                _span.detach(node)
            self._carried.clear()
            try:
                self._earlier.detach(token)
            except Exception as error:
                _log.debug(f"a context attached before fasttrace: {type(error).__name__}")

    def get_current(self) -> Context:
        """Return the current context: what was attached last, with the active span."""
        item, payload, on_top = _span.otel_current()
        if not isinstance(payload, Context):
            payload = _EMPTY if self._earlier is None else self._earlier.get_current()
            on_top = on_top and item is None and not payload
        if item is None and not payload:
            return _EMPTY
        bridge = load("fasttrace.opentelemetry.bridge")
        key = bridge.SPAN_KEY
        current: Context = payload
        if current.get(key) is item:
            return current
        if type(item) is _span.Span:
            return Context({**payload, key: item})
        if on_top:  # a remote or an invalid span, as it was attached
            return current
        if item is not None:
            return Context({**payload, key: bridge.RemoteSpan(item)})
        return Context({name: value for name, value in payload.items() if name != key})

    def _earlier_item(self) -> Any:
        """Return what is active for spans begun where nothing was attached since."""
        current = self._earlier.get_current()
        return load("fasttrace.opentelemetry.bridge").native_item(current) if current else None

    def carry(self, context: Context) -> None:
        """Keep current what was so before this runtime context took over."""
        self._carried.append(self.attach(context))


def install() -> None:
    """Make OpenTelemetry's current context and the tracer's active span one, for the whole process.

    Contexts attached before that remain what they are; how many changes hands is a debug line.
    """
    import opentelemetry.context as api

    earlier = api._RUNTIME_CONTEXT
    if isinstance(earlier, RuntimeContext):
        return
    ours = RuntimeContext(earlier)
    current = earlier.get_current()
    if current:
        _log.debug(
            "OpenTelemetry's context was in use before fasttrace.opentelemetry.TracerProvider: "
            "set OTEL_PYTHON_CONTEXT=fasttrace to have one from the start"
        )
        ours.carry(current)
    api._RUNTIME_CONTEXT = ours
