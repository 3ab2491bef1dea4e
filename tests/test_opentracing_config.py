"""Making and configuring an OpenTracing tracer, and what the face costs those who do not use it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import opentracing
import pytest
from helpers import by_name, run_python, spans_of

import fasttrace
from fasttrace import TraceFilter
from fasttrace import Tracer as NativeTracer
from fasttrace.opentracer import Tracer, set_global_tracer
from fasttrace.opentracer.settings import (
    ConfigException,
    ConfigKeys,
    config_invalid_keys,
)
from fasttrace.provider import BaseContextProvider

pytestmark = pytest.mark.usefixtures("fresh_log")


def test_keys_have_their_names() -> None:
    """Every config key is reached by its name in capitals."""
    assert ConfigKeys.AGENT_HOSTNAME == "agent_hostname"
    assert {name.lower(): key for name, key in ConfigKeys._asdict().items()} == {
        key: key for key in ConfigKeys
    }
    assert config_invalid_keys({"agent_port": 1, "agent_prot": 2}) == ["agent_prot"]


def test_the_configuration_of_old_tutorials(tracer: NativeTracer) -> None:
    """Host and port, with the defaults spelled out, as tutorials show them."""
    config = {
        "agent_hostname": "agent.local",
        "agent_port": 8200,
        "agent_https": False,
        "debug": False,
        "enabled": True,
        "global_tags": {"team": "core", "shard": 3},
        "sampler": None,
        "priority_sampling": True,
        "settings": {"FILTERS": []},
        "uds_path": None,
    }
    ot = Tracer("shop", config=config, dd_tracer=tracer)
    assert tracer.agent_trace_url == "http://agent.local:8200"
    ot.start_span("op").finish()
    (span,) = spans_of(tracer)
    assert (span["service"], span["meta"]["team"], span["metrics"]["shard"]) == ("shop", "core", 3)


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({"agent_hostname": "agent.local"}, "http://agent.local:8126"),
        ({"agent_port": 1234}, "http://localhost:1234"),
        ({"agent_hostname": "a", "agent_https": True}, "https://a:8126"),
        ({"uds_path": "/var/run/agent.socket"}, "unix:///var/run/agent.socket"),
        ({"agent_hostname": "::1"}, "http://[::1]:8126"),
    ],
    ids=str,
)
def test_the_agents_address(tracer: NativeTracer, config: dict[str, Any], url: str) -> None:
    """Each part of the address can be given on its own."""
    Tracer("shop", config=config, dd_tracer=tracer)
    assert tracer.agent_trace_url == url


def test_an_empty_configuration_changes_nothing(tracer: NativeTracer) -> None:
    """What the application does not say stays as the native tracer has it, filters too."""

    class Mark(TraceFilter):
        def process_trace(self, trace: list[Any]) -> list[Any]:
            trace[0].set_tag("marked", "yes")
            return trace

    tracer.configure(trace_processors=[Mark()])
    tracer.enabled = False
    before = (tracer.agent_trace_url, tracer._flusher)
    ot = Tracer("shop", config={}, dd_tracer=tracer)
    assert (tracer.agent_trace_url, tracer._flusher) == before
    assert not tracer.enabled
    tracer.enabled = True
    ot.start_span("op").finish()
    assert spans_of(tracer)[0]["meta"]["marked"] == "yes"


def test_another_address_does_not_turn_a_disabled_tracer_on(tracer: NativeTracer) -> None:
    """Only `enabled` turns a tracer on or off."""
    tracer.enabled = False
    Tracer("shop", config={"agent_port": 1234}, dd_tracer=tracer)
    assert not tracer.enabled
    Tracer("shop", config={"enabled": True}, dd_tracer=tracer)
    assert tracer.enabled
    Tracer("shop", config={"enabled": False, "agent_port": 1235}, dd_tracer=tracer)
    assert not tracer.enabled


def test_filters(tracer: NativeTracer) -> None:
    """Filters come as settings."""

    class Drop(TraceFilter):
        def process_trace(self, trace: list[Any]) -> None:
            return None

    config = {"settings": {"FILTERS": [Drop()]}}
    Tracer("shop", config=config, dd_tracer=tracer).start_span("op").finish()
    assert spans_of(tracer) == []
    assert tracer.stats()["dropped"] == {"filtered": 1}


@pytest.mark.parametrize("settings", [None, {}, {"FILTERS": None}])
def test_settings_without_filters(tracer: NativeTracer, settings: Any) -> None:
    """Settings may be left empty."""
    Tracer("shop", config={"settings": settings}, dd_tracer=tracer).start_span("op").finish()
    assert len(spans_of(tracer)) == 1


def test_an_unknown_key_is_named_in_a_warning(tracer: NativeTracer, caplog: Any) -> None:
    """A key with a typo is ignored; the warning names it and the known ones; the rest applies."""
    config = {"agent_hostnam": "x", "agent_port": 1234}
    Tracer("shop", config=config, dd_tracer=tracer)
    assert tracer.agent_trace_url == "http://localhost:1234"
    assert "agent_hostnam " in caplog.text
    assert "agent_hostname" in caplog.text


@pytest.mark.parametrize(
    ("debug", "testing", "raises"),
    [(False, "", False), (True, "", False), (False, "true", False), (True, "true", True)],
)
def test_an_unknown_key_raises_in_tests(
    tracer: NativeTracer, monkeypatch: Any, debug: bool, testing: str, raises: bool
) -> None:
    """ConfigException comes with `debug` and DD_TESTING_RAISE together, as in ddtrace."""
    if testing:
        monkeypatch.setenv("DD_TESTING_RAISE", testing)
    config = {"agent_hostnam": "x", "debug": debug}
    if raises:
        with pytest.raises(ConfigException, match="agent_hostnam"):
            Tracer("shop", config=config, dd_tracer=tracer)
    else:
        Tracer("shop", config=config, dd_tracer=tracer)


@pytest.mark.parametrize("port", ["eighty", 0, -1, 65536, 1.5, [8126]], ids=repr)
def test_a_port_that_is_none(tracer: NativeTracer, caplog: Any, port: Any) -> None:
    """A port that cannot be one is ignored with a warning; the rest applies."""
    config = {"agent_hostname": "agent.local", "agent_port": port}
    Tracer("shop", config=config, dd_tracer=tracer)
    assert tracer.agent_trace_url == "http://agent.local:8126"
    assert "agent_port" in caplog.text


def test_a_port_that_is_text(tracer: NativeTracer) -> None:
    """A port from an environment variable need not be made a number."""
    Tracer("shop", config={"agent_port": "1234"}, dd_tracer=tracer)
    assert tracer.agent_trace_url == "http://localhost:1234"


def test_the_context_provider_is_the_default_one(new_tracer: Any, caplog: Any) -> None:
    """A context provider of the application's own gives way, as in ddtrace."""

    class Provider(BaseContextProvider):
        def activate(self, ctx: Any) -> None:
            raise AssertionError("never asked")

        def active(self) -> Any:
            raise AssertionError("never asked")

    tracer = new_tracer()
    tracer.configure(context_provider=Provider())
    ot = Tracer("shop", dd_tracer=tracer)
    with ot.start_active_span("outer"), tracer.trace("inner"):
        pass
    spans = by_name(spans_of(tracer))
    assert spans["inner"]["parent_id"] == spans["outer"]["span_id"]
    assert "context provider" in caplog.text


