"""Every method of OpenTelemetry's Span and Tracer, and what it becomes for the agent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from helpers import spans_of
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from otel import Face, face

from fasttrace import Tracer
from fasttrace.opentelemetry import Propagator

__all__ = ["face"]

LINKED = SpanContext(1 << 100 | 5, 7, True, TraceFlags(1), TraceState([("vendor", "value")]))

# (kind, attributes, operation name): the table of ddtrace's OpenTelemetry face as it is meant.
OPERATIONS = [
    (SpanKind.INTERNAL, {}, "internal"),
    (SpanKind.SERVER, {}, "server.request"),
    (SpanKind.CLIENT, {}, "client.request"),
    (SpanKind.PRODUCER, {}, "producer"),
    (SpanKind.CONSUMER, {}, "consumer"),
    (SpanKind.INTERNAL, {"operation.name": "Ordering"}, "Ordering"),
    (SpanKind.SERVER, {"operation.name": "o", "http.request.method": "GET"}, "o"),
    (SpanKind.SERVER, {"http.request.method": "GET"}, "http.server.request"),
    (SpanKind.CLIENT, {"http.request.method": "GET"}, "http.client.request"),
    (SpanKind.PRODUCER, {"http.request.method": "GET"}, "producer"),
    (SpanKind.CLIENT, {"db.system": "Redis"}, "redis.query"),
    (SpanKind.SERVER, {"db.system": "Redis"}, "server.request"),
    (
        SpanKind.CONSUMER,
        {"messaging.system": "Kafka", "messaging.operation": "Receive"},
        "kafka.receive",
    ),
    (
        SpanKind.PRODUCER,
        {"messaging.system": "kafka", "messaging.operation": "send"},
        "kafka.send",
    ),
    (
        SpanKind.INTERNAL,
        {"messaging.system": "kafka", "messaging.operation": "send"},
        "internal",
    ),
    (SpanKind.CLIENT, {"messaging.system": "kafka"}, "client.request"),
    (SpanKind.CLIENT, {"rpc.system": "aws-api", "rpc.service": "S3"}, "aws.s3.request"),
    (SpanKind.CLIENT, {"rpc.system": "aws-api"}, "aws.client.request"),
    (SpanKind.CLIENT, {"rpc.system": "gRPC"}, "grpc.client.request"),
    (SpanKind.SERVER, {"rpc.system": "grpc"}, "grpc.server.request"),
    (
        SpanKind.CLIENT,
        {"faas.invoked_provider": "aws", "faas.invoked_name": "My-Function"},
        "aws.my-function.invoke",
    ),
    (SpanKind.SERVER, {"faas.trigger": "Datasource"}, "datasource.invoke"),
    (SpanKind.INTERNAL, {"graphql.operation.type": "query"}, "graphql.server.request"),
    (SpanKind.SERVER, {"network.protocol.name": "AMQP"}, "amqp.server.request"),
    (SpanKind.CLIENT, {"network.protocol.name": "amqp"}, "amqp.client.request"),
]


@pytest.mark.parametrize(("kind", "attributes", "name"), OPERATIONS)
def test_the_operation_name_follows_kind_and_attributes(
    face: Face, kind: SpanKind, attributes: dict[str, Any], name: str
) -> None:
    """The given name is the resource; kind and attributes make the operation name."""
    span = face.recorded(kind, attributes)
    assert (span["name"], span["resource"]) == (name, "given")
    assert span["meta"].get("span.kind") == (
        None if kind is SpanKind.INTERNAL else kind.name.lower()
    )
    assert "operation.name" not in span["meta"]


def test_attributes_set_later_name_the_operation_too(face: Face) -> None:
    """The operation name is found when the span ends, from whatever was set by then."""
    span = face.tracer.start_span("given", kind=SpanKind.CLIENT)
    span.set_attribute("db.system", "postgresql")
    span.update_name("SELECT")
    span.end()
    recorded = face.span()
    assert (recorded["name"], recorded["resource"]) == ("postgresql.query", "SELECT")


@pytest.mark.parametrize(
    ("key", "value", "meta", "metrics"),
    [
        ("k", "v", {"k": "v"}, {}),
        ("k", b"v\xff", {"k": "v\ufffd"}, {}),
        ("k", True, {}, {"k": 1}),
        ("k", False, {}, {"k": 0}),
        ("k", 3, {}, {"k": 3}),
        ("k", 1.5, {}, {"k": 1.5}),
        ("k", 1 << 70, {"k": str(1 << 70)}, {}),
        ("k", float("nan"), {}, {}),
        ("k", None, {"k": "None"}, {}),
        ("k", ["a", "b"], {"k.0": "a", "k.1": "b"}, {}),
        ("k", (1, (2, "x")), {"k.1.1": "x"}, {"k.0": 1, "k.1.0": 2}),
        ("http.response.status_code", 404, {"http.status_code": "404"}, {}),
        ("http.status_code", 404, {"http.status_code": "404"}, {}),
        ("analytics.event", True, {}, {"analytics.event": 1}),
        ("", "v", {}, {}),
    ],
)
def test_attributes_become_tags(
    face: Face, key: str, value: Any, meta: dict[str, str], metrics: dict[str, float]
) -> None:
    """Text goes to meta, numbers to metrics, sequences become one tag for each item."""
    with face.tracer.start_as_current_span("s") as span:
        with face.tracer.start_as_current_span("child", attributes={key: value}):
            pass
        span.set_attribute("on", "root")
    child = next(span for span in face.spans() if span["resource"] == "child")
    assert child.get("meta", {}) == meta
    assert child.get("metrics", {}) == metrics


def test_reserved_attributes_change_the_span_itself(face: Face) -> None:
    """service.name, resource.name and span.type are no tags."""
    span = face.recorded(
        SpanKind.INTERNAL,
        {"service.name": "web", "resource.name": "GET /", "span.type": "web"},
    )
    assert (span["service"], span["resource"], span["type"]) == ("web", "GET /", "web")
    assert not {"service.name", "resource.name", "span.type"} & set(span["meta"])


class _Awkward:
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("value", [_Awkward(), [_Awkward()], object(), {"a": 1}, "x" * 30_000])
def test_no_attribute_raises_or_loses_the_span(face: Face, value: Any) -> None:
    """Values nobody should set leave the span as it is, or become some text."""
    span = face.recorded(SpanKind.INTERNAL, {"k": value, "other": "kept"})
    assert span["meta"]["other"] == "kept"


def test_a_sequence_that_contains_itself_ends(face: Face) -> None:
    """A value without end is cut instead of followed."""
    endless: list[Any] = []
    endless.append(endless)
    assert face.recorded(SpanKind.INTERNAL, {"k": endless})["resource"] == "given"


def test_bad_arguments_are_ignored(face: Face) -> None:
    """Arguments of a wrong type cost themselves, not the span, and raise nothing."""
    span = face.tracer.start_span(
        "s", attributes=5, links=7, start_time="now", context=3, kind="server"
    )
    for call in (
        lambda: span.set_attributes(5),
        lambda: span.set_attribute(5, 5),
        lambda: span.add_event("e", 5, "now"),
        lambda: span.add_link(5),
        lambda: span.set_status(5),
        lambda: span.record_exception(5),
        lambda: span.end("now"),
    ):
        call()
    assert face.span()["resource"] == "s"


def test_explicit_times_are_nanoseconds(face: Face) -> None:
    """start_time, end_time and the timestamps of events are taken as they are."""
    start = 1_700_000_000_123_456_789
    span = face.tracer.start_span("s", start_time=start)
    span.add_event("e", {"a": 1}, timestamp=start + 5)
    span.end(end_time=start + 1_000)
    recorded = face.span()
    assert (recorded["start"], recorded["duration"]) == (start, 1_000)
    assert f'"time_unix_nano": {start + 5}' in recorded["meta"]["events"]


def test_events_keep_their_attributes(face: Face) -> None:
    """An event has name, time and attributes; one without a time happens now."""
    with face.tracer.start_as_current_span("s") as span:
        span.add_event("sold", {"slices": 2, "bread": "rye"})
        (event,) = span._events
        assert (event[0], event[2]) == ("sold", {"slices": 2, "bread": "rye"})
        assert abs(event[1] - span.start_ns) < 60_000_000_000


def test_links_at_the_start_and_later(face: Face) -> None:
    """Links carry ids, flags, tracestate and attributes; invalid ones are left out."""
    other = SpanContext(9, 8, False)
    with face.tracer.start_as_current_span(
        "s", links=[trace.Link(LINKED, {"why": "first"}), trace.Link(trace.INVALID_SPAN_CONTEXT)]
    ) as span:
        span.add_link(other, {"n": 1})
        span.add_link(trace.INVALID_SPAN_CONTEXT)
        assert span._links == [
            (LINKED.trace_id, 7, "vendor=value", 1, {"why": "first"}),
            (9, 8, None, 0, {"n": "1"}),
        ]
    assert len(face.span()["span_links"]) == 2


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([(StatusCode.ERROR, "bad")], 1, "bad"),
        ([(Status(StatusCode.ERROR, "bad"), None)], 1, "bad"),
        ([(StatusCode.ERROR, None)], 1, None),
        ([(StatusCode.ERROR, "bad"), (StatusCode.UNSET, None)], 1, "bad"),
        ([(StatusCode.ERROR, "bad"), (StatusCode.OK, None)], 0, None),
        ([(StatusCode.OK, None), (StatusCode.ERROR, "bad")], 0, None),
        ([(StatusCode.ERROR, "bad"), (StatusCode.ERROR, "worse")], 1, "worse"),
    ],
)
def test_status(face: Face, steps: list[Any], error: int, message: str | None) -> None:
    """ERROR marks the span, OK is final, UNSET changes nothing: OpenTelemetry's order."""
    with face.tracer.start_as_current_span("s") as span:
        for status, description in steps:
            span.set_status(status, description)
    recorded = face.span()
    assert recorded.get("error", 0) == error
    assert recorded["meta"].get("error.message") == message


