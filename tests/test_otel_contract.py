"""OpenTelemetry's API does here what it does with the SDK: each case runs under both.

The agent gets what the table of docs/opentelemetry.md makes of the SDK's spans.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

import opentelemetry.context as context_api
import opentelemetry.sdk.trace as sdk
import pytest
from instrumentation.expected import datadog_span, lines_of, received_span
from instrumentation.sdk import Recorder
from opentelemetry import trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import NonRecordingSpan
from otel import Face, face
from otel_cases import CASES, EXPLICIT_NS

__all__ = ["face"]

STOCK = ContextVarsRuntimeContext()


def subject(function: Callable[[Any], Any], provider: Any) -> Any:
    """What a case is a function of: a tracer, or the provider."""
    if "provider" in inspect.signature(function).parameters:
        return provider
    return provider.get_tracer("case")


def under_sdk(function: Callable[[Any], Any]) -> tuple[Any, list[dict[str, Any]]]:
    """What a case returns with the SDK, in the stock runtime context, and its spans."""
    recorder = Recorder()
    before, context_api._RUNTIME_CONTEXT = context_api._RUNTIME_CONTEXT, STOCK
    try:
        found = contextvars.copy_context().run(function, subject(function, recorder.provider))
    finally:
        context_api._RUNTIME_CONTEXT = before
    return found, recorder.spans()


@pytest.mark.parametrize("function", CASES, ids=[function.__name__ for function in CASES])
def test_the_api_does_what_it_does_with_the_sdk(
    face: Face, function: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """What the API shows is the same, and so is what is recorded, after the documented mapping."""
    with caplog.at_level(logging.WARNING):
        expected, recorded = under_sdk(function)
        caplog.clear()
        found = function(subject(function, face.provider))
    received = face.spans()
    assert found == expected
    assert not caplog.records
    assert lines_of([received_span(span) for span in received]) == lines_of(
        [datadog_span(span, "svc") for span in recorded]
    )
    given = {span["name"]: (span["start_ns"], span["end_ns"]) for span in recorded}
    for span in received:
        start, end = given[span["resource"]]
        if start == EXPLICIT_NS:
            assert (span["start"], span["duration"]) == (start, end - start)


def members(api: type) -> dict[str, Any]:
    """The methods of a class of the API, and the two of a `with` block; none is a property."""
    found = {
        name: method
        for name, method in vars(api).items()
        if not name.startswith("_") or name in ("__enter__", "__exit__")
    }
    assert [name for name, method in found.items() if not inspect.isfunction(method)] == []
    return found


@pytest.mark.parametrize(
    ("api", "classes"),
    [
        (trace.Span, (sdk.Span, NonRecordingSpan)),
        (trace.Tracer, (sdk.Tracer,)),
        (trace.TracerProvider, (sdk.TracerProvider,)),
    ],
)
def test_the_cases_call_every_method_of_the_api(
    api: type, classes: tuple[type, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each method that this version of the API has is called, and given each of its arguments."""
    for each in classes:  # NonRecordingSpan: what is done with spans that record nothing
        called: dict[str, set[str]] = {}
        for name, method in members(api).items():
            monkeypatch.setattr(each, name, listening(getattr(each, name), method, called))
        for function in CASES:
            under_sdk(function)
        wanted = {name: set(inspect.signature(f).parameters) for name, f in members(api).items()}
        if each is NonRecordingSpan:  # it ignores them all
            assert set(called) == set(wanted)
        else:
            assert called == wanted


def listening(real: Any, method: Any, called: dict[str, set[str]]) -> Any:
    """A method of the SDK that notes which arguments of the API's it is given."""
    signature = inspect.signature(method)

    @functools.wraps(real)
    def heard(*args: Any, **kwargs: Any) -> Any:
        try:
            called.setdefault(method.__name__, set()).update(
                signature.bind(*args, **kwargs).arguments
            )
        except TypeError:
            pass  # a call that a case makes wrong on purpose
        return real(*args, **kwargs)

    return heard
