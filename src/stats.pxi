# Statistics of spans, counted here so that the agent need not see the traces that are rejected.
#
# What counts: entries of a service, spans that are marked as measured, and those of a kind that has
# another side. They are grouped by what they are and by the interval they ended in.

cdef enum:
    STATS_GROUPS_MAX = 8192      # in one interval; more are counted under one resource
    STATS_BUCKETS_MAX = 64       # intervals; spans that ended before them count in the oldest

cdef str TEXT_MEASURED = "_dd.measured"
cdef str TEXT_KIND = "span.kind"
cdef str TEXT_STATUS_CODE = "http.status_code"
cdef str TEXT_BLOCKED = "tracer_blocked_value"   # what the agent's own clients put there


@cython.internal
@cython.final
cdef class StatsGroup:
    """Sums of equal spans in one interval. Durations in nanoseconds."""
    cdef uint64_t hits, top_level_hits, errors, duration_ns
    cdef Sketch succeeded, failed


@cython.internal
@cython.final
cdef class StatsTable:
    """What was counted and not yet taken."""
    cdef int64_t interval_ns
    cdef dict buckets            # start of the interval, wall clock -> dict of key -> StatsGroup
    cdef frozenset kinds         # values of span.kind that count
    cdef tuple peer_tags         # tags that tell peers apart, on spans of kinds with a peer
    cdef frozenset peer_kinds


cdef object plain_tag(Span span, str key):
    """A tag of the span itself as str, int or float, or None."""
    cdef Py_ssize_t at
    cdef Tag *tag
    if span._tags == NULL:
        return None
    at = tags_find(span._tags, <PyObject *>key)
    if at < 0:
        return None
    tag = &span._tags.tags[at]
    return <object>tag.value.text if tag.kind == TAG_TEXT else tag_number(tag)


cdef int count_chunk(StatsTable table, Segment segment, PyObject *at) except -1:
    """Counts the finished spans of a list that count."""
    cdef object kind
    cdef bint top_level
    while at != NULL:
        if (<Span>at)._flags & SPAN_FINISHED:
            top_level = (<Span>at)._flags & SPAN_TOP_LEVEL != 0
            kind = None
            if (<Span>at)._tags != NULL:
                kind = plain_tag(<Span>at, TEXT_KIND)
            if top_level or (kind is not None and kind in table.kinds) or \
                    ((<Span>at)._tags != NULL and plain_tag(<Span>at, TEXT_MEASURED) == 1):
                count_span(table, segment, <Span>at, top_level, kind)
        at = (<Span>at)._next
    return 0


cdef int count_span(StatsTable table, Segment segment, Span span, bint top_level, object kind) except -1:
    cdef TraceState state = span_state(span)
    cdef int64_t end_ns = span._start_ns + state.offset_ns + span._duration_ns
    cdef int64_t start_ns = end_ns - end_ns % table.interval_ns
    cdef PyObject *found = PyDict_GetItemWithError(table.buckets, start_ns)
    cdef PyObject *resource = span_resource_raw(span)
    cdef StatsGroup group
    cdef dict bucket
    cdef int status = 0
    cdef tuple peers = None
    if found != NULL:
        bucket = <dict>found
    elif len(table.buckets) >= STATS_BUCKETS_MAX:
        bucket = table.buckets[min(table.buckets)]
    else:
        bucket = table.buckets[start_ns] = {}
    code = plain_tag(span, TEXT_STATUS_CODE)
    if code is not None:
        try:
            status = int(code)
        except (ValueError, OverflowError):
            pass
    if table.peer_tags and kind is not None and kind in table.peer_kinds:
        values = []
        for name in table.peer_tags:
            value = plain_tag(span, name)
            if type(value) is str and value:
                values.append("%s:%s" % (name, value))
        peers = tuple(values) or None
    key = (<object>name_or_empty(span._name), <object>name_or_empty(span._service), <object>name_or_empty(resource),
           <object>span_type_raw(span) if span._type else TEXT_EMPTY, status,
           state.origin is not None and state.origin.startswith("synthetics"),
           kind if type(kind) is str else TEXT_EMPTY, span._parent_id == 0, peers)
    found = PyDict_GetItemWithError(bucket, key)
    if found == NULL and len(bucket) >= STATS_GROUPS_MAX:
        key = (TEXT_BLOCKED, key[1], TEXT_BLOCKED, TEXT_EMPTY, 0, False, TEXT_EMPTY, key[7], None)
        found = PyDict_GetItemWithError(bucket, key)
    if found != NULL:
        group = <StatsGroup>found
    else:
        group = StatsGroup.__new__(StatsGroup)
        group.succeeded = Sketch.__new__(Sketch)
        group.failed = Sketch.__new__(Sketch)
        bucket[key] = group
    group.hits += 1
    group.top_level_hits += top_level
    group.duration_ns += <uint64_t>span._duration_ns
    if span._flags & SPAN_ERROR:
        group.errors += 1
        sketch_add(group.failed, span._duration_ns)
    else:
        sketch_add(group.succeeded, span._duration_ns)
    return 0


cdef inline PyObject *name_or_empty(PyObject *text) noexcept:
    return text if text != NULL else <PyObject *>TEXT_EMPTY


cdef list take_stats(StatsTable table, int64_t before_ns):
    """Intervals that ended before a moment (wall clock), each with its groups; they are gone then."""
    cdef list taken = []
    cdef StatsGroup group
    cdef int64_t start_ns
    for start in sorted(table.buckets):
        start_ns = start
        if start_ns + table.interval_ns > before_ns:
            continue
        groups = []
        for key, value in (<dict>table.buckets.pop(start)).items():
            group = <StatsGroup>value
            groups.append((key, group.hits, group.top_level_hits, group.errors, group.duration_ns,
                           sketch_bytes(group.succeeded), sketch_bytes(group.failed)))
        taken.append((start, groups))
    return taken
