"""What the tracer says: little, short, never at exit, never with an exception."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from helpers import run_python

from fasttrace import _log


@pytest.fixture(autouse=True)
def _fresh_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin as if nothing had ever been logged."""
    monkeypatch.setattr(_log, "_last_ns", {})
    monkeypatch.setattr(_log, "_held_back", {})
    monkeypatch.setattr(_log, "_silent", False)
    yield
    _log.configure(60.0, False)
    logging.getLogger("fasttrace").setLevel(logging.NOTSET)


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Logger, level and text of everything logged."""
    return [(record.name, record.levelname, record.getMessage()) for record in caplog.records]


def test_warning_goes_to_the_standard_logger(caplog: pytest.LogCaptureFixture) -> None:
    """A warning is a record of the logger `fasttrace`; a percent sign in it is harmless."""
    _log.warn("cause", "100 %s lost")
    assert messages(caplog) == [("fasttrace", "WARNING", "100 %s lost")]


def test_one_warning_for_each_cause_and_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same cause is heard once a minute, and says then how often it was not heard."""
    now_s = 1000.0
    monkeypatch.setattr(_log, "monotonic_ns", lambda: int(now_s * 1e9))
    for _ in range(5):
        _log.warn("a", "first")
    _log.warn("b", "other")
    now_s += 59.9
    _log.warn("a", "second")
    now_s += 0.2
    _log.warn("a", "third")
    texts = [text for _, _, text in messages(caplog)]
    assert texts == ["first", "other", "third (5 more like this were not shown)"]


def test_rate_zero_shows_everything(caplog: pytest.LogCaptureFixture) -> None:
    """DD_TRACE_LOGGING_RATE=0 means no limit."""
    _log.configure(0.0, False)
    for _ in range(3):
        _log.warn("a", "again")
    assert len(caplog.records) == 3


def test_long_message_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """No message is longer than 500 characters."""
    _log.warn("a", "x" * 10_000)
    ((_, _, text),) = messages(caplog)
    assert len(text) == 500
    assert text.endswith("...")


def test_debug_lines_only_when_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Debug lines appear with DD_TRACE_DEBUG alone."""
    _log.debug("quiet")
    _log.configure(60.0, True)
    _log.debug("loud")
    assert messages(caplog) == [("fasttrace", "DEBUG", "loud")]


def test_silenced_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """After silence() not even a new cause is heard."""
    _log.configure(60.0, True)
    _log.silence()
    _log.warn("new", "text")
    _log.debug("text")
    assert not caplog.records


def test_broken_handler_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """What the application's log handler raises goes nowhere; the next messages are heard."""
    called: list[str] = []

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            called.append(record.getMessage())
            raise RuntimeError("handler")

    handler = Broken()
    logging.getLogger("fasttrace").addHandler(handler)
    try:
        _log.warn("a", "broken")
        _log.warn("b", "still broken")
    finally:
        logging.getLogger("fasttrace").removeHandler(handler)
    assert called == ["broken", "still broken"]
    _log.warn("a", "the same cause within a minute")
    _log.warn("c", "whole again")
    assert messages(caplog) == [("fasttrace", "WARNING", "whole again")]


def test_logging_is_imported_by_the_first_message_only() -> None:
    """Importing the tracer does not import `logging`; a first warning does."""
    done = run_python("""
        import sys
        from fasttrace import _log
        assert "logging" not in sys.modules
        _log.warn("a", "hello")
        assert "logging" in sys.modules
    """)
    assert done.stderr == "hello\n"


def test_debug_lines_are_seen_without_any_set_up() -> None:
    """With debug on and no logging configured, debug lines go to standard error."""
    done = run_python("""
        from fasttrace import _log
        _log.configure(60.0, True)
        _log.debug("hello")
    """)
    assert done.stderr.endswith("DEBUG fasttrace hello\n")


def test_nothing_while_the_interpreter_shuts_down() -> None:
    """A warning from an object that dies with the interpreter is not shown."""
    done = run_python("""
        import logging
        from fasttrace import _log
        class Late:
            def __del__(self):
                print("late")
                _log.warn("late", "too late")
        late = Late()
        late.itself = late
    """)
    assert (done.stdout, done.stderr) == ("late\n", "")
