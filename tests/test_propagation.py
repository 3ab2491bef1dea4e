"""HTTPPropagator: which styles are read and written, and what they say together."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

import pytest
from helpers import chunks_of
from propagation_cases import (
    B3_SPAN,
    BIG,
    DATADOG,
    EVERY_STYLE,
    LOW,
    SPAN,
    TRACEPARENT,
    extracted,
    ids,
    injected,
    is_empty,
    propagator,
)

from fasttrace import Context, Tracer

pytestmark = pytest.mark.usefixtures("fresh_log")

FAMILY = {
    "datadog": {"x-datadog-trace-id", "x-datadog-parent-id"},
    "tracecontext": {"traceparent", "tracestate"},
    "b3": {"b3"},
    "b3multi": {"x-b3-traceid", "x-b3-spanid"},
    "baggage": {"baggage"},
}


def _styles_written(**environ: str) -> set[str]:
    headers: dict[str, str] = {}
    propagator(**environ).inject(Context(5, 6, baggage={"k": "v"}), headers)
    found = {style for style, names in FAMILY.items() if names <= set(headers)}
    assert set().union(*(FAMILY[style] for style in found)) == set(headers)
    return found


# -- configuration ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "styles"),
    [
        ({}, {"datadog", "tracecontext", "baggage"}),
        ({"DD_TRACE_PROPAGATION_STYLE": "b3"}, {"b3"}),
        ({"DD_TRACE_PROPAGATION_STYLE": " B3 , B3Multi,b3"}, {"b3", "b3multi"}),
        ({"DD_TRACE_PROPAGATION_STYLE": "b3 single header"}, {"b3"}),
        ({"DD_TRACE_PROPAGATION_STYLE": "none"}, set()),
        ({"DD_TRACE_PROPAGATION_STYLE": "none,datadog"}, {"datadog"}),
        ({"DD_TRACE_PROPAGATION_STYLE_INJECT": "datadog"}, {"datadog"}),
        (
            {"DD_TRACE_PROPAGATION_STYLE": "b3", "DD_TRACE_PROPAGATION_STYLE_INJECT": "baggage"},
            {"baggage"},
        ),
        ({"DD_TRACE_PROPAGATION_STYLE_EXTRACT": "b3"}, {"datadog", "tracecontext", "baggage"}),
        ({"OTEL_PROPAGATORS": "b3,tracecontext,baggage"}, {"b3", "tracecontext", "baggage"}),
        ({"OTEL_PROPAGATORS": "b3", "DD_TRACE_PROPAGATION_STYLE": "datadog"}, {"datadog"}),
    ],
)
def test_styles_written(environ: dict[str, str], styles: set[str]) -> None:
    """Styles come from _STYLE_INJECT, then _STYLE, then OTEL_PROPAGATORS, then the default."""
    assert _styles_written(**environ) == styles


@pytest.mark.parametrize(
    ("environ", "trace_id"),
    [
        ({}, 1),
        ({"DD_TRACE_PROPAGATION_STYLE": "b3"}, 3),
        ({"DD_TRACE_PROPAGATION_STYLE": "tracecontext,datadog"}, 2),
        ({"DD_TRACE_PROPAGATION_STYLE": "b3multi,b3"}, 4),
        ({"DD_TRACE_PROPAGATION_STYLE_EXTRACT": "b3", "DD_TRACE_PROPAGATION_STYLE": "datadog"}, 3),
        ({"DD_TRACE_PROPAGATION_STYLE_INJECT": "b3"}, 1),
        ({"OTEL_PROPAGATORS": "b3multi"}, 4),
        ({"DD_TRACE_PROPAGATION_STYLE": "none"}, None),
        ({"DD_TRACE_PROPAGATION_STYLE": "baggage"}, None),
    ],
)
def test_styles_read(environ: dict[str, str], trace_id: int | None) -> None:
    """The first style, in configured order, that finds ids names the trace."""
    headers = {
        "x-datadog-trace-id": "1",
        "x-datadog-parent-id": "1",
        "traceparent": f"00-{2:032x}-{2:016x}-00",
        "b3": f"{3:016x}-{3:016x}",
        "x-b3-traceid": f"{4:016x}",
        "x-b3-spanid": f"{4:016x}",
    }
    assert propagator(**environ).extract(headers).trace_id == trace_id


@pytest.mark.parametrize(
    ("variable", "value", "item", "styles"),
    [
        ("DD_TRACE_PROPAGATION_STYLE", "b3,jaeger", "jaeger", {"b3"}),
        ("DD_TRACE_PROPAGATION_STYLE_INJECT", "datdog,b3,xray", "datdog, xray", {"b3"}),
        ("DD_TRACE_PROPAGATION_STYLE", "none,jaeger", "jaeger", set()),
        ("OTEL_PROPAGATORS", "ottrace,baggage", "ottrace", {"baggage"}),
        ("DD_TRACE_PROPAGATION_STYLE", "jaeger", "jaeger", {"datadog", "tracecontext", "baggage"}),
    ],
)
def test_unknown_styles(
    variable: str, value: str, item: str, styles: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Unknown styles give one warning with variable and item; the others hold, or the default."""
    with caplog.at_level(logging.WARNING, "fasttrace"):
        assert _styles_written(**{variable: value}) == styles
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert variable in message
    assert item in message


