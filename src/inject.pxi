# A trace into a dict of headers, where all of it is plain. 0: for Python to do.

cdef struct TagsOut:
    char *tags           # end of x-datadog-tags
    char *fields         # end of the fields of dd=
    char *tags_end
    char *fields_end
    Py_ssize_t first_tag     # whether a comma is due


cdef inline bint put_tag(TagsOut *out, const char *key, Py_ssize_t key_n, const char *value,
                         Py_ssize_t value_n) noexcept:
    """One propagated tag in both forms; False if it is not plain or does not fit."""
    cdef char *p
    cdef Py_ssize_t i
    if key_n <= 6 or value_n < 1 or value[0] == b" " or value[value_n - 1] == b" ":
        return False
    if not all_of(key, key_n, CHAR_TAG_KEY) or not all_of(value, value_n, CHAR_TAG_VALUE):
        return False
    if out.tags_end - out.tags < key_n + value_n + 2 or out.fields_end - out.fields < key_n + value_n + 2:
        return False
    p = out.tags
    if out.first_tag:
        p[0] = b","
        p += 1
    out.first_tag = 1
    p = put_chars(p, key, key_n)
    p[0] = b"="
    out.tags = put_chars(p + 1, value, value_n)
    p = put_chars(out.fields, b"t.", 2)
    p = put_chars(p, key + 6, key_n - 6)
    p[0] = b":"
    p += 1
    for i in range(value_n):
        p[i] = value[i]
        if value[i] == b"=":
            p[i] = b"~"
    p[value_n] = b";"
    out.fields = p + value_n + 1
    return True


cdef bint plain_members(const char *s, Py_ssize_t n, Py_ssize_t *count) noexcept:
    """Whether these members of a tracestate are canonical and none of them is ours."""
    cdef Py_ssize_t i
    cdef Py_ssize_t start = 0
    count[0] = 0
    if not all_of(s, n, CHAR_PRINTABLE):
        return False
    for i in range(n + 1):
        if i == n or s[i] == b",":
            if i == start or s[start] == b" " or s[i - 1] == b" ":
                return False
            if i - start >= 3 and s[start + 2] == b"=" and (
                    (s[start] == b"d" and s[start + 1] == b"d") or (s[start] == b"o" and s[start + 1] == b"t")):
                return False
            count[0] += 1
            start = i + 1
    return True


cdef int baggage_text(TraceState state, char *buffer, Py_ssize_t *n) except -1:
    """The header baggage of items that need no escapes. 0: for Python to do."""
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t at = 0
    cdef const char *s
    cdef Py_ssize_t length
    cdef char *p = buffer
    if PyDict_Size(state.baggage) > BAGGAGE_MAX_ITEMS:
        return 0
    while PyDict_Next(state.baggage, &at, &key, &value):
        if not ascii_of(key, &s, &length) or length < 1 or not all_of(s, length, CHAR_BAGGAGE_KEY):
            return 0
        if buffer + FAST_MAX_CHARS - p < length + 2:
            return 0
        if p != buffer:
            p[0] = b","
            p += 1
        p = put_chars(p, s, length)
        p[0] = b"="
        p += 1
        if not ascii_of(value, &s, &length) or length < 1 or not all_of(s, length, CHAR_BAGGAGE_VALUE):
            return 0
        if buffer + FAST_MAX_CHARS - p < length:
            return 0
        p = put_chars(p, s, length)
    n[0] = p - buffer
    return 1


