"""fasttrace.testing: traces captured in a test instead of sent, and drawn."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from helpers import run_python

from fasttrace import Context, TraceFilter, Tracer
from fasttrace.testing import capture, render_tree

if TYPE_CHECKING:
    pass

VERSIONS = pytest.mark.parametrize("api_version", ["v0.4", "v0.5"])


def names(spans: Any) -> list[str]:
    """Return the names of captured spans, in their order."""
    return [span.name for span in spans]


def sandwich(tracer: Tracer) -> None:
    """Make a trace of three spans, the last of them with an error."""
    with tracer.trace("sandwich", service="shop", resource="blt", span_type="web") as root:
        root.set_tag("customer", "Ada")
        with tracer.trace("toast", service="kitchen") as toast:
            toast.set_metric("slices", 2)
        try:
            with tracer.trace("charge", service="till", resource="card"):
                raise ValueError("no money\nat all")
        except ValueError:
            pass


# -- what is captured ------------------------------------------------------------------------------


@VERSIONS
def test_captured_spans_are_those_that_would_have_been_sent(
    new_tracer: Callable[..., Tracer], api_version: str
) -> None:
    """What the block traced is there with names, tags, errors, times and the tracer's own tags."""
    tracer = new_tracer(api_version=api_version, env="prod", version="7")
    with capture(tracer) as spans:
        sandwich(tracer)
    root, toast, charge = spans
    assert (root.name, root.service, root.resource, root.span_type) == (
        "sandwich",
        "shop",
        "blt",
        "web",
    )
    assert (toast.name, toast.service, toast.resource, toast.span_type) == (
        "toast",
        "kitchen",
        "toast",
        "",
    )
    assert [span.error for span in spans] == [0, 0, 1]
    assert charge.meta["error.type"] == "builtins.ValueError"
    assert charge.meta["error.message"] == "no money\nat all"
    assert charge.meta["error.stack"].endswith("ValueError: no money\nat all\n")
    assert root.meta["language"] == "python"
    assert root.metrics["_sampling_priority_v1"] == 1
    assert root.metrics["process_id"] == os.getpid()
    assert root.tags == {"customer": "Ada", "env": "prod"}
    assert toast.tags == {"slices": 2, "env": "prod"}
    for span in spans:
        assert 0 <= span.duration_ns <= root.duration_ns
        assert root.start_ns <= span.start_ns
        assert span.raw["name"] == span.name


@VERSIONS
def test_captured_spans_have_the_ids_of_the_live_ones(
    new_tracer: Callable[..., Tracer], api_version: str
) -> None:
    """Trace ids have their 128 bits, parents are None for roots, as on a live Span."""
    tracer = new_tracer(api_version=api_version)
    with capture(tracer) as spans, tracer.trace("root") as root, tracer.trace("child") as child:
        pass
    for live, captured in zip((root, child), spans, strict=True):
        assert captured.trace_id == live.trace_id
        assert captured.trace_id >> 64 != 0
        assert (captured.span_id, captured.parent_id) == (live.span_id, live.parent_id)
        assert (captured.start_ns, captured.duration_ns) == (live.start_ns, live.duration_ns)


def test_ids_of_a_trace_begun_elsewhere(tracer: Tracer) -> None:
    """A span below a remote parent has its id, whatever somebody puts into the tag for its half."""
    with capture(tracer) as spans:
        tracer.start_span("below", child_of=Context(trace_id=2**100 + 5, span_id=9)).finish()
        tracer.start_span("narrow", child_of=Context(trace_id=5, span_id=9)).finish()
        with tracer.trace("odd") as odd:
            odd.set_tag("_dd.p.tid", "not hexadecimal")
    below, narrow = spans[:2]
    assert (below.trace_id, below.parent_id, below.parent) == (2**100 + 5, 9, None)
    assert (narrow.trace_id, narrow.parent_id, narrow.parent) == (5, 9, None)
    assert spans[2].name == "odd"
    assert spans[2].trace_id & (2**64 - 1) == odd.trace_id & (2**64 - 1)