def test_record_exception(face: Face) -> None:
    """An exception becomes an event and the error tags; it does not mark the span as failed."""
    with face.tracer.start_as_current_span("s") as span:
        span.record_exception(ValueError("boo"), {"extra": 1}, timestamp=5, escaped=True)
        ((name, time_ns, attributes),) = span._events
    assert (name, time_ns) == ("exception", 5)
    assert attributes == {
        "exception.type": "builtins.ValueError",
        "exception.message": "boo",
        "exception.escaped": "True",
        "extra": 1,
    }
    recorded = face.span()
    assert recorded.get("error", 0) == 0
    assert recorded["meta"]["error.type"] == "builtins.ValueError"
    assert recorded["meta"]["error.message"] == "boo"
    assert "ValueError: boo" in recorded["meta"]["error.stack"]


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("status", [True, False])
@pytest.mark.parametrize("current", [True, False])
def test_an_exception_that_leaves_the_block(
    face: Face, record: bool, status: bool, current: bool
) -> None:
    """It is recorded and marks the span, unless the two flags say otherwise; it passes through."""
    start = face.tracer.start_as_current_span if current else face.tracer.start_span
    flags = {"record_exception": record, "set_status_on_exception": status}
    with pytest.raises(ValueError, match="boo"), start("s", **flags) as span:
        raise ValueError("boo")
    assert not span.is_recording()
    recorded = face.span()
    assert recorded.get("error", 0) == int(status)
    assert ("events" in recorded["meta"]) == record
    expected = "ValueError: boo" if status else "boo" if record else None
    assert recorded["meta"].get("error.message") == expected


