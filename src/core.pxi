# The tracer's compiled half: starting spans, finding the active one, buffering chunks, accounting.

cdef list live_cores = []            # weak references to every TracerCore, for the forked child
cdef Span noop_span = None           # what a disabled tracer hands out


cdef class TracerCore:
    """Base of `fasttrace.tracer.Tracer`; `trace`, `start_span` and `current_span` are never overridden."""
    cdef object __weakref__
    cdef bint is_enabled
    cdef bint wide_ids               # 128-bit trace ids
    cdef bint slow_start             # a hook, a service mapping or a context provider is set
    cdef Profile profile
    cdef dict rates                  # (service, env) -> rate from the agent, or None
    cdef list filters                # TraceFilter objects
    cdef list start_hooks            # called with each new span
    cdef dict service_mapping        # service -> service, or None
    cdef object provider             # custom context provider, or None
    cdef uint32_t partial_min_spans  # finished spans that make a partial chunk
    cdef uint32_t open_max           # unfinished spans held at most
    cdef readonly int traceback_max_frames
    cdef size_t buffer_max_bytes
    cdef size_t payload_max_bytes
    cdef int version                 # wire version of new payloads: 4 or 5
    # -- buffer --
    cdef Payload filling             # takes the next chunk; None while the buffer is empty
    cdef list full                   # Payloads waiting, oldest first
    cdef size_t full_bytes           # held by `full`
    cdef Buffer spare                # memory of a payload that was sent
    cdef readonly NativeEvent _wake
    cdef public object _on_first_chunk
    cdef public bint _flusher_running
    # -- accounting, unit spans --
    cdef uint64_t finished_count, added_count, held_count, buffered_count, in_flight_count
    cdef uint64_t sent_count, unconfirmed_count, abandoned_count, open_count, unrecorded_count
    cdef dict dropped                # reason -> spans
    cdef uint64_t sent_traces, sent_bytes

    def __cinit__(self, *args, **kwargs):
        self.is_enabled = True
        self.wide_ids = True
        self.profile = empty_profile
        self.filters = []
        self.start_hooks = []
        self.partial_min_spans = 300
        self.open_max = 1_000_000
        self.traceback_max_frames = 30
        self.buffer_max_bytes = self.payload_max_bytes = 20 << 20
        self.version = 4
        self.full = []
        self.dropped = {}
        self._wake = NativeEvent()
        live_cores.append(PyWeakref_NewRef(self, live_cores.remove))

    def __dealloc__(self):
        buffer_free(&self.spare)

    # -- spans -----------------------------------------------------------------------------------

    def trace(self, name, service=None, resource=None, span_type=None, span_api="datadog"):
        """Starts a span under the active one and makes it active; use it as `with tracer.trace("name"):`.

        name, service, resource and span_type are str (None: inherited or derived). Follows ddtrace 4.x.
        """
        return core_trace(self, name, service, resource, span_type)

    def start_span(self, name, child_of=None, service=None, resource=None, span_type=None, activate=False,
                   span_api="datadog"):
        """Starts a span under `child_of` (Span or Context; None: a new trace); active only if asked.

        Follows ddtrace 4.x.
        """
        if not self.is_enabled:
            return noop_span
        if child_of is not None and type(child_of) is not Span and type(child_of) is not Context:
            warn("child_of", "child_of must be a Span or a Context, got %s: a new trace was started"
                 % type(child_of).__name__)
            child_of = None
        return core_start(self, child_of, name, service, resource, span_type, activate)

    def current_span(self):
        """The active Span of this thread or task, or None. Disabled: the span that records nothing."""
        if not self.is_enabled:
            return noop_span
        item = core_active(self)
        return item if type(item) is Span else None

    def current_root_span(self):
        """The local root of the active span, or None."""
        if not self.is_enabled:
            return noop_span
        item = core_active(self)
        return span_local_root(<Span>item) if type(item) is Span else None

    def current_trace_context(self, *args, **kwargs):
        """The Context of the active span, or the activated Context, or None."""
        item = core_active(self)
        if type(item) is Span:
            return (<Span>item).context
        return item

    @property
    def enabled(self) -> bool:
        """Whether spans are recorded."""
        return self.is_enabled

    @enabled.setter
    def enabled(self, value):
        self.is_enabled = bool(value)

    # -- configuration, called by the Python half ---------------------------------------------------

    def _set_profile(self, service, env, version, meta, metrics, root_meta, root_metrics, new_trace_meta,
                     chunk_meta) -> None:
        """Tags of ours for spans begun from now on; each argument is a dict of exact str to str or number."""
        self.profile = make_profile(service, env, version, meta, metrics, root_meta, root_metrics, new_trace_meta,
                                    chunk_meta, {"_dd.tracer_kr": 1.0})

    def _set_limits(self, partial_min_spans, buffer_max_bytes, payload_max_bytes, open_max=1_000_000,
                    traceback_max_frames=30) -> None:
        """Bounds; `partial_min_spans` 0 turns partial flush off up to the agent's own limits."""
        self.partial_min_spans = min(partial_min_spans or CHUNK_MAX_SPANS, CHUNK_MAX_SPANS)
        self.buffer_max_bytes = buffer_max_bytes
        self.payload_max_bytes = min(payload_max_bytes, buffer_max_bytes)
        self.open_max = open_max
        self.traceback_max_frames = traceback_max_frames

    def _set_wire(self, api_version) -> None:
        """Wire version of payloads begun from now on: "v0.4" or "v0.5"."""
        self.version = 5 if api_version == "v0.5" else 4

    def _set_wide_ids(self, bint wide) -> None:
        self.wide_ids = wide

    def _set_hooks(self, filters=None, start_hooks=None, service_mapping=None, provider=None) -> None:
        """Replaces filters, start hooks, service mapping and context provider."""
        self.filters = list(filters or ())
        self.start_hooks = list(start_hooks or ())
        self.service_mapping = dict(service_mapping) if service_mapping else None
        self.provider = provider
        self.slow_start = bool(self.start_hooks) or self.service_mapping is not None or provider is not None

    def _set_rates(self, rates) -> None:
        """The agent's table {"service:web,env:prod": rate}; replaces the whole old one."""
        table = {}
        for key, rate in rates.items():
            service, found, env = str(key).partition(",env:")
            if found and service.startswith("service:") and isinstance(rate, (int, float)) and 0 <= rate <= 1:
                table[(service[8:], env)] = float(rate)
        self.rates = table or None

    def _decide(self, span) -> None:
        """Takes the sampling decision of the span's trace now."""
        if type(span) is Span and not (<Span>span)._flags & SPAN_NOOP:
            decide(self, <Segment>(<Span>span)._segment)

    # -- payload seam -------------------------------------------------------------------------------

    @property
    def _buffered_bytes(self) -> int:
        """Encoded bytes waiting to be sent."""
        return self.waiting_bytes()

    cdef size_t waiting_bytes(self) noexcept:
        return self.full_bytes + (self.filling.size() if self.filling is not None else 0)

    def _swap(self) -> list:
        """Takes every payload out of the buffer, oldest first; their spans count as in flight."""
        payloads = self.full
        self.full = []
        self.full_bytes = 0
        if self.filling is not None:
            payloads.append(self.filling)
            self.filling = None
        for payload in payloads:
            self.buffered_count -= (<Payload>payload).span_count
            self.in_flight_count += (<Payload>payload).span_count
        return payloads

    def _settle(self, Payload payload not None, str outcome not None) -> None:
        """Ends a payload's flight: "sent", "unconfirmed", or the reason why it was dropped.

        Raises ValueError if it was settled before.
        """
        if payload.settled:
            raise ValueError("a payload is settled once")
        payload.settled = True
        self.in_flight_count -= payload.span_count
        if outcome == "sent":
            self.sent_count += payload.span_count
            self.sent_traces += payload.trace_count
            self.sent_bytes += payload.size()
        elif outcome == "unconfirmed":
            self.unconfirmed_count += payload.span_count
        else:
            self.drop(outcome, payload.span_count)
        if payload.exports == 0 and self.spare.data == NULL and payload.body.room <= BUFFER_KEEP_BYTES:
            self.spare = payload.body
            self.spare.used = 0
            payload.body.data = NULL
            payload.body.used = payload.body.room = 0

    def _unswap(self, Payload payload not None) -> bool:
        """Puts a payload back in front for a later attempt; False if the buffer has no room for it."""
        if payload.settled or self.waiting_bytes() + payload.size() > self.buffer_max_bytes:
            return False
        self.full.insert(0, payload)
        self.full_bytes += payload.size()
        self.in_flight_count -= payload.span_count
        self.buffered_count += payload.span_count
        return True

    cdef int drop(self, str reason, uint64_t spans) except -1:
        self.dropped[reason] = self.dropped.get(reason, 0) + spans
        return 0

    def stats(self) -> dict:
        """Where every finished span went, read at one instant. Unit: spans.

        finished + added_by_filter == held + buffered + in_flight + sent + unconfirmed + sum(dropped).
        `open` spans are not finished yet, `abandoned` ones never will be, `unrecorded` ones were
        refused because too many were open.
        """
        return {
            "finished": self.finished_count,
            "added_by_filter": self.added_count,
            "held": self.held_count,
            "buffered": self.buffered_count,
            "in_flight": self.in_flight_count,
            "sent": self.sent_count,
            "unconfirmed": self.unconfirmed_count,
            "dropped": dict(self.dropped),
            "open": self.open_count,
            "abandoned": self.abandoned_count,
            "unrecorded": self.unrecorded_count,
            "sent_traces": self.sent_traces,
            "sent_bytes": self.sent_bytes,
            "buffered_bytes": self.waiting_bytes(),
        }

    def _after_fork_child(self) -> None:
        """Empties buffers and counters: what the parent process made, it sends."""
        note_fork()

    cdef int forget(self) except -1:
        self.filling = None
        self.full = []
        self.full_bytes = 0
        self.finished_count = self.added_count = self.held_count = self.buffered_count = self.in_flight_count = 0
        self.sent_count = self.unconfirmed_count = self.abandoned_count = self.open_count = 0
        self.unrecorded_count = 0
        self.sent_traces = self.sent_bytes = 0
        self.dropped = {}
        self._wake = NativeEvent()
        self._flusher_running = False
        return 0


