"""fasttrace.tree: traces drawn as text."""

from __future__ import annotations

import re

import pytest

from fasttrace import tree


def wire(span_id, parent_id=0, name="op", start=0, duration=1_000, **more):
    """Return a span as an agent gives it back."""
    return {
        "trace_id": 7,
        "span_id": span_id,
        "parent_id": parent_id,
        "name": name,
        "service": "web",
        "resource": name,
        "start": start,
        "duration": duration,
        **more,
    }


KITCHEN = [
    wire(1, name="web.request", resource="GET /", duration=8_210_000),
    wire(2, 1, name="db.query", service="db", resource="SELECT 1", start=10, duration=381_000),
    wire(
        3,
        1,
        name="kitchen",
        service="kitchen",
        resource="tuna",
        start=20,
        duration=6_150_000,
        error=1,
        meta={"error.type": "shop.OutOfStock", "error.message": "no tuna left"},
    ),
    wire(4, 3, name="toast", service="kitchen", start=30, duration=512),
]


def test_a_trace_is_drawn_in_columns_with_children_under_their_parents():
    """Each child is indented under its parent; service and duration stand in columns."""
    assert tree.draw_trace(KITCHEN) == (
        "web.request  web      8.21 ms  GET /\n"
        "├─ db.query  db        381 us  SELECT 1\n"
        "└─ kitchen   kitchen  6.15 ms  tuna  ERROR shop.OutOfStock: no tuna left\n"
        "   └─ toast  kitchen   512 ns  toast"
    )


def test_without_durations_and_alignment_each_line_depends_on_its_span_alone():
    """durations=False, align=False gives a text that is the same in every run."""
    assert tree.draw_trace(KITCHEN, durations=False, align=False) == (
        "web.request  web  GET /\n"
        "├─ db.query  db  SELECT 1\n"
        "└─ kitchen  kitchen  tuna  ERROR shop.OutOfStock: no tuna left\n"
        "   └─ toast  kitchen  toast"
    )


def test_siblings_stand_in_the_order_of_their_start_whatever_the_order_of_arrival():
    """The order in which spans are given does not matter, that in which they began does."""
    assert tree.draw_trace(KITCHEN[::-1]) == tree.draw_trace(KITCHEN)
    late_first = [wire(1), wire(2, 1, name="late", start=9), wire(3, 1, name="early", start=5)]
    assert tree.draw_trace(late_first, durations=False, align=False).split("\n")[1:] == [
        "├─ early  web  early",
        "└─ late  web  late",
    ]


def test_a_branch_goes_past_the_children_of_an_earlier_sibling():
    """The line to a later sibling is drawn through the subtree of the earlier one."""
    spans = [wire(1), wire(2, 1, name="a", start=1), wire(3, 2, name="b", start=2)]
    spans.append(wire(4, 1, name="c", start=3))
    assert [line.split("  web")[0] for line in tree.draw_trace(spans, align=False).split("\n")] == [
        "op",
        "├─ a",
        "│  └─ b",
        "└─ c",
    ]


def test_ascii_only_needs_no_more_than_ascii():
    """Branches and texts are written in ASCII, other characters as escapes."""
    spans = [wire(1, name="café"), wire(2, 1, start=1), wire(3, 1, start=2)]
    text = tree.draw_trace(spans, ascii_only=True, durations=False, align=False)
    assert text.split("\n") == ["caf\\xe9  web  caf\\xe9", "|- op  web  op", "`- op  web  op"]


def test_tags_are_shown_where_asked_for():
    """Each tag named is drawn with every span that has it, from meta and from metrics."""
    spans = [
        wire(1, meta={"http.method": "GET"}, metrics={"rows": 3.5}),
        wire(2, 1, meta={"other": "x"}),
    ]
    text = tree.draw_trace(spans, tags=("http.method", "rows"), durations=False, align=False)
    assert text == "op  web  op  http.method=GET  rows=3.5\n└─ op  web  op"


def test_max_spans_leaves_the_rest_out_and_says_how_many():
    """Only the first spans are drawn; the last line counts the others."""
    text = tree.draw_trace(KITCHEN, max_spans=3)
    assert text.split("\n")[3:] == ["... and 1 more span"]
    assert tree.draw_trace(KITCHEN, max_spans=1).split("\n")[1:] == ["... and 3 more spans"]
    assert "more" not in tree.draw_trace(KITCHEN, max_spans=4)


def test_an_error_without_type_or_message_is_still_marked():
    """error alone draws ERROR; only the first line of a message is drawn."""
    assert tree.draw_trace([wire(1, error=1)]).endswith("op  ERROR")
    multi = wire(1, error=1, meta={"error.message": "first\nsecond"})
    assert tree.draw_trace([multi]).endswith("ERROR first")


def test_nothing_in_a_span_can_break_the_line():
    """Line ends, terminal codes, direction marks and lone surrogates are drawn as escapes."""
    hostile = wire(1, name="a\nb", resource="\x1b[31mred\u202e", meta={}, service="s\ud800")
    assert tree.draw_trace([hostile], durations=False, align=False) == (
        "a\\nb  s\\ud800  \\x1b[31mred\\u202e"
    )


