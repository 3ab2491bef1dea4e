# A trace out of headers, where all of them are well-formed. None or False: for Python to do.

cdef struct FoundTrace:
    uint64_t high, low       # trace id; both 0: only a decision
    uint64_t tag_high        # `_dd.p.tid` that is not part of the trace id
    uint64_t span            # 0: none
    bint has_priority
    int priority
    int mechanism
    Slice origin
    Slice last_parent        # field p of tracestate, 16 hex digits
    bint random


cdef inline bint slice_of(object value, Slice *part) noexcept:
    """ASCII characters of an exact str or bytes; takes no reference."""
    if type(value) is str:
        return ascii_of(<PyObject *>value, &part.s, &part.n)
    if type(value) is bytes:
        part.s = PyBytes_AS_STRING(value)
        part.n = PyBytes_GET_SIZE(value)
        return is_ascii(part.s, part.n)
    return False


cdef inline bint is_ascii(const char *s, Py_ssize_t n) noexcept:
    cdef Py_ssize_t i
    cdef unsigned char any_of = 0
    for i in range(n):
        any_of |= <unsigned char>s[i]
    return any_of < 128


cdef inline bint note_header(Slice *found, object name, object value) noexcept:
    """Remembers the header if it is one of ours; False if it is for Python."""
    cdef Slice spelled
    cdef Slice content
    cdef int number
    if not slice_of(name, &spelled):
        return type(name) is str or type(name) is bytes      # our names are ASCII
    number = header_number(spelled.s, spelled.n)
    if number < 0:
        return True
    if found[number].s != NULL or not slice_of(value, &content):
        return False
    Py_INCREF(value)                 # whatever happens to the carrier meanwhile
    content.owner = <PyObject *>value
    found[number] = content
    return True


cdef void release_headers(Slice *found) noexcept:
    cdef int i
    for i in range(HEADERS):
        if found[i].s != NULL:
            decref(found[i].owner)


cdef bint find_headers(object carrier, Slice *found) except -1:
    """The headers that carry a trace, in a dict or a list of pairs; to be released either way."""
    cdef PyObject *name = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t at = 0
    cdef int i
    for i in range(HEADERS):
        found[i].s = NULL
    if type(carrier) is dict:
        while PyDict_Next(carrier, &at, &name, &value):
            if not note_header(found, <object>name, <object>value):
                return False
        return True
    if type(carrier) is list:
        for pair in <list>carrier:
            if type(pair) is not tuple or PyTuple_GET_SIZE(pair) != 2:
                return False
            if not note_header(found, (<tuple>pair)[0], (<tuple>pair)[1]):
                return False
        return True
    return False


# -- one style each: 1 found, 0 not there, -1 for Python -----------------------------------------------------------

cdef int read_datadog(PropagatorCore self, Slice *found, FoundTrace *trace, dict meta) except -2:
    """`meta` gets the tags; None if they do not matter."""
    cdef Slice *part = &found[HEADER_DD_TRACE]
    if part.s == NULL:
        return 0
    if not read_decimal(part.s, part.n, &trace.low) or not trace.low:
        return -1
    part = &found[HEADER_DD_PARENT]
    if part.s != NULL and not read_decimal(part.s, part.n, &trace.span):
        return -1
    part = &found[HEADER_DD_PRIORITY]
    if part.s != NULL:
        if not read_priority(part.s, part.n, &trace.priority):
            return -1
        trace.has_priority = True
    part = &found[HEADER_DD_ORIGIN]
    if part.s != NULL and part.n:
        if part.n > ORIGIN_MAX_CHARS or not all_of(part.s, part.n, CHAR_PRINTABLE):
            return -1
        trace.origin = part[0]
    part = &found[HEADER_DD_TAGS]
    if part.s != NULL and part.n and not read_tags(part, trace, meta):
        return -1
    if self.wide_ids:
        trace.high, trace.tag_high = trace.tag_high, 0
    return 1