def test_parents_and_children_are_linked(tracer: Tracer) -> None:
    """A captured span knows its parent and its children, in the order of their start."""
    with capture(tracer) as spans:
        with tracer.trace("root"):
            with tracer.trace("first"):
                with tracer.trace("below"):
                    pass
            with tracer.trace("second"):
                pass
        with tracer.trace("other"):
            pass
    root, first, below, second, other = spans
    assert root.children == [first, second]
    assert first.children == [below]
    assert below.children == []
    assert (root.parent, first.parent, below.parent, second.parent) == (None, root, first, root)
    assert spans.roots == [root, other]
    assert spans.named("first") == [first]
    assert spans.named("nobody") == []


@pytest.mark.parametrize(
    "form", [{}, {"api_version": "v0.5"}, {"native_span_events": True}], ids=str
)
def test_links_and_events_have_one_form(
    new_tracer: Callable[..., Tracer], form: dict[str, Any]
) -> None:
    """Links have their ids as numbers, events their attributes, however they are encoded."""
    tracer = new_tracer(**form)
    target = Context(trace_id=2**100 + 3, span_id=4)
    with capture(tracer) as spans, tracer.trace("op") as op:
        op.link_span(target, {"why": "retry"})
        op._add_event("stirred", {"times": 3, "by": ["Ada", "Bo"]}, 1_700_000_000_000_000_000)
        op._add_event("done")
    [span] = spans
    assert span.links == [
        {"trace_id": 2**100 + 3, "span_id": 4, "attributes": {"why": "retry"}},
    ]
    stirred, done = span.events
    assert stirred == {
        "name": "stirred",
        "time_unix_nano": 1_700_000_000_000_000_000,
        "attributes": {"times": 3, "by": ["Ada", "Bo"]},
    }
    assert (done["name"], done["attributes"]) == ("done", {})
    assert span.tags == {}


def test_filters_and_decisions_have_been_applied(tracer: Tracer) -> None:
    """Dropped by a filter is not captured, changed by a filter is captured as changed."""

    class Edit(TraceFilter):
        def process_trace(self, trace: list[Any]) -> list[Any] | None:
            if trace[0].name == "health":
                return None
            trace[0].set_tag("edited", "yes")
            return trace

    tracer.configure(trace_processors=[Edit()])
    with capture(tracer) as spans:
        with tracer.trace("health"):
            pass
        with tracer.trace("work") as work:
            work.set_tag("manual.drop")
    [span] = spans
    assert (span.name, span.tags) == ("work", {"edited": "yes"})
    assert span.metrics["_sampling_priority_v1"] == -1
    assert tracer.stats()["dropped"] == {"filtered": 1, "captured": 1}


def test_a_trace_flushed_in_parts_is_one_tree(new_tracer: Callable[..., Tracer]) -> None:
    """Chunks of one trace are put together: one id, every child below its parent."""
    tracer = new_tracer(partial_flush_min_spans=10)
    with capture(tracer) as spans, tracer.trace("root") as root:
        for _ in range(95):
            with tracer.trace("child"):
                pass
        assert 90 <= len(spans) < 96
        early = spans[0]
        assert early.parent is None
    assert len(spans) == 96
    assert {span.trace_id for span in spans} == {root.trace_id}
    [captured_root] = spans.named("root")
    assert len(captured_root.children) == 95
    assert early.parent is captured_root


def test_spans_of_an_unfinished_trace_are_not_captured_yet(tracer: Tracer) -> None:
    """A finished span that waits for its trace is captured with the trace, begun before or not."""
    with tracer.trace("outer"):
        with capture(tracer) as spans:
            with tracer.trace("inner"):
                pass
        assert spans == []
        outer_capture = capture(tracer)
        late = outer_capture.__enter__()
    outer_capture.__exit__(None, None, None)
    assert names(late) == ["outer", "inner"]


