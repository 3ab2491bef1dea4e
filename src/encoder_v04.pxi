# v0.4: a span is a map with string keys. The fields of constant size come from one template.

cdef const char *V04_META = b"\xa4meta"
cdef const char *V04_METRICS = b"\xa7metrics"
cdef const char *V04_LINKS = b"\xaaspan_links"
cdef const char *V04_EVENTS = b"\xabspan_events"
cdef str TEXT_NAME = "name"
cdef str TEXT_TIME = "time_unix_nano"
cdef str TEXT_ATTRIBUTES = "attributes"
cdef str TEXT_TYPE = "type"
cdef str TEXT_VALUES = "values"
cdef str TEXT_STRING_VALUE = "string_value"
cdef str TEXT_BOOL_VALUE = "bool_value"
cdef str TEXT_INT_VALUE = "int_value"
cdef str TEXT_DOUBLE_VALUE = "double_value"
cdef str TEXT_ARRAY_VALUE = "array_value"


cdef inline unsigned char *put_shared(Buffer *out, unsigned char *p, Buffer *wire) except NULL:
    return wire_copy_padded(buffer_reserve(out, p, wire.used + 64), wire.data, wire.used)    # leaves 64


cdef unsigned char *put_dict(Buffer *out, unsigned char *p, dict items) except NULL:
    p = wire_put_map_header(buffer_reserve(out, p, 64), <uint32_t>len(items))
    for key, value in items.items():
        p = put_value(out, put_text(out, p, <PyObject *>key), value)
    return buffer_reserve(out, p, 64)


cdef unsigned char *put_span_v04(Buffer *out, unsigned char *p, Span span, Segment segment, bint first,
                                 uint32_t partial) except NULL:
    """Writes one span; on entry and on return there is room for at least 64 bytes."""
    cdef Plan plan
    cdef PlanPair *pair
    cdef StaticTags sole
    cdef TagBlock *block = span._tags
    cdef Tag *tag
    cdef uint32_t i, fields
    cdef int k
    cdef size_t head
    cdef TraceState state = (<Segment>span._segment).state
    plan_span(&plan, span, segment, first, partial)
    if FT_UNLIKELY(span._flags & SPAN_COLLIDES or span._extra is not None):
        return put_span_v04_slow(out, p, span, segment, &plan)
    p = buffer_reserve(out, p, WIRE_FIXED_SIZE + NAMES_MAX_BYTES + 64)
    head = p - out.data
    fields = 8 + (span._type != 0) + (span._flags & SPAN_ERROR != 0)
    p = wire_put_v04_fixed(p, state.id_low, span._span_id, span._parent_id,
                           span._start_ns + state.offset_ns, span._duration_ns)
    p = put_names(out, p, span)
    if FT_LIKELY(block == NULL and plan.pair_count == 0 and plan.shared_count <= 1):
        if plan.shared_count:
            sole = <StaticTags>plan.shared[0]
            if FT_LIKELY(sole.fields):
                out.data[head] = <unsigned char>(0x80 | (fields + sole.fields))
                return put_shared(out, p, &sole.fields_wire)
        else:
            out.data[head] = <unsigned char>(0x80 | fields)
            return buffer_reserve(out, p, 64)
    if plan.texts:
        fields += 1
        p = wire_put_map_header(put_raw(p, V04_META, 5), plan.texts)
        for k in range(plan.shared_count):
            p = put_shared(out, p, &(<StaticTags>plan.shared[k]).meta_wire)
        for k in range(plan.pair_count):
            pair = &plan.pairs[k]
            if pair.text != NULL:
                p = put_text(out, put_text(out, p, pair.key), pair.text)    # one call of put_pair: it is inlined
        if block != NULL and block.texts:
            for i in range(block.used):
                tag = &block.tags[i]
                if tag.kind == TAG_TEXT:
                    p = put_pair(out, p, tag.key, tag.value.text)
    if plan.numbers:
        fields += 1
        p = wire_put_map_header(put_raw(p, V04_METRICS, 8), plan.numbers)
        for k in range(plan.shared_count):
            p = put_shared(out, p, &(<StaticTags>plan.shared[k]).metrics_wire)
        for k in range(plan.pair_count):
            pair = &plan.pairs[k]
            if pair.text == NULL:
                p = put_text(out, p, pair.key)
                p = wire_put_double(p, pair.real) if pair.is_real else wire_put_int(p, pair.number)
        if block != NULL and block.used != block.texts:
            for i in range(block.used):
                tag = &block.tags[i]
                if tag.kind == TAG_INT:
                    p = wire_put_int(put_text(out, p, tag.key), tag.value.whole)
                elif tag.kind == TAG_FLOAT:
                    p = wire_put_double(put_text(out, p, tag.key), tag.value.real)
        p = buffer_reserve(out, p, 64)
    out.data[head] = <unsigned char>(0x80 | fields)
    return p


