"""`TraceFilter`: code of the application that sees a finished trace before it is encoded."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fasttrace._span import Span


class TraceFilter:
    """Sees every finished chunk of a trace and returns what shall be sent of it.

    Derive from this class, define `process_trace`, and register an instance with
    `tracer.configure(trace_processors=[...])` or, the older form, `settings={"FILTERS": [...]}`.
    Filters run in the order of their registration, in the thread that finished the last span,
    before the sampling decision (as in ddtrace 4.16).
    """

    __slots__ = ("__dict__", "__weakref__")

    def __new__(cls, *args: object, **kwargs: object) -> TraceFilter:
        """Refuse a class without `process_trace`, as an abstract class would, without `abc`.

        Raises:
            TypeError: `cls` does not define `process_trace`.

        """
        if cls.process_trace is TraceFilter.process_trace:
            raise TypeError(f"{cls.__name__} must define process_trace(self, trace)")
        return super().__new__(cls)

    def process_trace(self, trace: list[Span]) -> list[Span] | None:
        """Return the spans to send, not necessarily those in `trace`, or None to drop them all.

        An exception raised here is logged, and the chunk goes on as it was before this filter.

        Args:
            trace: the finished spans of one chunk, in the order of their creation; tags may still
                be set on them.

        """
        raise NotImplementedError
