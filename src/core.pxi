# The tracer's compiled half: starting spans, finding the active one, buffering chunks, accounting.

cdef list live_cores = []            # weak references to every TracerCore, for the forked child
cdef Span noop_span = None           # what a disabled tracer hands out


cdef class TracerCore:
    """Base of `fasttrace.tracer.Tracer`; `trace`, `start_span` and `current_span` are never overridden."""
    cdef object __weakref__
    cdef bint is_enabled
    cdef bint wide_ids               # 128-bit trace ids
    cdef bint native_events          # span events in their own field: the agent takes them
    cdef bint slow_start             # a hook, a service mapping or a context provider is set
    cdef Profile profile
    cdef RuleSet rules               # which traces are kept, or None
    cdef RuleSet span_rules          # which spans of rejected traces are kept, or None
    cdef dict rates                  # (service, env) -> SampleRule of the agent's rate, or None
    cdef object rated_service, rated_env     # last looked up in `rates`
    cdef SampleRule rated_rule       # what was found
    cdef bint screens                # a rejected chunk needs a look: tail keep, span rules, stats
    cdef bint tail                   # some rule keeps traces by how they end
    cdef bint discards_early         # some rule may discard a trace when it begins
    cdef uint64_t tail_spans_max, tail_spans     # finished spans held for tail keep: bound, now
    cdef size_t tail_bytes_max, tail_bytes       # their estimated size
    cdef uint64_t tail_kept, tail_overflowed, tail_limited   # traces
    cdef StatsTable table            # statistics being counted; None: the agent counts
    cdef bint drops_p0               # rejected chunks that were counted are not sent
    cdef uint32_t p0_traces, p0_spans    # left out since the last payload was taken
    cdef list filters                # TraceFilter objects
    cdef list start_hooks            # called with each new span
    cdef dict service_mapping        # service -> service, or None
    cdef dict peer_mapping           # peer.service -> peer.service, or None
    cdef object provider             # custom context provider, or None
    cdef public object _wrap_executor    # called in place of wrapped functions (ddtrace 2.x), or None
    cdef uint32_t partial_min_spans  # finished spans that make a partial chunk
    cdef uint32_t open_max           # unfinished spans held at most
    cdef readonly int traceback_max_frames
    cdef size_t buffer_max_bytes
    cdef size_t wake_bytes           # with more in the buffer the flusher is woken; 0: see _starts_for_each
    cdef size_t payload_max_bytes
    cdef int version                 # wire version of new payloads: 4 or 5
    # -- buffer --
    cdef Payload filling             # takes the next chunk; None while the buffer is empty
    cdef list full                   # Payloads waiting, oldest first
    cdef size_t full_bytes           # held by `full`
    cdef size_t flying_bytes         # of payloads taken by the flusher and not settled; part of the bound
    cdef size_t hand_bytes           # of payloads that a chunk is being encoded into, which are not in the buffer
    cdef uint32_t swaps              # how often the buffer was emptied
    cdef Buffer spare                # memory of a payload that was sent
    cdef readonly NativeEvent _wake
    cdef public object _on_first_chunk
    cdef public bint _flusher_running
    cdef public bint _events_as_json     # v0.4 spans with events were sent: an own field would be better
    # -- accounting, unit spans --
    cdef uint64_t finished_count, added_count, held_count, buffered_count, in_flight_count
    cdef uint64_t sent_count, unconfirmed_count, abandoned_count, open_count, unrecorded_count
    cdef dict dropped                # reason -> spans
    cdef readonly dict _refused      # reason -> (chunks, bytes) that did not get into the buffer
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
        self.buffer_max_bytes = self.tail_bytes_max = 20 << 20
        self.payload_max_bytes = self.buffer_max_bytes - PAYLOAD_HEADER_BYTES
        self.wake_bytes = self.buffer_max_bytes // 2
        self.tail_spans_max = 100_000
        self.version = 4
        self.full = []
        self.dropped = {}
        self._refused = {}
        self._wake = NativeEvent()
        live_cores.append(PyWeakref_NewRef(self, live_cores.remove))

    def __dealloc__(self):
        buffer_free(&self.spare)

    # -- spans -----------------------------------------------------------------------------------

    def trace(self, name, service=None, resource=None, span_type=None, span_api="datadog"):
        """Starts a span under the active one and makes it active; use it as `with tracer.trace("name"):`.

        name, service, resource and span_type are str (None: inherited or derived). Follows ddtrace 4.x.
        """
        return given(core_trace(self, name, service, resource, span_type))

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
        self._starts_for_each = self._starts_for_each
        payload_max_bytes = max(min(payload_max_bytes, buffer_max_bytes), PAYLOAD_HEADER_BYTES)
        self.payload_max_bytes = payload_max_bytes - PAYLOAD_HEADER_BYTES
        self.open_max = open_max
        self.traceback_max_frames = traceback_max_frames

    @property
    def _starts_for_each(self) -> bool:
        """Whether every chunk wakes the flusher and calls `_on_first_chunk`, as if the buffer were empty."""
        return self.wake_bytes == 0

    @_starts_for_each.setter
    def _starts_for_each(self, bint on):
        self.wake_bytes = 0 if on else self.buffer_max_bytes >> 1 | 1

    def _set_wire(self, api_version) -> None:
        """Wire version of payloads begun from now on: "v0.4" or "v0.5"."""
        self.version = 5 if api_version == "v0.5" else 4

    def _set_wide_ids(self, bint wide) -> None:
        self.wide_ids = wide

    def _set_native_events(self, bint native) -> None:
        """Whether span events go into their own field (v0.4, an agent that offers `span_events`)."""
        self.native_events = native

    def _set_hooks(self, filters=None, start_hooks=None, service_mapping=None, provider=None,
                   peer_mapping=None) -> None:
        """Replaces filters, start hooks, the two mappings and the context provider."""
        self.peer_mapping = dict(peer_mapping) if peer_mapping else None
        self.filters = list(filters or ())
        self.start_hooks = list(start_hooks or ())
        self.service_mapping = dict(service_mapping) if service_mapping else None
        self.provider = provider
        self.slow_start = bool(self.start_hooks) or self.service_mapping is not None or provider is not None
        self.note_sampling()

    def _set_rates(self, rates) -> None:
        """The agent's table {"service:web,env:prod": rate}; replaces the whole old one."""
        table = {}
        for key, rate in rates.items():
            service, found, env = str(key).partition(",env:")
            if found and service.startswith("service:") and isinstance(rate, (int, float)) and 0 <= rate <= 1:
                known = self.rates.get((service[8:], env)) if self.rates is not None else None
                if known is None or (<SampleRule>known).rate != rate:
                    known = new_rule(rate, MECHANISM_AGENT_RATE)
                table[(service[8:], env)] = known
        self.rated_service = self.rated_env = self.rated_rule = None
        self.rates = table or None

    def _set_sampling(self, list rules, rate_limit, list spans, tail_max_spans=100_000,
                      tail_max_bytes=20 << 20) -> None:
        """Rules for traces and for single spans, as `fasttrace.sampling` describes them, for decisions from now on.

        rate_limit: most traces a second that `rules` keep; negative: no limit. The other two bound what is held for
        rules that look at the end of a trace.
        """
        self.rules = trace_rules(rules, rate_limit, None if self.rules is None else self.rules.limiter) \
            if rules else None
        self.span_rules = span_rules(spans) if spans else None
        self.tail_spans_max = tail_max_spans
        self.tail_bytes_max = tail_max_bytes
        self.note_sampling()

    cdef int note_sampling(self) except -1:
        """What follows from the rules and the rest of the configuration."""
        # What is held for rules that are gone must still be given back.
        self.tail = (self.rules is not None and self.rules.keeps_late) or self.tail_spans > 0
        self.screens = self.tail or self.span_rules is not None or self.table is not None
        self.discards_early = self.rules is not None and self.rules.discards and not self.tail \
            and self.span_rules is None and not self.filters
        return 0

    def _set_stats(self, interval_ns, kinds=(), peer_tags=(), bint drop=False) -> None:
        """Counts spans of chunks from now on, in intervals of `interval_ns`; None: no more.

        kinds: values of span.kind that count; peer_tags: tags that tell apart the peers of clients, producers and
        consumers. drop: whether rejected chunks are then left out. What was counted so far stays.
        """
        cdef StatsTable table = None
        if interval_ns is not None:
            table = StatsTable.__new__(StatsTable)
            table.interval_ns = interval_ns
            table.kinds = frozenset(kinds)
            table.peer_tags = tuple(sorted(peer_tags))
            table.peer_kinds = frozenset(("client", "producer", "consumer"))
            table.buckets = self.table.buckets if self.table is not None \
                and self.table.interval_ns == table.interval_ns else {}
        if (table is None) != (self.table is None) and self.filling is not None:
            self.close_filling()  # a payload says of all its chunks whether they were counted
        self.table = table
        self.drops_p0 = drop and table is not None
        self.note_sampling()

    def _take_stats(self, before_ns) -> list:
        """What was counted in intervals that ended before `before_ns` (wall clock): (start_ns, groups) pairs.

        A group is (key, hits, top-level hits, errors, duration_ns, sketch of the successful, sketch of the failed); its
        key (name, service, resource, type, status code, synthetic, kind, whether a trace root, peer tags or None).
        """
        return [] if self.table is None else take_stats(self.table, before_ns)

    def _decide(self, span) -> None:
        """Takes the sampling decision of the span's trace now."""
        if type(span) is Span and not (<Span>span)._flags & SPAN_NOOP:
            decide(self, <Segment>(<Span>span)._segment)

    # -- payload seam -------------------------------------------------------------------------------

    @property
    def _buffered_bytes(self) -> int:
        """Encoded bytes waiting to be sent, and one for statistics that are."""
        return self.waiting_bytes() + (self.table is not None and len(self.table.buckets) > 0)

    cdef size_t waiting_bytes(self) noexcept:
        return self.full_bytes + self.hand_bytes + (self.filling.held() if self.filling is not None else 0)

    cdef int close_filling(self) except -1:
        """Has the next chunk begin a payload of its own."""
        self.filling.close()
        self.full.append(self.filling)
        self.full_bytes += self.filling.size()
        self.filling = None
        return 0

    def _swap(self, bint aside=False) -> list:
        """Takes every payload out of the buffer, oldest first; their spans count as in flight.

        Their bytes still count to the bound of the buffer, unless they are put `aside`.
        """
        cdef list payloads = self.full
        self.full = []
        self.full_bytes = 0
        self.swaps += 1
        if self.filling is not None:
            self.filling.forget_strings()
            payloads.append(self.filling)
            self.filling = None
        if payloads:
            (<Payload>payloads[0]).p0_traces += self.p0_traces
            (<Payload>payloads[0]).p0_spans += self.p0_spans
            self.p0_traces = self.p0_spans = 0
        for payload in payloads:
            self.buffered_count -= (<Payload>payload).unsettled()
            self.in_flight_count += (<Payload>payload).unsettled()
            if not aside:
                (<Payload>payload).flying = True
                self.flying_bytes += (<Payload>payload).size()
        return payloads

    def _settle(self, Payload payload not None, str outcome not None, *, spans=None, traces=None,
                nbytes=None) -> None:
        """Ends a payload's flight: "sent", "unconfirmed", or the reason why it was dropped.

        With `spans` it ends that of a part, of so many `traces` and `nbytes`, and the rest remains.
        Raises ValueError if it was settled before or the part is larger than what is left.
        """
        cdef uint32_t spans_left = payload.span_count - payload.settled_spans
        cdef uint32_t traces_left = payload.trace_count - payload.settled_traces
        cdef uint32_t span_part = spans_left if spans is None else spans
        cdef uint32_t trace_part = traces_left if spans is None else traces
        if payload.settled:
            raise ValueError("a payload is settled once")
        if span_part > spans_left or trace_part > traces_left:
            raise ValueError("a part is not larger than what is left of the payload")
        self.settle(payload, outcome, span_part, trace_part, payload.size() if nbytes is None else nbytes,
                    spans is None)

    cdef int settle(self, Payload payload, str outcome, uint32_t span_part, uint32_t trace_part, uint64_t nbytes,
                    bint is_all) except -1:
        payload.settled = is_all
        payload.settled_spans += span_part
        payload.settled_traces += trace_part
        self.in_flight_count -= span_part
        if outcome == "sent":
            self.sent_count += span_part
            self.sent_traces += trace_part
            self.sent_bytes += nbytes
        elif outcome == "unconfirmed":
            self.unconfirmed_count += span_part
        else:
            self.drop(outcome, span_part)
        if payload.settled:
            self.land(payload)
            if payload.exports == 0:
                self.recycle(payload)
        return 0

    cdef int land(self, Payload payload) except -1:
        """The bytes of a payload no longer count as in flight."""
        if payload.flying:
            payload.flying = False
            self.flying_bytes -= min(self.flying_bytes, payload.size())
        return 0

    cdef int recycle(self, Payload payload) except -1:
        """Keeps the memory of a settled payload for the next, or frees it with the GIL released.

        To give back 20 MiB takes the kernel a millisecond and more, and what runs afterwards finds nothing in the
        caches: the thread that sends leaves it until it waits.
        """
        cdef Buffer body = payload.body
        payload.body.data = NULL
        payload.body.used = payload.body.room = 0
        if self.spare.data == NULL and body.room <= BUFFER_KEEP_BYTES:
            self.spare = body
            self.spare.used = 0
        elif not leave_to_wait(body):
            ft_lock_goes()
            with nogil:
                buffer_free(&body)
            ft_lock_is_back()
        return 0

    def _unswap(self, Payload payload not None) -> bool:
        """Puts a payload back in front for a later attempt; False if the buffer has no room for it."""
        if payload.settled:
            return False
        if self.waiting_bytes() + payload.size() > self.buffer_max_bytes and self.filling is not None:
            self.close_filling()  # it knows strings that take room
        if self.waiting_bytes() + payload.size() > self.buffer_max_bytes:
            return False
        self.land(payload)
        if payload.exports == 0:
            payload.close()
        self.full.insert(0, payload)
        self.full_bytes += payload.size()
        self.in_flight_count -= payload.unsettled()
        self.buffered_count += payload.unsettled()
        return True

    cdef int drop(self, str reason, uint64_t spans) except -1:
        self.dropped[reason] = self.dropped.get(reason, 0) + spans
        return 0

    def stats(self) -> dict:
        """Where every finished span went, read at one instant. Unit: spans.

        finished + added_by_filter == held + buffered + in_flight + sent + unconfirmed + sum(dropped).
        `open` spans are not finished yet, `abandoned` ones never will be, `unrecorded` ones were
        refused because too many were open. `tail_held` spans wait for the end of their trace, a part of
        `held`. Rules for the end of traces kept `tail_kept_traces`; the rate limit kept them from keeping
        `tail_limited_traces`, the bound of what is held `tail_overflowed_traces`.
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
            "tail_kept_traces": self.tail_kept,
            "tail_limited_traces": self.tail_limited,
            "tail_overflowed_traces": self.tail_overflowed,
            "tail_held": self.tail_spans,
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
        self.full_bytes = self.flying_bytes = self.hand_bytes = 0
        self.finished_count = self.added_count = self.held_count = self.buffered_count = self.in_flight_count = 0
        self.sent_count = self.unconfirmed_count = self.abandoned_count = self.open_count = 0
        self.unrecorded_count = 0
        self.sent_traces = self.sent_bytes = 0
        if self.table is not None:
            self.table.buckets = {}
        self.p0_traces = self.p0_spans = 0
        self.tail_spans = self.tail_bytes = self.tail_kept = self.tail_overflowed = self.tail_limited = 0
        self.dropped = {}
        self._refused = {}
        self._wake = NativeEvent()
        self._flusher_running = False
        return 0