cdef bint read_tags(Slice *part, FoundTrace *trace, dict meta) except -1:
    """The propagated tags in x-datadog-tags; False if one is malformed."""
    cdef const char *s = part.s
    cdef const char *end = s + part.n
    cdef const char *key
    cdef const char *value
    cdef Py_ssize_t key_n
    cdef Py_ssize_t n
    if part.n > TAGS_READ_MAX_CHARS or not all_of(s, part.n, CHAR_PRINTABLE):
        return False
    while s < end:
        key = s
        while s < end and s[0] != b"=":
            if s[0] == b" " or s[0] == b",":
                return False
            s += 1
        key_n = s - key
        s += 1
        value = s
        while s < end and s[0] != b",":
            s += 1
        n = s - value
        if key_n < 1 or n < 1 or value[0] == b" " or value[n - 1] == b" ":
            return False
        s += 1
        if s == end:
            return False             # a comma at the end
        if key_n < 6 or not same_bytes(key, b"_dd.p.", 6):
            continue
        if key_n == 8 and key[6] == b"d" and key[7] == b"m":
            if not read_maker(value, n, &trace.mechanism):
                return False
        elif key_n == 9 and same_bytes(key + 6, b"tid", 3):
            if n != 16 or not read_hex(value, n, &trace.tag_high) or not trace.tag_high:
                return False
            if meta is not None:
                meta[TEXT_TID] = text_of(value, n)
        elif key_n == 23 and same_bytes(key + 6, b"upstream_services", 17):
            return False
        elif meta is not None:
            meta[text_of(key, key_n)] = text_of(value, n)
    return True


cdef int read_tracecontext(Slice *found, FoundTrace *trace, dict meta) except -2:
    """`meta` gets the tags; None if they do not matter."""
    cdef Slice *part = &found[HEADER_TRACEPARENT]
    cdef const char *s = part.s
    cdef uint64_t flags
    cdef Py_ssize_t members
    cdef Py_ssize_t own_n = 0
    if s == NULL:
        return 0
    if part.n != 55 or s[0] != b"0" or s[1] != b"0" or s[2] != b"-" or s[35] != b"-" or s[52] != b"-":
        return -1
    if not read_hex(s + 3, 16, &trace.high) or not read_hex(s + 19, 16, &trace.low) \
            or not read_hex(s + 36, 16, &trace.span) or not read_hex(s + 53, 2, &flags):
        return -1
    if not trace.low or not trace.span:
        return -1
    trace.has_priority = True
    trace.priority = flags & 1
    trace.random = (flags & 2) != 0
    part = &found[HEADER_TRACESTATE]
    s = part.s
    if s == NULL or part.n == 0:
        return 1
    if part.n > TRACESTATE_MAX_CHARS:
        return -1
    if part.n >= 3 and same_bytes(s, b"dd=", 3):
        own_n = 3
        while own_n < part.n and s[own_n] != b",":
            own_n += 1
        if not all_of(s, own_n, CHAR_PRINTABLE) or s[own_n - 1] == b" ":
            return -1
        if not read_fields(s + 3, s + own_n, trace, meta):
            return -1
        if own_n == part.n:
            return 1
        own_n += 1
    if not plain_members(s + own_n, part.n - own_n, &members) or members + 1 > TRACESTATE_MAX_MEMBERS:
        return -1
    return 1


