# What a background thread does without the interpreter's lock, and how long it holds the lock otherwise.
#
# The lock is held from when a thread has got it to when it gives it up, in time of the wall clock: an application waits
# also while somebody else has the processor. Counted are the stretches between our own releases (waits, sending,
# receiving, freeing what is large) and those of calls made by `unlocked()`, of which the call itself is left out, some
# hundred nanoseconds. Where the interpreter makes a thread hand on the lock, which it does after 5 ms, the wait until
# it is back is counted as if it were held.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

cdef extern from "_unlocked.h":
    ctypedef struct ft_lock_meter:
        int64_t held_ns
        int64_t longest_ns
        uint32_t stretches
    enum: FT_IO_DONE, FT_IO_TIMEOUT, FT_IO_INTERRUPTED
    void ft_lock_goes() noexcept
    void ft_lock_is_back() noexcept
    ft_lock_meter ft_lock_take() noexcept
    int ft_send_bytes(int socket, const char *data, size_t size, int64_t deadline_ns, size_t *sent) noexcept nogil
    int ft_receive_bytes(int socket, char *data, size_t room, int64_t deadline_ns, size_t *received) noexcept nogil
    bint ft_is_readable(int socket) noexcept nogil
    void ft_wait_for_reply(int socket, int64_t deadline_ns) noexcept nogil

cdef enum:
    RECEIVE_BYTES = 16384            # at most at once
    SEND_PIECES = 8

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


cdef bint io_done(int outcome) except -1:
    """Whether a call has done its work; False if a signal interrupted it, whose handlers have run."""
    if outcome == FT_IO_DONE:
        return True
    if outcome == FT_IO_TIMEOUT:
        raise TimeoutError("timed out")
    if outcome != FT_IO_INTERRUPTED:
        PyErr_SetFromErrno(OSError)
    PyErr_CheckSignals()
    return False


def send_all(int socket, pieces, int64_t deadline_ns, bint then_wait=False) -> None:
    """Sends bytes-like objects over a non-blocking socket, with the lock given up once for all of them.

    deadline_ns: of `monotonic_ns()`. then_wait: return only when something can be read, or too late. Raises
    TimeoutError or another OSError, and what a signal handler raises; some may be sent then. ValueError if there are
    more than eight pieces. Not on Windows.
    """
    cdef Py_buffer views[SEND_PIECES]
    cdef size_t sent[SEND_PIECES]
    cdef int count = 0
    cdef int i = 0
    cdef int outcome = FT_IO_INTERRUPTED
    if len(pieces) > SEND_PIECES:
        raise ValueError("too many pieces")
    try:
        for piece in pieces:
            PyObject_GetBuffer(piece, &views[count], PyBUF_SIMPLE)
            sent[count] = 0
            count += 1
        while outcome != FT_IO_DONE:
            ft_lock_goes()
            with nogil:
                outcome = FT_IO_DONE
                while i < count and outcome == FT_IO_DONE:
                    outcome = ft_send_bytes(socket, <const char *>views[i].buf, <size_t>views[i].len, deadline_ns,
                                            &sent[i])
                    i += outcome == FT_IO_DONE
                if then_wait and outcome == FT_IO_DONE:
                    ft_wait_for_reply(socket, deadline_ns)
            ft_lock_is_back()
            io_done(outcome)
    finally:
        for i in range(count):
            PyBuffer_Release(&views[i])


def receive(int socket, int64_t deadline_ns) -> bytes:
    """What has arrived at a non-blocking socket, b"" at the end; waits for it. Otherwise as `send_all`."""
    cdef char data[RECEIVE_BYTES]
    cdef size_t received = 0
    cdef int outcome = FT_IO_INTERRUPTED
    if ft_is_readable(socket):  # then it does not wait
        outcome = ft_receive_bytes(socket, data, RECEIVE_BYTES, deadline_ns, &received)
        io_done(outcome)
    while outcome != FT_IO_DONE:
        ft_lock_goes()
        with nogil:
            outcome = ft_receive_bytes(socket, data, RECEIVE_BYTES, deadline_ns, &received)
        ft_lock_is_back()
        io_done(outcome)
    return data[:received]


def is_readable(int socket) -> bool:
    """Whether something can be read from a socket at once: data, the end or an error. Not on Windows."""
    return ft_is_readable(socket)


def usual_reply(bytes data):
    """The reply that an agent usually gives, if `data` is all of it: (status, headers, body). None: look closer.

    Usual is HTTP/1.1 with a Content-Length, and nothing said about the connection. Names of headers are lower case.
    """
    cdef dict headers = {}
    cdef str head, line, name, colon, value
    cdef Py_ssize_t end = data.find(b"\r\n\r\n")
    if end < 12 or not data.startswith(b"HTTP/1.1 "):
        return None
    head = data[9:end].decode("latin-1")
    lines = head.split("\r\n")
    value = head[:3]
    if not value.isdigit() or value[0] == "1" or "\n" in head.replace("\r\n", "") or lines[0][3:4] not in ("", " "):
        return None
    status = int(value)
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            return None
        headers[name.lower()] = value.strip(" \t\r")
    value = headers.get("content-length", "")
    if not value.isdigit() or len(value) > 6 or int(value) != len(data) - end - 4 \
            or "transfer-encoding" in headers or "connection" in headers:
        return None
    return status, headers, data[end + 4:]
