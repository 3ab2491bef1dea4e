# What OpenTelemetry calls a span: the methods of its API, on the Span itself.
#
# They are on a base class, so that `isinstance(span, opentelemetry.trace.Span)` is quick: the class
# registered there must not be the span's own, see fasttrace/opentelemetry/__init__.py.

cdef enum:
    SPAN_OTEL = 1 << 22              # begun by an OpenTelemetry tracer
    SPAN_OTEL_NAMES = 1 << 23        # has an attribute that gives it another operation name
    SPAN_OTEL_NO_EVENT = 1 << 24     # started with record_exception=False
    SPAN_OTEL_NO_STATUS = 1 << 25    # started with set_status_on_exception=False
    SPAN_OTEL_OK = 1 << 26           # its status was set to OK, which is final
    SPAN_KIND_SHIFT = 28             # the kind, three bits

    OTEL_INTERNAL = 0                # the values of opentelemetry.trace.SpanKind
    OTEL_SERVER = 1
    OTEL_CLIENT = 2
    OTEL_PRODUCER = 3
    OTEL_CONSUMER = 4

    STATUS_OK = 1                    # the values of opentelemetry.trace.StatusCode
    STATUS_ERROR = 2

    ATTRIBUTE_NAMES = 1              # the operation name may come from it
    ATTRIBUTE_SERVICE = 2
    ATTRIBUTE_RESOURCE = 3
    ATTRIBUTE_TYPE = 4
    ATTRIBUTE_STATUS_CODE = 5

    ATTRIBUTE_DEPTH = 20             # of sequences in sequences; what is deeper is "..."
    ATTRIBUTE_ITEMS_MAX = 1_000      # tags that one attribute becomes at most

cdef dict otel_attributes = dict.fromkeys((
    "operation.name", "http.request.method", "db.system", "messaging.system", "messaging.operation", "rpc.system",
    "rpc.service", "faas.invoked_provider", "faas.invoked_name", "faas.trigger", "graphql.operation.type",
    "network.protocol.name"), ATTRIBUTE_NAMES)
otel_attributes["service.name"] = ATTRIBUTE_SERVICE
otel_attributes["resource.name"] = ATTRIBUTE_RESOURCE
otel_attributes["span.type"] = ATTRIBUTE_TYPE
otel_attributes["http.response.status_code"] = ATTRIBUTE_STATUS_CODE

cdef uint64_t otel_key_bits[64]      # Bloom filter of these keys, two probes, as in Profile


cdef inline bint may_be_otel(PyObject *key) noexcept:
    cdef uint64_t h = <uint64_t>text_hash(key)
    return (otel_key_bits[(h >> 6) & 63] >> (h & 63)) & (otel_key_bits[(h >> 18) & 63] >> ((h >> 12) & 63)) & 1


cdef int note_otel_keys() except -1:
    cdef uint64_t h
    for key in otel_attributes:
        h = <uint64_t>text_hash(<PyObject *>key)
        otel_key_bits[(h >> 6) & 63] |= <uint64_t>1 << (h & 63)
        otel_key_bits[(h >> 18) & 63] |= <uint64_t>1 << ((h >> 12) & 63)
    return 0

note_otel_keys()


