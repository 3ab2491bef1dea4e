"""Fixtures and checks shared by every test.

* `agent`: one real test agent for the whole run. At the end none of its checks may have failed, so
  a test that sends nonsense on purpose starts a `TestAgent` of its own.
* `session`: a fresh session of that agent and `session.make_tracer(**config)` whose traces arrive
  there.
* `new_tracer`: a factory of tracers without network; `helpers.chunks_of` and `spans_of` decode
  what such a tracer encoded.
* `ot`, `ot_any`: OpenTracing tracers on top of `tracer`.
* `fresh_log`, `no_log_lines`, `no_gc`: the log and the collector as a test needs them.
* After every test, of every tracer that was made in it: the accounting adds up and no span is left
  active.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from agent_process import AgentSession, TestAgent
from helpers import Accounts, accounting_difference, figures, make_offline_tracer, take_payloads

if TYPE_CHECKING:
    from fasttrace import Tracer
    from fasttrace.opentracer import Tracer as OpenTracingTracer

#: These are about signals, forks and servers that only POSIX has.
POSIX_ONLY = ["test_run.py", "test_server_*.py", "test_sigterm.py", "test_exit.py", "test_fork*.py"]
POSIX_ONLY += ["test_unlocked_io.py"]  # elsewhere sockets are left to Python
collect_ignore_glob = POSIX_ONLY if sys.platform == "win32" else []

FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A developer's own settings must not decide what the tests see.
for _name in list(os.environ):
    if _name.startswith(("DD_", "_DD_", "OTEL_")):
        del os.environ[_name]

hypothesis.settings.register_profile(
    "small",
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.register_profile(
    "full", parent=hypothesis.settings.get_profile("small"), max_examples=5000, derandomize=False
)
hypothesis.settings.load_profile("full" if FULL else "small")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests have measured."""
    default = _default_tracer()
    if default is not None and _accounts.tests:
        _accounts.add(default.stats())
        figures.append(_accounts.figure())
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.write_line(figure)


# -- every tracer made during a test ---------------------------------------------------------------

_made: list[Any] = []
_accounts = Accounts()


def _record_new_tracers() -> None:
    """Make every new Tracer known to the checks below, once fasttrace has been imported."""
    module = sys.modules.get("fasttrace.tracer")
    tracer_class = getattr(module, "Tracer", None)
    if tracer_class is None or hasattr(tracer_class.__init__, "records"):
        return
    original = tracer_class.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _made.append(self)

    __init__.records = True  # type: ignore[attr-defined]
    tracer_class.__init__ = __init__


def _default_tracer() -> Any:
    module = sys.modules.get("fasttrace.tracer")
    return getattr(module, "tracer", None)


def _check(tracer: Any) -> None:
    stats = tracer.stats()
    assert accounting_difference(stats) == 0, f"spans unaccounted for: {stats}"


@pytest.fixture(autouse=True)
def _tracing_checks() -> Iterator[None]:
    """Start with nothing active; afterwards every span is accounted for and none is active."""
    _record_new_tracers()
    _made.clear()
    default = _default_tracer()
    if default is not None:
        default.context_provider.activate(None)
    yield
    default = _default_tracer()
    if default is None:
        return
    tracers = [default, *_made]
    leftover = None
    if default.enabled:  # a disabled tracer's no-op span is always current
        leftover = default.current_span()
        default.context_provider.activate(None)
    try:
        for tracer in tracers:
            _check(tracer)
        for tracer in _made:
            if not tracer._flusher_running:
                take_payloads(tracer)  # or shutdown() would try to send what a test left behind
            tracer.shutdown(10.0)
            _check(tracer)
            _accounts.add(tracer.stats())
        take_payloads(default)  # or it warns in the middle of other tests that there is no agent
        _check(default)
        _accounts.tests += 1
    finally:
        _made.clear()
    assert leftover is None, f"the test left {leftover!r} active"


# -- tracers without network -----------------------------------------------------------------------


