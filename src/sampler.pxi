# The sampling decision: once per trace, when it is first needed.

cdef uint64_t SAMPLING_FACTOR = 1111111111111111111     # spreads ids evenly over 64 bits


cdef bint rate_keeps(uint64_t id_low, double rate) noexcept:
    """Whether a trace (or span) of this id is kept at this rate; the same answer in every service."""
    if rate >= 1.0:
        return True
    if rate <= 0.0:
        return False
    return <double>(id_low * SAMPLING_FACTOR) <= rate * 18446744073709551615.0


def sample_id(trace_id, double rate) -> bool:
    """Whether a trace of this id is kept at `rate` (0.0 to 1.0); the hash every Datadog tracer uses."""
    return rate_keeps(trace_id & SPAN_ID_MAX, rate)


cdef str rate_text(double rate):
    """Value of `_dd.p.ksr`: at most six decimals, no trailing zeros."""
    text = "%.6f" % (floor(rate * 1e6 + 0.5) / 1e6)
    return text.rstrip("0").rstrip(".")


cdef int decide(TracerCore core, Segment segment) except -1:
    """Gives the trace a sampling priority unless it has one (inherited, manual, or decided before)."""
    cdef TraceState state = segment.state
    cdef PyObject *entry
    if state.has_priority:
        return 0
    if core.rates is not None:
        service = None
        if segment.root != NULL and (<Span>segment.root)._service != NULL:
            service = <object>(<Span>segment.root)._service
        entry = PyDict_GetItemWithError(core.rates, (service, segment.profile.env))
        if entry != NULL:
            state.rate = PyFloat_AS_DOUBLE(<object>entry)
            state.rate_kind = RATE_AGENT
            state.decide(AUTO_KEEP if rate_keeps(state.id_low, state.rate) else AUTO_REJECT, MECHANISM_AGENT_RATE)
            return 0
    if state.mechanism == MECHANISM_NONE:
        state.mechanism = MECHANISM_DEFAULT
    state.priority = AUTO_KEEP
    state.has_priority = True
    return 0
