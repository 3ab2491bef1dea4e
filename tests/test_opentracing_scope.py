"""Scopes: what is active, for how long, and what becomes of exceptions that pass through."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import opentracing
import pytest
from helpers import by_name, spans_of
from opentracing.mocktracer import MockTracer
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager, no_parent_scope

from fasttrace import Tracer as NativeTracer
from fasttrace._span import Context, attach, detach
from fasttrace.opentracer import Tracer
from fasttrace.opentracer.scope import ContextScopeManager

pytestmark = pytest.mark.usefixtures("fresh_log")


def parents(tracer: NativeTracer) -> dict[str, str | None]:
    """Name of each span that has left -> name of its parent."""
    spans = spans_of(tracer)
    names = {span["span_id"]: span["name"] for span in spans}
    return {span["name"]: names.get(span.get("parent_id")) for span in spans}


# -- one active item -------------------------------------------------------------------------------


def test_nested_in_every_order(ot_any: Tracer, tracer: NativeTracer) -> None:
    """Native and OpenTracing spans are each other's parents, with any scope manager."""
    with tracer.trace("native 1"):
        with ot_any.start_active_span("ot 1"):
            with ot_any.start_active_span("ot 2"):
                with tracer.trace("native 2"):
                    with tracer.trace("native 3"):
                        ot_any.start_span("ot 3").finish()
                    with ot_any.start_active_span("ot 4"):
                        tracer.trace("native 4").finish()
            with tracer.trace("native 5"):
                pass
        with tracer.trace("native 6"):
            pass
    assert parents(tracer) == {
        "native 1": None,
        "ot 1": "native 1",
        "ot 2": "ot 1",
        "native 2": "ot 2",
        "native 3": "native 2",
        "ot 3": "native 3",
        "ot 4": "native 2",
        "native 4": "ot 4",
        "native 5": "ot 1",
        "native 6": "native 1",
    }
    assert ot_any.active_span is None


def test_the_native_api_sees_the_span_of_a_scope(ot_any: Tracer, tracer: NativeTracer) -> None:
    """current_span() and current_root_span() are those of the active scope."""
    with ot_any.start_active_span("root") as root:
        with ot_any.start_active_span("child") as child:
            assert tracer.current_span() is child.span._dd_span
            assert tracer.current_root_span() is root.span._dd_span
        assert tracer.current_span() is root.span._dd_span
    assert tracer.current_span() is None


def test_opentracing_sees_a_native_span(ot_any: Tracer, tracer: NativeTracer) -> None:
    """active_span shows a native span, the same object each time; its baggage is inherited."""
    with ot_any.start_active_span("root") as root:
        root.span.set_baggage_item("user", "ada")
        with tracer.trace("native") as native:
            shown = ot_any.active_span
            assert shown is ot_any.active_span
            assert shown._dd_span is native
            assert shown.tracer is ot_any
            assert shown.get_baggage_item("user") == "ada"
            shown.set_baggage_item("plan", "x")
            with ot_any.start_active_span("child") as child:
                assert child.span.context.baggage == {"user": "ada", "plan": "x"}
        assert ot_any.active_span is root.span
        assert root.span.context.baggage == {"user": "ada"}
    spans_of(tracer)


def test_baggage_passes_through_native_spans(ot_any: Tracer, tracer: NativeTracer) -> None:
    """A native span in between does not keep baggage from the spans below it."""
    with ot_any.start_active_span("root") as root:
        root.span.set_baggage_item("user", "ada")
        with tracer.trace("native"), tracer.trace("native 2"):
            with ot_any.start_active_span("child") as child:
                assert child.span.get_baggage_item("user") == "ada"
    spans_of(tracer)


