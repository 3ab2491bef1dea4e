"""Delivering what is finished before the process ends, without delaying its end for long.

The ways out, and what happens on each:

* the interpreter exits (return from main, sys.exit, an exception): an atexit callback stops every
  flusher, within one deadline for all. It is registered at import, so it runs after the callbacks
  an application registers later.
* SIGTERM: a handler does the same, then lets the signal have its default effect. It is installed
  when a flusher starts, only in the main thread and only where nobody else handles the signal.
* a child of `multiprocessing` or `billiard` ends: it skips atexit, but runs its own finalizers.
* a thread or a later callback finishes spans after all this: it sends them itself, as long as some
  of the deadline is left.
"""

from __future__ import annotations

import _signal
import atexit
import os
import sys

from fasttrace import _fork, _log
from fasttrace._span import monotonic_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.flusher import Flusher

_running: dict[int, Flusher] = {}  # those with a thread or something to send, by id
_budget_ns = 0  # what exit may still take, once it has begun
_began = False
_in_signal = False
_finalized_pid = 0  # the process that has a multiprocessing finalizer


def watch(flusher: Flusher) -> None:
    """Stop `flusher` when the process exits; it is kept alive until `unwatch`."""
    _running[id(flusher)] = flusher
    _register_finalizer()
    if flusher.sigterm_enabled:
        _install_sigterm_handler()


def unwatch(flusher: Flusher) -> None:
    """Let go of `flusher`, which has nothing to send and no thread."""
    _running.pop(id(flusher), None)


def began() -> bool:
    """Whether the process is exiting: no thread is started any more."""
    return _began


def take_budget() -> tuple[int, int]:
    """Return the present time and the time until which late spans may be sent (monotonic ns)."""
    now_ns = monotonic_ns()
    return now_ns, now_ns + _budget_ns


def spend_budget(since_ns: int) -> None:
    """Count the time since `since_ns` (monotonic) against what exit may still take."""
    global _budget_ns
    _budget_ns = max(0, _budget_ns - (monotonic_ns() - since_ns))


def _after_fork_in_child() -> None:
    """Begin anew: nothing runs here yet, and the parent's exit is not ours."""
    global _began, _in_signal
    _running.clear()
    _began = _in_signal = False


def _at_exit() -> None:
    """Stop all flushers, in parallel, each within its own deadline."""
    global _began, _budget_ns
    _fork.check_process()
    if _began:
        return
    _log.silence()
    begin_ns = monotonic_ns()
    flushers = list(_running.values())
    _budget_ns = max([int(each.exit_timeout_s * 1e9) for each in flushers], default=2_000_000_000)
    _began = True
    _stop(flushers, begin_ns)
    spend_budget(begin_ns)


def _stop(flushers: list[Flusher], begin_ns: int) -> None:
    for flusher in flushers:
        flusher.request_stop(begin_ns + int(flusher.exit_timeout_s * 1e9))
    for flusher in flushers:
        try:
            flusher.finish_stop()
        except Exception:
            pass  # one broken exporter must not keep the others from sending


def _install_sigterm_handler() -> None:
    try:
        if _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL:
            _signal.signal(_signal.SIGTERM, _on_sigterm)
    except ValueError:
        pass  # not the main thread, where alone Python allows it


def _on_sigterm(signum: int, frame: Any) -> None:
    """Send what is finished, then end as if there were no handler.

    A second SIGTERM while the first is at work changes nothing: the time is bounded, and
    supervisors often signal a process twice, itself and its group.
    """
    global _in_signal
    _fork.check_process()
    if _in_signal:
        return
    _in_signal = True
    try:
        _log.silence()
        _stop(list(_running.values()), monotonic_ns())
    finally:
        _in_signal = False
        if _signal.getsignal(signum) is _on_sigterm:
            _signal.signal(signum, _signal.SIG_DFL)
        os.kill(os.getpid(), signum)


def _register_finalizer() -> None:
    """In a child of multiprocessing, which ends by os._exit, have `_at_exit` run before that."""
    global _finalized_pid
    if _finalized_pid == os.getpid():
        return
    for package in ("multiprocessing", "billiard"):
        process = sys.modules.get(f"{package}.process")
        util = sys.modules.get(f"{package}.util")
        parent = getattr(process, "parent_process", None)
        if util is not None and parent is not None and parent() is not None:
            util.Finalize(None, _at_exit, exitpriority=-1000)  # after the application's own
            _finalized_pid = os.getpid()


_fork.call_in_child(_after_fork_in_child)
atexit.register(_at_exit)
