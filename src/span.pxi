# The Span object: its layout, its life, and the `with` protocol.
#
# Contract
# 1. A span with SPAN_IN_LIST is on its Segment's list. The list holds no reference: if the last
#    reference goes while it is listed, the memory stays with the list (SPAN_ORPHAN).
# 2. `_above` is owned and never points at itself; it is released when the span becomes an orphan,
#    so that an abandoned root dies by refcount although finished children are still listed.
# 3. `_segment` is owned and never NULL after construction.
# 4. Only `_base`, `_extra` and, by way of the trace's baggage, `_segment` can reach objects of the
#    application; only they are visited by the garbage collector, and only a span that has such an
#    object is known to it at all.

cdef enum:
    SPAN_FINISHED = 1 << 0
    SPAN_IN_LIST = 1 << 1
    SPAN_ORPHAN = 1 << 2         # listed, and nobody else holds it
    SPAN_LOCAL_ROOT = 1 << 3     # no local parent
    SPAN_NEW_TRACE = 1 << 4      # local root without a remote parent
    SPAN_TOP_LEVEL = 1 << 5      # entry of a service; known at finish
    SPAN_ERROR = 1 << 6
    SPAN_VERSION = 1 << 7        # carries the configured version
    SPAN_USER_VERSION = 1 << 8   # has a version tag set by the application
    SPAN_INHERITS = 1 << 9       # carries the propagated tags of its trace
    SPAN_NOOP = 1 << 10          # records nothing
    SPAN_DURATION_SET = 1 << 11  # duration given by the application
    SPAN_COLLIDES = 1 << 12      # a tag may share its name with one of ours: encode by dict
    SPAN_OWNS_STATIC = 1 << 13   # the shared tags were copied into its own block
    SPAN_SEEN = 1 << 14          # scratch mark while a filtered chunk is put together
    SPAN_NO_RESOURCE = 1 << 15   # resource set to None by the application
    SPAN_BASE_KNOWN = 1 << 16    # `_dd.base_service` was decided before filters ran
    SPAN_DISCARDED = 1 << 17     # records nothing, and stands for the children of a discarded trace
    SPAN_SINGLE = 1 << 18        # kept by a span rule although its trace is rejected

ctypedef PyObject *(*vectorcall_function)(PyObject *, PyObject **, size_t, PyObject *)


@cython.internal
cdef class SpanExtra:
    """What few spans have; made on first need."""
    cdef list on_finish          # callbacks, called once with the span
    cdef list links              # Link
    cdef list events             # Event
    cdef dict store              # objects that integrations keep on a span
    cdef Context context         # so that `span.context is span.context`
    cdef PyObject *parent_service    # owned: service of a finished parent that is no longer held
    cdef object local_root       # local root that a compressed parent chain no longer leads to
    cdef Span discarded          # on a local root: what its children are, if the trace is discarded
    cdef str span_type           # a type the common table does not have
    cdef int64_t error           # span.error if it is neither 0 nor 1

    def __dealloc__(self):
        if self.parent_service != NULL:
            decref(self.parent_service)


