# The OpenTelemetry face's compiled half: its tracer, and what `start_as_current_span` returns.
#
# A span is put in place as a native one is: it is the active item from its start, and nothing needs to
# be written when it ends. Where that would not restore what was there before, the scope does: it has
# kept the token of the context variable, or put a node in place.

cdef object otel_span_key = None         # under which a context has its span; None until the face is loaded
cdef object otel_fallback = None         # says what is active where nothing was attached; mostly None
cdef object otel_baggage_key = None      # under which it has the baggage
cdef tuple otel_kinds = ()               # SpanKind members, by their number
cdef tuple KIND_NAMES = ("internal", "server", "client", "producer", "consumer")
cdef tuple OTEL_OPERATIONS = ("internal", "server.request", "client.request", "producer", "consumer")
cdef str KEY_KIND = "span.kind"
cdef str WORD_CONTEXT = "context"
cdef str WORD_KIND = "kind"
cdef str WORD_ATTRIBUTES = "attributes"

cdef ft_method general_start = NULL
cdef ft_method general_start_current = NULL


def set_otel(span_key, baggage_key, kinds) -> None:
    """Tells the core the keys of span and baggage in OpenTelemetry's contexts, and SpanKind's members in order."""
    global otel_span_key, otel_baggage_key, otel_kinds
    otel_span_key = span_key
    otel_baggage_key = baggage_key
    otel_kinds = tuple(kinds)


def set_otel_fallback(function) -> None:
    """Has `function()` asked for the parent (Span, Context or None) where nothing is active; None: nobody is."""
    global otel_fallback
    otel_fallback = function


def otel_current():
    """What OpenTelemetry's current context is made of.

    Returns the active Span, Context or None; the payload of the nearest node that has one, or None; and
    whether that node is itself what is active.
    """
    item = active_item()
    cdef AttachNode node = nearest_payload(item)
    return parent_of_item(item), None if node is None else node.payload, node is item


cdef AttachNode nearest_payload(object item):
    """The nearest node of another API; None if there is none."""
    cdef AttachNode node = nearest_node(item)
    while node is not None and node.payload is None:
        node = nearest_node(node.base)
    return node


def otel_baggage(source):
    """OpenTelemetry's baggage that goes with a Span or Context of the trace that is active; None: there is none."""
    cdef AttachNode node = nearest_payload(stored_item())
    cdef PyObject *found
    if node is None or not isinstance(node.payload, dict):
        return None
    found = PyDict_GetItemWithError(node.payload, otel_baggage_key)
    if found == NULL or not <object>found:
        return None
    active = parent_of_item(active_item())
    if active is None or state_of(active) is not state_of(source):
        return None
    return <object>found


cdef TraceState state_of(object source):
    """The state of a Span's or a Context's trace; None for anything else."""
    if type(source) is Span:
        return span_state(<Span>source)
    return (<Context>source)._state if type(source) is Context else None


cdef int otel_kind_number(object kind) noexcept:
    """The number of a SpanKind; what is none counts as internal."""
    cdef Py_ssize_t i
    for i in range(len(otel_kinds)):
        if PyTuple_GET_ITEM(<PyObject *>otel_kinds, i) == <PyObject *>kind:
            return <int>i
    return OTEL_INTERNAL


cdef class OtelTracerBase:
    """By which OpenTelemetry knows its tracers: the registered class itself it would look up each time."""