# -- the service -----------------------------------------------------------------------------------


def test_the_service_is_always_the_tracers(tracer: NativeTracer) -> None:
    """A span of a native parent with another service has the OpenTracing tracer's."""
    ot = Tracer("shop", dd_tracer=tracer)
    with tracer.trace("native", service="other"), ot.start_active_span("op"):
        tracer.trace("inner").finish()
    services = {span["name"]: span["service"] for span in spans_of(tracer)}
    assert services == {"native": "other", "op": "shop", "inner": "shop"}


def test_the_service_without_a_name(new_tracer: Any) -> None:
    """The configured service comes before the name of the program."""
    assert Tracer(dd_tracer=new_tracer(service="configured"))._service_name == "configured"
    main = sys.modules["__main__"].__file__ or sys.argv[0]
    named = Tracer(dd_tracer=new_tracer(service=None))
    assert named._service_name == os.path.basename(main)


def test_no_service_at_all_in_tests(new_tracer: Any, monkeypatch: Any) -> None:
    """Where no name can be found, test runs are told so."""
    monkeypatch.setattr("fasttrace.opentracer.tracer._configured_service", lambda tracer: None)
    Tracer(dd_tracer=new_tracer())
    monkeypatch.setenv("DD_TESTING_RAISE", "1")
    with pytest.raises(ConfigException, match="service"):
        Tracer(dd_tracer=new_tracer())


