"""Forking without deadlock, duplicate or loss.

Three rules:

* What must not be cut in two by a fork happens while `gate` is held, and a fork waits for the gate:
  imports in the background (a child would for ever wait for the import lock of a thread it does not
  have), and calls into the TLS library.
* In the child every registered flusher drops its connection, its locks and its thread, and the
  tracer's buffers are emptied: what was buffered leaves from the parent only.
* A fork that runs no Python hooks (one made by C code) is noticed at the next start or flush. One
  thread of the child does then what the hooks would have done, and the others wait for it.

  If it cut an import of ours in two, the child imports anew what is half there.

uWSGI's master forks in C and without taking the interpreter's lock: a thread that holds it at that
moment leaves the worker hung. So no thread is started there; see `forbids_threads`.
"""

from __future__ import annotations

import _thread
import os
import sys
from _thread import get_ident
from _weakref import ref

from fasttrace._span import NativeLock, fork_count, look_for_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fasttrace.flusher import Flusher

_GATE_WAIT_S = 2.0  # nobody is ever held up longer, whatever is wrong


class _Gate:
    """A reentrant lock that gives way after a while, and can be renewed in place in a child."""

    def __init__(self) -> None:
        self._lock = NativeLock()
        self._owner: int | None = None
        self._depth = 0  # how often the owner has entered

    def __enter__(self) -> None:
        me = get_ident()
        if self._owner == me or self._lock.acquire(_GATE_WAIT_S):
            self._owner = me
            self._depth += 1

    def __exit__(self, *exc_info: object) -> None:
        if self._owner != get_ident():
            return  # it did not get in, or it is in a child that has a new gate
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._lock.release()

    def held_by_another(self) -> bool:
        return self._owner is not None and self._owner != get_ident()

    def close_for_fork(self) -> None:
        self.__enter__()

    def open_after_fork(self) -> None:
        self.__exit__()

    def renew(self) -> None:
        self.__init__()  # type: ignore[misc]


#: Held during what a fork must not interrupt.
gate = _Gate()

_loaded: dict[str, Any] = {}
_in_child: list[Callable[[], None]] = []
_flushers: dict[int, ref[Flusher]] = {}
_pid, _fork_count = os.getpid(), fork_count()
_forks_in_thread = _forked_in_thread = False


def load(name: str) -> Any:
    """Return the module `name` (dotted), imported if need be in one step that a fork waits for.

    Every import after `import fasttrace` itself goes this way: a child forked in the middle of one
    would wait for ever when it comes to the same import.
    """
    module = _loaded.get(name)
    if module is None:
        with gate:
            __import__(name)
            module = _loaded[name] = sys.modules[name]
    return module


def call_in_child(function: Callable[[], None]) -> None:
    """Have `function` called in each forked child, before any flusher is told."""
    _in_child.append(function)


def register(flusher: Flusher) -> None:
    """Have `flusher` told, for as long as it lives, when it finds itself in a forked child."""
    key = id(flusher)
    _flushers[key] = ref(flusher, lambda _: _flushers.pop(key, None))


def check_process() -> None:
    """Do now what a fork without Python hooks left undone, or wait for the thread that is at it."""
    look_for_fork()  # in a child with tracers its hook comes here again
    if _is_new_process():
        _after_in_child()


def _is_new_process() -> bool:
    """Whether the parent has forked this process and nothing was done about it yet.

    The first process of a container has the same number as the one that forked it may have.
    """
    return os.getpid() != _pid or fork_count() != _fork_count


def forbids_threads() -> bool:
    """Whether this process loads an application for uWSGI, which is going to fork it in C."""
    uwsgi = sys.modules.get("uwsgi")
    try:
        return (
            uwsgi is not None
            and uwsgi.worker_id() == uwsgi.mule_id() == 0
            and uwsgi.masterpid() in (0, _pid)  # 0: there is no master
        )
    except Exception:
        return False  # another module of that name


def _forget_half_imported() -> None:
    """Have a child import anew what a thread that it does not have was importing.

    The import system would wait for that thread for ever, or hand out what is half there.
    """
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    for name, reference in list(locks.items()):
        lock = reference()
        if getattr(lock, "owner", None) not in (None, get_ident()):
            locks.pop(name, None)
            sys.modules.pop(name, None)


def _before() -> None:
    global _forks_in_thread
    main_ident = getattr(_thread, "_get_main_thread_ident", None)  # CPython 3.13
    _forks_in_thread = main_ident is not None and main_ident() != get_ident()
    gate.close_for_fork()


def forked_in_thread() -> bool:
    """Whether CPython 3.13 or later has forked this process in another thread than the main one."""
    return _forked_in_thread


def _after_in_child() -> None:
    global _pid, _fork_count, _forked_in_thread
    _forked_in_thread |= _forks_in_thread and os.getpid() != _pid
    _pid, _fork_count = os.getpid(), fork_count()
    if gate.held_by_another():
        _forget_half_imported()
    gate.renew()
    for function in _in_child:
        function()
    for reference in list(_flushers.values()):
        flusher = reference()
        if flusher is not None:
            flusher.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=gate.open_after_fork,
        after_in_child=check_process,
    )