# -- fork -------------------------------------------------------------------------------------------------

cdef object fork_hook = None         # called with each TracerCore in the child


def set_fork_hook(hook) -> None:
    """`hook(core)` runs in a forked child for every tracer, before its first span or flush."""
    global fork_hook
    fork_hook = hook


cdef inline int note_fork() except -1:
    if FT_UNLIKELY(ft_fork_count != id_fork_count):
        return child_begins()
    return 0


cdef int child_begins() except -1:
    """First use in a forked child: new ids, empty buffers, new runtime id."""
    seed_ids()
    for ref in list(live_cores):
        core = ref()
        if core is not None:
            (<TracerCore>core).forget()
            if fork_hook is not None:
                try:
                    fork_hook(core)
                except Exception as exc:
                    warn("fork", "a tracer could not be reset after fork: %s" % exc)
    return 0


# -- starting spans -----------------------------------------------------------------------------------------

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


cdef inline object core_trace(TracerCore core, object name, object service, object resource, object span_type):
    """trace(): the active item decides the parent; an unfinished span is found at once."""
    cdef PyObject *item = NULL
    if FT_UNLIKELY(not core.is_enabled):
        return noop_span
    if FT_UNLIKELY(core.slow_start and core.provider is not None):
        return core_start(core, core_active(core), name, service, resource, span_type, True)
    PyContextVar_Get(active_var, NULL, &item)
    if item == NULL or item == <PyObject *>None:
        Py_XDECREF(item)
        return start_root(core, None, None, name, service, resource, span_type, True)
    stored = <object>item
    Py_DECREF(stored)
    if FT_LIKELY(type(stored) is Span and (<Span>stored)._flags & SPAN_FINISHED == 0):
        return start_child(core, <Span>stored, (<Span>stored)._base, name, service, resource, span_type, True)
    live = live_item(stored)
    if type(live) is Span:
        return start_child(core, <Span>live, (<Span>live)._base, name, service, resource, span_type, True)
    if type(live) is AttachNode:
        parent = parent_of_item(live)
        if type(parent) is Span:
            return start_child(core, <Span>parent, live, name, service, resource, span_type, True)
        return start_root(core, parent, live, name, service, resource, span_type, True)
    return start_root(core, live, None, name, service, resource, span_type, True)


