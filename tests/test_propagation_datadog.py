"""The style datadog: headers x-datadog-*."""

from __future__ import annotations

import pytest
from propagation_cases import BIG, DATADOG, LOW, SPAN, extracted, ids, injected, is_empty

from fasttrace import Context

ERROR = "_dd.propagation_error"


def _tags(value: str) -> dict[str, str]:
    """What is kept of a value of x-datadog-tags."""
    return extracted({**DATADOG, "x-datadog-tags": value}, "datadog")._meta


# -- writing ---------------------------------------------------------------------------------------


def test_all_headers_are_written() -> None:
    """A context with everything gives all five headers; the trace id is its low 64 bits."""
    context = Context(
        BIG, SPAN, dd_origin="rum", sampling_priority=2, meta={"_dd.p.dm": "-4", "_dd.p.x": "y"}
    )
    headers = injected(context, "datadog")
    tags = headers.pop("x-datadog-tags")
    assert headers == {
        "x-datadog-trace-id": str(LOW),
        "x-datadog-parent-id": str(SPAN),
        "x-datadog-sampling-priority": "2",
        "x-datadog-origin": "rum",
    }
    assert set(tags.split(",")) == {"_dd.p.dm=-4", "_dd.p.x=y", "_dd.p.tid=640cfd8d00000000"}


def test_what_is_not_there_is_not_written() -> None:
    """Priority, origin and tags are left out where the context has none."""
    assert injected(Context(5, 6), "datadog") == {
        "x-datadog-trace-id": "5",
        "x-datadog-parent-id": "6",
    }


@pytest.mark.parametrize("context", [Context(), Context(trace_id=5), Context(span_id=5)])
def test_without_ids_nothing_is_written(context: Context) -> None:
    """A context that lacks an id gives no headers."""
    assert injected(context, "datadog", "tracecontext", "b3", "b3multi") == {}


def test_only_propagated_tags_are_written() -> None:
    """Tags that do not begin with `_dd.p.` stay here."""
    context = Context(5, 6, meta={"_dd.p.a": "1", "other": "2", "_dd.origin": "rum"})
    assert injected(context, "datadog")["x-datadog-tags"] == "_dd.p.a=1"


@pytest.mark.parametrize(("chars", "sent"), [(512, True), (513, False)])
def test_tags_of_at_most_512_characters(chars: int, sent: bool) -> None:
    """Tags longer than 512 characters are left out altogether, and the trace says so."""
    context = Context(5, 6, meta={"_dd.p.a": "x" * (chars - len("_dd.p.a="))})
    headers = injected(context, "datadog")
    assert ("x-datadog-tags" in headers) is sent
    assert context._meta.get(ERROR) == (None if sent else "inject_max_size")


def test_length_of_tags_is_configurable() -> None:
    """DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH is the limit when tags are written."""
    context = Context(5, 6, meta={"_dd.p.a": "x"})
    assert injected(context, "datadog", DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH="9")["x-datadog-tags"]
    headers = injected(context, "datadog", DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH="8")
    assert "x-datadog-tags" not in headers
    assert context._meta[ERROR] == "inject_max_size"


def test_length_0_disables_tags() -> None:
    """With length 0 no tags are written, and the trace says `disabled`; reading is not changed."""
    context = Context(5, 6, meta={"_dd.p.a": "x"})
    headers = injected(context, "datadog", DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH="0")
    assert "x-datadog-tags" not in headers
    assert context._meta[ERROR] == "disabled"
    read = extracted(DATADOG, "datadog", DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH="0")
    assert read.trace_id == BIG


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_dd.p.a", "1,2"),
        ("_dd.p.a", "caf\u00e9"),
        ("_dd.p.a", "line\nbreak"),
        ("_dd.p.a", ""),
        ("_dd.p.a", "  "),
        ("_dd.p.a=b", "1"),
        ("_dd.p.a,b", "1"),
        ("_dd.p.a b", "1"),
        ("_dd.p.\u00e9", "1"),
    ],
)
def test_tags_that_cannot_be_written(key: str, value: str) -> None:
    """One tag that does not fit the format keeps all back, and the trace says so."""
    context = Context(5, 6, meta={key: value, "_dd.p.good": "1"})
    assert "x-datadog-tags" not in injected(context, "datadog")
    assert context._meta[ERROR] == "encoding_error"


