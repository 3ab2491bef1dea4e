"""Chunks: when they leave, in which order their spans are, and what is added to which span."""

from __future__ import annotations

import gc
import json
import os
import re
import weakref
from typing import Any

import pytest
from helpers import (
    by_name,
    chunks_of,
    run_python,
    spans_of,
)

from fasttrace import Context, Tracer


def names(chunk: list[dict[str, Any]]) -> list[str]:
    """The names of a chunk's spans, in its order."""
    return [span["name"] for span in chunk]


def test_a_finished_span_in_a_garbage_cycle_is_sent_whole(tracer: Tracer) -> None:
    """The collector, which empties a cycle, leaves what a finished span has for the agent."""

    def leave_garbage() -> None:
        with tracer.trace("child", span_type="of its own") as span:
            span.set_link(trace_id=1, span_id=2, attributes={"why": "test"})
            span._add_event("sold", {"slices": 2})
            cycle = [span]
            cycle.append(cycle)  # type: ignore[arg-type]

    root = tracer.trace("root")
    leave_garbage()
    assert tracer.current_span() is root  # and the context no longer holds the child
    gc.collect()
    root.finish()
    child = by_name(spans_of(tracer))["child"]
    assert child["type"] == "of its own"
    assert json.loads(child["meta"]["events"])[0]["attributes"] == {"slices": 2}
    assert child["span_links"][0]["attributes"] == {"why": "test"}


def test_a_span_that_holds_itself_is_freed_once_it_was_sent(tracer: Tracer) -> None:
    """A cycle through what a finished span holds lasts until its chunk has left, not longer."""

    class Kept:
        pass

    kept = Kept()
    known = weakref.ref(kept)
    root = tracer.trace("root")
    child = tracer.trace("child")
    child._set_ctx_item("kept", kept)
    kept.span = child  # type: ignore[attr-defined]
    child.finish()
    del child, kept
    gc.collect()
    root.finish()
    assert len(spans_of(tracer)) == 2
    del root
    tracer.context_provider.activate(None)
    gc.collect()
    assert known() is None


# -- when a chunk leaves, and its order ------------------------------------------------------------


def test_a_trace_leaves_when_its_last_open_span_finishes(tracer: Tracer) -> None:
    """Nothing of a trace leaves while one of its spans is open; then all of it in one chunk."""
    a = tracer.trace("a")
    b = tracer.start_span("b", child_of=a)
    c = tracer.start_span("c", child_of=a)
    c.finish()
    a.finish()
    assert chunks_of(tracer) == []
    assert tracer.stats()["held"] == 2
    b.finish()
    assert [names(chunk) for chunk in chunks_of(tracer)] == [["a", "b", "c"]]


def test_spans_are_sent_in_order_of_creation(tracer: Tracer) -> None:
    """The order in a chunk is that of creation, however the spans finished."""
    spans = [tracer.trace("s0")]
    spans += [tracer.start_span(f"s{i}", child_of=spans[0]) for i in range(1, 50)]
    for span in spans[::2] + spans[1::2][::-1]:
        span.finish()
    [chunk] = chunks_of(tracer)
    assert names(chunk) == [f"s{i}" for i in range(50)]


def test_traces_are_separate_chunks(tracer: Tracer) -> None:
    """Every trace is a chunk of its own, in the order in which they were completed."""
    first, second = tracer.start_span("first"), tracer.start_span("second")
    second.finish()
    first.finish()
    assert [names(chunk) for chunk in chunks_of(tracer)] == [["second"], ["first"]]


def test_a_new_child_of_a_sent_trace_makes_a_further_chunk(tracer: Tracer) -> None:
    """A late child of a trace that has left goes out alone, with the same decision."""
    with tracer.trace("root") as root:
        root.set_tag("manual.keep")
    context = root.context
    late = tracer.start_span("late", child_of=context)
    late.finish()
    first, second = chunks_of(tracer)
    assert second[0]["parent_id"] == root.span_id
    assert second[0]["metrics"]["_sampling_priority_v1"] == 2
    assert second[0]["meta"]["_dd.p.dm"] == first[0]["meta"]["_dd.p.dm"] == "-4"


def test_a_dropped_open_span_lets_its_siblings_leave(tracer: Tracer) -> None:
    """A child that is thrown away unfinished is not sent, and does not hold the others back."""
    with tracer.trace("root") as root:
        abandoned = tracer.start_span("abandoned", child_of=root)
        with tracer.trace("child"):
            pass
    assert chunks_of(tracer) == []
    del abandoned
    assert [names(chunk) for chunk in chunks_of(tracer)] == [["root", "child"]]


