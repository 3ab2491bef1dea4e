"""`Tracer`: the Python half of the tracer. Nothing in here runs once per span.

Spans are started, found and encoded by the compiled base class; this class configures it, owns the
flusher, and keeps the names of ddtrace 4.16 and of the older releases.
"""

from __future__ import annotations

import os

from fasttrace import _log, _span
from fasttrace._address import changed_agent_url, check_dogstatsd_url
from fasttrace._fork import check_process, load
from fasttrace.config import Config, check_number
from fasttrace.flusher import Flusher
from fasttrace.provider import DefaultContextProvider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from fasttrace._span import Context, Span
    from fasttrace.carrying import Detached
    from fasttrace.filters import TraceFilter
    from fasttrace.provider import BaseContextProvider

    F = TypeVar("F", bound=Callable[..., Any])

_default_provider = DefaultContextProvider()
_ACTING_TAGS = ("manual.keep", "manual.drop", "service.name")


class Tracer(_span.TracerCore):
    """Makes spans, and sends them to the Datadog agent in the background.

    Args:
        url: address of the agent, `http://host:port`, `https://host:port` or `unix:///path`;
            None: as configured.
        dogstatsd_url: address of DogStatsD, for health metrics.
        context_provider: where the active span is kept; None: the compiled default.
        config: all settings; None: from the environment.

    Raises:
        ValueError: `url` has an unsupported scheme.

    """

    SHUTDOWN_TIMEOUT = 5  # seconds; what ddtrace calls it, the default of shutdown()

    def __init__(
        self,
        url: str | None = None,
        dogstatsd_url: str | None = None,
        context_provider: BaseContextProvider | None = None,
        *,
        config: Config | None = None,
    ) -> None:
        if config is None:
            config = Config.from_env()
        changes = {"agent_url": url, "dogstatsd_url": dogstatsd_url}
        changes = {name: value for name, value in changes.items() if value is not None}
        self._config = config.replace(**changes) if changes else config
        self._tags: dict[str, Any] = {}
        self._filters: list[TraceFilter] = []
        self._start_hooks: list[Callable[[Span], Any]] = []
        self._provider = context_provider
        self._start_sending()
        self._apply_config()
        if self._config.inplace_context and (answer := _span.use_inplace_context(True)) != "on":
            _log.warn("inplace_context", f"FASTTRACE_INPLACE_CONTEXT has no effect; {answer}")
        self.enabled = self._config.enabled

    # -- configuration -----------------------------------------------------------------------------

    def _start_sending(self) -> None:
        """Have what is finished from now on sent to the configured agent."""
        self._set_stats(None)  # until the agent has said that it takes them
        self._flusher = Flusher(self, None, self._config)
        self._on_first_chunk = self._flusher.start
        self._set_native_events(self._config.native_span_events)  # else as this agent likes it

    def _apply_config(self) -> None:
        config = self._config
        self._set_wire("v0.4" if config.native_span_events else config.api_version)
        self._set_wide_ids(config.trace_id_128bit)
        self._set_limits(
            config.partial_flush_min_spans if config.partial_flush_enabled else 0,
            config.buffer_max_bytes,
            config.payload_max_bytes,
            traceback_max_frames=config.traceback_max_frames,
        )
        self._apply_sampling()
        self._apply_hooks()
        self._apply_tags()

    def _apply_sampling(self) -> None:
        config = self._config
        rules: list[dict[str, Any]] = []
        spans: list[dict[str, Any]] = []
        if config.sampling_rules or config.span_sampling_rules or config.sample_rate is not None:
            rules, spans = load("fasttrace.sampling").compiled(config)
        self._set_sampling(
            rules, config.rate_limit, spans, config.tail_max_spans, config.tail_max_bytes
        )

    def _apply_hooks(self) -> None:
        # Tracer-wide tags that do something beyond being there do it to each span.
        tags = {**self._config.tags, **self._tags}
        acting = {key: tags[key] for key in _ACTING_TAGS if key in tags}
        hooks: list[Callable[[Span], Any]] = list(self._start_hooks)
        if acting:
            hooks.append(lambda span: span.set_tags(acting))
        self._set_hooks(self._filters, hooks, self._config.service_mapping, self._provider)

    def _apply_tags(self) -> None:
        """Tell the core the tags that spans begun from now on carry."""
        config = self._config
        scratch = _span.Span("")
        scratch.set_tags(config.tags)
        scratch.set_tags(self._tags)
        if config.env:
            scratch.set_tag("env", config.env)
        chunk = {"language": "python"}
        if config.git_metadata_enabled:
            for name, value in (
                ("_dd.git.repository_url", config.git_repository_url),
                ("_dd.git.commit.sha", config.git_commit_sha),
                ("_dd.python_main_package", config.main_package),
            ):
                if value:
                    chunk[name] = value
        self._set_profile(
            config.service or config.inferred_service,
            config.env,
            config.version,
            scratch.get_tags(),
            scratch.get_metrics(),
            {"runtime-id": _runtime_id},
            {"process_id": os.getpid()},
            {"_dd.hostname": config.hostname} if config.report_hostname and config.hostname else {},
            chunk,
        )

    def configure(
        self,
        context_provider: BaseContextProvider | None = None,
        compute_stats_enabled: bool | None = None,
        appsec_enabled: bool | None = None,
        appsec_enabled_origin: object = None,
        iast_enabled: bool | None = None,
        apm_tracing_disabled: bool | None = None,
        trace_processors: Iterable[TraceFilter] | None = None,
        *,
        enabled: bool | None = None,
        hostname: str | None = None,
        port: int | None = None,
        uds_path: str | None = None,
        https: bool | None = None,
        sampler: object = None,
        settings: Mapping[str, Any] | None = None,
        dogstatsd_url: str | None = None,
        api_version: str | None = None,
        partial_flush_enabled: bool | None = None,
        partial_flush_min_spans: int | None = None,
        priority_sampling: bool | None = None,
        wrap_executor: Callable[..., Any] | None = None,
        writer: object = None,
        appsec_standalone_enabled: bool | None = None,
        sampling_rules: str | Sequence[Mapping[str, Any]] | None = None,
        span_sampling_rules: str | Sequence[Mapping[str, Any]] | None = None,
        sample_rate: float | None = None,
        rate_limit: int | None = None,
    ) -> None:
        """Change settings; None leaves one as it is. Any change turns a disabled tracer on.

        The positional arguments are those of ddtrace 4.16, the keyword-only ones those of ddtrace
        2.x. Those of other products (appsec, iast) are accepted and have no effect.

        Args:
            context_provider: where the active span is kept.
            compute_stats_enabled: whether traces are counted here, if the agent can do without.
            trace_processors: filters that see every finished chunk; replaces the earlier ones.
            settings: `{"FILTERS": [...]}`, the older way to give `trace_processors`.
            enabled: whether spans are recorded.
            hostname, port, https: address of the agent, each on its own or together.
            uds_path: path of the agent's Unix socket.
            dogstatsd_url: address of DogStatsD.
            api_version: "v0.4" or "v0.5".
            partial_flush_enabled, partial_flush_min_spans: see `Config`.
            sampling_rules, span_sampling_rules: replace the rules for later decisions; lists of
                dicts, or JSON as in the environment. An empty list: no rules.
            sample_rate: share of traces kept where no rule matches, 0.0 to 1.0.
            rate_limit: most traces a second that rules keep; negative: no limit.
            wrap_executor: called as f(tracer, function, args, kwargs, name, service=, resource=,
                span_type=) in place of plain functions that are wrapped.

        Raises:
            ValueError: an address, a number or `api_version` is not usable. Nothing is changed.

        """
        given = dict(locals())
        del given["self"]
        if all(value is None for value in given.values()):
            return
        for name in ("sampler", "writer"):
            if given[name]:
                _log.warn(f"configure_{name}", f"Tracer.configure: {name} has no effect here")
        changes = {
            "agent_url": changed_agent_url(self._config.agent_url, hostname, port, https, uds_path),
            "dogstatsd_url": dogstatsd_url,
            "api_version": api_version,
            "partial_flush_enabled": partial_flush_enabled,
            "partial_flush_min_spans": partial_flush_min_spans,
            "sampling_rules": sampling_rules,
            "span_sampling_rules": span_sampling_rules,
            "sample_rate": sample_rate,
            "rate_limit": rate_limit,
            "stats_enabled": compute_stats_enabled,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        for name in changes.keys() & {"partial_flush_min_spans", "sample_rate", "rate_limit"}:
            changes[name] = check_number(name, changes[name])
        if dogstatsd_url is not None:
            changes["dogstatsd_url"] = check_dogstatsd_url(dogstatsd_url)
        config = self._config.replace(**changes)
        if settings is not None and settings.get("FILTERS") is not None:
            self._filters = list(settings["FILTERS"])
        if trace_processors is not None:
            self._filters = list(trace_processors)
        if wrap_executor is not None:
            self._wrap_executor = wrap_executor
        if context_provider is not None:
            own = not isinstance(context_provider, DefaultContextProvider)
            self._provider = context_provider if own else None
        if changes:
            self._config = config
            if (
                "agent_url" in changes or "stats_enabled" in changes
            ):  # what is buffered still goes to the agent it was meant for
                self._flusher.stop(self._config.exit_timeout_s)
                self._start_sending()
            self._apply_config()
        else:
            self._apply_hooks()
        self.enabled = True if enabled is None else enabled

    @property
    def agent_trace_url(self) -> str:
        """Address traces are sent to."""
        return self._config.agent_url

    @property
    def debug_logging(self) -> bool:
        """Whether debug lines are logged."""
        return self._config.debug

    @property
    def context_provider(self) -> BaseContextProvider:
        """Where the active span is kept; `activate(context)` continues a trace."""
        return self._provider if self._provider is not None else _default_provider

    def set_tag(self, key: str, value: object = None) -> None:
        """Put a tag on every span begun from now on."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Put tags on every span begun from now on; as Span.set_tags, numbers become metrics."""
        self._tags.update(tags)
        self._apply_tags()
        self._apply_hooks()

    def on_start_span(self, func: F) -> F:
        """Call `func(span)` with every span that starts; returns `func`, so it is a decorator."""
        self._start_hooks.append(func)
        self._apply_hooks()
        return func

    def deregister_on_start_span(self, func: F) -> F:
        """Undo `on_start_span`."""
        self._start_hooks = [kept for kept in self._start_hooks if kept is not func]
        self._apply_hooks()
        return func

    # -- spans -------------------------------------------------------------------------------------

    def wrap(
        self,
        name: str | Callable[..., Any] | None = None,
        service: str | None = None,
        resource: str | None = None,
        span_type: str | None = None,
        *,
        activate_in_consumer: bool = False,
    ) -> Callable[[F], F]:
        """Trace every call of a function: `@tracer.wrap()` or `@tracer.wrap("name", service="s")`.

        Works on functions, coroutine functions, generators, async generators, methods, class and
        static methods, partials and callable objects. The span of a generator covers its whole
        iteration.

        Args:
            name: span name; None: module and name of the function.
            service, resource, span_type: as for `trace`.
            activate_in_consumer: a generator's span stays active while its consumer runs, as
                wanted under `contextlib.contextmanager` and for dependencies that yield.

        """
        wrap = load("fasttrace.wrapping").wrap

        def decorator(function: F) -> F:
            wrapped: F = wrap(
                self,
                function,
                None if callable(name) else name,
                service,
                resource,
                span_type,
                activate_in_consumer,
                self._config.wrap_name_include_class,
            )
            return wrapped

        if callable(name):  # @tracer.wrap without parentheses
            return decorator(name)
        return decorator

    def carry(self, function: F) -> F:
        """Return `function` bound to the active trace, for a thread, an executor or a process.

        `executor.submit(tracer.carry(work), argument)`: plain threads begin with nothing active.
        """
        carried: F = load("fasttrace.carrying").carry(function, None, self._provider)
        return carried

    def detached(self) -> Detached:
        """Keep background work out of the active trace: `with tracer.detached(): begin_it()`.

        What starts in the block, and in tasks begun in it, belongs to traces of its own. Also for
        `async with`, and as decorator `@tracer.detached()` of functions and coroutine functions.
        """
        detached: Detached = load("fasttrace.carrying").Detached(self._provider)
        return detached

    def sample(self, span: Span) -> None:
        """Take the sampling decision of the span's trace now, unless it has been taken."""
        self._decide(span)

    def get_log_correlation_context(self, active: Span | Context | None = None) -> dict[str, str]:
        """Return what a log line needs to be found from a trace (keys of ddtrace 4.16).

        Args:
            active: span or context to use instead of the active one.

        """
        item = active if active is not None else self.current_trace_context()
        trace_id = span_id = 0
        if item is not None and self.enabled:
            trace_id, span_id = item.trace_id or 0, item.span_id or 0
        return {
            "dd.trace_id": f"{trace_id:032x}" if trace_id >> 64 else str(trace_id),
            "dd.span_id": str(span_id),
            "dd.service": self._config.service or self._config.inferred_service or "",
            "dd.version": self._config.version or "",
            "dd.env": self._config.env or "",
        }

    # -- sending -----------------------------------------------------------------------------------

    def flush(self, timeout_s: float | None = None) -> bool:
        """Send what is finished and wait for the agent's answer.

        Returns whether everything was delivered within `timeout_s` seconds (None: 5).
        """
        return self._flusher.flush(timeout_s)

    def shutdown(self, timeout: float | None = None) -> None:
        """Send what is finished, then stop recording.

        Args:
            timeout: seconds that may take; None: SHUTDOWN_TIMEOUT.

        """
        unfinished = self.stats()["open"]
        if unfinished and self.enabled:
            _log.warn("unfinished", f"shutdown: {unfinished} spans are not finished, so not sent")
        self._flusher.stop(self.SHUTDOWN_TIMEOUT if timeout is None else timeout)
        if self.enabled:
            _log.debug("the tracer was shut down: spans begun from now on are not recorded")
        self.enabled = False
        try:
            self.context_provider.activate(None)
        except Exception as error:  # of a provider of the application's own
            _log.warn("context_provider", f"the context provider raised {type(error).__name__}")

    def __repr__(self) -> str:
        return f"<Tracer agent={self._config.agent_url} enabled={self.enabled}>"


class _ImportedTracer(Tracer):
    """The default tracer: its hot methods are bound once and kept in slots.

    CPython compiles `tracer.trace(...)` on an imported name to a plain attribute access. That finds
    a slot at once, but binds a method anew each time, which takes as long as an eighth of a span.
    """

    __slots__ = ("current_root_span", "current_span", "start_span", "trace")

    def __init__(self, config: Config) -> None:
        super().__init__(config=config)
        for name in self.__slots__:
            setattr(self, name, getattr(super(), name))


_ImportedTracer.__name__ = _ImportedTracer.__qualname__ = "Tracer"


def _new_runtime_id() -> str:
    """32 hex digits of a random UUID (version 4)."""
    noise = bytearray(os.urandom(16))
    noise[6] = noise[6] & 0x0F | 0x40
    noise[8] = noise[8] & 0x3F | 0x80
    return noise.hex()


_runtime_id = _new_runtime_id()  # one for the process, whatever the number of tracers
_runtime_pid = os.getpid()


def _after_fork(core: Tracer) -> None:
    """Give the tracers of a forked child the new process's identity."""
    global _runtime_id, _runtime_pid
    check_process()
    if os.getpid() != _runtime_pid:
        _runtime_id, _runtime_pid = _new_runtime_id(), os.getpid()
    core._apply_tags()


def _set_up() -> Tracer:
    """The default tracer, with the settings that concern the whole process applied."""
    _span.set_warn_hook(_log.warn)
    _span.set_fork_hook(_after_fork)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_span.decide_before_fork)
    config = Config.from_env()
    _log.configure(config.logging_rate_s, config.debug)
    if config.startup_logs or config.debug:
        load("fasttrace._startup").log_configuration(config)
    return _ImportedTracer(config)


tracer = _set_up()
if tracer._config.log_injection:
    load("fasttrace.logs").enable()
