# A Segment: the spans of one trace in one tracer of one process, from first start to the chunk.

cdef enum:
    SWEEP_FROM = 64      # abandoned spans on a list before it is worth a walk
    PART_MAX_SPANS = 3_000       # a partial flush waits for no more, so that a payload has room for it
    CHUNK_MAX_SPANS = 100_000    # flushed at this size even with partial flush off: agent limits


cdef extern from *:
    """
    /* From the local root to what is counted for tail keep: all that a new segment has zero. */
    #define FT_SEGMENT struct __pyx_obj_9fasttrace_5_span_Segment
    #define ft_segment_zero(o) \
        memset(&((FT_SEGMENT *)(o))->root, 0, offsetof(FT_SEGMENT, tracked) - offsetof(FT_SEGMENT, root))
    /* One that is put aside has no tracer and no profile, not even None: each count of None waits for the last. */
    #define ft_segment_adopt(o, its_core, its_profile) \
        (Py_INCREF(its_core), ((FT_SEGMENT *)(o))->core = (void *)(its_core), \
         Py_INCREF(its_profile), ((FT_SEGMENT *)(o))->profile = (void *)(its_profile))
    #define ft_segment_leave(o) \
        do { \
            PyObject *its_core = (PyObject *)((FT_SEGMENT *)(o))->core; \
            PyObject *its_profile = (PyObject *)((FT_SEGMENT *)(o))->profile; \
            ((FT_SEGMENT *)(o))->core = NULL; \
            ((FT_SEGMENT *)(o))->profile = NULL; \
            Py_XDECREF(its_profile); \
            Py_XDECREF(its_core); \
        } while (0)
    """
    void ft_segment_zero(PyObject *o)
    void ft_segment_adopt(PyObject *o, PyObject *core, PyObject *profile)
    void ft_segment_leave(PyObject *o)


ctypedef PyObject *(*quiet_segment)(TracerCore) noexcept


@cython.internal
@cython.final
@cython.no_gc_clear
cdef class Segment:
    cdef TraceState state
    cdef Profile profile
    cdef TracerCore core         # None: the span was constructed by hand and is never sent
    cdef PyObject *root          # local root; borrowed unless root_owned; NULL if it is gone
    cdef PyObject *head          # borrowed: spans not yet flushed, in creation order
    cdef PyObject *tail
    cdef PyObject *sibling       # borrowed: next live Segment of the same trace
    cdef uint32_t listed         # spans on the list
    cdef uint32_t open           # of them unfinished and alive
    cdef uint32_t finished       # of them finished
    cdef uint32_t abandoned      # of them dropped unfinished
    cdef unsigned int fork_count     # process lineage it belongs to
    cdef bint root_owned
    cdef bint entries            # more than one span without local parent joined
    cdef uint32_t tail_spans     # finished spans held for tail keep, as counted in the tracer's sum
    cdef uint32_t tail_next      # finished spans at which their size is estimated again
    cdef size_t tail_bytes       # their estimated size, as counted in the tracer's sum
    cdef bint tracked            # whether the collector knows it


# Pooled as states are. Most traces end with nobody else holding their state: it stays with its segment,
# and the next trace begins with both.

cdef enum:
    SEGMENTS_POOLED = 256

cdef PyObject *segment_pool[SEGMENTS_POOLED]
cdef uint32_t segment_pool_size = 0
cdef destructor segment_free = NULL      # what Cython generated


cdef inline PyObject *segment_taken() noexcept:
    """A new reference to a segment of the pool, its counters zero; it may have a state. NULL: there is none."""
    global segment_pool_size
    cdef PyObject *o
    if FT_UNLIKELY(segment_pool_size == 0):
        return NULL
    segment_pool_size -= 1
    o = segment_pool[segment_pool_size]
    ft_revive(o)
    ft_segment_zero(o)
    return o


