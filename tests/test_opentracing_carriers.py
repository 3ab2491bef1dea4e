"""Carriers: what inject writes and extract reads, and what it makes of garbage."""

from __future__ import annotations

from typing import Any

import opentracing
import pytest
from helpers import spans_of
from hypothesis import given
from hypothesis import strategies as st
from opentracing import Format

from fasttrace import Tracer as NativeTracer
from fasttrace.opentracer import Tracer
from fasttrace.opentracer.span_context import SpanContext
from fasttrace.propagation.http import Propagator

TEXT_FORMATS = [Format.TEXT_MAP, Format.HTTP_HEADERS]


def carrier_of(carrier_format: str) -> Any:
    """An empty carrier of that format."""
    return bytearray() if carrier_format == Format.BINARY else {}


def ids(context: SpanContext) -> tuple[int | None, int | None]:
    """The ids of a span context."""
    return context._dd_context.trace_id, context._dd_context.span_id


@pytest.mark.parametrize("carrier_format", [*TEXT_FORMATS, Format.BINARY])
def test_there_and_back(ot: Tracer, carrier_format: str) -> None:
    """Ids of 128 bits, the decision and baggage survive every format."""
    context = SpanContext((3 << 64) | 5, 9, 2, {"user": "ada", "plan": "x y"})
    carrier = carrier_of(carrier_format)
    ot.inject(context, carrier_format, carrier)
    back = ot.extract(carrier_format, carrier)
    assert ids(back) == ((3 << 64) | 5, 9)
    assert back._dd_context.sampling_priority == 2
    assert back.baggage == {"user": "ada", "plan": "x y"}


@pytest.mark.parametrize("carrier_format", TEXT_FORMATS)
def test_the_headers_are_the_native_ones(ot: Tracer, carrier_format: str) -> None:
    """What is written is what the native propagator writes, and ot-baggage-<key>."""
    with ot.start_active_span("op") as scope:
        scope.span.set_baggage_item("userId", "ada")
        carrier: dict[str, str] = {"other": "stays"}
        ot.inject(scope.span.context, carrier_format, carrier)
        native: dict[str, str] = {"other": "stays"}
        Propagator(ot._dd_tracer._config).inject(scope.span._dd_span, native)
    assert carrier == {**native, "ot-baggage-userId": "ada"}
    assert carrier["x-datadog-sampling-priority"] == "1"
    spans_of(ot._dd_tracer)


def test_configured_styles(new_tracer: Any) -> None:
    """All configured styles are written and read."""
    styles = {"propagation_style_inject": ("b3",), "propagation_style_extract": ("b3",)}
    ot = Tracer("shop", dd_tracer=new_tracer(**styles))
    carrier: dict[str, str] = {}
    ot.inject(SpanContext(7, 9, 1), Format.HTTP_HEADERS, carrier)
    assert carrier == {"b3": f"{7:016x}-{9:016x}-1"}
    assert ids(ot.extract(Format.HTTP_HEADERS, carrier)) == (7, 9)
    assert ids(ot.extract(Format.HTTP_HEADERS, {"x-datadog-trace-id": "junk"})) == (None, None)


def test_a_span_can_be_injected(ot: Tracer) -> None:
    """A span given in place of its context is understood."""
    span = ot.start_span("op")
    carrier: dict[str, str] = {}
    ot.inject(span, Format.TEXT_MAP, carrier)
    assert carrier["x-datadog-parent-id"] == str(span._dd_span.span_id)
    span.finish()


@pytest.mark.parametrize("wrong", [None, "text", opentracing.SpanContext()])
def test_what_is_no_context_is_not_injected(ot: Tracer, wrong: Any) -> None:
    """A context of another tracer, or none, writes nothing and raises nothing."""
    carrier: dict[str, str] = {}
    ot.inject(wrong, Format.TEXT_MAP, carrier)
    assert carrier == {}


def test_extract_activates_nothing(ot: Tracer, tracer: NativeTracer) -> None:
    """An extracted context has an effect only where it is given as parent."""
    headers = {"x-datadog-trace-id": "7", "x-datadog-parent-id": "9"}
    context = ot.extract(Format.HTTP_HEADERS, headers)
    assert ot.active_span is None
    assert tracer.current_trace_context() is None
    ot.start_span("apart").finish()
    ot.start_span("child", child_of=context).finish()
    apart, child = spans_of(tracer)
    assert apart["trace_id"] != 7
    assert (child["trace_id"], child["parent_id"]) == (7, 9)


def test_nothing_to_extract(ot: Tracer) -> None:
    """A carrier without a trace gives a context without ids, whose child begins a trace."""
    for carrier_format in (*TEXT_FORMATS, Format.BINARY):
        context = ot.extract(carrier_format, carrier_of(carrier_format))
        assert ids(context) == (None, None)
        assert context.baggage == {}
    span = ot.start_span("op", child_of=context)
    assert span._dd_span.parent_id is None
    span.finish()


