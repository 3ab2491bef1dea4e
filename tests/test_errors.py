"""What an exception leaves on a span, and that tracing never swallows or adds one."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any

import pytest
from helpers import by_name, spans_of

from fasttrace import Span, Tracer


class Unprintable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class UnprintableAtAll(Exception):
    """An exception that has neither a text nor a representation."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def fail(error: BaseException) -> None:
    """Raise `error` one frame below the caller."""
    raise error


def caught_in_block(tracer: Tracer, error: BaseException) -> Span:
    """Raise `error` inside of a block; return the block's span."""
    with pytest.raises(type(error)) as info, tracer.trace("op") as span:
        fail(error)
    assert info.value is error
    return span


# -- exceptions that leave a with block ------------------------------------------------------------


def test_an_exception_marks_the_span_and_passes(tracer: Tracer) -> None:
    """An exception leaving a block sets error, type, message and stack, and is not swallowed."""
    span = caught_in_block(tracer, ValueError("boom é"))
    assert span.error == 1
    assert span.get_tag("error.type") == "builtins.ValueError"
    assert span.get_tag("error.message") == "boom é"
    stack = span.get_tag("error.stack")
    assert stack is not None
    lines = stack.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: boom é"
    assert any(line.endswith(", in caught_in_block") for line in lines)
    assert any(line.endswith(", in fail") for line in lines)
    [sent] = spans_of(tracer)
    assert sent["error"] == 1
    assert {key for key in sent["meta"] if key.startswith("error.")} == {
        "error.type",
        "error.message",
        "error.stack",
    }
    assert sent["meta"]["error.stack"] == stack


def test_the_stack_is_what_the_traceback_module_prints_without_carets(tracer: Tracer) -> None:
    """error.stack has the frames and source lines of traceback.format_exception, not the carets."""
    try:
        with tracer.trace("op") as span:
            fail(ValueError("boom"))
    except ValueError as error:
        expected = "".join(traceback.format_exception(error))
    without_carets = "".join(
        line for line in expected.splitlines(True) if set(line.strip()) - {"^", "~"}
    )
    assert span.get_tag("error.stack") == without_carets


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(1),
        SystemExit("message"),
        KeyboardInterrupt(),
        StopIteration(3),
        StopAsyncIteration(),
        asyncio.CancelledError(),
        BaseException("base"),
    ],
    ids=repr,
)
def test_every_kind_of_exception_is_an_error(tracer: Tracer, error: BaseException) -> None:
    """Any BaseException that leaves a block marks its span, also those that end a program."""
    span = caught_in_block(tracer, error)
    assert span.error == 1
    assert span.get_tag("error.message") == str(error)


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(), GeneratorExit()], ids=repr)
def test_a_regular_ending_is_no_error(tracer: Tracer, error: BaseException) -> None:
    """A successful exit of the program and the closing of a generator do not mark the span."""
    span = caught_in_block(tracer, error)
    assert span.error == 0
    assert not any(key.startswith("error.") for key in span.get_tags())


def test_only_the_spans_that_see_an_exception_are_marked(tracer: Tracer) -> None:
    """An exception caught between two blocks marks the inner span and not the outer one."""
    with tracer.trace("outer"):
        with pytest.raises(ValueError, match="boom"), tracer.trace("inner"):
            fail(ValueError("boom"))
        with tracer.trace("after"):
            pass
    sent = by_name(spans_of(tracer))
    assert sent["inner"]["error"] == 1
    assert "error" not in sent["outer"]
    assert "error" not in sent["after"]


def test_an_exception_through_several_blocks_marks_them_all(tracer: Tracer) -> None:
    """An exception that leaves nested blocks is on every span it passed."""
    with pytest.raises(ValueError, match="boom"), tracer.trace("a"), tracer.trace("b"):
        fail(ValueError("boom"))
    for sent in spans_of(tracer):
        assert sent["error"] == 1
        assert sent["meta"]["error.message"] == "boom"


@pytest.mark.parametrize("error", [Unprintable(), UnprintableAtAll()], ids=["str", "str and repr"])
def test_an_exception_without_a_text_has_its_class_as_message(
    tracer: Tracer, error: Exception
) -> None:
    """If str(exception) raises, the message is the name of its class, and the span arrives."""
    span = caught_in_block(tracer, error)
    assert span.error == 1
    assert span.get_tag("error.type") == f"{__name__}.{type(error).__name__}"
    assert span.get_tag("error.message") == type(error).__name__
    [sent] = spans_of(tracer)
    assert type(error).__name__ in sent["meta"]["error.stack"]


def test_the_type_of_a_local_class_is_module_and_name(tracer: Tracer) -> None:
    """error.type is the module and the bare name of the exception's class."""

    class Local(Exception):
        pass

    span = caught_in_block(tracer, Local("m"))
    assert span.get_tag("error.type") == f"{__name__}.Local"


def test_causes_are_part_of_the_stack(tracer: Tracer) -> None:
    """The stack of a chained exception tells of its cause."""
    with pytest.raises(KeyError), tracer.trace("op") as span:
        try:
            fail(ValueError("first"))
        except ValueError as error:
            raise KeyError("second") from error
    stack = span.get_tag("error.stack")
    assert stack is not None
    assert "ValueError: first" in stack
    assert "direct cause" in stack
    assert stack.index("ValueError: first") < stack.index("KeyError: 'second'")


def recurse(depth: int) -> None:
    """Raise from `depth` frames below."""
    if depth == 0:
        raise ValueError("deep")
    recurse_other(depth - 1)


def recurse_other(depth: int) -> None:
    """Half of a mutual recursion, which the traceback module does not shorten by itself."""
    recurse(depth)


