"""The style tracecontext: traceparent and tracestate."""

from __future__ import annotations

from typing import Any

import pytest
from propagation_cases import BIG, SPAN, TRACEPARENT, extracted, ids, injected, is_empty

from fasttrace import Context, Tracer
from fasttrace.propagation import tracecontext


def _read(state: str, flags: str = "01") -> Context:
    """The context of TRACEPARENT with these flags, and this tracestate."""
    return extracted({"traceparent": TRACEPARENT[:-2] + flags, "tracestate": state}, "tracecontext")


def _written(**parts: Any) -> str:
    """The tracestate of a remote context."""
    return injected(Context(BIG, SPAN, **parts), "tracecontext")["tracestate"]


# -- traceparent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trace_id", "priority", "text"),
    [
        (BIG, 2, TRACEPARENT),
        (BIG, 1, TRACEPARENT),
        (BIG, 0, TRACEPARENT[:-1] + "0"),
        (BIG, -1, TRACEPARENT[:-1] + "0"),
        (BIG, None, TRACEPARENT[:-1] + "0"),
        (5, 1, "00-00000000000000000000000000000005-0000000000001234-01"),
    ],
)
def test_traceparent_is_written(trace_id: int, priority: int | None, text: str) -> None:
    """Version 00, padded lower-case hex, and the sampled flag for a priority above 0."""
    context = Context(trace_id, SPAN, sampling_priority=priority)
    assert injected(context, "tracecontext")["traceparent"] == text


@pytest.mark.parametrize(
    "text",
    [
        TRACEPARENT,
        f" {TRACEPARENT}\t",
        "01" + TRACEPARENT[2:],
        "cc" + TRACEPARENT[2:] + "-what-comes-later",
    ],
)
def test_traceparent_is_read(text: str) -> None:
    """Versions 00 to fe are read, blanks around are removed, fields of later versions ignored."""
    context = extracted({"traceparent": text}, "tracecontext")
    assert ids(context) == (BIG, SPAN)
    assert context.sampling_priority == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ff" + TRACEPARENT[2:],
        TRACEPARENT + "-",
        TRACEPARENT + "-00",
        "01" + TRACEPARENT[2:] + "-",
        "01" + TRACEPARENT[2:] + "x",
        TRACEPARENT.upper(),
        TRACEPARENT[:-2] + "0A",
        TRACEPARENT[:-1],
        TRACEPARENT[1:],
        TRACEPARENT.replace("-", "_"),
        TRACEPARENT.replace("6", "\u0666", 1),
        TRACEPARENT.replace("6", "g", 1),
        TRACEPARENT.replace("6", "+", 1),
        "00-" + "0" * 32 + TRACEPARENT[35:],
        "00-640cfd8d00000000" + "0" * 16 + TRACEPARENT[35:],
        TRACEPARENT[:36] + "0" * 16 + "-01",
        f"{TRACEPARENT},{TRACEPARENT}",
        TRACEPARENT + "0" * 1_000_000,
    ],
)
def test_invalid_traceparent(text: str) -> None:
    """Without a valid traceparent there is no context, whatever the tracestate."""
    assert is_empty(extracted({"traceparent": text, "tracestate": "dd=s:2"}, "tracecontext"))


def test_tracestate_alone_is_nothing() -> None:
    """A tracestate without traceparent is ignored."""
    assert is_empty(extracted({"tracestate": "dd=s:2,a=1"}, "tracecontext"))


