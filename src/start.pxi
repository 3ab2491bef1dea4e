# Starting spans: who is the parent, what is inherited, which Segment it joins.

cdef object core_active(TracerCore core):
    """Active Span or Context as seen by this tracer's context provider, or None."""
    if core.provider is not None:
        try:
            item = core.provider.active()
        except Exception as exc:
            warn("context_provider", "the context provider raised %s" % type(exc).__name__)
            return None
        return item if type(item) is Span or type(item) is Context else None
    return parent_of_item(active_item())


# What starts spans returns new references as pointers: handing an object on by way of Cython counts its
# references up and down at each step, on the same few counters, and each has to wait for the one before.

ctypedef int (*quiet_names)(Span, object, object, object) noexcept
ctypedef int (*quiet_under)(TracerCore, Segment, Span, Span, object, object, bint, bint) noexcept
ctypedef int (*quiet_new)(TracerCore, Segment, Span, object, bint) noexcept
ctypedef PyObject *(*quiet_child)(TracerCore, Span, PyObject *, object, object, object, object, bint, bint) noexcept


cdef PyObject *core_trace(TracerCore core, object name, object service, object resource, object span_type) except NULL:
    """trace(): the active item decides the parent; an unfinished span is found at once."""
    cdef PyObject *item = NULL
    cdef PyObject *parent
    cdef PyObject *started
    if FT_UNLIKELY(not core.is_enabled):
        incref(<PyObject *>noop_span)
        return <PyObject *>noop_span
    if FT_UNLIKELY(core.slow_start and core.provider is not None):
        return taken(core_start(core, core_active(core), name, service, resource, span_type, True))
    PyContextVar_Get(active_var, NULL, &item)
    if FT_LIKELY(item != NULL and type(<object>item) is Span):
        # Mostly the span to be the parent, or a finished child of it.
        parent = open_parent(item)
        if FT_LIKELY(parent != NULL):
            started = (<quiet_child>start_child)(core, <Span>parent, <PyObject *>(<Span>parent)._base, name, service,
                                                 resource, span_type, True, False)
            decref(item)
            return started
        if FT_LIKELY((<Span>item)._above == NULL and (<Span>item)._base is None):
            # Left over from a trace that is complete.
            decref(item)
            return start_trace(core, name, service, resource, span_type)
    return trace_slow(core, item, name, service, resource, span_type)


cdef inline PyObject *open_parent(PyObject *item) noexcept:
    """The stored span itself or the parent it ended under, if that one is open; else NULL."""
    cdef PyObject *above
    if not (<Span>item)._flags & SPAN_FINISHED:
        return item
    above = (<Span>item)._above
    if above != NULL and not (<Span>above)._flags & SPAN_FINISHED and (<Span>above)._base is (<Span>item)._base:
        return above
    return NULL


cdef PyObject *trace_slow(TracerCore core, PyObject *item, object name, object service, object resource,
                          object span_type) except NULL:
    """trace() when the parent is not at hand; takes over the reference to `item`."""
    if item == NULL or item == <PyObject *>None:
        Py_XDECREF(item)
        return start_trace(core, name, service, resource, span_type)
    stored = <object>item
    Py_DECREF(stored)
    live = live_item(stored)
    if type(live) is Span:
        return start_child(core, <Span>live, (<Span>live)._base, name, service, resource, span_type, True, False)
    if type(live) is AttachNode:
        parent = parent_of_item(live)
        if type(parent) is Span:
            return start_child(core, <Span>parent, live, name, service, resource, span_type, True, False)
        return taken(start_root(core, parent, live, name, service, resource, span_type, True))
    return taken(start_root(core, live, None, name, service, resource, span_type, True))


cdef object core_start(TracerCore core, object parent, object name, object service, object resource,
                       object span_type, bint activate):
    base = None
    if activate and core.provider is None:
        item = active_item()
        base = (<Span>item)._base if type(item) is Span else (item if type(item) is AttachNode else None)
    if type(parent) is Span and not (<Span>parent)._flags & SPAN_NOOP:
        return given(start_child(core, <Span>parent, base, name, service, resource, span_type, activate, True))
    if type(parent) is Span and (<Span>parent)._flags & SPAN_DISCARDED:
        if is_discarded_early(span_state(<Span>parent)):
            return parent
        parent = context_of(span_state(<Span>parent), (<Span>parent)._span_id)
    elif type(parent) is Span:
        parent = noop_context(<Span>parent)
    return start_root(core, parent, base, name, service, resource, span_type, activate)


