"""Settings: defaults, variables, precedence, wrong values."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from helpers import note_figure, run_python

from fasttrace import _address
from fasttrace._service_name import infer_service
from fasttrace.config import FIELDS, Config

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _fresh(fresh_log: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning held back by an earlier test, no socket of a real agent."""
    monkeypatch.setattr(_address, "AGENT_SOCKET", "/nonexistent/apm.socket")
    monkeypatch.setattr(_address, "DOGSTATSD_SOCKET", "/nonexistent/dsd.socket")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The texts of all warnings."""
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


# -- the table -------------------------------------------------------------------------------------


def test_every_field_is_an_attribute_with_a_type() -> None:
    """The table, the annotations and the attributes of Config name the same settings."""
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)
    hints = get_type_hints(Config)
    assert {name for name in hints if not name.startswith("_")} == set(names)
    config = Config.from_env({})
    assert all(hasattr(config, name) for name in names)


def test_every_row_is_complete() -> None:
    """Each row has a kind, a documented variable name and a sentence."""
    for field in FIELDS:
        assert field.kind
        assert all(name.startswith(("DD_", "_DD_", "OTEL_", "FASTTRACE_")) for name in field.env)
        assert field.doc.endswith(".")


def test_defaults() -> None:
    """Without any variable the defaults of the table hold, and their source is "default"."""
    config = Config.from_env({})
    for field in FIELDS:
        assert getattr(config, field.name) == field.default, field.name
        assert config.source(field.name) == "default"
    assert config.agent_url == "http://localhost:8126"
    assert config.api_version == "v0.4"
    assert config.buffer_max_bytes == config.payload_max_bytes == 20 * MIB
    assert (config.flush_interval_s, config.agent_timeout_s, config.exit_timeout_s) == (1, 2, 2)
    assert config.partial_flush_min_spans == 300


def test_a_default_that_can_change_is_not_shared() -> None:
    """Two configs do not share one dict of tags."""
    Config.from_env({}).tags["a"] = "b"
    assert Config.from_env({}).tags == {}


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("DD_SERVICE", "web", "service", "web"),
        ("DD_ENV", " prod ", "env", "prod"),
        ("DD_VERSION", "1.2", "version", "1.2"),
        ("DD_TRACE_ENABLED", "false", "enabled", False),
        ("DD_TRACE_ENABLED", "FALSE", "enabled", False),
        ("DD_TRACE_ENABLED", "0", "enabled", False),
        ("DD_TRACE_ENABLED", "True", "enabled", True),
        ("DD_SERVICE_MAPPING", "a:b, c:d", "service_mapping", {"a": "b", "c": "d"}),
        ("DD_TRACE_AGENT_TIMEOUT_SECONDS", "0.5", "agent_timeout_s", 0.5),
        ("DD_TRACE_API_VERSION", "v0.5", "api_version", "v0.5"),
        ("DD_TRACE_WRITER_BUFFER_SIZE_BYTES", "4096", "buffer_max_bytes", 4096),
        ("DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES", "4096", "payload_max_bytes", 4096),
        ("DD_TRACE_WRITER_INTERVAL_SECONDS", "0.1", "flush_interval_s", 0.1),
        ("DD_TRACE_WRITER_REUSE_CONNECTIONS", "false", "reuse_connections", False),
        ("_DD_TRACE_WRITER_ADDITIONAL_HEADERS", "X-A:1,X-B:2:3", "additional_headers",
         {"X-A": "1", "X-B": "2:3"}),
        ("DD_TRACE_PARTIAL_FLUSH_ENABLED", "0", "partial_flush_enabled", False),
        ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "7", "partial_flush_min_spans", 7),
        ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "0", "partial_flush_min_spans", 1),
        ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "-5", "partial_flush_min_spans", 1),
        ("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", "false", "trace_id_128bit", False),
        ("DD_TRACE_SPAN_TRACEBACK_MAX_SIZE", "3", "traceback_max_frames", 3),
        ("DD_TRACE_DEBUG", "true", "debug", True),
        ("OTEL_LOG_LEVEL", "debug", "debug", True),
        ("DD_TRACE_LOGGING_RATE", "0", "logging_rate_s", 0.0),
        ("DD_EXTERNAL_ENV", "it-false", "external_env", "it-false"),
        ("DD_GIT_COMMIT_SHA", "abc", "git_commit_sha", "abc"),
        ("DD_GIT_REPOSITORY_URL", "https://u:p@h/r.git", "git_repository_url", "https://h/r.git"),
        ("DD_MAIN_PACKAGE", "shop", "main_package", "shop"),
        ("DD_TRACE_GIT_METADATA_ENABLED", "false", "git_metadata_enabled", False),
        ("DD_TRACE_WRAP_SPAN_NAME_INCLUDE_CLASS", "true", "wrap_name_include_class", True),
        ("DD_TRACE_STARTUP_LOGS", "true", "startup_logs", True),
        ("DD_TRACE_HEALTH_METRICS_ENABLED", "true", "health_metrics_enabled", True),
        ("DD_TRACE_STATS_COMPUTATION_ENABLED", "true", "stats_enabled", True),
        ("DD_TRACE_COMPUTE_STATS", "true", "stats_enabled", True),
        ("DD_TRACE_SAMPLE_RATE", "0.25", "sample_rate", 0.25),
        ("DD_TRACE_RATE_LIMIT", "-1", "rate_limit", -1),
        ("DD_TRACE_SAMPLING_RULES", "[]", "sampling_rules", "[]"),
        ("DD_SPAN_SAMPLING_RULES", "[]", "span_sampling_rules", "[]"),
        ("FASTTRACE_EXIT_TIMEOUT_SECONDS", "0", "exit_timeout_s", 0.0),
        ("FASTTRACE_SIGTERM", "0", "sigterm_enabled", False),
        ("FASTTRACE_TSC", "0", "tsc_enabled", False),
        ("FASTTRACE_INPLACE_CONTEXT", "1", "inplace_context", True),
        ("DD_LOGS_INJECTION", "true", "log_injection", True),
        ("DD_TRACE_NATIVE_SPAN_EVENTS", "1", "native_span_events", True),
        ("DD_HOSTNAME", "host", "hostname", "host"),
    ],
)  # fmt: skip
def test_variable(variable: str, text: str, name: str, value: object) -> None:
    """Each variable sets its attribute, and is named as the source."""
    config = Config.from_env({variable: text})
    assert getattr(config, name) == value
    if value != Config.from_env({}).__getattribute__(name):
        assert config.source(name) == f"env {variable}"


@pytest.mark.parametrize(
    ("variable", "text", "name", "expected"),
    [
        ("DD_TRACE_ENABLED", "maybe", "enabled", "true or false"),
        ("DD_TRACE_AGENT_TIMEOUT_SECONDS", "2s", "agent_timeout_s", "number"),
        ("DD_TRACE_AGENT_TIMEOUT_SECONDS", "nan", "agent_timeout_s", "number"),
        ("DD_TRACE_WRITER_INTERVAL_SECONDS", "-1", "flush_interval_s", "number"),
        ("DD_TRACE_WRITER_INTERVAL_SECONDS", "inf", "flush_interval_s", "number"),
        ("DD_TRACE_API_VERSION", "v0.3", "api_version", "v0.4 or v0.5"),
        ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "many", "partial_flush_min_spans", "whole number"),
        (
            "DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES",
            str(26 * MIB),
            "payload_max_bytes",
            "26,214,400",
        ),
        ("DD_TRACE_SAMPLE_RATE", "1.5", "sample_rate", "from 0.0 to 1.0"),
        ("DD_SERVICE_MAPPING", "a", "service_mapping", "old:new"),
        ("_DD_TRACE_WRITER_ADDITIONAL_HEADERS", "X A:1", "additional_headers", "Header-Name:value"),
        ("_DD_TRACE_WRITER_ADDITIONAL_HEADERS", "X:a\r\nY", "additional_headers", "Header-Name"),
        ("DD_AGENT_PORT", "http", "agent_url", "whole number"),
        ("DD_TRACE_AGENT_PORT", "70000", "agent_url", "from 1 to 65,535"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "sample_rate", "always_on"),
        ("DD_SPAN_SAMPLING_RULES_FILE", "/nonexistent", "span_sampling_rules", "readable file"),
    ],
)
def test_wrong_value_warns_once(
    variable: str, text: str, name: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A value that cannot be used gives one warning with all one needs, and the default."""
    default = getattr(Config.from_env({}), name)
    for _ in range(2):
        assert getattr(Config.from_env({variable: text}), name) == default
    (warning,) = warnings_of(caplog)
    assert variable in warning
    assert repr(text) in warning
    assert expected in warning


