"""Traces printed instead of sent, for whoever has no agent: `OTEL_TRACES_EXPORTER=console`."""

from __future__ import annotations

import sys

from fasttrace._decode import application_tags, decode_body
from fasttrace.exporter import ExportResult
from fasttrace.tree import draw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from fasttrace._span import Payload

#: Spans drawn of each trace; what a trace has beyond them is only counted.
MAX_SPANS = 1000
_SHOWN_AS_ERROR = ("error.type", "error.message", "error.stack")


class ConsoleExporter:
    """Prints each finished trace as a tree: names, services, durations, resources, tags, errors.

    It writes to standard error, since standard output belongs to the program. Of an error type and
    message are printed; the tags that the tracer adds for the agent are left out. A trace that is
    flushed in parts is printed in parts.
    """

    def export(self, payload: Payload, trace_count: int, timeout_s: float) -> ExportResult:
        """Print the traces of `payload`. Never raises; what cannot be printed is "not_printed"."""
        stream: TextIO | None = sys.stderr  # now, because programs and tests replace it
        try:
            if stream is None:
                raise ValueError("the process has no standard error")
            chunks = decode_body(b"".join(payload.buffers()), payload.api_version)
            stream.write(draw_for(stream, [span for chunk in chunks for span in chunk]) + "\n\n")
            stream.flush()
        except Exception as error:
            return ExportResult("not_printed", detail=f"{type(error).__name__}: {error}")
        return ExportResult("sent")


def draw_for(stream: TextIO, spans: list[dict[str, Any]]) -> str:
    """Draw the traces these spans belong to with characters that `stream` can print."""
    names = dict.fromkeys(
        name for span in spans for tags in ("meta", "metrics") for name in span.get(tags) or ()
    )
    shown = [name for name in application_tags(names) if name not in _SHOWN_AS_ERROR]
    text = draw(spans, tags=shown, max_spans=MAX_SPANS)
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")  # Celery's has none
    except (LookupError, UnicodeError):
        return draw(spans, tags=shown, max_spans=MAX_SPANS, ascii_only=True)
    return text