cdef Segment segment_new():
    """A segment of nothing, unknown to the collector."""
    cdef Segment segment
    cdef PyObject *o = segment_taken()
    if FT_LIKELY(o != NULL):
        ft_segment_adopt(o, <PyObject *>None, <PyObject *>None)
        segment = <Segment>given(o)
        segment.state = None
        return segment
    segment = Segment.__new__(Segment)
    PyObject_GC_UnTrack(<PyObject *>segment)
    return segment


cdef inline PyObject *segment_of_new_trace(TracerCore core) except NULL:
    """A new reference to a segment in a state of its own, both of them new, without ids and times."""
    cdef PyObject *o = segment_taken()
    if FT_UNLIKELY(o == NULL):
        return taken(new_segment(core, state_new()))
    if FT_UNLIKELY((<Segment>o).state is None):
        (<Segment>o).state = state_new()
        (<Segment>o).state.segments = o
    state_reset(<PyObject *>(<Segment>o).state)
    ft_segment_adopt(o, <PyObject *>core, <PyObject *>core.profile)
    (<Segment>o).fork_count = id_fork_count
    return o


cdef void segment_track(PyObject *segment) noexcept:
    """Has the collector look at a segment and its state: something below may be part of a cycle."""
    if not (<Segment>segment).tracked:
        (<Segment>segment).tracked = True
        PyObject_GC_Track(segment)
        state_track((<Segment>segment).state)


cdef void segment_dealloc(PyObject *o) noexcept:
    """Called at refcount 0."""
    global segment_pool_size
    cdef PyObject **at
    ft_set_refcount(o, 1)        # alive while its parts go: they may run code
    if FT_UNLIKELY((<Segment>o).tracked):
        (<Segment>o).tracked = False
        PyObject_GC_UnTrack(o)
    if FT_LIKELY(state_may_stay(<PyObject *>(<Segment>o).state, o)):
        pass
    elif (<Segment>o).state is not None:
        at = &(<Segment>o).state.segments
        while at[0] != NULL:
            if at[0] == o:
                at[0] = (<Segment>o).sibling
                break
            at = &(<Segment>at[0]).sibling
        (<Segment>o).state = None
    ft_segment_leave(o)
    ft_set_refcount(o, 0)
    if FT_LIKELY(segment_pool_size < SEGMENTS_POOLED):
        segment_pool[segment_pool_size] = o
        segment_pool_size += 1
    else:
        segment_free(o)


cdef Segment new_segment(TracerCore core, TraceState state):
    cdef Segment segment = segment_new()
    segment.state = state
    segment.core = core
    segment.profile = core.profile
    segment.fork_count = id_fork_count
    segment.sibling = state.segments
    state.segments = <PyObject *>segment
    if FT_UNLIKELY(state.has_objects):
        segment_track(<PyObject *>segment)
    return segment


cdef Segment join_segment(TracerCore core, TraceState state):
    """The live Segment of this trace in this tracer and process, or a new one."""
    cdef PyObject *at = state.segments
    while at != NULL:
        if (<Segment>at).core is core and (<Segment>at).fork_count == id_fork_count:
            return <Segment>at
        at = (<Segment>at).sibling
    return new_segment(core, state)


cdef inline void segment_add(Segment segment, Span span) noexcept:
    """Lists a span that just started."""
    span._flags |= SPAN_IN_LIST
    if segment.head == NULL:
        segment.head = <PyObject *>span
    else:
        (<Span>segment.tail)._next = <PyObject *>span
    segment.tail = <PyObject *>span
    segment.listed += 1
    segment.open += 1


cdef void segment_lost(PyObject *segment, PyObject *span) noexcept:
    """A span of the segment was freed."""
    if (<Segment>segment).root == span:
        (<Segment>segment).root = NULL


