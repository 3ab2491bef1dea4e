"""From the tracer's buffer to the exporter: what becomes of each payload.

Every payload taken out of the buffer is settled exactly once, or put back. It is put back only if
the agent cannot have accepted it, so nothing arrives twice; it is dropped only for a reason that is
counted, so nothing is lost unseen.
"""

from __future__ import annotations

from fasttrace import _fork, _log
from fasttrace._address import without_password
from fasttrace._span import monotonic_ns
from fasttrace.exporter import ExportResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fasttrace._health import HealthMetrics
    from fasttrace._span import Payload, TracerCore
    from fasttrace.config import Config
    from fasttrace.exporter import Exporter, Part

#: Drop reasons given here; the exporter has its own (`exporter.ExportResult`).
DEADLINE, NO_EXPORTER = "deadline", "no_exporter"
SEND_BYTES_PER_S = 4 << 20  # a large payload gets more time than `agent_timeout_s`
_REFUSED_ATTEMPTS = 10  # of one payload that the agent could have taken but did not


class Outcome:
    """What came of one round.

    * delivered: whether the agent has taken all that was buffered
    * put_back: whether some of it waits in the buffer for another round
    * warnings: (cause, message) pairs, for when no lock is held
    * notes: debug lines, likewise
    * payloads: how many were taken out of the buffer
    """

    __slots__ = ("delivered", "notes", "payloads", "put_back", "warnings")

    def __init__(self) -> None:
        self.delivered = True
        self.put_back = False
        self.payloads = 0
        self.warnings: list[tuple[str, str]] = []
        self.notes: list[str] = []

    @classmethod
    def nothing_done(cls) -> Outcome:
        """Return the outcome of a round that could not take place: all waits for another."""
        outcome = cls()
        outcome.delivered, outcome.put_back = False, True
        return outcome


