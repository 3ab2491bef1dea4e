"""Log lines that name their trace: `enable()`, or the variable DD_LOGS_INJECTION=true.

    import logging
    import fasttrace.logs

    fasttrace.logs.enable()
    logging.basicConfig(format=fasttrace.logs.FORMAT)

Every record of the standard library's logging then has the attributes `dd.trace_id`, `dd.span_id`,
`dd.service`, `dd.env` and `dd.version`, all str, under the names and in the form of ddtrace 4.16: a
trace id of 128 bits in 32 hex digits, a shorter one and span ids in decimal, "0" outside of a
trace. For other libraries: `structlog.configure(processors=[fasttrace.logs.add_to_structlog, ...])`
and `loguru.logger.configure(patcher=fasttrace.logs.add_to_loguru)`.
"""

from __future__ import annotations

import logging

from fasttrace._span import log_ids
from fasttrace.tracer import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any

__all__ = ["FORMAT", "add_to_loguru", "add_to_structlog", "disable", "enable"]

#: For logging.Formatter: the line that Datadog's log pipelines know.
FORMAT = (
    "%(asctime)s %(levelname)s [%(name)s] [%(filename)s:%(lineno)d] "
    "[dd.service=%(dd.service)s dd.env=%(dd.env)s dd.version=%(dd.version)s "
    "dd.trace_id=%(dd.trace_id)s dd.span_id=%(dd.span_id)s] - %(message)s"
)

_installed: Callable[..., logging.LogRecord] | None = None
_replaced: Callable[..., logging.LogRecord] = logging.LogRecord
_brace_style = False
_on = False


class _Names:
    """What `{dd.trace_id}` in a format of style `{` is looked up in."""

    __slots__ = ("env", "service", "span_id", "trace_id", "version")

    def __init__(self, fields: dict[str, str]) -> None:
        self.trace_id, self.span_id = fields["dd.trace_id"], fields["dd.span_id"]
        self.service, self.env = fields["dd.service"], fields["dd.env"]
        self.version = fields["dd.version"]

    def __repr__(self) -> str:
        return f"<trace {self.trace_id} span {self.span_id}>"


def _constants() -> dict[str, str]:
    config = tracer._config
    return {
        "dd.service": config.service or config.inferred_service or "",
        "dd.env": config.env or "",
        "dd.version": config.version or "",
    }


def _fields() -> dict[str, str]:
    fields = _constants()
    fields["dd.trace_id"], fields["dd.span_id"] = log_ids(tracer)
    return fields


def enable(*, brace_style: bool = False) -> None:
    """Put the trace on every LogRecord that is made from now on; a second call changes nothing.

    Args:
        brace_style: whether records also have `dd`, an object with trace_id, span_id, service, env
            and version, for formats of style `{`: `{dd.trace_id}`.

    """
    global _installed, _replaced, _brace_style, _on
    _brace_style = brace_style
    _on = True
    if _installed is not None:
        return
    made = _replaced = logging.getLogRecordFactory()
    constants = _constants()
    core = tracer

    def record_in_trace(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = made(*args, **kwargs)
        if _on:
            fields = record.__dict__
            fields.update(constants)
            fields["dd.trace_id"], fields["dd.span_id"] = log_ids(core)
            if _brace_style:
                fields["dd"] = _Names(fields)
        return record

    _installed = record_in_trace
    logging.setLogRecordFactory(record_in_trace)


def disable() -> None:
    """Undo `enable`. A factory that was set on top of ours stays, and ours adds nothing to it."""
    global _installed, _on
    _on = False
    if _installed is not None and logging.getLogRecordFactory() is _installed:
        logging.setLogRecordFactory(_replaced)
        _installed = None


def add_to_structlog(
    logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Put the trace into an event of structlog: a processor, to stand before the renderer."""
    event_dict.update(_fields())
    return event_dict


def add_to_loguru(record: Any) -> None:
    """Put the trace into the `extra` of loguru's record: for `logger.configure(patcher=...)`."""
    record["extra"].update(_fields())
