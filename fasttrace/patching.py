"""`patch` and `patch_all`: have libraries traced, by name, as ddtrace has them.

    from fasttrace import patch

    patch(flask=True, requests=True)

The names are ddtrace's or those of OpenTelemetry's instrumentors; docs/run.md has both. It is
OpenTelemetry's instrumentation that traces them: `pip install fasttrace[run]`.
"""

from __future__ import annotations

from fasttrace import _instrumentors, _log
from fasttrace._fork import load
from fasttrace._instrumentor_names import (
    KNOWN,
    OF_DDTRACE,
    ONLY_DDTRACE,
    instrumentors_of,
    normalised,
    package_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ModuleNotFoundException", "PatchException", "patch", "patch_all"]


class PatchException(Exception):
    """A library cannot be traced; the message says why."""


class ModuleNotFoundException(PatchException):
    """There is nothing that traces a library of that name, or it is not installed."""


def patch(raise_errors: bool = True, **patch_modules: object) -> None:
    """Trace these libraries, from now on if they are imported, else when they are.

    Args:
        raise_errors: whether what goes wrong is raised; else it is logged. What goes wrong later,
            at the import of a library, is logged in any case.
        patch_modules: library=True, by ddtrace's or OpenTelemetry's name; False says nothing.

    Raises:
        PatchException: a name is unknown, or what traces that library is not installed.

    """
    wanted = [name for name, on in patch_modules.items() if on]
    if not wanted:
        return
    try:
        there = _instrumentors.installed()
    except _instrumentors.NotInstalledError as error:
        if raise_errors:
            raise PatchException(str(error)) from None
        _log.warn("patch", str(error))
        there = {}
    points: list[EntryPoint] = []
    for name in wanted:
        if normalised(name) == "logging":
            load("fasttrace.logs").enable()
        found = [point for one in instrumentors_of(name) for point in there.get(one, ())]
        if not found and normalised(name) != "logging":
            problem = _why_not(name, there)
            if raise_errors:
                raise ModuleNotFoundException(problem)
            _log.warn(f"patch {name}", problem)
        points += found
    _start(points, raise_errors)


def patch_all(**patch_modules: object) -> None:
    """Trace every library whose instrumentor is installed. Nothing is raised.

    Args:
        patch_modules: library=False leaves one out, library=True takes it whatever the environment
            says (DD_TRACE_FLASK_ENABLED=false, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS).

    """
    chosen = {one: on for name, on in patch_modules.items() for one in instrumentors_of(name)}
    try:
        there = _instrumentors.installed()
    except _instrumentors.NotInstalledError as error:
        _log.warn("patch", str(error))
        return
    points: list[EntryPoint] = []
    for name, named in there.items():
        if chosen[name] if name in chosen else not _instrumentors.disabled(name):
            points += named
    _start(points, False)
    unknown = [name for name, on in patch_modules.items() if on and not _is_there(name, there)]
    for name in unknown:
        _log.warn(f"patch {name}", _why_not(name, there))


def _start(points: list[EntryPoint], raise_errors: bool) -> None:
    if not points:
        return
    _instrumentors.prepare()
    try:
        _instrumentors.want(points, raise_errors)
    except Exception as error:
        raise PatchException(f"{type(error).__name__}: {error}") from error


def _is_there(name: str, there: dict[str, list[EntryPoint]]) -> bool:
    return any(one in there for one in instrumentors_of(name))


def _why_not(name: str, there: dict[str, list[EntryPoint]]) -> str:
    """Return why nothing is done for a library, and what can be done about it."""
    packages = sorted({package_of(one) for one in instrumentors_of(name)} - {""})
    if packages:
        return f"{name} is not traced: `pip install {' '.join(packages)}`"
    if normalised(name) in ONLY_DDTRACE:
        return f"{name} is not traced: OpenTelemetry has no instrumentation of it"
    known = sorted({*KNOWN, *OF_DDTRACE, *there})
    close = load("difflib").get_close_matches(normalised(name), known)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return f"no library is known as {name!r}; {meant}known are: {', '.join(known)}"
