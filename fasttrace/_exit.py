"""Delivering what is finished before the process ends, without delaying its end for long.

The ways out, and what happens on each:

* the interpreter exits (return from main, sys.exit, an exception): an atexit callback stops every
  flusher, within one deadline for all. It is registered at import, so it runs after the callbacks
  an application registers later.
* SIGTERM: a handler does the same, then lets the signal have its default effect. It is installed
  when a flusher starts, and only where nobody else handles the signal. Python lets only the main
  thread do that; for a flusher started elsewhere the main thread does it as soon as it runs any
  Python code, and until then a handler in C wakes a thread that waits for nothing else.
* uWSGI handles SIGINT and SIGTERM in C, and ends a worker at once, without callbacks if a request
  is running: the signals are caught, and given back to uWSGI when all is sent. A worker that loads
  the application itself (`lazy-apps`) gets its handlers only then, so ours come later still.
* a child of `multiprocessing` or `billiard` ends: it skips atexit, but runs its own finalizers; a
  prefork worker of Celery skips those too, but sends a signal (Celery's, not the system's).
* uvicorn handles SIGTERM itself while it serves, and at the end kills itself by it without any
  handler: it is made to wait for us when it has shut down.
* a thread or a later callback finishes spans after all this: it sends them itself, as long as some
  of the deadline is left.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the `signal` module imports `enum`
import atexit
import os
import sys
from _thread import get_ident

from fasttrace import _fork, _log
from fasttrace._span import (
    call_in_main_thread,
    catch_sigterm,
    catch_stop,
    end_by_sigterm,
    end_stop,
    monotonic_ns,
    sigterm_is_free,
    start_native_thread,
    stop_is_early,
    wait_for_sigterm,
    wait_for_stop,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.flusher import Flusher

_STOP_GRACE_S = 0.2  # of the thread that sends when uWSGI stops a worker, beyond its time to send
_running: dict[int, Flusher] = {}  # those with a thread or something to send, by id
_began = False
_spent_ns = 0  # how long exit has been held up so far
_thread: int | None = None  # the thread in which the interpreter exits
_in_signal = False
_finalized_pid = 0  # the process that has a multiprocessing finalizer


def watch(flusher: Flusher) -> bool:
    """Stop `flusher` when the process exits; it is kept alive until `unwatch`.

    Returns whether that is all: if not, it has to be called again when the next trace has ended.
    """
    _running[id(flusher)] = flusher
    _register_finalizer()
    if not flusher.sigterm_enabled:
        return True
    is_all = True
    if "uwsgi" in sys.modules:
        limit_s = flusher.exit_timeout_s + _STOP_GRACE_S
        is_all = _handle_stop_of_uwsgi(sys.modules["uwsgi"], limit_s)
    _handle_sigterm()
    return is_all


def unwatch(flusher: Flusher) -> None:
    """Let go of `flusher`, which has nothing to send and no thread."""
    _running.pop(id(flusher), None)


def began() -> bool:
    """Whether the process is exiting: no thread is started any more."""
    return _began


def late_deadline_ns(flusher: Flusher) -> int:
    """Return until when (monotonic) `flusher` may still send, now that exit has begun."""
    return monotonic_ns() + max(0, int(flusher.exit_timeout_s * 1e9) - _spent_ns)


def spend(since_ns: int) -> None:
    """Count the time since `since_ns` (monotonic) against what exit may take.

    What another thread than the exiting one does in the meantime holds nothing up.
    """
    global _spent_ns
    if get_ident() == _thread:
        _spent_ns += monotonic_ns() - since_ns


def _after_fork_in_child() -> None:
    """Begin anew: nothing runs here yet, and the parent's exit is not ours."""
    global _began, _in_signal, _spent_ns, _thread
    _running.clear()
    _began = _in_signal = False
    _spent_ns = 0
    _thread = None
    if _signal.getsignal(_signal.SIGTERM) is _on_sigterm:
        try:  # until a flusher of this process starts
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
        except ValueError:
            pass  # noticed late, in another thread than the main one


def _at_exit() -> None:
    """Stop all flushers, in parallel, each within its own deadline."""
    global _began, _thread
    _fork.check_process()
    if _began:
        return
    _log.silence()
    begin_ns = monotonic_ns()
    _thread = get_ident()
    _began = True
    mask = _hold_back_signals_of_uwsgi()
    try:
        _stop_all(begin_ns)
    except BaseException:
        # raised by a signal handler, sys.exit() for one: the time to send is not over for that
        _stop_all(begin_ns)
        raise
    finally:
        spend(begin_ns)
    end_by_sigterm()  # what it waits for may not be able to run any more
    end_stop()
    if mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _hold_back_signals_of_uwsgi() -> set[int] | None:
    """Have the signals that would end a uWSGI worker at once wait; returns the mask that was set.

    Such a worker is about to end, for another reason: it has reached `max-requests`, for example.
    """
    if "uwsgi" not in sys.modules:
        return None
    signals = {_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM}
    before: set[int] = _signal.pthread_sigmask(_signal.SIG_BLOCK, signals)
    return before


