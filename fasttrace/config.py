"""Every setting of the tracer: its name, default, unit and environment variables.

`FIELDS` is the whole list. A `Config` is made once from the environment and from what the program
says, and never changes; `Config.replace` makes another one. A value that cannot be read gives one
warning and the default. Names, precedence and defaults are those of ddtrace 4.16 unless the row
says otherwise.
"""

from __future__ import annotations

import os
import sys

from fasttrace import _address, _parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_MIB = 1 << 20


class Field:
    """One row of the table of settings.

    * name: attribute of Config
    * default: value where nobody sets one
    * kind: type or unit, for people
    * env: environment variables, the first one that is set counts; an empty one is not set
    * parse: str -> value, or ValueError saying what was expected
    * doc: what the setting does
    """

    __slots__ = ("default", "doc", "env", "kind", "name", "parse")

    def __init__(
        self,
        name: str,
        default: object,
        kind: str,
        env: tuple[str, ...],
        parse: Callable[[str], object],
        doc: str,
    ) -> None:
        self.name = name
        self.default = default
        self.kind = kind
        self.env = env
        self.parse = parse
        self.doc = doc


def _not_none_exporter(value: str) -> bool:
    return value.strip().lower() != "none"


def _debug_level(value: str) -> bool:
    return value.strip().lower() == "debug"


def _not_disabled(value: str) -> bool:
    return value.strip().lower() != "true"


# Variables that do not hold the setting itself but imply it; read differently from the others of
# their row.
_IMPLIED: dict[str, Callable[[str], object]] = {
    "OTEL_TRACES_EXPORTER": _not_none_exporter,
    "OTEL_LOG_LEVEL": _debug_level,
    "OTEL_SDK_DISABLED": _not_disabled,
}

# Variables that mean something else than "not set" when they are set to nothing.
_EMPTY_COUNTS = frozenset({"DD_TRACE_BAGGAGE_TAG_KEYS", "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP"})

_text, _bool, _tags = _parse.text, _parse.boolean, _parse.tags

