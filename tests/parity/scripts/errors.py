"""Errors: what an exception leaves on a span."""

import asyncio
import sys

from case_common import Custom, described, spoil
from ddtrace.trace import Span, tracer


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


def _raise_through(say, error, label=None):
    try:
        with tracer.trace("span") as span:
            raise error
    except BaseException as caught:
        say(f"same {label or type(error).__name__}", caught is error)
    say(f"error {label or type(error).__name__}", described(span))


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
    say.raises("through", spoil, ValueError("both"))
    with tracer.trace("clean"):
        say.raises("caught", spoil, ValueError("inner"), "inner")


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
    say("error", described(span))
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
        say(f"error {label}", described(span))
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
        say(str(code), described(span))
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
    say("error", described(span))
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
    say("error", described(span))
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
    say("error", described(span))
