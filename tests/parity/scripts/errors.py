"""Errors: what an exception leaves on a span."""

import asyncio
import sys

from ddtrace.trace import Span, tracer


class Custom(Exception):
    """An exception of this file."""


class Broken(Exception):
    """Its text cannot be made."""

    def __str__(self):
        raise ValueError("no text")


class WithArgs(Exception):
    """Several arguments."""


class Outer:
    """For a nested class name."""

    class Inner(Exception):
        """Nested."""


def _spoil(error, name="root"):
    with tracer.trace(name):
        with tracer.trace("child"):
            raise error


def _error(span):
    return (
        span.error,
        span.get_tag("error.type"),
        span.get_tag("error.message"),
        bool(span.get_tag("error.stack")),
    )


def _raise_through(say, error, label=None):
    try:
        with tracer.trace("span") as span:
            raise error
    except BaseException as caught:
        say(f"same {label or type(error).__name__}", caught is error)
    say(f"error {label or type(error).__name__}", _error(span))


def case_with(say):
    """An exception marks the span and goes on.

    covers: 4.5.with 4.5.type-name
    """
    _raise_through(say, ValueError("boom"))
    _raise_through(say, Custom("mine"))
    _raise_through(say, KeyError("key"))
    _raise_through(say, WithArgs("a", 2))
    _raise_through(say, Outer.Inner("nested"))
    _raise_through(say, ValueError(), "empty")


def case_base_exceptions(say):
    """Exceptions that are no Exception are errors too.

    covers: 4.5.base-exceptions
    """
    for error in (
        KeyboardInterrupt(),
        StopIteration(3),
        asyncio.CancelledError(),
        StopAsyncIteration(),
    ):
        _raise_through(say, error)


def case_generator_exit(say):
    """GeneratorExit in a with block.

    covers: 4.5.base-exceptions
    """
    _raise_through(say, GeneratorExit())


def case_generator_closed(say):
    """A generator closed early inside a with block.

    covers: 4.5.base-exceptions
    """

    def numbers():
        with tracer.trace("in.generator"):
            yield 1
            yield 2

    generator = numbers()
    next(generator)
    generator.close()
    say("active", tracer.current_span())


def case_system_exit(say):
    """SystemExit by its code.

    covers: 4.5.system-exit
    """
    for code in (0, 1, "text", 255, False):
        _raise_through(say, SystemExit(code), f"code {code!r}")


def case_system_exit_none(say):
    """SystemExit without a code.

    covers: 4.5.system-exit-none
    """
    _raise_through(say, SystemExit(), "none")
    _raise_through(say, SystemExit(None), "given none")


def case_parent(say):
    """The parent is marked when the exception passes through it.

    covers: 4.5.parent
    """
    say.raises("through", _spoil, ValueError("both"))
    with tracer.trace("clean"):
        say.raises("caught", _spoil, ValueError("inner"), "inner")


def case_broken_str(say):
    """An exception without text.

    covers: 4.5.broken-str
    alone: yes
    """
    _raise_through(say, Broken("x"))


def case_set_exc_info(say):
    """set_exc_info with the three parts.

    covers: 4.5.set-exc-info 4.2.span-methods
    """
    span = tracer.start_span("span")
    try:
        raise Custom("mine")
    except Custom:
        say("returns", span.set_exc_info(*sys.exc_info()))
    say("error", _error(span))
    span.finish()


def case_set_exc_info_parts(say):
    """set_exc_info with a part missing.

    covers: 4.5.set-exc-info
    """
    try:
        raise Custom("mine")
    except Custom:
        kind, value, traceback = sys.exc_info()
    for label, args in [
        ("all", (None, None, None)),
        ("type", (None, value, traceback)),
        ("value", (kind, None, traceback)),
        ("traceback", (kind, value, None)),
    ]:
        span = tracer.start_span(f"no {label}")
        say.raises(label, span.set_exc_info, *args)
        say(f"error {label}", _error(span))
        span.finish()


def case_set_exc_info_exit(say):
    """set_exc_info with SystemExit.

    covers: 4.5.set-exc-info-exit
    """
    for code in (0, 1, None):
        span = tracer.start_span(f"code {code}")
        try:
            raise SystemExit(code)
        except SystemExit:
            span.set_exc_info(*sys.exc_info())
        say(str(code), _error(span))
        span.finish()


def case_set_exc_info_twice(say):
    """The later error replaces the earlier.

    covers: 4.5.set-exc-info
    """
    span = tracer.start_span("span")
    for text in ("one", "two"):
        try:
            raise Custom(text)
        except Custom:
            span.set_exc_info(*sys.exc_info())
    say("error", _error(span))
    span.finish()


def case_set_exc_info_then_exit_zero(say):
    """SystemExit(0) after an error clears nothing or all.

    covers: 4.5.set-exc-info-exit
    """
    span = tracer.start_span("span")
    for error in (Custom("one"), SystemExit(0)):
        try:
            raise error
        except BaseException:
            span.set_exc_info(*sys.exc_info())
    say("error", _error(span))
    span.finish()


def case_error_attribute(say):
    """error set by hand is the wire's flag.

    covers: 4.2.span-attributes
    """
    for value in (1, 0, True, 3, -1):
        span = tracer.start_span("span")
        span.error = value
        say(repr(value), span.error == value)
        span.finish()


def case_error_cleared(say):
    """error set back to 0 after an exception.

    covers: 4.2.span-attributes
    """
    span = tracer.start_span("span")
    try:
        raise Custom("mine")
    except Custom:
        span.set_exc_info(*sys.exc_info())
    span.error = 0
    span.finish()


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


def case_stack_deep(say):
    """The newest thirty frames of a deep stack.

    covers: 4.5.stack-limit
    """
    say.raises("deep", _with_alternate, 100)


def _with_alternate(depth):
    with tracer.trace("span"):
        _alternate(depth)


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
    say.raises("long message", _spoil, error)


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
    say.raises("noted", _spoil, error)


def case_stack_group(say):
    """Exception groups are in the stack.

    covers: 4.5.with
    """
    if sys.version_info >= (3, 11):
        say.raises("group", _spoil, ExceptionGroup("several", [Custom("one"), ValueError("two")]))  # noqa: F821


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
    say("error", _error(span))
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
        say("error", _error(span))


def case_bare_span(say):
    """A Span made by its constructor records errors as well.

    covers: 4.5.with 4.2.span-constructor
    """
    span = Span("bare")
    try:
        with span:
            raise Custom("mine")
    except Custom:
        pass
    say("error", _error(span))
