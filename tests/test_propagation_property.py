"""Round trips of any context through every style and pair of styles, and headers of any content.

FASTTRACE_TEST_FULL=1 reads a million random headers instead of fifty thousand.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propagation_cases import EVERY_STYLE, ids, styled

from fasttrace import Context
from fasttrace.propagation.carrier import HEADERS
from fasttrace.propagation.http import Propagator

FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
FUZZ_ROUNDS = 1_000_000 if FULL else 50_000

PROPAGATORS = {style: styled(style) for style in (*EVERY_STYLE, "baggage")}
ALL = styled(*EVERY_STYLE, "baggage")
PAIRS = [(first, second) for first in EVERY_STYLE for second in EVERY_STYLE]

trace_ids = st.one_of(
    st.integers(1, 2**64 - 1),
    st.integers(2**64, 2**128 - 1).filter(lambda number: number % 2**64),
    st.sampled_from([1, 2**63, 2**64 - 1, 2**64 + 1, 2**128 - 1]),
)
span_ids = st.one_of(st.integers(1, 2**64 - 1), st.sampled_from([1, 2**63, 2**64 - 1]))
priorities = st.one_of(st.none(), st.integers(-1, 2), st.integers(-(2**31), 2**31 - 1))
plain = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
# What separates keys and values in one of the styles has no way back from it.
tag_keys = plain.filter(lambda text: not set(text) & set(",=;:"))
tag_values = plain.filter(lambda text: not set(text) & set(",;~"))
tags = st.dictionaries(
    tag_keys.map(lambda key: "_dd.p." + key).filter(
        lambda key: key not in ("_dd.p.tid", "_dd.p.dm", "_dd.p.upstream_services")
    ),
    tag_values,
    max_size=3,
)
makers = st.one_of(st.none(), st.integers(0, 255).map(lambda number: f"-{number}"))
origins = st.one_of(st.none(), tag_values)
texts = st.text(min_size=1, max_size=12).map(
    lambda text: "".join("?" if "\ud800" <= char <= "\udfff" else char for char in text).strip()
)
baggage = st.dictionaries(texts.filter(bool), texts.filter(bool), max_size=4)


def _context(
    trace_id: int,
    span_id: int,
    priority: int | None,
    origin: str | None = None,
    meta: dict[str, str] | None = None,
    maker: str | None = None,
    items: dict[str, str] | None = None,
) -> Context:
    meta = dict(meta or {})
    if maker is not None:
        meta["_dd.p.dm"] = maker
    return Context(
        trace_id, span_id, origin, priority, meta, baggage=dict(items) if items else None
    )


def _sent(context: Context, writer: Propagator) -> dict[str, str]:
    headers: dict[str, str] = {}
    writer.inject(context, headers)
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    return headers


def _expected_priority(style: str, priority: int | None) -> int | None:
    """What of a priority arrives: b3 knows three values, traceparent always has one."""
    if style == "datadog" or (priority is None and style != "tracecontext"):
        return priority
    if style == "tracecontext":
        return priority if priority is not None else 0
    assert priority is not None
    return 0 if priority <= 0 else 1 if priority == 1 else 2


@pytest.mark.parametrize("style", EVERY_STYLE)
@given(trace_ids, span_ids, priorities)
def test_ids_and_decision(style: str, trace_id: int, span_id: int, priority: int | None) -> None:
    """Through any style, ids of up to 128 bits and the decision arrive as they were sent."""
    propagator = PROPAGATORS[style]
    context = propagator.extract(_sent(_context(trace_id, span_id, priority), propagator))
    assert ids(context) == (trace_id, span_id)
    assert context.sampling_priority == _expected_priority(style, priority)


@pytest.mark.parametrize("style", ["datadog", "tracecontext"])
@given(trace_ids, span_ids, st.integers(-1, 2), origins, tags, makers)
def test_everything_else(
    style: str,
    trace_id: int,
    span_id: int,
    priority: int,
    origin: str | None,
    meta: dict[str, str],
    maker: str | None,
) -> None:
    """Origin, tags and decision maker arrive as they were sent."""
    propagator = PROPAGATORS[style]
    sent = _context(trace_id, span_id, priority, origin, meta, maker)
    context = propagator.extract(_sent(sent, propagator))
    arrived = {key: value for key, value in context._meta.items() if key.startswith("_dd.p.")}
    arrived.pop("_dd.p.tid", None)
    assert arrived == {**meta, **({"_dd.p.dm": maker} if maker is not None else {})}
    # A browser that has not decided is told from one that has by s alone, which is 0 here.
    assert (context.dd_origin, context.sampling_priority) == (origin, priority)


@given(baggage)
def test_baggage(items: dict[str, str]) -> None:
    """Any baggage arrives as it was sent, blanks around keys and values aside."""
    propagator = PROPAGATORS["baggage"]
    headers = _sent(Context(baggage=dict(items)), propagator)
    assert propagator.extract(headers).get_all_baggage_items() == items


@pytest.mark.parametrize(("first", "second"), PAIRS)
@given(trace_ids, span_ids, priorities, baggage)
def test_any_pair_of_styles(
    first: str,
    second: str,
    trace_id: int,
    span_id: int,
    priority: int | None,
    items: dict[str, str],
) -> None:
    """A chain of three services that speak different styles stays one trace with one decision."""
    sender, middle, receiver = (
        styled(first, "baggage"),
        styled(first, second, "baggage"),
        styled(second, "baggage"),
    )
    sent = _context(trace_id, span_id, priority, items=items)
    between = middle.extract(_sent(sent, sender))
    arrived = receiver.extract(_sent(between, middle))
    assert ids(between) == ids(arrived) == (trace_id, span_id)
    assert between._span_links == arrived._span_links == []
    assert between.sampling_priority == _expected_priority(first, priority)
    expected = _expected_priority(second, between.sampling_priority)
    assert arrived.sampling_priority == expected
    assert arrived.get_all_baggage_items() == items


@given(trace_ids, span_ids, priorities, origins, tags, makers, baggage)
def test_all_styles_at_once(
    trace_id: int,
    span_id: int,
    priority: int | None,
    origin: str | None,
    meta: dict[str, str],
    maker: str | None,
    items: dict[str, str],
) -> None:
    """Written in all styles and read in all styles, a context is the same, without links."""
    sent = _context(trace_id, span_id, priority, origin, meta, maker, items)
    context = ALL.extract(_sent(sent, ALL))
    assert ids(context) == (trace_id, span_id)
    assert (context.sampling_priority, context.dd_origin) == (priority, origin)
    assert context._span_links == []
    assert context.get_all_baggage_items() == items
    again: dict[str, str] = {}
    ALL.inject(context, again)
    assert ids(ALL.extract(again)) == (trace_id, span_id)


# -- headers of any content ------------------------------------------------------------------------

_PIECES = (
    *("0", "1", "-1", "2", "d", "00", "ff", "rum", "dd=", "s:1", "p:", "t.dm:-4", "t.tid:", "ot="),
    *("_dd.p.", "_dd.p.dm=-4", "_dd.p.tid=", "640cfd8d00000000", "18446744073709551615"),
    *("=", ",", ";", "-", ":", " ", "~", "%", "%20", "%zz", "\t", "\n", "\x00", "\x7f"),
    *("\u00e9", "\u0660", "\ud800", "\U0001f600", "a=b", "key=value", "a" * 40, "0" * 32),
)
_VALID = {
    "x-datadog-trace-id": "123",
    "x-datadog-parent-id": "456",
    "x-datadog-sampling-priority": "1",
    "x-datadog-origin": "rum",
    "x-datadog-tags": "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000",
    "traceparent": "00-640cfd8d00000000000000000000007b-00000000000001c8-01",
    "tracestate": "dd=p:00000000000001c8;s:1;t.dm:-4,congo=t61rcWkgMzE",
    "b3": "640cfd8d00000000000000000000007b-00000000000001c8-1",
    "x-b3-traceid": "640cfd8d00000000000000000000007b",
    "x-b3-spanid": "00000000000001c8",
    "x-b3-sampled": "1",
    "x-b3-flags": "0",
    "baggage": "user.id=42,k%20e=v",
}


def _mutated(rng: random.Random, text: str) -> str:
    for _ in range(rng.randint(1, 3)):
        start = rng.randint(0, len(text))
        end = min(len(text), start + rng.choice((0, 0, 1, 1, 2, 8)))
        text = text[:start] + rng.choice(_PIECES) + text[end:]
    return text


def _random_headers(rng: random.Random) -> dict[Any, Any]:
    headers: dict[Any, Any] = {}
    for name in HEADERS:
        kind = rng.random()
        if kind < 0.35:
            continue
        if kind < 0.6:
            value = _VALID[name]
        elif kind < 0.9:
            value = _mutated(rng, _VALID[name])
        else:
            value = "".join(rng.choices(_PIECES, k=rng.randint(0, 12)))
        spelled: Any = name
        if rng.random() < 0.1:
            spelled = rng.choice((name.upper(), "HTTP_" + name.upper().replace("-", "_")))
        content: Any = value
        if rng.random() < 0.05:
            content = rng.choice((value.encode("utf-8", "surrogatepass"), [value, value], None, 5))
        headers[spelled] = content
    return headers


def _assert_valid(context: Context) -> None:
    """A context that spans can be made from and that can be sent on."""
    assert type(context) is Context
    trace_id, span_id = ids(context)
    assert trace_id is None or 0 < trace_id < 2**128
    assert span_id is None or (trace_id is not None and 0 < span_id < 2**64)
    assert context.sampling_priority is None or abs(context.sampling_priority) <= 2**31
    for key, value in context._meta.items():
        assert type(key) is str
        assert type(value) is str
        # The texts of an error and of baggage come from outside; all others can be sent on.
        if key != "_dd.propagation_error" and not key.startswith("baggage."):
            assert (key + value).isascii()
            assert value.isprintable()
            assert len(value) <= 512
    for link_trace, link_span, state, flags, _ in context._span_links:
        assert 0 < link_trace < 2**128
        assert 0 < link_span < 2**64
        assert link_trace != trace_id
        assert state is None or (state.isascii() and state.isprintable())
        assert flags in (0, 1)


READERS = [
    styled(*EVERY_STYLE, "baggage"),
    styled("b3", "tracecontext", "b3multi", "datadog", "baggage", DD_TRACE_BAGGAGE_TAG_KEYS="*"),
    styled("tracecontext", "datadog", DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED="true"),
    styled(*EVERY_STYLE, "baggage", DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT="restart"),
    styled("datadog", "tracecontext", DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED="false"),
    styled("tracecontext", "datadog", DD_TRACE_PROPAGATION_EXTRACT_FIRST="true"),
]


def test_headers_of_any_content() -> None:
    """Whatever the headers hold, reading them never raises nor makes a context that is not valid.

    What was read can be sent on, in headers that no content can break, and stays the same trace.
    """
    seed = random.randrange(2**32) if FULL else 7
    rng = random.Random(seed)
    found = 0
    for number in range(FUZZ_ROUNDS):
        headers = _random_headers(rng)
        reader = READERS[number % len(READERS)]
        try:
            context = reader.extract(headers)
            _assert_valid(context)
            found += context.trace_id is not None
            if number % 4 == 0:
                again = _sent(context, ALL)
                if context.trace_id is not None and context.span_id is not None:
                    arrived = ALL.extract(again)
                    assert arrived.span_id == context.span_id
                    assert (arrived.trace_id or 0) % 2**64 == context.trace_id % 2**64
        except BaseException as error:
            raise AssertionError(f"seed {seed}, round {number}: {headers!r}") from error
    assert found > FUZZ_ROUNDS // 3, "most of the headers were refused: the test tests nothing"


@given(st.dictionaries(st.sampled_from(HEADERS), st.text(max_size=80), max_size=13))
def test_headers_of_any_text(headers: dict[str, str]) -> None:
    """The same for arbitrary text."""
    for reader in READERS:
        context = reader.extract(headers)
        _assert_valid(context)
        _sent(context, ALL)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "0",
        " ",
        ",",
        "=",
        "-",
        ";",
        "%41",
        "a=1,",
        "dd=s:1;",
        "dd=s:1,",
        "_dd.p.a=1,",
        "\u00e9",
    ],
)
def test_a_huge_header_is_cut_off(name: str, piece: str) -> None:
    """A header of a megabyte costs next to nothing: its end is not even looked at."""
    headers = dict(_VALID)
    headers[name] = _VALID[name] + piece * (1_000_000 // len(piece))
    reader = READERS[0]
    best_s = 10.0
    for _ in range(3):
        start = time.perf_counter()
        context = reader.extract(headers)
        best_s = min(best_s, time.perf_counter() - start)
    _assert_valid(context)
    assert best_s < 0.05


def test_time_is_linear() -> None:
    """Thirty-two times the headers take no more than some hundred times the time."""

    def best_s(count: int) -> float:
        headers = {f"header-{number}": "x" for number in range(count)}
        headers.update(_VALID)
        headers["tracestate"] = "dd=s:1," + ",".join(f"k{n}=v" for n in range(count))
        headers["baggage"] = ",".join(f"k{n}=v" for n in range(count))
        best = 10.0
        for _ in range(5):
            start = time.perf_counter()
            READERS[0].extract(headers)
            best = min(best, time.perf_counter() - start)
        return best

    assert best_s(32_000) < 150 * best_s(1_000)
