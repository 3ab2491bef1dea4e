# What a background thread does without the interpreter's lock, and how long it holds the lock otherwise.
#
# Held is the lock from when a thread has got it to when it gives it up: the time of the wall clock, since an application
# waits as well while somebody else has the processor. Counted are the stretches between our own releases (waits,
# sending, freeing what is large) and those of the calls made by `unlocked()`. Where the interpreter makes a thread hand
# the lock on in the middle, which it does after 5 ms, the wait for it counts as held, so the figure is never too low
# for that; of `unlocked()` the call itself is left out, some hundred nanoseconds.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

cdef extern from "_unlocked.h":
    ctypedef struct ft_lock_meter:
        int64_t held_ns
        int64_t longest_ns
        uint32_t stretches
    enum: FT_SENT_ALL, FT_SEND_TIMEOUT, FT_SEND_INTERRUPTED
    void ft_lock_goes() noexcept
    void ft_lock_is_back() noexcept
    ft_lock_meter ft_lock_take() noexcept
    int ft_send_bytes(int socket, const char *data, size_t size, int64_t deadline_ns, size_t *sent) noexcept nogil

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
    object PyErr_SetFromErrno(object error_type)


def lock_time() -> tuple:
    """How long this thread has held the interpreter's lock since the last call: (in all, at most at a time, times).

    Nanoseconds. Zeros at the first call in a thread, with which the counting begins.
    """
    cdef ft_lock_meter taken = ft_lock_take()
    return taken.held_ns, taken.longest_ns, taken.stretches


def unlocked(function, *args):
    """Calls `function(*args)`, which gives up the interpreter's lock for nearly all of its time."""
    ft_lock_goes()
    try:
        return function(*args)
    finally:
        ft_lock_is_back()


def send_all(int socket, data, int64_t deadline_ns) -> None:
    """Sends all of `data`, bytes-like, over a non-blocking socket, with the lock given up once for all of it.

    deadline_ns: of `monotonic_ns()`. Raises TimeoutError or another OSError, and what a signal handler raises; some of
    the data may be sent then. Not on Windows.
    """
    cdef Py_buffer view
    cdef size_t sent = 0
    cdef int outcome
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        while True:
            ft_lock_goes()
            with nogil:
                outcome = ft_send_bytes(socket, <const char *>view.buf, <size_t>view.len, deadline_ns, &sent)
            ft_lock_is_back()
            if outcome == FT_SENT_ALL:
                return
            if outcome == FT_SEND_TIMEOUT:
                raise TimeoutError("timed out")
            if outcome != FT_SEND_INTERRUPTED:
                PyErr_SetFromErrno(OSError)
            PyErr_CheckSignals()
    finally:
        PyBuffer_Release(&view)
