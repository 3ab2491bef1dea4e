# From finished spans to the payload: filters, decision, encoding, bounds, accounting.

cdef int core_submit(TracerCore core, Segment segment, PyObject *head, uint32_t n, bint partial) except -1:
    """Filters, decides and encodes a chunk of the `n` finished spans of a list; counts every span once."""
    cdef list kept
    cdef uint32_t kept_count
    if FT_UNLIKELY(not core.is_enabled):
        core.held_count -= n
        return core.drop("disabled", n)
    if FT_UNLIKELY(len(core.filters) > 0):
        kept = run_filters(core, head)
        kept_count = count_originals(kept, head)
        # One step for whoever reads stats(): what is kept stays held until put_chunk() places it.
        if n > kept_count:
            core.drop("filtered", n - kept_count)
        core.added_count += len(kept) - kept_count
        core.held_count += <uint64_t>len(kept) - n
        if not kept:
            return 0
        decide(core, segment, <PyObject *>kept[0])
        return submit_list(core, segment, kept, partial, True)
    decide(core, segment, head)
    if FT_UNLIKELY(core.screens or segment.state.discarded):
        return submit_screened(core, segment, head, n, partial)
    return put_chunk(core, segment, head, n, n if partial else 0)


cdef int submit_screened(TracerCore core, Segment segment, PyObject *head, uint32_t n, bint partial) except -1:
    """The same for a chunk that may be kept late, counted, thinned out or left out."""
    cdef TraceState state = segment.state
    cdef uint32_t singles = 0
    if core.tail:
        if not partial:
            tail_keep(core, segment)
        state.is_known = True
    if state.priority <= 0 and state.discarded:
        core.held_count -= n
        return core.drop("discarded", n)
    if core.table is not None:
        count_chunk(core.table, segment, head)
        if not core._flusher_running:
            start_flusher(core)
    if state.priority > 0:
        return put_chunk(core, segment, head, n, n if partial else 0)
    if core.span_rules is not None:
        singles = sample_spans(core.span_rules, head)
    if not core.drops_p0 or has_error(head):
        return put_chunk(core, segment, head, n, n if partial else 0)
    core.p0_spans += n - singles
    core.held_count -= n - singles
    core.drop("p0", n - singles)
    if singles == 0:
        core.p0_traces += 1
        return 0
    return submit_list(core, segment, [span for span in finished_spans(head) if (<Span>span)._flags & SPAN_SINGLE],
                       partial, False)


cdef bint has_error(PyObject *at) noexcept:
    while at != NULL:
        if (<Span>at)._flags & (SPAN_FINISHED | SPAN_ERROR) == SPAN_FINISHED | SPAN_ERROR:
            return True
        at = (<Span>at)._next
    return False


cdef uint32_t sample_spans(RuleSet rules, PyObject *at) except? 0:
    """Marks the finished spans of a rejected chunk that are kept on their own; how many."""
    cdef SampleRule rule
    cdef Span span
    cdef uint32_t kept = 0
    while at != NULL:
        if (<Span>at)._flags & SPAN_FINISHED:
            rule = match_span(rules, <Span>at)
            if rule is not None and rate_keeps((<Span>at)._span_id, rule.rate) \
                    and (rule.limiter is None or limiter_allows(rule.limiter)):
                kept += 1
                (<Span>at)._flags |= SPAN_SINGLE
                tags_put_number(&(<Span>at)._tags, <PyObject *>TEXT_SPAN_MECHANISM, MECHANISM_SPAN_RULE)
                tags_put_number(&(<Span>at)._tags, <PyObject *>TEXT_SPAN_RATE, rule.rate)
                if rule.max_per_second is not None:
                    tags_put_number(&(<Span>at)._tags, <PyObject *>TEXT_SPAN_LIMIT, rule.max_per_second)
        at = (<Span>at)._next
    return kept


cdef list finished_spans(PyObject *at):
    """The finished spans of a detached list as Python objects."""
    cdef list spans = []
    while at != NULL:
        if (<Span>at)._flags & SPAN_FINISHED:
            span_take(at)
            spans.append(<object>at)
            decref(at)
        at = (<Span>at)._next
    return spans


cdef int span_settle_base(Span span) except -1:
    """Decides `_dd.base_service` before filters, which may change the service (ddtrace 4.x order)."""
    cdef Profile profile = (<Segment>span._segment).profile
    span._flags |= SPAN_BASE_KNOWN
    if span._service != <PyObject *>profile.service and profile.note_foreign(span._service):
        tags_put_text(&span._tags, <PyObject *>TEXT_BASE_SERVICE, profile.service_lower)
    return 0