@pytest.mark.parametrize(
    ("flags", "kept"),
    [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03"), ("fc", "00")],
)
def test_the_random_flag_is_passed_on(flags: str, kept: str) -> None:
    """Of the flags the random one is passed on; unknown ones are not (W3C level 2)."""
    assert injected(_read("", flags), "tracecontext")["traceparent"][-2:] == kept


def test_the_random_flag_belongs_to_the_trace_id(tracer: Tracer) -> None:
    """Spans of the same trace pass the random flag on; another trace does not get it."""
    context = _read("", "03")
    with tracer.start_span("child", child_of=context) as span:
        assert injected(span, "tracecontext")["traceparent"].endswith("-03")
    assert injected(context.copy(7, 8), "tracecontext")["traceparent"].endswith("-01")


# -- the member dd= --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ({}, ""),
        ({"sampling_priority": 1}, "dd=s:1"),
        ({"sampling_priority": -1}, "dd=s:-1"),
        ({"dd_origin": "rum"}, "dd=o:rum"),
        ({"dd_origin": "rum;=~,x"}, "dd=o:rum_~__x"),
        ({"dd_origin": "a\u00e9\u00e9b"}, "dd=o:a_b"),
        ({"meta": {"_dd.p.dm": "-4"}}, "dd=t.dm:-4"),
        ({"meta": {"_dd.p.usr.id": "YQ=="}}, "dd=t.usr.id:YQ~~"),
        ({"meta": {"_dd.p.a b=,c;d:e~f": "1"}}, "dd=t.a_b__c_d_e~f:1"),
        ({"meta": {"_dd.p.\u00e9": "\u00e9;"}}, "dd=t._:__"),
        ({"meta": {"other": "1"}}, ""),
        (
            {
                "meta": {"_dd.p.x": "y", "_dd.p.usr.id": "u", "_dd.p.dm": "-4"},
                "sampling_priority": 2,
                "dd_origin": "rum",
            },
            "dd=s:2;o:rum;t.dm:-4;t.usr.id:u;t.x:y",
        ),
    ],
)
def test_the_member_dd_is_written(parts: dict[str, Any], state: str) -> None:
    """Fields s, o, t.dm, t.usr.id and the other tags, with what has a meaning there replaced."""
    assert _written(**parts) == state


def test_tid_after_the_style_datadog() -> None:
    """The field t.tid is there only where the style datadog has added the tag."""
    context = Context(BIG, SPAN, dd_origin="rum", sampling_priority=2, meta={"_dd.p.dm": "-4"})
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:2;o:rum;t.dm:-4"
    both = injected(context, "datadog", "tracecontext")["tracestate"]
    assert set(both[3:].split(";")) == {"s:2", "o:rum", "t.dm:-4", "t.tid:640cfd8d00000000"}


def test_p_is_the_span_that_injects(tracer: Tracer) -> None:
    """A local span writes its own id as the last Datadog span."""
    with tracer.trace("root") as span:
        state = injected(span, "tracecontext")["tracestate"]
    assert state == f"dd=p:{span.span_id:016x};s:1;t.dm:-0"


def test_p_of_a_remote_context_is_passed_on() -> None:
    """A remote context passes on the p it came with, or none."""
    assert injected(_read("dd=s:1;p:00000000000000ab"), "tracecontext")["tracestate"] == (
        "dd=p:00000000000000ab;s:1"
    )
    assert injected(_read("dd=s:1"), "tracecontext")["tracestate"] == "dd=s:1"


@pytest.mark.parametrize("p", ["zz", "ab", "00000000000000AB", "g" * 16, ""])
def test_malformed_p(p: str) -> None:
    """A p that is not 16 lower-case hex digits is forgotten."""
    context = _read(f"dd=s:2;p:{p}")
    assert "_dd.parent_id" not in context._meta
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:2"


def test_the_member_dd_is_read() -> None:
    """Priority, origin, last parent and propagated tags are read from the fields of dd=."""
    context = _read("dd=p:00000000000000ab;s:2;o:a~b;t.dm:-4;t.usr.id:Y:Q~~;t.x:y")
    assert (context.sampling_priority, context.dd_origin) == (2, "a=b")
    meta = context._meta
    assert meta["_dd.parent_id"] == "00000000000000ab"
    assert {key: meta[key] for key in meta if key.startswith("_dd.p.")} == {
        "_dd.p.dm": "-4",
        "_dd.p.usr.id": "Y:Q==",
        "_dd.p.x": "y",
    }


@pytest.mark.parametrize(
    ("flags", "state", "priority"),
    [
        # flag says keep: s counts if it says so too
        ("01", "dd=s:1", 1),
        ("01", "dd=s:2", 2),
        ("01", "dd=s:99", 99),
        ("01", "dd=s:0", 1),
        ("01", "dd=s:-1", 1),
        ("01", "dd=t.dm:-4", 1),
        ("01", "dd=s:x", 1),
        ("01", "a=1", 1),
        ("01", "", 1),
        # flag says drop
        ("00", "dd=s:0", 0),
        ("00", "dd=s:-1", -1),
        ("00", "dd=s:1", 0),
        ("00", "dd=s:2", 0),
        ("00", "dd=t.dm:-4", 0),
        ("00", "dd=s:x", 0),
        ("00", "", 0),
        # the browser sets a flag without having decided
        ("01", "dd=o:rum", None),
        ("00", "dd=o:rum", None),
        ("01", "dd=s:0;o:rum", 0),
        ("01", "dd=s:-1;o:rum", 1),
        ("01", "dd=s:2;o:rum", 2),
        ("00", "dd=s:2;o:rum", 0),
        ("01", "dd=o:synthetics", 1),
    ],
)
def test_flag_and_s_make_the_priority(flags: str, state: str, priority: int | None) -> None:
    """The sampled flag decides, and s says how surely where it agrees."""
    assert _read(state, flags).sampling_priority == priority