def test_long_wrong_value_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """A warning shows no more than the beginning of a long value."""
    Config.from_env({"DD_TRACE_ENABLED": "x" * 10_000})
    assert len(warnings_of(caplog)[0]) < 300


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_variable_is_not_set(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """An empty variable is as good as none, and gives no warning, but where empty says something:
    no tags, no secrets."""
    environ = {name: text for field in FIELDS for name in field.env}
    config = Config.from_env(environ)
    said = {"baggage_tag_keys": (), "http_query_secrets": ""}
    assert {
        field.name: getattr(config, field.name)
        for field in FIELDS
        if getattr(config, field.name) != field.default
    } == said
    assert not warnings_of(caplog)


# -- made by code ----------------------------------------------------------------------------------


def test_code_wins_over_the_environment() -> None:
    """An override wins, its source is "code"; other settings keep theirs."""
    config = Config.from_env({"DD_SERVICE": "a", "DD_ENV": "e"}, service="b")
    assert (config.service, config.source("service")) == ("b", "code")
    assert (config.env, config.source("env")) == ("e", "env DD_ENV")


def test_replace_makes_another() -> None:
    """replace() leaves the original as it was."""
    first = Config.from_env({"DD_SERVICE": "a"})
    second = first.replace(env="x")
    assert (first.env, second.env, second.service) == (None, "x", "a")
    assert second.source("service") == "env DD_SERVICE"


def test_config_cannot_be_changed() -> None:
    """Assigning or deleting an attribute raises AttributeError, also for unknown names."""
    config = Config.from_env({})
    with pytest.raises(AttributeError, match="service"):
        config.service = "x"
    with pytest.raises(AttributeError):
        config.unknown = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del config.service
    assert config.service is None


@pytest.mark.parametrize("method", [Config.from_env, Config.from_env({}).replace])
def test_wrong_override_raises(method: Any) -> None:
    """An unknown setting is a TypeError, an unknown wire version a ValueError."""
    with pytest.raises(TypeError, match="sevrice"):
        method(sevrice="x")
    with pytest.raises(ValueError, match=r"v0\.4 or v0\.5"):
        method(api_version="v0.3")
    with pytest.raises(ValueError, match="unix://"):
        method(agent_url="localhost:8126")


def test_source_of_an_unknown_name() -> None:
    """Asking for the source of what is no setting raises KeyError."""
    with pytest.raises(KeyError):
        Config.from_env({}).source("sevrice")


# -- tags, service, env, version -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a:1,b:2", {"a": "1", "b": "2"}),
        ("a:1 b:2", {"a": "1", "b": "2"}),
        (" a : 1 , b:2, c", {"a": "1", "b": "2", "c": ""}),
        ("a:b:c d", {"a": "b:c", "d": ""}),
        ("a:1, b:2 c:3", {"a": "1", "b": "2 c:3"}),
        (":v,k:", {"k": ""}),
        (",,", {}),
    ],
)
def test_forms_of_dd_tags(text: str, tags: dict[str, str]) -> None:
    """DD_TAGS is read as ddtrace 4.16 reads it."""
    assert Config.from_env({"DD_TAGS": text}).tags == tags