@cython.final
cdef class Span(SpanBase):
    """A timed operation of a trace (ddtrace 4.x `Span`, with the older names kept).

    Made by `Tracer.trace()` or `Tracer.start_span()`; constructed by hand it belongs to no tracer and
    is never sent. Times: `start_ns` and `duration_ns` in nanoseconds, `start` and `duration` in seconds.
    """
    cdef vectorcall_function _call       # slot of the vectorcall protocol
    cdef object __weakref__
    cdef object _base                    # attach node or Context it began under
    cdef object _extra                   # SpanExtra or None
    cdef PyObject *_segment              # owned Segment
    cdef PyObject *_above                # owned Span: local parent, or nearest unfinished ancestor
    cdef PyObject *_next                 # borrowed: next on the Segment's list, in creation order
    cdef PyObject *_name                 # owned str
    cdef PyObject *_service              # owned str or NULL
    cdef PyObject *_resource             # owned str or NULL: then the name is meant
    cdef TagBlock *_tags                 # owned, or NULL
    cdef uint64_t _span_id
    cdef uint64_t _parent_id             # 0: none
    cdef int64_t _start_ns               # monotonic clock
    cdef int64_t _duration_ns            # valid when finished or SPAN_DURATION_SET
    cdef uint32_t _flags                 # SPAN_*
    cdef uint16_t _type                  # position in span_types; 0: none
    cdef uint16_t _tracked               # whether the collector knows the span

    def __cinit__(self, *args, **kwargs):
        self._tracked = True     # as every new object of a type with references is

    def __init__(self, name, service=None, resource=None, span_type=None, trace_id=None, span_id=None, parent_id=None,
                 start=None, context=None, on_finish=None, span_api="datadog", links=None):
        span_construct(self, name, service, resource, span_type, trace_id, span_id, parent_id, start, context,
                       on_finish, links)

    # -- identity ------------------------------------------------------------------------------

    @property
    def span_id(self) -> int:
        """Id of the span: int, 1 to 2**64 - 1."""
        return self._span_id

    @span_id.setter
    def span_id(self, value):
        if isinstance(value, int) and 0 <= value <= SPAN_ID_MAX:
            self._span_id = value

    @property
    def trace_id(self) -> int:
        """Id of the trace: int of up to 128 bits."""
        cdef TraceState state = span_state(self)
        return (<object>state.id_high << 64) | state.id_low if state.id_high else state.id_low

    @trace_id.setter
    def trace_id(self, value):
        if isinstance(value, int) and 0 <= value <= TRACE_ID_MAX:
            span_state(self).set_trace_id(value)

    @property
    def parent_id(self):
        """Id of the parent span (int), local or remote, or None."""
        return self._parent_id if self._parent_id else None

    @parent_id.setter
    def parent_id(self, value):
        self._parent_id = value if isinstance(value, int) and 0 <= value <= SPAN_ID_MAX else 0

    @property
    def context(self) -> Context:
        """The Context of the trace with this span as parent-to-be."""
        if self._flags & (SPAN_NOOP | SPAN_DISCARDED) == SPAN_NOOP:
            return noop_context(self)
        extra = span_extra(self)
        if extra.context is None:
            extra.context = context_of(span_state(self), self._span_id)
        return extra.context

    @property
    def _parent(self):
        """The local parent span or None; a finished parent may be replaced by its own parent."""
        return <object>self._above if self._above != NULL else None

    @property
    def _local_root(self):
        """The first span of this trace in this process (and, for joined traces, this thread)."""
        return span_local_root(self)

    # -- names ---------------------------------------------------------------------------------

    @property
    def name(self):
        """Operation name (str)."""
        return <object>self._name if self._name != NULL else None

    @name.setter
    def name(self, value):
        if self._flags & SPAN_NOOP:
            return
        if self._resource == NULL:
            # Without a resource of its own the span was given its first name as resource.
            replace_text(&self._resource, self.name)
        replace_text(&self._name, text_or_empty(value))

    @property
    def service(self):
        """Service name (str) or None."""
        return <object>self._service if self._service != NULL else None

    @service.setter
    def service(self, value):
        if not self._flags & SPAN_NOOP:
            replace_text(&self._service, text_or_none(value))

    @property
    def resource(self):
        """Resource name (str); the operation name unless set."""
        if self._flags & SPAN_NO_RESOURCE:
            return None
        return <object>self._resource if self._resource != NULL else self.name

    @resource.setter
    def resource(self, value):
        if not self._flags & SPAN_NOOP:
            replace_text(&self._resource, "" if value is None else text_or_empty(value))
            if value is None:
                self._flags |= SPAN_NO_RESOURCE
            else:
                self._flags &= ~<uint32_t>SPAN_NO_RESOURCE

    @property
    def span_type(self):
        """Span type (str, see `fasttrace.ext.SpanTypes`) or None."""
        return <object>span_type_raw(self) if self._type else None

    @span_type.setter
    def span_type(self, value):
        if not self._flags & SPAN_NOOP:
            span_set_type(self, value)

    # -- state and time ------------------------------------------------------------------------

    @property
    def error(self) -> int:
        """0, or 1 (any int32) for a failed operation."""
        if not self._flags & SPAN_ERROR:
            return 0
        if self._extra is not None and (<SpanExtra>self._extra).error:
            return (<SpanExtra>self._extra).error
        return 1

    @error.setter
    def error(self, value):
        span_set_error(self, value)

    @property
    def finished(self) -> bool:
        """Whether finish() was called."""
        return self._flags & SPAN_FINISHED != 0

    @finished.setter
    def finished(self, value):
        if value:
            span_finish(self)

    @property
    def start_ns(self) -> int:
        """Start in nanoseconds since the epoch."""
        return self._start_ns + span_state(self).offset_ns

    @start_ns.setter
    def start_ns(self, value):
        if isinstance(value, int):
            span_set_start(self, value)

    @property
    def start(self) -> float:
        """Start in seconds since the epoch."""
        return self.start_ns / 1e9

    @start.setter
    def start(self, value):
        span_set_start(self, seconds_to_ns(value, "start"))

    @property
    def duration_ns(self):
        """Duration in nanoseconds, or None before finish()."""
        return self._duration_ns if self._flags & (SPAN_FINISHED | SPAN_DURATION_SET) else None

    @duration_ns.setter
    def duration_ns(self, value):
        if value is None:
            self._flags &= ~<uint32_t>SPAN_DURATION_SET
        elif isinstance(value, int):
            span_set_duration(self, value)

    @property
    def duration(self):
        """Duration in seconds, or None before finish(). A value set here is kept by finish()."""
        ns = self.duration_ns
        return None if ns is None else ns / 1e9

    @duration.setter
    def duration(self, value):
        ns = seconds_to_ns(value, "duration")
        if ns is not None:
            span_set_duration(self, ns)

    @property
    def sampled(self) -> bool:
        """Whether the trace is kept as far as decided (older ddtrace)."""
        cdef TraceState state = span_state(self)
        return not state.has_priority or state.priority > 0

    def finish(self, finish_time=None) -> None:
        """Ends the span; a second call does nothing. `finish_time`: seconds since the epoch."""
        if finish_time is not None and not self._flags & SPAN_FINISHED:
            end_ns = seconds_to_ns(finish_time, "finish_time")
            if end_ns is not None:
                span_set_duration(self, end_ns - self.start_ns)
        span_finish(self)

    def finish_with_ancestors(self) -> None:
        """Ends the span and all its unfinished local ancestors (older ddtrace)."""
        span = self
        while span is not None:
            parent = (<Span>span)._above
            above = <object>parent if parent != NULL else None
            span_finish(<Span>span)
            span = above

    # -- tags ----------------------------------------------------------------------------------

    def set_tag(self, key, value=None) -> None:
        """Sets a tag: text to `meta`, numbers to `metrics`, special keys as ddtrace 4.x."""
        span_set_tag(self, key, value)

    def set_tag_str(self, key, value) -> None:
        """Sets a text tag; bytes are decoded, other values ignored with a warning (ddtrace 2.x)."""
        span_set_tag_str(self, key, value)

    def _set_tag_str(self, key, value) -> None:
        span_set_tag_str(self, key, value)

    def set_tags(self, tags) -> None:
        """`set_tag` for every item of a mapping."""
        if tags:
            for key, value in tags.items():
                span_set_tag(self, key, value)

    def get_tag(self, key):
        """The text tag of that key, or None."""
        return span_get(self, key, True)

    def get_tags(self) -> dict:
        """A copy of all text tags."""
        return span_meta(self)

    def remove_tag(self, key) -> None:
        """Removes a tag, if there (text or number, as ddtrace 4.x)."""
        span_remove(self, key)

    def set_metric(self, key, value) -> None:
        """Sets a numeric tag; what is no finite number is ignored."""
        span_set_metric(self, key, value)

    def set_metrics(self, metrics) -> None:
        """`set_metric` for every item of a mapping."""
        if metrics:
            for key, value in metrics.items():
                span_set_metric(self, key, value)

    def get_metric(self, key):
        """The numeric tag of that key (int or float), or None."""
        return span_get(self, key, False)

    def get_metrics(self) -> dict:
        """A copy of all numeric tags."""
        return span_metrics(self)

    def remove_metric(self, key) -> None:
        """Removes a tag, if there (text or number, as ddtrace 4.x)."""
        span_remove(self, key)

    @property
    def _meta(self) -> dict:
        return span_meta(self)

    @property
    def _metrics(self) -> dict:
        return span_metrics(self)

    # -- errors, events, links -----------------------------------------------------------------

    def set_exc_info(self, exc_type, exc_val, exc_tb, limit=None) -> None:
        """Marks the span as failed and sets error.type, error.message and error.stack.

        Without all three of type, value and traceback nothing happens.
        """
        if exc_type and exc_val is not None and exc_tb:
            span_set_exception(self, exc_type, exc_val, exc_tb, limit)

    def set_traceback(self, limit=None) -> None:
        """Inside an except block as set_exc_info(); otherwise error.stack is the current stack."""
        if not self._flags & SPAN_NOOP:
            core = (<Segment>self._segment).core
            if limit is None and core is not None:
                limit = (<TracerCore>core).traceback_max_frames
            errors_module().set_traceback(self, limit)

    def record_exception(self, exception, attributes=None, timestamp=None, escaped=False) -> None:
        """Adds an "exception" event; the span is not marked as failed (ddtrace 4.x).

        On a span of an OpenTelemetry tracer also the tags error.type, error.message and error.stack.
        `timestamp` is in nanoseconds since the epoch (None: now).
        """
        if self._flags & SPAN_OTEL:
            if not self._flags & SPAN_FINISHED:
                errors_module().record_otel(self, exception, attributes, timestamp, escaped)
        elif not self._flags & SPAN_NOOP:
            errors_module().record_exception(self, exception, attributes, timestamp)

    def _add_event(self, name, attributes=None, time_unix_nano=None) -> None:
        """Adds an event; `time_unix_nano` None means now."""
        span_add_event(self, name, attributes, time_unix_nano)

    def link_span(self, context, attributes=None) -> None:
        """Links to the span of a Context."""
        span_link_context(self, context, attributes)

    def set_link(self, trace_id, span_id, tracestate=None, flags=None, attributes=None) -> None:
        """Links to a span by its ids; a later link to the same span replaces the earlier one."""
        span_add_link(self, trace_id, span_id, tracestate, flags, attributes)

    @property
    def _links(self) -> list:
        """The links, in order."""
        return list((<SpanExtra>self._extra).links or ()) if self._extra is not None else []

    @property
    def _events(self) -> list:
        """The events, in order."""
        return list((<SpanExtra>self._extra).events or ()) if self._extra is not None else []

    # -- hooks ---------------------------------------------------------------------------------

    @property
    def _on_finish_callbacks(self) -> list:
        """Callables called with the span when it finishes; append to add one."""
        extra = span_extra(self)
        if extra.on_finish is None:
            extra.on_finish = []
        return extra.on_finish

    def _set_ctx_item(self, key, value) -> None:
        """Keeps an object on the span; never sent."""
        extra = span_extra(self)
        if extra.store is None:
            extra.store = {}
        extra.store[key] = value

    def _get_ctx_item(self, key):
        """The object kept under `key`, or None."""
        if self._extra is None or (<SpanExtra>self._extra).store is None:
            return None
        return (<SpanExtra>self._extra).store.get(key)

    def __aenter__(self):
        return ready(self)

    def __aexit__(self, exc_type, exc_val, exc_tb):
        span_exit(self, exc_type, exc_val, exc_tb)
        return ready(None)

    def __repr__(self):
        return "<Span(id=%s,trace_id=%s,parent_id=%s,name=%s)>" % (
            self.span_id, self.trace_id, self.parent_id, self.name)
