"""What the patterns of all worlds share: a tracer, and what its spans came to."""

from __future__ import annotations

from typing import Any

import opentracing
from helpers import make_offline_tracer, spans_of
from opentracing.ext import tags

from fasttrace.opentracer import Tracer

#: How long any wait of a pattern may take before the test fails, s.
WAIT_S = 20.0


class Lab:
    """A tracer without network, and the tree of the spans it has recorded.

    Args:
        manager: class of the scope manager; None: the default one.

    """

    def __init__(self, manager: Any = None) -> None:
        self.native = make_offline_tracer()
        self.tracer = Tracer(
            "testbed", scope_manager=manager() if manager else None, dd_tracer=self.native
        )
        self._spans: list[dict[str, Any]] = []

    def ask(self, span: Any) -> dict[str, str]:
        """Make a span a client's, for the user ada; return the carrier that goes to the server."""
        span.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_CLIENT)
        span.set_baggage_item("user", "ada")
        carrier: dict[str, str] = {}
        self.tracer.inject(span.context, opentracing.Format.TEXT_MAP, carrier)
        return carrier

    def serve(self, carrier: dict[str, str]) -> None:
        """Do what a server does with a request of that carrier."""
        context = self.tracer.extract(opentracing.Format.TEXT_MAP, carrier)
        with self.tracer.start_active_span("serve", child_of=context) as scope:
            scope.span.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_SERVER)
            assert scope.span.get_baggage_item("user") == "ada"

    def assert_served(self) -> None:
        """The server's span is the child of the client's, each of its kind."""
        assert is_child(self.one("serve"), self.one("ask"))
        assert [self.one(name)["meta"]["span.kind"] for name in ("ask", "serve")] == [
            "client",
            "server",
        ]

    def spans(self) -> list[dict[str, Any]]:
        """Every span that has left, in the order of their starts."""
        self._spans += spans_of(self.native)
        return sorted(self._spans, key=lambda span: span["start"])

    def named(self, name: str) -> list[dict[str, Any]]:
        """Every span of that name."""
        return [span for span in self.spans() if span["name"] == name]

    def one(self, name: str) -> dict[str, Any]:
        """The only span of that name."""
        (span,) = self.named(name)
        return span

    def tree(self) -> list[Any]:
        """All spans as nested lists: a name alone, or [name, child, ...]; siblings sorted."""
        spans = self.spans()
        known = {span["span_id"] for span in spans}

        def below(parent_id: int | None) -> list[Any]:
            found: list[Any] = []
            for span in spans:
                parent = span.get("parent_id")
                if parent == parent_id or (parent_id is None and parent not in known):
                    children = below(span["span_id"])
                    found.append([span["name"], *children] if children else span["name"])
            return sorted(found, key=str)

        return below(None)


class Requests:
    """The spans of a client library that tells one handler about all its requests."""

    def __init__(self, tracer: Any, parent: Any = None, ignore_active_span: bool = True) -> None:
        self._tracer = tracer
        self._parent = parent
        self._ignore_active_span = ignore_active_span

    def begin(self) -> Any:
        """A request is sent: start its span."""
        return self._tracer.start_span(
            "send", child_of=self._parent, ignore_active_span=self._ignore_active_span
        )

    def answered(self, span: Any, text: str) -> str:
        """The answer to a request has arrived: finish its span, return the answer."""
        span.set_tag("answered", True).finish()
        return f"answer to {text}"


def same_trace(*spans: dict[str, Any]) -> bool:
    """Whether all spans are of one trace."""
    return len({span["trace_id"] for span in spans}) == 1


def is_child(child: dict[str, Any], parent: dict[str, Any]) -> bool:
    """Whether `parent` is the parent of `child`, in one trace."""
    return same_trace(child, parent) and child.get("parent_id") == parent["span_id"]
