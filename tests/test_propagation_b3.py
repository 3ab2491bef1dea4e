"""The styles b3 and b3multi."""

from __future__ import annotations

import pytest
from propagation_cases import B3_SPAN, B3_TRACE, BIG, SPAN, extracted, ids, injected, is_empty

from fasttrace import Context


@pytest.mark.parametrize(
    ("priority", "sign"), [(None, ""), (-1, "-0"), (0, "-0"), (1, "-1"), (2, "-d"), (99, "-d")]
)
def test_single_header_is_written(priority: int | None, sign: str) -> None:
    """Ids, and a sign for the decision if there is one."""
    headers = injected(Context(BIG, SPAN, sampling_priority=priority), "b3")
    assert headers == {"b3": f"{B3_TRACE}-{B3_SPAN}{sign}"}


@pytest.mark.parametrize(
    ("priority", "more"),
    [
        (None, {}),
        (-1, {"x-b3-sampled": "0"}),
        (0, {"x-b3-sampled": "0"}),
        (1, {"x-b3-sampled": "1"}),
        (2, {"x-b3-flags": "1"}),
        (99, {"x-b3-flags": "1"}),
    ],
)
def test_multiple_headers_are_written(priority: int | None, more: dict[str, str]) -> None:
    """Ids, and either sampled or the debug flag if there is a decision."""
    headers = injected(Context(BIG, SPAN, sampling_priority=priority), "b3multi")
    assert headers == {"x-b3-traceid": B3_TRACE, "x-b3-spanid": B3_SPAN, **more}


def test_ids_of_64_bits_have_16_digits() -> None:
    """A trace id that fits 64 bits is written with 16 digits."""
    context = Context(2**64 - 1, 1)
    assert injected(context, "b3")["b3"] == "f" * 16 + "-0000000000000001"
    assert injected(context, "b3multi")["x-b3-traceid"] == "f" * 16


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        (f"{B3_TRACE}-{B3_SPAN}", None),
        (f"{B3_TRACE}-{B3_SPAN}-0", 0),
        (f"{B3_TRACE}-{B3_SPAN}-1", 1),
        (f"{B3_TRACE}-{B3_SPAN}-d", 2),
        (f"{B3_TRACE}-{B3_SPAN}-d-00000000000000ab", 2),
        (f"{B3_TRACE}-{B3_SPAN}-true", None),
        (f" {B3_TRACE.upper()}-{B3_SPAN}-1 ", 1),
    ],
)
def test_single_header_is_read(text: str, priority: int | None) -> None:
    """Ids in either case, the decision if it is there; the parent's parent is not used."""
    context = extracted({"b3": text}, "b3")
    assert ids(context) == (BIG, SPAN)
    assert context.sampling_priority == priority


@pytest.mark.parametrize(("text", "priority"), [("0", 0), ("1", 1), ("d", 2)])
def test_a_decision_alone(text: str, priority: int) -> None:
    """The single header may hold only the decision: a context without ids."""
    context = extracted({"b3": text}, "b3")
    assert ids(context) == (None, None)
    assert context.sampling_priority == priority


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "true",
        "-",
        "--",
        f"{B3_TRACE}",
        f"{B3_TRACE}-",
        f"-{B3_SPAN}",
        f"{'0' * 32}-{B3_SPAN}-1",
        f"{B3_TRACE[:16]}{'0' * 16}-{B3_SPAN}-1",
        f"{B3_TRACE}0-{B3_SPAN}",
        f"{B3_TRACE}-{B3_SPAN}0",
        f"{B3_TRACE}-zz",
        f"+{B3_TRACE[1:]}-{B3_SPAN}",
        f"{B3_TRACE[:-2]}_0-{B3_SPAN}",
        f"{B3_TRACE}-{B3_SPAN}-1-" + "0" * 1_000_000,
    ],
)
def test_unusable_single_header(text: str) -> None:
    """What is neither ids nor a decision makes an empty context."""
    assert is_empty(extracted({"b3": text}, "b3"))


@pytest.mark.parametrize(
    ("more", "priority"),
    [
        ({}, None),
        ({"X-B3-Sampled": "0"}, 0),
        ({"X-B3-Sampled": "1"}, 1),
        ({"X-B3-Sampled": "true"}, None),
        ({"X-B3-Flags": "1"}, 2),
        ({"X-B3-Flags": "0"}, None),
        ({"X-B3-Flags": "1", "X-B3-Sampled": "0"}, 2),
        ({"X-B3-Flags": "0", "X-B3-Sampled": "1"}, 1),
    ],
)
def test_multiple_headers_are_read(more: dict[str, str], priority: int | None) -> None:
    """Ids and the decision; the debug flag wins over sampled."""
    context = extracted({"X-B3-TraceId": B3_TRACE, "X-B3-SpanId": B3_SPAN, **more}, "b3multi")
    assert ids(context) == (BIG, SPAN)
    assert context.sampling_priority == priority


def test_no_span_id() -> None:
    """Without a span id, or with 0, the trace is continued without a parent."""
    for headers in ({}, {"x-b3-spanid": "0"}):
        context = extracted({"x-b3-traceid": B3_TRACE, **headers}, "b3multi")
        assert ids(context) == (BIG, None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-b3-sampled": "1"},
        {"x-b3-spanid": B3_SPAN, "x-b3-sampled": "1"},
        {"x-b3-traceid": "0" * 32, "x-b3-spanid": B3_SPAN},
        {"x-b3-traceid": "zz", "x-b3-spanid": B3_SPAN},
        {"x-b3-traceid": B3_TRACE, "x-b3-spanid": "zz"},
        {"x-b3-traceid": "", "x-b3-spanid": B3_SPAN},
        {"x-b3-traceid": "a" * 1_000_000, "x-b3-spanid": B3_SPAN},
    ],
)
def test_unusable_multiple_headers(headers: dict[str, str]) -> None:
    """Without a trace id, or with an id that is not hex, the context is empty."""
    assert is_empty(extracted(headers, "b3multi"))
