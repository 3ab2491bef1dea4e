"""What is active and who is whose parent, against a simple model, in any order of calls.

Several contexts of execution at once start, finish, activate, attach, detach, copy themselves and
swap their active items as generators do. The model never forgets and never compresses anything.
"""

from __future__ import annotations

import contextvars
import os
from typing import Any

from helpers import make_offline_tracer, note_figure, spans_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fasttrace import Context, Span, _span

FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
STEPS = 10_000 if FULL else 2_000
STEPS_IN_A_RUN = 50


class ModelSpan:
    """A span, its local parent and what it began under."""

    def __init__(self, real: Span, above: ModelSpan | None, base: Any) -> None:
        self.real, self.above, self.base = real, above, base
        self.root: ModelSpan = self if above is None else above.root
        self.finished = False


class ModelNode:
    """An attached item: its place in the order, where it was attached, what was active before."""

    count = 0

    def __init__(self, item: Any, place: Place) -> None:
        self.item, self.home = item, place
        self.before = live(place.item)
        self.void = self.taken = False
        ModelNode.count += 1
        self.number = ModelNode.count


class Place:
    """A context of execution and its active item: ModelSpan, Context, ModelNode or None."""

    def __init__(self, real: contextvars.Context, item: Any) -> None:
        self.real, self.item = real, item


def base_of(item: Any) -> Any:
    """What a span begun now has below it: the node in place, if any."""
    return item.base if isinstance(item, ModelSpan) else item if is_node(item) else None


def is_node(item: Any) -> bool:
    """Whether `item` is an attached node."""
    return isinstance(item, ModelNode)


def live(item: Any) -> Any:
    """What `item` stands for: the nearest open ancestor if it has the same base, else the base."""
    while True:
        if isinstance(item, ModelSpan):
            at: ModelSpan | None = item
            while at is not None and at.finished:
                at = at.above
            if at is not None and at.base is item.base:
                return at
            item = item.base
        elif is_node(item) and item.void:
            item = item.before
        else:
            return item


def parent(item: Any) -> Any:
    """Who would be the parent now: ModelSpan, Context or None."""
    while is_node(item := live(item)):
        item = item.item
    return item


def nearest_node(item: Any) -> Any:
    """The node in place, below any span; None if there is none."""
    while True:
        if isinstance(item, ModelSpan):
            item = item.base
        elif is_node(item) and item.void:
            item = item.before
        else:
            return item if is_node(item) else None


numbers = st.integers(0, 2**16)


