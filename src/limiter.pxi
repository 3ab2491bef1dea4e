# A token bucket: how many a second, and what share of those who asked was let through lately.

cdef int64_t LIMIT_WINDOW_NS = 1_000_000_000


@cython.internal
@cython.final
cdef class Limiter:
    """Lets `per_second` through each second; 0: none, negative: all. Follows ddtrace 4.16."""
    cdef readonly double per_second
    cdef double tokens
    cdef int64_t refilled_ns         # monotonic
    cdef int64_t window_ns           # start of the window that is counted; 0: none yet
    cdef uint32_t asked, allowed     # in this window
    cdef double last_share           # of the window before; negative: there was none

    def __cinit__(self, double per_second):
        self.per_second = self.tokens = per_second
        self.last_share = -1.0
        self.refilled_ns = ft_now_ns()


cdef bint limiter_allows(Limiter limiter, int64_t now_ns=0) noexcept:
    """Takes a token if there is one, and counts.

    now_ns: monotonic, if it is known; a moment ago will do.
    """
    cdef bint allowed
    if limiter.per_second < 0.0:
        limiter.last_share = 1.0
        return True
    if now_ns == 0:
        now_ns = ft_now_ns()
    allowed = limiter.per_second > 0.0
    if allowed:
        if limiter.tokens < limiter.per_second and now_ns > limiter.refilled_ns:
            limiter.tokens += <double>(now_ns - limiter.refilled_ns) * 1e-9 * limiter.per_second
            if limiter.tokens > limiter.per_second:
                limiter.tokens = limiter.per_second
        limiter.refilled_ns = now_ns
        allowed = limiter.tokens >= 1.0
        if allowed:
            limiter.tokens -= 1.0
    if limiter.window_ns == 0:
        limiter.window_ns = now_ns
    elif now_ns - limiter.window_ns >= LIMIT_WINDOW_NS:
        limiter.last_share = <double>limiter.allowed / limiter.asked if limiter.asked else 1.0
        limiter.asked = limiter.allowed = 0
        limiter.window_ns = now_ns
    limiter.asked += 1
    limiter.allowed += allowed
    return allowed


cdef double limiter_share(Limiter limiter) noexcept:
    """Share let through: the mean of this window and the one before it."""
    cdef double share = 1.0
    if limiter.allowed != limiter.asked:         # mostly they are the same, and divisions are dear
        share = <double>limiter.allowed / limiter.asked
    return share if limiter.last_share < 0.0 else (share + limiter.last_share) * 0.5