@pytest.fixture
def new_tracer() -> Callable[..., Tracer]:
    """A factory of tracers without network: `new_tracer(service="web", api_version="v0.5")`."""
    return make_offline_tracer


@pytest.fixture
def tracer(new_tracer: Callable[..., Tracer]) -> Tracer:
    """One tracer without network, service `svc`, everything else at its default."""
    return new_tracer()


# -- OpenTracing tracers without network -----------------------------------------------------------


@pytest.fixture
def ot(tracer: Tracer) -> OpenTracingTracer:
    """An OpenTracing tracer on top of `tracer`, with the default scope manager."""
    from fasttrace.opentracer import Tracer as OpenTracingTracer

    return OpenTracingTracer("shop", dd_tracer=tracer)


@pytest.fixture(params=["default", "threads", "contextvars"])
def ot_any(request: pytest.FixtureRequest, tracer: Tracer) -> OpenTracingTracer:
    """The same with the default scope manager and with two of opentracing's own."""
    from opentracing.scope_managers import ThreadLocalScopeManager
    from opentracing.scope_managers.contextvars import ContextVarsScopeManager

    from fasttrace.opentracer import Tracer as OpenTracingTracer

    managers = {"threads": ThreadLocalScopeManager, "contextvars": ContextVarsScopeManager}
    manager = managers[request.param]() if request.param in managers else None
    return OpenTracingTracer("shop", scope_manager=manager, dd_tracer=tracer)


# -- tracers that send to the real agent -----------------------------------------------------------


@pytest.fixture(scope="session")
def agent() -> Iterator[TestAgent]:
    """One test agent for the whole run, which must not have found a fault by the end of it."""
    with TestAgent() as running:
        yield running
        failures = running.check_failures()
    assert not failures, "the test agent found faults:\n" + "\n".join(failures)


class Session(AgentSession):
    """A session of the test agent together with the tracers that send to it."""

    def __init__(self, agent: TestAgent) -> None:
        started = agent.session()
        super().__init__(agent, started.token)
        self._tracers: list[Any] = []

    def make_tracer(self, **config: Any) -> Tracer:
        """Return a Tracer, configured by `config` alone, whose traces arrive in this session."""
        from fasttrace import Tracer
        from fasttrace.config import Config

        headers = {**self.headers, **config.pop("additional_headers", {})}
        config = {
            "service": "svc",
            "agent_url": self.agent.url,
            "additional_headers": headers,
            **config,
        }
        tracer = Tracer(config=Config.from_env({}, **config))
        self._tracers.append(tracer)
        return tracer

    def env(self, **extra: str) -> dict[str, str]:
        """The environment of a child process whose traces shall arrive in this session."""
        headers = ",".join(f"{name}:{value}" for name, value in self.headers.items())
        return {
            **os.environ,
            "DD_TRACE_AGENT_URL": self.agent.url,
            "_DD_TRACE_WRITER_ADDITIONAL_HEADERS": headers,
            **extra,
        }

    def received(self) -> list[dict[str, Any]]:
        """Flush this session's tracers and return every span the agent has received."""
        for tracer in self._tracers:
            tracer.flush(20.0)
        return self.spans()


@pytest.fixture
def session(agent: TestAgent) -> Session:
    """A fresh session of the shared test agent."""
    return Session(agent)


# -- what earlier tests said, and what stays behind ------------------------------------------------


@pytest.fixture
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning is held back because of an earlier test."""
    from fasttrace import _log

    for name in ("_last_ns", "_held_back", "waiting"):
        monkeypatch.setattr(_log, name, {})


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Run a test with the cyclic collector off, after a collection."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def no_log_lines(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nobody, asyncio and fasttrace included, may have logged anything of level INFO or above."""
    caplog.set_level(logging.INFO)
    yield
    gc.collect()  # what is torn down only now complains now
    assert [record.getMessage() for record in caplog.get_records("call")] == []


@pytest.fixture
def no_spans_of_subjects() -> Iterator[None]:
    """Leave nothing of the tracer of `wrap_subjects` to the next test."""
    yield
    from wrap_subjects import TRACER

    take_payloads(TRACER)