cdef void segment_abandon(PyObject *raw, PyObject *span) noexcept:
    """A listed span died unfinished: it must hold up neither its siblings nor memory."""
    cdef PyObject *error_type = NULL
    cdef PyObject *error_value = NULL
    cdef PyObject *error_traceback = NULL
    cdef Segment segment = <Segment>raw
    PyErr_Fetch(&error_type, &error_value, &error_traceback)
    segment.open -= 1
    segment.abandoned += 1
    segment.core.abandoned_count += 1
    segment.core.open_count -= 1
    if segment.root == span:
        segment.root = NULL
    if segment.open == 0:
        segment_flush(segment, False)
    elif segment.abandoned >= SWEEP_FROM and segment.abandoned * 2 >= segment.listed:
        segment_sweep(segment)
    PyErr_Restore(error_type, error_value, error_traceback)


cdef void segment_sweep(Segment segment) noexcept:
    """Takes abandoned spans off the list."""
    cdef PyObject *at = segment.head
    cdef PyObject *gone = NULL
    cdef PyObject *following
    segment.head = segment.tail = NULL
    segment.listed -= segment.abandoned
    segment.abandoned = 0
    while at != NULL:
        following = (<Span>at)._next
        (<Span>at)._next = NULL
        if (<Span>at)._flags & (SPAN_FINISHED | SPAN_ORPHAN) == SPAN_ORPHAN:
            (<Span>at)._next = gone
            gone = at
        else:
            if segment.head == NULL:
                segment.head = at
            else:
                (<Span>segment.tail)._next = at
            segment.tail = at
        at = following
    list_release(segment, gone)


cdef PyObject *span_take(PyObject *span) noexcept:
    """A new reference to a listed span, which may be an orphan: then its life begins again."""
    if (<Span>span)._flags & SPAN_ORPHAN:
        (<Span>span)._flags &= ~<uint32_t>SPAN_ORPHAN
        if (<Span>span)._extra is not None or (<Segment>(<Span>span)._segment).state.has_objects:
            span_track(span)
    else:
        incref(span)
    return span


cdef object span_local_root(Span span):
    """See Span._local_root. Follows parents only if the trace was joined by more than one span."""
    cdef Segment segment = <Segment>span._segment
    cdef PyObject *at
    if segment.entries:
        at = <PyObject *>span
        while not (<Span>at)._flags & SPAN_LOCAL_ROOT:
            if (<Span>at)._extra is not None and (<SpanExtra>(<Span>at)._extra).local_root is not None:
                return (<SpanExtra>(<Span>at)._extra).local_root
            if (<Span>at)._above == NULL or (<Span>at)._above == at:
                break
            at = (<Span>at)._above
        if (<Span>at)._flags & SPAN_LOCAL_ROOT:
            return <object>at
    if segment.root == NULL:
        return span
    at = span_take(segment.root)
    root = <object>at
    Py_DECREF(root)
    return root


cdef int span_compress(Span span) except -1:
    """Replaces a finished parent by the nearest unfinished ancestor; keeps what is still needed of it."""
    cdef PyObject *at = span._above
    cdef PyObject *old = at
    cdef Segment segment = <Segment>span._segment
    cdef SpanExtra extra
    if not span._flags & SPAN_FINISHED:
        extra = span_extra(span)
        if extra.parent_service == NULL and (<Span>at)._service != NULL:
            incref((<Span>at)._service)
            extra.parent_service = (<Span>at)._service
    if segment.entries:
        keep_local_root(span)
    while at != NULL and (<Span>at)._flags & SPAN_FINISHED:
        at = (<Span>at)._above
    if at != NULL:
        incref(at)
    span._above = at
    decref(old)
    return 0


# -- finish ---------------------------------------------------------------------------------------------