def test_the_newest_thirty_frames_are_kept(tracer: Tracer) -> None:
    """A deep stack is cut to its newest 30 frames, those next to where the exception arose."""
    with pytest.raises(ValueError, match="deep"), tracer.trace("op") as span:
        recurse(100)
    stack = span.get_tag("error.stack")
    assert stack is not None
    frames = [line for line in stack.splitlines() if line.startswith("  File ")]
    assert len(frames) == 30
    assert frames[-1].endswith(", in recurse")
    assert "caught" not in stack
    assert stack.splitlines()[-1] == "ValueError: deep"


def test_the_number_of_frames_can_be_set(new_tracer: Any) -> None:
    """DD_TRACE_SPAN_TRACEBACK_MAX_SIZE sets how many frames are kept."""
    tracer = new_tracer(traceback_max_frames=3)
    with pytest.raises(ValueError, match="deep"), tracer.trace("op") as span:
        recurse(100)
    stack = span.get_tag("error.stack")
    assert stack is not None
    assert sum(line.startswith("  File ") for line in stack.splitlines()) == 3


def test_an_endless_recursion_arrives(tracer: Tracer) -> None:
    """A RecursionError that leaves many blocks marks their spans, and all of them are sent."""

    def endless() -> None:
        with tracer.trace("level"):
            endless()

    with pytest.raises(RecursionError):
        endless()
    sent = spans_of(tracer)
    assert len(sent) == tracer.stats()["finished"]
    assert len(sent) > 50
    marked = [span for span in sent if span.get("error")]
    assert len(marked) >= len(sent) - 2  # the deepest may have had no room to finish in order
    assert tracer.current_span() is None


def test_a_long_message_is_cut(tracer: Tracer) -> None:
    """Message and stack of an exception with a long text are cut as every tag is."""
    span = caught_in_block(tracer, ValueError("x" * 30_000))
    message, stack = span.get_tag("error.message"), span.get_tag("error.stack")
    assert message == "x" * 2486 + "<truncated>..."
    assert stack is not None
    assert len(stack) <= 25_000


# -- errors told by hand ---------------------------------------------------------------------------


def test_error_can_be_set_by_hand(tracer: Tracer) -> None:
    """span.error = 1 marks the span and adds no tags."""
    with tracer.trace("op") as span:
        span.error = 1
    [sent] = spans_of(tracer)
    assert sent["error"] == 1
    assert not any(key.startswith("error.") for key in sent["meta"])


def test_set_exc_info(tracer: Tracer) -> None:
    """set_exc_info of sys.exc_info() does what an exception leaving the block does."""
    with tracer.trace("op") as span:
        try:
            fail(ValueError("boom"))
        except ValueError:
            span.set_exc_info(*sys.exc_info())
    assert span.error == 1
    assert span.get_tag("error.type") == "builtins.ValueError"
    assert span.get_tag("error.message") == "boom"
    assert ", in fail" in (span.get_tag("error.stack") or "")


@pytest.mark.parametrize(
    "info", [(None, None, None), (ValueError, ValueError("x"), None), (ValueError, None, None)]
)
def test_set_exc_info_without_an_exception_does_nothing(info: tuple[Any, ...]) -> None:
    """set_exc_info needs type, value and traceback; otherwise it changes nothing."""
    span = Span("op")
    span.set_exc_info(*info)
    assert span.error == 0
    assert span.get_tags() == {}


def test_set_traceback_outside_of_except_is_the_current_stack(tracer: Tracer) -> None:
    """Without an exception set_traceback stores where it was called from, and marks no error."""
    with tracer.trace("op") as span:
        span.set_traceback()
    assert span.error == 0
    stack = span.get_tag("error.stack")
    assert stack is not None
    assert "test_set_traceback_outside_of_except_is_the_current_stack" in stack
    assert stack.rstrip().endswith("span.set_traceback()")
    assert "error.type" not in span.get_tags()


def test_set_traceback_inside_of_except_is_the_exception(tracer: Tracer) -> None:
    """Inside of an except block set_traceback does what set_exc_info does."""
    with tracer.trace("op") as span:
        try:
            fail(ValueError("boom"))
        except ValueError:
            span.set_traceback()
    assert span.error == 1
    assert span.get_tag("error.type") == "builtins.ValueError"
    assert ", in fail" in (span.get_tag("error.stack") or "")


def test_set_traceback_takes_a_number_of_frames(tracer: Tracer) -> None:
    """set_traceback(limit) stores that many frames."""
    with tracer.trace("op") as span:
        span.set_traceback(limit=2)
    stack = span.get_tag("error.stack") or ""
    assert sum(line.startswith("  File ") for line in stack.splitlines()) == 2


def test_a_span_finished_in_its_block_is_not_marked_later(tracer: Tracer) -> None:
    """An exception after a manual finish passes; the finished span is sent once."""
    with pytest.raises(ValueError, match="late"), tracer.trace("op") as span:
        span.finish()
        raise ValueError("late")
    assert len(spans_of(tracer)) == 1


def test_an_exception_does_not_keep_frames_alive(tracer: Tracer) -> None:
    """A span holds the text of an exception, not the exception nor its frames."""

    class Payload:
        alive = 0

        def __init__(self) -> None:
            Payload.alive += 1

        def __del__(self) -> None:
            Payload.alive -= 1

    def work() -> Span:
        payload = Payload()
        with pytest.raises(ValueError, match="boom"), tracer.trace("op") as span:
            raise ValueError("boom", payload)
        return span

    span = work()
    import gc

    gc.collect()
    assert Payload.alive == 0
    assert span.error == 1
