"""What headers are read from and written into."""

from __future__ import annotations

import copy
import email.message
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from propagation_cases import (
    B3_SPAN,
    B3_TRACE,
    BIG,
    DATADOG,
    SPAN,
    TRACEPARENT,
    extracted,
    ids,
    is_empty,
    styled,
)

from fasttrace import Context
from fasttrace.propagation.http import HTTPPropagator

HEADERS = {**DATADOG, "traceparent": TRACEPARENT, "tracestate": "dd=s:2", "baggage": "k=v"}


class _Headers(Mapping[str, str]):
    """A mapping of a framework: case-insensitive, not a dict."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (name.title() for name in self._headers)

    def __len__(self) -> int:
        return len(self._headers)


def _message() -> email.message.Message:
    message = email.message.Message()
    for name, value in HEADERS.items():
        message[name.title()] = value
    return message


@pytest.mark.parametrize(
    "carrier",
    [
        HEADERS,
        {name.upper(): value for name, value in HEADERS.items()},
        {name.title(): value for name, value in HEADERS.items()},
        {"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS.items()},
        {"http_" + name.replace("-", "_"): value for name, value in HEADERS.items()},
        {name.encode(): value.encode() for name, value in HEADERS.items()},
        {name: [value] for name, value in HEADERS.items()},
        {name: (value.encode(),) for name, value in HEADERS.items()},
        _Headers(HEADERS),
        _message(),
        list(HEADERS.items()),
        tuple(HEADERS.items()),
        [(name.encode(), value.encode()) for name, value in HEADERS.items()],
        [[name, bytearray(value.encode())] for name, value in HEADERS.items()],
        {1: 2, None: "x", "other": object(), **HEADERS},
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_carriers(carrier: Any) -> None:
    """Names in any case or as in WSGI, text or bytes, one value or a list: all read the same."""
    context = extracted(carrier, "datadog", "tracecontext", "baggage")
    assert ids(context) == (BIG, SPAN)
    assert context._meta["tracestate"] == "dd=s:2"
    assert context.get_all_baggage_items() == {"k": "v"}


def test_iterators_of_pairs() -> None:
    """Pairs may come from an iterator."""
    assert extracted(iter(DATADOG.items()), "datadog").trace_id == BIG


@pytest.mark.parametrize(
    "state", [["dd=s:2", "a=1"], ("dd=s:2,a=1",), [b"dd=s:2", "a=1"], "dd=s:2,a=1"]
)
def test_lists_of_values_are_joined(state: Any) -> None:
    """Several tracestate or baggage headers are one, joined by commas (RFC 9110)."""
    headers = {"traceparent": TRACEPARENT, "tracestate": state, "baggage": ["k=v", "l=w"]}
    context = extracted(headers, "tracecontext", "baggage")
    assert context._meta["tracestate"] == "dd=s:2,a=1"
    assert context.get_all_baggage_items() == {"k": "v", "l": "w"}


def test_repeated_headers_are_joined() -> None:
    """The same, where the header is repeated."""
    headers = [("traceparent", TRACEPARENT), ("tracestate", "dd=s:2"), ("Tracestate", "a=1")]
    assert extracted(headers, "tracecontext")._meta["tracestate"] == "dd=s:2,a=1"


def test_contradicting_headers_are_nothing() -> None:
    """Two different values of a header that has one are no value; twice the same is one."""
    other = TRACEPARENT.replace("6", "7")
    assert is_empty(
        extracted([("traceparent", TRACEPARENT), ("traceparent", other)], "tracecontext")
    )
    assert is_empty(extracted([("b3", "0"), ("B3", "1")], "b3"))
    twice = [("traceparent", TRACEPARENT), ("Traceparent", TRACEPARENT)]
    assert extracted(twice, "tracecontext").trace_id == BIG


class _Broken(dict[str, str]):
    def items(self) -> Any:
        raise RuntimeError("broken")


@pytest.mark.parametrize("carrier", [None, {}, [], (), "", b"", 0])
def test_no_headers(carrier: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing in, an empty context out, without a word."""
    assert is_empty(HTTPPropagator.extract(carrier))
    assert not caplog.records


@pytest.mark.parametrize(
    "carrier", [5, object(), "traceparent", [1], [("a",)], ["abc"], _Broken({"b3": "1"}), b"x"]
)
def test_what_holds_no_headers(carrier: Any) -> None:
    """Anything else is an empty context too, never an exception."""
    assert is_empty(HTTPPropagator.extract(carrier))


@pytest.mark.parametrize("value", [None, 5, 1.5, object(), [], [None], {"a": 1}])
def test_values_that_are_no_text(value: Any) -> None:
    """A header whose value is no text is as good as missing."""
    assert is_empty(extracted({"x-datadog-trace-id": value}, "datadog"))


def test_inject_keeps_other_headers() -> None:
    """Headers that are there already stay, those of the same name are replaced."""
    headers = {"accept": "*/*", "traceparent": "old"}
    styled("tracecontext").inject(Context(BIG, SPAN, sampling_priority=1), headers)
    assert headers == {"accept": "*/*", "traceparent": TRACEPARENT, "tracestate": "dd=s:1"}


def test_inject_into_a_message() -> None:
    """Anything with `headers[name] = value` will do."""
    message = email.message.Message()
    styled("b3").inject(Context(BIG, SPAN), message)
    assert message["B3"] == f"{B3_TRACE}-{B3_SPAN}"


@pytest.mark.parametrize(
    ("pairs", "result"),
    [
        ([], [(b"b3", b"0000000000000005-0000000000000006")]),
        (
            [(b"B3", b"old"), (b"accept", b"*/*")],
            [(b"accept", b"*/*"), (b"b3", b"0000000000000005-0000000000000006")],
        ),
        ([("a", "b")], [("a", "b"), ("b3", "0000000000000005-0000000000000006")]),
    ],
)
def test_inject_into_pairs(pairs: list[Any], result: list[Any]) -> None:
    """Lists of pairs get pairs: bytes as in ASGI messages, text if they hold text."""
    styled("b3").inject(Context(5, 6), pairs)
    assert pairs == result


@pytest.mark.parametrize("carrier", [None, 5, (), "text", types.SimpleNamespace(a="b")])
@pytest.mark.usefixtures("fresh_log")
def test_inject_into_nothing(carrier: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot hold headers stays as it is, and so does the context; a warning says why."""
    before = copy.deepcopy(carrier)
    context = Context(5, 6)
    HTTPPropagator.inject(context, carrier)
    assert carrier == before
    assert context == Context(5, 6)
    assert caplog.messages == ["headers could not be injected: TypeError"]


@pytest.mark.parametrize("source", [None, 5, "span", {}])
def test_inject_what_is_no_context(source: Any) -> None:
    """Without a span or context there are no headers; nothing is raised."""
    headers: dict[str, str] = {}
    HTTPPropagator.inject(source, headers)
    assert headers == {}