cdef bint read_fields(const char *s, const char *end, FoundTrace *trace, dict meta) except -1:
    """The fields of the member dd=, and the priority they make with the flag; False if one is malformed."""
    cdef const char *key
    cdef const char *value
    cdef Py_ssize_t key_n
    cdef Py_ssize_t n
    cdef int priority = 0
    cdef bint has_priority = False
    cdef uint64_t number
    while True:
        key = s
        while s < end and s[0] != b":":
            if s[0] == b";":
                return False
            s += 1
        if s == end:
            return False
        key_n = s - key
        s += 1
        value = s
        while s < end and s[0] != b";":
            s += 1
        n = s - value
        if key_n == 1 and key[0] == b"s":
            if not read_priority(value, n, &priority):
                return False
            has_priority = True
        elif key_n == 1 and key[0] == b"o":
            if n < 1 or n > ORIGIN_MAX_CHARS:
                return False
            trace.origin.s, trace.origin.n, trace.origin.owner = value, n, NULL
        elif key_n == 1 and key[0] == b"p":
            if n != 16 or not read_hex(value, n, &number):
                return False
            trace.last_parent.s, trace.last_parent.n, trace.last_parent.owner = value, n, NULL
        elif key_n > 1 and key[0] == b"t" and key[1] == b".":
            if n < 1 or value[0] == b" " or value[n - 1] == b" " or not all_of(key, key_n, CHAR_TAG_KEY):
                return False
            if key_n == 4 and key[2] == b"d" and key[3] == b"m":
                if not read_maker(value, n, &trace.mechanism):
                    return False
            elif key_n == 5 and same_bytes(key + 2, b"tid", 3):
                if n != 16 or not read_hex(value, n, &number) or number != trace.high or not number:
                    return False
                if meta is not None:
                    meta[TEXT_TID] = text_of(value, n)
            elif key_n == 2:
                return False
            elif meta is not None:
                meta["_dd.p." + text_of(key + 2, key_n - 2)] = text_of(value, n).replace("~", "=")
        if s == end:
            break
        s += 1
    # as fasttrace.propagation.tracecontext: the flag decides, `s` says how surely
    if trace.origin.n == 3 and same_bytes(trace.origin.s, b"rum", 3) and not priority:
        trace.has_priority, trace.priority = has_priority, 0
    elif trace.priority:
        trace.priority = priority if priority > 0 else 1
    else:
        trace.priority = priority if priority < 0 else 0
    return True


cdef int read_b3(Slice *found, FoundTrace *trace) noexcept:
    cdef Slice *part = &found[HEADER_B3]
    cdef const char *s = part.s
    cdef Py_ssize_t trace_n = 0
    if s == NULL:
        return 0
    while trace_n < part.n and s[trace_n] != b"-":
        trace_n += 1
    if part.n == trace_n + 17:
        pass
    elif part.n == trace_n + 19 and s[part.n - 2] == b"-":
        trace.has_priority = True
        if s[part.n - 1] == b"d":
            trace.priority = 2
        elif not b"0" <= s[part.n - 1] <= b"1":
            return -1
        else:
            trace.priority = s[part.n - 1] - 48
    else:
        return -1
    return 1 if read_b3_ids(s, trace_n, s + trace_n + 1, trace) else -1


cdef int read_b3multi(Slice *found, FoundTrace *trace) noexcept:
    cdef Slice *part = &found[HEADER_B3_SAMPLED]
    if found[HEADER_B3_TRACE].s == NULL:
        return 0
    if part.s != NULL:
        if part.n != 1 or not b"0" <= part.s[0] <= b"1":
            return -1
        trace.has_priority = True
        trace.priority = part.s[0] - 48
    part = &found[HEADER_B3_FLAGS]
    if part.s != NULL:
        if part.n != 1 or part.s[0] != b"1":
            return -1
        trace.has_priority = True
        trace.priority = 2
    if found[HEADER_B3_SPAN].s == NULL or found[HEADER_B3_SPAN].n != 16:
        return -1
    return 1 if read_b3_ids(found[HEADER_B3_TRACE].s, found[HEADER_B3_TRACE].n, found[HEADER_B3_SPAN].s, trace) else -1


cdef bint read_b3_ids(const char *s, Py_ssize_t n, const char *span, FoundTrace *trace) noexcept:
    if n == 32:
        if not read_hex(s, 16, &trace.high):
            return False
        s += 16
    elif n != 16:
        return False
    return read_hex(s, 16, &trace.low) and read_hex(span, 16, &trace.span) and trace.low != 0 and trace.span != 0


cdef dict read_baggage(Slice *part):
    """The items of a header baggage without blanks and escapes; None: for Python."""
    cdef const char *s = part.s
    cdef const char *end = s + part.n
    cdef const char *key
    cdef const char *value
    cdef Py_ssize_t key_n
    cdef int count = 0
    cdef dict items = {}
    if part.n > FAST_MAX_CHARS:
        return None
    while True:
        key = s
        while s < end and s[0] != b"=":
            if s[0] == b"," or s[0] == b"%" or not char_kinds[<unsigned char>s[0]] or s[0] == b" ":
                return None
            s += 1
        key_n = s - key
        s += 1
        value = s
        while s < end and s[0] != b",":
            if s[0] == b"%" or not char_kinds[<unsigned char>s[0]] or s[0] == b" ":
                return None
            s += 1
        count += 1
        if key_n < 1 or s <= value or count > BAGGAGE_MAX_ITEMS:
            return None
        items[text_of(key, key_n)] = text_of(value, s - value)
        if s >= end:
            return items
        s += 1