def test_a_negative_length_turns_tags_off(caplog: pytest.LogCaptureFixture) -> None:
    """A negative DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH warns once and means 0."""
    with caplog.at_level(logging.WARNING, "fasttrace"):
        sender = propagator(DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH="-1")
    assert "DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH='-1'" in caplog.records[0].getMessage()
    headers: dict[str, str] = {}
    context = Context(5, 6, meta={"_dd.p.a": "1"})
    sender.inject(context, headers)
    assert "x-datadog-tags" not in headers
    assert context._meta["_dd.propagation_error"] == "disabled"


def test_http_propagator_is_configured_by_the_environment() -> None:
    """HTTPPropagator has the styles of the environment, and its functions need no instance."""
    code = (
        "from fasttrace import Context\n"
        "from fasttrace.propagation.http import HTTPPropagator\n"
        "headers = {}\n"
        "HTTPPropagator.inject(Context(5, 6), headers)\n"
        "HTTPPropagator().inject(Context(5, 6), headers)\n"
        "print(headers, HTTPPropagator.extract(headers).trace_id)"
    )
    environ = {**os.environ, "DD_TRACE_PROPAGATION_STYLE": "b3"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "{'b3': '0000000000000005-0000000000000006'} 5"


def test_propagation_is_imported_late() -> None:
    """`import fasttrace` does not import the propagation package."""
    code = "import sys, fasttrace; print([n for n in sys.modules if 'propagation' in n])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


# -- several styles at once ------------------------------------------------------------------------


def _link_of(context: Context) -> tuple[Any, ...]:
    (link,) = context._span_links
    return tuple(link)


def test_another_trace_becomes_a_link() -> None:
    """A later style with another trace id becomes a span link, with its decision and tracestate."""
    headers = {
        "x-datadog-trace-id": "1",
        "x-datadog-parent-id": "2",
        "traceparent": f"00-{3:032x}-{4:016x}-01",
        "tracestate": "dd=s:2,a=1",
    }
    context = extracted(headers, *EVERY_STYLE)
    assert ids(context) == (1, 2)
    assert _link_of(context) == (
        3,
        4,
        "dd=s:2,a=1",
        1,
        {"reason": "terminated_context", "context_headers": "tracecontext"},
    )
    assert "tracestate" not in context._meta


@pytest.mark.parametrize(
    ("more", "style", "flags"),
    [
        ({"b3": f"{3:016x}-{4:016x}-1"}, "b3", 1),
        ({"b3": f"{3:016x}-{4:016x}-0"}, "b3", 0),
        ({"b3": f"{3:016x}-{4:016x}"}, "b3", 0),
        ({"x-b3-traceid": "3", "x-b3-spanid": "4", "x-b3-flags": "1"}, "b3multi", 1),
    ],
)
def test_links_of_other_styles(more: dict[str, str], style: str, flags: int) -> None:
    """The link names its style; its flag is its decision; only tracecontext has a tracestate."""
    headers = {"x-datadog-trace-id": "1", "x-datadog-parent-id": "2", **more}
    expected = {"reason": "terminated_context", "context_headers": style}
    assert _link_of(extracted(headers, *EVERY_STYLE)) == (3, 4, None, flags, expected)


def test_a_link_needs_both_ids() -> None:
    """A style without span id gives no link, one without ids neither."""
    headers = {
        "x-datadog-trace-id": "1",
        "x-datadog-parent-id": "2",
        "x-b3-traceid": "3",
        "b3": "1",
    }
    context = extracted(headers, *EVERY_STYLE)
    assert (context.trace_id, context._span_links) == (1, [])


def test_ids_win_over_a_decision_alone() -> None:
    """A b3 header with only a decision names no trace: the first style with ids does."""
    context = extracted({"b3": "0", "traceparent": TRACEPARENT}, "b3", "tracecontext")
    assert ids(context) == (BIG, SPAN)
    assert context.sampling_priority == 1
    assert context._span_links == []


def test_links_go_on_the_first_span(tracer: Tracer) -> None:
    """The links of a context go on the first span made from it, and on no other."""
    headers = {"x-datadog-trace-id": "1", "x-datadog-parent-id": "2", "b3": f"{3:016x}-{4:016x}-1"}
    context = extracted(headers, *EVERY_STYLE)
    with tracer.start_span("root", child_of=context, activate=True):
        with tracer.trace("child"):
            pass
    root, child = chunks_of(tracer)[0]
    assert [link["span_id"] for link in root["span_links"]] == [4]
    assert "span_links" not in child


def test_the_same_trace_keeps_the_tracestate() -> None:
    """If traceparent has the same trace id, the members of other vendors are passed on."""
    headers = {**DATADOG, "traceparent": TRACEPARENT, "tracestate": "dd=s:1,congo=1"}
    for styles in (("datadog", "tracecontext"), ("tracecontext", "datadog")):
        context = extracted(headers, *styles)
        assert (ids(context), context._span_links) == ((BIG, SPAN), [])
        assert "_dd.parent_id" not in context._meta
        assert injected(context, *styles)["tracestate"].endswith(",congo=1")


def test_the_same_trace_with_64_bit_ids() -> None:
    """With 128-bit ids off the two styles still name the same trace: no link from it to itself."""
    off = {"DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED": "false"}
    headers = {**DATADOG, "traceparent": TRACEPARENT, "tracestate": "congo=1"}
    context = extracted(headers, "datadog", "tracecontext", **off)
    assert (ids(context), context._span_links) == ((LOW, SPAN), [])
    assert context._meta["tracestate"] == "congo=1"


def test_the_first_style_decides() -> None:
    """Priority, origin and tags are those of the first style; tracecontext adds only its state."""
    headers = {
        **DATADOG,
        "x-datadog-sampling-priority": "-1",
        "traceparent": TRACEPARENT,
        "tracestate": "dd=s:2;o:rum;t.x:y",
    }
    context = extracted(headers, "datadog", "tracecontext")
    assert (context.sampling_priority, context.dd_origin) == (-1, None)
    assert "_dd.p.x" not in context._meta
    context = extracted(headers, "tracecontext", "datadog")
    assert (context.sampling_priority, context.dd_origin) == (2, "rum")


@pytest.mark.parametrize(
    ("state", "last"), [("dd=s:1;p:00000000000000ab", "00000000000000ab"), ("dd=s:1", B3_SPAN)]
)
def test_a_service_without_datadog_in_between(state: str, last: str) -> None:
    """If only the span ids differ, traceparent names the parent; the last Datadog span is kept."""
    parent = TRACEPARENT.replace(B3_SPAN, "00000000000000ff")
    headers = {**DATADOG, "traceparent": parent, "tracestate": state}
    context = extracted(headers, "datadog", "tracecontext")
    assert ids(context) == (BIG, 0xFF)
    assert context._meta["_dd.parent_id"] == last
    again = injected(context, "tracecontext")
    assert again["tracestate"].startswith(f"dd=p:{last};")


def test_traceparent_names_the_parent_that_datadog_lacks() -> None:
    """A trace without Datadog parent id gets traceparent's, and no last Datadog span."""
    headers = {**DATADOG, "traceparent": TRACEPARENT}
    del headers["x-datadog-parent-id"]
    context = extracted(headers, "datadog", "tracecontext")
    assert ids(context) == (BIG, SPAN)
    assert "_dd.parent_id" not in context._meta


@pytest.mark.parametrize("headers", [{"traceparent": TRACEPARENT}, {}, {"x-datadog-trace-id": "0"}])
def test_extract_first(headers: dict[str, str]) -> None:
    """With _EXTRACT_FIRST only the first style is tried; a miss is an empty Context, not None."""
    on = {"DD_TRACE_PROPAGATION_EXTRACT_FIRST": "true"}
    assert is_empty(extracted(headers, "datadog", "tracecontext", **on))
    assert extracted(DATADOG, "datadog", "tracecontext", **on).trace_id == BIG


def test_extract_first_makes_no_links_and_keeps_baggage() -> None:
    """With _EXTRACT_FIRST later styles are not even looked at; baggage is read as ever."""
    on = {"DD_TRACE_PROPAGATION_EXTRACT_FIRST": "true"}
    headers = {**DATADOG, "b3": f"{3:016x}-{4:016x}-1", "baggage": "k=v"}
    context = extracted(headers, "baggage", "datadog", "b3", **on)
    assert (context.trace_id, context._span_links) == (BIG, [])
    assert context.get_all_baggage_items() == {"k": "v"}


def test_behavior_restart(tracer: Tracer) -> None:
    """With restart a new trace begins, linked to the one from outside; baggage is kept."""
    headers = {
        **DATADOG,
        "x-datadog-sampling-priority": "2",
        "x-datadog-origin": "rum",
        "baggage": "k=v",
        "b3": f"{3:016x}-{4:016x}-1",
    }
    context = extracted(
        headers,
        "datadog",
        "b3",
        "baggage",
        DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT="restart",
    )
    assert ids(context) == (None, None)
    assert (context.sampling_priority, context.dd_origin, context._meta) == (None, None, {})
    assert context.get_all_baggage_items() == {"k": "v"}
    attributes = {"reason": "propagation_behavior_extract", "context_headers": "datadog"}
    assert _link_of(context) == (BIG, SPAN, None, 1, attributes)
    with tracer.start_span("root", child_of=context) as root:
        assert root.trace_id != BIG
        assert root.parent_id is None


def test_behavior_restart_with_nothing_to_link() -> None:
    """With restart and no ids there is no link."""
    restart = {"DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT": "restart"}
    assert is_empty(extracted({"b3": "1"}, "b3", **restart))
    assert is_empty(extracted({}, "b3", **restart))


def test_behavior_ignore() -> None:
    """With ignore nothing is read, not even baggage."""
    headers = {**DATADOG, "baggage": "k=v"}
    ignore = {"DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT": "IGNORE"}
    assert is_empty(extracted(headers, "datadog", "baggage", **ignore))


def test_unknown_behavior(caplog: pytest.LogCaptureFixture) -> None:
    """An unknown behavior gives one warning and continues the trace."""
    with caplog.at_level(logging.WARNING, "fasttrace"):
        context = extracted(DATADOG, "datadog", DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT="resume")
    assert context.trace_id == BIG
    assert "DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT='resume'" in caplog.records[0].getMessage()
