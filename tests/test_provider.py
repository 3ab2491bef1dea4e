"""A context provider of the application's own in place of the compiled default."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Context, Span, Tracer
from fasttrace.trace import BaseContextProvider


class Stack(BaseContextProvider):
    """Keeps one item for the whole program, and counts how often it is asked."""

    def __init__(self) -> None:
        self.item: Span | Context | None = None
        self.calls: list[str] = []

    def activate(self, ctx: Span | Context | None) -> None:
        """Make `ctx` the active item."""
        self.calls.append("activate")
        self.item = ctx

    def active(self) -> Span | Context | None:
        """Return the active item: the nearest unfinished span."""
        self.calls.append("active")
        while isinstance(self.item, Span) and self.item.finished:
            self.item = self.item._parent
        return self.item


class Failing(BaseContextProvider):
    """Raises whatever it is asked."""

    def activate(self, ctx: Span | Context | None) -> None:
        """Fail."""
        raise KeyError("activate")

    def active(self) -> Span | Context | None:
        """Fail."""
        raise KeyError("active")


def make_trace(tracer: Tracer) -> dict[str, Any]:
    """Trace in every way there is; return the spans by name."""

    @tracer.wrap("wrapped")
    def wrapped() -> None:
        with tracer.trace("inner"):
            pass

    with tracer.trace("root") as root:
        assert tracer.current_span() is root
        wrapped()
        tracer.start_span("by hand", child_of=root, activate=True).finish()
        assert tracer.current_root_span() is root
    assert tracer.current_span() is None
    return by_name(spans_of(tracer))


PARENTS = {"root": None, "wrapped": "root", "inner": "wrapped", "by hand": "root"}


def parents(spans: dict[str, Any]) -> dict[str, str | None]:
    """The name of each span's parent."""
    names = {span["span_id"]: name for name, span in spans.items()}
    return {name: names.get(span.get("parent_id") or 0) for name, span in spans.items()}


def test_a_provider_decides_what_is_active(tracer: Tracer) -> None:
    """Parents and current spans come from the provider, which is called once each for a span."""
    provider = Stack()
    tracer.configure(context_provider=provider)
    assert tracer.context_provider is provider
    assert parents(make_trace(tracer)) == PARENTS
    assert provider.calls.count("activate") == 4


def test_a_provider_given_to_the_constructor(tracer: Tracer) -> None:
    """Tracer(context_provider=...) is the same; the default of other tracers is untouched."""
    own = Tracer(context_provider=Stack())
    own._on_first_chunk = None
    assert parents(make_trace(own)) == PARENTS
    assert parents(make_trace(tracer)) == PARENTS


def test_a_context_can_be_activated_in_it(tracer: Tracer) -> None:
    """An incoming trace goes on below a provider of one's own."""
    provider = Stack()
    tracer.configure(context_provider=provider)
    provider.activate(Context(trace_id=5, span_id=6, sampling_priority=2))
    with tracer.trace("root") as root:
        assert (root.trace_id, root.parent_id) == (5, 6)
    [sent] = spans_of(tracer)
    assert sent["metrics"]["_sampling_priority_v1"] == 2


def test_what_a_provider_raises_stays_there(tracer: Tracer) -> None:
    """With a provider that fails every span is a root, and nothing reaches the application."""
    tracer.configure(context_provider=Failing())
    with tracer.trace("root"), tracer.trace("child"):
        assert tracer.current_span() is None
    assert {span.get("parent_id") or 0 for span in spans_of(tracer)} == {0}


@pytest.mark.parametrize("junk", ["text", 5, object()])
def test_junk_from_a_provider_is_nothing(tracer: Tracer, junk: Any) -> None:
    """Whatever is neither span nor context counts as nothing active."""
    provider = Stack()
    provider.item = junk
    tracer.configure(context_provider=provider)
    assert tracer.current_span() is None
    with tracer.trace("root") as root:
        assert root.parent_id is None
    spans_of(tracer)


def test_the_default_is_put_back(tracer: Tracer) -> None:
    """The default provider, given to configure(), is the compiled one again."""
    default = tracer.context_provider
    provider = Stack()
    tracer.configure(context_provider=provider)
    tracer.configure(context_provider=default)
    assert tracer.context_provider is default

    async def work(name: str) -> None:
        with tracer.trace(name) as span:
            await asyncio.sleep(0)
            assert tracer.current_span() is span

    async def main() -> None:
        await asyncio.gather(*(work(str(number)) for number in range(5)))

    asyncio.run(main())
    assert provider.calls == []
    assert len(spans_of(tracer)) == 5
