"""OpenTracing's own conformance tests, `opentracing.harness`, all of them as they are.

Baggage and scope checks are on. The scope checks run for the default scope manager in a thread, in
an asyncio task and in a greenlet, and for the managers of opentracing that a Tracer was given.
"""

from __future__ import annotations

import asyncio
import contextvars
import warnings
from collections.abc import Callable
from typing import Any

import gevent
import opentracing
import pytest
from opentracing.harness.api_check import APICompatibilityCheckMixin
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager
from opentracing.scope_managers.gevent import GeventScopeManager

from fasttrace.opentracer import Tracer
from fasttrace.opentracer.scope import ContextScopeManager

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tornado 5 is older than this Python
    import tornado

    if tornado.version_info < (6,):
        from opentracing.scope_managers.tornado import TornadoScopeManager, tracer_stack_context

API_TESTS = 25
SCOPE_TESTS = 8


@pytest.fixture(autouse=True)
def _no_event_loop() -> None:
    """Keep opentracing's manager for asyncio from making an event loop that nobody closes."""
    asyncio.set_event_loop(None)


class ApiChecks(APICompatibilityCheckMixin):
    """The API checks for a tracer with `manager`."""

    manager: Callable[[], Any] = staticmethod(lambda: None)

    @pytest.fixture(autouse=True)
    def _one_tracer(self, new_tracer: Any) -> None:
        self._tracer = Tracer("svc", scope_manager=self.manager(), dd_tracer=new_tracer())

    def tracer(self) -> Tracer:
        """The tracer under test."""
        return self._tracer

    def is_parent(self, parent: Any, span: Any) -> bool:
        """Whether `parent` is the parent of `span`; None is the parent of a root."""
        parent_id = None if parent is None else parent._dd_span.span_id
        return bool(span._dd_span.parent_id == parent_id)


class TestApi(ApiChecks):
    """With the default scope manager."""


class TestApiThreadLocal(ApiChecks):
    """With the scope manager that ddtrace took by default."""

    manager = ThreadLocalScopeManager


class TestApiAsyncio(ApiChecks):
    """With opentracing's manager for asyncio."""

    manager = AsyncioScopeManager


class TestApiGevent(ApiChecks):
    """With opentracing's manager for gevent."""

    manager = GeventScopeManager


class ScopeChecks(ScopeCompatibilityCheckMixin):
    """The scope checks for one manager for the whole test, in a context of its own."""

    manager: Callable[[], Any] = ContextScopeManager

    @pytest.fixture(autouse=True)
    def _one_manager(self, new_tracer: Any) -> None:
        tracer = Tracer("svc", scope_manager=self.manager(), dd_tracer=new_tracer())
        self._manager = tracer.scope_manager

    def scope_manager(self) -> Any:
        """The scope manager under test."""
        return self._manager

    def run_test(self, test_fn: Callable[[], None]) -> None:
        """Run a check where what it leaves active is not seen by the next one."""
        contextvars.copy_context().run(test_fn)


class TestScopes(ScopeChecks):
    """The default scope manager in a thread."""


class TestScopesAsyncio(ScopeChecks):
    """The default scope manager in a task of asyncio."""

    def run_test(self, test_fn: Callable[[], None]) -> None:
        """Run a check in an event loop."""

        async def run() -> None:
            test_fn()

        asyncio.run(run())


class TestScopesGevent(ScopeChecks):
    """The default scope manager in a greenlet."""

    def run_test(self, test_fn: Callable[[], None]) -> None:
        """Run a check in a greenlet."""
        gevent.spawn(test_fn).get()


class TestScopesBridgedThreadLocal(ScopeChecks):
    """opentracing's manager for threads, once a Tracer has it."""

    manager = ThreadLocalScopeManager


class TestScopesBridgedContextVars(ScopeChecks):
    """opentracing's manager for contextvars, once a Tracer has it."""

    manager = ContextVarsScopeManager


class TestScopesBridgedAsyncio(TestScopesAsyncio):
    """opentracing's manager for asyncio, once a Tracer has it."""

    manager = AsyncioScopeManager


class TestScopesBridgedGevent(TestScopesGevent):
    """opentracing's manager for gevent, once a Tracer has it."""

    manager = GeventScopeManager


if tornado.version_info < (6,):

    class TestApiTornado(ApiChecks):
        """With opentracing's manager for tornado."""

        manager = TornadoScopeManager

    @pytest.mark.filterwarnings("ignore:StackContext is deprecated")
    class TestScopesBridgedTornado(ScopeChecks):
        """opentracing's manager for tornado, once a Tracer has it."""

        manager = TornadoScopeManager

        def run_test(self, test_fn: Callable[[], None]) -> None:
            """Run a check where tornado's own context is kept."""
            with tracer_stack_context():
                test_fn()


@pytest.mark.parametrize("checks", [TestApi, TestScopes])
def test_every_check_runs_as_it_is(checks: type) -> None:
    """No check is replaced or left out, and the optional ones are on."""
    mixin = checks.__mro__[2]
    assert mixin.__module__.startswith("opentracing.harness.")
    names = [name for name in vars(mixin) if name.startswith("test_")]
    assert len(names) == (API_TESTS if mixin is APICompatibilityCheckMixin else SCOPE_TESTS)
    assert all(getattr(checks, name) is vars(mixin)[name] for name in names)
    if mixin is APICompatibilityCheckMixin:
        check = checks()
        assert check.check_baggage_values() is True
        assert check.check_scope_manager() is True


def test_the_noop_tracer_fails_the_checks() -> None:
    """A tracer that does nothing does not pass: the checks can fail."""
    check = TestApi()
    check._tracer = opentracing.Tracer()
    with pytest.raises(AssertionError):
        check.test_active_span()
