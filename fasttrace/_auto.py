"""What `fasttrace-run` and `import fasttrace.auto` do in a process, once, before the program runs.

Log correlation, DD_TRACE_METHODS, and the instrumentors of OpenTelemetry. Whatever goes wrong is a
warning; the program runs on.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace._fork import gate, load
from fasttrace.tracer import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_started = False


def start() -> None:
    """Do it all, unless it has been done or DD_TRACE_ENABLED=false."""
    global _started
    if _started:
        return
    _started = True
    config = tracer._config
    if not config.enabled:
        return
    # ddtrace 4.16: on for programs run by ddtrace-run, unless the variable says otherwise.
    if config.log_injection or config.source("log_injection") == "default":
        _step("logs", lambda: load("fasttrace.logs").enable())
    if config.trace_methods:
        _step("methods", lambda: load("fasttrace._methods").install(config.trace_methods))
    _step("instrumentation", _instrument)


def _step(name: str, do: Callable[[], None]) -> None:
    try:
        with gate:
            do()
    except Exception as error:
        _log.warn(f"auto {name}", f"{name}: {type(error).__name__}: {error}")


def _instrument() -> None:
    instrumentors = load("fasttrace._instrumentors")
    if not tracer._config.otel_enabled:
        source = tracer._config.source("otel_enabled").removeprefix("env ")
        _log.warn("otel", f"no library is instrumented: {source} turns OpenTelemetry off")
        return
    try:
        for point in instrumentors.entry_points("opentelemetry_pre_instrument"):
            point.load()()
        load("fasttrace.patching").patch_all(**tracer._config.patch_modules)
        for point in instrumentors.entry_points("opentelemetry_post_instrument"):
            point.load()()
    except instrumentors.NotInstalledError as error:
        _log.warn("otel", str(error))
