# SIGTERM where the first trace does not end in the main thread, in which alone Python installs handlers; SIGTERM and
# SIGINT where a server written in C handles them.

cdef extern from "_sigterm.h" nogil:
    int ft_sigterm_is_free() noexcept
    int ft_sigterm_catch() noexcept
    void ft_sigterm_wait() noexcept
    void ft_sigterm_end() noexcept

cdef extern from "_stop.h" nogil:
    int ft_stop_is_early() noexcept
    int ft_stop_catch() noexcept
    void ft_stop_wait(double limit_s) noexcept
    void ft_stop_end() noexcept

cdef extern from "Python.h":
    int Py_AddPendingCall(int (*func)(void *) except -1, void *arg) noexcept


def sigterm_is_free() -> bool:
    """Whether no C code handles SIGTERM, of which `signal.getsignal` would not know."""
    return ft_sigterm_is_free() != 0


def catch_sigterm() -> bool:
    """Catches SIGTERM, from any thread; True if somebody has to `wait_for_sigterm` from now on.

    False if the signal is handled already, or was caught before in this process.
    """
    return ft_sigterm_catch() != 0


def wait_for_sigterm() -> None:
    """Waits, in a thread made for it, until SIGTERM has been caught."""
    with nogil:
        ft_sigterm_wait()


def end_by_sigterm() -> None:
    """Stops catching SIGTERM; if it was caught, the process ends by it now."""
    ft_sigterm_end()


def stop_is_early() -> bool:
    """Whether this worker of a server has its master's handlers still, so that nothing can be caught yet."""
    return ft_stop_is_early() != 0


def catch_stop() -> bool:
    """Catches SIGINT and SIGTERM if both have handlers written in C; True if somebody has to `wait_for_stop` now.

    False also if they were caught before in this process.
    """
    return ft_stop_catch() != 0


def wait_for_stop(double limit_s) -> None:
    """Waits, in a thread made for it, until one of them has been caught.

    `end_stop` has to follow within `limit_s` seconds, else it happens by itself.
    """
    with nogil:
        ft_stop_wait(limit_s)


def end_stop() -> None:
    """Gives the signals back to the handlers they had; if one was caught, it has its effect now."""
    ft_stop_end()


def call_in_main_thread(func) -> bool:
    """Has the main thread call `func()` when it next runs Python code; False if too much waits."""
    Py_INCREF(func)
    if Py_AddPendingCall(call_pending, <void *>func) < 0:
        Py_DECREF(func)
        return False
    return True


cdef int call_pending(void *arg) except -1 with gil:
    func = <object>arg
    Py_DECREF(func)
    try:
        func()
    except BaseException as exc:
        warn("pending call", "a call in the main thread failed: %s: %.200s" % (type(exc).__name__, exc))
    return 0