cdef inline PyObject *new_span(object name, object resource, object span_type) except NULL:
    """A new reference to a span with an id and its names."""
    cdef PyObject *o = span_new()
    if FT_UNLIKELY((<quiet_names>span_take_names)(<Span>o, name, resource, span_type) < 0):
        decref(o)
        return NULL
    return o


cdef inline int span_take_names(Span span, object name, object resource, object span_type) except -1:
    """What is no text is coerced as ddtrace 4.x does."""
    span._call = <vectorcall_function>span_call
    span._span_id = next_id()
    if FT_LIKELY(type(name) is str and PyUnicode_GET_LENGTH(<PyObject *>name) <= TEXT_MAX_CHARS):
        Py_INCREF(name)
        span._name = <PyObject *>name
    else:
        replace_text(&span._name, text_or_empty(name))
    if resource is not None:
        if FT_LIKELY(type(resource) is str):
            span._resource = own_text(resource)
        else:
            replace_text(&span._resource, text_or_empty(resource))
    if span_type is not None:
        span_set_type(span, span_type)
    return 0


cdef inline int begin(TracerCore core, Segment segment, Span span, bint activate, int64_t now_ns=0) except -1:
    """Lists the span, starts its clock and makes it active: the last steps of every start.

    now_ns: monotonic, if it was read just now; else 0.
    """
    if FT_UNLIKELY(core.profile is not segment.profile):
        span_own_current(core, span)
    if FT_UNLIKELY(segment.state.has_objects):
        span_track(<PyObject *>span)
    segment_add(segment, span)
    core.open_count += 1
    span._start_ns = now_ns if now_ns else ft_now_ns()
    if FT_UNLIKELY(core.slow_start):
        return begin_slow(core, span, activate)
    return set_active(<PyObject *>span) if activate else 0


cdef int begin_slow(TracerCore core, Span span, bint activate) except -1:
    """Hooks, service mapping and a custom context provider."""
    if core.service_mapping is not None and span._service != NULL:
        mapped = core.service_mapping.get(<object>span._service)
        if mapped is not None:
            replace_text(&span._service, text_or_none(mapped))
    if activate:
        if core.provider is None:
            set_active(<PyObject *>span)
        else:
            try:
                core.provider.activate(span)
            except Exception as exc:
                warn("context_provider", "the context provider raised %s" % type(exc).__name__)
    for hook in core.start_hooks:
        try:
            hook(span)
        except Exception as exc:
            warn("on_start", "an on_start_span hook raised %s" % type(exc).__name__)
    return 0


cdef int span_own_current(TracerCore core, Span span) except -1:
    """The tracer's tags changed since the trace began: this span gets copies of the new ones."""
    cdef StaticTags tags = core.profile.tags
    span_own_static(span)
    for key in (<Segment>span._segment).profile.tags.meta:
        if key not in tags.meta:
            tags_remove(span._tags, <PyObject *>key)
    for key in (<Segment>span._segment).profile.tags.metrics:
        if key not in tags.metrics:
            tags_remove(span._tags, <PyObject *>key)
    for key, value in tags.meta.items():
        tags_put_text(&span._tags, <PyObject *>key, value)
    for key, value in tags.metrics.items():
        tags_put_number(&span._tags, <PyObject *>key, value)
    return 0


cdef PyObject *start_child(TracerCore core, Span parent, object base, object name, object service, object resource,
                           object span_type, bint activate, bint explicit) except NULL:
    """A span with a local parent; `explicit`: named by the caller, not found as the active one."""
    cdef PyObject *segment = parent._segment
    cdef PyObject *state = <PyObject *>(<Segment>segment).state
    cdef PyObject *span
    if FT_UNLIKELY((<TraceState>state).discarded == DISCARDED_EARLY and (<TraceState>state).priority <= 0):
        return taken(discarded_span(<Segment>segment, <TraceState>state, parent._span_id))
    if FT_UNLIKELY((<Segment>segment).core is not core or (<Segment>segment).fork_count != id_fork_count
                   or ft_fork_count != id_fork_count or core.open_count >= core.open_max):
        return taken(start_apart(core, parent, base, name, service, resource, span_type, activate))
    span = new_span(name, resource, span_type)
    if FT_UNLIKELY((<quiet_under>begin_under)(core, <Segment>segment, <Span>span, parent, base, service, activate,
                                              explicit) < 0):
        decref(span)
        return NULL
    return span