cdef object core_start(TracerCore core, object parent, object name, object service, object resource,
                       object span_type, bint activate):
    base = None
    if activate and core.provider is None:
        item = active_item()
        base = (<Span>item)._base if type(item) is Span else (item if type(item) is AttachNode else None)
    if type(parent) is Span and not (<Span>parent)._flags & SPAN_NOOP:
        return start_child(core, <Span>parent, base, name, service, resource, span_type, activate)
    if type(parent) is Span:
        parent = noop_context(<Span>parent)
    return start_root(core, parent, base, name, service, resource, span_type, activate)


cdef inline Span new_span(object name, object resource, object span_type):
    """A span with its names; what is no text is coerced as ddtrace 4.x does."""
    cdef Span span = Span.__new__(Span)
    span._call = <vectorcall_function>span_call
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
        span._type = span_type_index(span_type)
    span._span_id = next_id()
    return span


cdef inline object begin(TracerCore core, Segment segment, Span span, bint activate):
    """Lists the span, starts its clock and makes it active: the last steps of every start."""
    if FT_UNLIKELY(core.profile is not segment.profile):
        span_own_current(core, span)
    segment_add(segment, span)
    core.open_count += 1
    span._start_ns = ft_now_ns()
    if FT_UNLIKELY(core.slow_start):
        begin_slow(core, span, activate)
    elif activate:
        set_active(<PyObject *>span)
    return span


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


