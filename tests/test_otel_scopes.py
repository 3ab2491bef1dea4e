"""Scopes opened and closed in every way agree with OpenTelemetry's own context and its SDK.

Two worlds do the same steps: opentelemetry-sdk with the stock runtime context, and fasttrace. After
each step both say what is current, in every execution context; each span has the same parent.

Not among the steps is what docs/opentelemetry.md says is different: to detach what has gone with an
outer scope, and what goes on in a context copied inside of a span's own scope after the span has
ended.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any

import opentelemetry.context as context_api
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import TracerProvider
from otel import Face, face

__all__ = ["face"]

STOCK = ContextVarsRuntimeContext()
SDK = TracerProvider().get_tracer("oracle")
STEPS = ("span", "native", "root", "under saved", "use_span", "baggage", "saved", "end used")
#: What is done: mostly a scope opened; "close" the last one of the execution context.
ACTIONS = (*STEPS, "forget", "close", "close", "close", "save", "copy", "switch")


class World:
    """One implementation under test, its scopes and what was seen."""

    def __init__(self, tracer: Any, start_native: Callable[[str], Any]) -> None:
        self.tracer = tracer
        self.start_native = start_native
        self.contexts = [contextvars.copy_context()]
        self.scopes: list[list[Any]] = [[]]  # of each context: (undo, ends, used span, is native)
        self.usable = [True]
        self.at = 0
        self.saved: list[Any] = [Context()]
        self.names: dict[int, str] = {}
        self.seen: list[Any] = []

    def run(self, steps: list[tuple[str, int]]) -> list[Any]:
        """Do the steps, close what is open; return what was seen."""
        for number, (action, choice) in enumerate(steps):
            self.contexts[self.at].run(self.step, f"s{number}", action, choice)
            self.look(action)
        for at in range(len(self.contexts)):
            if self.usable[at]:
                self.at = at
                while self.scopes[at]:
                    self.contexts[at].run(self.step, "", "close", 0)
                    self.look("close")
        return self.seen

    def look(self, action: str) -> None:
        """Note what is current in every context that is still compared."""
        for at, usable in enumerate(self.usable):
            if usable:
                self.seen.append((action, at, self.contexts[at].run(self.current)))

    def current(self) -> Any:
        """Name of the current span, and the baggage."""
        span_id = trace.get_current_span().get_span_context().span_id
        return self.names.get(span_id), dict(baggage.get_all())

    def step(self, name: str, action: str, choice: int) -> None:
        """Do one step in the current execution context."""
        scopes = self.scopes[self.at]
        saved = self.saved[choice % len(self.saved)]
        if action == "close":
            if scopes:
                self.close()
        elif action == "save":
            self.saved.append(context.get_current())
        elif action == "copy":
            self.contexts.append(contextvars.copy_context())
            self.scopes.append([])
            self.usable.append(True)
        elif action == "switch":
            usable = [at for at, usable in enumerate(self.usable) if usable]
            self.at = usable[choice % len(usable)]
        elif action == "end used":
            used = [scope[2] for scope in scopes if scope[2] is not None]
            if used:
                used[choice % len(used)].end()
        elif action in ("baggage", "saved"):
            given = baggage.set_baggage("k", name) if action == "baggage" else saved
            token = context.attach(given)
            scopes.append((lambda: context.detach(token), None, None, False))
        elif action == "forget":
            if not (scopes and scopes[-1][3]):  # the end of a native span detaches nothing
                context.attach(baggage.set_baggage("k", name))
        else:
            self.open(name, action, saved)

    def open(self, name: str, action: str, saved: Any) -> None:
        """Open a scope that has a span."""
        used = None
        if action == "use_span":
            used = self.tracer.start_span(name)
            scope = trace.use_span(used)
        elif action == "native":
            scope = self.start_native(name)
        else:
            given = {"span": None, "root": Context(), "under saved": saved}[action]
            scope = self.tracer.start_as_current_span(name, context=given)
        span = scope.__enter__()
        self.names[span.get_span_context().span_id] = name
        parent = getattr(span, "parent", None)
        parent_id = parent.span_id if parent is not None else getattr(span, "parent_id", None)
        self.seen.append((name, "under", self.names.get(parent_id) if parent_id else None))
        ends = None if used is not None else len(self.contexts)
        undo = functools.partial(scope.__exit__, None, None, None)
        self.scopes[self.at].append((undo, ends, used, action == "native"))

    def close(self) -> None:
        """Close the last scope of this context."""
        undo, ends, used, _ = self.scopes[self.at].pop()
        undo()
        if used is not None:
            used.end()
        if ends is not None:
            # Contexts copied inside still have the span, which has ended.
            for at in range(ends, len(self.contexts)):
                self.usable[at] = False
                for _, _, kept, _ in self.scopes[at]:
                    if kept is not None:
                        kept.end()


def in_stock(steps: list[tuple[str, int]]) -> list[Any]:
    """What is seen with the SDK."""
    ours, context_api._RUNTIME_CONTEXT = context_api._RUNTIME_CONTEXT, STOCK
    try:
        return World(SDK, SDK.start_as_current_span).run(steps)
    finally:
        context_api._RUNTIME_CONTEXT = ours


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 9)), max_size=40))
def test_scopes_agree_with_the_sdk(face: Face, steps: list[tuple[str, int]]) -> None:
    """Current span, baggage and parents are those of the SDK, in every context, at every step."""
    expected = in_stock(steps)
    assert World(face.tracer, face.native.trace).run(steps) == expected
    face.spans()


@pytest.mark.parametrize(
    "steps",
    [
        ["baggage", "native", "span", "close", "close", "close"],
        ["native", "root", "native", "close", "close", "close"],
        ["span", "save", "baggage", "copy", "switch", "under saved", "close", "close"],
        ["use_span", "end used", "native", "span", "close", "close", "close"],
        ["span", "save", "close", "saved", "native", "span", "close", "close", "close"],
        ["span", "forget", "use_span", "forget", "baggage", "forget", "close", "close", "close"],
        ["saved", "root", "forget", "forget", "close", "native", "close", "close"],
    ],
)
def test_scopes_that_programs_have(face: Face, steps: list[str]) -> None:
    """The same for the orders that instrumentation and applications are known to have."""
    numbered = [(action, 1) for action in steps]
    expected = in_stock(numbered)
    assert len(expected) > len(steps)
    assert World(face.tracer, face.native.trace).run(numbered) == expected
    face.spans()