def test_scopes_of_a_third_api(ot: Tracer, tracer: NativeTracer) -> None:
    """A scope of yet another API, as OpenTelemetry has them, is seen and may overlap."""
    outer = ot.start_active_span("outer")
    outer.span.set_baggage_item("user", "ada")
    third = tracer.start_span("third", child_of=outer.span._dd_span)
    node = attach(third, object())
    assert ot.active_span._dd_span is third
    with ot.start_active_span("inner") as inner:
        assert inner.span.get_baggage_item("user") == "ada"
        assert ot.active_span is inner.span
    assert ot.scope_manager.active.span._dd_span is third
    outer.close()
    assert outer.span.finished
    assert tracer.current_span() is third
    with ot.start_active_span("later"):
        pass
    third.finish()
    detach(node)
    assert ot.active_span is None
    assert parents(tracer) == {
        "outer": None,
        "third": "outer",
        "inner": "third",
        "later": "third",
    }


def test_the_scope_of_a_native_span_is_borrowed(ot: Tracer, tracer: NativeTracer) -> None:
    """scope_manager.active shows a native span; closing that scope ends nothing."""
    with tracer.trace("native") as native:
        scope = ot.scope_manager.active
        assert scope.span._dd_span is native
        with scope:
            scope.close()
        assert not native.finished
        assert tracer.current_span() is native
    assert ot.scope_manager.active is None
    spans_of(tracer)


def test_an_activated_context_is_the_parent(ot: Tracer, tracer: NativeTracer) -> None:
    """A trace that the native API continues is continued by OpenTracing spans."""
    tracer.context_provider.activate(Context(7, 9))
    assert ot.active_span is None
    with ot.start_active_span("op"):
        pass
    (span,) = spans_of(tracer)
    assert (span["trace_id"], span["parent_id"]) == (7, 9)
    tracer.context_provider.activate(None)


def test_nothing_is_seen_from_a_detached_section(ot: Tracer, tracer: NativeTracer) -> None:
    """What begins in tracer.detached() belongs to a trace of its own, without baggage."""
    with ot.start_active_span("root") as root:
        root.span.set_baggage_item("user", "ada")
        with tracer.detached():
            assert ot.active_span is None
            assert ot.scope_manager.active is None
            with ot.start_active_span("apart") as apart:
                assert apart.span.context.baggage == {}
        assert ot.active_span is root.span
    assert parents(tracer) == {"root": None, "apart": None}


def test_no_parent_scope(tracer: NativeTracer) -> None:
    """opentracing's own way to begin a new trace in a callback works with its own manager."""
    ot = Tracer("shop", scope_manager=ContextVarsScopeManager(), dd_tracer=tracer)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def periodic(left: int) -> None:
            with ot.start_active_span(f"periodic {left}") as scope:
                scope.span.set_baggage_item(f"left {left}", "yes")
                with no_parent_scope():
                    if left:
                        loop.call_soon(periodic, left - 1)
                    with tracer.trace(f"native {left}"):
                        ot.start_span(f"inner {left}").finish()
                ot.start_span(f"child {left}").finish()

        with ot.start_active_span("root"):
            loop.call_soon(periodic, 1)
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert parents(tracer) == {
        "root": None,
        "periodic 1": "root",
        "native 1": "periodic 1",  # the native API does not know that function
        "inner 1": "native 1",
        "child 1": "periodic 1",
        "periodic 0": None,
        "native 0": "periodic 0",
        "inner 0": "native 0",
        "child 0": "periodic 0",
    }


def test_a_manager_that_core_does_not_know_of(tracer: NativeTracer) -> None:
    """What a scope manager had active before a Tracer took it is a parent all the same."""
    manager = ThreadLocalScopeManager()
    span = Tracer("shop", dd_tracer=tracer).start_span("early").set_baggage_item("user", "ada")
    scope = manager.activate(span, True)
    ot = Tracer("shop", scope_manager=manager, dd_tracer=tracer)
    assert ot.active_span is span
    with ot.start_active_span("child") as child:
        assert child.span.get_baggage_item("user") == "ada"
    scope.close()
    assert parents(tracer) == {"early": None, "child": "early"}


