# Time and fork detection. One monotonic source gives start and duration; the offset to the wall
# clock belongs to the trace and is taken when its first span starts.

cdef extern from "_debug.h":
    enum: FT_DEBUG_BUILD
    enum: FT_PORTABLE_BUILD
    void FT_ASSERT(bint condition) noexcept nogil
    bint FT_LIKELY(bint x) noexcept nogil
    bint FT_UNLIKELY(bint x) noexcept nogil

cdef extern from "_clock.h":
    enum: FT_HAVE_TSC
    unsigned int ft_fork_count
    int64_t ft_now_ns() noexcept nogil
    int64_t ft_os_realtime_ns() noexcept nogil
    int64_t ft_os_realtime_coarse_ns() noexcept nogil
    void ft_tsc_begin() noexcept nogil
    int ft_tsc_adjust(int allowed) noexcept nogil
    int ft_tsc_keep() noexcept nogil
    void ft_tsc_stop() noexcept nogil
    void ft_fork_watch() noexcept nogil
    void ft_debug_set_clock(int64_t wall_step_ns, int64_t frozen_ns) noexcept nogil

cdef enum:
    WALL_TOLERANCE_NS = 10_000_000

cdef int64_t wall_offset_ns = 0        # wall clock minus monotonic clock, as last anchored


cdef void anchor_wall_clock() noexcept:
    """Takes the offset anew from precise reads; the shortest of three brackets wins."""
    global wall_offset_ns
    cdef int64_t before_ns, wall_ns, after_ns, best_ns = INT64_MAX
    cdef int attempt
    for attempt in range(3):
        before_ns = ft_now_ns()
        wall_ns = ft_os_realtime_ns()
        after_ns = ft_now_ns()
        if after_ns - before_ns < best_ns:
            best_ns = after_ns - before_ns
            wall_offset_ns = wall_ns - before_ns - best_ns // 2


cdef inline int64_t root_wall_ns(int64_t now_ns) noexcept:
    """Wall time for a root that starts at monotonic `now_ns`, to some milliseconds: for the seconds in an id.

    Re-anchors after a clock step: `wall_offset_ns`, which is precise, is to be read after the call.
    """
    cdef int64_t wall_ns = ft_os_realtime_coarse_ns()
    cdef int64_t drift_ns = wall_ns - (now_ns + wall_offset_ns)
    if FT_UNLIKELY(drift_ns > WALL_TOLERANCE_NS or drift_ns < -WALL_TOLERANCE_NS):
        anchor_wall_clock()
        return now_ns + wall_offset_ns
    return wall_ns


def monotonic_ns() -> int:
    """Nanoseconds of the clock that spans are stamped with."""
    return ft_now_ns()


def adjust_clock(bint tsc_allowed=True) -> str:
    """Calibrates or re-anchors the time stamp counter and the wall clock; the flusher calls it at every flush.

    Returns the source in use afterwards: "tsc" or "monotonic". ``tsc_allowed=False`` gives the
    counter up for the life of the process.
    """
    cdef int state = ft_tsc_adjust(tsc_allowed)
    anchor_wall_clock()
    return "tsc" if state > 0 else "monotonic"


def use_monotonic_clock() -> None:
    """Stops reading the time stamp counter until the next `adjust_clock()`."""
    ft_tsc_stop()


if FT_DEBUG_BUILD:
    def _debug_set_clock(int64_t wall_step_ns=0, int64_t frozen_ns=0) -> None:
        """Debug build only: shifts the wall clock and, if not 0, freezes monotonic time."""
        ft_debug_set_clock(wall_step_ns, frozen_ns)

ft_tsc_begin()
anchor_wall_clock()
ft_fork_watch()