cdef inline int span_finish(Span span) except -1:
    """Ends a span: duration, top level, callbacks, and the chunk if it was the last one."""
    cdef Segment segment
    cdef PyObject *above
    cdef int64_t lasted_ns
    if FT_UNLIKELY(span._flags & (SPAN_FINISHED | SPAN_NOOP | SPAN_OTEL_NAMES)):
        if span._flags & (SPAN_FINISHED | SPAN_NOOP):
            return 0
        span_name_by_attributes(span)
    if FT_LIKELY(not span._flags & SPAN_DURATION_SET):
        lasted_ns = ft_now_ns() - span._start_ns
        span._duration_ns = lasted_ns if lasted_ns > 0 else 0
    span._flags |= SPAN_FINISHED
    segment = <Segment>span._segment
    above = span._above
    if FT_UNLIKELY(above == NULL or (<Span>above)._segment != <PyObject *>segment or span._extra is not None):
        span_finish_apart(span)
    elif not same_text(span._service, (<Span>above)._service) and span._service != NULL:
        span._flags |= SPAN_TOP_LEVEL
    if above != NULL:
        if FT_UNLIKELY((<Span>above)._flags & SPAN_FINISHED):
            span_compress(span)
    if FT_UNLIKELY(span._extra is not None and (<SpanExtra>span._extra).on_finish is not None):
        span_run_callbacks(span)
    if FT_UNLIKELY(segment.core is None or not span._flags & SPAN_IN_LIST):
        return 0
    if FT_UNLIKELY(segment.fork_count != id_fork_count or ft_fork_count != id_fork_count):
        return span_finish_foreign(span, segment)
    segment.open -= 1
    segment.finished += 1
    segment.core.open_count -= 1
    segment.core.finished_count += 1
    segment.core.held_count += 1
    if segment.open == 0:
        segment_flush(segment, False)
    elif segment.finished >= segment.core.partial_min_spans and part_is_worth_a_walk(segment):
        segment_flush(segment, True)
    return 0


cdef inline bint part_is_worth_a_walk(Segment segment) noexcept:
    """Whether a partial flush, which walks over all open spans, takes enough finished ones with it.

    Else a million open spans that finish one by one would cost the square of that. Says yes, as ddtrace
    does, while 2,400 spans are listed (at the default of 300). A part stays well below the largest chunk.
    """
    return segment.finished >= PART_MAX_SPANS or segment.finished * 8 >= segment.listed


cdef int span_finish_apart(Span span) except -1:
    """Top level of a span whose parent is none, another tracer's, or gone and replaced by its own."""
    cdef PyObject *above = span._above
    cdef PyObject *parent_service = NULL
    if span._flags & SPAN_LOCAL_ROOT:
        span._flags |= SPAN_TOP_LEVEL
        return 0
    if above != NULL:
        parent_service = (<Span>above)._service
    if span._extra is not None and (<SpanExtra>span._extra).parent_service != NULL:
        parent_service = (<SpanExtra>span._extra).parent_service
    if span._service != NULL and not same_text(span._service, parent_service):
        span._flags |= SPAN_TOP_LEVEL
    return 0


cdef int span_run_callbacks(Span span) except -1:
    """on_finish callbacks, once; what one raises is logged and stays here."""
    cdef SpanExtra extra = <SpanExtra>span._extra
    callbacks = extra.on_finish
    extra.on_finish = None
    for callback in callbacks:
        try:
            callback(span)
        except Exception as exc:
            warn("on_finish", "an on_finish callback raised %s" % type(exc).__name__)
    return 0


cdef int span_finish_foreign(Span span, Segment segment) except -1:
    """A span begun before a fork and finished in the child: the parent process sends it."""
    note_fork()
    segment.open -= 1
    segment.abandoned += 1
    if segment.open == 0:
        list_release(segment, segment_detach(segment))
    return 0


# -- flush ----------------------------------------------------------------------------------------------

cdef PyObject *segment_detach(Segment segment) noexcept:
    """The whole list; the segment starts anew."""
    cdef PyObject *head = segment.head
    segment.head = segment.tail = NULL
    segment.listed = segment.finished = segment.abandoned = 0
    return head