cdef class SpanBase:
    """The methods that OpenTelemetry's API asks of a span; every Span has them.

    They follow its specification, with attributes mapped as ddtrace 4.16 does. After the end of the
    span none of them has an effect, and none ever raises for a value.
    """

    def __cinit__(self, *args, **kwargs):
        if type(self) is not Span:
            raise TypeError("SpanBase has no instances of its own")

    @property
    def kind(self):
        """`opentelemetry.trace.SpanKind` of the span."""
        return otel_bridge().kind_of((<Span>self)._flags >> SPAN_KIND_SHIFT)

    def get_span_context(self):
        """The `opentelemetry.trace.SpanContext`; takes the trace's sampling decision if that is open."""
        return otel_bridge().span_context(self)

    def is_recording(self) -> bool:
        """Whether the span has not ended, and is none that records nothing."""
        return not (<Span>self)._flags & (SPAN_FINISHED | SPAN_NOOP)

    def set_attribute(self, key, value) -> None:
        """Sets an attribute: text or numbers; sequences become key.0, key.1 and so on."""
        span_set_attribute(<Span>self, key, value)

    def set_attributes(self, attributes) -> None:
        """`set_attribute` for every item of a mapping."""
        span_set_attributes(<Span>self, attributes)

    def add_event(self, name, attributes=None, timestamp=None) -> None:
        """Adds an event; `timestamp` is in nanoseconds since the epoch (None: now)."""
        if not (<Span>self)._flags & (SPAN_FINISHED | SPAN_NOOP):
            try:
                span_add_event(<Span>self, name, attributes, timestamp)
            except Exception as exc:
                warn("event", "an event was ignored: %s" % type(exc).__name__)

    def add_link(self, context, attributes=None) -> None:
        """Links to the span of a `SpanContext`; one without valid ids is ignored."""
        if not (<Span>self)._flags & (SPAN_FINISHED | SPAN_NOOP):
            span_add_otel_link(<Span>self, context, attributes)

    def update_name(self, name) -> None:
        """Sets what OpenTelemetry calls the name: the resource."""
        if not (<Span>self)._flags & (SPAN_FINISHED | SPAN_NOOP):
            (<Span>self).resource = name

    def set_status(self, status, description=None) -> None:
        """Sets the status: a Status, or a StatusCode with a description. OK is final, UNSET has no effect."""
        if not (<Span>self)._flags & (SPAN_FINISHED | SPAN_NOOP):
            span_set_status(<Span>self, status, description)

    def end(self, end_time=None) -> None:
        """Ends the span; a second call does nothing. `end_time` is in nanoseconds since the epoch (None: now)."""
        if end_time is not None and not (<Span>self)._flags & (SPAN_FINISHED | SPAN_NOOP):
            if isinstance(end_time, int):
                span_set_duration(<Span>self, end_time - (<Span>self).start_ns)
            else:
                warn("span_time", "end_time must be an int of nanoseconds, got %s" % type(end_time).__name__)
        span_finish(<Span>self)


cdef object otel_bridge():
    return load_module("fasttrace.opentelemetry.bridge")


# -- attributes -----------------------------------------------------------------------------------------

cdef inline int span_set_attribute(Span span, object key, object value) except -1:
    cdef TagValue raw
    if FT_UNLIKELY(span._flags & SPAN_FINISHED):
        return 0
    if FT_LIKELY(type(value) is str and takes_plain_tag(span, key) and not may_be_otel(<PyObject *>key)
                 and PyUnicode_GET_LENGTH(<PyObject *>value) <= TEXT_MAX_CHARS):
        Py_INCREF(value)
        raw.text = <PyObject *>value
        return tags_put(&span._tags, <PyObject *>key, TAG_TEXT, raw)
    return span_set_attribute_any(span, key, value)


cdef int span_set_attributes(Span span, object attributes) except -1:
    if not attributes or span._flags & (SPAN_FINISHED | SPAN_NOOP):
        return 0
    if type(attributes) is dict:
        for key, value in (<dict>attributes).items():
            span_set_attribute(span, key, value)
        return 0
    try:
        for key, value in attributes.items():
            span_set_attribute(span, key, value)
    except Exception as exc:
        warn("attributes", "attributes were ignored: %s" % type(exc).__name__)
    return 0