class ActiveMachine(RuleBasedStateMachine):
    """Does the same to the tracer and to the model, and compares what can be seen."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.tracer = make_offline_tracer()
        self.places = [Place(contextvars.Context(), None)]
        self.spans: list[ModelSpan] = []
        self.nodes: list[tuple[ModelNode, Any]] = []  # and the node, or detached() object
        self.aside: list[tuple[Any, Any]] = []  # items put aside: model's, real
        self.carried: list[tuple[Any, Any]] = []  # (trace id, span id), function
        self.remote = 0
        self.looks = True

    def place(self, number: int) -> Place:
        """One of the contexts of execution."""
        ActiveMachine.steps += 1
        self.looks = number % 3 != 0  # looking has an effect: what was walked to is stored
        return self.places[number // 3 % len(self.places)]

    def span(self, number: int) -> ModelSpan:
        """One of the spans; recent ones are likelier."""
        return self.spans[-1 - min(number % len(self.spans), number // 7 % len(self.spans))]

    def item(self, kind: str, number: int) -> tuple[Any, Any]:
        """Something that can be activated, for the model and for real."""
        if kind == "remote":
            self.remote += 1
            context = Context(trace_id=10**6 + self.remote, span_id=self.remote)
            return context, context
        if kind == "nothing" or not self.spans:
            return None, None
        span = self.span(number)
        if kind == "context":
            return span.real.context, span.real.context
        return span, span.real

    def record(self, real: Span, above: Any, base: Any) -> ModelSpan:
        """Check parent and trace of a new span; make it known to the model."""
        made = ModelSpan(real, above if isinstance(above, ModelSpan) else None, base)
        above_id = trace_id = None
        if isinstance(above, ModelSpan):
            above_id, trace_id = above.real.span_id, above.real.trace_id
        elif above is not None:
            above_id, trace_id = above.span_id, above.trace_id
        assert real.parent_id == above_id
        if trace_id is not None:
            assert real.trace_id == trace_id
        else:
            assert all(real.trace_id != span.real.trace_id for span in self.spans)
        self.spans.append(made)
        return made

    # -- spans -----------------------------------------------------------------------------------

    @rule(at=numbers)
    def trace(self, at: int) -> None:
        place = self.place(at)
        above, base = parent(place.item), base_of(live(place.item))
        place.item = self.record(place.real.run(self.tracer.trace, "op"), above, base)

    @rule(at=numbers)
    def trace_again(self, at: int) -> None:
        self.trace(at)

    @rule(at=numbers, number=numbers, kind=st.sampled_from(["span", "context", "remote", "none"]))
    def start_span(self, at: int, number: int, kind: str) -> None:
        place = self.place(at)
        above, real_above = self.item(kind, number) if kind != "none" else (None, None)
        base = base_of(live(place.item))
        activate = bool(number & 1)
        if not activate:
            base = None
        elif isinstance(above, ModelSpan) and above.base is not base:
            return  # what is active when both have finished depends on who looks in between
        real = place.real.run(self.tracer.start_span, "op", child_of=real_above, activate=activate)
        made = self.record(real, above, base)
        if activate:
            place.item = made

    @precondition(lambda self: self.spans)
    @rule(at=numbers, number=numbers)
    def finish(self, at: int, number: int) -> None:
        span = self.span(number)
        self.place(at).real.run(span.real.finish)
        span.finished = True

    @rule(at=numbers)
    def finish_active(self, at: int) -> None:
        place = self.place(at)
        span = live(place.item)
        if isinstance(span, ModelSpan):
            place.real.run(span.real.finish)
            span.finished = True

    # -- the active item -------------------------------------------------------------------------

    @rule(
        at=numbers,
        number=numbers,
        kind=st.sampled_from(["span", "context", "remote", "nothing"]),
    )
    def activate(self, at: int, number: int, kind: str) -> None:
        place = self.place(at)
        place.item, real = self.item(kind, number)
        place.real.run(self.tracer.context_provider.activate, real)

    @rule(
        at=numbers,
        number=numbers,
        kind=st.sampled_from(["span", "context", "remote", "nothing"]),
    )
    def attach(self, at: int, number: int, kind: str) -> None:
        place = self.place(at)
        item, real = self.item(kind, number)
        node = ModelNode(item, place)
        place.item = node
        self.nodes.append((node, place.real.run(_span.attach, real)))

    @rule(at=numbers)
    def enter_detached(self, at: int) -> None:
        place = self.place(at)
        node = ModelNode(None, place)
        place.item = node
        block = self.tracer.detached()
        place.real.run(block.__enter__)
        self.nodes.append((node, block))

    @precondition(lambda self: self.nodes)
    @rule(at=numbers, number=numbers, in_order=st.booleans())
    def detach(self, at: int, number: int, in_order: bool) -> None:
        place = self.place(at)
        if in_order:
            mine = [pair for pair in self.nodes if pair[0].home is place and not pair[0].taken]
            node, real = mine[-1] if mine else self.nodes[-1]
        else:
            node, real = self.nodes[number % len(self.nodes)]
        if isinstance(real, _span.AttachNode):
            place.real.run(_span.detach, real)
        else:
            place.real.run(real.__exit__, None, None, None)
        if node.taken:
            return
        node.taken = True
        nearest = nearest_node(place.item)
        if node.home is place and (nearest is None or nearest.number <= node.number):
            place.item = node.before
        else:
            node.void = True

    @precondition(lambda self: len(self.places) < 6)
    @rule(at=numbers)
    def copy_context(self, at: int) -> None:
        place = self.place(at)
        self.places.append(Place(place.real.run(contextvars.copy_context), place.item))

    @rule(at=numbers)
    def put_aside(self, at: int) -> None:
        place = self.place(at)
        inside = contextvars.Context().run(_span.Inside)  # nothing is active there
        place.real.run(inside.put_aside)
        self.aside.append((place.item, inside))
        place.item = None

    @precondition(lambda self: self.aside)
    @rule(at=numbers, number=numbers)
    def swap(self, at: int, number: int) -> None:
        place = self.place(at)
        index = number % len(self.aside)
        item, inside = self.aside[index]
        place.real.run(inside.put_aside)
        self.aside[index] = (place.item, inside)
        place.item = item

    # -- carry -----------------------------------------------------------------------------------

    @rule(at=numbers)
    def carry(self, at: int) -> None:
        place = self.place(at)
        function = place.real.run(self.tracer.carry, self.tracer.current_trace_context)
        self.carried.append((self.ids(parent(place.item)), function))

    @precondition(lambda self: self.carried)
    @rule(at=numbers, number=numbers)
    def call_carried(self, at: int, number: int) -> None:
        ids, function = self.carried[number % len(self.carried)]
        context = self.place(at).real.run(function)
        assert (context and (context.trace_id, context.span_id)) == ids

    def ids(self, item: Any) -> tuple[int | None, int | None] | None:
        """Ids of what would be a new span's parent."""
        if isinstance(item, ModelSpan):
            return item.real.trace_id, item.real.span_id
        return item and (item.trace_id, item.span_id)

    # -- what can be seen ------------------------------------------------------------------------

    @invariant()
    def all_contexts_agree(self) -> None:
        if not self.looks:
            return
        for place in self.places:
            expected = parent(place.item)
            context = place.real.run(self.tracer.current_trace_context)
            assert (context and (context.trace_id, context.span_id)) == self.ids(expected)
            span = place.real.run(self.tracer.current_span)
            root = place.real.run(self.tracer.current_root_span)
            active = place.real.run(self.tracer.context_provider.active)
            if isinstance(expected, ModelSpan):
                assert active is span is expected.real
                assert root is expected.root.real
            else:
                assert span is root is None
                assert active is expected

    def teardown(self) -> None:
        for span in self.spans:
            span.real.finish()
        assert len(spans_of(self.tracer)) == len(self.spans)
        stats = self.tracer.stats()
        assert (stats["open"], stats["held"]) == (0, 0)


def test_any_order_of_calls_agrees_with_the_model() -> None:
    """Thousands of random steps in up to six contexts find no difference to the model."""
    ActiveMachine.steps = 0
    run_state_machine_as_test(
        ActiveMachine,
        settings=settings(
            max_examples=STEPS // 20,
            stateful_step_count=STEPS_IN_A_RUN,
            deadline=None,
        ),
    )
    note_figure(f"{ActiveMachine.steps} steps")
    assert ActiveMachine.steps >= STEPS