def test_what_is_no_error_leaves_no_mark(face: Face) -> None:
    """A block left by what is no Exception is not a failed one, as with use_span."""
    with pytest.raises(KeyboardInterrupt), face.tracer.start_as_current_span("s"):
        raise KeyboardInterrupt
    assert face.span().get("error", 0) == 0


def test_nothing_changes_an_ended_span(face: Face) -> None:
    """After end() no method has an effect."""
    span = face.tracer.start_span("s", attributes={"k": "v"})
    span.end()
    assert not span.is_recording()
    span.set_attribute("k", "late")
    span.set_attributes({"k": "late"})
    span.update_name("late")
    span.set_status(StatusCode.ERROR, "late")
    span.record_exception(ValueError())
    span.add_event("late")
    span.add_link(LINKED)
    span.end(end_time=1)
    recorded = face.span()
    assert (recorded["resource"], recorded["meta"]["k"], recorded.get("error", 0)) == ("s", "v", 0)
    assert not {"events", "error.message"} & set(recorded["meta"])
    assert "span_links" not in recorded


def test_span_context(face: Face) -> None:
    """The SpanContext has the ids, the sampling decision and a tracestate other tracers pass on."""
    with face.tracer.start_as_current_span("s") as span:
        found = span.get_span_context()
        assert (found.trace_id, found.span_id) == (span.trace_id, span.span_id)
        assert found.is_valid
        assert not found.is_remote
        assert found.trace_flags == TraceFlags.SAMPLED
        assert found.trace_state["dd"].startswith(f"p:{span.span_id:016x};s:1")
        assert span.kind is SpanKind.INTERNAL


def test_the_api_classes_are_recognised(face: Face) -> None:
    """isinstance() says yes to spans and tracers, and every method of the API is there."""
    with face.tracer.start_as_current_span("s") as span:
        assert isinstance(span, trace.Span)
    assert isinstance(face.tracer, trace.Tracer)
    assert isinstance(face.provider, trace.TracerProvider)
    for api, ours in ((trace.Span, span), (trace.Tracer, face.tracer)):
        for name, method in inspect.getmembers(api, inspect.isfunction):
            if not name.startswith("_"):
                given = inspect.signature(method).parameters
                wanted = [parameter for parameter in given if parameter != "self"]
                found = inspect.signature(getattr(ours, name)).parameters
                assert [parameter for parameter in found if parameter in wanted] == wanted, name


def test_a_disabled_tracer_records_nothing(new_tracer: Callable[..., Tracer]) -> None:
    """With the native tracer disabled, spans do not record and are not valid."""
    face = Face(new_tracer(enabled=False))
    with face.tracer.start_as_current_span("s", attributes={"k": "v"}) as span:
        assert not span.is_recording()
        assert not span.get_span_context().is_valid
        span.add_event("e")
        span.set_status(StatusCode.ERROR)
    with face.tracer.start_span("s", kind=SpanKind.CLIENT) as span:
        pass
    assert face.spans() == []