cdef int span_set_attribute_any(Span span, object key, object value) except -1:
    cdef PyObject *found
    cdef int kind = 0
    if span._flags & (SPAN_FINISHED | SPAN_NOOP):
        return 0
    key = as_key(key)
    if not key:
        return 0
    if may_be_otel(<PyObject *>key):
        found = PyDict_GetItemWithError(otel_attributes, key)
        if found != NULL:
            kind = <int>PyLong_AsSsize_t(<object>found)
    if kind == ATTRIBUTE_NAMES:
        if span._flags & SPAN_OTEL:
            span._flags |= SPAN_OTEL_NAMES
    elif kind == ATTRIBUTE_SERVICE:
        return replace_text(&span._service, text_or_none(value))
    elif kind == ATTRIBUTE_RESOURCE:
        span.resource = value
        return 0
    elif kind == ATTRIBUTE_TYPE:
        return span_set_type(span, value)
    elif kind == ATTRIBUTE_STATUS_CODE:
        return span_set_tag(span, "http.status_code", value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return span_set_sequence(span, key, value, 0)
    if isinstance(value, bytes):
        value = (<bytes>value).decode("utf-8", "replace")
    elif isinstance(value, bool):
        value = 1 if value else 0
    return span_set_tag(span, key, value)


cdef int span_set_sequence(Span span, str key, object values, int depth) except -1:
    """Items of a sequence as key.0, key.1 ..., those of sequences in it as key.0.0 and so on."""
    cdef int i = 0
    if depth > ATTRIBUTE_DEPTH:
        return span_set_tag(span, key, "...")
    try:
        for value in values:
            if i >= ATTRIBUTE_ITEMS_MAX:
                break
            name = "%s.%d" % (key, i)
            if isinstance(value, (list, tuple, set, frozenset)):
                span_set_sequence(span, name, value, depth + 1)
            else:
                span_set_tag(span, name, value)
            i += 1
    except RuntimeError as exc:      # changed by another thread meanwhile
        warn("attributes", "items of an attribute were ignored: %s" % exc)
    return 0


# -- the operation name ---------------------------------------------------------------------------------

cdef str attribute_text(Span span, str key):
    """The text of an attribute in lower case, or None."""
    text = span_get(span, key, True)
    return text.lower() if text else None


cdef int span_name_by_attributes(Span span) except -1:
    """Gives an ending span the operation name that its attributes ask for (the table of ddtrace 4.16)."""
    name = span_get(span, "operation.name", True)
    if name is not None:
        span_remove(span, "operation.name")
    if not name:
        name = otel_operation(span, span._flags >> SPAN_KIND_SHIFT)
    if name:
        replace_text(&span._name, name)
    return 0


cdef str otel_operation(Span span, int kind):
    cdef str system
    cdef str detail
    if kind == OTEL_SERVER or kind == OTEL_CLIENT:
        if attribute_text(span, "http.request.method"):
            return "http.server.request" if kind == OTEL_SERVER else "http.client.request"
    if kind == OTEL_CLIENT:
        system = attribute_text(span, "db.system")
        if system:
            return system + ".query"
    if kind != OTEL_INTERNAL:
        system = attribute_text(span, "messaging.system")
        detail = attribute_text(span, "messaging.operation")
        if system and detail:
            return system + "." + detail
    if kind == OTEL_CLIENT or kind == OTEL_SERVER:
        system = attribute_text(span, "rpc.system")
        if system == "aws-api" and kind == OTEL_CLIENT:
            detail = attribute_text(span, "rpc.service")
            return "aws.%s.request" % detail if detail else "aws.client.request"
        if system:
            return system + (".client.request" if kind == OTEL_CLIENT else ".server.request")
    if kind == OTEL_CLIENT:
        system = attribute_text(span, "faas.invoked_provider")
        detail = attribute_text(span, "faas.invoked_name")
        if system and detail:
            return "%s.%s.invoke" % (system, detail)
    if kind == OTEL_SERVER:
        detail = attribute_text(span, "faas.trigger")
        if detail:
            return detail + ".invoke"
    if attribute_text(span, "graphql.operation.type"):
        return "graphql.server.request"
    if kind == OTEL_SERVER or kind == OTEL_CLIENT:
        system = attribute_text(span, "network.protocol.name")
        if system:
            return system + (".client.request" if kind == OTEL_CLIENT else ".server.request")
    return None      # the name it began with


# -- status, links, exceptions ----------------------------------------------------------------------------

cdef int span_set_status(Span span, object status, object description) except -1:
    """The order of OpenTelemetry: nothing changes OK, UNSET changes nothing."""
    try:
        code = getattr(status, "status_code", status)
        if code is not status:
            description = status.description
        code = getattr(code, "value", code)
    except Exception as exc:
        warn("status", "a status was ignored: %s" % type(exc).__name__)
        return 0
    if span._flags & SPAN_OTEL_OK:
        return 0
    if code == STATUS_OK:
        span._flags |= SPAN_OTEL_OK
        if span._flags & SPAN_ERROR:
            span_set_error(span, 0)
            span_remove(span, "error.message")
    elif code == STATUS_ERROR:
        span_set_error(span, 1)
        if description:
            span_set_tag_str(span, "error.message", description)
    return 0


cdef int span_add_otel_link(Span span, object context, object attributes) except -1:
    try:
        trace_id, span_id = context.trace_id, context.span_id
        if not trace_id or not span_id:
            return 0
        tracestate = context.trace_state.to_header() if context.trace_state else None
        return span_add_link(span, trace_id, span_id, tracestate, int(context.trace_flags), attributes)
    except Exception as exc:
        warn("link", "a link was ignored: %s" % type(exc).__name__)
    return 0


cdef int span_exit_otel(Span span, object exc_val, bint event, bint status, bint escaped) except -1:
    """What an exception that leaves an OpenTelemetry scope does to its span; `escaped`: as its event says."""
    if span._flags & (SPAN_FINISHED | SPAN_NOOP) or not isinstance(exc_val, BaseException):
        return 0
    try:
        if event:
            errors_module().record_otel(span, exc_val, None, None, escaped)
        if status:
            span_set_status(span, STATUS_ERROR, errors_module().describe(exc_val))
    except Exception as exc:
        span._flags |= SPAN_ERROR
        warn("error_capture", "an exception could not be described: %s" % type(exc).__name__)
    return 0