# -- together ------------------------------------------------------------------------------------------------------

cdef object extract_known(PropagatorCore self, Slice *found):
    cdef FoundTrace traces[STYLES]
    cdef int styles[STYLES]
    cdef char digits[16]
    cdef int count = 0
    cdef int primary = 0
    cdef int i, outcome, style
    cdef dict meta = {}
    cdef dict items = None
    cdef FoundTrace *trace
    cdef FoundTrace *other
    cdef Context context
    cdef TraceState state
    cdef StaticTags tags = None
    for i in range(self.in_count):
        style = self.order[i]
        trace = &traces[count]
        trace.high = trace.low = trace.tag_high = trace.span = 0
        trace.has_priority = trace.random = False
        trace.priority = 0
        trace.mechanism = MECHANISM_NONE
        trace.origin.s = trace.last_parent.s = NULL
        trace.origin.n = 0
        if style == STYLE_DATADOG:
            outcome = read_datadog(self, found, trace, meta if count == 0 else None)
        elif style == STYLE_TRACECONTEXT:
            outcome = read_tracecontext(found, trace, meta if count == 0 else None)
        elif style == STYLE_B3:
            outcome = read_b3(found, trace)
        else:
            outcome = read_b3multi(found, trace)
        if outcome < 0:
            return None
        if outcome:
            styles[count] = style
            count += 1
    if self.reads_baggage and found[HEADER_BAGGAGE].s != NULL and found[HEADER_BAGGAGE].n:
        items = read_baggage(&found[HEADER_BAGGAGE])
        if items is None:
            return None
    context = Context.__new__(Context)
    context._span_links = []
    context._metrics = {}
    context._is_remote = True
    context._state = state = new_state()
    if items is not None:
        state.baggage = items
        for key in (items if self.tag_keys is None else self.tag_keys):
            if key in items:
                meta["baggage." + key] = items[key]
    if count == 0:
        if meta:
            set_known_meta(state, meta, None)
        return context

    trace = &traces[0]
    if trace.tag_high == 0 and trace.high and len(meta) == 1 and TEXT_TID in meta:
        tags = high_tags(trace.high)
    state.id_high, state.id_low = trace.high, trace.low
    context._span_id = trace.span
    state.has_priority, state.priority, state.mechanism = trace.has_priority, trace.priority, trace.mechanism
    if trace.origin.s != NULL:
        state.origin = <str>slice_text(&trace.origin)
        if styles[0] == STYLE_TRACECONTEXT:
            state.origin = state.origin.replace("~", "=")
    for i in range(1, count):
        other = &traces[i]
        if (other.high or other.tag_high) != (trace.high or trace.tag_high) or other.low != trace.low:
            return None                  # a link
        if styles[i] == STYLE_TRACECONTEXT:
            primary = i
            if other.span != trace.span:
                trace.last_parent = other.last_parent
                if other.last_parent.s == NULL and trace.span:
                    if styles[0] != STYLE_DATADOG:
                        return None
                    put_hex16(digits, trace.span)
                    trace.last_parent.s, trace.last_parent.n, trace.last_parent.owner = digits, 16, NULL
                context._span_id = other.span
    if styles[primary] == STYLE_TRACECONTEXT:
        if traces[primary].random:
            meta[HEADER_NAMES[HEADER_TRACEPARENT]] = slice_text(&found[HEADER_TRACEPARENT])
        if found[HEADER_TRACESTATE].s != NULL and found[HEADER_TRACESTATE].n:
            meta[HEADER_NAMES[HEADER_TRACESTATE]] = slice_text(&found[HEADER_TRACESTATE])
    if trace.last_parent.s != NULL:
        meta[TEXT_PARENT_ID] = slice_text(&trace.last_parent)
    if meta:
        set_known_meta(state, meta, tags)
    return context