cdef unsigned char *put_span_v04_slow(Buffer *out, unsigned char *p, Span span, Segment segment,
                                      Plan *plan) except NULL:
    """The same for a span with links or events, or with tags that may share names with ours."""
    cdef TraceState state = (<Segment>span._segment).state
    cdef uint32_t fields = 8 + (span._type != 0) + (span._flags & SPAN_ERROR != 0)
    cdef size_t head
    cdef dict meta, metrics
    # Asked once: the agent's answer may come in between.
    cdef bint native_events = segment.core is not None and segment.core.native_events
    meta, metrics = plan_merge(plan, span)
    links = span_add_rare(span, segment, meta, True, native_events)
    p = buffer_reserve(out, p, WIRE_FIXED_SIZE + NAMES_MAX_BYTES + 64)
    head = p - out.data
    p = wire_put_v04_fixed(p, state.id_low, span._span_id, span._parent_id,
                           span._start_ns + state.offset_ns, span._duration_ns)
    p = put_names(out, p, span)
    if meta:
        fields += 1
        p = put_dict(out, put_raw(p, V04_META, 5), meta)
    if metrics:
        fields += 1
        p = put_dict(out, put_raw(p, V04_METRICS, 8), metrics)
    if links:
        fields += 1
        p = wire_put_array_header(put_raw(p, V04_LINKS, 11), <uint32_t>len(links))
        for link in links:
            p = put_link(out, p, link)
    if native_events and span._extra is not None and (<SpanExtra>span._extra).events:
        fields += 1
        p = put_events(out, put_raw(p, V04_EVENTS, 12), (<SpanExtra>span._extra).events)
    out.data[head] = <unsigned char>(0x80 | fields)    # 13 at most
    return buffer_reserve(out, p, 64)


cdef unsigned char *put_events(Buffer *out, unsigned char *p, list events) except NULL:
    """Span events in their native slot; attributes are typed maps (ddtrace 4.x, agent 7.63)."""
    p = wire_put_array_header(p, <uint32_t>len(events))
    for name, time_unix_nano, attributes in events:
        p = wire_put_map_header(buffer_reserve(out, p, 64), 3 if attributes else 2)
        p = put_text(out, put_text(out, p, <PyObject *>TEXT_NAME), <PyObject *>name)
        p = wire_put_uint(put_text(out, p, <PyObject *>TEXT_TIME), time_unix_nano)
        if attributes:
            p = put_text(out, p, <PyObject *>TEXT_ATTRIBUTES)
            p = wire_put_map_header(p, <uint32_t>len(attributes))
            for key, value in attributes.items():
                text = plain_text(str(key))
                p = put_text(out, buffer_reserve(out, p, 64), <PyObject *>text)
                p = put_attribute(out, p, value)
    return buffer_reserve(out, p, 64)


cdef unsigned char *put_attribute(Buffer *out, unsigned char *p, object value) except NULL:
    """{type: 0 str, 1 bool, 2 int, 3 float or 4 list, <slot of that type>: value}."""
    p = wire_put_map_header(buffer_reserve(out, p, 64), 2)
    p = put_text(out, p, <PyObject *>TEXT_TYPE)
    if isinstance(value, (list, tuple)):
        p = put_text(out, wire_put_uint(p, 4), <PyObject *>TEXT_ARRAY_VALUE)
        p = put_text(out, wire_put_map_header(p, 1), <PyObject *>TEXT_VALUES)
        p = wire_put_array_header(p, <uint32_t>len(value))
        for item in value:
            p = put_attribute(out, p, item)
        return buffer_reserve(out, p, 64)
    if isinstance(value, bool):
        p = put_text(out, wire_put_uint(p, 1), <PyObject *>TEXT_BOOL_VALUE)
        p[0] = 0xc3 if value else 0xc2
        return p + 1
    if isinstance(value, int) and as_metric(value) is not None:
        return wire_put_int(put_text(out, wire_put_uint(p, 2), <PyObject *>TEXT_INT_VALUE), value)
    if isinstance(value, float):
        return wire_put_double(put_text(out, wire_put_uint(p, 3), <PyObject *>TEXT_DOUBLE_VALUE), value)
    text = plain_text(value) if isinstance(value, str) else plain_text(str(value))
    return put_text(out, put_text(out, wire_put_uint(p, 0), <PyObject *>TEXT_STRING_VALUE), <PyObject *>text)


cdef unsigned char *put_link(Buffer *out, unsigned char *p, dict link) except NULL:
    """A span link in its native slot: a map whose values are ints, a str, and the flat attributes."""
    p = wire_put_map_header(buffer_reserve(out, p, 64), <uint32_t>len(link))
    for key, value in link.items():
        p = put_text(out, p, <PyObject *>key)
        if type(value) is dict:
            p = put_dict(out, p, value)
        elif type(value) is int:
            p = wire_put_uint(p, value)
        else:
            p = put_value(out, p, value)
        p = buffer_reserve(out, p, 64)
    return p


cdef int encode_chunk_v04(Buffer *out, Segment segment, PyObject *at, uint32_t n, uint32_t partial) except -1:
    """Appends a chunk of the `n` finished spans of a list, or nothing at all."""
    cdef unsigned char *p
    cdef bint first = True
    p = wire_put_array_header(buffer_reserve(out, out.data + out.used, 64), n)
    while at != NULL:
        if (<Span>at)._flags & SPAN_FINISHED:
            p = put_span_v04(out, p, <Span>at, segment, first, partial)
            first = False
        at = (<Span>at)._next
    out.used = p - out.data
    return 0