def test_tags_fill_unset_settings() -> None:
    """service, env, version and git tags become settings; all but env are no longer tags."""
    text = "service:s,env:e,version:v,x:y,git.commit.sha:c,git.repository_url:https://u:p@h/r"
    config = Config.from_env({"DD_TAGS": text})
    assert (config.service, config.env, config.version) == ("s", "e", "v")
    assert (config.git_commit_sha, config.git_repository_url) == ("c", "https://h/r")
    assert config.tags == {"env": "e", "x": "y"}
    assert config.source("service") == "env DD_TAGS"


def test_proper_variables_win_over_tags() -> None:
    """DD_SERVICE and its like win over what DD_TAGS says."""
    environ = {"DD_TAGS": "service:s,version:v", "DD_SERVICE": "S", "DD_VERSION": "V"}
    config = Config.from_env(environ)
    assert (config.service, config.version, config.tags) == ("S", "V", {})


def test_otel_variables_stand_in() -> None:
    """OTEL_* variables count where no DD_* variable speaks."""
    attributes = (
        "deployment.environment=oe,service.name=os,service.version=ov,foo=b%20r,bad,%=%zz,x="
    )
    config = Config.from_env({"OTEL_RESOURCE_ATTRIBUTES": attributes})
    assert (config.service, config.env, config.version) == ("os", "oe", "ov")
    assert config.tags == {"env": "oe", "foo": "b r", "%": "%zz", "x": ""}
    environ = {"OTEL_RESOURCE_ATTRIBUTES": attributes, "OTEL_SERVICE_NAME": "name"}
    assert Config.from_env(environ).service == "name"
    assert Config.from_env({**environ, "DD_TAGS": "service:s"}).service == "s"
    assert Config.from_env({**environ, "DD_SERVICE": "S"}).service == "S"
    assert Config.from_env({**environ, "DD_TAGS": "a:b"}).tags == {"a": "b"}


