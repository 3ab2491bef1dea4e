# v0.5: a span is an array of 12, and every string an index into the payload's table.

cdef int put_span_v05(Payload payload, Span span, Segment segment, bint first, uint32_t partial) except -1:
    cdef Buffer *out = &payload.body
    cdef unsigned char *p
    cdef Plan plan
    cdef PlanPair *pair
    cdef StaticTags tags
    cdef TagBlock *block = span._tags
    cdef Tag *tag
    cdef uint32_t i
    cdef int k
    cdef PyObject *name = span._name if span._name != NULL else <PyObject *>TEXT_EMPTY
    plan_begin(&plan, span)
    plan_any(&plan, span, segment, first, partial)
    p = buffer_reserve(out, out.data + out.used, 128)
    p[0] = 0x9c
    p = wire_put_uint(p + 1, string_index(payload, span._service if span._service != NULL else <PyObject *>TEXT_EMPTY))
    p = wire_put_uint(p, string_index(payload, name))
    p = wire_put_uint(p, string_index(payload, span._resource if span._resource != NULL else name))
    p = wire_put_uint(p, (<Segment>span._segment).state.id_low)
    p = wire_put_uint(p, span._span_id)
    p = wire_put_uint(p, span._parent_id)
    p = wire_put_int(p, span._start_ns + (<Segment>span._segment).state.offset_ns)
    p = wire_put_int(p, span._duration_ns)
    p = wire_put_int(p, span.error if span._flags & SPAN_ERROR else 0)
    if FT_UNLIKELY(span._flags & SPAN_COLLIDES or span._extra is not None):
        p = put_tags_v05_slow(payload, p, span, segment, &plan)
        p = wire_put_uint(p, string_index(payload, type_or_empty(span)))
        out.used = p - out.data
        return 0
    p = wire_put_map_header(p, plan.texts)
    for k in range(plan.shared_count):
        tags = <StaticTags>plan.shared[k]
        if tags.texts:
            p = put_items_v05(payload, p, tags.meta)
    for k in range(plan.pair_count):
        pair = &plan.pairs[k]
        if pair.text != NULL:
            p = buffer_reserve(out, p, 64)
            p = wire_put_uint(p, string_index(payload, pair.key))
            p = wire_put_uint(p, string_index(payload, pair.text))
    if block != NULL and block.texts:
        for i in range(block.used):
            tag = &block.tags[i]
            if tag.kind == TAG_TEXT:
                p = buffer_reserve(out, p, 64)
                p = wire_put_uint(p, string_index(payload, tag.key))
                p = wire_put_uint(p, string_index(payload, tag.value.text))
    p = wire_put_map_header(buffer_reserve(out, p, 64), plan.numbers)
    for k in range(plan.shared_count):
        tags = <StaticTags>plan.shared[k]
        if tags.numbers:
            p = put_items_v05(payload, p, tags.metrics)
    for k in range(plan.pair_count):
        pair = &plan.pairs[k]
        if pair.text == NULL:
            p = wire_put_uint(buffer_reserve(out, p, 64), string_index(payload, pair.key))
            p = wire_put_double(p, pair.real) if pair.is_real else wire_put_int(p, pair.number)
    if block != NULL and block.used != block.texts:
        for i in range(block.used):
            tag = &block.tags[i]
            if tag.kind != TAG_TEXT:
                p = wire_put_uint(buffer_reserve(out, p, 64), string_index(payload, tag.key))
                p = wire_put_int(p, tag.value.whole) if tag.kind == TAG_INT else wire_put_double(p, tag.value.real)
    p = wire_put_uint(buffer_reserve(out, p, 64), string_index(payload, type_or_empty(span)))
    out.used = p - out.data
    return 0


cdef inline PyObject *type_or_empty(Span span) noexcept:
    return span_type_raw(span) if span._type else <PyObject *>TEXT_EMPTY


cdef unsigned char *put_items_v05(Payload payload, unsigned char *p, dict items) except NULL:
    """Pairs of index and index (text) or index and number."""
    for key, value in items.items():
        p = buffer_reserve(&payload.body, p, 64)
        p = wire_put_uint(p, string_index(payload, <PyObject *>key))
        if type(value) is str:
            p = wire_put_uint(p, string_index(payload, <PyObject *>value))
        else:
            p = put_value(&payload.body, p, value)
    return buffer_reserve(&payload.body, p, 64)


cdef unsigned char *put_tags_v05_slow(Payload payload, unsigned char *p, Span span, Segment segment,
                                      Plan *plan) except NULL:
    """Tags of a span with links or events, or that may share names with ours."""
    cdef dict meta, metrics
    meta, metrics = plan_merge(plan, span)
    span_add_rare(span, segment, meta, False, False)
    p = wire_put_map_header(p, <uint32_t>len(meta))
    p = put_items_v05(payload, p, meta)
    p = wire_put_map_header(p, <uint32_t>len(metrics))
    return put_items_v05(payload, p, metrics)


cdef int encode_chunk_v05(Payload payload, Segment segment, PyObject *at, uint32_t n, uint32_t partial) except -1:
    """Appends a chunk of the `n` finished spans of a list; if it fails, the caller cuts off what is there."""
    cdef Buffer *out = &payload.body
    cdef unsigned char *p
    cdef bint first = True
    p = buffer_reserve(out, out.data + out.used, 64)
    out.used = wire_put_array_header(p, n) - out.data
    while at != NULL:
        if (<Span>at)._flags & SPAN_FINISHED:
            put_span_v05(payload, <Span>at, segment, first, partial)
            first = False
        at = (<Span>at)._next
    return 0