cdef int inject_known(PropagatorCore self, object source, dict headers) except -1:
    cdef TraceState state
    cdef dict meta
    cdef str origin
    cdef uint64_t span_id
    cdef bint remote = False
    cdef char tags[FAST_MAX_CHARS]
    cdef char fields[DD_MEMBER_MAX_CHARS + 32]
    cdef char line[1024]
    cdef char items[FAST_MAX_CHARS]
    cdef char *p
    cdef TagsOut out
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t items_n = 0
    cdef Py_ssize_t key_n, n, members
    cdef const char *key_s
    cdef const char *s
    cdef const char *foreign = NULL
    cdef Py_ssize_t foreign_n = 0
    cdef const char *last_parent = NULL
    cdef uint64_t number
    cdef uint64_t received_high, received_low
    cdef bint random = False
    cdef bint own
    if not self.can_inject:
        return 0
    if type(source) is Span:
        if (<Span>source)._flags & (SPAN_NOOP | SPAN_DISCARDED) == SPAN_NOOP:
            return 0
        state = span_state(<Span>source)
        span_id = (<Span>source)._span_id
    elif type(source) is Context:
        state = (<Context>source)._state
        span_id = (<Context>source)._span_id
        remote = (<Context>source)._is_remote
    else:
        return 0
    if self.out_count == 0:
        return 1
    if not state.has_priority:
        decide_state(state)
    state.is_known = True
    if not (state.id_high | state.id_low) or not span_id:
        return 0
    if self.out[STYLE_BAGGAGE]:
        if state.baggage is not None and not baggage_text(state, items, &items_n):
            return 0
        if FT_UNLIKELY(otel_span_key is not None) and otel_baggage(source) is not None:
            return 0
    if not (self.out[STYLE_DATADOG] or self.out[STYLE_TRACECONTEXT]):
        return write_known(self, headers, state, span_id, items, items_n)

    # tags of the trace, in the order of `_meta`
    if self.out[STYLE_DATADOG]:
        if self.tags_max_chars <= 0 or not know_high(state):
            return 0
    out.tags = tags
    out.tags_end = tags + (self.tags_max_chars if self.tags_max_chars < FAST_MAX_CHARS else FAST_MAX_CHARS)
    out.first_tag = 0
    out.fields = fields
    out.fields_end = fields + DD_MEMBER_MAX_CHARS - DD_MEMBER_RESERVED + 1
    if state.has_priority:
        out.fields = put_signed(put_chars(out.fields, b"s:", 2), state.priority)
        out.fields[0] = b";"
        out.fields += 1
    origin = state.origin
    if origin is not None:
        if not ascii_of(<PyObject *>origin, &s, &n) or n < 1 or n > 100 or s[n - 1] == b" " \
                or not all_of(s, n, CHAR_TAG_VALUE):
            return 0
        out.fields = put_chars(out.fields, b"o:", 2)
        for at in range(n):
            out.fields[at] = s[at]
            if s[at] == b"=":
                out.fields[at] = b"~"
        out.fields[n] = b";"
        out.fields += n + 1
        at = 0
    if state.mechanism != MECHANISM_NONE:
        out.fields = put_signed(put_chars(out.fields, b"t.dm:-", 6), state.mechanism)
        out.fields[0] = b";"
        out.fields += 1
    meta = state.meta                            # never changed in place: its texts live as long as this
    if meta is not None:
        if PyDict_Size(meta) > 1 and PyDict_GetItemWithError(meta, TEXT_USER_ID) != NULL:
            return 0
        while PyDict_Next(meta, &at, &key, &value):
            if not ascii_of(key, &key_s, &key_n) or not ascii_of(value, &s, &n):
                return 0
            if key_n >= 6 and same_bytes(key_s, b"_dd.p.", 6):
                if key_n == 8 and key_s[6] == b"d" and key_s[7] == b"m":
                    return 0
                if not put_tag(&out, key_s, key_n, s, n):
                    return 0
            elif key_n == 10 and same_bytes(key_s, b"tracestate", 10):
                foreign, foreign_n = s, n
            elif key_n == 13 and same_bytes(key_s, b"_dd.parent_id", 13):
                if n != 16 or not all_of(s, n, CHAR_LOWER_HEX):
                    return 0
                last_parent = s
            elif key_n == 11 and same_bytes(key_s, b"traceparent", 11):
                if n != 55 or not read_hex(s + 3, 16, &received_high) or not read_hex(s + 19, 16, &received_low) \
                        or not read_hex(s + 53, 2, &number):
                    return 0
                random = received_high == state.id_high and received_low == state.id_low and (number & 2) != 0
            elif key_n > 3 and same_bytes(key_s, b"_dd", 3):
                return 0                         # an earlier error
    if state.mechanism != MECHANISM_NONE:        # last, as in `_meta`; its field is already there
        if out.tags_end - out.tags < 16:
            return 0
        if out.first_tag:
            out.tags[0] = b","
            out.tags += 1
        out.first_tag = 1
        out.tags = put_signed(put_chars(out.tags, b"_dd.p.dm=-", 10), state.mechanism)
    if out.tags > tags + self.tags_max_chars:
        return 0

    if self.out[STYLE_TRACECONTEXT]:
        # members of others first: the only thing that may still be for Python
        if out.fields > fields:
            out.fields -= 1                      # the last semicolon
        own = out.fields > fields
        if foreign != NULL and foreign_n >= 3 and same_bytes(foreign, b"dd=", 3):
            while foreign_n and foreign[0] != b",":
                foreign += 1
                foreign_n -= 1
            if foreign_n:
                foreign += 1
                foreign_n -= 1
                if foreign_n == 0:
                    return 0
        members = 0
        if foreign_n and (not plain_members(foreign, foreign_n, &members)
                          or members + own > TRACESTATE_MAX_MEMBERS
                          or (out.fields - fields + 4 if own else 0) + foreign_n > TRACESTATE_MAX_CHARS):
            return 0
        p = put_chars(line, b"00-", 3)
        p = put_hex16(put_hex16(p, state.id_high), state.id_low)
        p[0] = b"-"
        p = put_hex16(p + 1, span_id)
        p = put_chars(p, b"-0", 2)
        p[0] = 48 + 2 * random + (state.has_priority and state.priority > 0)
        headers[HEADER_NAMES[HEADER_TRACEPARENT]] = text_of(line, p + 1 - line)
        p = line
        if not remote or last_parent != NULL or own:
            p = put_chars(p, b"dd=", 3)
            if not remote or last_parent != NULL:
                p = put_chars(p, b"p:", 2)
                p = put_chars(p, last_parent, 16) if remote else put_hex16(p, span_id)
                if own:
                    p[0] = b";"
                    p += 1
            p = put_chars(p, fields, out.fields - fields)
            if foreign_n:
                p[0] = b","
                p += 1
        p = put_chars(p, foreign, foreign_n)
        headers[HEADER_NAMES[HEADER_TRACESTATE]] = text_of(line, p - line)

    if self.out[STYLE_DATADOG]:
        headers[HEADER_NAMES[HEADER_DD_TRACE]] = text_of(line, put_decimal(line, state.id_low) - line)
        headers[HEADER_NAMES[HEADER_DD_PARENT]] = text_of(line, put_decimal(line, span_id) - line)
        if state.has_priority:
            headers[HEADER_NAMES[HEADER_DD_PRIORITY]] = priority_text(state.priority)
        if origin is not None:
            headers[HEADER_NAMES[HEADER_DD_ORIGIN]] = origin
        if out.first_tag:
            headers[HEADER_NAMES[HEADER_DD_TAGS]] = text_of(tags, out.tags - tags)
    return write_known(self, headers, state, span_id, items, items_n)


