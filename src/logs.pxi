# Trace and span id as log lines have them.

from libc.stdio cimport snprintf

cdef tuple NO_LOG_IDS = ("0", "0")


def log_ids(TracerCore core not None) -> tuple:
    """Texts of the active trace id and span id: 32 hex digits, or decimal if of 64 bits; "0" for none."""
    cdef TraceState state
    cdef uint64_t span_id
    cdef char text[33]
    if not core.is_enabled:
        return NO_LOG_IDS
    item = core_active(core)
    if type(item) is Span:
        state = span_state(<Span>item)
        span_id = (<Span>item)._span_id
    elif type(item) is Context:
        state = (<Context>item)._state
        span_id = (<Context>item)._span_id
    else:
        return NO_LOG_IDS
    if state.id_high:
        snprintf(text, sizeof(text), "%016llx%016llx", <unsigned long long>state.id_high,
                 <unsigned long long>state.id_low)
    else:
        snprintf(text, sizeof(text), "%llu", <unsigned long long>state.id_low)
    trace = (<bytes>text).decode("ascii")
    snprintf(text, sizeof(text), "%llu", <unsigned long long>span_id)
    return trace, (<bytes>text).decode("ascii")