def test_otel_attributes_are_limited() -> None:
    """Only the first ten resource attributes count."""
    attributes = ",".join(f"k{i}={i}" for i in range(20))
    assert len(Config.from_env({"OTEL_RESOURCE_ATTRIBUTES": attributes}).tags) == 10


@pytest.mark.parametrize(
    ("exporter", "enabled"), [("none", False), ("None", False), ("otlp", True), ("", True)]
)
def test_otel_exporter_none_disables(exporter: str, enabled: bool) -> None:
    """OTEL_TRACES_EXPORTER=none turns tracing off unless DD_TRACE_ENABLED speaks."""
    assert Config.from_env({"OTEL_TRACES_EXPORTER": exporter}).enabled is enabled
    both = {"OTEL_TRACES_EXPORTER": exporter, "DD_TRACE_ENABLED": "true"}
    assert Config.from_env(both).enabled is True


@pytest.mark.parametrize(
    ("sampler", "argument", "rate"),
    [
        ("always_on", "", 1.0),
        ("parentbased_always_off", "", 0.0),
        ("traceidratio", "0.5", 0.5),
        ("ParentBased_TraceIdRatio", "", 1.0),
    ],
)
def test_otel_sampler(sampler: str, argument: str, rate: float) -> None:
    """OTEL_TRACES_SAMPLER sets the sample rate unless DD_TRACE_SAMPLE_RATE speaks."""
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert Config.from_env(environ).sample_rate == rate
    assert Config.from_env({**environ, "DD_TRACE_SAMPLE_RATE": "0.1"}).sample_rate == 0.1


def test_span_rules_from_a_file(tmp_path: Path) -> None:
    """DD_SPAN_SAMPLING_RULES_FILE is read where DD_SPAN_SAMPLING_RULES is unset."""
    path = tmp_path / "rules.json"
    path.write_text('[{"service": "a"}]\n')
    environ = {"DD_SPAN_SAMPLING_RULES_FILE": str(path)}
    config = Config.from_env(environ)
    assert config.span_sampling_rules == '[{"service": "a"}]'
    assert config.source("span_sampling_rules") == "env DD_SPAN_SAMPLING_RULES_FILE"
    assert Config.from_env({**environ, "DD_SPAN_SAMPLING_RULES": "[]"}).span_sampling_rules == "[]"