cdef PyObject *segment_detach_finished(Segment segment) noexcept:
    """The finished spans; the open ones stay listed, abandoned ones go too."""
    cdef PyObject *at = segment.head
    cdef PyObject *following
    cdef PyObject *out_head = NULL
    cdef PyObject *out_tail = NULL
    cdef uint32_t kept = 0
    segment.head = segment.tail = NULL
    while at != NULL:
        following = (<Span>at)._next
        (<Span>at)._next = NULL
        if (<Span>at)._flags & (SPAN_FINISHED | SPAN_ORPHAN):
            if out_tail == NULL:
                out_head = at
            else:
                (<Span>out_tail)._next = at
            out_tail = at
        else:
            if segment.tail == NULL:
                segment.head = at
            else:
                (<Span>segment.tail)._next = at
            segment.tail = at
            kept += 1
        at = following
    segment.listed = kept
    segment.finished = segment.abandoned = 0
    return out_head


cdef void keep_local_root(Span span) noexcept:
    """Notes the local root of a span in a joined trace before the way up to it is cut."""
    cdef SpanExtra extra
    root = span_local_root(span)
    if root is not span and <PyObject *>root != (<Segment>span._segment).root:
        extra = span_extra(span)
        if extra.local_root is None:
            extra.local_root = root


cdef void list_release(Segment segment, PyObject *at) noexcept:
    """Ends the list's hold on its spans: frees orphans, cuts what the others need no more."""
    cdef PyObject *following
    cdef PyObject *above
    cdef bint complete = segment.open == 0
    while at != NULL:
        following = (<Span>at)._next
        (<Span>at)._next = NULL
        if at == segment.root and not complete and not segment.root_owned and (<Span>at)._flags & SPAN_FINISHED:
            # Still the root of open spans: kept until the last of them is done.
            span_take(at)
            (<Span>at)._flags &= ~<uint32_t>SPAN_IN_LIST
            segment.root_owned = True
        elif (<Span>at)._flags & SPAN_ORPHAN:
            (<Span>at)._flags &= ~<uint32_t>(SPAN_IN_LIST | SPAN_ORPHAN)
            span_destroy(at)
        else:
            (<Span>at)._flags &= ~<uint32_t>SPAN_IN_LIST
            above = (<Span>at)._above
            if complete and above != NULL and (<Span>above)._segment == <PyObject *>segment:
                if segment.entries:
                    keep_local_root(<Span>at)
                # Everything of this trace is finished, so nobody will walk up from here again.
                (<Span>at)._above = NULL
                decref(above)
        at = following
    if complete and segment.root_owned:
        segment.root_owned = False
        above = segment.root
        if above != NULL:
            decref(above)


ctypedef int (*quiet_submit)(TracerCore, Segment, PyObject *, uint32_t, bint) noexcept
ctypedef bint (*quiet_tail)(TracerCore, Segment) noexcept


cdef bint segment_waits(TracerCore core, Segment segment, bint partial) noexcept:
    """Whether finished spans wait for the end of their trace, so that a rule can still keep it."""
    cdef int waits = 0
    if partial and core.is_enabled and segment.finished < CHUNK_MAX_SPANS:
        waits = <int>(<quiet_tail>tail_holds)(core, segment)
        if waits < 0:
            warn("internal", "a trace could not be held: %s" % take_error())
    if waits <= 0:
        tail_release(core, segment)
    return waits > 0


cdef void segment_flush(Segment segment, bint partial) noexcept:
    """Makes a chunk of the finished spans and hands it to the payload buffer; never raises."""
    cdef TracerCore core = segment.core
    cdef uint32_t n = segment.finished
    cdef PyObject *head
    if FT_UNLIKELY(core.tail) and segment_waits(core, segment, partial):
        return
    if partial:
        head = segment_detach_finished(segment)
    else:
        head = segment_detach(segment)
    if n and FT_UNLIKELY((<quiet_submit>core_submit)(core, segment, head, n, partial) < 0):
        warn("internal", "a chunk of %d spans was lost: %s" % (n, take_error()))
    list_release(segment, head)
