# Reading and changing a span: what the methods of Span and the tracer share.

cdef inline TraceState span_state(Span span):
    return (<Segment>span._segment).state


cdef inline void span_track(PyObject *span) noexcept:
    """Has the collector look at the span: it holds an object that may be part of a cycle."""
    if not (<Span>span)._tracked:
        (<Span>span)._tracked = True
        PyObject_GC_Track(span)
        if (<Span>span)._segment != NULL:
            segment_track((<Span>span)._segment)


cdef inline void span_untrack(PyObject *span) noexcept:
    if FT_UNLIKELY((<Span>span)._tracked):
        (<Span>span)._tracked = False
        PyObject_GC_UnTrack(span)


cdef inline SpanExtra span_extra(Span span):
    if span._extra is None:
        span._extra = SpanExtra.__new__(SpanExtra)
        span_track(<PyObject *>span)
    return <SpanExtra>span._extra


cdef object text_or_empty(object value):
    """4.x coercion of names: bytes are decoded, other things become "" (None stays None)."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, bytes):
        return plain_text((<bytes>value).decode("utf-8", "replace"))
    return None if value is None else ""


cdef object text_or_none(object value):
    return text_or_empty(value) if isinstance(value, (str, bytes)) else None


cdef int replace_text(PyObject **slot, object value) except -1:
    cdef PyObject *old = slot[0]
    if value is None:
        slot[0] = NULL
    else:
        Py_INCREF(value)
        slot[0] = <PyObject *>value
    if old != NULL:
        decref(old)
    return 0


# Span types are few and constant: spans hold a small number, this table the texts.
cdef enum:
    SPAN_TYPE_CHARS = 100    # longer ones, and those beyond the table, are kept by their span
    SPAN_TYPES_MAX = 4096
    SPAN_TYPE_OWN = 0xFFFF

cdef list span_types = [None]
cdef dict span_type_numbers = {}


cdef int span_set_type(Span span, object value) except -1:
    """Sets the type; what is no text counts as none."""
    cdef PyObject *known
    span._type = 0
    text = text_or_none(value)
    if text is None:
        return 0
    known = PyDict_GetItemWithError(span_type_numbers, text)
    if known != NULL:
        span._type = <uint16_t>PyLong_AsSsize_t(<object>known)
    elif len(text) > SPAN_TYPE_CHARS or len(span_types) >= SPAN_TYPES_MAX:
        span_extra(span).span_type = text
        span._type = SPAN_TYPE_OWN
    else:
        span_types.append(text)
        span._type = <uint16_t>(len(span_types) - 1)
        span_type_numbers[text] = span._type
    return 0


cdef inline PyObject *span_type_raw(Span span) noexcept:
    """Borrowed text of a type that is not none."""
    if FT_UNLIKELY(span._type == SPAN_TYPE_OWN):
        return <PyObject *>(<SpanExtra>span._extra).span_type
    return PyList_GET_ITEM(<PyObject *>span_types, span._type)


cdef int span_set_error(Span span, object value) except -1:
    """4.x: int32, anything else counts as 0."""
    cdef SpanExtra extra
    cdef object number = 0
    if span._flags & SPAN_NOOP:
        return 0
    if isinstance(value, int) and -(1 << 31) <= value < (1 << 31):
        number = int(value)
    if number:
        span._flags |= SPAN_ERROR
    else:
        span._flags &= ~<uint32_t>SPAN_ERROR
    if number not in (0, 1) or span._extra is not None:
        extra = span_extra(span)
        extra.error = number
    return 0


cdef object seconds_to_ns(object value, str what):
    """Nanoseconds of a number of seconds; None, with a warning, for anything else."""
    if isinstance(value, int):
        ns = value * 1_000_000_000
    elif isinstance(value, float) and isfinite(value):
        ns = int(value * 1e9)
    else:
        if value is not None:
            warn("span_time", "%s must be a finite number of seconds, got %s" % (what, type(value).__name__))
        return None
    if -(1 << 62) < ns < (1 << 62):
        return ns
    warn("span_time", "%s is out of range" % what)
    return None


cdef int span_set_start(Span span, object wall_ns) except -1:
    cdef Segment segment
    if wall_ns is None or span._flags & SPAN_NOOP:
        return 0
    if not -(1 << 62) < wall_ns < (1 << 62):
        warn("span_time", "start is out of range")
        return 0
    segment = <Segment>span._segment
    if segment.head == <PyObject *>span and segment.listed == 1 and segment.state.segments == <PyObject *>segment:
        # Nothing else has a time in this trace yet. It may end by our clock, which must then agree with the
        # caller's: a request of a millisecond would else have no duration.
        anchor_wall_clock()
        segment.state.offset_ns = wall_offset_ns
    span._start_ns = <int64_t>wall_ns - segment.state.offset_ns
    return 0


cdef int span_set_duration(Span span, object ns) except -1:
    """Explicit durations win over the clock; negative ones count as 0."""
    if span._flags & SPAN_NOOP:
        return 0
    if not -(1 << 62) < ns < (1 << 62):
        warn("span_time", "duration is out of range")
        return 0
    span._duration_ns = ns if ns > 0 else 0
    span._flags |= SPAN_DURATION_SET
    return 0


cdef int span_construct(Span span, name, service, resource, span_type, trace_id, span_id, parent_id, start, context,
                        on_finish, links) except -1:
    """The public constructor: coerces as ddtrace 4.x does; the span belongs to no tracer."""
    cdef TraceState state
    cdef Segment segment
    if span._segment != NULL:
        raise TypeError("a Span cannot be initialised twice")
    note_fork()
    if isinstance(context, Context):
        state = (<Context>context)._state.copy()
    else:
        state = new_state()
    if isinstance(trace_id, int) and 0 < trace_id <= TRACE_ID_MAX:
        state.set_trace_id(trace_id)
    elif not state.id_low and not state.id_high:
        new_trace_id(state, ft_os_realtime_coarse_ns())
    segment = segment_new()
    segment.state = state
    segment.profile = empty_profile
    Py_INCREF(segment)
    span._segment = <PyObject *>segment
    segment_track(span._segment)
    segment.root = <PyObject *>span
    span._call = <vectorcall_function>span_call
    span._flags = SPAN_LOCAL_ROOT | SPAN_NEW_TRACE
    replace_text(&span._name, text_or_empty(name))
    replace_text(&span._service, text_or_none(service))
    if resource is not None:
        replace_text(&span._resource, text_or_empty(resource))
    span_set_type(span, span_type)
    span._span_id = span_id if isinstance(span_id, int) and 0 <= span_id <= SPAN_ID_MAX else next_id()
    span._parent_id = parent_id if isinstance(parent_id, int) and 0 <= parent_id <= SPAN_ID_MAX else 0
    span._start_ns = ft_now_ns()
    if context is None:
        root_wall_ns(span._start_ns)
        state.offset_ns = wall_offset_ns
    if start is not None:
        span_set_start(span, seconds_to_ns(start, "start"))
    if on_finish is not None:
        span_extra(span).on_finish = list(on_finish)
    if links is not None:
        for link in links:
            span_copy_link(span, link)
    return 0
