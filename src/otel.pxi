# The OpenTelemetry face's compiled half: its tracer, and what `start_as_current_span` returns.
#
# A span is put in place as a native one is: it is the active item from its start, and nothing needs to
# be written when it ends. Where that would not restore what was there before, the scope does: it has
# kept the token of the context variable, or put a node in place.

cdef object otel_span_key = None         # under which a context has its span; None until the face is loaded
cdef object otel_fallback = None         # says what is active where nothing was attached; mostly None
cdef tuple otel_kinds = ()               # SpanKind members, by their number
cdef tuple KIND_NAMES = ("internal", "server", "client", "producer", "consumer")
cdef tuple OTEL_OPERATIONS = ("internal", "server.request", "client.request", "producer", "consumer")
cdef str KEY_KIND = "span.kind"
cdef str WORD_CONTEXT = "context"
cdef str WORD_KIND = "kind"
cdef str WORD_ATTRIBUTES = "attributes"

cdef ft_method general_start = NULL
cdef ft_method general_start_current = NULL


def set_otel(span_key, kinds) -> None:
    """Tells the core the key of the span in OpenTelemetry's contexts, and the members of SpanKind in order."""
    global otel_span_key, otel_kinds
    otel_span_key = span_key
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
    cdef AttachNode node = nearest_node(item)
    while node is not None and node.payload is None:
        node = nearest_node(node.base)
    return parent_of_item(item), None if node is None else node.payload, node is item


cdef int otel_kind_number(object kind) noexcept:
    """The number of a SpanKind; what is none counts as internal."""
    cdef Py_ssize_t i
    for i in range(len(otel_kinds)):
        if PyTuple_GET_ITEM(<PyObject *>otel_kinds, i) == <PyObject *>kind:
            return <int>i
    return OTEL_INTERNAL


cdef class OtelTracer:
    """Base of `fasttrace.opentelemetry.Tracer`: starts spans of one TracerCore."""
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
    cdef PyObject *token
    cdef Span span
    if FT_UNLIKELY(not core.is_enabled):
        return noop_span
    if FT_LIKELY(context is None and core.provider is None):
        PyContextVar_Get(active_var, NULL, &item)
        if FT_LIKELY(item != NULL and type(<object>item) is Span):
            parent_raw = open_parent(item)
            if FT_LIKELY(parent_raw != NULL):
                try:
                    span = <Span>start_child(core, <Span>parent_raw, (<Span>parent_raw)._base,
                                             otel_operation_name(kind), None, name, None, False, False)
                finally:
                    decref(item)
                if FT_LIKELY(not span._flags & SPAN_NOOP):
                    otel_set_kind(span, kind)
                    if scope is not None:
                        token = contextvar_set(active_var, <PyObject *>span)
                        scope.token = <object>token
                        decref(token)
                return span
        Py_XDECREF(item)
    return otel_start_slow(core, name, context, kind, scope)


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
    cdef PyObject *token
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
        scope.token = Restore(current)
        otel_provide(core, span)
    elif parent is current:
        token = contextvar_set(active_var, <PyObject *>span)
        scope.token = <object>token
        decref(token)
    else:
        scope.token = attach(span, None)
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


# -- the scope --------------------------------------------------------------------------------------------

@cython.internal
@cython.final
cdef class Restore:
    """What a context provider of the application is given back at the end of a scope."""
    cdef object item

    def __cinit__(self, item):
        self.item = item


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class SpanScope:
    """A span to be: `with` starts it and makes it current. Also a decorator of functions and coroutine functions.

    Unknown to the collector: it holds its span only inside of the block.
    """
    cdef vectorcall_function _call
    cdef OtelTracer tracer
    cdef object name
    cdef object context          # of OpenTelemetry: the parent is in it; None: the active item
    cdef object attributes
    cdef object rare             # (links, start time) or None
    cdef Span span               # while the block runs
    cdef object token            # of the context variable, an AttachNode, or a Restore
    cdef int kind
    cdef bint no_event           # record_exception=False
    cdef bint no_status          # set_status_on_exception=False
    cdef bint stays_open         # end_on_exit=False

    def __call__(self, function):
        # For who looks `__call__` up: the slot itself is replaced, see finish_types().
        return self(function)


