"""The names applications import from `constants`, `ext` and `trace`, against a table of ddtrace's.

`ddtrace_names.json` is the union of what ddtrace 2.21 and 4.16 define, read from the installed
packages; of `ddtrace.constants`, without what has nothing to do with tracing.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import fasttrace.ext
from fasttrace.ext import EXIT_SPAN_TYPES, SpanKind, SpanLinkKind, SpanTypes

TABLE: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("ddtrace_names.json").read_text()
)
CLASSES = ("ext.SpanTypes", "ext.SpanKind", "ext.SpanLinkKind", "ext.test.Status")
MODULES = [name for name in TABLE if name not in CLASSES]


@pytest.mark.parametrize("name", MODULES)
def test_module_has_every_name_with_its_value(name: str) -> None:
    """A module holds every name of ddtrace's module of that name, with the same value."""
    module = importlib.import_module(f"fasttrace.{name}")
    ours = {key: getattr(module, key, "missing") for key in TABLE[name]}
    assert ours == TABLE[name]


@pytest.mark.parametrize("name", MODULES)
def test_module_has_no_name_of_its_own(name: str) -> None:
    """A module defines no constant that ddtrace lacks, so that code moves in both directions."""
    module = importlib.import_module(f"fasttrace.{name}")
    ours = {key for key in vars(module) if key.isupper()}
    assert ours == set(TABLE[name])


def test_every_module_is_in_the_table() -> None:
    """Every module of fasttrace.ext is checked above."""
    shipped = {f"ext.{module.name}" for module in pkgutil.iter_modules(fasttrace.ext.__path__)}
    assert shipped == {name for name in MODULES if name.startswith("ext.")}


@pytest.mark.parametrize("kind", [SpanTypes, SpanKind, SpanLinkKind])
def test_class_attributes_are_plain_strings(kind: type) -> None:
    """Span types and kinds are `str` objects under ddtrace's names, usable wherever a str is."""
    ours = {key: value for key, value in vars(kind).items() if not key.startswith("__")}
    assert ours == TABLE[f"ext.{kind.__name__}"]
    assert {type(value) for value in ours.values()} == {str}


def test_test_status_values() -> None:
    """`ext.test.Status` is an enumeration with ddtrace's members."""
    from fasttrace.ext.test import Status

    assert {member.name: member.value for member in Status} == TABLE["ext.test.Status"]


def test_exit_span_types_leave_the_process() -> None:
    """EXIT_SPAN_TYPES is the set ddtrace 2.21 has."""
    names = "cache cassandra elasticsearch grpc http redis sql worker"
    assert frozenset(names.split()) == EXIT_SPAN_TYPES


def test_sampling_priorities_are_integers() -> None:
    """Sampling priorities are plain integers, -1 to 2, in the order of their weight."""
    from fasttrace import constants

    names = ("USER_REJECT", "AUTO_REJECT", "AUTO_KEEP", "USER_KEEP")
    assert [getattr(constants, name) for name in names] == [-1, 0, 1, 2]


def test_trace_module_is_the_same_objects() -> None:
    """`fasttrace.trace` re-exports what `fasttrace` has, not copies."""
    import fasttrace
    from fasttrace import trace

    for name in ("tracer", "Tracer", "Span", "Context", "TraceFilter"):
        assert getattr(trace, name) is getattr(fasttrace, name)
    assert sorted(trace.__all__) == sorted(
        ["BaseContextProvider", "Context", "Span", "TraceFilter", "Tracer", "tracer"]
    )


def test_trace_filter_requires_process_trace() -> None:
    """A TraceFilter without `process_trace` cannot be made; the error says what is missing."""
    from fasttrace.filters import TraceFilter

    class Empty(TraceFilter):
        pass

    with pytest.raises(TypeError, match="Empty must define process_trace"):
        Empty()
    with pytest.raises(TypeError, match="must define process_trace"):
        TraceFilter()


def test_trace_filter_subclass_takes_arguments_and_attributes() -> None:
    """A TraceFilter with `process_trace` is an ordinary class: arguments, attributes, result."""
    from fasttrace.filters import TraceFilter

    class Keep(TraceFilter):
        def __init__(self, names: set[str], *, otherwise: None = None) -> None:
            self.names = names
            self.otherwise = otherwise

        def process_trace(self, trace: list[Any]) -> list[Any] | None:
            return [item for item in trace if item in self.names] or self.otherwise

    keep = Keep({"a"}, otherwise=None)
    assert keep.process_trace(["a", "b"]) == ["a"]
    assert keep.process_trace(["b"]) is None
