"""Every sample of a tracing tutorial, against the real agent."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import pytest
from helpers import by_name, run_python

from fasttrace import Tracer
from fasttrace import tracer as default_tracer


@pytest.fixture(params=["v0.4", "v0.5"])
def tracer(session: Any, request: pytest.FixtureRequest) -> Tracer:
    """A tracer of the service `sandwich-shop` that sends to the test agent."""
    made: Tracer = session.make_tracer(service="sandwich-shop", api_version=request.param)
    return made


def test_decorator_without_arguments(session: Any, tracer: Tracer) -> None:
    """@tracer.wrap() traces a function under its module and name."""

    @tracer.wrap()
    def get_ingredients() -> list[str]:
        return ["bread", "cheese"]

    assert get_ingredients() == ["bread", "cheese"]
    [span] = session.received()
    assert span["name"] == f"{__name__}.get_ingredients"
    assert span["resource"] == f"{__name__}.get_ingredients"
    assert span["service"] == "sandwich-shop"


def test_decorator_with_arguments(session: Any, tracer: Tracer) -> None:
    """@tracer.wrap(...) sets name, service, resource and type."""

    @tracer.wrap("sandwich.get", service="kitchen", resource="ingredients", span_type="worker")
    def get_ingredients() -> None:
        tracer.current_span().set_tag("shelf", "top")  # type: ignore[union-attr]

    get_ingredients()
    [span] = session.received()
    assert (span["name"], span["service"], span["resource"], span["type"]) == (
        "sandwich.get",
        "kitchen",
        "ingredients",
        "worker",
    )
    assert span["meta"]["shelf"] == "top"


def test_nested_blocks(session: Any, tracer: Tracer) -> None:
    """Nested with blocks make a trace whose tree is that of the blocks."""
    with tracer.trace("sandwich.make", resource="cheese") as sandwich:
        sandwich.set_tag("customer", "ann")
        with tracer.trace("sandwich.bread"):
            time.sleep(0.001)
        with tracer.trace("sandwich.fill"), tracer.trace("sandwich.cheese"):
            pass
    spans = by_name(session.received())
    parents = {name: span.get("parent_id") or 0 for name, span in spans.items()}
    ids = {name: span["span_id"] for name, span in spans.items()}
    assert parents == {
        "sandwich.make": 0,
        "sandwich.bread": ids["sandwich.make"],
        "sandwich.fill": ids["sandwich.make"],
        "sandwich.cheese": ids["sandwich.fill"],
    }
    assert len({span["trace_id"] for span in spans.values()}) == 1
    assert spans["sandwich.bread"]["duration"] >= 1_000_000
    assert spans["sandwich.make"]["duration"] >= spans["sandwich.bread"]["duration"]


def test_manual_spans(session: Any, tracer: Tracer) -> None:
    """Spans can be started and finished by hand, also where no block would fit."""
    root = tracer.trace("sandwich.order", service="counter", resource="order 7", span_type="web")
    child = tracer.trace("sandwich.pay")
    child.finish()
    loose = tracer.start_span("sandwich.deliver", child_of=root)
    root.finish()
    loose.finish()
    spans = by_name(session.received())
    assert set(spans) == {"sandwich.order", "sandwich.pay", "sandwich.deliver"}
    assert spans["sandwich.pay"]["parent_id"] == root.span_id
    assert spans["sandwich.deliver"]["parent_id"] == root.span_id
    assert spans["sandwich.deliver"]["service"] == "counter"


def test_current_span_and_root_span(session: Any, tracer: Tracer) -> None:
    """Tags can be added to the current span and the root span from anywhere below them."""

    def helper() -> None:
        current, root = tracer.current_span(), tracer.current_root_span()
        assert current is not None
        assert root is not None
        current.set_tag("cheese", "gouda")
        root.set_tag("orders", "one")

    with tracer.trace("root"), tracer.trace("middle"), tracer.trace("leaf"):
        helper()
    spans = by_name(session.received())
    assert spans["leaf"]["meta"]["cheese"] == "gouda"
    assert spans["root"]["meta"]["orders"] == "one"


def test_tags_and_numbers(session: Any, tracer: Tracer) -> None:
    """Texts become tags, numbers metrics; set_tags and set_metrics take several at once."""
    with tracer.trace("op") as span:
        span.set_tag("customer", "ann")
        span.set_tag("slices", 3)
        span.set_tag("price", 4.5)
        span.set_tag("toasted", True)
        span.set_tags({"table": "7", "guests": 2})
        span.set_metric("grams", 250)
        span.set_metrics({"kcal": 431.5})
    [sent] = session.received()
    expected = {"customer": "ann", "toasted": "True", "table": "7"}
    assert {key: sent["meta"][key] for key in expected} == expected
    numbers = {"slices": 3, "price": 4.5, "guests": 2, "grams": 250, "kcal": 431.5}
    assert {key: sent["metrics"][key] for key in numbers} == numbers


def test_global_tags(session: Any, tracer: Tracer) -> None:
    """tracer.set_tags puts tags on every span."""
    tracer.set_tags({"branch": "north", "tables": 12})
    with tracer.trace("a"), tracer.trace("b"):
        pass
    for span in session.received():
        assert span["meta"]["branch"] == "north"
        assert span["metrics"]["tables"] == 12


def test_an_exception_in_a_block(session: Any, tracer: Tracer) -> None:
    """An exception leaves error, type, message and stack at the agent, and goes on."""
    with pytest.raises(ValueError, match="no cheese"), tracer.trace("op"):
        raise ValueError("no cheese")
    [span] = session.received()
    assert span["error"] == 1
    assert span["meta"]["error.type"] == "builtins.ValueError"
    assert span["meta"]["error.message"] == "no cheese"
    assert span["meta"]["error.stack"].startswith("Traceback (most recent call last):\n")
    assert span["meta"]["error.stack"].endswith("ValueError: no cheese\n")


def test_errors_by_hand(session: Any, tracer: Tracer) -> None:
    """span.error = 1, set_exc_info and set_traceback mark spans without an escaping exception."""
    with tracer.trace("flag") as span:
        span.error = 1
    with tracer.trace("info") as span:
        try:
            raise KeyError("ham")
        except KeyError:
            span.set_exc_info(*sys.exc_info())
    with tracer.trace("traceback") as span:
        try:
            raise KeyError("ham")
        except KeyError:
            span.set_traceback()
    spans = by_name(session.received())
    assert [spans[name]["error"] for name in ("flag", "info", "traceback")] == [1, 1, 1]
    for name in ("info", "traceback"):
        assert spans[name]["meta"]["error.type"] == "builtins.KeyError"
        assert spans[name]["meta"]["error.message"] == "'ham'"
        assert "KeyError: 'ham'" in spans[name]["meta"]["error.stack"]


def test_coroutines(session: Any, tracer: Tracer) -> None:
    """Coroutines are traced by decorator and by block, tasks below the span that made them."""

    @tracer.wrap("fetch")
    async def fetch(what: str) -> str:
        with tracer.trace(f"slice {what}"):
            await asyncio.sleep(0.001)
        return what

    async def main() -> list[str]:
        with tracer.trace("prepare"):
            return await asyncio.gather(fetch("bread"), fetch("cheese"))

    assert asyncio.run(main()) == ["bread", "cheese"]
    received = session.received()
    fetches = {span["span_id"] for span in received if span["name"] == "fetch"}
    prepare = next(span for span in received if span["name"] == "prepare")
    for span in received:
        if span["name"] == "fetch":
            assert span["parent_id"] == prepare["span_id"]
        elif span["name"].startswith("slice"):
            assert span["parent_id"] in fetches
    assert len(received) == 5


# -- whole programs --------------------------------------------------------------------------------

PROGRAM = """
    from fasttrace import tracer

    @tracer.wrap()
    def get_ingredients():
        tracer.current_span().set_tag("shelf", "top")

    with tracer.trace("sandwich.make", resource="cheese") as span:
        span.set_tag("slices", 2)
        get_ingredients()
