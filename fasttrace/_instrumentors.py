"""Starting OpenTelemetry's instrumentors, each once in a process, when their library is there.

The checks are those of `opentelemetry-instrument`: a library of a version that an instrumentor does
not know, or an instrumentor that cannot be imported, is left alone and gives one warning. What
differs: an instrumentor is started after the import of its library, not before the program.

Spans go to the tracer `fasttrace.tracer` by OpenTelemetry's global provider; a configurator or
distribution of OpenTelemetry's SDK is not run, as it would set up another one.
"""

from __future__ import annotations

import functools
import os
import sys

from fasttrace import _log
from fasttrace._fork import gate, load
from fasttrace._imports import Deferred, when_imported
from fasttrace._instrumentor_names import (
    KNOWN,
    OFF_BY_DEFAULT,
    instrumentors_of,
    normalised,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint
    from types import ModuleType
    from typing import Any

#: What to say where OpenTelemetry's instrumentation is not installed.
INSTALL = "install it with `pip install fasttrace[run]`"
_GROUP = "opentelemetry_instrumentor"

#: What every instrumentor imports.
_MACHINERY = (
    "wrapt",
    "opentelemetry.instrumentation.instrumentor",
    "opentelemetry.instrumentation.distro",
    "opentelemetry.instrumentation.utils",
)

_wanted: set[str] = set()  # entry points that are started or wait for their library
_ready = False  # the provider is set
_fresh = False  # nobody has used OpenTelemetry's current context
_LOG_IDS, _LOG_HANDLER = "OTEL_PYTHON_LOG_CORRELATION", "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION"
#: The parts of OpenTelemetry's API that a program may import first.
_API = tuple(f"opentelemetry.{name}" for name in ("context", "trace", "propagate", "baggage"))


class NotInstalledError(ImportError):
    """`opentelemetry-instrumentation` is missing; the message says what to install."""


def installed() -> dict[str, list[EntryPoint]]:
    """Return the instrumentors of this environment, by normalised name.

    Raises NotInstalledError.
    """
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(_GROUP):
        found.setdefault(normalised(point.name), []).append(point)
    return found


def entry_points(group: str) -> Iterable[EntryPoint]:
    """Return the entry points of a group, in OpenTelemetry's order. Raises NotInstalledError."""
    try:
        metadata = load("opentelemetry.util._importlib_metadata")
        with gate:
            from importlib.util import find_spec

            if find_spec("opentelemetry.instrumentation.instrumentor") is None:
                raise ModuleNotFoundError
    except ModuleNotFoundError:
        raise NotInstalledError(
            f"no library is instrumented: opentelemetry-instrumentation is missing; {INSTALL}"
        ) from None
    points: Iterable[EntryPoint] = metadata.entry_points(group=group)
    return points


def disabled(name: str) -> str:
    """Return what keeps an instrumentor (normalised name) from being started; "" if nothing does.

    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=flask,redis, or `*`; DD_TRACE_FLASK_ENABLED=false, also
    with the name that ddtrace has for it; or that it is to be asked for.
    """
    variable = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    listed = [normalised(word) for word in os.environ.get(variable, "").split(",")]
    if name in listed or "*" in listed:
        return f"{variable} says so"
    off = f"DD_TRACE_{name.upper()}_ENABLED=true asks for it" if name in OFF_BY_DEFAULT else ""
    for key, value in os.environ.items():
        if key.startswith("DD_TRACE_") and key.endswith("_ENABLED"):
            word = key[len("DD_TRACE_") : -len("_ENABLED")]
            if name in instrumentors_of(word):
                off = "" if value.strip().lower() in ("true", "1") else f"{key} says so"
    return off


def prepare() -> None:
    """Have `set_up` called at once if OpenTelemetry's API is in use, else when it is imported."""
    global _fresh
    if _ready:
        return
    if any(name in sys.modules for name in _API):
        set_up()
    elif not _fresh:
        _fresh = True
        for name in _API:
            when_imported(name, lambda module: set_up())


def set_up() -> None:
    """Make OpenTelemetry's global provider and context those of `fasttrace.tracer`."""
    global _ready
    if _ready:
        return
    _ready = True
    with Deferred():  # wrapt imports asyncio, whose instrumentor needs all of wrapt
        for name in _MACHINERY:
            load(name)
        _set_up()


def _set_up() -> None:
    context, trace = load("opentelemetry.context"), load("opentelemetry.trace")
    if _fresh:
        context._RUNTIME_CONTEXT = load("fasttrace._otel_context").RuntimeContext()
    provider = load("fasttrace.opentelemetry").TracerProvider
    current = trace._TRACER_PROVIDER
    if current is None:
        trace.set_tracer_provider(provider())
    elif not isinstance(current, provider):
        _log.warn(
            "provider",
            "OpenTelemetry has another TracerProvider already, which gets the spans of "
            f"instrumented libraries: {type(current).__module__}.{type(current).__qualname__}",
        )


def want(points: Iterable[EntryPoint], raise_errors: bool = False) -> None:
    """Start these instrumentors: now if their library has been imported, else when it is.

    Raises, if told to, what goes wrong with those that are started now.
    """
    for point in points:
        if point.value in _wanted:
            continue
        name = normalised(point.name)
        if name == "logging" and not {_LOG_IDS, _LOG_HANDLER} & set(os.environ):
            continue  # `fasttrace.logs` does it, for less
        _wanted.add(point.value)
        modules = KNOWN.get(name, ((), ""))[0]
        if any(module in sys.modules for module in modules) or not modules:
            _begin(point, raise_errors)
        for module in modules:
            if module not in sys.modules:
                when_imported(module, _beginner(point))
        # If the program imports the instrumentor first, its library waits until that is complete.
        when_imported(point.module, lambda module: None)


def _beginner(point: EntryPoint) -> Any:
    def begin(module: ModuleType) -> None:
        _begin(point, False)

    return begin


def _begin(point: EntryPoint, raise_errors: bool) -> None:
    name = normalised(point.name)
    if name == "django":
        _before_django_setup(point)
    elif name == "threading":
        _before_first_thread(point)
    else:
        _start(point, raise_errors)


def _before_django_setup(point: EntryPoint) -> None:
    """Start Django's instrumentor when the program sets Django up.

    It changes the list of middlewares, for which it needs the settings. Where it finds none it
    makes empty ones, and those of the program would no longer count.
    """
    django: Any = sys.modules["django"]
    apps = sys.modules.get("django.apps")
    if apps is not None and apps.apps.ready:
        _start(point, False)
        return
    set_up_django = django.setup

    def setup(*args: Any, **kwargs: Any) -> Any:
        django.setup = set_up_django
        if os.environ.get("DJANGO_SETTINGS_MODULE") or load("django.conf").settings.configured:
            _start(point, False)
        return set_up_django(*args, **kwargs)

    django.setup = setup


def _before_first_thread(point: EntryPoint) -> None:
    """Start the instrumentor of threads, and of pools of them, when the first one is started.

    `threading` is imported in every process, and most of them start none.
    """
    thread: Any = sys.modules["threading"].Thread
    original = thread.start
    begun = False

    def begin() -> None:
        nonlocal begun
        if not begun:
            begun = True
            if thread.start is start:
                thread.start = original
            _start(point, False)

    @functools.wraps(original)
    def start(self: Any) -> Any:
        if begun:  # somebody has wrapped this function meanwhile
            return original(self)
        begin()
        return thread.start(self)

    thread.start = start


def _start(point: EntryPoint, raise_errors: bool) -> None:
    name = normalised(point.name)
    try:
        set_up()
        with gate:
            if _is_wrong_version(point):
                return
            made = point.load()()
            if getattr(made, "is_instrumented_by_opentelemetry", False):
                return  # the program has done it itself
            options = {"skip_dep_check": True}
            if name == "logging" and _LOG_HANDLER not in os.environ:
                # A handler for OpenTelemetry's logs, of which there are none here: with it,
                # logging.basicConfig() of the program would no longer do anything.
                options["enable_log_auto_instrumentation"] = False
            load("opentelemetry.instrumentation.distro").DefaultDistro().load_instrumentor(
                point, **options
            )
        _log.debug(f"instrumented: {name}")
    except (Exception, SystemExit) as error:
        if raise_errors and isinstance(error, Exception):
            raise
        if isinstance(error, ModuleNotFoundError) and name not in KNOWN:
            _log.debug(f"{name} is not instrumented: {error}")  # its library is not installed
        else:
            _log.warn(
                f"instrumentor {name}",
                f"{name} is not instrumented: {type(error).__name__}: {error}",
            )


def _is_wrong_version(point: EntryPoint) -> bool:
    """Whether the library has a version that the instrumentor does not know; warn if so."""
    distribution = getattr(point, "dist", None)
    check = getattr(
        load("opentelemetry.instrumentation.dependencies"), "get_dist_dependency_conflicts", None
    )
    conflict = check(distribution) if check is not None and distribution is not None else None
    if conflict is None:
        return False
    if getattr(conflict, "found", None) or getattr(conflict, "found_any", None):
        _log.warn(f"instrumentor {point.name}", f"{point.name} is not instrumented: {conflict}")
    else:
        _log.debug(f"{point.name} is not instrumented: {conflict}")
    return True
