"""What the adapters of benchmarks/propagation.py share: headers, and loops over a propagator."""

from __future__ import annotations

from typing import Any

from bursts import Burst

#: Headers of a request as they reach a service, nothing of a trace among them.
ORDINARY = {
    "host": "shop:8000",
    "user-agent": "python-requests/2.32.0",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "connection": "keep-alive",
    "content-type": "application/json",
}
#: A trace as a service with the default styles of ddtrace or fasttrace sends it.
TRACE = {
    "x-datadog-trace-id": "12379813738877118345",
    "x-datadog-parent-id": "4660",
    "x-datadog-sampling-priority": "1",
    "x-datadog-tags": "_dd.p.dm=-1,_dd.p.tid=640cfd8d00000000",
    "traceparent": "00-640cfd8d00000000abcdef0123456789-0000000000001234-01",
    "tracestate": "dd=p:0000000000001234;s:1;t.dm:-1;t.tid:640cfd8d00000000",
}
TRACE_ID = 0x640CFD8D00000000ABCDEF0123456789
BAGGAGE = {"user.id": "4711", "tenant": "north"}
BAGGAGE_HEADER = {"baggage": "user.id=4711,tenant=north"}


#: Such headers as a request brings them, without and with baggage.
RECEIVED = {**ORDINARY, **TRACE}
RECEIVED_BAGGAGE = {**RECEIVED, **BAGGAGE_HEADER}


def extracting(propagator: Any) -> dict[str, Burst]:
    """The scenarios that read headers: all propagators have the same method for it."""

    def reading(headers: dict[str, str]) -> Burst:
        def burst(n: int) -> None:
            for _ in range(n):
                propagator.extract(headers)

        return burst

    return {
        "extract": reading(RECEIVED),
        "extract_baggage": reading(RECEIVED_BAGGAGE),
        "extract_nothing": reading(ORDINARY),
    }


def datadog_scenarios(tracer: Any, propagator: Any) -> dict[str, Burst]:
    """The scenarios of fasttrace and ddtrace, which have the same API; checked before they run."""
    plain = tracer.start_span("request")
    tracer.context_provider.activate(None)
    with_baggage = tracer.start_span("request")
    for key, value in BAGGAGE.items():
        with_baggage.context.set_baggage_item(key, value)

    sent: dict[str, str] = {}
    propagator.inject(with_baggage, sent)
    assert {*TRACE, *BAGGAGE_HEADER} == set(sent), sent
    context = propagator.extract(RECEIVED_BAGGAGE)
    assert (context.trace_id, context.span_id) == (TRACE_ID, 0x1234)
    assert context.get_all_baggage_items() == BAGGAGE
    assert propagator.extract(ORDINARY).trace_id is None

    def inject(n: int) -> None:
        for _ in range(n):
            propagator.inject(plain, {})

    def inject_baggage(n: int) -> None:
        for _ in range(n):
            propagator.inject(with_baggage, {})

    return {"inject": inject, "inject_baggage": inject_baggage, **extracting(propagator)}
