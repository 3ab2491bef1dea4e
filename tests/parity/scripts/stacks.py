"""error.stack: frames, limits, set_traceback; recorded exceptions."""

import sys

from case_common import Custom, described, spoil
from ddtrace.trace import tracer


def _recurse(depth):
    if depth == 0:
        raise Custom("deep")
    _recurse(depth - 1)


def _alternate(depth):
    if depth == 0:
        raise Custom("deep")
    _other(depth - 1)


def _other(depth):
    if depth == 0:
        raise Custom("deep")
    _alternate(depth - 1)


def _with_alternate(depth):
    with tracer.trace("span"):
        _alternate(depth)


def case_stack_deep(say):
    """The newest thirty frames of a deep stack.

    covers: 4.5.stack-limit
    """
    say.raises("deep", _with_alternate, 100)


def case_stack_recursive(say):
    """A deep recursion.

    covers: 4.5.stack-limit
    """

    def work():
        with tracer.trace("span"):
            _recurse(100)

    say.raises("deep", work)


def case_stack_short(say):
    """A stack below the limit.

    covers: 4.5.stack-limit
    """
    say.raises("short", _with_alternate, 10)


def case_stack_env(say):
    """The number of frames is a setting.

    covers: 4.5.stack-env
    env: DD_TRACE_SPAN_TRACEBACK_MAX_SIZE=5
    """
    say.raises("deep", _with_alternate, 20)
    say.raises("short", _with_alternate, 2)


def case_stack_chars(say):
    """A text beyond 25000 characters loses frames.

    covers: 4.5.stack-chars
    """
    error = Custom("m" * 30000)
    say.raises("long message", spoil, error)


def case_stack_chars_lines(say):
    """Long source lines make the text long.

    covers: 4.5.stack-chars
    oracle: 4.16
    env: DD_TRACE_SPAN_TRACEBACK_MAX_SIZE=500
    """
    say.raises("long", _with_alternate, 450)


def case_stack_chain(say):
    """Causes and contexts of exceptions are in the stack.

    covers: 4.5.with
    """

    def cause():
        try:
            raise Custom("first")
        except Custom as error:
            raise ValueError("second") from error

    def context():
        try:
            raise Custom("first")
        except Custom:
            raise ValueError("second")  # noqa: B904

    def hidden():
        try:
            raise Custom("first")
        except Custom:
            raise ValueError("second") from None

    for work in (cause, context, hidden):
        try:
            with tracer.trace(work.__name__):
                work()
        except ValueError:
            pass


def case_stack_notes(say):
    """Notes of an exception are in the stack.

    covers: 4.5.with
    """
    error = Custom("noted")
    if hasattr(error, "add_note"):
        error.add_note("a note")
    say.raises("noted", spoil, error)


def case_stack_group(say):
    """Exception groups are in the stack.

    covers: 4.5.with
    """
    if sys.version_info >= (3, 11):
        say.raises("group", spoil, ExceptionGroup("several", [Custom("one"), ValueError("two")]))  # noqa: F821


def case_stack_syntax_error(say):
    """A SyntaxError has its own form.

    covers: 4.5.with
    """
    try:
        with tracer.trace("span"):
            compile("a b", "made-up.py", "exec")
    except SyntaxError as error:
        say("text", str(error))


def case_set_traceback_except(say):
    """set_traceback inside except.

    covers: 4.5.set-traceback.except 4.2.span-methods
    """
    span = tracer.start_span("span")
    try:
        raise Custom("mine")
    except Custom:
        span.set_traceback()
    say("error", described(span))
    span.finish()


def case_set_traceback_plain(say):
    """set_traceback elsewhere.

    covers: 4.5.set-traceback.plain
    """
    span = tracer.start_span("span")
    span.set_traceback()
    say("error", (span.error, span.get_tag("error.type"), span.get_tag("error.message")))
    stack = span.get_tag("error.stack")
    say("last frame", "case_set_traceback_plain" in stack.splitlines()[-2])
    say("ends", stack.endswith("\n"))
    span.finish()


def case_set_traceback_limit(say):
    """set_traceback with a limit.

    covers: 4.5.set-traceback.limit
    """
    for limit in (1, 2, 3):
        span = tracer.start_span("plain")
        span.set_traceback(limit=limit)
        say(f"plain {limit}", span.get_tag("error.stack").count('File "'))
        span.finish()
        span = tracer.start_span("except")
        try:
            _alternate(10)
        except Custom:
            span.set_traceback(limit=limit)
        say(f"except {limit}", span.get_tag("error.stack").count('File "'))
        span.finish()


def case_set_traceback_default_limit(say):
    """set_traceback without a limit has the configured maximum.

    covers: 4.5.set-traceback.limit
    oracle: 4.16
    env: DD_TRACE_SPAN_TRACEBACK_MAX_SIZE=2
    """
    span = tracer.start_span("plain")
    span.set_traceback()
    say("frames", span.get_tag("error.stack").count('File "'))
    span.finish()


def case_record_exception(say):
    """record_exception adds an event and no error.

    covers: 4.5.record-exception 4.2.span-4x
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        try:
            raise Custom("mine")
        except Custom as error:
            say("returns", span.record_exception(error))
        say("error", (span.error, span.get_tag("error.type")))


def case_record_exception_not_raised(say):
    """record_exception of an exception that was never raised.

    covers: 4.5.record-exception
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        span.record_exception(ValueError("new"))


def case_record_exception_attributes(say):
    """Attributes of a recorded exception.

    covers: 4.5.record-exception.attributes
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        attributes = {
            "text": "a",
            "flag": True,
            "int": 5,
            "float": 1.5,
            "list": ["a", "b"],
            "ints": [1, 2],
            "exception.message": "other",
        }
        span.record_exception(ValueError("x"), attributes)


def case_record_exception_bad_attributes(say):
    """Unsuitable attributes are dropped.

    covers: 4.5.record-exception.attributes
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        attributes = {
            "none": None,
            "dict": {"a": 1},
            "mixed": [1, "a"],
            "huge": 2**70,
            "nan": float("nan"),
            "nested": [[1]],
            "bytes": b"x",
            "object": object(),
            "good": "kept",
            "empty": [],
        }
        say.raises("record", span.record_exception, ValueError("x"), attributes)


def case_record_exception_several(say):
    """Several recorded exceptions are several events.

    covers: 4.5.record-exception
    oracle: 4.16
    """
    with tracer.trace("span") as span:
        for text in ("one", "two"):
            span.record_exception(ValueError(text))


def case_record_then_raise(say):
    """A recorded exception that goes on is an error too.

    covers: 4.5.record-exception 4.5.with
    oracle: 4.16
    """
    try:
        with tracer.trace("span") as span:
            try:
                raise Custom("mine")
            except Custom as error:
                span.record_exception(error)
                raise
    except Custom:
        say("error", described(span))
