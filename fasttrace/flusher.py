"""The background thread that delivers finished traces.

One `Flusher` serves one tracer. The core calls `start` when a chunk enters the empty buffer; from
then on a native thread delivers what is buffered once in `flush_interval_s`, earlier if the buffer
is half full. While there is nothing to send the thread sleeps, and after a minute it ends.

A traced thread never waits for the network: only `flush`, `stop` and the exit of the process do,
and no longer than they were told. They let the thread do the work, so that a signal handler that
interrupts one of them can flush as well, and do it themselves only where there is no thread.
"""

from __future__ import annotations

from _thread import get_ident

from fasttrace import _clock, _exit, _fork, _log
from fasttrace._delivery import SEND_BYTES_PER_S, Delivery, Outcome, warn_all
from fasttrace._span import (
    LockTime,
    NativeEvent,
    NativeLock,
    Route,
    free_what_was_left,
    monotonic_ns,
    start_native_thread,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fasttrace._discovery import Discovery
    from fasttrace._span import TracerCore
    from fasttrace._stats import StatsSender
    from fasttrace.config import Config
    from fasttrace.exporter import Exporter

DEFAULT_FLUSH_TIMEOUT_S = 5.0
_IDLE_S = 60.0  # a thread without work ends after this
_FLUSH_ATTEMPTS = 3  # of one flush()
_FIRST_RETRY_S = 0.05  # while somebody waits for the result; doubled each time
_LONGEST_URGENT_RETRY_S = 0.5
_LONGEST_RETRY_S = 5.0  # in the background
_MORE_SHARE = 4  # a quarter of the time may go into what is finished in the middle of the sending
_WAIT_SLICE_NS = 100_000_000  # a waiting main thread handles signals this often
_INTERRUPT_WAIT_NS = 50_000_000  # for a thread whose connection has been cut to end


class _Ticket:
    """Somebody who waits until everything buffered now has been dealt with."""

    __slots__ = ("attempts", "delivered", "done")

    def __init__(self) -> None:
        self.done = NativeEvent()
        self.delivered = False
        self.attempts = 0


class Flusher:
    """Delivers the finished traces of `core` with `exporter`.

    With `exporter` None the configured one is made in the background thread, where its imports
    delay nobody.
    """

    def __init__(self, core: TracerCore, exporter: Exporter | None, config: Config) -> None:
        self._core = core
        self._config = config
        self._exporter = exporter
        self._tried_to_load = exporter is not None
        self._delivery = Delivery(core, config)
        #: what the agent offers; None until the background thread has something to send
        self.discovery: Discovery | None = None
        self._route: Route | None = None  # how the next round may go, if it is like the last
        self._stats: StatsSender | None = None  # made by the first round, if wanted
        #: what flushes of the background thread cost the application
        self.lock_time = LockTime()
        self._reset()
        _fork.register(self)

    def _reset(self) -> None:
        """Begin without a thread and with new locks."""
        self._start_lock = NativeLock()
        self._export_lock = NativeLock()  # held by the thread that talks to the exporter
        self._more = False  # something was finished in the middle of the sending, by its thread
        self._thread: int | None = None  # the background thread's id
        self._alive = False  # a background thread has been started and has not ended
        self._parked = False  # it sleeps until `start`, because there is nothing to send
        self._route = None
        self._nudge = NativeEvent()  # wakes it, besides the core's `_wake`
        self._ended = NativeEvent()
        self._tickets: list[_Ticket] = []
        self._failures = 0  # rounds in a row that put something back

    @property
    def exit_timeout_s(self) -> float:
        """How long this flusher may delay the end of the process, in seconds."""
        return self._config.exit_timeout_s

    @property
    def sigterm_enabled(self) -> bool:
        """Whether this flusher wants SIGTERM handled."""
        return self._config.sigterm_enabled

    # -- called by any thread ----------------------------------------------------------------------

    def start(self) -> None:
        """Make sure that what is buffered will be sent.

        Does not wait for anything, unless there must be no thread: then it sends, in this one.
        """
        _fork.check_process()
        if _exit.began() or _fork.forbids_threads():
            self._send_now()
            return
        if not self._start_lock.acquire(0):
            return  # another thread, or what this call interrupts, is at it
        try:
            if self._alive:
                if self._core._starts_for_each:
                    self._watch_exit()
                self._core._flusher_running = True
                self._parked = False
                self._nudge.set()
                return
            # Up to CPython 3.12 `threading` takes the thread that imports it for the main thread
            # and waits for its end at exit: that must not be the one that is started here.
            _fork.load("threading")
            self._watch_exit()
            if not _exit.began():  # else it began after the look above, and knows of no thread
                self._delivery.final_ns = None
                self._core._flusher_running = True
                self._ended = NativeEvent()
                self._alive = True
                start_native_thread(self._run)
                return
        except Exception as error:
            self._alive = self._core._flusher_running = False
            _log.warn("flusher thread", f"no thread to send traces could be started: {error}")
            return
        finally:
            self._start_lock.release()
        self._send_now()

    def _watch_exit(self) -> None:
        """Be told of the end of the process; what ends before that is possible is sent at once."""
        self._core._starts_for_each = not _exit.watch(self)
        if self._core._starts_for_each:
            self._core._wake.set()

    def flush(self, timeout_s: float | None = None) -> bool:
        """Send what is finished, and wait for that at most `timeout_s` seconds (None: 5).

        Returns whether all of it has reached the agent. What has not is sent later, if it can be.
        """
        _fork.check_process()
        if self._is_in_sending_thread():
            return False  # called by a log handler or signal handler that interrupts the sending
        if self._is_idle():
            return True
        timeout_s = DEFAULT_FLUSH_TIMEOUT_S if timeout_s is None else timeout_s
        deadline_ns = monotonic_ns() + int(timeout_s * 1e9)
        ticket = _Ticket()
        self._tickets.append(ticket)
        self._wake_thread()
        while self._alive and not _exit.began():
            if ticket.done.wait(_slice_s(deadline_ns)):
                return ticket.delivered
            if monotonic_ns() >= deadline_ns:
                return False
        if ticket in self._tickets:
            self._tickets.remove(ticket)
        return self._deliver_here(deadline_ns)

    def stop(self, timeout_s: float | None = None) -> bool:
        """Send what is finished within `timeout_s` seconds (None: `exit_timeout_s`), then end.

        What cannot be delivered by then is dropped and counted. Returns whether all of it was
        delivered. A later `start` begins anew.
        """
        _fork.check_process()
        timeout_s = self._config.exit_timeout_s if timeout_s is None else timeout_s
        self.request_stop(monotonic_ns() + int(timeout_s * 1e9))
        return self.finish_stop()

    def request_stop(self, deadline_ns: int) -> None:
        """Begin to stop, by `deadline_ns` (monotonic); `finish_stop` waits for the end."""
        self._delivery.final_ns = deadline_ns
        self._wake_thread()

    def finish_stop(self) -> bool:
        """Wait until the flusher has stopped or its deadline has passed; drop what is left then."""
        deadline_ns = self._delivery.final_ns
        if deadline_ns is None or self._is_in_sending_thread():
            return False
        lost = self._delivery.lost
        while self._alive and not self._ended.wait(_slice_s(deadline_ns)):
            if monotonic_ns() >= deadline_ns:
                self._call_exporter("interrupt")
                self._ended.wait(_INTERRUPT_WAIT_NS / 1e9)
                break
        if self._core._buffered_bytes:
            self._deliver_here(deadline_ns)
        if not self._alive:
            self._let_go()
        return self._delivery.lost == lost and not self._alive

    def after_fork_in_child(self) -> None:
        """Begin anew in a forked child: the parent sends what was buffered, over its connection."""
        self._core._after_fork_child()
        self._core._flusher_running = False
        self._delivery.after_fork_in_child()
        self._stats = None
        self._reset()
        self._call_exporter("after_fork_in_child")

    # -- the background thread ---------------------------------------------------------------------

    def _run(self) -> None:
        self._thread = get_ident()
        try:
            self._load()
            self.lock_time.note(False)
            done = False
            while not done and self._wait():
                # What is finished while the last round is under way is left to `finish_stop` or
                # `start`: threads that go on tracing must not hold up the end.
                last = self._delivery.final_ns is not None
                tickets, self._tickets = self._tickets, []
                payloads = -1 if last else self._send_as_before()
                if payloads >= 0:
                    if tickets:
                        self._answer(tickets, Outcome())
                    if _log.waiting:
                        _log.after_delivery(True)
                    if self._delivery.final_ns is not None and payloads:
                        self._delivery.note_agent()
                else:
                    everything = last or bool(tickets)
                    outcome = self._round(everything=everything, route=self._route)
                    payloads = outcome.payloads
                    if tickets:
                        self._answer(tickets, outcome)
                    self._delivery.report_health()
                    if outcome.delivered:
                        self._discover()
                    done = last and not outcome.put_back
                self.lock_time.note(payloads > 0)
        finally:
            self._end()

    def _wait(self) -> bool:
        """Sleep until there is something to do. Returns False if the thread has to end."""
        core = self._core
        if self._failures:
            self._nudge.wait(self._retry_delay_s())
        elif not self._tickets and self._delivery.final_ns is None:
            if not core._buffered_bytes and not self._park():
                return False
            core._wake.wait(self._config.flush_interval_s)
            core._wake.clear()
        self._nudge.clear()
        return self._delivery.final_ns is None or not self._is_idle()

    def _park(self) -> bool:
        """Sleep until there is something to send. Returns False if that takes too long."""
        core = self._core
        self._parked = True
        core._flusher_running = False  # so that the core calls `start` for the next chunk
        # Looked at only now: whatever came before this line has not called `start`.
        if core._buffered_bytes or self._tickets or self._delivery.final_ns is not None:
            self._parked = False
            core._flusher_running = True
            return True
        self._nudge.wait(_IDLE_S)
        with self._start_lock:
            if self._parked and not self._tickets and self._delivery.final_ns is None:
                self._alive = False
                return False
            self._parked = False
            return True

    def _retry_delay_s(self) -> float:
        if self._tickets or self._delivery.final_ns is not None:
            attempts = min((each.attempts for each in self._tickets), default=self._failures)
            return min(_FIRST_RETRY_S * 2.0 ** max(0, attempts - 1), _LONGEST_URGENT_RETRY_S)
        # 75 % to 125 %, so that not all processes of a host come back at the same moment
        jitter = 0.75 + monotonic_ns() // 1000 % 512 / 1024
        doubled = self._config.flush_interval_s * 2.0 ** min(self._failures - 1, 16)
        return min(doubled, _LONGEST_RETRY_S) * jitter

    def _answer(self, tickets: list[_Ticket], outcome: Outcome) -> None:
        """Tell those who wait what came of the round, unless another attempt may do better."""
        for ticket in tickets:
            ticket.attempts += 1
            if (
                outcome.put_back
                and ticket.attempts < _FLUSH_ATTEMPTS
                and self._delivery.final_ns is None
            ):
                self._tickets.append(ticket)
            else:
                ticket.delivered = outcome.delivered
                ticket.done.set()

    def _end(self) -> None:
        free_what_was_left()
        with self._start_lock:  # or `start` could take this thread for one that goes on
            self._thread = None
            self._alive = self._parked = False
            self._core._flusher_running = False
        if self._core._buffered_bytes and self._delivery.final_ns is None:
            self.start()  # a chunk came too late for this thread and too early for another
        elif self._core._buffered_bytes:
            self._have_next_chunk_sent()  # unless `finish_stop` does it, which may have gone
        else:
            self._let_go()
        self._ended.set()

    # -- delivering --------------------------------------------------------------------------------

    def _load(self) -> None:
        """Import what sending needs, in one step that a fork waits for."""
        if self._tried_to_load:
            return
        try:
            with _fork.gate:
                if not self._tried_to_load:
                    from fasttrace._discovery import Discovery

                    self.discovery = Discovery(self._core, self._config)
                    self._exporter = _make_exporter(self._config)
        except Exception as error:
            _log.warn("no exporter", f"traces cannot be sent: {type(error).__name__}: {error}")
        self._tried_to_load = True  # only now: a child forked meanwhile has to load by itself

    def _round(
        self,
        deadline_ns: int | None = None,
        everything: bool = True,
        route: Route | None = None,
    ) -> Outcome:
        """Deliver what is buffered; the calling thread holds no lock but has its turn.

        everything: also statistics that are not complete. route: what may have begun the round, and
        left the rest of it, with the lock.
        """
        self._tick()
        wait_s = -1.0  # no limit
        if deadline_ns is not None:
            wait_s = max(0.0, (deadline_ns - monotonic_ns()) / 1e9)
        waiting = None if route is None else route.take()
        begun = route is not None and waiting is not None and route.has_begun(waiting[0])
        if waiting is None and not self._export_lock.acquire(wait_s):
            return Outcome.nothing_done()
        try:
            outcome = self._delivery.round(self._exporter, deadline_ns, waiting, begun)
            if self._config.stats_enabled:
                self._send_stats(everything, deadline_ns, outcome)
            self._route = self._usual_route(outcome)
        finally:
            self._export_lock.release()
        self._failures = self._failures + 1 if outcome.put_back else 0
        if outcome.notes or outcome.warnings:
            warn_all(outcome)
        _log.after_delivery(outcome.delivered)
        return outcome

    def _send_as_before(self) -> int:
        """Send what is buffered the way that the last round went; return how many payloads.

        Returns -1 if that cannot be, or not for all: the round has to be gone through.
        """
        route = self._route
        if route is None or _log.waiting or _log.debugging():
            return -1
        is_same: bool = getattr(self._exporter, "route", None) is route
        if not is_same:
            return -1
        timeout_s = self._config.agent_timeout_s
        return route.deliver(self._core, self._export_lock, timeout_s, SEND_BYTES_PER_S)

    def _usual_route(self, outcome: Outcome) -> Route | None:
        """Return how the next round may go if it is like this one; None: it has to be seen to."""
        config = self._config
        if not outcome.delivered or config.stats_enabled or config.health_metrics_enabled:
            return None
        if self.discovery is not None and self.discovery.is_wanted():
            return None
        # Of its type: one that stands in front of another exporter has to see every payload.
        has_route = hasattr(type(self._exporter), "route")
        route = getattr(self._exporter, "route", None) if has_route else None
        return route if type(route) is Route else None

    def _discover(self) -> None:
        """Ask the agent what it offers, after a delivery and if nobody waits for another."""
        if self.discovery is None or not self.discovery.is_wanted():
            return
        if self._tickets or self._delivery.final_ns is not None:
            return
        if self._export_lock.acquire(0):
            try:
                self.discovery.ask(self._exporter)
            finally:
                self._export_lock.release()

    def _send_stats(self, everything: bool, deadline_ns: int | None, outcome: Outcome) -> None:
        if self.discovery is None:
            return
        if self._stats is None:
            self._stats = _fork.load("fasttrace._stats").StatsSender(self._core, self._config)
            self.discovery.wanted = True
            self.discovery.listeners.append(self._stats.apply)
            if self.discovery.info is not None:
                self._stats.apply(self.discovery.info)
        final_ns = self._delivery.final_ns
        if deadline_ns is None or (final_ns is not None and final_ns < deadline_ns):
            deadline_ns = final_ns
        outcome.warnings += self._stats.send(everything, deadline_ns)

    def _deliver_here(self, deadline_ns: int) -> bool:
        """Deliver from the calling thread, where there is no other to do it."""
        self._load()
        attempts = 0
        begin_ns = monotonic_ns()
        more_until_ns = begin_ns + (deadline_ns - begin_ns) // _MORE_SHARE
        while True:
            self._more = False
            outcome = self._round(deadline_ns)
            if not outcome.put_back:
                if self._more and monotonic_ns() < more_until_ns:
                    continue  # with what a destructor or a signal handler has finished meanwhile
                self._have_next_chunk_sent()
                return outcome.delivered
            attempts += 1
            pause_s = min(_FIRST_RETRY_S * 2.0 ** (attempts - 1), _LONGEST_URGENT_RETRY_S)
            final = self._delivery.final_ns is not None
            over = monotonic_ns() + int(pause_s * 1e9) >= deadline_ns
            if over or (attempts >= _FLUSH_ATTEMPTS and not final):
                break
            NativeEvent().wait(pause_s)
        if final:
            self._delivery.drop_rest()
        return False

    def _have_next_chunk_sent(self) -> None:
        """Have the core call `start` for the next chunk, though the buffer may not be empty."""
        for payload in reversed(self._core._swap()):
            if not self._core._unswap(payload):
                self._core._settle(payload, "buffer_full")

    def _send_now(self) -> None:
        """Send what is finished, in all as long as the exit may still take."""
        if self._is_in_sending_thread():
            self._more = True  # whoever is interrupted here sends this as well
            return
        begin_ns = monotonic_ns()
        self._delivery.final_ns = _exit.late_deadline_ns(self)
        try:
            self._deliver_here(self._delivery.final_ns)
        finally:
            _exit.spend(begin_ns)

    def _tick(self) -> None:
        try:
            _clock.tick(self._config.tsc_enabled)
        except Exception as error:  # whatever it is, traces are sent all the same
            _log.warn("clock", f"the clock could not be adjusted: {type(error).__name__}: {error}")

    # -- odds and ends -----------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        return not (self._core._buffered_bytes or self._tickets or self._export_lock.locked())

    def _is_in_sending_thread(self) -> bool:
        """Whether the caller interrupts a thread that sends, which must not wait for itself."""
        return get_ident() == self._thread or self._export_lock.mine()

    def _wake_thread(self) -> None:
        self._nudge.set()
        self._core._wake.set()

    def _let_go(self) -> None:
        """Keep nothing while there is nothing to send."""
        _exit.unwatch(self)
        if self._export_lock.acquire(0):  # else somebody is sending after all
            try:
                self._call_exporter("close")
            finally:
                self._export_lock.release()
            if self._core._buffered_bytes and _exit.began():
                self._send_now()  # what a destructor or a signal handler has finished meanwhile

    def _call_exporter(self, name: str) -> None:
        """Call an exporter's method that it need not have."""
        method = getattr(self._exporter, name, None)
        if method is not None:
            try:
                method()
            except Exception as error:
                _log.debug(f"exporter.{name}() failed: {type(error).__name__}: {error}")


def _make_exporter(config: Config) -> Exporter:
    if config.exporter == "console":
        from fasttrace.console import ConsoleExporter

        return ConsoleExporter()
    from fasttrace.agent import AgentExporter

    return AgentExporter(config)


def _slice_s(deadline_ns: int) -> float:
    """Return how long to wait at once, in seconds: signals are handled between two waits."""
    return max(0.0, min(_WAIT_SLICE_NS, deadline_ns - monotonic_ns()) / 1e9)
