# What `start_as_current_span` returns: a context manager and a decorator.

@cython.internal
@cython.final
cdef class Restore:
    """What a context provider of the application is given back at the end of a scope."""
    cdef object item

    def __cinit__(self, item):
        self.item = item


@cython.final
@cython.no_gc
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
    cdef PyObject *span          # owned Span while the block runs, else NULL
    cdef PyObject *token         # owned: of the context variable, an AttachNode, or a Restore
    cdef int kind
    cdef bint no_event           # record_exception=False
    cdef bint no_status          # set_status_on_exception=False
    cdef bint stays_open         # end_on_exit=False

    def __call__(self, function):
        # For who looks `__call__` up: the slot itself is replaced, see finish_types().
        return self(function)


# Pooled as spans are, their references None.

cdef enum:
    SCOPES_POOLED = 64

cdef PyObject *scope_pool[SCOPES_POOLED]
cdef uint32_t scope_pool_size = 0
cdef destructor scope_free = NULL      # what Cython generated


cdef inline SpanScope scope_new(OtelTracer tracer, object name, int kind):
    global scope_pool_size
    cdef PyObject *o
    cdef SpanScope scope
    if FT_LIKELY(scope_pool_size > 0):
        scope_pool_size -= 1
        o = scope_pool[scope_pool_size]
        ft_revive(o)
        scope = <SpanScope>o
        decref(o)
        scope.no_event = scope.no_status = scope.stays_open = False
    else:
        scope = SpanScope.__new__(SpanScope)
    scope._call = <vectorcall_function>scope_call
    scope.tracer = tracer
    scope.name = name
    scope.kind = kind
    return scope


cdef void scope_dealloc(PyObject *o) noexcept:
    """Called at refcount 0."""
    global scope_pool_size
    cdef PyObject *held
    ft_set_refcount(o, 1)        # alive while its parts go: they may run code
    (<SpanScope>o).tracer = None
    (<SpanScope>o).name = None
    if FT_UNLIKELY((<SpanScope>o).context is not None):
        (<SpanScope>o).context = None
    if (<SpanScope>o).attributes is not None:
        (<SpanScope>o).attributes = None
    if FT_UNLIKELY((<SpanScope>o).rare is not None):
        (<SpanScope>o).rare = None
    held = (<SpanScope>o).span
    (<SpanScope>o).span = NULL
    Py_XDECREF(held)
    held = (<SpanScope>o).token
    (<SpanScope>o).token = NULL
    Py_XDECREF(held)
    ft_set_refcount(o, 0)
    if FT_LIKELY(scope_pool_size < SCOPES_POOLED):
        scope_pool[scope_pool_size] = o
        scope_pool_size += 1
    else:
        scope_free(o)


cdef SpanScope scope_again(SpanScope scope):
    """The same for another call of a decorated function."""
    cdef SpanScope other = scope_new(scope.tracer, scope.name, scope.kind)
    other.context, other.attributes, other.rare = scope.context, scope.attributes, scope.rare
    other.no_event, other.no_status, other.stays_open = scope.no_event, scope.no_status, scope.stays_open
    return other


cdef object scope_enter(SpanScope scope):
    cdef Span span
    if FT_UNLIKELY(scope.span != NULL):
        raise RuntimeError("this scope is entered already: call start_as_current_span() for each block")
    span = otel_start(scope.tracer.core, scope.name, scope.context, scope.kind, scope)
    Py_INCREF(span)
    scope.span = <PyObject *>span
    if scope.attributes is not None and scope.rare is None:
        span_set_attributes(span, scope.attributes)
    elif FT_UNLIKELY(scope.rare is not None):
        otel_furnish(span, scope.attributes, scope.rare[0], scope.rare[1])
    return span


cdef int scope_leave(PyObject *self, PyObject *exc_val) except -1:
    """Ends the span, and restores what was active before it where the span's end does not."""
    cdef PyObject *span = (<SpanScope>self).span
    cdef PyObject *token = (<SpanScope>self).token
    cdef bint found = True
    if FT_UNLIKELY(span == NULL):
        return 0         # never entered, or left before
    (<SpanScope>self).span = (<SpanScope>self).token = NULL
    try:
        if FT_LIKELY(token != NULL):
            found = type(<object>token) is not AttachNode and type(<object>token) is not Restore \
                and walk_finds(<Span>span)
        if FT_UNLIKELY(exc_val != <PyObject *>None) and isinstance(<object>exc_val, Exception):
            span_exit_otel(<Span>span, <object>exc_val, not (<SpanScope>self).no_event,
                           not (<SpanScope>self).no_status, False)
        if FT_LIKELY(not (<SpanScope>self).stays_open):
            span_finish(<Span>span)
        if FT_UNLIKELY(not found or (<SpanScope>self).stays_open) and token != NULL:
            scope_restore(<SpanScope>self, <Span>span, <object>token)
    finally:
        Py_XDECREF(token)
        decref(span)
    return 0


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


cdef int scope_restore(SpanScope scope, Span span, object token) except -1:
    """Puts back what was active before the scope, in the context it was entered in."""
    if type(token) is AttachNode:
        detach(token)
    elif type(token) is Restore:
        otel_provide(scope.tracer.core, (<Restore>token).item)
    else:
        nearest, base = nearest_node(stored_item()), nearest_node(span._base)
        if all_of_otel(nearest, base):      # else something attached later stays
            try:
                PyContextVar_Reset(active_var, <PyObject *>token)
            except ValueError:
                return 0         # left in another context than it was entered in
            drop_nodes(nearest, base)
    return 0


# Called so that an exception stays pending instead of being raised.
ctypedef PyObject *(*quiet_enter)(SpanScope) noexcept
ctypedef int (*quiet_leave)(PyObject *, PyObject *) noexcept
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
            if FT_UNLIKELY((<quiet_leave>scope_leave)(self, args[1]) < 0):
                return NULL
            Py_INCREF(None)
            return <PyObject *>None
        if n == 1:
            return (<quiet_decorate>scope_decorate)(<SpanScope>self, <object>args[0])
    PyErr_SetString(TypeError, "a scope takes a function to decorate, or is used by `with`")
    return NULL
