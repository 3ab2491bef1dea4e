"""What stands in for ddtrace's writer: nothing is encoded, nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddtrace.internal.writer import TraceWriter


class DropWriter(TraceWriter):
    """Takes traces and forgets them."""

    def write(self, spans: Sequence[Any] | None = None) -> None:
        pass

    def recreate(self, *args: Any, **kwargs: Any) -> DropWriter:
        return self

    def stop(self, timeout: float | None = None) -> None:
        pass

    def flush_queue(self) -> None:
        pass


class CountWriter(DropWriter):
    """Counts what it is given."""

    count = 0

    def write(self, spans: Sequence[Any] | None = None) -> None:
        self.count += len(spans or ())