# -- the global tracer -----------------------------------------------------------------------------


def test_set_global_tracer(tracer: NativeTracer, monkeypatch: Any) -> None:
    """opentracing.tracer and fasttrace.tracer are what was set."""
    for module, name in (
        (opentracing, "tracer"),
        (opentracing, "is_tracer_registered"),
        (fasttrace, "tracer"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    ot = Tracer("shop", dd_tracer=tracer)
    set_global_tracer(ot)
    assert opentracing.tracer is opentracing.global_tracer() is ot
    assert opentracing.is_global_tracer_registered()
    assert fasttrace.tracer is tracer


def test_the_default_native_tracer() -> None:
    """Without another one, the process's own tracer does the work."""
    assert Tracer("shop")._dd_tracer is fasttrace.tracer


def test_log_correlation(tracer: NativeTracer) -> None:
    """A log line finds the trace of the active OpenTracing span."""
    ot = Tracer("shop", dd_tracer=tracer)
    with ot.start_active_span("op") as scope:
        said = ot.get_log_correlation_context()
        assert said["dd.span_id"] == str(scope.span._dd_span.span_id)
        assert said == tracer.get_log_correlation_context()
    spans_of(tracer)


# -- what others pay -------------------------------------------------------------------------------


def test_fasttrace_does_not_import_opentracing() -> None:
    """Neither `import fasttrace` nor tracing loads opentracing or the face."""
    code = """
        import sys
        import fasttrace, fasttrace.trace
        with fasttrace.tracer.trace("op"):
            fasttrace.tracer.current_span()
        fasttrace.tracer.shutdown(0)
        assert not [name for name in sys.modules if "opentrac" in name]
    """
    run_python(code, env={**os.environ, "DD_TRACE_AGENT_URL": "http://127.0.0.1:1"})


def test_without_the_extra() -> None:
    """Without opentracing, importing the face names the extra that brings it."""
    code = """
        import sys
        sys.modules["opentracing"] = None
        try:
            import fasttrace.opentracer
        except ImportError as error:
            assert "pip install fasttrace[opentracing]" in str(error), error
            assert error.name == "opentracing"
        else:
            raise AssertionError("imported")
        import fasttrace
    """
    run_python(code)


def test_a_broken_opentracing_is_not_taken_for_a_missing_one() -> None:
    """If opentracing is there and fails to import, that failure is what is seen."""
    code = """
        import sys
        sys.modules["opentracing.span"] = None
        try:
            import fasttrace.opentracer
        except ImportError as error:
            assert "fasttrace[" not in str(error), error
        else:
            raise AssertionError("imported")
    """
    run_python(code)


def test_the_face_changes_nothing_about_native_spans() -> None:
    """After the face was imported and used, native spans take the same way as before."""
    code = """
        import json, sys
        import fasttrace
        from fasttrace import tracer
        tracer._on_first_chunk = lambda: None

        def facts():
            with tracer.trace("op") as span:
                pass
            return [
                id(tracer.trace) == id(tracer.trace),
                type(tracer).__name__,
                [id(getattr(kind, "trace", None)) for kind in type(tracer).__mro__],
                tracer._provider is None, tracer._start_hooks, tracer._filters,
                span._get_ctx_item("x"), sys.getprofile(), sys.gettrace(),
            ]

        plain = facts()
        from fasttrace.opentracer import Tracer, set_global_tracer
        ot = Tracer("shop")
        set_global_tracer(ot)
        with ot.start_active_span("op"):
            pass
        again = facts()
        assert again == plain, (plain, again)
        for payload in tracer._swap():
            tracer._settle(payload, "test")
        print(json.dumps(True))
    """
    assert json.loads(run_python(code).stdout) is True