def test_baggage_without_a_trace(ot: Tracer) -> None:
    """Baggage alone reaches the spans of the new trace."""
    context = ot.extract(Format.TEXT_MAP, {"ot-baggage-user": "ada"})
    span = ot.start_span("op", child_of=context)
    assert span.get_baggage_item("user") == "ada"
    span.finish()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ot-baggage-userId", "userId"),
        ("Ot-Baggage-Userid", "userid"),
        ("OT-BAGGAGE-USERID", "userid"),
        ("HTTP_OT_BAGGAGE_USERID", "userid"),
        ("ot-baggage-", None),
        ("not-baggage-x", None),
    ],
)
def test_spellings_of_baggage(ot: Tracer, name: str, key: str | None) -> None:
    """Baggage is found however a server spells the header."""
    context = ot.extract(Format.HTTP_HEADERS, {name: "ada"})
    assert context.baggage == ({key: "ada"} if key else {})


def test_baggage_that_is_no_header(ot: Tracer) -> None:
    """Baggage cannot smuggle a header in; a TEXT_MAP takes it as it is."""
    items = {"good": "1", "bad key": "2", "evil": "x\r\nset-cookie: y", "über": "3", "text": "é"}
    headers: dict[str, str] = {}
    ot.inject(SpanContext(7, 9, baggage=items), Format.HTTP_HEADERS, headers)
    assert [name for name in headers if name.startswith("ot-")] == ["ot-baggage-good"]
    text: dict[str, str] = {}
    ot.inject(SpanContext(7, 9, baggage=items), Format.TEXT_MAP, text)
    assert ot.extract(Format.TEXT_MAP, text).baggage == items
    binary = bytearray()
    ot.inject(SpanContext(7, 9, baggage=items), Format.BINARY, binary)
    assert ot.extract(Format.BINARY, binary).baggage == items


