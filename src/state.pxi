# What all spans of a trace share, and the public handle on it.
#
# TraceState: one per trace id and process lineage. Contexts and Segments point at it, so a
# manual.keep or a baggage item seen from any thread changes the one trace.

cdef enum:
    MECHANISM_NONE = -1      # no `_dd.p.dm`
    MECHANISM_DEFAULT = 0
    MECHANISM_AGENT_RATE = 1
    MECHANISM_RULE = 3
    MECHANISM_MANUAL = 4
    MECHANISM_SPAN_RULE = 8
    MECHANISM_CUSTOMER_RULE = 11
    MECHANISM_DYNAMIC_RULE = 12

    USER_REJECT = -1
    AUTO_REJECT = 0
    AUTO_KEEP = 1
    USER_KEEP = 2

    DECIDED_ELSEWHERE = 0    # where the priority comes from: the trace came with it
    DECIDED_HERE = 1         # rules, rates or the default
    DECIDED_BY_HAND = 2      # manual.keep, manual.drop, or an assignment

    NOT_DISCARDED = 0
    DISCARDED = 1            # rejected by a rule with `discard`: no span of it is sent
    DISCARDED_EARLY = 2      # the same, known when the local root began

cdef object TRACE_ID_MAX = (1 << 128) - 1
cdef object SPAN_ID_MAX = (1 << 64) - 1
cdef dict MECHANISM_TEXTS = {}   # mechanism -> "-N", filled as needed


cdef str mechanism_text(int mechanism):
    text = MECHANISM_TEXTS.get(mechanism)
    if text is None:
        text = MECHANISM_TEXTS[mechanism] = "-%d" % mechanism
    return text


cdef int parse_mechanism(object text) except -2:
    """The number in "-N" (0 to 255), or MECHANISM_NONE."""
    if type(text) is str and 2 <= len(text) <= 4 and text[0] == "-" and text.isascii() and text[1:].isdigit():
        number = int(text[1:])
        if number <= 255 and mechanism_text(number) == text:
            return number
    return MECHANISM_NONE


@cython.internal
@cython.final
@cython.no_gc_clear
cdef class TraceState:
    """Identity, decision and baggage of one trace. Internal: reached through `Context`."""
    cdef uint64_t id_high, id_low        # 128-bit trace id; both 0: no id yet
    cdef int64_t offset_ns               # wall clock minus monotonic clock, for every span of the trace
    cdef bint has_objects                # baggage may hold objects: its spans are known to the collector
    cdef bint has_priority
    cdef int priority                    # sampling priority, if has_priority
    cdef int mechanism                   # MECHANISM_*: number in `_dd.p.dm`
    cdef unsigned char source            # DECIDED_*, if has_priority
    cdef unsigned char discarded         # *DISCARDED*; counts while the priority is one of rejection
    cdef unsigned char is_known          # the decision left in headers or a chunk: too late for tail keep
    cdef SampleRule rule                 # rule or agent's rate that decided, or None
    cdef double limit                    # share the limiter let through; negative: it was not asked
    cdef PyObject *segments              # borrowed: first live Segment of this trace
    cdef str origin                      # `_dd.origin`, None if not set
    cdef dict meta                       # other `_dd.p.*` and propagation tags; None while empty
    cdef StaticTags propagated           # all of `meta`, for the first span of a chunk
    cdef StaticTags inherited            # those of `meta` that spans begun from now on carry
    cdef dict baggage                    # None while empty
    cdef object parent_tag               # `_dd.parent_id` for the first span made from a remote context
    cdef bint tracked                    # whether the collector knows it

    def __cinit__(self):
        self.mechanism = MECHANISM_NONE

    cdef object trace_id(self):
        if self.id_high:
            return (<object>self.id_high << 64) | self.id_low
        return self.id_low if self.id_low else None

    cdef int set_trace_id(self, object trace_id) except -1:
        self.id_low = trace_id & SPAN_ID_MAX
        self.id_high = trace_id >> 64
        return 0

    cdef void decide(self, int priority, int mechanism) noexcept:
        self.priority = priority
        self.has_priority = True
        self.mechanism = mechanism

    cdef int manual(self, int priority) except -1:
        """manual.keep or manual.drop: wins over every other decision."""
        self.decide(priority, MECHANISM_MANUAL)
        self.source = DECIDED_BY_HAND
        self.rule = None
        return 0

    cdef int set_meta(self, str key, object value) except -1:
        """One propagated tag; spans begun later inherit it (but not decision maker and sources)."""
        if value is not None and type(value) is not str:
            try:
                value = str(value)
            except Exception:
                warn("context", "a value of a trace context has no text: ignored")
                return 0
        if key == "_dd.p.dm":
            self.mechanism = parse_mechanism(value)
            if self.mechanism != MECHANISM_NONE:
                return 0
        if key == "_dd.origin":
            self.origin = None if value is None else plain_text(value)
            return 0
        meta = dict(self.meta) if self.meta is not None else {}
        if value is None:
            meta.pop(key, None)
        else:
            meta[key] = plain_text(value)
        self.meta = meta or None
        # The raw headers are there to be passed on, not to be tags.
        on_wire = {k: v for k, v in meta.items() if k not in ("traceparent", "tracestate", "_dd.parent_id")}
        self.parent_tag = meta.get("_dd.parent_id")
        inherited = {k: v for k, v in meta.items()
                     if k.startswith("_dd.p.") and k != "_dd.p.dm" and k != "_dd.p.ts"}
        self.inherited = StaticTags(inherited, {}) if inherited else None
        self.propagated = StaticTags(on_wire, {}) if on_wire else None
        return 0

    cdef dict all_meta(self):
        meta = dict(self.meta) if self.meta is not None else {}
        if self.mechanism != MECHANISM_NONE:
            meta["_dd.p.dm"] = mechanism_text(self.mechanism)
        if self.origin is not None:
            meta["_dd.origin"] = self.origin
        return meta

    cdef TraceState copy(self):
        """The same values in a state of its own; the baggage dict itself is shared, as ddtrace 4.x does."""
        cdef TraceState other = state_new()
        other.id_high, other.id_low, other.offset_ns = self.id_high, self.id_low, self.offset_ns
        other.has_priority, other.priority, other.mechanism = self.has_priority, self.priority, self.mechanism
        other.origin, other.meta = self.origin, self.meta
        other.inherited, other.propagated = self.inherited, self.propagated
        other.baggage, other.parent_tag = self.baggage, self.parent_tag
        if self.has_objects:
            state_has_objects(other)
        return other