def test_reported_hostname() -> None:
    """With DD_TRACE_REPORT_HOSTNAME the system's name is filled in, unless one is given."""
    on = {"DD_TRACE_REPORT_HOSTNAME": "true"}
    assert Config.from_env(on).hostname == os.uname().nodename
    assert Config.from_env({**on, "DD_HOSTNAME": "mine"}).hostname == "mine"


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "url", "source"),
    [
        ({}, "http://localhost:8126", "default"),
        ({"DD_AGENT_HOST": "a"}, "http://a:8126", "env DD_AGENT_HOST"),
        ({"DD_TRACE_AGENT_HOSTNAME": "b"}, "http://b:8126", "env DD_TRACE_AGENT_HOSTNAME"),
        ({"DD_AGENT_HOST": "a", "DD_TRACE_AGENT_HOSTNAME": "b"}, "http://b:8126",
         "env DD_TRACE_AGENT_HOSTNAME"),
        ({"DD_AGENT_PORT": "1"}, "http://localhost:1", "env DD_AGENT_PORT"),
        ({"DD_AGENT_PORT": "1", "DD_TRACE_AGENT_PORT": "2"}, "http://localhost:2",
         "env DD_TRACE_AGENT_PORT"),
        ({"DD_AGENT_HOST": "a", "DD_TRACE_AGENT_PORT": "2"}, "http://a:2",
         "env DD_AGENT_HOST and DD_TRACE_AGENT_PORT"),
        ({"DD_AGENT_HOST": "::1"}, "http://[::1]:8126", "env DD_AGENT_HOST"),
        ({"DD_AGENT_HOST": "[::1]"}, "http://[::1]:8126", "env DD_AGENT_HOST"),
        ({"DD_TRACE_AGENT_URL": "http://c:1/prefix", "DD_AGENT_HOST": "a"}, "http://c:1/prefix",
         "env DD_TRACE_AGENT_URL"),
        ({"DD_TRACE_AGENT_URL": " HTTPS://c "}, "https://c", "env DD_TRACE_AGENT_URL"),
        ({"DD_TRACE_AGENT_URL": "unix:///run/x"}, "unix:///run/x", "env DD_TRACE_AGENT_URL"),
        ({"DD_TRACE_AGENT_URL": ""}, "http://localhost:8126", "default"),
        ({"DD_AGENT_HOST": "a", "DD_AGENT_PORT": "x"}, "http://a:8126",
         "env DD_AGENT_HOST and DD_AGENT_PORT"),
    ],
)  # fmt: skip
def test_agent_address(environ: dict[str, str], url: str, source: str) -> None:
    """URL over host and port; the DD_TRACE_* names over the shorter ones."""
    config = Config.from_env(environ)
    note_figure(f"{environ} -> {config.agent_url}, {config.source('agent_url')}")
    assert (config.agent_url, config.source("agent_url")) == (url, source)


def test_agent_socket_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the agent's Unix socket exists it is used, unless a variable says otherwise."""
    path = tmp_path / "apm.socket"
    path.touch()
    monkeypatch.setattr(_address, "AGENT_SOCKET", str(path))
    assert Config.from_env({}).agent_url == f"unix://{path}"
    assert Config.from_env({"DD_AGENT_PORT": "1"}).agent_url == "http://localhost:1"


@pytest.mark.parametrize("url", ["localhost:8126", "ftp://a", "http://", "://a", "udp://a:1"])
def test_unsupported_agent_url(url: str) -> None:
    """An unsupported URL raises ValueError: the variable, the value and the three valid forms."""
    with pytest.raises(ValueError, match="DD_TRACE_AGENT_URL") as caught:
        Config.from_env({"DD_TRACE_AGENT_URL": url})
    for part in (url, "http://", "https://", "unix://"):
        assert part in str(caught.value)


