"""What `fasttrace-run` and `import fasttrace.auto` do in a process, once, before the program runs.

Log correlation, DD_TRACE_METHODS, and the instrumentors of OpenTelemetry. Whatever goes wrong is a
warning; the program runs on.
"""

from __future__ import annotations

import os
import sys

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
    if sys.argv[:1] == ["-m"] and not config.service:
        _step("service", _name_service)
    # ddtrace 4.16: on for programs run by ddtrace-run, unless the variable says otherwise.
    if config.log_injection or config.source("log_injection") == "default":
        _step("logs", lambda: load("fasttrace.logs").enable())
    if config.trace_methods:
        _step("methods", lambda: load("fasttrace._methods").install(config.trace_methods))
    _step("instrumentation", _instrument)


def _name_service() -> None:
    """Infer the service of `python -m module`, whose file is in `sys.argv` only after this."""
    number = len(sys.argv)  # the module and its arguments
    module = sys.orig_argv[-number].removeprefix("-m")
    argv = [_file_of(module), *sys.argv[1:]]
    config = tracer._config
    object.__setattr__(config, "_inferred", load("fasttrace._service_name").infer_service(argv))
    tracer._apply_tags()


def _file_of(module: str) -> str:
    """Return the file that `python -m module` will run, "" if there is none; import nothing."""
    find = load("importlib.machinery").PathFinder.find_spec
    path = [*([] if getattr(sys.flags, "safe_path", False) else [os.getcwd()]), *sys.path]
    name, spec = "", None
    for part in [*module.split("."), "__main__"]:
        name = f"{name}.{part}" if name else part
        spec = find(name, path) or (spec if part == "__main__" else None)
        if spec is None or spec.submodule_search_locations is None:
            break
        path = list(spec.submodule_search_locations)
    return (spec.origin or "") if spec is not None else ""


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