# Every trace needs a state: ended ones are put aside, their references None, and used again. The
# collector is told of a state as late as of a span: when its baggage may hold objects.

cdef enum:
    STATES_POOLED = 256

cdef PyObject *state_pool[STATES_POOLED]
cdef uint32_t state_pool_size = 0
cdef destructor state_free = NULL     # what Cython generated


cdef inline void state_reset(PyObject *o) noexcept:
    """Nothing decided; ids, times and segments are the caller's business."""
    (<TraceState>o).has_objects = (<TraceState>o).has_priority = False
    (<TraceState>o).priority = 0
    (<TraceState>o).mechanism = MECHANISM_NONE
    (<TraceState>o).source = (<TraceState>o).discarded = (<TraceState>o).is_known = 0
    (<TraceState>o).limit = 0.0


cdef inline bint state_is_bare(PyObject *o) noexcept:
    """Whether the state holds nothing that has to be let go."""
    return (<TraceState>o).meta is None and (<TraceState>o).baggage is None and (<TraceState>o).origin is None \
        and (<TraceState>o).parent_tag is None and (<TraceState>o).propagated is None \
        and (<TraceState>o).inherited is None


cdef inline bint state_may_stay(PyObject *o, PyObject *segment) noexcept:
    """Whether the state of an ended segment is nobody else's and bare, for the next trace; lets go of its rule."""
    if ft_refcount(o) != 1 or o == <PyObject *>None or (<TraceState>o).segments != segment \
            or (<TraceState>o).tracked or not state_is_bare(o):
        return False
    if (<TraceState>o).rule is not None:
        (<TraceState>o).rule = None
    return True


cdef inline TraceState state_new():
    """A state of nothing, unknown to the collector."""
    global state_pool_size
    cdef PyObject *o
    cdef TraceState state
    if FT_LIKELY(state_pool_size > 0):
        state_pool_size -= 1
        o = state_pool[state_pool_size]
        ft_revive(o)
        state = <TraceState>o
        decref(o)
        state.id_high = state.id_low = 0
        state.offset_ns = 0
        state.segments = NULL
        state_reset(o)
        return state
    state = TraceState.__new__(TraceState)
    PyObject_GC_UnTrack(<PyObject *>state)
    return state