@pytest.mark.parametrize("finish", [False, True])
def test_an_abandoned_entry_span_lets_its_siblings_leave(tracer: Tracer, finish: bool) -> None:
    """Below a span that joined by a context, nothing that died keeps the others from leaving."""
    root = tracer.start_span("root")
    entry = tracer.start_span("entry", child_of=root.context)
    first = tracer.start_span("first", child_of=entry)
    second = tracer.start_span("second", child_of=first)
    first.finish()
    third = tracer.start_span("third", child_of=second)
    assert third._local_root is entry  # type: ignore[attr-defined]
    if finish:
        second.finish()
    del root, entry, first, second, third
    [chunk] = chunks_of(tracer)
    assert names(chunk) == ["first", "second"][: 1 + finish]
    assert tracer.stats()["open"] == 0


def test_an_open_trace_is_not_sent(tracer: Tracer) -> None:
    """Unfinished spans never go out."""
    span = tracer.start_span("open")
    assert chunks_of(tracer) == []
    assert tracer.stats()["finished"] == 0
    del span
    assert chunks_of(tracer) == []


# -- what is added, and where ----------------------------------------------------------------------


def test_what_the_tracer_adds_by_position(tracer: Tracer) -> None:
    """Root, child and a child of another service get exactly the tags their position asks for."""
    with tracer.trace("root") as root, tracer.trace("child"), tracer.trace("db", service="pg"):
        pass
    sent_root, sent_child, sent_db = spans_of(tracer)
    assert sent_root["meta"] == {
        "language": "python",
        "runtime-id": sent_root["meta"]["runtime-id"],
        "_dd.p.dm": "-0",
        "_dd.p.tid": f"{root.trace_id >> 64:016x}",
    }
    assert sent_root["metrics"] == {
        "_sampling_priority_v1": 1,
        "_dd.top_level": 1,
        "_dd.tracer_kr": 1.0,
        "process_id": os.getpid(),
    }
    assert "meta" not in sent_child
    assert "metrics" not in sent_child
    assert sent_db["meta"] == {"_dd.base_service": "svc"}
    assert sent_db["metrics"] == {"_dd.top_level": 1}


def test_chunk_tags_are_on_the_first_span_only(tracer: Tracer) -> None:
    """If the first span of a chunk is not a root, it still carries what belongs to the chunk."""
    remote = Context(trace_id=2**64 + 5, span_id=6, sampling_priority=1)
    tracer.context_provider.activate(remote)
    with tracer.trace("a"), tracer.trace("b"):
        pass
    a, b = spans_of(tracer)
    assert a["meta"]["language"] == "python"
    assert a["meta"]["_dd.p.tid"] == "0000000000000001"
    assert a["metrics"]["_sampling_priority_v1"] == 1
    assert a["metrics"]["process_id"] == os.getpid()
    assert "runtime-id" in a["meta"]
    assert b.get("meta", {}) == {}
    assert b.get("metrics", {}) == {}


def test_the_runtime_id_is_one_uuid_per_process(tracer: Tracer) -> None:
    """runtime-id is 32 hex digits, the same for all traces of a process."""
    for _ in range(2):
        with tracer.trace("op"):
            pass
    first, second = spans_of(tracer)
    assert re.fullmatch("[0-9a-f]{32}", first["meta"]["runtime-id"])
    assert first["meta"]["runtime-id"] == second["meta"]["runtime-id"]


def test_tags_of_the_user_win_over_those_of_the_chunk(tracer: Tracer) -> None:
    """What the tracer adds from the trace's context never overwrites a tag of the same name."""
    with tracer.trace("op") as span:
        span.set_tag("_dd.p.dm", "-99")
    [sent] = spans_of(tracer)
    assert sent["meta"]["_dd.p.dm"] == "-99"


def test_top_level_marks_every_entry_into_a_service(tracer: Tracer) -> None:
    """_dd.top_level is on roots and on spans whose service differs from their parent's."""
    with (
        tracer.trace("root", service="a"),
        tracer.trace("same"),
        tracer.trace("same given", service="a"),
        tracer.trace("other", service="b"),
        tracer.trace("back", service="a"),
    ):
        pass
    marked = [
        span["name"] for span in spans_of(tracer) if "_dd.top_level" in span.get("metrics", {})
    ]
    assert marked == ["root", "other", "back"]


