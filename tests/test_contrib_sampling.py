"""Sampling rules and the requests that are served."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgi_requests import answers, scope_of, serve
from helpers import spans_of

from fasttrace.contrib.asgi import TraceMiddleware
from fasttrace.propagation.http import HTTPPropagator

HEALTH = json.dumps(
    [{"resource": "GET /health", "sample_rate": 0, "discard": True}, {"sample_rate": 1}]
)


@pytest.mark.parametrize(
    "headers", [[], [(b"x-datadog-trace-id", b"5"), (b"x-datadog-parent-id", b"6")]]
)
def test_requests_that_are_discarded(new_tracer: Any, headers: list[Any]) -> None:
    """A rule can discard requests by their resource; the services they call learn of it."""
    tracer = new_tracer(sampling_rules=HEALTH)
    sent: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with tracer.trace("call") as span:
            sent.append({})
            HTTPPropagator.inject(span, sent[-1])
        await answers(scope, receive, send)

    traced = TraceMiddleware(app, tracer)
    for path in ("/health", "/bread"):
        serve(traced, scope_of(path, headers=headers))
        assert tracer.current_span() is None
    assert [headers["x-datadog-sampling-priority"] for headers in sent] == ["-1", "2"]
    assert [span["name"] for span in spans_of(tracer)] == ["asgi.request", "call"]
    assert tracer.stats()["dropped"]["discarded"] == 1


def test_requests_that_inherit_a_decision(new_tracer: Any) -> None:
    """A decision that came with the headers is kept, whatever the rules say."""
    tracer = new_tracer(sampling_rules=HEALTH)
    headers = [
        (b"x-datadog-trace-id", b"5"),
        (b"x-datadog-parent-id", b"6"),
        (b"x-datadog-sampling-priority", b"1"),
    ]
    serve(TraceMiddleware(answers, tracer), scope_of("/health", headers=headers))
    (span,) = spans_of(tracer)
    assert (span["trace_id"], span["metrics"]["_sampling_priority_v1"]) == (5, 1)


def test_a_rule_for_a_route(new_tracer: Any) -> None:
    """A rule sees the route if the decision is taken when the response has begun."""
    rules = [{"resource": "GET /bread/{id}", "sample_rate": 0}, {"sample_rate": 1}]
    tracer = new_tracer(sampling_rules=json.dumps(rules))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path_params"] = {"id": 7}
        scope["route"] = type("Route", (), {"path": "/bread/{id}", "endpoint": None})()
        if scope["path"] == "/bread/8":
            HTTPPropagator.inject(tracer.current_span(), {})
        await answers(scope, receive, send)

    priorities = []
    for path in ("/bread/7", "/bread/8"):
        serve(TraceMiddleware(app, tracer), scope_of(path))
        (span,) = spans_of(tracer)
        assert span["resource"] == "GET /bread/{id}"
        priorities.append(span["metrics"]["_sampling_priority_v1"])
    assert priorities == [-1, 2]