cdef void state_dealloc(PyObject *o) noexcept:
    """Called at refcount 0."""
    global state_pool_size
    ft_set_refcount(o, 1)        # alive while its parts go: they may run code
    if FT_UNLIKELY((<TraceState>o).tracked):
        (<TraceState>o).tracked = False
        PyObject_GC_UnTrack(o)
    if (<TraceState>o).rule is not None:
        (<TraceState>o).rule = None
    if FT_UNLIKELY(not state_is_bare(o)):
        (<TraceState>o).meta = (<TraceState>o).baggage = (<TraceState>o).parent_tag = None
        (<TraceState>o).origin = None
        (<TraceState>o).propagated = (<TraceState>o).inherited = None
    ft_set_refcount(o, 0)
    if FT_LIKELY(state_pool_size < STATES_POOLED):
        state_pool[state_pool_size] = o
        state_pool_size += 1
    else:
        state_free(o)


cdef inline void state_track(TraceState state) noexcept:
    if not state.tracked:
        state.tracked = True
        PyObject_GC_Track(<PyObject *>state)


cdef int state_has_objects(TraceState state) except -1:
    """Makes the spans of a trace known to the collector: its baggage may lead back to them."""
    cdef PyObject *segment = state.segments
    cdef PyObject *span
    state.has_objects = True
    state_track(state)
    while segment != NULL:
        segment_track(segment)
        span = (<Segment>segment).head
        while span != NULL:
            if not (<Span>span)._flags & SPAN_ORPHAN:
                span_track(span)
            span = (<Span>span)._next
        segment = (<Segment>segment).sibling
    return 0


cdef inline TraceState new_state():
    cdef TraceState state = state_new()
    state.offset_ns = wall_offset_ns
    return state