cdef class OtelTracer(OtelTracerBase):
    """`fasttrace.opentelemetry.Tracer`: starts spans of one TracerCore, as an `opentelemetry.trace.Tracer`.

    Handed out as it is: CPython calls the methods of a subclass in Python in a slower way.
    """
    cdef TracerCore core
    cdef object __weakref__

    def __init__(self, TracerCore core not None):
        self.core = core

    def start_span(self, name, context=None, kind=None, attributes=None, links=None, start_time=None,
                   record_exception=True, set_status_on_exception=True):
        """Starts a span that is not made current, as OpenTelemetry's `Tracer.start_span`.

        `start_time` is in nanoseconds since the epoch. Used in `with`, the span ends with the block.
        """
        cdef Span span = otel_start(self.core, name, context, otel_kind_number(kind), None)
        otel_furnish(span, attributes, links, start_time)
        if not span._flags & SPAN_NOOP:
            if not record_exception:
                span._flags |= SPAN_OTEL_NO_EVENT
            if not set_status_on_exception:
                span._flags |= SPAN_OTEL_NO_STATUS
        return span

    def start_as_current_span(self, name, context=None, kind=None, attributes=None, links=None, start_time=None,
                              record_exception=True, set_status_on_exception=True, end_on_exit=True):
        """A context manager and decorator in which a new span is current, as OpenTelemetry's.

        The span starts when the block is entered, and for a decorated function with each call.
        """
        cdef SpanScope scope = scope_new(self, name, otel_kind_number(kind))
        scope.context = context
        scope.attributes = attributes
        if links is not None or start_time is not None:
            scope.rare = (links, start_time)
        scope.no_event = not record_exception
        scope.no_status = not set_status_on_exception
        scope.stays_open = not end_on_exit
        return scope


cdef object quick_start(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames):
    """start_span(name), with or without context, kind and attributes"""
    cdef PyObject *context = <PyObject *>None
    cdef PyObject *attributes = <PyObject *>None
    cdef PyObject *word
    cdef Py_ssize_t i
    cdef int kind = OTEL_INTERNAL
    cdef Span span
    if nargs != 1:
        return general_start(self, args, nargs, kwnames)
    if kwnames != NULL:
        for i in range(PyTuple_GET_SIZE(<object>kwnames)):
            word = PyTuple_GET_ITEM(kwnames, i)
            if word == <PyObject *>WORD_KIND:
                kind = otel_kind_number(<object>args[1 + i])
            elif word == <PyObject *>WORD_ATTRIBUTES:
                attributes = args[1 + i]
            elif word == <PyObject *>WORD_CONTEXT:
                context = args[1 + i]
            else:
                return general_start(self, args, nargs, kwnames)
    span = otel_start((<OtelTracer>self).core, <object>args[0], <object>context, kind, None)
    if attributes != <PyObject *>None:
        span_set_attributes(span, <object>attributes)
    return span


cdef object quick_start_current(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames):
    """start_as_current_span(name), with or without context, kind and attributes"""
    cdef SpanScope scope
    cdef PyObject *word
    cdef Py_ssize_t i
    if nargs != 1:
        return general_start_current(self, args, nargs, kwnames)
    scope = scope_new(<OtelTracer>self, <object>args[0], OTEL_INTERNAL)
    if kwnames != NULL:
        for i in range(PyTuple_GET_SIZE(<object>kwnames)):
            word = PyTuple_GET_ITEM(kwnames, i)
            if word == <PyObject *>WORD_KIND:
                scope.kind = otel_kind_number(<object>args[1 + i])
            elif word == <PyObject *>WORD_ATTRIBUTES:
                scope.attributes = <object>args[1 + i]
            elif word == <PyObject *>WORD_CONTEXT:
                scope.context = <object>args[1 + i]
            else:
                return general_start_current(self, args, nargs, kwnames)
    return scope


# -- starting ---------------------------------------------------------------------------------------------

cdef Span otel_start(TracerCore core, object name, object context, int kind, SpanScope scope):
    """A span under that of `context`, or under the active item if that is None; made active with a scope."""
    cdef PyObject *item = NULL
    cdef PyObject *parent_raw
    cdef PyObject *started
    cdef Span span
    if FT_UNLIKELY(not core.is_enabled):
        if scope is not None and context is not None:
            otel_pass_on(context, scope)
        return noop_span
    if FT_LIKELY(context is None and core.provider is None):
        PyContextVar_Get(active_var, NULL, &item)
        if FT_LIKELY(item != NULL and type(<object>item) is Span):
            parent_raw = open_parent(item)
            if FT_LIKELY(parent_raw != NULL):
                started = (<quiet_child>start_child)(
                    core, <Span>parent_raw, <PyObject *>(<Span>parent_raw)._base, otel_operation_name(kind), None,
                    name, None, False, False)
                decref(item)
                span = <Span>given(sound(started))
                if FT_LIKELY(not span._flags & SPAN_NOOP):
                    otel_set_kind(span, kind)
                    if scope is not None:
                        scope.token = contextvar_set(active_var, <PyObject *>span)
                return span
        Py_XDECREF(item)
    return otel_start_slow(core, name, context, kind, scope)