@pytest.mark.parametrize("way", ["with", "decorator", "attach"])
def test_a_disabled_tracer_passes_an_incoming_trace_on(
    new_tracer: Callable[..., Tracer], way: str
) -> None:
    """Disabled, the trace that a request came with goes on in its outgoing requests."""
    face = Face(new_tracer(enabled=False))
    propagator = Propagator()
    incoming = {"traceparent": f"00-{5:032x}-{7:016x}-01"}
    context = propagator.extract(incoming)
    sent: dict[str, str] = {}
    if way == "with":
        with face.tracer.start_as_current_span("server", context=context, kind=SpanKind.SERVER):
            with face.tracer.start_as_current_span("client", kind=SpanKind.CLIENT):
                propagator.inject(sent)
    elif way == "decorator":
        face.tracer.start_as_current_span("server", context=context)(propagator.inject)(sent)
    else:
        token = attach(context)
        propagator.inject(sent)
        detach(token)
    assert sent["traceparent"] == incoming["traceparent"]
    after: dict[str, str] = {}
    propagator.inject(after)
    assert after == {}
    assert face.spans() == []


def test_otel_sdk_disabled(new_tracer: Callable[..., Tracer]) -> None:
    """Where OpenTelemetry is turned off, its tracers do nothing and native ones still work."""
    native = new_tracer(otel_enabled=False)
    face = Face(native)
    with face.tracer.start_as_current_span("s") as span:
        assert not span.is_recording()
    with native.trace("n"):
        pass
    assert [span["name"] for span in spans_of(native)] == ["n"]


def test_decorators(face: Face) -> None:
    """Each call of a decorated function has a span, which lasts to the end of a coroutine."""
    decorate = face.tracer.start_as_current_span

    @decorate("sync", kind=SpanKind.SERVER, attributes={"k": "v"}, record_exception=False)
    def plain(value: int) -> int:
        """Documented."""
        assert trace.get_current_span().resource == "sync"
        return value + 1

    @decorate("async")
    async def coroutine(value: int) -> int:
        await asyncio.sleep(0)
        assert trace.get_current_span().resource == "async"
        return value + 1

    @decorate("generator")
    def generate() -> Any:
        yield 1

    assert plain.__doc__ == "Documented."
    assert plain(1) == plain(1) == 2
    assert inspect.iscoroutinefunction(coroutine)
    assert asyncio.run(coroutine(1)) == 2
    assert list(generate()) == [1]
    names = [span["resource"] for span in face.spans()]
    assert names == ["sync", "sync", "async", "generator"]


def test_a_recursive_function_nests(face: Face) -> None:
    """Each call of a decorated function is in a scope of its own."""

    @face.tracer.start_as_current_span("call")
    def count(n: int) -> int:
        return 0 if n == 0 else 1 + count(n - 1)

    assert count(3) == 3
    spans = face.spans()
    assert [span["parent_id"] for span in spans[1:]] == [span["span_id"] for span in spans[:-1]]


def test_wrong_use_of_a_scope(face: Face) -> None:
    """A scope is entered once at a time; a wrong keyword is the caller's error."""
    scope = face.tracer.start_as_current_span("s")
    with scope, pytest.raises(RuntimeError, match="entered already"):
        scope.__enter__()
    with scope:
        pass
    assert scope.__exit__(None, None, None) is None
    with pytest.raises(TypeError):
        face.tracer.start_as_current_span("s", nonsense=1)
    with pytest.raises(TypeError):
        face.tracer.start_span()
    assert len(face.spans()) == 2


def test_the_resource_of_the_provider(new_tracer: Callable[..., Tracer]) -> None:
    """Instrumentation that asks for the resource finds service, version, environment and tags."""
    native = new_tracer(service="shop", version="2", env="prod", tags={"team": "kitchen"})
    found = Face(native).provider.resource.attributes
    assert {name: found[name] for name in found if not name.startswith("telemetry.")} == {
        "service.name": "shop",
        "service.version": "2",
        "deployment.environment": "prod",
        "deployment.environment.name": "prod",
        "team": "kitchen",
    }
    assert found["telemetry.sdk.name"] == "fasttrace"


def test_flush_and_shutdown_of_the_provider(session: Any) -> None:
    """force_flush() delivers, shutdown() ends recording."""
    face = Face(session.make_tracer())
    with face.tracer.start_as_current_span("sent"):
        pass
    assert face.provider.force_flush(10_000)
    assert [span["resource"] for trace in session.traces() for span in trace] == ["sent"]
    face.provider.shutdown()
    assert not face.tracer.start_span("late").is_recording()