def test_a_manager_is_bridged_once(tracer: NativeTracer) -> None:
    """Two tracers can share a scope manager."""
    manager = ThreadLocalScopeManager()
    first = Tracer("one", scope_manager=manager, dd_tracer=tracer)
    second = Tracer("two", scope_manager=manager, dd_tracer=tracer)
    with first.start_active_span("a") as scope:
        assert type(scope).__name__ == "_ThreadLocalScope"
        with second.start_active_span("b"):
            pass
    spans = by_name(spans_of(tracer))
    assert spans["b"]["parent_id"] == spans["a"]["span_id"]
    assert [spans[name]["service"] for name in "ab"] == ["one", "two"]


def test_a_manager_that_cannot_be_bridged(tracer: NativeTracer, caplog: Any) -> None:
    """A scope manager that takes no attributes still works for OpenTracing, with a warning."""

    class Sealed(opentracing.ScopeManager):  # type: ignore[misc]
        def __init__(self) -> None:
            object.__setattr__(self, "_own", ThreadLocalScopeManager())

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

        def activate(self, span: Any, finish_on_close: bool) -> Any:
            return self._own.activate(span, finish_on_close)

        @property
        def active(self) -> Any:
            return self._own.active

    ot = Tracer("shop", scope_manager=Sealed(), dd_tracer=tracer)
    with ot.start_active_span("a"), ot.start_active_span("b"):
        pass
    assert parents(tracer) == {"a": None, "b": "a"}
    assert "Sealed" in caplog.text


def test_the_noop_manager(tracer: NativeTracer) -> None:
    """OpenTracing's scope manager that does nothing keeps doing nothing."""
    ot = Tracer("shop", scope_manager=opentracing.ScopeManager(), dd_tracer=tracer)
    scope = ot.start_active_span("op")
    scope.close()
    assert type(scope) is opentracing.Scope
    assert tracer.current_span() is None


# -- closing ---------------------------------------------------------------------------------------


def test_a_scope_that_does_not_finish_its_span(ot_any: Tracer, tracer: NativeTracer) -> None:
    """With finish_on_close=False nothing stays active behind the scope, and the span is open."""
    with ot_any.start_active_span("op", finish_on_close=False) as scope:
        pass
    assert ot_any.active_span is None
    assert tracer.current_span() is None
    assert not scope.span.finished
    scope.span.finish()
    spans_of(tracer)


def test_closing_twice(ot_any: Tracer, tracer: NativeTracer) -> None:
    """The second close does nothing, inside of another scope as well."""
    with ot_any.start_active_span("outer") as outer:
        inner = ot_any.start_active_span("inner")
        inner.close()
        inner.close()
        assert ot_any.active_span is outer.span
    assert len(spans_of(tracer)) == 2


def test_closing_in_the_wrong_order(ot_any: Tracer, tracer: NativeTracer) -> None:
    """A scope that is not the innermost one does not close, and can be closed later."""
    outer = ot_any.start_active_span("outer")
    inner = ot_any.start_active_span("inner")
    outer.close()
    assert not outer.span.finished
    assert ot_any.active_span is inner.span
    inner.close()
    outer.close()
    assert outer.span.finished
    assert parents(tracer) == {"outer": None, "inner": "outer"}


def test_an_open_native_span_does_not_keep_a_scope_from_closing(
    ot_any: Tracer, tracer: NativeTracer
) -> None:
    """Only scopes close in order: a native span left open inside is no reason to stay."""
    scope = ot_any.start_active_span("op")
    native = tracer.trace("native")
    scope.close()
    assert scope.span.finished
    assert tracer.current_span() is None
    native.finish()
    assert parents(tracer) == {"op": None, "native": "op"}


def test_a_finished_span_stays_the_scopes(ot: Tracer, tracer: NativeTracer) -> None:
    """A span that is finished before its scope is still the active one of OpenTracing."""
    with ot.start_active_span("outer") as outer:
        with ot.start_active_span("op") as scope:
            scope.span.finish()
            assert ot.active_span is scope.span
            with ot.start_active_span("later"):
                pass
        assert ot.active_span is outer.span
    assert parents(tracer) == {"outer": None, "op": "outer", "later": "outer"}


