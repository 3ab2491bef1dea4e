"""`fasttrace-run --list`: which libraries of this environment are traced, and which could be.

What could be is known from the list of OpenTelemetry's own `opentelemetry-bootstrap`.
"""

from __future__ import annotations

import re
from importlib import metadata

from fasttrace import _instrumentors
from fasttrace._fork import load
from fasttrace._instrumentor_names import KNOWN, package_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

    Row = tuple[str, str, str, str]  # library, its version, instrumentation package, what is done

#: Instrumentors of modules of the standard library.
_STANDARD = ("asyncio", "sqlite3", "threading", "urllib")
#: What an instrumentor of another library needs besides it.
_NOT_ITSELF = ("pydantic",)


def describe() -> tuple[str, bool]:
    """Return the table, and whether anything is installed that instruments libraries."""
    try:
        there = _instrumentors.installed()
    except _instrumentors.NotInstalledError as error:
        return str(error), False
    rows = [*_libraries(there), *_standard_library(there), *_others(there)]
    rows.sort(key=lambda row: (row[0].lower(), row[2]))
    rows.insert(0, ("LIBRARY", "VERSION", "INSTRUMENTATION", "STATE"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
    return "\n".join(lines), True


def _libraries(there: dict[str, list[EntryPoint]]) -> Iterator[Row]:
    """The installed libraries that OpenTelemetry's project has an instrumentation of."""
    make = load("packaging.requirements").Requirement
    for row in load("opentelemetry.instrumentation.bootstrap_gen").libraries:
        library, package = make(row["library"]), make(row["instrumentation"])
        version = _version(library.name)
        if not version or library.name in _NOT_ITSELF:
            continue
        names = _names_in(package.name, there)
        if not _version(package.name):
            state = f"not traced: pip install {row['instrumentation'].replace(' ', '')}"
        elif not names:
            continue  # a middleware for the program to use, nothing that starts by itself
        elif not library.specifier.contains(version, prereleases=True):
            state = f"not traced: needs {library}"
        else:
            state = _state(names, there)
        yield library.name, version, package.name, state


def _names_in(package: str, there: dict[str, list[EntryPoint]]) -> list[str]:
    return [name for name, points in there.items() if package in map(_package, points)]


def _package(point: EntryPoint) -> str:
    distribution = getattr(point, "dist", None)
    return "" if distribution is None else str(distribution.metadata["Name"])


def _standard_library(there: dict[str, list[EntryPoint]]) -> Iterator[Row]:
    for name in _STANDARD:
        package = package_of(name)
        state = _state([name], there) if name in there else f"not traced: pip install {package}"
        yield name, "Python's", package, state


def _others(there: dict[str, list[EntryPoint]]) -> Iterator[Row]:
    """The instrumentors from elsewhere, of which nobody says what library they are for."""
    packages = load("opentelemetry.instrumentation.bootstrap_gen").libraries
    listed = {re.split("[=<>~ ]", row["instrumentation"])[0] for row in packages}
    for name, points in there.items():
        for point in points:
            if name not in KNOWN and _package(point) not in listed:
                yield name, "", _package(point), _state([name], there)


def _state(names: list[str], there: dict[str, list[EntryPoint]]) -> str:
    off = [_instrumentors.disabled(name) for name in names if name in there]
    if off and all(off):
        return f"not traced: {off[0]}"
    return "traced"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