def test_top_level_compares_with_the_service_the_parent_has_in_the_end(tracer: Tracer) -> None:
    """Renaming a parent while its child is open makes the inheriting child top level."""
    with tracer.trace("root") as root:
        with tracer.trace("before"):
            pass
        with tracer.trace("child"):
            root.service = "renamed"
    sent = by_name(spans_of(tracer))
    assert sent["child"]["metrics"]["_dd.top_level"] == 1
    assert "metrics" not in sent["before"]


def test_top_level_does_not_depend_on_when_ancestors_finish(tracer: Tracer) -> None:
    """A finished parent still is what a child's service is compared with."""
    with tracer.trace("root", service="a") as root:
        parent = tracer.start_span("parent", child_of=root, service="b")
        child = tracer.start_span("child", child_of=parent, service="a")
        parent.finish()
        tracer.start_span("grandchild", child_of=child).finish()
        child.finish()
    sent = by_name(spans_of(tracer))
    assert sent["child"]["metrics"] == {"_dd.top_level": 1}
    assert "metrics" not in sent["grandchild"]


def test_base_service_is_on_spans_of_other_services(new_tracer: Any) -> None:
    """_dd.base_service, the configured service in lower case, is on spans of any other service."""
    tracer = new_tracer(service="Web")
    with (
        tracer.trace("own"),
        tracer.trace("same but for case", service="wEB"),
        tracer.trace("other", service="db"),
        tracer.trace("inheriting"),
    ):
        pass
    sent = by_name(spans_of(tracer))
    assert "_dd.base_service" not in sent["own"]["meta"]
    assert "_dd.base_service" not in sent["same but for case"].get("meta", {})
    assert sent["other"]["meta"]["_dd.base_service"] == "web"
    assert sent["inheriting"]["meta"]["_dd.base_service"] == "web"


def test_the_host_name_is_on_roots_when_asked_for(new_tracer: Any) -> None:
    """DD_TRACE_REPORT_HOSTNAME puts _dd.hostname on new roots, not on other spans."""
    tracer = new_tracer(report_hostname=True, hostname="box")
    with tracer.trace("root"), tracer.trace("child"):
        pass
    tracer.context_provider.activate(Context(trace_id=5, span_id=6, sampling_priority=1))
    with tracer.trace("remote"):
        pass
    sent = by_name(spans_of(tracer))
    assert sent["root"]["meta"]["_dd.hostname"] == "box"
    assert "_dd.hostname" not in sent["child"].get("meta", {})
    assert "_dd.hostname" not in sent["remote"]["meta"]


def test_git_and_main_package_are_on_the_first_span(new_tracer: Any) -> None:
    """Configured source coordinates are on the first span of a chunk, without credentials."""
    tracer = new_tracer(
        git_commit_sha="abc123",
        git_repository_url="https://user:secret@host.example/team/repo.git",
        main_package="shop",
    )
    with tracer.trace("root"), tracer.trace("child"):
        pass
    root, child = spans_of(tracer)
    assert root["meta"]["_dd.git.commit.sha"] == "abc123"
    assert root["meta"]["_dd.git.repository_url"] == "https://host.example/team/repo.git"
    assert root["meta"]["_dd.python_main_package"] == "shop"
    assert "meta" not in child


def test_the_entry_span_of_a_joined_thread_is_a_local_root(tracer: Tracer) -> None:
    """A span that entered by an activated context has runtime-id, process_id and top level."""
    with tracer.trace("root") as root:
        tracer.context_provider.activate(root.context)
        with tracer.trace("entered"):
            pass
        tracer.context_provider.activate(root)
    sent = by_name(spans_of(tracer))
    assert sent["entered"]["parent_id"] == root.span_id
    assert "runtime-id" in sent["entered"]["meta"]
    assert sent["entered"]["metrics"]["process_id"] == os.getpid()
    assert sent["entered"]["metrics"]["_dd.top_level"] == 1


# -- partial flush ---------------------------------------------------------------------------------


def test_finished_spans_of_a_long_trace_leave_early(new_tracer: Any) -> None:
    """When the set number of spans has finished in an open trace, they leave as a chunk."""
    tracer = new_tracer(partial_flush_min_spans=5)
    with tracer.trace("root") as root:
        for i in range(7):
            with tracer.trace(f"child{i}"):
                pass
        [early] = chunks_of(tracer)
        assert names(early) == [f"child{i}" for i in range(5)]
    [rest] = chunks_of(tracer)
    assert names(rest) == ["root", "child5", "child6"]
    for chunk in (early, rest):
        assert chunk[0]["metrics"]["_sampling_priority_v1"] == 1
        assert chunk[0]["meta"]["_dd.p.dm"] == "-0"
        assert chunk[0]["meta"]["language"] == "python"
        assert chunk[0]["meta"]["_dd.p.tid"] == f"{root.trace_id >> 64:016x}"
    assert early[0]["metrics"]["_dd.py.partial_flush"] == 5
    assert "_dd.py.partial_flush" not in rest[0]["metrics"]