def test_after_an_error_tags_are_not_tried_again() -> None:
    """A trace whose tags could not be read or written sends none."""
    context = Context(5, 6, meta={"_dd.p.a": "1", ERROR: "decoding_error"})
    assert "x-datadog-tags" not in injected(context, "datadog")
    assert context._meta[ERROR] == "decoding_error"


def test_values_are_written_without_blanks_around_them() -> None:
    """Blanks around a tag's value are not sent; those within it are."""
    context = Context(5, 6, meta={"_dd.p.a": " b c "})
    assert injected(context, "datadog")["x-datadog-tags"] == "_dd.p.a=b c"


def test_an_origin_cannot_break_the_header() -> None:
    """Characters that may not stand in a header become `_`: no line breaks from an origin."""
    context = Context(5, 6, dd_origin="a\r\nx-evil: 1\u00e9")
    assert injected(context, "datadog")["x-datadog-origin"] == "a__x-evil: 1_"


# -- reading ---------------------------------------------------------------------------------------


def test_all_headers_are_read() -> None:
    """All five headers are read; `_dd.p.tid` is the high half of the trace id."""
    context = extracted(
        {
            "x-datadog-trace-id": str(LOW),
            "x-datadog-parent-id": str(SPAN),
            "x-datadog-sampling-priority": "2",
            "x-datadog-origin": "rum",
            "x-datadog-tags": "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000,_dd.p.x=y",
        },
        "datadog",
    )
    assert ids(context) == (BIG, SPAN)
    assert (context.sampling_priority, context.dd_origin) == (2, "rum")
    assert context._meta == {
        "_dd.p.dm": "-4",
        "_dd.p.tid": "640cfd8d00000000",
        "_dd.p.x": "y",
        "_dd.origin": "rum",
    }
    assert context._is_remote


@pytest.mark.parametrize(
    "text", ["0", "", "abc", "-1", "1.5", "1_0", str(2**64), "9" * 5000, "0x10", "\u0661"]
)
def test_unusable_trace_id(text: str) -> None:
    """A trace id that is no number from 1 to 2^64-1 makes an empty context."""
    assert is_empty(extracted({**DATADOG, "x-datadog-trace-id": text}, "datadog"))


@pytest.mark.parametrize(("text", "number"), [(" 123 ", 123), (str(2**64 - 1), 2**64 - 1)])
def test_usable_trace_id(text: str, number: int) -> None:
    """A trace id may have blanks around it, and all of 64 bits."""
    assert extracted({"x-datadog-trace-id": text}, "datadog").trace_id == number


@pytest.mark.parametrize(
    "headers", [{}, {"x-datadog-parent-id": "0"}, {"x-datadog-parent-id": "-7"}]
)
def test_no_parent(headers: dict[str, str]) -> None:
    """Without a parent id, or with 0, the trace is continued without a parent."""
    context = extracted({"x-datadog-trace-id": "5", **headers}, "datadog")
    assert ids(context) == (5, None)


@pytest.mark.parametrize("text", ["", "abc", str(2**64), "1.0", "--1"])
def test_unusable_parent(text: str) -> None:
    """A parent id that is no number of 64 bits makes an empty context."""
    assert is_empty(extracted({**DATADOG, "x-datadog-parent-id": text}, "datadog"))


@pytest.mark.parametrize(
    ("text", "number"),
    [("-1", -1), ("0", 0), ("1", 1), ("2", 2), ("99", 99), ("-9", -9), (" 2", 2)],
)
def test_any_whole_number_is_a_priority(text: str, number: int) -> None:
    """Every whole number is taken over as the sampling priority."""
    context = extracted({**DATADOG, "x-datadog-sampling-priority": text}, "datadog")
    assert context.sampling_priority == number


@pytest.mark.parametrize("text", ["", "x", "1.0", "1_0", "9" * 30, "- 1", str(2**31)])
def test_unusable_priority(text: str) -> None:
    """A priority that is no number makes an empty context."""
    assert is_empty(extracted({**DATADOG, "x-datadog-sampling-priority": text}, "datadog"))


