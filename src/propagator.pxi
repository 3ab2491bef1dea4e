# Traces into headers and out of them: the styles of one configuration.

cdef int set_known_meta(TraceState state, dict meta, StaticTags tags) except -1:
    """Makes `meta` all there is. `tags`: those of it that spans carry, all of them inherited; None: to be found."""
    cdef dict on_wire, inherited
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t n
    cdef const char *s
    if tags is not None:
        state.inherited = state.propagated = tags
    else:
        on_wire = {}
        inherited = {}
        while PyDict_Next(meta, &at, &key, &value):
            if not ascii_of(key, &s, &n):
                s, n = b"", 0
            if n >= 6 and same_bytes(s, b"_dd.p.", 6):
                on_wire[<object>key] = <object>value
                if not (n == 8 and s[6] == b"t" and s[7] == b"s"):
                    inherited[<object>key] = <object>value
            elif not ((n == 11 and same_bytes(s, b"traceparent", n)) or (n == 10 and same_bytes(s, b"tracestate", n))
                      or (n == 13 and same_bytes(s, b"_dd.parent_id", n))):
                on_wire[<object>key] = <object>value
        state.propagated = StaticTags.__new__(StaticTags, on_wire, {}) if on_wire else None
        if len(inherited) == len(on_wire):
            state.inherited = state.propagated
        elif not inherited:
            state.inherited = None
        elif PyDict_Size(inherited) == 1 and state.id_high and TEXT_TID in inherited:
            state.inherited = high_tags(state.id_high)
        else:
            state.inherited = StaticTags.__new__(StaticTags, inherited, {})
    state.parent_tag = meta.get(TEXT_PARENT_ID)
    state.meta = meta or None
    return 0


# Traces of one second share the high half of their ids, and the tag that holds it.
cdef uint64_t last_high = 0
cdef StaticTags last_high_tags = None


cdef StaticTags high_tags(uint64_t high):
    """`_dd.p.tid` for this high half of a trace id."""
    global last_high, last_high_tags
    cdef char digits[16]
    if last_high_tags is None or last_high != high:
        put_hex16(digits, high)
        last_high_tags = StaticTags({TEXT_TID: text_of(digits, 16)}, {})
        last_high = high
    return last_high_tags


cdef int decide_state(TraceState state) except -1:
    """Takes the sampling decision of a trace that is alive here."""
    cdef PyObject *at = state.segments
    while at != NULL and not state.has_priority:
        if (<Segment>at).core is not None:
            decide((<Segment>at).core, <Segment>at)
        at = (<Segment>at).sibling
    return 0


def decide_context(item) -> None:
    """Takes the decision of the trace of a Span or Context, if the trace is alive here, to be told to others."""
    cdef TraceState state = None
    if type(item) is Span and (<Span>item)._flags & (SPAN_NOOP | SPAN_DISCARDED) != SPAN_NOOP:
        state = span_state(<Span>item)
    elif type(item) is Context:
        state = (<Context>item)._state
    if state is not None:
        decide_state(state)
        state.is_known = True


cdef class PropagatorCore:
    """The common cases of inject and extract; base class of `fasttrace.propagation.http.Propagator`.

    `styles_out` and `styles_in` are names of styles, those that are read in their order.
    """
    cdef int out_count, in_count
    cdef bint out[STYLES]            # by STYLE_*
    cdef int order[STYLES]           # styles to read
    cdef bint reads_baggage
    cdef bint wide_ids               # `_dd.p.tid` is made part of the trace id
    cdef bint can_inject, can_extract    # nothing is configured that only the Python code does
    cdef Py_ssize_t tags_max_chars
    cdef object tag_keys             # tuple: baggage that becomes tags; None: all

    def __init__(self, styles_out, styles_in, bint reads_baggage, bint wide_ids, Py_ssize_t tags_max_chars, tag_keys,
                 bint can_inject=True, bint can_extract=True):
        cdef int i
        for i in range(STYLES):
            self.out[i] = STYLE_NAMES[i] in styles_out
        self.in_count = 0
        for style in styles_in:
            self.order[self.in_count] = STYLE_NAMES.index(style)
            self.in_count += 1
        self.out_count = len(styles_out)
        self.reads_baggage = reads_baggage
        self.wide_ids = wide_ids
        self.tags_max_chars = tags_max_chars
        self.tag_keys = None if "*" in tag_keys else tuple(tag_keys)
        self.can_inject, self.can_extract = can_inject, can_extract

    def inject(self, context=None, headers=None, non_active_span=None, *, span_context=None) -> None:
        """Write the headers by which another service continues the trace.

        Takes the trace's sampling decision if it has not been taken. A context without ids, or None, gives no
        headers but its baggage.

        context: the Span that makes the request, or a Context. headers: what gets the headers: a dict, anything
        with `headers[name] = value`, or a list of pairs. non_active_span, span_context: names of ddtrace 2.x.
        """
        if type(headers) is dict and non_active_span is None and inject_known(self, context, <dict>headers):
            return
        source = context if context is not None else span_context
        self._inject_slow(source if non_active_span is None else non_active_span, headers)

    def extract(self, headers) -> Context:
        """Return the context that `headers` hold; an empty Context if they hold none.

        headers: a dict or another mapping in any case of letters, a WSGI environ, or pairs of text or bytes as in an
        ASGI scope. Values may be lists.
        """
        context = extract_plain(self, headers)
        return context if context is not None else self._extract_slow(headers)

    def _extract_known(self, headers):
        """The context in a dict or list of headers; None: for Python to find."""
        return extract_plain(self, headers)


cdef object extract_plain(PropagatorCore self, object headers):
    cdef Slice found[HEADERS]
    if not self.can_extract:
        return None
    try:
        return extract_known(self, found) if find_headers(headers, found) else None
    finally:
        release_headers(found)