# fmt: off
FIELDS: tuple[Field, ...] = (
    # what the traces say about their service
    Field("service", None, "text", ("DD_SERVICE",), _text,
          "Service of spans that name none. Then `service` of DD_TAGS, then OTEL_SERVICE_NAME."),
    Field("env", None, "text", ("DD_ENV",), _text, "Tag `env` of every span."),
    Field("version", None, "text", ("DD_VERSION",), _text, "Tag `version` of the service's spans."),
    Field("tags", {}, "key:value list", ("DD_TAGS",), _tags, "Tags of every span."),
    Field("service_mapping", {}, "old:new list", ("DD_SERVICE_MAPPING",), _parse.mapping,
          "Services renamed when a span begins."),
    Field("report_hostname", False, "bool", ("DD_TRACE_REPORT_HOSTNAME",), _bool,
          "Whether root spans carry the host's name."),
    Field("hostname", None, "text", ("DD_HOSTNAME",), _text,
          "The host's name, reported if `report_hostname` is on; the system's unless given."),
    Field("external_env", None, "text", ("DD_EXTERNAL_ENV",), _text,
          "Environment data from the container platform, passed to the agent as it is."),
    Field("git_commit_sha", None, "text", ("DD_GIT_COMMIT_SHA",), _text, "Commit of the sources."),
    Field("git_repository_url", None, "text", ("DD_GIT_REPOSITORY_URL",), _text,
          "Repository of the sources; user name and password are removed."),
    Field("main_package", None, "text", ("DD_MAIN_PACKAGE",), _text,
          "Package whose repository and commit these are."),
    Field("git_metadata_enabled", True, "bool", ("DD_TRACE_GIT_METADATA_ENABLED",), _bool,
          "Whether traces carry repository and commit."),
    # whether and what to trace
    Field("enabled", True, "bool", ("DD_TRACE_ENABLED", "OTEL_TRACES_EXPORTER"), _bool,
          "Whether spans are recorded and sent. OTEL_TRACES_EXPORTER=none means false."),
    Field("otel_enabled", True, "bool", ("DD_TRACE_OTEL_ENABLED", "OTEL_SDK_DISABLED"), _bool,
          "Whether `fasttrace.opentelemetry.TracerProvider` records (ddtrace: false). "
          "OTEL_SDK_DISABLED=true means false."),
    Field("trace_id_128bit", True, "bool", ("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED",), _bool,
          "Whether new trace ids have 128 bits, or 64."),
    Field("sample_rate", None, "0 to 1", ("DD_TRACE_SAMPLE_RATE",), _parse.number(0.0, 1.0),
          "Share of traces kept where no rule matches. Then OTEL_TRACES_SAMPLER and its _ARG."),
    Field("rate_limit", 100, "traces/s", ("DD_TRACE_RATE_LIMIT",), _parse.integer(),
          "Most traces a second that sampling rules keep; negative: no limit."),
    Field("sampling_rules", "", "JSON or list", ("DD_TRACE_SAMPLING_RULES",), _text,
          "Which traces are kept; the first rule that matches counts."),
    Field("span_sampling_rules", "", "JSON or list", ("DD_SPAN_SAMPLING_RULES",), _text,
          "Rules for single spans of dropped traces. Then the file DD_SPAN_SAMPLING_RULES_FILE."),
    Field("tail_max_spans", 100_000, "spans", ("FASTTRACE_TAIL_MAX_SPANS",), _parse.integer(0),
          "Most finished spans held for rules that keep traces by how they end."),
    Field("tail_max_bytes", 20 * _MIB, "bytes", ("FASTTRACE_TAIL_MAX_BYTES",), _parse.integer(0),
          "Most memory of such spans, as estimated."),
    Field("partial_flush_enabled", True, "bool", ("DD_TRACE_PARTIAL_FLUSH_ENABLED",), _bool,
          "Whether finished spans of a long trace leave before it is complete."),
    Field("partial_flush_min_spans", 300, "spans", ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS",),
          _parse.raised_integer(1),
          "How many finished spans of one trace start a partial flush; less than 1 means 1."),
    Field("traceback_max_frames", 30, "frames", ("DD_TRACE_SPAN_TRACEBACK_MAX_SIZE",),
          _parse.integer(0), "Most frames of a traceback in `error.stack`."),
    Field("wrap_name_include_class", False, "bool", ("DD_TRACE_WRAP_SPAN_NAME_INCLUDE_CLASS",),
          _bool, "Whether the span name of a wrapped method holds its class."),
    Field("native_span_events", False, "bool", ("DD_TRACE_NATIVE_SPAN_EVENTS",), _bool,
          "Whether span events are sent in their own field; unset: if the agent offers that."),
    Field("log_injection", False, "bool", ("DD_LOGS_INJECTION",), _bool,
          "Whether log records get the ids of the active span."),
    # whole programs: fasttrace-run, fasttrace.auto
    Field("trace_methods", "", "list of functions", ("DD_TRACE_METHODS",), _text,
          "Functions traced by name: module:function,Class.method;module:function."),
    Field("patch_modules", {}, "library:bool list", ("DD_PATCH_MODULES",), _parse.switches,
          "Libraries that are instrumented, or are not, whatever the default."),
    # one trace across services
    Field("propagation_style_inject", ("datadog", "tracecontext", "baggage"), "list of styles",
          ("DD_TRACE_PROPAGATION_STYLE_INJECT", "DD_TRACE_PROPAGATION_STYLE", "OTEL_PROPAGATORS"),
          _parse.propagation_styles,
          "Headers written: datadog, tracecontext, b3, b3multi, baggage; none for none."),
    Field("propagation_style_extract", ("datadog", "tracecontext", "baggage"), "list of styles",
          ("DD_TRACE_PROPAGATION_STYLE_EXTRACT", "DD_TRACE_PROPAGATION_STYLE", "OTEL_PROPAGATORS"),
          _parse.propagation_styles, "Headers read; the first style found names the trace."),
    Field("propagation_extract_first", False, "bool", ("DD_TRACE_PROPAGATION_EXTRACT_FIRST",),
          _bool, "Whether only the first style of `propagation_style_extract` is tried."),
    Field("propagation_behavior_extract", "continue", "continue, restart or ignore",
          ("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT",),
          _parse.choice("continue", "restart", "ignore"),
          "What is done with a trace from outside: continue it, begin one with a link, nothing."),
    Field("propagation_tags_max_chars", 512, "characters",
          ("DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH",), _parse.tags_max_length,
          "Longest x-datadog-tags that is written; 0: none is."),
    Field("propagation_ot_baggage", False, "bool",
          ("DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED",), _bool,
          "Whether baggage is also written to and read from headers ot-baggage-<key>."),
    Field("baggage_tag_keys", ("user.id", "account.id", "session.id"), "list of keys",
          ("DD_TRACE_BAGGAGE_TAG_KEYS",), _parse.names,
          "Items of extracted baggage that become tags baggage.<key>; * for all."),
    # requests served: fasttrace.contrib
    Field("http_query_string", True, "bool", ("DD_HTTP_SERVER_TAG_QUERY_STRING",), _bool,
          "Whether `http.url` holds the query string of a request, secrets replaced."),
    Field("http_query_secrets", None, "regular expression",
          ("DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP",), _text,
          "What counts as a secret in a query string; empty: nothing does."),
    Field("http_error_statuses", ((500, 599),), "list of statuses",
          ("DD_TRACE_HTTP_SERVER_ERROR_STATUSES",), _parse.statuses,
          "Statuses that make a served request an error, such as 500-599,404."),
    Field("tsc_enabled", True, "bool", ("FASTTRACE_TSC",), _bool,
          "Whether the processor's own clock may be used where it is reliable."),
    Field("inplace_context", False, "bool", ("FASTTRACE_INPLACE_CONTEXT",), _bool,
          "Experiment: whether the active span may be written in place; see docs/context.md."),
    # how to send
    Field("exporter", "agent", "agent or console", ("OTEL_TRACES_EXPORTER",), _parse.exporter,
          "Whether finished traces go to the agent or are printed. OTEL_TRACES_EXPORTER=none sends "
          "nothing: see `enabled`."),
    Field("agent_url", "http://localhost:8126", "URL", ("DD_TRACE_AGENT_URL",), _text,
          "Where the agent is. Then DD_TRACE_AGENT_HOSTNAME or DD_AGENT_HOST with "
          "DD_TRACE_AGENT_PORT or DD_AGENT_PORT, then the agent's Unix socket."),
    Field("dogstatsd_url", "udp://localhost:8125", "URL", ("DD_DOGSTATSD_URL",), _text,
          "Where DogStatsD is. Then DD_DOGSTATSD_HOST or DD_AGENT_HOST with DD_DOGSTATSD_PORT."),
    Field("agent_timeout_s", 2.0, "seconds", ("DD_TRACE_AGENT_TIMEOUT_SECONDS",),
          _parse.number(0.01, 3600.0),
          "Longest time of one attempt to send: name look-up, connecting, sending, reply."),
    Field("api_version", "v0.4", "v0.4 or v0.5", ("DD_TRACE_API_VERSION",),
          _parse.choice("v0.4", "v0.5"),
          "Format of the traces (ddtrace: v0.5). An agent that refuses v0.5 gets v0.4."),
    Field("buffer_max_bytes", 20 * _MIB, "bytes", ("DD_TRACE_WRITER_BUFFER_SIZE_BYTES",),
          _parse.integer(1024), "Most encoded traces kept in memory; newer ones are dropped."),
    Field("payload_max_bytes", 20 * _MIB, "bytes", ("DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES",),
          _parse.integer(1024, 25 * _MIB),
          "Largest body of one request; an agent refuses more than 25 MiB."),
    Field("flush_interval_s", 1.0, "seconds", ("DD_TRACE_WRITER_INTERVAL_SECONDS",),
          _parse.number(0.001, 3600.0), "Time between two deliveries."),
    Field("reuse_connections", True, "bool", ("DD_TRACE_WRITER_REUSE_CONNECTIONS",), _bool,
          "Whether one connection serves many requests."),
    Field("additional_headers", {}, "name:value list", ("_DD_TRACE_WRITER_ADDITIONAL_HEADERS",),
          _parse.headers, "More headers of each request, for tests."),
    Field("stats_enabled", False, "bool",
          ("DD_TRACE_STATS_COMPUTATION_ENABLED", "DD_TRACE_COMPUTE_STATS"), _bool,
          "Whether traces are counted here, if the agent can do without; see docs/sampling.md."),
    # life and death of the process
    Field("exit_timeout_s", 2.0, "seconds", ("FASTTRACE_EXIT_TIMEOUT_SECONDS",),
          _parse.number(0.0, 3600.0), "Longest delay of the process's exit (ddtrace: 5)."),
    Field("sigterm_enabled", True, "bool", ("FASTTRACE_SIGTERM",), _bool,
          "Whether SIGTERM sends what is finished before it ends the process."),
    # what the tracer says about itself
    Field("debug", False, "bool", ("DD_TRACE_DEBUG", "OTEL_LOG_LEVEL"), _bool,
          "Whether debug lines are logged."),
    Field("logging_rate_s", 65.0, "seconds", ("DD_TRACE_LOGGING_RATE",), _parse.number(0.0),
          "Least time between two warnings of the same cause; 0: no limit."),
    Field("startup_logs", False, "bool", ("DD_TRACE_STARTUP_LOGS",), _bool,
          "Whether the configuration is logged at the start."),
    Field("health_metrics_enabled", False, "bool", ("DD_TRACE_HEALTH_METRICS_ENABLED",), _bool,
          "Whether counters of the tracer itself go to DogStatsD."),
)
# fmt: on