class Headers:
    """What a web framework hands over: no dict, but names and values."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []

    def __setitem__(self, name: str, value: str) -> None:
        self._pairs.append((name.title(), value))

    def items(self) -> list[tuple[str, str]]:
        """All headers."""
        return self._pairs


def test_carriers_that_are_like_dicts(ot: Tracer) -> None:
    """Header objects of frameworks can be carriers."""
    headers = Headers()
    ot.inject(SpanContext(7, 9, baggage={"a": "1"}), Format.HTTP_HEADERS, headers)
    back = ot.extract(Format.HTTP_HEADERS, headers)
    assert ids(back) == (7, 9)
    assert back.baggage == {"a": "1"}


@pytest.mark.parametrize("carrier_format", [*TEXT_FORMATS, Format.BINARY])
@pytest.mark.parametrize("carrier", [None, 7, "text", [("a", "b")], object()])
def test_wrong_carriers(ot: Tracer, carrier_format: str, carrier: Any) -> None:
    """What cannot be a carrier of the format raises InvalidCarrierException."""
    with pytest.raises(opentracing.InvalidCarrierException):
        ot.inject(SpanContext(7, 9), carrier_format, carrier)
    with pytest.raises(opentracing.InvalidCarrierException):
        ot.extract(carrier_format, carrier)


@pytest.mark.parametrize("carrier_format", ["smoke", None, 7, [], {}, b"binary"], ids=repr)
def test_unknown_formats(ot: Tracer, carrier_format: Any) -> None:
    """Any other format raises UnsupportedFormatException."""
    with pytest.raises(opentracing.UnsupportedFormatException):
        ot.inject(SpanContext(7, 9), carrier_format, {})
    with pytest.raises(opentracing.UnsupportedFormatException):
        ot.extract(carrier_format, {})


# -- corrupted -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x-datadog-trace-id": "one", "x-datadog-parent-id": "9"},
        {"x-datadog-trace-id": "0", "x-datadog-parent-id": "9"},
        {"x-datadog-trace-id": "-7"},
        {"x-datadog-trace-id": str(1 << 64)},
        {"x-datadog-trace-id": "7", "x-datadog-parent-id": "nine"},
        {"x-datadog-trace-id": "7", "x-datadog-sampling-priority": "high"},
        {"X-Datadog-Trace-Id": "one"},
        {"HTTP_X_DATADOG_TRACE_ID": "one"},
        {"traceparent": "00-xyz-1-01"},
        {"traceparent": f"00-{0:032x}-{9:016x}-01"},
        {"traceparent": f"00-{7:032x}-{0:016x}-01"},
    ],
    ids=str,
)
def test_corrupted_headers(ot: Tracer, headers: dict[str, str]) -> None:
    """Headers of a trace from which none can be read raise SpanContextCorruptedException."""
    for carrier_format in TEXT_FORMATS:
        with pytest.raises(opentracing.SpanContextCorruptedException):
            ot.extract(carrier_format, headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-datadog-trace-id": "one", "traceparent": f"00-{7:032x}-{9:016x}-01"},
        {"x-datadog-trace-id": "7", "x-datadog-parent-id": "9", "traceparent": "junk"},
        {"x-datadog-trace-id": "7", "x-datadog-parent-id": "9", "x-datadog-tags": ";;;"},
        {"traceparent": f"00-{7:032x}-{9:016x}-01", "tracestate": "\0"},
    ],
    ids=str,
)
def test_half_corrupted_headers(ot: Tracer, headers: dict[str, str]) -> None:
    """One style from which a trace can be read is enough."""
    assert ids(ot.extract(Format.HTTP_HEADERS, headers)) == (7, 9)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-datadog-trace-id": ""},
        {"traceparent": " "},
        {"x-datadog-parent-id": "9"},
        {"x-datadog-sampling-priority": "2"},
        {"tracestate": "dd=s:1"},
        {"b3": "junk"},  # not one of the styles that are read
    ],
    ids=str,
)
def test_headers_that_are_not_a_trace(ot: Tracer, headers: dict[str, str]) -> None:
    """Without the header that identifies a trace nothing is corrupted."""
    assert ids(ot.extract(Format.HTTP_HEADERS, headers)) == (None, None)


@pytest.mark.parametrize(
    ("value", "corrupted"), [("0", False), ("1", False), ("d", False), ("x", True), ("7-", True)]
)
def test_b3_decisions(new_tracer: Any, value: str, corrupted: bool) -> None:
    """A b3 header with a decision alone is well-formed."""
    ot = Tracer("shop", dd_tracer=new_tracer(propagation_style_extract=("b3",)))
    if corrupted:
        with pytest.raises(opentracing.SpanContextCorruptedException):
            ot.extract(Format.HTTP_HEADERS, {"b3": value})
    else:
        assert ids(ot.extract(Format.HTTP_HEADERS, {"b3": value})) == (None, None)


@pytest.mark.parametrize("behavior", ["restart", "ignore"])
def test_configured_to_take_no_trace(new_tracer: Any, behavior: str) -> None:
    """Where incoming traces are not continued, good headers are not taken for corrupted."""
    ot = Tracer("shop", dd_tracer=new_tracer(propagation_behavior_extract=behavior))
    headers = {"x-datadog-trace-id": "7", "x-datadog-parent-id": "9"}
    assert ids(ot.extract(Format.HTTP_HEADERS, headers)) == (None, None)


def binary_of(ot: Tracer) -> bytes:
    """A good carrier of the format BINARY."""
    carrier = bytearray()
    ot.inject(SpanContext(7, 9, 1, {"user": "ada"}), Format.BINARY, carrier)
    return bytes(carrier)


def test_binary_is_appended(ot: Tracer) -> None:
    """inject appends to the carrier; extract finds what it wrote between other bytes."""
    carrier = bytearray(b"before")
    ot.inject(SpanContext(7, 9), Format.BINARY, carrier)
    assert carrier.startswith(b"before")
    carrier += b"after"
    assert ids(ot.extract(Format.BINARY, carrier)) == (7, 9)
    assert ids(ot.extract(Format.BINARY, bytes(carrier))) == (7, 9)
    assert ids(ot.extract(Format.BINARY, memoryview(carrier))) == (7, 9)


def test_a_binary_carrier_that_is_cut_short(ot: Tracer) -> None:
    """No beginning of a carrier is taken for the whole, and the empty one for nothing."""
    whole = binary_of(ot)
    assert ids(ot.extract(Format.BINARY, whole)) == (7, 9)
    for length in range(1, len(whole)):
        with pytest.raises(opentracing.SpanContextCorruptedException):
            ot.extract(Format.BINARY, whole[:length])


@given(data=st.binary(min_size=1, max_size=200), magic=st.booleans(), at=st.integers(0, 400))
def test_any_bytes(data: bytes, magic: bool, at: int) -> None:
    """Whatever bytes arrive, extract gives a context or says that they are corrupted."""
    ot = _fuzzed()
    whole = binary_of(ot)
    carrier = (whole[: at % len(whole)] if magic else b"") + data
    try:
        context = ot.extract(Format.BINARY, carrier)
    except opentracing.SpanContextCorruptedException:
        return
    assert isinstance(context, SpanContext)


@given(
    headers=st.dictionaries(
        st.sampled_from(["x-datadog-trace-id", "x-datadog-parent-id", "traceparent", "x"])
        | st.text(max_size=12)
        | st.text(max_size=5).map("ot-baggage-".__add__),
        st.text(max_size=60) | st.integers().map(str) | st.none() | st.binary(max_size=5),
    )
)
def test_any_headers(headers: dict[str, Any]) -> None:
    """Whatever headers arrive, extract gives a context or says that they are corrupted."""
    try:
        context = _fuzzed().extract(Format.HTTP_HEADERS, headers)
    except opentracing.SpanContextCorruptedException:
        return
    assert isinstance(context, SpanContext)


_fuzzed_tracers: list[Tracer] = []


def _fuzzed() -> Tracer:
    """One tracer for all examples of a property."""
    if not _fuzzed_tracers:
        from helpers import make_offline_tracer

        _fuzzed_tracers.append(Tracer("shop", dd_tracer=make_offline_tracer()))
    return _fuzzed_tracers[0]