@pytest.mark.parametrize(("count", "parts"), [(2_399, 8), (30_000, 28)])
def test_parts_grow_with_the_number_of_open_spans(tracer: Tracer, count: int, parts: int) -> None:
    """Up to 2,400 open spans parts have 300 spans; beyond, an eighth of them, 3,000 at most."""
    root = tracer.start_span("root")
    children = [tracer.start_span("child", child_of=root) for _ in range(count)]
    for child in children:
        child.finish()
    root.finish()
    chunks = chunks_of(tracer)
    lengths = [len(chunk) for chunk in chunks]
    assert sum(lengths) == count + 1
    assert len(lengths) == parts
    if count < 2_400:
        assert set(lengths[:-1]) == {300}
    else:
        assert lengths[:5] == [3_000, 3_000, 3_000, 2_626, 2_297]
    for chunk in chunks[:-1]:
        assert chunk[0]["metrics"]["_dd.py.partial_flush"] == len(chunk)
        assert chunk[0]["meta"]["_dd.p.dm"] == "-0"
        assert chunk[0]["metrics"]["_sampling_priority_v1"] == 1


def test_early_leaving_can_be_switched_off(new_tracer: Any) -> None:
    """With partial flush off a trace leaves in one chunk, however many spans it has."""
    tracer = new_tracer(partial_flush_enabled=False, partial_flush_min_spans=2)
    with tracer.trace("root"):
        for _ in range(1000):
            with tracer.trace("child"):
                pass
        assert chunks_of(tracer) == []
    [chunk] = chunks_of(tracer)
    assert len(chunk) == 1001


def test_the_default_is_to_leave_at_three_hundred(tracer: Tracer) -> None:
    """By default finished spans leave an open trace 300 at a time."""
    with tracer.trace("root"):
        for _ in range(650):
            with tracer.trace("child"):
                pass
        assert [len(chunk) for chunk in chunks_of(tracer)] == [300, 300]
    assert [len(chunk) for chunk in chunks_of(tracer)] == [51]


if hasattr(os, "fork"):

    def test_a_forked_child_has_an_id_of_its_own_and_none_of_its_parents_spans() -> None:
        """A child process starts empty; its spans continue the trace with its own runtime-id."""
        code = """
            import os
            from helpers import make_offline_tracer, spans_of
            tracer = make_offline_tracer()
            with tracer.trace("before"):
                pass
            with tracer.trace("root") as root:
                read, write = os.pipe()
                pid = os.fork()
                if pid == 0:
                    with tracer.trace("in child"):
                        pass
                    os.write(write, repr((os.getpid(), spans_of(tracer), tracer.stats())).encode())
                    os._exit(0)
                os.waitpid(pid, 0)
            child_pid, child_spans, child_stats = eval(os.read(read, 1 << 16))
            before, sent_root = spans_of(tracer)
            [in_child] = child_spans
            assert in_child["name"] == "in child", in_child
            assert in_child["parent_id"] == root.span_id == sent_root["span_id"]
            assert in_child["trace_id"] == sent_root["trace_id"]
            assert in_child["metrics"]["process_id"] == child_pid != os.getpid()
            assert in_child["meta"]["runtime-id"] != sent_root["meta"]["runtime-id"]
            assert in_child["metrics"]["_dd.top_level"] == 1
            assert child_stats["finished"] == 1, child_stats
            print("ok")
        """
        tests = os.path.dirname(os.path.abspath(__file__))
        path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
        result = run_python(code, env={**os.environ, "PYTHONPATH": path})
        assert result.stdout == "ok\n"


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 299])
def test_chunks_of_any_length_are_complete(tracer: Tracer, count: int) -> None:
    """A chunk has all spans of its trace, also where the array head of the wire grows."""
    spans = [tracer.trace("s0")]
    spans += [tracer.start_span(f"s{i}", child_of=spans[0]) for i in range(1, count)]
    for span in spans:
        span.finish()
    [chunk] = chunks_of(tracer)
    assert names(chunk) == [f"s{i}" for i in range(count)]
