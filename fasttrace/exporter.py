"""The seam between the flusher and whatever delivers traces: one method and its result.

An exporter is any object with

    def export(self, payload, trace_count, timeout_s): ...

which takes a `fasttrace._span.Payload` that holds `trace_count` chunks, returns an `ExportResult`
within `timeout_s` seconds, and is called by one thread at a time. It may also have

* `discover(timeout_s)`: what the agent offers (`fasttrace._discovery`), asked after a delivery
* `interrupt()`, called by another thread: end a wait, with whatever result
* `close()`: give back what is not needed while there is nothing to send
* `route`: an attribute, the `fasttrace._span.Route` that payloads may go without this exporter as
  long as everything is as with the last; None if there is none
* `after_fork_in_child()`: drop what belongs to the parent process
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from fasttrace._span import Payload

    class Exporter(Protocol):
        """What the flusher needs."""

        def export(self, payload: Payload, trace_count: int, timeout_s: float) -> ExportResult:
            """Deliver `payload`, which holds `trace_count` chunks, within `timeout_s` seconds."""


class ExportResult:
    """What came of one payload.

    * status: "sent" (the agent took it), "unconfirmed" (sent in full, but whether the agent took it
      is not known), "retry" (the agent certainly has not taken it; it may be sent again), or the
      reason why it is dropped: "refused_<HTTP status>", "bad_address", "not_encodable"
    * reason: for "retry", the drop reason if it is not tried again: "unreachable", "not_sent",
      "refused_<HTTP status>"
    * hopeless: for "retry", whether another attempt within the next seconds is pointless
    * rates: the sampling rates the agent asks for, by "service:<name>,env:<name>"; None: no change
    * http_status: of the reply, None without one
    * detail: what went wrong, for people; never holds anything from the traces
    * use_version: "v0.4" if the agent cannot read the payload's version, else None
    * parts: what became of parts of the payload that were sent on their own; all the rest of this
      object is about what is left then. A payload that has to be retried is given again as a whole,
      so the exporter must remember what of it is left.
    * nbytes: bytes that were sent of what is left, None: the payload as it is
    """

    __slots__ = (
        "detail",
        "hopeless",
        "http_status",
        "nbytes",
        "parts",
        "rates",
        "reason",
        "status",
        "use_version",
    )

    def __init__(
        self,
        status: str,
        *,
        reason: str = "",
        hopeless: bool = False,
        rates: dict[str, float] | None = None,
        http_status: int | None = None,
        detail: str = "",
    ) -> None:
        self.status = status
        self.reason = reason or status
        self.hopeless = hopeless
        self.rates = rates
        self.http_status = http_status
        self.detail = detail
        self.use_version: str | None = None
        self.parts: list[Part] = []
        self.nbytes: int | None = None

    def __repr__(self) -> str:
        return f"ExportResult({self.status!r}, reason={self.reason!r}, detail={self.detail!r})"


class Part:
    """A part of a payload that was sent on its own, and is settled: its result is no "retry".

    * span_count, trace_count, nbytes: how large it was
    """

    __slots__ = ("nbytes", "result", "span_count", "trace_count")

    def __init__(
        self, result: ExportResult, span_count: int, trace_count: int, nbytes: int
    ) -> None:
        self.result = result
        self.span_count = span_count
        self.trace_count = trace_count
        self.nbytes = nbytes