cdef inline bint same_bytes(const char *a, const char *b, Py_ssize_t n) noexcept:
    cdef Py_ssize_t i
    for i in range(n):
        if a[i] != b[i]:
            return False
    return True


cdef tuple PRIORITY_TEXTS = ("-1", "0", "1", "2")


cdef inline object priority_text(int priority):
    return PRIORITY_TEXTS[priority + 1] if -1 <= priority <= 2 else str(priority)


cdef inline int know_high(TraceState state) except -1:
    """Sees to it that spans begun from now on carry `_dd.p.tid`, as in ddtrace. 0: for Python to do."""
    cdef PyObject *known
    cdef const char *s
    cdef Py_ssize_t n
    cdef uint64_t number
    cdef StaticTags tags
    if not state.id_high:
        return 1
    if state.meta is None:
        tags = high_tags(state.id_high)
        set_known_meta(state, dict(tags.meta), tags)
        return 1
    known = PyDict_GetItemWithError(state.meta, TEXT_TID)
    if known == NULL:
        state.set_meta(TEXT_TID, high_tags(state.id_high).meta[TEXT_TID])
        return 1
    return ascii_of(known, &s, &n) and n == 16 and read_hex(s, n, &number) and number == state.id_high


cdef int write_known(PropagatorCore self, dict headers, TraceState state, uint64_t span_id, char *items,
                     Py_ssize_t items_n) except -1:
    """The styles that need no tags."""
    cdef char line[64]
    cdef char *p = line
    cdef char *trace_end
    if items_n:
        headers[HEADER_NAMES[HEADER_BAGGAGE]] = text_of(items, items_n)
    if not (self.out[STYLE_B3] or self.out[STYLE_B3MULTI]):
        return 1
    if state.id_high:
        p = put_hex16(p, state.id_high)
    trace_end = put_hex16(p, state.id_low)
    trace_end[0] = b"-"
    p = put_hex16(trace_end + 1, span_id)
    if self.out[STYLE_B3MULTI]:
        headers[HEADER_NAMES[HEADER_B3_TRACE]] = text_of(line, trace_end - line)
        headers[HEADER_NAMES[HEADER_B3_SPAN]] = text_of(trace_end + 1, 16)
        if state.has_priority:
            if state.priority > 1:
                headers[HEADER_NAMES[HEADER_B3_FLAGS]] = "1"
            else:
                headers[HEADER_NAMES[HEADER_B3_SAMPLED]] = "1" if state.priority == 1 else "0"
    if self.out[STYLE_B3]:
        if state.has_priority:
            if state.priority > 1:
                p = put_chars(p, b"-d", 2)
            elif state.priority == 1:
                p = put_chars(p, b"-1", 2)
            else:
                p = put_chars(p, b"-0", 2)
        headers[HEADER_NAMES[HEADER_B3]] = text_of(line, p - line)
    return 1
