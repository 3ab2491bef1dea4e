"""Every public name and parameter of ddtrace's tracing API exists here under the same name."""

from __future__ import annotations

import ast
import copy
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from parity.oracle import ORACLE_PACKAGES, oracle_python

import fasttrace

CHILD = Path(__file__).parent / "child" / "surface.py"
Surface = dict[str, dict[str, Any]]

# What we do not have, or differently, and why. Everything else must be there.
OTHER_PRODUCTS = "belongs to another product of ddtrace than its tracer"
INTEGRATIONS = "integrations: there is nothing to patch in a library for manual instrumentation"
INTERNALS = "a module or helper of ddtrace itself that is reachable, but not meant for applications"
POSITIONS = "2.x order: these are given by keyword here, as all examples of ddtrace do"
DIFFERENCES = {
    "4.16": {
        "Tracer.data_streams_processor": OTHER_PRODUCTS,
        "the package.aiguard": OTHER_PRODUCTS,
        **{f"the package.{name}": INTERNALS for name in ("deprecate", "env", "is_at_least_py")},
        "Tracer.configure appsec_enabled_origin default": OTHER_PRODUCTS,
    },
    "2.21": {
        "Tracer.configure positions": POSITIONS,
        "Span.get_struct_tag": OTHER_PRODUCTS,
        "Span.set_struct_tag": OTHER_PRODUCTS,
        "the package.Pin": INTEGRATIONS,
        "trace.Pin": INTEGRATIONS,
        "the package.settings": INTEGRATIONS,
        "Tracer.sampler": "sampling is configured by rules, not by objects",
        "HTTPPropagator.inject positions": "named as in 4.x; the name of 2.x works by keyword",
        **{
            f"the package.{name}": INTERNALS
            for name in ("ModuleWatchdog", "debtcollector", "get_version", "os", "warnings")
        },
    },
}
BOTH = {
    "the package.appsec": OTHER_PRODUCTS,
    **{
        f"the package.{name}": INTERNALS
        for name in (
            "DDTraceDeprecationWarning",
            "LOADED_MODULES",
            "PYTHON_VERSION_INFO",
            "check_supported_python_version",
            "configure_ddtrace_logger",
            "ddtrace",
            "internal",
            "sys",
            "vendor",
            "version",
        )
    },
}


@functools.cache
def surface_of(python: str, package: str) -> Surface:
    """What `package` shows to applications, asked in a process of its own."""
    command = [python, str(CHILD), package]
    printed = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout
    found: Surface = json.loads(printed.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def ours() -> Surface:
    """What fasttrace shows."""
    return surface_of(sys.executable, "fasttrace")


@pytest.fixture(scope="module", params=list(ORACLE_PACKAGES))
def oracle(request: pytest.FixtureRequest) -> tuple[str, Surface]:
    """A version of ddtrace and what it shows."""
    return request.param, surface_of(oracle_python(request.param), "ddtrace")


def compare(ours: Surface, theirs: Surface) -> set[str]:
    """Everything that code written for them could miss here."""
    found: set[str] = set()
    for owner, members in theirs.items():
        for name, parameters in members.items():
            place = f"{owner}.{name}"
            if name not in ours[owner]:
                found.add(place)
            elif parameters != "attribute" and parameters is not None:
                found |= compare_parameters(place, ours[owner][name], parameters)
    return found


def compare_parameters(place: str, ours: Any, theirs: list[Any]) -> set[str]:
    """Their parameters that ours lack, have elsewhere, or with another default."""
    if ours is None or {kind for _, kind, _ in ours} == {"VAR_POSITIONAL", "VAR_KEYWORD"}:
        return set()  # unknown, or everything: called by the tests below
    found: set[str] = set()
    known = {name: (kind, default) for name, kind, default in ours}
    named = [one for one in theirs if not one[1].startswith("VAR_")]
    for name, _, default in named:
        if name not in known:
            found.add(f"{place} {name}")
        elif default is not None and known[name][1] != default:
            found.add(f"{place} {name} default")
    order = [name for name, kind, _ in ours if kind.startswith("POSITIONAL")]
    placed = [name for name, kind, _ in named if kind.startswith("POSITIONAL")]
    if order[: len(placed)] != placed:
        found.add(f"{place} positions")
    required = {name for name, kind, default in ours if default is None and "VAR" not in kind}
    found |= {f"{place} {name} required" for name in required - {one[0] for one in theirs}}
    return found


def test_every_name_and_parameter(ours: Surface, oracle: tuple[str, Surface]) -> None:
    """Nothing of the public surface is missing but what the table above names, which all is."""
    version, theirs = oracle
    names = sum(map(len, theirs.values()))
    print(f"ddtrace {version}: {names} names compared")
    assert names > 100
    assert compare(ours, theirs) == set(DIFFERENCES[version]) | set(BOTH)


@pytest.mark.parametrize("owner", ["Span", "Context"])
def test_every_argument_of_the_constructors(oracle: tuple[str, Surface], owner: str) -> None:
    """The compiled classes take every argument of theirs by keyword, and no other."""
    parameters = oracle[1][owner]["__init__"]
    if parameters[0][0] == "args":  # 4.16 does not tell
        parameters = surface_of(oracle_python("2.21"), "ddtrace")[owner]["__init__"]
    kind = getattr(fasttrace, owner)
    required = {name: "text" for name, _, default in parameters if default is None}
    optional = {name: ast.literal_eval(default) for name, _, default in parameters if default}
    assert len(optional) >= 10
    made = kind(**required, **optional)
    assert type(made) is kind
    with pytest.raises(TypeError):
        kind(**required, unknown=1)


def test_the_comparison_can_fail(ours: Surface) -> None:
    """A name, a parameter, an order or a default that is missing is found."""
    theirs = copy.deepcopy(ours)
    assert compare(ours, theirs) == set()
    theirs["Span"]["do"] = []
    theirs["Tracer"]["trace"][0][0] = "title"
    theirs["Tracer"]["wrap"].insert(0, theirs["Tracer"]["wrap"].pop(1))
    theirs["Span"]["set_tag"][1][2] = "5"
    assert compare(ours, theirs) == {
        "Span.do",
        "Tracer.trace title",
        "Tracer.trace positions",
        "Tracer.trace name required",
        "Tracer.wrap positions",
        "Span.set_tag value default",
    }


def test_submodules_are_reachable_as_after_import_ddtrace() -> None:
    """`import fasttrace` alone is enough for `fasttrace.ext.SpanTypes` and its like."""
    code = "import fasttrace as f; print(f.ext.SpanTypes.WEB, f.constants.ENV_KEY, f.trace.Span)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60
    ).stdout
    assert printed.split()[:2] == ["web", "env"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fasttrace.nothing  # noqa: B018
