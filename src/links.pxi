# Span links, span events and errors: what few spans have, kept in SpanExtra.

cdef enum:
    LINK_ATTRIBUTES_MAX = 1_000  # of one link, when sequences are spread out; the others are left out
    LINK_ATTRIBUTE_DEPTH = 20    # of sequences in sequences; what is deeper is "..."

cdef object errors_module():
    return load_module("fasttrace.errors")


cdef int span_set_exception(Span span, object exc_type, object exc_val, object exc_tb, object limit) except -1:
    """error=1 with type, message and stack; a failure in there is logged, never raised."""
    cdef TracerCore core
    if span._flags & SPAN_NOOP:
        return 0
    core = (<Segment>span._segment).core
    try:
        if limit is None and core is not None:
            limit = core.traceback_max_frames
        errors_module().capture(span, exc_type, exc_val, exc_tb, limit)
    except Exception as exc:
        span._flags |= SPAN_ERROR
        warn("error_capture", "an exception could not be described: %s" % type(exc).__name__)
    return 0


cdef int span_add_event(Span span, object name, object attributes, object time_unix_nano) except -1:
    """An event: (name, wall time in ns, attributes)."""
    cdef SpanExtra extra
    if span._flags & SPAN_NOOP:
        return 0
    extra = span_extra(span)
    if extra.events is None:
        extra.events = []
    if time_unix_nano is None:
        time_unix_nano = ft_os_realtime_ns()
    extra.events.append((plain_text(str(name)), int(time_unix_nano), dict(attributes) if attributes else {}))
    return 0


cdef int span_link_context(Span span, object context, object attributes) except -1:
    cdef Context link
    if not isinstance(context, Context):
        warn("link", "link_span takes a Context, got %s" % type(context).__name__)
        return 0
    link = <Context>context
    trace_id = link._state.trace_id()
    if trace_id is None or not link._span_id:
        warn("link", "a span link needs a trace id and a span id: ignored")
        return 0
    flags = 1 if link._state.has_priority and link._state.priority > 0 else 0
    try:
        tracestate = errors_module().tracestate_of(link)
    except Exception as exc:
        warn("link", "a link's tracestate was left out: %s" % type(exc).__name__)
        tracestate = None
    return span_add_link(span, trace_id, link._span_id, tracestate, flags, attributes)


cdef int span_add_link(Span span, object trace_id, object span_id, object tracestate, object flags,
                       object attributes) except -1:
    """A link: (trace id, span id, tracestate, flags, flat attributes); one per linked span."""
    cdef SpanExtra extra
    if span._flags & SPAN_NOOP:
        return 0
    if not isinstance(trace_id, int) or not isinstance(span_id, int) or not 0 <= trace_id <= TRACE_ID_MAX \
            or not 0 <= span_id <= SPAN_ID_MAX:
        warn("link", "a span link needs an int trace id and an int span id: ignored")
        return 0
    flat = {}
    try:
        if attributes:
            for key, value in attributes.items():
                flatten_attribute(flat, str(key), value, 0)
    except Exception as exc:
        warn("link_attributes", "attributes of a link were left out: %s" % type(exc).__name__)
    try:
        flags = None if flags is None else int(flags) & 0x7FFFFFFF
        tracestate = None if tracestate is None else plain_text(str(tracestate))
    except Exception as exc:
        warn("link_flags", "flags and tracestate of a link were left out: %s" % type(exc).__name__)
        flags = tracestate = None
    extra = span_extra(span)
    link = (int(trace_id), int(span_id), tracestate, flags, flat)
    if extra.links is None:
        extra.links = []
    for i, old in enumerate(extra.links):
        if old[1] == span_id and "ptr.kind" not in old[4]:
            extra.links[i] = link
            return 0
    extra.links.append(link)
    return 0


cdef int span_copy_link(Span span, object link) except -1:
    """A link given to the constructor or carried by a Context: one of ours or an object like it."""
    if type(link) is tuple and len(link) == 5:
        return span_add_link(span, link[0], link[1], link[2], link[3], link[4])
    return span_add_link(span, getattr(link, "trace_id", None), getattr(link, "span_id", None),
                         getattr(link, "tracestate", None), getattr(link, "flags", None),
                         getattr(link, "attributes", None))


cdef int flatten_attribute(dict flat, str key, object value, int depth) except -1:
    """Sequences become key.0, key.1 ...; booleans lower-case text; everything else its text."""
    cdef int i = 0
    if len(flat) >= LINK_ATTRIBUTES_MAX:
        return 0
    if depth > LINK_ATTRIBUTE_DEPTH:
        flat[plain_text(key)] = "..."
        return 0
    if isinstance(value, (list, tuple)):
        for item in value:
            if len(flat) >= LINK_ATTRIBUTES_MAX:
                break
            flatten_attribute(flat, "%s.%d" % (key, i), item, depth + 1)
            i += 1
        return 0
    try:
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    except Exception:
        text = ""
    flat[plain_text(key)] = plain_text(text)
    return 0


cdef list span_add_rare(Span span, Segment segment, dict meta, bint native, bint native_events):
    """Events and links as JSON in `meta`; where the format has a slot for links, their maps instead."""
    cdef SpanExtra extra
    if span._extra is None:
        return []
    extra = <SpanExtra>span._extra
    if extra.events and not native_events:
        if native and segment.core is not None:
            segment.core._events_as_json = True
        meta[TEXT_EVENTS] = errors_module().events_json(extra.events)
    if not extra.links:
        return []
    if not native:
        meta[TEXT_LINKS] = errors_module().links_json(extra.links)
        return []
    maps = []
    for trace_id, span_id, tracestate, flags, attributes in extra.links:
        item = {"trace_id": trace_id & SPAN_ID_MAX, "trace_id_high": trace_id >> 64, "span_id": span_id}
        if attributes:
            item["attributes"] = attributes
        if tracestate:
            item["tracestate"] = tracestate
        if flags is not None:
            item["flags"] = flags | 0x80000000
        maps.append(item)
    return maps