_NAMES = frozenset(field.name for field in FIELDS)


class Config:
    """All settings of one tracer. Attributes are those of `FIELDS` and cannot be set.

    Made by `Config.from_env`.
    """

    __slots__ = ("_inferred", "_sources", *(field.name for field in FIELDS))

    service: str | None
    env: str | None
    version: str | None
    tags: dict[str, str]
    service_mapping: dict[str, str]
    report_hostname: bool
    hostname: str | None
    external_env: str | None
    git_commit_sha: str | None
    git_repository_url: str | None
    main_package: str | None
    git_metadata_enabled: bool
    enabled: bool
    otel_enabled: bool
    trace_id_128bit: bool
    sample_rate: float | None
    rate_limit: int
    sampling_rules: str | list[dict[str, object]]
    span_sampling_rules: str | list[dict[str, object]]
    tail_max_spans: int
    tail_max_bytes: int
    partial_flush_enabled: bool
    partial_flush_min_spans: int
    traceback_max_frames: int
    wrap_name_include_class: bool
    native_span_events: bool
    log_injection: bool
    trace_methods: str
    patch_modules: dict[str, bool]
    propagation_style_inject: tuple[str, ...]
    propagation_style_extract: tuple[str, ...]
    propagation_extract_first: bool
    propagation_behavior_extract: str
    propagation_tags_max_chars: int
    propagation_ot_baggage: bool
    baggage_tag_keys: tuple[str, ...]
    http_query_string: bool
    http_query_secrets: str | None
    http_error_statuses: tuple[tuple[int, int], ...]
    tsc_enabled: bool
    inplace_context: bool
    exporter: str
    agent_url: str
    dogstatsd_url: str
    agent_timeout_s: float
    api_version: str
    buffer_max_bytes: int
    payload_max_bytes: int
    flush_interval_s: float
    reuse_connections: bool
    additional_headers: dict[str, str]
    stats_enabled: bool
    exit_timeout_s: float
    sigterm_enabled: bool
    debug: bool
    logging_rate_s: float
    startup_logs: bool
    health_metrics_enabled: bool
    _inferred: str | None
    _sources: dict[str, str]

    def __init__(self, values: dict[str, Any], sources: dict[str, str]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_sources", sources)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Config:
        """Return the settings that `environ` asks for; `overrides` win over it.

        Raises ValueError for an agent URL of an unsupported scheme or an unknown `api_version` or
        `exporter` override, TypeError for an unknown override. Any other unusable variable gives a
        warning and the default.
        """
        _check_overrides(overrides)
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for field in FIELDS:
            values[field.name], sources[field.name] = _read(field, environ)
        if "agent_url" not in overrides:  # an unusable variable must not matter then
            values["agent_url"], sources["agent_url"] = _address.find_agent_url(environ)
        values["dogstatsd_url"], sources["dogstatsd_url"] = _address.find_dogstatsd_url(environ)
        _add_otel(values, sources, environ)
        _split_tags(values, sources)
        _add_rules_file(values, sources, environ)
        config = cls(values, sources)
        return config.replace(**overrides)

    def replace(self, **overrides: Any) -> Config:
        """Return a Config with these settings changed; their source is "code".

        Raises TypeError for an unknown name, ValueError for an unusable `agent_url`,
        `api_version` or `exporter`.
        """
        _check_overrides(overrides)
        values = {name: getattr(self, name) for name in _NAMES}
        values.update(overrides)
        _complete(values)
        return Config(values, {**self._sources, **dict.fromkeys(overrides, "code")})

    def source(self, name: str) -> str:
        """Where the setting `name` comes from: "default", "env <variable>" or "code".

        Raises KeyError for an unknown name.
        """
        return self._sources[name]

    @property
    def inferred_service(self) -> str | None:
        """The service's name as the command line suggests it, as ddtrace 4.16 does; else None."""
        try:
            inferred = self._inferred
        except AttributeError:
            from fasttrace._service_name import infer_service

            inferred = infer_service(getattr(sys, "argv", ()))
            object.__setattr__(self, "_inferred", inferred)
        return inferred

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Config cannot be changed: {name} (use Config.replace)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Config cannot be changed: {name}")


def _check_overrides(overrides: dict[str, Any]) -> None:
    unknown = sorted(set(overrides) - _NAMES)
    if unknown:
        raise TypeError(f"unknown setting {', '.join(unknown)}")
    if "agent_url" in overrides:
        overrides["agent_url"] = _address.check_agent_url(overrides["agent_url"], "from the code")
    if overrides.get("api_version", "v0.4") not in ("v0.4", "v0.5"):
        raise ValueError(f"api_version {overrides['api_version']!r}: expected v0.4 or v0.5")
    if overrides.get("exporter", "agent") not in ("agent", "console"):
        raise ValueError(f"exporter {overrides['exporter']!r}: expected agent or console")


def check_number(name: str, value: object) -> Any:
    """Return the number that the program gives for the setting `name`, within its bounds.

    Raises ValueError, naming the setting and what is expected, for anything else.
    """
    [field] = [field for field in FIELDS if field.name == name]
    try:
        return field.parse(str(value))
    except ValueError as error:
        raise ValueError(f"{name} {value!r}: expected {error}") from None


def _read(field: Field, environ: Mapping[str, str]) -> tuple[Any, str]:
    for name in field.env:
        value = environ.get(name, "")
        if not value.strip() and not (name in _EMPTY_COUNTS and name in environ):
            continue
        implied = _IMPLIED.get(name) if name != field.env[0] else None
        if implied is not None:
            meant = implied(value)
            return (meant, f"env {name}") if meant != field.default else (field.default, "default")
        try:
            return field.parse(value), f"env {name}"
        except _parse.PartlyUsable as error:
            _parse.warn_wrong_value(name, error.item, str(error), error.value)
            return error.value, f"env {name}"
        except ValueError as error:
            _parse.warn_wrong_value(name, value, str(error), field.default)
            break
    default = dict(field.default) if isinstance(field.default, dict) else field.default
    return default, "default"


def _add_otel(values: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> None:
    """Apply the OTEL_* variables that stand in for unset DD_* ones."""
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if attributes.strip() and sources["tags"] == "default":
        values["tags"] = _parse.resource_attributes(attributes)
        sources["tags"] = "env OTEL_RESOURCE_ATTRIBUTES"
    otel_service = environ.get("OTEL_SERVICE_NAME", "").strip()
    if otel_service and values["service"] is None and not _tag(values, sources, "service"):
        values["service"], sources["service"] = otel_service, "env OTEL_SERVICE_NAME"
    if sources["sample_rate"] == "default":
        try:
            rate = _parse.otel_sample_rate(environ)
        except ValueError as error:
            value = environ.get("OTEL_TRACES_SAMPLER", "")
            _parse.warn_wrong_value("OTEL_TRACES_SAMPLER", value, str(error), None)
        else:
            if rate is not None:
                values["sample_rate"], sources["sample_rate"] = rate, "env OTEL_TRACES_SAMPLER"


def _tag(values: dict[str, Any], sources: dict[str, str], key: str) -> str | None:
    """The tag `key` of DD_TAGS: it wins over OTEL_SERVICE_NAME, an OTEL attribute does not."""
    tag: str | None = values["tags"].get(key) if sources["tags"] == "env DD_TAGS" else None
    return tag


def _split_tags(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Let service, env, version and git tags fill settings that are unset.

    They are settings and no longer tags then; `env` stays a tag, as in ddtrace.
    """
    tags: dict[str, str] = values["tags"]
    for key, name in (
        ("service", "service"),
        ("env", "env"),
        ("version", "version"),
        ("git.commit.sha", "git_commit_sha"),
        ("git.repository_url", "git_repository_url"),
    ):
        tag = tags.get(key)
        if tag and values[name] is None:
            values[name], sources[name] = tag, sources["tags"]
        if key != "env":
            tags.pop(key, None)


def _add_rules_file(
    values: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]
) -> None:
    path = environ.get("DD_SPAN_SAMPLING_RULES_FILE", "").strip()
    if not path or values["span_sampling_rules"]:
        return
    try:
        with open(path, encoding="utf-8") as file:
            values["span_sampling_rules"] = file.read().strip()
        sources["span_sampling_rules"] = "env DD_SPAN_SAMPLING_RULES_FILE"
    except (OSError, ValueError):
        _parse.warn_wrong_value("DD_SPAN_SAMPLING_RULES_FILE", path, "a readable file", "")


def _complete(values: dict[str, Any]) -> None:
    """Fill in what follows from other settings."""
    if values["report_hostname"] and values["hostname"] is None:
        values["hostname"] = _system_hostname()
    if values["git_repository_url"] is not None:
        values["git_repository_url"] = _address.without_password(values["git_repository_url"])


def _system_hostname() -> str | None:
    if hasattr(os, "uname"):
        return os.uname().nodename or None
    return os.environ.get("COMPUTERNAME") or None