def test_the_decision_maker_is_kept_when_flag_and_s_disagree() -> None:
    """The decision maker is taken over as received; none is invented."""
    assert _read("dd=s:2;t.dm:-4", "00")._meta["_dd.p.dm"] == "-4"
    assert "_dd.p.dm" not in _read("dd=s:2")._meta


def test_rum_without_a_decision_is_sampled_anew(tracer: Tracer) -> None:
    """A trace begun by the browser without decision gets one here, with decision maker -0."""
    with tracer.start_span("root", child_of=_read("dd=o:rum")) as span:
        state = injected(span, "tracecontext")["tracestate"]
    assert state == f"dd=p:{span.span_id:016x};s:1;o:rum;t.dm:-0"


@pytest.mark.parametrize("fields", ["s:2;x", "s:2;;o:a", "s:2;", ";s:2", "", "x", "s:1.0;o:a"])
def test_malformed_dd(fields: str) -> None:
    """If dd= cannot be read the flags decide, and the members of others are kept."""
    context = _read(f"dd={fields},a=1")
    assert (context.sampling_priority, context.dd_origin) == (1, None)
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:1,a=1"


def test_fields_follow_the_semicolon_directly() -> None:
    """A blank before a field makes it an unknown one."""
    assert _read("dd=s:2; o:a").dd_origin is None


def test_unknown_fields_are_dropped() -> None:
    """Fields of dd= that nobody here knows are not sent on."""
    assert injected(_read("dd=s:2;q:1;z:2"), "tracecontext")["tracestate"] == "dd=s:2"


@pytest.mark.parametrize("state", ["dd=s:2;t.:v", "dd=s:2;t.x:", "dd=s:2;t.x: ", "dd=s:2;t.a b:v"])
def test_tags_that_could_not_be_sent_on(state: str) -> None:
    """A tag that would spoil x-datadog-tags is not taken over."""
    context = _read(state)
    assert not [key for key in context._meta if key.startswith("_dd.p.")]
    assert "_dd.propagation_error" not in context._meta
    assert injected(context, "datadog")["x-datadog-parent-id"] == str(SPAN)


@pytest.mark.parametrize(
    ("state", "tags"),
    [
        ("dd=s:2;t.dm:bad", {}),
        ("dd=s:2;t.tid:640cfd8d00000000", {"_dd.p.tid": "640cfd8d00000000"}),
        ("dd=s:2;t.tid:1111111100000000", {}),
        ("dd=s:2;t.tid:bad", {}),
    ],
)
def test_tags_that_contradict(state: str, tags: dict[str, str]) -> None:
    """A malformed decision maker, or a t.tid that is not the trace id's, is not taken over."""
    meta = _read(state)._meta
    assert {key: meta[key] for key in meta if key.startswith("_dd.p.")} == tags


def test_the_last_dd_counts() -> None:
    """Of several members dd= the last one is read, and one is written."""
    context = _read("dd=s:1,a=1,dd=s:2")
    assert context.sampling_priority == 2
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:2,a=1"


def test_dd_is_at_most_256_characters() -> None:
    """Tags that make dd= longer than 256 characters are left out, shorter ones after them not."""
    meta = {"_dd.p.a": "x" * 100, "_dd.p.b": "y" * 200, "_dd.p.c": "z"}
    state = _written(meta=meta, sampling_priority=1)
    assert state == "dd=s:1;t.a:" + "x" * 100 + ";t.c:z"
    whole = 256 - len("dd=p:0123456789abcdef;s:1;t.a:")
    for chars, written in ((whole, True), (whole + 1, False)):
        state = _written(meta={"_dd.p.a": "x" * chars}, sampling_priority=1)
        assert ("t.a" in state) is written