def test_the_list_is_live_while_the_block_runs(tracer: Tracer) -> None:
    """Each look at the list shows what is complete by then; clear() forgets that."""
    with capture(tracer) as spans:
        assert len(spans) == 0
        with tracer.trace("first"):
            pass
        assert names(spans) == ["first"]
        spans.clear()
        assert spans == []
        with tracer.trace("second"):
            assert not spans
        assert spans[-1].name == "second"
    assert names(spans) == ["second"]


def test_clear_forgets_parents_and_children(tracer: Tracer) -> None:
    """After clear() there is nobody left to be somebody's parent or child."""
    with capture(tracer) as spans, tracer.trace("root"), tracer.trace("child"):
        pass
    root, child = spans
    spans.clear()
    assert (child.parent, root.children, len(spans)) == (None, [], 0)


def test_spans_finished_while_the_list_is_walked_through(tracer: Tracer) -> None:
    """A loop over the list sees the spans there were at its start."""
    with capture(tracer) as spans:
        sandwich(tracer)
        seen = 0
        for _ in zip(range(100), spans, strict=False):
            seen += 1 if len(spans) else 0
            with tracer.trace("meanwhile"):
                pass
    assert (seen, len(spans)) == (3, 6)


def test_it_is_like_a_list(tracer: Tracer) -> None:
    """Indices, slices, `in`, reversed, equality with a list and a short repr work."""
    with capture(tracer) as spans:
        sandwich(tracer)
    as_list = list(spans)
    assert spans == as_list
    assert as_list == spans
    assert spans != as_list[:2]
    assert (spans == 3) is False
    assert spans[0] is as_list[0]
    assert spans[1:] == as_list[1:]
    assert as_list[2] in spans
    assert list(reversed(spans)) == as_list[::-1]
    assert spans.index(as_list[1]) == 1
    assert repr(spans) == "<CapturedSpans [sandwich, toast, charge]>"
    assert repr(spans[2]) == "<CapturedSpan charge service=till resource=card error>"
    with pytest.raises(IndexError):
        spans[3]


# -- drawing ---------------------------------------------------------------------------------------


def test_render_tree_is_the_same_in_every_run(tracer: Tracer) -> None:
    """A trace is drawn with services, resources and errors in columns, without ids and times."""
    with capture(tracer) as spans:
        sandwich(tracer)
        with tracer.trace("sweep"):
            pass
    assert render_tree(spans) == (
        "sandwich   shop     blt\n"
        "├─ toast   kitchen  toast\n"
        "└─ charge  till     card  ERROR builtins.ValueError: no money\n"
        "\n"
        "sweep  svc  sweep"
    )


def test_render_tree_shows_more_if_asked(tracer: Tracer) -> None:
    """Tags, durations and lines that do not depend on each other are options."""
    with capture(tracer) as spans:
        sandwich(tracer)
    assert render_tree(spans, tags=["customer", "slices"], align=False) == (
        "sandwich  shop  blt  customer=Ada\n"
        "├─ toast  kitchen  toast  slices=2\n"
        "└─ charge  till  card  ERROR builtins.ValueError: no money"
    )
    first_line = render_tree(spans, durations=True).splitlines()[0]
    assert re.fullmatch(r"sandwich +shop +[\d.]+ (us|ms|s)  blt", first_line)


def test_render_tree_draws_other_forms_of_spans(tracer: Tracer) -> None:
    """Live spans, mappings and single captured spans can be drawn as well."""
    with capture(tracer) as spans, tracer.trace("op") as live:
        open_text = render_tree([live])
    assert open_text == render_tree(spans) == render_tree([spans[0].raw]) == "op  svc  op"
    assert render_tree(spans.named("op")) == "op  svc  op"
    assert render_tree([]) == ""


# -- cost ------------------------------------------------------------------------------------------


def test_import_fasttrace_imports_nothing_of_this() -> None:
    """The helpers for tests and the console are imported by who uses them only."""
    code = """
        import sys, fasttrace
        parts = ("testing", "pytest_plugin", "console", "_decode", "transcode", "tree")
        assert not [name for name in parts if f"fasttrace.{name}" in sys.modules]
        assert "_fasttrace_pytest" not in sys.modules and "msgpack" not in sys.modules
    """
    run_python(code)