@cython.final
cdef class Context:
    """The part of a trace that crosses a border: ids, decision, origin, baggage (ddtrace 4.x `Context`).

    A Context of a live span shares its trace's state: setting the priority or a baggage item here
    shows on the span and on every other Context of the trace. Pickles by value.
    """
    cdef TraceState _state
    cdef uint64_t _span_id           # 0: none
    cdef readonly bint _is_remote
    cdef public list _span_links     # links for the first span made from it
    cdef public dict _metrics
    cdef object __weakref__

    def __init__(self, trace_id=None, span_id=None, dd_origin=None, sampling_priority=None, meta=None, metrics=None,
                 lock=None, span_links=None, baggage=None, is_remote=True):
        self._state = new_state()
        if baggage is not None:
            self._state.baggage = baggage
            state_has_objects(self._state)
        self._metrics = dict(metrics) if metrics is not None else {}
        self._span_links = list(span_links) if span_links is not None else []
        self._is_remote = bool(is_remote)
        if trace_id is not None:
            if not isinstance(trace_id, int) or not 0 <= trace_id <= TRACE_ID_MAX:
                warn("context", "Context: trace_id must be an int of at most 128 bits: ignored")
            else:
                self._state.set_trace_id(int(trace_id))
        if span_id is not None:
            if not isinstance(span_id, int) or not 0 <= span_id <= SPAN_ID_MAX:
                warn("context", "Context: span_id must be an int of at most 64 bits: ignored")
            else:
                self._span_id = span_id
        if meta:
            for key in meta:
                if isinstance(key, str):
                    self._state.set_meta(plain_text(key), meta[key])
        if dd_origin is not None:
            self._state.set_meta("_dd.origin", dd_origin)
        if sampling_priority is None:
            sampling_priority = self._metrics.get("_sampling_priority_v1")
        self.sampling_priority = sampling_priority
        self._state.source = DECIDED_ELSEWHERE

    @property
    def trace_id(self):
        """Trace id (int, up to 128 bits) or None."""
        return self._state.trace_id()

    @trace_id.setter
    def trace_id(self, value):
        if value is None:
            self._state.set_trace_id(0)
        elif isinstance(value, int) and 0 <= value <= TRACE_ID_MAX:
            self._state.set_trace_id(int(value))
        else:
            warn("context", "Context: trace_id must be an int of at most 128 bits: ignored")

    @property
    def span_id(self):
        """Id of the span that spans made from this context have as parent (int, 64 bits) or None."""
        return self._span_id if self._span_id else None

    @span_id.setter
    def span_id(self, value):
        if value is None:
            self._span_id = 0
        elif isinstance(value, int) and 0 <= value <= SPAN_ID_MAX:
            self._span_id = value
        else:
            warn("context", "Context: span_id must be an int of at most 64 bits: ignored")

    @property
    def sampling_priority(self):
        """Sampling priority of the whole trace (int: -1, 0, 1, 2) or None while undecided."""
        return self._state.priority if self._state.has_priority else None

    @sampling_priority.setter
    def sampling_priority(self, value):
        if value is None:
            self._state.has_priority = False
            return
        try:
            priority = int(value)
            self._state.priority = priority
            self._state.has_priority = True
            self._state.source = DECIDED_BY_HAND
        except Exception:
            warn("context", "sampling_priority must be an int or None, got %s: ignored" % type(value).__name__)

    @property
    def dd_origin(self):
        """Where the trace came from (`_dd.origin`, str) or None."""
        return self._state.origin

    @dd_origin.setter
    def dd_origin(self, value):
        self._state.set_meta("_dd.origin", value)

    @property
    def dd_user_id(self):
        """Decoded `_dd.p.usr.id` (str) or None."""
        encoded = None if self._state.meta is None else self._state.meta.get("_dd.p.usr.id")
        if not encoded:
            return None
        try:
            return load_module("base64").b64decode(encoded).decode()
        except ValueError:
            return None

    @dd_user_id.setter
    def dd_user_id(self, value):
        if value is not None:
            value = load_module("base64").b64encode(str(value).encode()).decode()
        self._state.set_meta("_dd.p.usr.id", value)

    @property
    def _meta(self):
        """A copy of the propagated tags, decision maker and origin included."""
        return self._state.all_meta()

    def _set_meta(self, key, value) -> None:
        """Sets one propagated tag (str), or removes it with None."""
        self._state.set_meta(str(key), value)

    @property
    def _baggage(self):
        return dict(self._state.baggage) if self._state.baggage is not None else {}

    def set_baggage_item(self, key, value) -> None:
        """Sets a baggage item on the whole trace."""
        if self._state.baggage is None:
            self._state.baggage = {}
        self._state.baggage[key] = value
        if type(value) is not str:
            state_has_objects(self._state)

    def get_baggage_item(self, key):
        """The baggage item of that key, or None."""
        return self._state.baggage.get(key) if self._state.baggage is not None else None

    def get_all_baggage_items(self) -> dict:
        """A copy of all baggage."""
        return dict(self._state.baggage) if self._state.baggage is not None else {}

    def remove_baggage_item(self, key) -> None:
        """Removes the baggage item, if there."""
        if self._state.baggage is not None:
            self._state.baggage.pop(key, None)

    def remove_all_baggage_items(self) -> None:
        """Removes all baggage of the trace."""
        if self._state.baggage is not None:
            self._state.baggage.clear()

    def copy(self, trace_id=None, span_id=None):
        """The same values with other ids, in a state of its own (ddtrace 4.x)."""
        cdef Context other = Context.__new__(Context)
        other._state = self._state.copy()
        other._state.id_high = other._state.id_low = 0
        if trace_id is not None:
            other._state.set_trace_id(trace_id)
        other._span_id = 0 if span_id is None else span_id
        other._is_remote = self._is_remote
        other._span_links = list(self._span_links)
        other._metrics = dict(self._metrics)
        return other

    def _values(self):
        return (self.trace_id, self.span_id, self.sampling_priority, self._state.all_meta(),
                dict(self._metrics), list(self._span_links), self.get_all_baggage_items(), self._is_remote)

    def __reduce__(self):
        return context_from_values, self._values()

    def __eq__(self, other):
        if not isinstance(other, Context):
            return NotImplemented
        return self._values() == (<Context>other)._values()

    __hash__ = None

    def __repr__(self):
        return ("Context(trace_id=%s, span_id=%s, sampling_priority=%s, _meta=%s, _metrics=%s, _span_links=%s, "
                "_baggage=%s, _is_remote=%s)" % (self.trace_id, self.span_id, self.sampling_priority, self._meta,
                                                 self._metrics, self._span_links, self._baggage, self._is_remote))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None


def context_from_values(trace_id, span_id, priority, meta, metrics, links, baggage, is_remote) -> Context:
    """The Context that `Context.__reduce__` described."""
    return Context(trace_id, span_id, None, priority, meta, metrics, None, links, baggage or None, is_remote)


cdef Context context_of(TraceState state, uint64_t span_id):
    """A local Context that shares `state`."""
    cdef Context context = Context.__new__(Context)
    context._state = state
    context._span_id = span_id
    context._is_remote = False
    context._span_links = []
    context._metrics = {}
    return context