def test_closed_in_another_thread(ot: Tracer, tracer: NativeTracer) -> None:
    """A scope that another thread closes finishes its span and is active nowhere any more."""
    scope = ot.start_active_span("op")
    thread = threading.Thread(target=scope.close)
    thread.start()
    thread.join()
    assert scope.span.finished
    assert ot.active_span is None
    assert len(spans_of(tracer)) == 1


def test_closed_in_another_context(ot: Tracer, tracer: NativeTracer) -> None:
    """The same for a scope opened in a copied context, as a generator dependency's may be."""
    scope = contextvars.copy_context().run(ot.start_active_span, "op")
    assert ot.active_span is None
    with ot.start_active_span("other") as other:
        scope.close()
        assert ot.active_span is other.span
    assert scope.span.finished
    assert parents(tracer) == {"op": None, "other": None}


def test_a_span_made_active_twice(ot: Tracer, tracer: NativeTracer) -> None:
    """A span may be in several scopes, each of which closes on its own."""
    span = ot.start_span("op")
    with ot.scope_manager.activate(span, False) as first:
        with ot.scope_manager.activate(span, False) as second:
            assert ot.scope_manager.active is second
        assert ot.scope_manager.active is first
    assert ot.scope_manager.active is None
    assert not span.finished
    span.finish()
    spans_of(tracer)


def test_managers_of_the_default_class_are_one(ot: Tracer, tracer: NativeTracer) -> None:
    """Every ContextScopeManager sees the one active scope."""
    with ot.start_active_span("op") as scope:
        assert ContextScopeManager().active is scope
        assert Tracer("other", dd_tracer=tracer).active_span is scope.span
    spans_of(tracer)


# -- spans of others -------------------------------------------------------------------------------


def test_spans_of_another_tracer(ot_any: Tracer, tracer: NativeTracer) -> None:
    """A foreign span can be active; beneath it, our spans keep the parent they had."""
    foreign = MockTracer().start_span("foreign")
    with ot_any.start_active_span("outer"):
        with ot_any.scope_manager.activate(foreign, True) as scope:
            assert scope.span is foreign
            if isinstance(ot_any.scope_manager, ContextScopeManager):
                assert ot_any.active_span is foreign
            with ot_any.start_active_span("inner"):
                pass
    assert foreign.finished
    assert parents(tracer) == {"outer": None, "inner": "outer"}


def test_an_exception_through_a_foreign_span(ot: Tracer) -> None:
    """A foreign span in one of our scopes is told of the exception in OpenTracing's words."""
    mock = MockTracer()
    with pytest.raises(KeyError):
        with ot.scope_manager.activate(mock.start_span("foreign"), True):
            raise KeyError("key")
    (span,) = mock.finished_spans()
    assert span.tags["error"] is True
    assert span.logs[0].key_values["error.kind"] is KeyError


# -- asyncio ---------------------------------------------------------------------------------------


def test_scopes_of_tasks(ot: Tracer, tracer: NativeTracer) -> None:
    """A task begins under the scope it was created in and never changes its creator's."""

    async def task() -> None:
        with ot.start_active_span("task"):
            await asyncio.sleep(0)
            with tracer.trace("native"):
                await asyncio.sleep(0)

    async def main() -> None:
        with ot.start_active_span("main") as scope:
            tasks = [asyncio.ensure_future(task()) for _ in range(3)]
            await asyncio.sleep(0)
            assert ot.active_span is scope.span
            await asyncio.gather(*tasks)
            assert ot.scope_manager.active is scope

    asyncio.run(main())
    spans = spans_of(tracer)
    (main_span,) = [span for span in spans if span["name"] == "main"]
    tasks = [span for span in spans if span["name"] == "task"]
    assert [span["parent_id"] for span in tasks] == [main_span["span_id"]] * 3
    natives = {span["parent_id"] for span in spans if span["name"] == "native"}
    assert natives == {span["span_id"] for span in tasks}
