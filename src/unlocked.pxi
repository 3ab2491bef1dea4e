# What a background thread does without the interpreter's lock, and how long it holds the lock otherwise.
#
# The lock is held from when a thread has got it to when it gives it up, in time of the wall clock: an application waits
# also while somebody else has the processor. Counted are the stretches between our own releases (waits, sending,
# receiving, freeing what is large) and those of calls made by `unlocked()`, of which the call itself is left out, some
# hundred nanoseconds. Where the interpreter makes a thread hand on the lock, which it does after 5 ms, the wait until
# it is back is counted as if it were held.

from libc.string cimport memchr, memcmp
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
    bint ft_lock_is_counted() noexcept
    int ft_send_bytes(int socket, const char *data, size_t size, int64_t deadline_ns, size_t *sent) noexcept nogil
    int ft_receive_bytes(int socket, char *data, size_t room, int64_t deadline_ns, size_t *received) noexcept nogil
    bint ft_is_readable(int socket) noexcept nogil
    size_t ft_receive_reply(int socket, char *data, size_t room, int64_t deadline_ns) noexcept nogil

cdef enum:
    RECEIVE_BYTES = 16384            # at most at once
    SEND_PIECES = 8
    HEADER_NAME_MAX = 64

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char *data, Py_ssize_t size, const char *errors)
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


def send_all(int socket, pieces, int64_t deadline_ns, bint then_receive=False) -> bytes:
    """Sends bytes-like objects over a non-blocking socket, with the lock given up once for all of them.

    deadline_ns: of `monotonic_ns()`. then_receive: return only when something has come back, which is what is returned
    then; b"" if that is an end or an error, which `receive` will find, or if it came too late. Raises TimeoutError or
    another OSError, and what a signal handler raises; some may be sent then. ValueError if there are more than eight
    pieces. Not on Windows.
    """
    cdef char data[RECEIVE_BYTES]
    cdef size_t received = 0
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
                if then_receive and outcome == FT_IO_DONE:
                    received = ft_receive_reply(socket, data, RECEIVE_BYTES, deadline_ns)
            ft_lock_is_back()
            io_done(outcome)
    finally:
        for i in range(count):
            PyBuffer_Release(&views[i])
    return data[:received]


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

    Usual is HTTP/1.1 with one Content-Length, and nothing said about the connection. Names of headers are lower case.
    """
    cdef const char *at = PyBytes_AS_STRING(data)
    cdef const char *end = at + PyBytes_GET_SIZE(data)
    cdef const char *line_end
    cdef const char *colon
    cdef char name[HEADER_NAME_MAX]
    cdef Py_ssize_t length = -1
    cdef Py_ssize_t size, i
    cdef int status = 0
    cdef dict headers = {}
    if end - at < 16 or memcmp(at, b"HTTP/1.1 ", 9) != 0 or (at[12] != 32 and at[12] != 13) or at[9] == 49:
        return None
    for i in range(9, 12):
        if not 48 <= at[i] <= 57:
            return None
        status = status * 10 + at[i] - 48
    at += 12
    while True:
        line_end = <const char *>memchr(at, 10, end - at)
        if line_end == NULL or line_end == at or (line_end - 1)[0] != 13:
            return None
        at = line_end + 1            # the line after the one that was looked at
        line_end = <const char *>memchr(at, 10, end - at)
        if line_end == NULL or line_end == at or (line_end - 1)[0] != 13:
            return None
        line_end -= 1
        if line_end == at:
            break
        colon = <const char *>memchr(at, 58, line_end - at)
        if colon == NULL or not 0 < colon - at <= HEADER_NAME_MAX:
            return None
        size = colon - at
        for i in range(size):
            if not 32 < at[i] < 127:
                return None
            name[i] = at[i] + 32 if 65 <= at[i] <= 90 else at[i]
        if name_is(name, size, b"transfer-encoding", 17) or name_is(name, size, b"connection", 10):
            return None
        colon += 1
        while colon < line_end and is_blank(colon[0]):
            colon += 1
        while line_end > colon and is_blank((line_end - 1)[0]):
            line_end -= 1
        if name_is(name, size, b"content-length", 14):
            if length >= 0 or not 0 < line_end - colon <= 6:
                return None
            length = 0
            for i in range(line_end - colon):
                if not 48 <= colon[i] <= 57:
                    return None
                length = length * 10 + colon[i] - 48
        headers[PyUnicode_DecodeLatin1(name, size, NULL)] = PyUnicode_DecodeLatin1(colon, line_end - colon, NULL)
        at = line_end
    at = line_end + 2
    if end - at != length:
        return None
    return status, headers, at[:length]


cdef inline bint name_is(const char *name, Py_ssize_t size, const char *wanted, Py_ssize_t wanted_size) noexcept:
    return size == wanted_size and memcmp(name, wanted, size) == 0


cdef inline bint is_blank(char c) noexcept:
    return c == 32 or c == 9 or c == 13
