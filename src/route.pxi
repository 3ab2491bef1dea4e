# A whole round of delivery in one call, for the usual case: the agent is there and says what it said before.
#
# Between two flushes everybody else has been at the processor's caches. The few hundred lines of Python that deliver a
# payload then take ten times as long as they would in a loop, all of it with the interpreter's lock. So once they have
# delivered one, they leave what they know of the way; the next payloads go this way until anything is different. Then
# whatever is left to be done is theirs again, from wherever it has come to: nothing is decided here.

from libc.stdio cimport snprintf

cdef enum:
    HEAD_ROOM = 128                  # for what is different in each head

cdef char *STATE_HEADER = "datadog-agent-state"


@cython.final
cdef class Route:
    """The way to an agent that a payload has gone. Used by one thread at a time. Not on Windows.

    connection: has a fileno(), of a connected, non-blocking socket that has carried a request before; it is kept, so
    that the number is nobody else's. version: of payloads, "v0.4" or "v0.5".
    head: of requests, but for the number of bytes and of traces. state, body: what the agent said in its reply, of its
    configuration and otherwise.
    """
    cdef object connection
    cdef int socket
    cdef int version
    cdef bint ended
    cdef Buffer head                 # with HEAD_ROOM
    cdef bytes state
    cdef bytes body
    cdef list waiting                # taken out of the buffer by deliver(), and not settled
    cdef Payload begun               # the first of them, if it was sent, in whole or in part
    cdef int outcome                 # of the sending of it
    cdef int error                   # errno
    cdef size_t received             # of `reply`
    cdef readonly int64_t deadline_ns    # of it, monotonic
    cdef char reply[RECEIVE_BYTES]

    def __init__(self, connection, str version, bytes head, bytes state, bytes body):
        self.connection = connection
        self.socket = connection.fileno()
        self.version = 5 if version == "v0.5" else 4
        self.state = state
        self.body = body
        buffer_reserve(&self.head, self.head.data, PyBytes_GET_SIZE(head) + HEAD_ROOM)
        memcpy(self.head.data, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        self.head.used = PyBytes_GET_SIZE(head)

    def __dealloc__(self):
        buffer_free(&self.head)

    def end(self) -> None:
        """The connection is closed, or no longer what it was: nothing goes this way any more."""
        self.ended = True

    def deliver(self, TracerCore core not None, NativeLock turn not None, double timeout_s, double bytes_per_s) -> int:
        """Sends what is buffered if it is this thread's `turn`; how many payloads, of which each is settled.

        A payload gets `timeout_s` seconds, and one for each `bytes_per_s` of it. Returns -1 if anything is not as it
        was: the round is the caller's then, with what `take` returns.
        """
        cdef list waiting
        cdef int count = 0
        if self.ended or core._events_as_json or ft_tsc_keep() == 0 or not turn.try_acquire():
            return -1
        anchor_wall_clock()
        try:
            waiting = core._swap()   # an attribute: `fasttrace.testing` puts its own there
            while waiting:
                if not self.carry(core, <Payload>waiting[0], timeout_s, bytes_per_s):
                    self.waiting = waiting
                    return -1
                count += 1
                del waiting[0]
        finally:
            if self.waiting is None:
                turn.give_back()
        return count

    def take(self) -> list | None:
        """What deliver() left of a round, oldest first; it is the caller's turn still. None: it did not begin."""
        waiting = self.waiting
        self.waiting = None
        return waiting

    def has_begun(self, payload) -> bool:
        """Whether deliver() has sent this payload, in whole or in part; resume() tells more, once."""
        return self.begun is not None and payload is self.begun

    def resume(self) -> bytes:
        """What has come back, b"" if nothing has before `deadline_ns`. Raises OSError if not all of it was sent."""
        cdef int outcome = self.outcome
        self.begun = None
        if outcome == FT_IO_ERROR:
            ft_set_errno(self.error)
            PyErr_SetFromErrno(OSError)
        if outcome != FT_IO_DONE:
            raise TimeoutError("timed out")
        return self.reply[:self.received]

    cdef bint carry(self, TracerCore core, Payload payload, double timeout_s, double bytes_per_s) except -1:
        """Sends a payload and settles it; False if that is not all there is to it."""
        cdef ft_piece pieces[4]
        cdef unsigned char middle[8]
        cdef int count
        cdef bint usual = False
        cdef const char *body = PyBytes_AS_STRING(self.body)
        cdef const char *state = PyBytes_AS_STRING(self.state)
        cdef size_t body_size = PyBytes_GET_SIZE(self.body)
        cdef size_t state_size = PyBytes_GET_SIZE(self.state)
        cdef size_t size = payload.body_size()
        if payload.version != self.version or payload.stats_computed or payload.settled_spans or payload.exports:
            return False
        count = self.lay_out(payload, size, middle, pieces)
        self.deadline_ns = ft_now_ns() + <int64_t>((timeout_s + size / bytes_per_s) * 1e9)
        self.received = 0
        ft_lock_goes()
        with nogil:
            if ft_is_readable(self.socket):
                count = 0            # closed by the agent, or out of step
            else:
                self.outcome = FT_IO_INTERRUPTED
                while self.outcome == FT_IO_INTERRUPTED:
                    self.outcome = ft_send_pieces(self.socket, pieces, count, self.deadline_ns)
                self.error = ft_get_errno()
                if self.outcome == FT_IO_DONE:
                    self.received = ft_receive_reply(self.socket, self.reply, RECEIVE_BYTES, self.deadline_ns)
                    usual = ft_reply_is(self.reply, self.received, body, body_size, STATE_HEADER, state, state_size)
        ft_lock_is_back()
        if usual:
            core.settle(payload, "sent", payload.span_count, payload.trace_count, payload.size(), True)
        elif count > 0:
            self.begun = payload
        return usual

    cdef int lay_out(self, Payload payload, size_t size, unsigned char *middle, ft_piece *pieces) noexcept:
        """The pieces of a request; how many."""
        cdef unsigned char *at = self.head.data + self.head.used
        cdef unsigned char *p = middle
        at += snprintf(<char *>at, HEAD_ROOM, "Content-Length: %llu\r\nX-Datadog-Trace-Count: %u\r\n\r\n",
                       <unsigned long long>size, <unsigned int>payload.trace_count)
        if payload.version == 5:
            at[0] = 0x92
            at = wire_put_array_header(at + 1, payload.string_count)
            p = wire_put_array_header(p, payload.trace_count)
        else:
            at = wire_put_array_header(at, payload.trace_count)
        pieces[0].iov_base = self.head.data
        pieces[0].iov_len = at - self.head.data
        pieces[1].iov_base = payload.strings.data
        pieces[1].iov_len = payload.strings.used
        pieces[2].iov_base = middle
        pieces[2].iov_len = p - middle
        pieces[3].iov_base = payload.body.data
        pieces[3].iov_len = payload.body.used
        return 4