cdef inline int begin_under(TracerCore core, Segment segment, Span span, Span parent, object base, object service,
                            bint activate, bint explicit) except -1:
    cdef PyObject *root
    incref(<PyObject *>segment)
    span._segment = <PyObject *>segment
    incref(<PyObject *>parent)
    span._above = <PyObject *>parent
    span._parent_id = parent._span_id
    if base is not None:
        span._base = base
    if service is None:
        if parent._service != NULL:
            incref(parent._service)
            span._service = parent._service
    elif FT_LIKELY(type(service) is str):
        span._service = own_text(service)
    else:
        replace_text(&span._service, text_or_none(service))
    if segment.profile.version.texts:
        if FT_UNLIKELY(segment.entries or explicit):
            span_set_version(core, span)
        else:
            root = segment.root
            if root != NULL and (<Span>root)._flags & (SPAN_VERSION | SPAN_USER_VERSION) \
                    and same_text((<Span>root)._service, span._service):
                span._flags |= SPAN_VERSION
    if segment.state.inherited is not None:
        span._flags |= SPAN_INHERITS
    if FT_UNLIKELY(parent._above != NULL and (<Span>parent._above)._flags & SPAN_FINISHED):
        span_compress(parent)
    return begin(core, segment, span, activate)


cdef int span_set_version(TracerCore core, Span span) except -1:
    """The version belongs to spans of the service whose root, the active one, has it (4.x rule)."""
    cdef Span root
    item = core_active(core)
    if type(item) is Span and not (<Span>item)._flags & SPAN_NOOP:
        root = <Span>span_local_root(<Span>item)
        if root._flags & (SPAN_VERSION | SPAN_USER_VERSION) and same_text(root._service, span._service):
            span._flags |= SPAN_VERSION
    elif same_text(span._service, <PyObject *>core.profile.service):
        span._flags |= SPAN_VERSION
    return 0


cdef object start_apart(TracerCore core, Span parent, object base, object name, object service, object resource,
                        object span_type, bint activate):
    """A child whose parent is another tracer's, or lives on in the process this one was forked from."""
    cdef Segment theirs = <Segment>parent._segment
    cdef Segment segment
    cdef Span span
    note_fork()
    if theirs.fork_count != id_fork_count:
        # The parent process sends the parent span; here it is remote.
        return start_root(core, context_of(theirs.state, parent._span_id), base, name, service, resource, span_type,
                          activate)
    if core.open_count >= core.open_max:
        return too_many_open(core)
    segment = join_segment(core, theirs.state) if theirs.core is not core else theirs
    span = <Span>given(new_span(name, resource, span_type))
    Py_INCREF(segment)
    span._segment = <PyObject *>segment
    Py_INCREF(parent)
    span._above = <PyObject *>parent
    span._parent_id = parent._span_id
    span._base = base
    if service is not None:
        replace_text(&span._service, text_or_none(service))
    elif parent._service != NULL:
        replace_text(&span._service, <object>parent._service)
    if segment.root == NULL:
        segment.root = <PyObject *>span
    if segment.profile.version.texts:
        span_set_version(core, span)
    if segment.state.inherited is not None:
        span._flags |= SPAN_INHERITS
    begin(core, segment, span, activate)
    return span


cdef object too_many_open(TracerCore core):
    warn("open_spans", "more than %d spans are open: further ones are not recorded" % core.open_max)
    core.unrecorded_count += 1
    return noop_span


