"""What the tracer says about itself: few warnings, short ones, none at exit.

`warn` and `debug` go to the standard logger "fasttrace". The `logging` package is imported at the
first message, never before. Nothing here raises, and nothing is said once the interpreter has begun
to shut down, when handlers and streams may be gone.
"""

from __future__ import annotations

import sys

from fasttrace._fork import gate
from fasttrace._span import monotonic_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Handler, Logger

#: The most characters of one message. A message never holds a tag value, whatever its length.
MAX_CHARS = 500

#: Warnings that wait for the next delivery: a buffer is full because the agent is away, and then
#: one warning tells of both.
_LATER = ("buffer_full",)

_rate_ns = 65_000_000_000  # between two warnings of a cause, so that a minute has one; 0: no limit
_debug = False
_silent = False
_logger: Logger | None = None
_last_ns: dict[str, int] = {}  # cause -> when it was last heard of
_held_back: dict[str, int] = {}  # cause -> warnings not shown since then
waiting: dict[str, str] = {}  # cause, one of _LATER -> message


def configure(rate_s: float, debug: bool) -> None:
    """Set how often one cause may warn (seconds, 0: always) and whether debug lines are shown.

    The names are DD_TRACE_LOGGING_RATE and DD_TRACE_DEBUG. Where debug lines are wanted and the
    application has configured no logging, they go to standard error.
    """
    global _rate_ns, _debug
    _rate_ns = max(0, int(rate_s * 1e9))
    _debug = debug
    if debug:
        try:
            _show_debug_lines()
        except Exception:
            pass


def silence() -> None:
    """Say nothing any more: the interpreter is going down."""
    global _silent
    _silent = True


def warn(cause: str, message: str) -> None:
    """Log a warning, unless the same `cause` has warned less than the configured time ago.

    The next warning of a cause that was held back says how often.
    """
    if cause in _LATER:
        waiting[cause] = message
    else:
        _warn_now(cause, message)


def after_delivery(delivered: bool) -> None:
    """Log the warnings that waited for it, unless it went wrong, of which has been warned."""
    while waiting:
        cause, message = waiting.popitem()
        if delivered:
            _warn_now(cause, message)


def _warn_now(cause: str, message: str) -> None:
    try:
        if _silent or sys.is_finalizing():
            return
        now_ns = monotonic_ns()
        last_ns = _last_ns.get(cause)
        if last_ns is not None and now_ns - last_ns < _rate_ns:
            _held_back[cause] = _held_back.get(cause, 0) + 1
            return
        _last_ns[cause] = now_ns
        held_back = _held_back.pop(cause, 0)
        tail = f" ({held_back} more like this were not shown)" if held_back else ""
        _get_logger().warning("%s", _cut(message, MAX_CHARS - len(tail)) + tail)
    except Exception:
        pass  # a broken log handler of the application is no reason to break the application


def announce(message: str) -> None:
    """Log, whatever the level of the logger, what somebody has asked to be told at the start.

    Of level INFO and any length. Goes to standard error if the application has configured no
    logging, or has not done so yet.
    """
    try:
        logger = _get_logger()
        import logging  # loaded by _get_logger

        record = logger.makeRecord(
            logger.name, logging.INFO, __file__, 0, "%s", (message,), None, "announce"
        )
        if logger.hasHandlers():
            logger.handle(record)
        else:
            _stderr_handler().handle(record)
    except Exception:
        pass


def debugging() -> bool:
    """Whether debug lines are shown: a message need not be made otherwise."""
    return _debug and not _silent


def debug(message: str) -> None:
    """Log a debug line, if DD_TRACE_DEBUG asks for them."""
    if not _debug:
        return
    try:
        if not _silent and not sys.is_finalizing():
            _get_logger().debug("%s", _cut(message, MAX_CHARS))
    except Exception:
        pass


def _cut(message: str, max_chars: int) -> str:
    return message if len(message) <= max_chars else message[: max_chars - 3] + "..."


def _get_logger() -> Logger:
    global _logger
    if _logger is None:
        with gate:  # the first message may come from a background thread
            import logging

        _logger = logging.getLogger("fasttrace")
    return _logger


def _show_debug_lines() -> None:
    import logging

    logger = _get_logger()
    logger.setLevel(logging.DEBUG)
    if not logger.hasHandlers():
        logger.addHandler(_stderr_handler())


def _stderr_handler() -> Handler:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return handler