cdef inline object start_child(TracerCore core, Span parent, object base, object name, object service,
                               object resource, object span_type, bint activate):
    """A span with a local parent."""
    cdef Segment segment = <Segment>parent._segment
    cdef Span span
    cdef PyObject *root
    if FT_UNLIKELY(segment.core is not core or segment.fork_count != id_fork_count or ft_fork_count != id_fork_count
                   or core.open_count >= core.open_max):
        return start_apart(core, parent, base, name, service, resource, span_type, activate)
    span = new_span(name, resource, span_type)
    Py_INCREF(segment)
    span._segment = <PyObject *>segment
    Py_INCREF(parent)
    span._above = <PyObject *>parent
    span._parent_id = parent._span_id
    if base is not None:
        span._base = base
    if service is None:
        if parent._service != NULL:
            Py_INCREF(<object>parent._service)
            span._service = parent._service
    elif FT_LIKELY(type(service) is str):
        span._service = own_text(service)
    else:
        replace_text(&span._service, text_or_none(service))
    if segment.profile.version.texts:
        root = segment.root
        if root != NULL and (<Span>root)._flags & (SPAN_VERSION | SPAN_USER_VERSION) \
                and same_text((<Span>root)._service, span._service):
            span._flags |= SPAN_VERSION
    if segment.state.inherited is not None:
        span._flags |= SPAN_INHERITS
    if FT_UNLIKELY(parent._above != NULL and (<Span>parent._above)._flags & SPAN_FINISHED):
        span_compress(parent)
    return begin(core, segment, span, activate)


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
    span = new_span(name, resource, span_type)
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
    if span._service != NULL and same_text(span._service, <PyObject *>segment.profile.service) \
            and segment.profile.version.texts:
        span._flags |= SPAN_VERSION
    if segment.state.inherited is not None:
        span._flags |= SPAN_INHERITS
    return begin(core, segment, span, activate)