def test_long_texts_are_cut():
    """No text of a span is drawn longer than MAX_TEXT."""
    text = tree.draw_trace([wire(1, resource="x" * 10_000)], durations=False, align=False)
    assert text == "op  web  " + "x" * (tree.MAX_TEXT - 3) + "..."


def test_a_missing_parent_makes_a_root():
    """Spans whose parent is not there are roots, each with its own subtree."""
    spans = [wire(1, 99, name="a"), wire(2, 98, name="b", start=1), wire(3, 2, name="c", start=2)]
    assert tree.draw_trace(spans, durations=False, align=False) == (
        "a  web  a\nb  web  b\n└─ c  web  c"
    )


@pytest.mark.parametrize(
    "spans",
    [
        [wire(1, 1)],
        [wire(1, 2), wire(2, 1)],
        [wire(1), wire(2, 3), wire(3, 4), wire(4, 2)],
        [wire(1), wire(1), wire(2, 1), wire(2, 1)],
        [wire(1, 1), wire(1, 1), wire(2, 1)],
    ],
    ids=["own parent", "mutual", "cycle beside a root", "repeated ids", "repeated own parents"],
)
def test_every_span_is_drawn_once_whatever_the_ids(spans):
    """Cycles and repeated ids neither hang the drawing nor lose or double a span."""
    assert len(tree.draw_trace(spans).split("\n")) == len(spans)


def test_a_very_deep_trace_is_drawn_in_proportion_to_its_spans():
    """Depth neither overflows the stack nor the page: it is written in brackets at MAX_DEPTH."""
    depth = 20_000
    spans = [wire(number, number - 1, start=number) for number in range(1, depth + 1)]
    lines = tree.draw_trace(spans).split("\n")
    assert len(lines) == depth
    assert f"[depth {depth - 1}] op" in lines[-1]
    assert max(map(len, lines)) < 4 * tree.MAX_DEPTH + 60


def test_group_traces_sorts_by_start():
    """Spans of several traces come apart by trace id, the earliest trace first."""
    late, early = wire(1, start=50, trace_id=1), wire(2, start=40, trace_id=2)
    child = wire(3, 1, start=60, trace_id=1)
    groups = tree.group_traces([late, early, child])
    assert [[span.span_id for span in group] for group in groups] == [[2], [1, 3]]


def test_draw_puts_a_heading_over_each_trace():
    """The heading tells the id, the number of spans and of errors, and the time from end to end."""
    text = tree.draw([*KITCHEN, wire(9, trace_id=8, start=2_000, duration=5)])
    headings = [line for line in text.split("\n") if line.startswith("trace ")]
    assert headings == [
        "trace 0000000000000007  4 spans  8.21 ms  1 error",
        "trace 0000000000000008  1 span  5 ns",
    ]
    assert text.count("\n\n") == 1


def test_the_heading_joins_both_halves_of_a_128_bit_id():
    """The upper half of the trace id is taken from _dd.p.tid of any span, if it is well-formed."""
    upper = "6b02d5f500000000"
    spans = [wire(1), wire(2, 1, meta={"_dd.p.tid": upper})]
    assert tree.heading(spans).startswith(f"trace {upper}0000000000000007  ")
    odd = [wire(1, meta={"_dd.p.tid": "\x1b[31m00000000000"})]
    assert tree.heading(odd).startswith("trace 0000000000000007  ")


def test_nothing_to_draw_is_an_empty_text():
    """No spans give no lines."""
    assert tree.draw([]) == ""
    assert tree.draw_trace([]) == ""
    assert tree.heading([]) == "empty trace"


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (None, "open"),
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 us"),
        (12_345, "12.3 us"),
        (999_000, "999 us"),
        (1_000_000, "1.00 ms"),
        (59_990_000_000, "60.0 s"),
        (3_600_000_000_000, "3600 s"),
    ],
)
def test_durations_have_a_unit_and_three_digits(duration_ns, text):
    """Durations are written in the largest unit that keeps them at one or above."""
    assert tree.format_duration(duration_ns) == text


def test_live_spans_are_drawn_like_received_ones(tracer):
    """Span objects can be drawn; one that is not finished has the duration "open"."""
    root = tracer.trace("root", service="web", resource="GET /")
    child = tracer.trace("child", service="db")
    child.set_tags({"table": "users", "rows": 3})
    with pytest.raises(ValueError, match="bad"), child:
        raise ValueError("bad")
    spans = [root, child]
    assert tree.draw_trace(spans, durations=False, tags=("table", "rows"), align=False) == (
        "root  web  GET /\n└─ child  db  child  table=users  rows=3  ERROR builtins.ValueError: bad"
    )
    assert re.match(r"root      web   +open  GET /\n", tree.draw_trace(spans))
    assert tree.heading(spans).startswith(f"trace {root.trace_id:032x}  2 spans")
    root.finish()