def test_missing_priority_is_none() -> None:
    """Without a priority nothing is decided and no decision maker is invented (ddtrace 4.x)."""
    context = extracted({"x-datadog-trace-id": "5", "x-datadog-parent-id": "6"}, "datadog")
    assert context.sampling_priority is None
    assert context._meta == {}


@pytest.mark.parametrize("origin", ["", "caf\u00e9", "a\nb", "x" * 257])
def test_unusable_origin(origin: str) -> None:
    """An origin that is empty, too long or not printable is left out, the rest is kept."""
    context = extracted({**DATADOG, "x-datadog-origin": origin}, "datadog")
    assert (context.dd_origin, context.trace_id) == (None, BIG)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("_dd.p.a=1", {"_dd.p.a": "1"}),
        ("_dd.p.a=1,_dd.p.b=2", {"_dd.p.a": "1", "_dd.p.b": "2"}),
        ("_dd.p.a=1,", {"_dd.p.a": "1"}),
        ("_dd.p.a= b c ", {"_dd.p.a": "b c"}),
        ("_dd.p.a=b=c", {"_dd.p.a": "b=c"}),
        ("_dd.p.a=1,_dd.p.a=2", {"_dd.p.a": "2"}),
        ("other=1,_dd.p.a=1", {"_dd.p.a": "1"}),
        ("_dd.p.upstream_services=x,_dd.p.a=1", {"_dd.p.a": "1"}),
        ("", {}),
    ],
)
def test_tags_are_read(value: str, tags: dict[str, str]) -> None:
    """Only tags `_dd.p.*` are kept, and never `_dd.p.upstream_services`."""
    assert _tags(value) == tags


@pytest.mark.parametrize(
    "value",
    [
        "_dd.p.a",
        "_dd.p.a=",
        "=1",
        ",_dd.p.a=1",
        "  ",
        "_dd.p. a=1",
        " _dd.p.a=1",
        "_dd.p.a=caf\u00e9",
        "_dd.p.a=\x7f",
        "_dd.p.a=\t1",
    ],
)
def test_one_malformed_tag_rejects_all(value: str) -> None:
    """If one tag is malformed none is kept, and the trace says so."""
    assert _tags("_dd.p.good=1," + value) == {ERROR: "decoding_error"}


@pytest.mark.parametrize(("chars", "kept"), [(512, True), (513, False), (1_000_000, False)])
def test_long_tags_are_not_read(chars: int, kept: bool) -> None:
    """More than 512 characters are not read, whatever is configured for writing."""
    value = "_dd.p.a=" + "x" * (chars - 8)
    read = _tags(value)
    assert read == ({"_dd.p.a": value[8:]} if kept else {ERROR: "extract_max_size"})


@pytest.mark.parametrize("tid", ["640CFD8D00000000", "0" * 16, "abc", "0" * 17, "zzzzzzzzzzzzzzzz"])
def test_malformed_high_half(tid: str) -> None:
    """`_dd.p.tid` must be 16 lower-case hex digits, not all 0; else it is dropped with an error."""
    context = extracted({**DATADOG, "x-datadog-tags": f"_dd.p.tid={tid},_dd.p.a=1"}, "datadog")
    assert context.trace_id == LOW
    assert context._meta == {"_dd.p.a": "1", ERROR: f"malformed_tid {tid}"}


@pytest.mark.parametrize("maker", ["-0", "-4", "-12", "-255"])
def test_decision_makers(maker: str) -> None:
    """Decision makers -0 to -255 are kept."""
    assert _tags(f"_dd.p.dm={maker}") == {"_dd.p.dm": maker}


@pytest.mark.parametrize("maker", ["4", "-256", "-01", "-", "-x", "--1", "-1x", "bad", "-\u0661"])
def test_unusable_decision_maker(maker: str) -> None:
    """Any other decision maker is removed, with an error; the other tags are kept."""
    expected = {ERROR: "decoding_error"}
    if maker.isascii():
        expected["_dd.p.a"] = "1"
    assert _tags(f"_dd.p.dm={maker},_dd.p.a=1") == expected


def test_64_bit_ids() -> None:
    """With 128-bit ids off `_dd.p.tid` is kept as a tag and sent on, not made part of the id."""
    off = {"DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED": "false"}
    context = extracted(DATADOG, "datadog", **off)
    assert context.trace_id == LOW
    assert injected(context, "datadog", **off) == DATADOG