class Delivery:
    """Rounds of delivery for one tracer. Used by one thread at a time, but for `final_ns`."""

    def __init__(self, core: TracerCore, config: Config) -> None:
        self._core = core
        self._config = config
        self._timeout_s = config.agent_timeout_s
        self._agent = f"{without_password(config.agent_url)} ({_origin(config)})"
        #: set (monotonic ns): nothing is put back for later than this
        self.final_ns: int | None = None
        #: payloads so far of which the agent has not said that it took them
        self.lost = 0
        self._last_reason = DEADLINE
        self._rates: dict[str, float] | None = None  # the newest table; the exporter changes none
        self._refused: Payload | None = None  # the oldest payload, if it was refused before
        self._refusals = 0
        self._met_ns: int | None = None  # the `final_ns` before which the agent was seen
        self._health: HealthMetrics | None = None  # made by the first round, if wanted

    def round(
        self,
        exporter: Exporter | None,
        deadline_ns: int | None,
        waiting: list[Payload] | None = None,
        begun: bool = False,
    ) -> Outcome:
        """Hand everything buffered to `exporter` once, oldest first, until one has to be put back.

        `deadline_ns` (monotonic, None: none) and `final_ns` limit the time. Without an exporter
        everything is dropped. waiting: the payloads, if they are out of the buffer already; begun:
        whether the oldest of them has been sent, in whole or in part, which the exporter knows.
        """
        outcome = Outcome()
        if self._config.health_metrics_enabled and self._health is None:
            module = _fork.load("fasttrace._health")
            self._health = module.HealthMetrics(self._core, self._config)
        if waiting is None:
            waiting = self._core._swap()
        outcome.payloads = len(waiting)
        if self._health is not None:
            self._health.taken(waiting)
        waiting.reverse()  # the oldest is the last
        payload: Payload | None = None
        try:
            while waiting:
                payload = waiting.pop()
                if exporter is None:
                    self._settle(payload, NO_EXPORTER, outcome)
                elif not self._attempt(payload, exporter, deadline_ns, outcome, begun):
                    waiting.append(payload)
                    break
                begun = False
            payload = None
        finally:
            if payload is not None:  # an exception, such as KeyboardInterrupt in a main thread
                self._settle(payload, "unconfirmed", outcome)
            for each in waiting:  # the newest first, so that the oldest is in front again
                self._put_back(each, outcome)
        return outcome

    def drop_rest(self) -> None:
        """Drop what is still buffered, for the reason that kept it from being delivered."""
        outcome = Outcome()
        for payload in self._core._swap():
            self._settle(payload, self._last_reason, outcome)

    def note_agent(self) -> None:
        """The agent was met, not by a round of this object."""
        self._met_ns = self.final_ns

    def report_health(self) -> None:
        """Send the health metrics, if they are wanted. For the flusher's thread."""
        if self._health is not None:
            self._health.report()

    def after_fork_in_child(self) -> None:
        """Forget what is the parent's: a payload that was refused, the metrics."""
        self.final_ns = None
        self._refused = None
        self._health = None

    def _attempt(
        self,
        payload: Payload,
        exporter: Exporter,
        deadline_ns: int | None,
        outcome: Outcome,
        begun: bool,
    ) -> bool:
        """Try to deliver `payload`. Returns False if it is not settled but must be put back."""
        timeout_s = self._time_for(payload, deadline_ns)
        if timeout_s <= 0.0 and not begun:
            return self._give_up(payload, outcome)
        begin_ns = monotonic_ns()
        try:
            result = exporter.export(payload, payload.trace_count, timeout_s)
        except Exception as error:  # of somebody's own exporter; ours raises nothing
            result = ExportResult(
                "unconfirmed", detail=f"the exporter raised {type(error).__name__}"
            )
        if _log.debugging():
            outcome.notes.append(
                f"{payload.trace_count} traces, {payload.nbytes} bytes of {payload.api_version}, "
                f"to {self._agent}: {result.status}, HTTP status {result.http_status}, "
                f"{(monotonic_ns() - begin_ns) / 1e6:.1f} ms {result.detail}"
            )
        if result.use_version is not None:
            self._core._set_wire(result.use_version)
        for part in result.parts:
            self._note(part.result)
            self._settle_part(payload, part, outcome)
        self._note(result)
        if result.reason != "unreachable":
            self._met_ns = self.final_ns
        if result.status == "retry":
            self._last_reason = result.reason
            self._warn_retry(result, outcome)
            if self._may_try_again(payload, result):
                return self._give_up(payload, outcome)
            self._settle(payload, result.reason, outcome)
            return True
        traces = payload.unsettled_traces
        self._settle(payload, result.status, outcome, result.nbytes)
        if result.status == "sent":
            self._last_reason = DEADLINE
        else:
            self._warn_lost(traces, result, outcome)
        return True

    def _note(self, result: ExportResult) -> None:
        """Take from a reply what concerns more than its payload."""
        if result.rates is not None and result.rates is not self._rates:
            self._core._set_rates(result.rates)
            self._rates = result.rates
        if self._health is not None:
            self._health.attempted(result.status, result.http_status)

    def _give_up(self, payload: Payload, outcome: Outcome) -> bool:
        """Settle `payload` if there is no later; returns whether it did."""
        if self.final_ns is None or monotonic_ns() < self.final_ns:
            return False
        self._settle(payload, self._last_reason, outcome)
        return True

    def _time_for(self, payload: Payload, deadline_ns: int | None) -> float:
        timeout_s = self._timeout_s + payload.nbytes / SEND_BYTES_PER_S
        for limit_ns in (deadline_ns, self.final_ns):
            if limit_ns is not None:
                timeout_s = min(timeout_s, (limit_ns - monotonic_ns()) / 1e9)
        return timeout_s

    def _may_try_again(self, payload: Payload, result: ExportResult) -> bool:
        if self.final_ns is not None:
            # An agent that was there a moment ago is being restarted.
            return not result.hopeless or self._met_ns == self.final_ns
        if result.reason == "unreachable":
            return True  # an agent that is away costs nothing; the buffer has its bound
        if payload is not self._refused:
            self._refused, self._refusals = payload, 0
        self._refusals += 1
        return self._refusals < _REFUSED_ATTEMPTS

    def _put_back(self, payload: Payload, outcome: Outcome) -> None:
        outcome.delivered = False
        if self._core._unswap(payload):
            outcome.put_back = True
            if self._health is not None:
                self._health.put_back(payload)
        else:
            self._settle(payload, self._last_reason, outcome)

    def _settle(
        self, payload: Payload, status: str, outcome: Outcome, nbytes: int | None = None
    ) -> None:
        if self._health is not None:
            self._health.settled(status, payload.unsettled_traces, nbytes or payload.nbytes)
        self._core._settle(payload, status, nbytes=nbytes)
        if payload is self._refused:
            self._refused = None
        self._count(status, outcome)

    def _settle_part(self, payload: Payload, part: Part, outcome: Outcome) -> None:
        status = part.result.status
        self._core._settle(
            payload, status, spans=part.span_count, traces=part.trace_count, nbytes=part.nbytes
        )
        if self._health is not None:
            self._health.settled(status, part.trace_count, part.nbytes)
        self._count(status, outcome)
        if status != "sent":
            self._warn_lost(part.trace_count, part.result, outcome)

    def _count(self, status: str, outcome: Outcome) -> None:
        if status != "sent":
            self.lost += 1
            outcome.delivered = False

    def _warn_retry(self, result: ExportResult, outcome: Outcome) -> None:
        fate = "kept as space allows" if self.final_ns is None else "dropped"
        text = f"traces cannot be sent to the agent at {self._agent}: {result.detail}"
        if self._config.startup_logs:
            text = f"- DATADOG TRACER DIAGNOSTIC - {text}"
        outcome.warnings.append(("agent unreachable", f"{text}; they are {fate}"))

    def _warn_lost(self, count: int, result: ExportResult, outcome: Outcome) -> None:
        agent = self._agent
        if result.status == "unconfirmed":
            text = f"{count} traces were sent to {agent}, but it is not known whether they arrived"
        else:
            text = f"{count} traces were dropped ({result.status}), the agent being {agent}"
        outcome.warnings.append((f"agent {result.status}", f"{text}: {result.detail}"))


def warn_all(outcome: Outcome) -> None:
    """Log the warnings and notes of a round. Log handlers run here, so no lock may be held."""
    for note in outcome.notes:
        _log.debug(note)
    for cause, message in outcome.warnings:
        _log.warn(cause, message)


def _origin(config: Config) -> str:
    source = config.source("agent_url")
    if source == "default":
        return "the default address"
    return f"from {source.removeprefix('env ')}" if source != "code" else "set by the program"