def _stop_all(begin_ns: int | None = None) -> None:
    """Stop all flushers, by the end of their time from `begin_ns` (monotonic; None: now)."""
    if begin_ns is None:
        begin_ns = monotonic_ns()
    flushers = list(_running.values())
    for flusher in flushers:
        flusher.request_stop(begin_ns + int(flusher.exit_timeout_s * 1e9))
    for flusher in flushers:
        try:
            flusher.finish_stop()
        except Exception:
            pass  # one broken exporter must not keep the others from sending


def _handle_sigterm() -> None:
    # A child that CPython 3.13 has forked in another thread than the main one may never run the
    # signal handlers that are written in Python.
    by_python = not _fork.forked_in_thread()
    if by_python and _install_sigterm_handler():
        return
    if catch_sigterm():
        try:
            start_native_thread(_wait_for_sigterm)
        except RuntimeError:
            end_by_sigterm()  # nobody waits, so nothing must be caught
    if by_python:
        call_in_main_thread(_install_sigterm_handler)


def _handle_stop_of_uwsgi(uwsgi: Any, limit_s: float) -> bool:
    """Return False if it is too early: a worker that loads the application gets handlers then."""
    if not getattr(uwsgi, "has_threads", False):
        return (
            True  # the thread that waits would never run; the exit callback does, in such a worker
        )
    if callable(_signal.getsignal(_signal.SIGTERM)):
        return True  # the application handles it
    if stop_is_early():
        return False
    if catch_stop():
        try:
            start_native_thread(lambda: _wait_for_stop(limit_s))
        except RuntimeError:
            end_stop()  # nobody waits, so nothing must be caught
    return True


def _wait_for_stop(limit_s: float) -> None:
    """Send what is finished, then let uWSGI end the worker; requests may be running meanwhile."""
    wait_for_stop(limit_s)
    try:
        _stop_all()
    finally:
        end_stop()


def _install_sigterm_handler() -> bool:
    """Return False if this is not the main thread, where alone Python allows it."""
    try:
        if _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL and sigterm_is_free():
            _signal.signal(_signal.SIGTERM, _on_sigterm)
    except ValueError:
        return False
    return True


def _wait_for_sigterm() -> None:
    """Do in a thread what `_on_sigterm` does in the main thread, which may run nothing for long."""
    wait_for_sigterm()
    try:
        _log.silence()
        _stop_all()
    finally:
        end_by_sigterm()
        if _signal.getsignal(_signal.SIGTERM) is _on_sigterm:  # installed at the same moment
            os.kill(os.getpid(), _signal.SIGTERM)


def _on_sigterm(signum: int, frame: Any) -> None:
    """Send what is finished, then end as if there were no handler.

    A second SIGTERM while the first is at work changes nothing: the time is bounded, and
    supervisors often signal a process twice, itself and its group. If a handler that the
    application has set since calls this one, the end is left to it.
    """
    global _in_signal
    _fork.check_process()
    if _in_signal:
        return
    _in_signal = True
    last = _signal.getsignal(signum) is _on_sigterm
    try:
        if last:
            _log.silence()
        _stop_all()
    finally:
        _in_signal = False
        if last:
            _signal.signal(signum, _signal.SIG_DFL)
            os.kill(os.getpid(), signum)


def _register_finalizer() -> None:
    """Have `_at_exit` run at the end of a pool's child process, which ends by os._exit."""
    global _finalized_pid
    if _finalized_pid == os.getpid():
        return
    _finalized_pid = os.getpid()
    for package in ("multiprocessing", "billiard"):
        process = sys.modules.get(f"{package}.process")
        util = sys.modules.get(f"{package}.util")
        if process is not None and util is not None and _is_child(process):
            util.Finalize(None, _at_exit, exitpriority=-1000)  # after the application's own
    celery_signals = sys.modules.get("celery.signals")
    if celery_signals is not None:  # its prefork workers skip even those finalizers
        celery_signals.worker_process_shutdown.connect(_at_celery_worker_exit, weak=False)
    uvicorn = sys.modules.get("uvicorn.server")
    server = getattr(_signal.getsignal(_signal.SIGTERM), "__self__", None)
    if uvicorn is not None and isinstance(server, uvicorn.Server):
        _send_when_shut_down(server)


def _send_when_shut_down(server: Any) -> None:
    """Have a `uvicorn.Server` send what is finished once its last request has been answered."""
    shutdown = server.shutdown

    async def shut_down(*args: Any, **kwargs: Any) -> None:
        try:
            await shutdown(*args, **kwargs)
        finally:
            _fork.check_process()
            _stop_all()

    server.shutdown = shut_down


def _is_child(process: Any) -> bool:
    """Whether a module like `multiprocessing.process` has started this process."""
    if hasattr(process, "parent_process"):
        return process.parent_process() is not None
    return getattr(process.current_process(), "_parent_pid", None) is not None


def _at_celery_worker_exit(**_: Any) -> None:
    _at_exit()


_fork.call_in_child(_after_fork_in_child)
atexit.register(_at_exit)