cdef PyObject *start_trace(TracerCore core, object name, object service, object resource, object span_type) except NULL:
    """The local root of a new trace that knows of no other; made active."""
    cdef PyObject *segment
    cdef PyObject *span
    note_fork()
    if FT_UNLIKELY(core.open_count >= core.open_max):
        return taken(too_many_open(core))
    span = new_span(name, resource, span_type)
    segment = (<quiet_segment>segment_of_new_trace)(core)
    if FT_UNLIKELY(segment == NULL):
        decref(span)
        return NULL
    (<Span>span)._segment = segment
    if FT_UNLIKELY((<quiet_new>begin_trace)(core, <Segment>segment, <Span>span, service, resource is not None) < 0):
        decref(span)
        return NULL
    return span


cdef inline int begin_trace(TracerCore core, Segment segment, Span span, object service, bint has_resource) except -1:
    cdef int64_t now_ns = set_trace_ids(core, segment.state)
    span._flags = SPAN_LOCAL_ROOT | SPAN_NEW_TRACE
    root_take_service(core, segment, span, service)
    segment.root = <PyObject *>span
    if FT_UNLIKELY(core.discards_early):
        discard_early(core, segment, span, has_resource)
    return begin(core, segment, span, True, now_ns)


cdef inline int64_t set_trace_ids(TracerCore core, TraceState state) noexcept:
    """A fresh trace id and the offset to the wall clock; returns monotonic time."""
    cdef int64_t now_ns = ft_now_ns()
    cdef int64_t wall_ns = root_wall_ns(now_ns)
    state.offset_ns = wall_offset_ns
    new_trace_id(state, wall_ns)
    if FT_UNLIKELY(not core.wide_ids):
        state.id_high = 0
    return now_ns


cdef inline void new_trace_id(TraceState state, int64_t wall_ns) noexcept:
    """A fresh 128-bit id: 32 bits of Unix seconds, 32 zeros, 64 random bits."""
    state.id_low = next_id()
    state.id_high = <uint64_t>(wall_ns // 1_000_000_000) << 32


cdef inline int root_take_service(TracerCore core, Segment segment, Span span, object service) except -1:
    if service is not None:
        replace_text(&span._service, text_or_none(service))
    elif segment.profile.service is not None:
        incref(<PyObject *>segment.profile.service)
        span._service = <PyObject *>segment.profile.service
    return span_set_version(core, span) if segment.profile.version.texts else 0


cdef object start_root(TracerCore core, object context, object base, object name, object service, object resource,
                       object span_type, bint activate):
    """A span without local parent: of a new trace, or under a Context (remote or of another thread)."""
    cdef TraceState state
    cdef Segment segment
    cdef Span span
    cdef Context above = None
    cdef int64_t now_ns = 0
    note_fork()
    if FT_UNLIKELY(core.open_count >= core.open_max):
        return too_many_open(core)
    span = <Span>given(new_span(name, resource, span_type))
    span._flags = SPAN_LOCAL_ROOT
    if type(context) is Context:
        above = <Context>context
    if above is not None and (above._state.id_low | above._state.id_high):
        state = above._state
        span._parent_id = above._span_id
        segment = join_segment(core, state)
        if FT_UNLIKELY(state.discarded) and is_discarded_early(state):
            return discarded_span(segment, state, above._span_id)
        if state.segments == <PyObject *>segment and segment.listed == 0 and segment.root == NULL and above._is_remote:
            # First span here: the trace's clock is ours from now on.
            now_ns = ft_now_ns()
            root_wall_ns(now_ns)
            state.offset_ns = wall_offset_ns
        if state.inherited is not None:
            span._flags |= SPAN_INHERITS
        if above._span_id == 0:
            span._flags |= SPAN_NEW_TRACE
    else:
        state = above._state.copy() if above is not None else state_new()
        now_ns = set_trace_ids(core, state)
        segment = new_segment(core, state)
        span._flags |= SPAN_NEW_TRACE
    Py_INCREF(segment)
    span._segment = <PyObject *>segment
    if base is not None:
        span._base = base
    root_take_service(core, segment, span, service)
    if segment.root == NULL:
        segment.root = <PyObject *>span
    else:
        segment.entries = True
    if FT_UNLIKELY(core.discards_early and not state.has_priority):
        discard_early(core, segment, span, resource is not None)
    if FT_UNLIKELY(above is not None and above._span_links):
        for link in above._span_links:
            span_copy_link(span, link)
    begin(core, segment, span, activate, now_ns)
    return span
