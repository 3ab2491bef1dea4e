"""The compiled propagator against the Python one: the same contexts, the same headers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from propagation_cases import DATADOG, TRACEPARENT, extracted, injected
from test_propagation_property import FULL, _mutated

from fasttrace import Context, Tracer
from fasttrace.config import Config
from fasttrace.propagation.carrier import HEADERS
from fasttrace.propagation.http import Propagator

ROUNDS = 300_000 if FULL else 6_000
ENVIRONS: list[dict[str, str]] = [
    {},
    {"DD_TRACE_PROPAGATION_STYLE": "datadog,tracecontext,b3,b3multi,baggage"},
    {
        "DD_TRACE_PROPAGATION_STYLE": "tracecontext,datadog,b3,baggage",
        "DD_TRACE_BAGGAGE_TAG_KEYS": "*",
    },
    {"DD_TRACE_PROPAGATION_STYLE": "b3multi,tracecontext,datadog"},
    {"DD_TRACE_PROPAGATION_STYLE": "b3,tracecontext"},
    {"DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED": "false"},
    {"DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH": "40"},
    {"DD_TRACE_PROPAGATION_EXTRACT_FIRST": "true"},
]
CONFIGS = [Config.from_env(environ) for environ in ENVIRONS]
PAIRS = [(Propagator(config), Propagator(config, compiled=False)) for config in CONFIGS]

# Values from the everyday to the edge of what the compiled code accepts, and past it.
VALUES: dict[str, tuple[str, ...]] = {
    "x-datadog-trace-id": ("123", "18446744073709551615"),
    "x-datadog-parent-id": ("456", "0", "18446744073709551615"),
    "x-datadog-sampling-priority": ("1", "2", "0", "-1", "5"),
    "x-datadog-origin": ("rum", "a=b", "synthetics", "x" * 101, ""),
    "x-datadog-tags": (
        "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000",
        "_dd.p.tid=640cfd8d00000000",
        "_dd.p.dm=-0",
        "_dd.p.tid=640cfd8d00000000,_dd.p.usr.id=abc=,_dd.p.x=a b",
        "_dd.p.x=a;b~c",
        "other=1,_dd.p.ts=02",
        "_dd.p.a=" + "x" * 300,
        "_dd.p.:=1",
        "_dd.p.=1",
        "_dd.p.upstream_services=q,_dd.p.a=1",
        "_dd.p.a=1,",
    ),
    "traceparent": (
        "00-640cfd8d00000000000000000000007b-00000000000001c8-01",
        "00-640cfd8d00000000000000000000007b-00000000000001c8-02",
        "00-640cfd8d00000000000000000000007b-00000000000001c9-00",
        "00-0000000000000000000000000000007b-00000000000001c8-03",
        "01-640cfd8d00000000000000000000007b-00000000000001c8-01",
    ),
    "tracestate": (
        "dd=p:00000000000001c8;s:1;t.dm:-4,congo=t61rcWkgMzE",
        "dd=s:2;o:rum;t.usr.id:a~;t.x:y z",
        "dd=o:rum",
        "congo=1,rojo=2",
        "dd=s:0",
        "",
        "dd=o:a~b;s:-1;t.tid:640cfd8d00000000",
        "a=1,dd=s:2",
        "dd=s:1,ot=th:8,a=1",
        "dd=s:1, a=1",
        "dd=s:1,a=" + "x" * 500,
        ",".join(f"k{number}=v" for number in range(33)),
        "dd=s:1," + ",".join(f"k{number}=v" for number in range(31)),
        "dd=s:1;t.a:" + "x" * 230,
    ),
    "b3": (
        "640cfd8d00000000000000000000007b-00000000000001c8-1",
        "640cfd8d00000000000000000000007b-00000000000001c8",
        "000000000000007b-00000000000001c8-0",
        "640cfd8d00000000000000000000007b-00000000000001c8-d",
        "0",
    ),
    "x-b3-traceid": ("640cfd8d00000000000000000000007b", "000000000000007b"),
    "x-b3-spanid": ("00000000000001c8",),
    "x-b3-sampled": ("0", "1", "true"),
    "x-b3-flags": ("1", "0"),
    "baggage": (
        "user.id=42,k=v",
        "k%20e=v",
        " a=b",
        "a=1,",
        "a=b=c",
        'x="y"',
        ",".join(f"k{number}=v" for number in range(65)),
        "a=1;p=2",
        "a=" + "x" * 2100,
    ),
}


def _headers(rng: random.Random) -> Any:
    headers: dict[str, Any] = {"host": "x", "accept-encoding": "gzip"}
    for name in HEADERS:
        kind = rng.random()
        if kind < 0.4:
            continue
        value = rng.choice(VALUES[name])
        if kind > 0.94:
            value = _mutated(rng, value)
        spelled = rng.choice(
            (name, name, name.upper(), name.title(), "HTTP_" + name.upper().replace("-", "_"))
        )
        headers[spelled] = value
    if rng.random() < 0.8:
        return headers
    return [
        (name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in headers.items()
    ]


def test_both_do_the_same() -> None:
    """Contexts, headers and tags of spans are the same, whichever of the two made them."""
    seed = random.randrange(2**32) if FULL else 7
    rng = random.Random(seed)
    compiled_count = 0
    tracer = _quiet_tracer()
    for number in range(ROUNDS):
        headers = _headers(rng)
        compiled, plain = rng.choice(PAIRS)
        try:
            ours, theirs = compiled.extract(headers), plain.extract(headers)
            assert ours == theirs
            compiled_count += compiled._extract_known(headers) is not None
            if rng.random() < 0.2:
                ours.sampling_priority = theirs.sampling_priority = rng.choice((None, 7, -5))
            writers = rng.choice(PAIRS)
            _assert_same_headers(writers, ours, theirs)
            assert ours == theirs
            if number % 10 == 0 and ours.trace_id is not None:
                with (
                    tracer.start_span("span", child_of=ours) as our_span,
                    tracer.start_span("span", child_of=theirs) as their_span,
                ):
                    their_span.span_id = our_span.span_id
                    assert our_span.get_tags() == their_span.get_tags()
                    _assert_same_headers(writers, our_span, their_span)
        except BaseException as error:
            raise AssertionError(f"seed {seed}, round {number}: {headers!r}") from error
    assert compiled_count > ROUNDS // 8, "hardly any headers were for the compiled code"


def _assert_same_headers(writers: tuple[Propagator, Propagator], ours: Any, theirs: Any) -> None:
    our_headers: dict[str, str] = {}
    their_headers: dict[str, str] = {}
    writers[0].inject(ours, our_headers)
    writers[1].inject(theirs, their_headers)
    assert our_headers == their_headers


def _quiet_tracer() -> Tracer:
    from helpers import make_offline_tracer

    return make_offline_tracer(partial_flush_min_spans=10**6)


@pytest.mark.parametrize("styles", [("datadog", "tracecontext", "baggage"), ("b3", "b3multi")])
def test_everyday_headers_are_for_the_compiled_code(styles: tuple[str, ...]) -> None:
    """What well-behaved services send is never left to the Python code."""
    propagator = Propagator(Config.from_env({"DD_TRACE_PROPAGATION_STYLE": ",".join(styles)}))
    headers: dict[str, str] = {}
    context = Context(
        2**127 + 5, 6, "rum", 1, {"_dd.p.dm": "-4", "_dd.p.x": "y"}, baggage={"user.id": "7"}
    )
    propagator._inject_slow = _never  # type: ignore[method-assign]
    propagator._extract_slow = _never  # type: ignore[method-assign]
    propagator.inject(context, headers)
    carriers: list[Any] = [
        headers,
        {},
        {"host": "x"},
        {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()},
        [(name.encode(), value.encode()) for name, value in headers.items()],
    ]
    for carrier in carriers:
        propagator.extract(carrier)
    assert len(headers) >= 4


def _never(*args: object) -> Any:
    raise AssertionError(f"left to the Python code: {args}")


def test_values_outlive_their_headers() -> None:
    """What was extracted keeps its texts after the headers are gone."""
    context = extracted(
        [
            (b"traceparent", TRACEPARENT.encode()),
            (b"tracestate", b"dd=s:2;o:" + b"x" * 50),
            (b"baggage", b"key=" + b"y" * 50),
        ],
        "tracecontext",
        "baggage",
    )
    assert context.dd_origin == "x" * 50
    assert context.get_baggage_item("key") == "y" * 50
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:2;o:" + "x" * 50


class _Key(str):
    """A name that is no exact str."""


def test_unusual_dicts() -> None:
    """Names and values that are no exact str are read by the Python code, as ever."""
    headers = {_Key(name): _Key(value) for name, value in DATADOG.items()}
    assert extracted(headers, "datadog") == extracted(DATADOG, "datadog")


def test_the_decision_of_a_context_is_its_tracers(new_tracer: Any) -> None:
    """Injecting decides by the tracer the trace belongs to, whichever tracer is the default."""
    for source in ("span", "context"):
        tracer = new_tracer()
        tracer._set_rates({"service:svc,env:": 0.0})
        with tracer.trace("root") as root:
            headers = injected(root if source == "span" else root.context, "datadog")
            assert headers["x-datadog-sampling-priority"] == "0"
            assert "_dd.p.dm=-1" in headers["x-datadog-tags"]