cdef object too_many_open(TracerCore core):
    warn("open_spans", "more than %d spans are open: further ones are not recorded" % core.open_max)
    core.unrecorded_count += 1
    return noop_span


cdef int new_trace_id(TraceState state, int64_t wall_ns) except -1:
    """A fresh 128-bit id: 32 bits of Unix seconds, 32 zeros, 64 random bits."""
    state.id_low = next_id()
    state.id_high = <uint64_t>(wall_ns // 1_000_000_000) << 32
    return 0


cdef object start_root(TracerCore core, object context, object base, object name, object service, object resource,
                       object span_type, bint activate):
    """A span without local parent: of a new trace, or under a Context (remote or of another thread)."""
    cdef TraceState state
    cdef Segment segment
    cdef Span span
    cdef Context above = None
    cdef int64_t now_ns
    cdef int64_t wall_ns
    note_fork()
    if FT_UNLIKELY(core.open_count >= core.open_max):
        return too_many_open(core)
    span = new_span(name, resource, span_type)
    span._flags = SPAN_LOCAL_ROOT
    if type(context) is Context:
        above = <Context>context
    if above is not None and (above._state.id_low | above._state.id_high):
        state = above._state
        span._parent_id = above._span_id
        segment = join_segment(core, state)
        if state.segments == <PyObject *>segment and segment.listed == 0 and segment.root == NULL and above._is_remote:
            # First span here: the trace's clock is ours from now on.
            now_ns = ft_now_ns()
            state.offset_ns = root_wall_ns(now_ns) - now_ns
        if state.inherited is not None:
            span._flags |= SPAN_INHERITS
        if above._span_id == 0:
            span._flags |= SPAN_NEW_TRACE
    else:
        state = above._state.copy() if above is not None else TraceState.__new__(TraceState)
        now_ns = ft_now_ns()
        wall_ns = root_wall_ns(now_ns)
        state.offset_ns = wall_offset_ns
        state.id_low = next_id()
        if core.wide_ids:
            state.id_high = <uint64_t>(wall_ns // 1_000_000_000) << 32
        segment = new_segment(core, state)
        span._flags |= SPAN_NEW_TRACE
    Py_INCREF(segment)
    span._segment = <PyObject *>segment
    if base is not None:
        span._base = base
    if service is None:
        if segment.profile.service is not None:
            Py_INCREF(segment.profile.service)
            span._service = <PyObject *>segment.profile.service
    else:
        replace_text(&span._service, text_or_none(service))
    if segment.profile.version.texts and same_text(span._service, <PyObject *>segment.profile.service):
        span._flags |= SPAN_VERSION
    if segment.root == NULL:
        segment.root = <PyObject *>span
    else:
        segment.entries = True
    if FT_UNLIKELY(above is not None and above._span_links):
        for link in above._span_links:
            span_copy_link(span, link)
    return begin(core, segment, span, activate)


# -- from finished spans to the payload ---------------------------------------------------------------------

cdef int core_submit(TracerCore core, Segment segment, PyObject *head, uint32_t n, bint partial) except -1:
    """Filters, decides and encodes a chunk of the `n` finished spans of a list; counts every span once."""
    cdef list kept
    cdef uint32_t kept_count
    if FT_UNLIKELY(len(core.filters) > 0):
        kept = run_filters(core, head)
        kept_count = count_originals(kept, head)
        core.held_count -= n
        if n > kept_count:
            core.drop("filtered", n - kept_count)
        core.added_count += len(kept) - kept_count
        if not kept:
            return 0
        decide(core, segment)
        return submit_list(core, segment, kept, partial)
    decide(core, segment)
    core.held_count -= n
    return put_chunk(core, segment, head, n, n if partial else 0)


cdef list finished_spans(PyObject *at):
    """The finished spans of a detached list as Python objects."""
    cdef list spans = []
    while at != NULL:
        if (<Span>at)._flags & SPAN_FINISHED:
            span_take(at)
            spans.append(<object>at)
            Py_DECREF(<object>at)
        at = (<Span>at)._next
    return spans


cdef list run_filters(TracerCore core, PyObject *head):
    """What the filters leave of a chunk: spans, each once."""
    cdef list spans = finished_spans(head)
    cdef list kept = []
    result = spans
    for trace_filter in core.filters:
        try:
            result = trace_filter.process_trace(result)
        except Exception as exc:
            warn("filter", "trace filter %s raised %s: the trace goes on unchanged"
                 % (type(trace_filter).__name__, type(exc).__name__))
            continue
        if not result:
            return []
    try:
        candidates = list(result)
    except TypeError:
        warn("filter", "a trace filter must return a list of spans or None, got %s" % type(result).__name__)
        candidates = spans
    for span in candidates:
        if type(span) is Span and not (<Span>span)._flags & (SPAN_SEEN | SPAN_NOOP):
            (<Span>span)._flags |= SPAN_SEEN
            kept.append(span)
    for span in kept:
        (<Span>span)._flags &= ~<uint32_t>SPAN_SEEN
    return kept


cdef uint32_t count_originals(list kept, PyObject *at) except? 0:
    """How many of `kept` are on the list."""
    cdef uint32_t n = 0
    for span in kept:
        (<Span>span)._flags |= SPAN_SEEN
    while at != NULL:
        if (<Span>at)._flags & SPAN_SEEN and (<Span>at)._flags & SPAN_FINISHED:
            n += 1
        at = (<Span>at)._next
    for span in kept:
        (<Span>span)._flags &= ~<uint32_t>SPAN_SEEN
    return n


cdef int submit_list(TracerCore core, Segment segment, list spans, bint partial) except -1:
    """Encodes spans a filter returned, in its order. Spans made by the filter count as finished."""
    cdef PyObject *head = NULL
    cdef PyObject *at
    cdef list links = []
    cdef Py_ssize_t i
    cdef uint32_t n = <uint32_t>len(spans)
    saved = []
    for i in range(len(spans) - 1, -1, -1):
        at = <PyObject *>spans[i]
        saved.append(<size_t>(<Span>at)._next)
        if not (<Span>at)._flags & SPAN_FINISHED:
            span_finish(<Span>at)
        (<Span>at)._next = head
        head = at
    try:
        return put_chunk(core, segment, head, n, n if partial else 0)
    finally:
        # The list that is still to be released runs through the same pointers.
        saved.reverse()
        for i in range(len(spans)):
            (<Span>spans[i])._next = <PyObject *><size_t>saved[i]


cdef int put_chunk(TracerCore core, Segment segment, PyObject *head, uint32_t n, uint32_t partial) except -1:
    """Encodes a chunk into the payload being filled, a new one if it would grow too large."""
    cdef Payload payload = core.filling
    cdef size_t before, strings_before, grown, waiting
    cdef uint32_t count_before
    cdef bint starts = payload is None
    if FT_UNLIKELY(starts):
        payload = core.filling = new_payload(core.version, &core.spare)
    before = payload.body.used
    strings_before = payload.strings.used
    count_before = payload.string_count
    try:
        encode_chunk(payload, segment, head, n, partial)
    except BaseException as exc:
        core.drop("encoding_error", n)
        warn("encoding", "a chunk of %d spans could not be encoded: %s" % (n, type(exc).__name__))
        return 0
    if FT_UNLIKELY(payload.size() > core.payload_max_bytes or payload.trace_count >= PAYLOAD_MAX_CHUNKS
                   or payload.string_count > PAYLOAD_MAX_STRINGS):
        grown = payload.body.used - before
        if not put_back(core, payload, before, strings_before, count_before):
            core.drop("chunk_too_large", n)
            warn("chunk_too_large", "a chunk of %d spans was dropped: %d bytes are more than a payload may have (%d)"
                 % (n, grown, core.payload_max_bytes))
            return 0
        return put_chunk(core, segment, head, n, partial)
    waiting = core.full_bytes + payload.size()
    if FT_UNLIKELY(waiting > core.buffer_max_bytes):
        put_back(core, payload, before, strings_before, count_before)
        core.drop("buffer_full", n)
        warn("buffer_full", "the payload buffer is full (%d bytes): new traces are dropped and counted"
             % core.buffer_max_bytes)
        return 0
    payload.trace_count += 1
    payload.span_count += n
    core.buffered_count += n
    if FT_UNLIKELY(waiting * 2 > core.buffer_max_bytes):
        core._wake.raise_flag()
    if FT_UNLIKELY(starts and not core._flusher_running and core._on_first_chunk is not None):
        try:
            core._on_first_chunk()
        except BaseException as exc:
            warn("flusher_start", "the flusher could not be started: %s: %.200s" % (type(exc).__name__, exc))
    return 0


cdef bint put_back(TracerCore core, Payload payload, size_t body_used, size_t strings_used,
                   uint32_t string_count) except -1:
    """Takes the last chunk out of a payload and closes it; whether it still holds any.

    A closed payload's table may know strings that were cut off, so nothing is added to it any more.
    """
    payload.body.used = body_used
    payload.strings.used = strings_used
    payload.string_count = string_count
    core.filling = None
    if payload.trace_count == 0:
        return False
    core.full.append(payload)
    core.full_bytes += payload.size()
    return True


cdef inline int encode_chunk(Payload payload, Segment segment, PyObject *head, uint32_t n, uint32_t partial) except -1:
    if FT_LIKELY(payload.version == 4):
        return encode_chunk_v04(&payload.body, segment, head, n, partial)
    return encode_chunk_v05(payload, segment, head, n, partial)


def encode_trace(spans, api_version="v0.4") -> bytes:
    """A whole payload of one trace of exactly these spans, nothing of the tracer's own added.

    For tests and measurements. `spans` is a list of Span, `api_version` "v0.4" or "v0.5".
    """
    cdef Payload payload = new_payload(5 if api_version == "v0.5" else 4, NULL)
    cdef Buffer *out = &payload.body
    cdef unsigned char *p = buffer_reserve(out, out.data, 64)
    cdef Segment bare
    cdef Segment theirs
    cdef bint first = True
    out.used = wire_put_array_header(p, <uint32_t>len(spans)) - out.data
    for span in spans:
        theirs = <Segment>(<Span?>span)._segment
        bare = Segment.__new__(Segment)
        bare.state = theirs.state
        bare.profile = empty_profile
        if payload.version == 4:
            p = put_span_v04(out, out.data + out.used, <Span>span, bare, first, 0)
            out.used = p - out.data
        else:
            put_span_v05(payload, <Span>span, bare, first, 0)
        first = False
    payload.trace_count = 1
    return b"".join([bytes(piece) for piece in payload.buffers()])


# -- the span that records nothing ----------------------------------------------------------------------------

cdef Span make_noop_span():
    cdef Span span = Span("")
    span._flags = SPAN_NOOP | SPAN_FINISHED
    span._span_id = 0
    (<Segment>span._segment).state.id_low = (<Segment>span._segment).state.id_high = 0
    return span


cdef Context noop_context(Span span):
    """The Context that passes through a disabled service: the activated one, else an empty one."""
    item = parent_of_item(active_item())
    if type(item) is Context:
        return <Context>item
    return Context(is_remote=False)


def decide_before_fork() -> None:
    """Takes the sampling decision of the active trace, so that a forked child agrees with its parent."""
    cdef Segment segment
    item = parent_of_item(active_item())
    if type(item) is Span and not (<Span>item)._flags & SPAN_NOOP:
        segment = <Segment>(<Span>item)._segment
        if segment.core is not None:
            decide(segment.core, segment)
