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
    enum: FT_IO_DONE, FT_IO_TIMEOUT, FT_IO_INTERRUPTED, FT_IO_ERROR
    void ft_set_errno(int error) noexcept nogil
    int ft_get_errno() noexcept nogil
    void ft_lock_goes() noexcept
    void ft_lock_is_back() noexcept
    ft_lock_meter ft_lock_take() noexcept
    bint ft_lock_is_counted() noexcept
    ctypedef struct ft_piece:
        void *iov_base
        size_t iov_len
    int ft_send_pieces(int socket, ft_piece *pieces, int count, int64_t deadline_ns) noexcept nogil
    int ft_receive_bytes(int socket, char *data, size_t room, int64_t deadline_ns, size_t *received) noexcept nogil
    bint ft_is_readable(int socket) noexcept nogil
    size_t ft_receive_reply(int socket, char *data, size_t room, int64_t deadline_ns) noexcept nogil

cdef extern from "_reply.h":
    ctypedef struct ft_reply:
        int status
        const char *at
        long length
        const char *name
        size_t name_size
        const char *value
        size_t value_size
    enum: FT_REPLY_BODY, FT_REPLY_HEADER
    bint ft_reply_begin(ft_reply *reply, const char *data, size_t size) noexcept nogil
    int ft_reply_next(ft_reply *reply) noexcept nogil
    bint ft_reply_is(const char *data, size_t size, const char *body, size_t body_size, const char *name,
                     const char *value, size_t value_size) noexcept nogil

cdef enum:
    RECEIVE_BYTES = 16384            # at most at once
    SEND_PIECES = 8

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


@cython.final
cdef class LockTime:
    """A debug counter: how long the background thread has held the interpreter's lock.

    In flushes, that is rounds with something to send: from the end of the round before to its own, without the time in
    which it had given up the lock.

    * flushes: how many there were
    * held_ns: of all of them, in all
    * last_ns, last_stretches: of the newest; how often it took the lock
    * longest_ns: most at a time
    """
    cdef readonly uint64_t flushes
    cdef readonly int64_t held_ns
    cdef readonly int64_t last_ns
    cdef readonly int64_t longest_ns
    cdef readonly uint32_t last_stretches

    def note(self, bint is_flush) -> None:
        """What the calling thread has held since the last call was a flush, or nothing that counts."""
        cdef ft_lock_meter taken = ft_lock_take()
        if is_flush:
            self.held_ns += taken.held_ns
            self.last_ns = taken.held_ns
            self.last_stretches = taken.stretches
            self.longest_ns = max(self.longest_ns, taken.longest_ns)
            self.flushes += 1


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
    cdef ft_piece left[SEND_PIECES]
    cdef int count = 0
    cdef int i
    cdef int outcome = FT_IO_INTERRUPTED
    if len(pieces) > SEND_PIECES:
        raise ValueError("too many pieces")
    try:
        for piece in pieces:
            PyObject_GetBuffer(piece, &views[count], PyBUF_SIMPLE)
            left[count].iov_base = views[count].buf
            left[count].iov_len = <size_t>views[count].len
            count += 1
        while outcome != FT_IO_DONE:
            ft_lock_goes()
            with nogil:
                outcome = ft_send_pieces(socket, left, count, deadline_ns)
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
    cdef ft_reply reply
    cdef dict headers = {}
    cdef int what
    if not ft_reply_begin(&reply, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)):
        return None
    what = ft_reply_next(&reply)
    while what == FT_REPLY_HEADER:
        headers[PyUnicode_DecodeLatin1(reply.name, reply.name_size, NULL)] \
            = PyUnicode_DecodeLatin1(reply.value, reply.value_size, NULL)
        what = ft_reply_next(&reply)
    return (reply.status, headers, reply.at[:reply.length]) if what == FT_REPLY_BODY else None