cdef list run_filters(TracerCore core, PyObject *head):
    """What the filters leave of a chunk: spans, each once."""
    cdef list spans = finished_spans(head)
    cdef list kept = []
    for span in spans:
        span_settle_base(<Span>span)
    result = spans
    for trace_filter in core.filters:
        try:
            result = trace_filter.process_trace(result)
        except Exception as exc:
            warn("filter", "trace filter %s raised %s: the trace goes on unchanged"
                 % (type(trace_filter).__name__, type(exc).__name__))
            continue
        if not result:
            return []
    try:
        candidates = list(result)
    except TypeError:
        warn("filter", "a trace filter must return a list of spans or None, got %s" % type(result).__name__)
        candidates = spans
    for span in candidates:
        if type(span) is Span and not (<Span>span)._flags & (SPAN_SEEN | SPAN_NOOP):
            (<Span>span)._flags |= SPAN_SEEN
            kept.append(span)
    for span in kept:
        (<Span>span)._flags &= ~<uint32_t>SPAN_SEEN
    return kept


cdef uint32_t count_originals(list kept, PyObject *at) except? 0:
    """How many of `kept` are on the list."""
    cdef uint32_t n = 0
    for span in kept:
        (<Span>span)._flags |= SPAN_SEEN
    while at != NULL:
        if (<Span>at)._flags & SPAN_SEEN and (<Span>at)._flags & SPAN_FINISHED:
            n += 1
        at = (<Span>at)._next
    for span in kept:
        (<Span>span)._flags &= ~<uint32_t>SPAN_SEEN
    return n


cdef int submit_list(TracerCore core, Segment segment, list spans, bint partial, bint screen) except -1:
    """Encodes spans a filter returned, in its order. Spans made by the filter count as finished.

    screen: whether what screens chunks has yet to see this one.
    """
    cdef PyObject *head = NULL
    cdef PyObject *at
    cdef list links = []
    cdef Py_ssize_t i
    cdef uint32_t n = <uint32_t>len(spans)
    if n > PAYLOAD_MAX_CHUNKS:
        return refuse_chunk(core, n, 0, "chunk_too_large", "more than an agent takes in one array")
    saved = []
    for i in range(len(spans) - 1, -1, -1):
        at = <PyObject *>spans[i]
        saved.append(<size_t>(<Span>at)._next)
        if not (<Span>at)._flags & SPAN_FINISHED:
            span_finish(<Span>at)
        (<Span>at)._next = head
        head = at
    try:
        if screen and (core.screens or segment.state.discarded):
            return submit_screened(core, segment, head, n, partial)
        return put_chunk(core, segment, head, n, n if partial else 0)
    finally:
        # The list that is still to be released runs through the same pointers.
        saved.reverse()
        for i in range(len(spans)):
            (<Span>spans[i])._next = <PyObject *><size_t>saved[i]


# The encoders called so that an exception stays pending instead of being raised: a `try` costs more.
ctypedef int (*quiet_v04)(Buffer *, Segment, PyObject *, uint32_t, uint32_t) noexcept
ctypedef int (*quiet_v05)(Payload, Segment, PyObject *, uint32_t, uint32_t) noexcept


cdef int put_chunk(TracerCore core, Segment segment, PyObject *head, uint32_t n, uint32_t partial) except -1:
    """Encodes a chunk into the payload being filled, a new one if it would grow too large.

    Meanwhile the payload is nobody else's: encoding may run code (of links and events, or destructors)
    that finishes other spans, here or in another thread; their chunks go into a payload of their own.
    """
    cdef Payload payload = core.filling
    cdef size_t before, strings_before, waiting, size
    cdef uint32_t count_before
    cdef uint32_t swaps = core.swaps
    cdef int status
    cdef bint starts = payload is None
    core.filling = None
    if FT_UNLIKELY(starts):
        payload = new_payload(core.version, &core.spare)
        payload.stats_computed = core.table is not None
    before = payload.body.used
    strings_before = payload.strings.used
    count_before = payload.string_count
    core.hand_bytes += before + strings_before
    if FT_LIKELY(payload.version == 4):
        status = (<quiet_v04>encode_chunk_v04)(&payload.body, segment, head, n, partial)
    else:
        status = (<quiet_v05>encode_chunk_v05)(payload, segment, head, n, partial)
    core.hand_bytes -= min(core.hand_bytes, before + strings_before)    # less if a fork came between
    # Whoever was to send this payload may have come by and not have found it.
    starts |= core.swaps != swaps
    if FT_UNLIKELY(status < 0):
        explanation = take_error()
        if put_back(core, payload, before, strings_before, count_before) and starts:
            start_flusher_unless_running(core)
        return refuse_chunk(core, n, 0, "encoding_error", explanation)
    if FT_UNLIKELY(payload.size() > core.payload_max_bytes or payload.trace_count >= PAYLOAD_MAX_CHUNKS
                   or payload.string_count > PAYLOAD_MAX_STRINGS):
        size = payload.size() - before - strings_before
        if put_back(core, payload, before, strings_before, count_before):
            if starts:
                start_flusher_unless_running(core)
        else:
            return refuse_chunk(core, n, size, "chunk_too_large",
                                "larger than a payload may be (%d bytes)"
                                % (core.payload_max_bytes + PAYLOAD_HEADER_BYTES))
        return put_chunk(core, segment, head, n, partial)
    waiting = core.full_bytes + core.flying_bytes + payload.held()
    if FT_UNLIKELY(waiting > core.buffer_max_bytes):
        return put_if_room(core, payload, n, before, strings_before, count_before, starts)
    payload.trace_count += 1
    payload.span_count += n
    core.held_count -= n
    core.buffered_count += n
    if FT_LIKELY(core.filling is None):
        core.filling = payload
    else:
        payload.close()
        core.full.append(payload)
        core.full_bytes += payload.size()
    if FT_UNLIKELY(waiting > core.wake_bytes):
        core._wake.raise_flag()
        if core.wake_bytes == 0:
            return start_flusher(core)
    if FT_UNLIKELY(starts):
        start_flusher_unless_running(core)
    return 0