# -- members of others -----------------------------------------------------------------------------


def test_other_members_are_kept_in_their_order() -> None:
    """Members of other vendors follow dd= in the order they came in, without blanks around them."""
    context = _read("congo=t61rcWkgMzE , dd=s:2 ,\t rojo@x=1,,a=b=c")
    assert injected(context, "tracecontext")["tracestate"] == (
        "dd=s:2,congo=t61rcWkgMzE,rojo@x=1,a=b=c"
    )


def test_members_that_look_like_ours(tracer: Tracer) -> None:
    """Only a member named dd is ours: `add=` and a value with `dd=` in it are left alone."""
    context = _read("add=1,x=dd=2,DD=s:3,dd=s:2")
    with tracer.start_span("child", child_of=context) as span:
        state = injected(span, "tracecontext")["tracestate"]
    assert state == f"dd=p:{span.span_id:016x};s:2,add=1,x=dd=2,DD=s:3"


def test_ot_stays_next_to_dd() -> None:
    """OpenTelemetry's probability sampling is passed on, and protected from the limits."""
    context = _read("a=1,ot=th:8,b=2")
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:1,ot=th:8,a=1,b=2"


def test_tracestate_that_is_not_ascii() -> None:
    """A tracestate with other characters than printable ASCII is ignored, the traceparent not."""
    for state in ("a=\u00e9,dd=s:2", "a=\x00,dd=s:2"):
        context = _read(state)
        assert (context.trace_id, context.sampling_priority) == (BIG, 1)
        assert injected(context, "tracecontext")["tracestate"] == "dd=s:1"


def test_at_most_32_members() -> None:
    """More than 32 members are cut at the end; dd= is one of them wherever it was."""
    members = [f"k{number}=v" for number in range(40)]
    state = injected(_read(",".join([*members, "dd=s:2"])), "tracecontext")["tracestate"]
    assert state.split(",") == ["dd=s:2", *members[:31]]


def test_long_members_go_first() -> None:
    """Where there are too many members, those longer than 128 characters go before the others."""
    long = "long=" + "x" * 124
    members = [f"k{number}=v" for number in range(32)]
    state = ",".join([long, *members[:16], long, *members[16:31]])
    kept = injected(_read(state), "tracecontext")["tracestate"].split(",")
    assert kept == ["dd=s:1", *members[:31]]


def test_at_most_512_bytes() -> None:
    """Members beyond 512 bytes are cut; of long ones the next may still fit."""
    first, long, last = "a=" + "x" * 398, "b=" + "y" * 127, "c=z"
    kept = injected(_read(f"dd=s:2,{first},{long},{last}"), "tracecontext")["tracestate"]
    assert kept == f"dd=s:2,{first},{last}"
    short = "b=" + "y" * 126
    kept = injected(_read(f"dd=s:2,{first},{short},{last}"), "tracecontext")["tracestate"]
    assert kept == f"dd=s:2,{first}"


def test_a_span_costs_no_member(tracer: Tracer) -> None:
    """The field p is not counted: what fitted when it was read is sent on by every span."""
    other = "a=" + "x" * (512 - len("dd=s:2,a="))
    context = _read(f"dd=s:2,{other}")
    with tracer.start_span("child", child_of=context) as span:
        state = injected(span, "tracecontext")["tracestate"]
    assert state == f"dd=p:{span.span_id:016x};s:2,{other}"


def test_a_huge_tracestate_is_cut_off() -> None:
    """Of a tracestate of a megabyte only the beginning is looked at."""
    assert _read("dd=s:2," + "a=1," * 300_000).sampling_priority == 2
    assert _read("x" * 1_000_000).sampling_priority == 1
    assert _read("a=1," * 300_000 + "dd=s:2").sampling_priority == 1


def test_a_tracestate_set_by_the_program() -> None:
    """A tracestate that could break the header is not sent."""
    context = Context(5, 6, sampling_priority=1, meta={"tracestate": "a=1\r\nx-evil: 1"})
    assert injected(context, "tracecontext")["tracestate"] == "dd=s:1"


def test_tracestate_of_a_link() -> None:
    """A span link carries the context's tracestate without the field p."""
    assert tracecontext.tracestate_of(_read("dd=s:2;p:00000000000000ab,a=1")) == "dd=s:2,a=1"
    assert tracecontext.tracestate_of(Context(5, 6)) == ""