cdef int otel_pass_on(object context, SpanScope scope) except -1:
    """A disabled tracer starts nothing, but inside of the scope an incoming trace is what goes out again."""
    parent = otel_parent(context)
    if type(parent) is Context:
        token = attach(parent, None)
        Py_INCREF(token)
        scope.token = <PyObject *>token
    return 0


cdef inline object otel_operation_name(int kind):
    return <object>PyTuple_GET_ITEM(<PyObject *>OTEL_OPERATIONS, kind)


cdef inline int otel_set_kind(Span span, int kind) except -1:
    cdef TagValue raw
    span._flags |= SPAN_OTEL | <uint32_t>kind << SPAN_KIND_SHIFT
    if kind != OTEL_INTERNAL:
        raw.text = PyTuple_GET_ITEM(<PyObject *>KIND_NAMES, kind)
        incref(raw.text)
        return tags_put(&span._tags, <PyObject *>KEY_KIND, TAG_TEXT, raw)
    return 0


cdef Span otel_start_slow(TracerCore core, object name, object context, int kind, SpanScope scope):
    """The parent is not at hand: there is none, a Context, a node, another context's span."""
    cdef Span span
    live = core_active(core) if core.provider is not None else active_item()
    current = parent_of_item(live)
    if context is not None:
        parent = otel_parent(context)
    else:
        parent = otel_fallback() if live is None and otel_fallback is not None else current
    span = <Span>core_start(core, parent, otel_operation_name(kind), None, name, None, False)
    if span._flags & SPAN_NOOP:
        return span
    otel_set_kind(span, kind)
    if core.provider is None and parent is current:
        # What the walk from the ended span leads to is what is active now.
        span._base = (<Span>live)._base if type(live) is Span else live
    if scope is None:
        return span
    if core.provider is not None:
        token = Restore(current)
        otel_provide(core, span)
    elif parent is current:
        scope.token = contextvar_set(active_var, <PyObject *>span)
        return span
    else:
        token = attach(span, None)
        (<AttachNode>token).of_otel = True
    Py_INCREF(token)
    scope.token = <PyObject *>token
    return span


cdef object otel_parent(object context):
    """The parent that a context of OpenTelemetry names: Span, Context or None."""
    try:
        span = context.get(otel_span_key)
    except Exception as exc:
        warn("otel_context", "context is no OpenTelemetry context: %s" % type(exc).__name__)
        return None
    return span if span is None or type(span) is Span else otel_bridge().native_context(span)


cdef int otel_furnish(Span span, object attributes, object links, object start_time) except -1:
    """What few spans are started with."""
    if span._flags & SPAN_NOOP:
        return 0
    if start_time is not None:
        if isinstance(start_time, int):
            span_set_start(span, start_time)
        else:
            warn("span_time", "start_time must be an int of nanoseconds, got %s" % type(start_time).__name__)
    if attributes is not None:
        span_set_attributes(span, attributes)
    if links is not None:
        try:
            for link in links:
                span_add_otel_link(span, link.context, link.attributes)
        except Exception as exc:
            warn("link", "links were ignored: %s" % type(exc).__name__)
    return 0


cdef int otel_provide(TracerCore core, object item) except -1:
    """Makes an item active by way of the application's context provider."""
    try:
        core.provider.activate(item)
    except Exception as exc:
        warn("context_provider", "the context provider raised %s" % type(exc).__name__)
    return 0