cdef inline SpanScope scope_new(OtelTracer tracer, object name, int kind):
    cdef SpanScope scope = SpanScope.__new__(SpanScope)
    scope._call = <vectorcall_function>scope_call
    scope.tracer = tracer
    scope.name = name
    scope.kind = kind
    return scope


cdef SpanScope scope_again(SpanScope scope):
    """The same for another call of a decorated function."""
    cdef SpanScope other = scope_new(scope.tracer, scope.name, scope.kind)
    other.context, other.attributes, other.rare = scope.context, scope.attributes, scope.rare
    other.no_event, other.no_status, other.stays_open = scope.no_event, scope.no_status, scope.stays_open
    return other


cdef object scope_enter(SpanScope scope):
    cdef Span span
    if FT_UNLIKELY(scope.span is not None):
        raise RuntimeError("this scope is entered already: call start_as_current_span() for each block")
    span = otel_start(scope.tracer.core, scope.name, scope.context, scope.kind, scope)
    scope.span = span
    if scope.attributes is not None and scope.rare is None:
        span_set_attributes(span, scope.attributes)
    elif FT_UNLIKELY(scope.rare is not None):
        otel_furnish(span, scope.attributes, scope.rare[0], scope.rare[1])
    return span


cdef object scope_leave(SpanScope scope, object exc_val):
    cdef Span span = scope.span
    cdef bint found = True
    if FT_UNLIKELY(span is None):
        return None      # never entered, or left before
    if FT_UNLIKELY(scope.token is not None):
        found = type(scope.token) is not AttachNode and type(scope.token) is not Restore and walk_finds(span)
    scope.span = None
    if FT_UNLIKELY(exc_val is not None) and isinstance(exc_val, Exception):
        span_exit_otel(span, exc_val, not scope.no_event, not scope.no_status, False)
    if FT_LIKELY(not scope.stays_open):
        span_finish(span)
    if FT_UNLIKELY(not found or scope.stays_open):
        scope_restore(scope, span)
    scope.token = None
    return None


cdef bint walk_finds(Span span) noexcept:
    """Whether the walk over finished spans from the active item comes to `span`: ending it restores the rest."""
    cdef PyObject *item = NULL
    cdef PyObject *at
    if PyContextVar_Get(active_var, NULL, &item) < 0 or item == NULL:
        return False
    at = item if type(<object>item) is Span else NULL
    while at != NULL and at != <PyObject *>span:
        at = (<Span>at)._above if (<Span>at)._flags & SPAN_FINISHED and (<Span>at)._base is span._base else NULL
    decref(item)
    return at != NULL


cdef int scope_restore(SpanScope scope, Span span) except -1:
    """Puts back what was active before the scope, in the context it was entered in."""
    token = scope.token
    if token is None:
        return 0
    if type(token) is AttachNode:
        detach(token)
    elif type(token) is Restore:
        otel_provide(scope.tracer.core, (<Restore>token).item)
    elif nearest_node(stored_item()) is nearest_node(span._base):    # else something attached later stays
        try:
            PyContextVar_Reset(active_var, <PyObject *>token)
        except ValueError:
            pass             # left in another context than it was entered in
    return 0


# Called so that an exception stays pending instead of being raised.
ctypedef PyObject *(*quiet_enter)(SpanScope) noexcept
ctypedef PyObject *(*quiet_leave)(SpanScope, object) noexcept
ctypedef PyObject *(*quiet_decorate)(SpanScope, object) noexcept


cdef object scope_decorate(SpanScope scope, object function):
    return load_module("fasttrace.opentelemetry.decorating").decorate(lambda: scope_again(scope), function)


cdef PyObject *scope_call(PyObject *self, PyObject **args, size_t nargsf, PyObject *kwnames) noexcept:
    """`scope()` enters, `scope(type, value, traceback)` leaves, `scope(function)` decorates."""
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargsf)
    if FT_LIKELY(kwnames == NULL or PyTuple_GET_SIZE(<object>kwnames) == 0):
        if n == 0:
            return (<quiet_enter>scope_enter)(<SpanScope>self)
        if n == 3:
            return (<quiet_leave>scope_leave)(<SpanScope>self, <object>args[1])
        if n == 1:
            return (<quiet_decorate>scope_decorate)(<SpanScope>self, <object>args[0])
    PyErr_SetString(TypeError, "a scope takes a function to decorate, or is used by `with`")
    return NULL