def test_password_is_not_shown() -> None:
    """The error about a URL does not show the password in it."""
    with pytest.raises(ValueError, match="ftp://a") as caught:
        Config.from_env({"DD_TRACE_AGENT_URL": "ftp://user:s3cret@a"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "udp://localhost:8125"),
        ({"DD_AGENT_HOST": "a"}, "udp://a:8125"),
        ({"DD_DOGSTATSD_HOST": "b", "DD_AGENT_HOST": "a", "DD_DOGSTATSD_PORT": "1"}, "udp://b:1"),
        ({"DD_DOGSTATSD_URL": "unix:///run/dsd"}, "unix:///run/dsd"),
        ({"DD_DOGSTATSD_URL": "c:1"}, "udp://c:1"),
    ],
)
def test_dogstatsd_address(environ: dict[str, str], url: str) -> None:
    """The DogStatsD address follows its own variables, then the agent's host."""
    assert Config.from_env(environ).dogstatsd_url == url


# -- the inferred service --------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory `shop` with a script, a package, and an installed command beside it."""
    shop = tmp_path / "shop"
    (shop / "pkg" / "sub").mkdir(parents=True)
    for file in ("app.py", "pkg/__init__.py", "pkg/mod.py", "pkg/sub/__init__.py", "pkg/sub/m.py"):
        (shop / file).touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gunicorn").touch()
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "noext").touch()
    return shop


@pytest.mark.parametrize(
    ("argv", "service"),
    [
        (["app.py"], "shop"),
        (["pkg/mod.py"], "pkg"),
        (["pkg/sub/m.py"], "pkg.sub"),
        (["../plain/noext"], "plain"),
        (["../bin/gunicorn", "-b", "0.0.0.0:80", "app:app"], None),
        (["../bin/gunicorn", "pkg"], "pkg"),
        (["../bin/run", "--config", "app.py"], "shop"),
        (["--flag", "pkg", "../plain"], "plain"),
        (["A=pkg", "app.py"], "shop"),
        (["-c"], None),
        (["-"], None),
        ([""], None),
        ([], None),
    ],
)
def test_inferred_service(
    argv: list[str], service: str | None, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is inferred from the command line as ddtrace 4.16 infers it."""
    monkeypatch.chdir(shop)
    assert infer_service(argv) == service


def test_inferred_service_of_this_process(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Config asks once, and only when somebody wants to know."""
    monkeypatch.setattr(sys, "argv", [str(shop / "app.py")])
    config = Config.from_env({})
    assert config.inferred_service == "shop"
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert config.inferred_service == "shop"


def test_config_imports_nothing_heavy() -> None:
    """Reading the configuration imports none of the modules that would slow an import down."""
    done = run_python("""
        import sys
        before = set(sys.modules)
        from fasttrace.config import Config
        Config.from_env()
        print(*sorted(set(sys.modules) - before))
    """)
    heavy = {
        *("asyncio", "collections", "dataclasses", "functools", "http", "inspect", "json"),
        *("logging", "re", "socket", "ssl", "threading", "typing", "urllib", "pathlib"),
    }
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "ranges", "wrong"),
    [
        ("500-599", ((500, 599),), None),
        ("404,500-599 , 499-400,", ((404, 404), (500, 599), (400, 499)), None),
        ("404, x, 5xx", ((404, 404),), "x, 5xx"),
        ("5000", ((500, 599),), "5000"),
        ("-500", ((500, 599),), "-500"),
    ],
)
def test_error_statuses(
    text: str, ranges: Any, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Statuses and ranges of them in any order; what is neither is warned of, the rest applies."""
    config = Config.from_env({"DD_TRACE_HTTP_SERVER_ERROR_STATUSES": text})
    assert config.http_error_statuses == ranges
    begin = f"DD_TRACE_HTTP_SERVER_ERROR_STATUSES={wrong!r} is not usable"
    warnings = warnings_of(caplog)
    assert [message.startswith(begin) for message in warnings] == [True] * (wrong is not None)