cdef int put_if_room(TracerCore core, Payload payload, uint32_t n, size_t body_used, size_t strings_used,
                     uint32_t string_count, bint starts) except -1:
    """Closes a payload whose last chunk fills the buffer: with it, if what it knows of strings is all that is too much.
    """
    cdef size_t size = payload.size() - body_used - strings_used
    if core.full_bytes + core.flying_bytes + payload.size() > core.buffer_max_bytes:
        if put_back(core, payload, body_used, strings_used, string_count) and starts:
            start_flusher_unless_running(core)
        return refuse_chunk(core, n, size, "buffer_full", "the buffer is full (%d bytes)" % core.buffer_max_bytes)
    payload.trace_count += 1
    payload.span_count += n
    core.held_count -= n
    core.buffered_count += n
    payload.close()
    core.full.append(payload)
    core.full_bytes += payload.size()
    core._wake.raise_flag()
    return start_flusher_unless_running(core) if starts else 0


cdef inline int start_flusher_unless_running(TracerCore core) except -1:
    return 0 if core._flusher_running else start_flusher(core)


cdef int start_flusher(TracerCore core) except -1:
    """Has somebody send what there is now."""
    if core._on_first_chunk is None:
        return 0
    try:
        core._on_first_chunk()
    except BaseException as exc:
        warn("flusher_start", "the flusher could not be started: %s: %.200s" % (type(exc).__name__, exc))
    return 0


cdef int refuse_chunk(TracerCore core, uint32_t n, size_t size, str reason, str explanation) except -1:
    """Counts a chunk of `size` bytes that goes nowhere, and says so."""
    core.held_count -= n
    core.drop(reason, n)
    chunks, nbytes = core._refused.get(reason, (0, 0))
    core._refused[reason] = (chunks + 1, nbytes + size)
    warn(reason, "traces are dropped and counted as %r: a chunk of %d spans: %s" % (reason, n, explanation))
    return 0


cdef bint put_back(TracerCore core, Payload payload, size_t body_used, size_t strings_used,
                   uint32_t string_count) except -1:
    """Takes the last chunk out of a payload and closes it; whether it still holds any.

    A closed payload's table may know strings that were cut off, so nothing is added to it any more.
    """
    payload.body.used = body_used
    payload.strings.used = strings_used
    payload.string_count = string_count
    if payload.trace_count == 0:
        return False
    payload.close()
    core.full.append(payload)
    core.full_bytes += payload.size()
    return True


def encode_trace(spans, api_version="v0.4", repeats=1) -> bytes:
    """A whole payload of one trace of exactly these spans, nothing of the tracer's own added.

    For tests and measurements. `spans` is a list of Span, `api_version` "v0.4" or "v0.5". With `repeats`
    the spans are encoded so many times, each time over the bytes of the time before.
    """
    cdef Payload payload = new_payload(5 if api_version == "v0.5" else 4, NULL)
    cdef Buffer *out = &payload.body
    cdef unsigned char *p
    cdef Segment bare = None
    cdef Segment theirs
    cdef bint first
    cdef Py_ssize_t left
    for left in range(repeats):
        out.used = 0
        p = buffer_reserve(out, out.data, 64)
        out.used = wire_put_array_header(p, <uint32_t>len(spans)) - out.data
        first = True
        for span in spans:
            theirs = <Segment>(<Span?>span)._segment
            if bare is None or bare.state is not theirs.state:
                bare = segment_new()
                bare.state = theirs.state
                bare.profile = empty_profile
            if payload.version == 4:
                p = put_span_v04(out, out.data + out.used, <Span>span, bare, first, 0)
                out.used = p - out.data
            else:
                put_span_v05(payload, <Span>span, bare, first, 0)
            first = False
    payload.trace_count = 1
    return b"".join([bytes(piece) for piece in payload.buffers()])