"""


def test_a_program_that_just_ends(session: Any) -> None:
    """A program that neither flushes nor shuts down delivers its spans when it ends."""
    result = run_python(PROGRAM, env=session.env(DD_SERVICE="shop", DD_ENV="prod", DD_VERSION="1"))
    spans = by_name(session.spans())
    assert set(spans) == {"sandwich.make", "__main__.get_ingredients"}
    for span in spans.values():
        assert (span["service"], span["meta"]["env"], span["meta"]["version"]) == (
            "shop",
            "prod",
            "1",
        )
    assert spans["sandwich.make"]["metrics"]["slices"] == 2
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("import_line", ["from fasttrace.trace import tracer", "import fasttrace"])
def test_other_ways_to_import(session: Any, import_line: str) -> None:
    """The tracer is also reached as fasttrace.trace.tracer and as fasttrace.tracer."""
    name = "fasttrace.tracer" if import_line == "import fasttrace" else "tracer"
    run_python(f"{import_line}\nwith {name}.trace('op'): pass", env=session.env())
    assert [span["name"] for span in session.spans()] == ["op"]


def test_an_uncaught_exception_is_still_delivered(session: Any) -> None:
    """A program that dies of an exception delivers the span that saw it, and fails as before."""
    code = """
        from fasttrace import tracer
        with tracer.trace("outer"):
            with tracer.trace("inner"):
                raise ValueError("no bread")
    """
    result = run_python(code, env=session.env(), expect=1)
    assert result.stderr.splitlines()[-1] == "ValueError: no bread"
    spans = by_name(session.spans())
    assert set(spans) == {"outer", "inner"}
    for span in spans.values():
        assert span["error"] == 1
        assert span["meta"]["error.message"] == "no bread"


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [("sys.exit()", 0, 0), ("sys.exit(0)", 0, 0), ("sys.exit(3)", 3, 1), ("quit()", 0, 0)],
)
def test_a_program_that_exits_inside_of_a_block(
    session: Any, ending: str, status: int, error: int
) -> None:
    """sys.exit inside of a block delivers the span, and keeps the exit status."""
    code = f"import sys\nfrom fasttrace import tracer\nwith tracer.trace('op'): {ending}"
    run_python(code, env=session.env(), expect=status)
    [span] = session.spans()
    assert span.get("error", 0) == error


def test_a_program_that_shuts_down_itself(session: Any) -> None:
    """shutdown() delivers what is finished; the end of the program adds nothing."""
    code = """
        from fasttrace import tracer
        with tracer.trace("op"):
            pass
        tracer.shutdown()
        stats = tracer.stats()
        assert stats["sent"] == 1, stats
    """
    run_python(code, env=session.env())
    assert len(session.spans()) == 1


if hasattr(os, "fork"):

    def test_the_agent_can_be_a_unix_socket(session: Any) -> None:
        """With a unix:// URL the same program delivers over a Unix socket."""
        run_python(PROGRAM, env={**session.env(), "DD_TRACE_AGENT_URL": session.agent.socket_url})
        assert len(session.spans()) == 2


def test_the_default_tracer_is_one() -> None:
    """The package's tracer is a Tracer, enabled, and the same wherever it is imported from."""
    import fasttrace
    import fasttrace.trace

    assert isinstance(default_tracer, Tracer)
    assert default_tracer.enabled
    assert default_tracer is fasttrace.tracer is fasttrace.trace.tracer
