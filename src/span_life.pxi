# Leaving a span and the end of its life: the `with` protocol and the deallocator.

@cython.internal
@cython.final
cdef class Ready:
    """An awaitable that is done: what `async with` gets from a span."""
    cdef object value

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration(self.value)


cdef Ready ready(object value):
    cdef Ready done = Ready.__new__(Ready)
    done.value = value
    return done


# -- the `with` protocol ------------------------------------------------------------------------------

cdef int span_exit(Span span, object exc_type, object exc_val, object exc_tb) except -1:
    if exc_type is not None and span._flags & SPAN_OTEL:
        # Only here the SDK says that the exception escaped, not in start_as_current_span().
        span_exit_otel(span, exc_val, not span._flags & SPAN_OTEL_NO_EVENT, not span._flags & SPAN_OTEL_NO_STATUS,
                       True)
    elif exc_type is not None:
        span_set_exception(span, exc_type, exc_val, exc_tb, None)
    return span_finish(span)


cdef PyObject *span_call(PyObject *self, PyObject **args, size_t nargsf, PyObject *kwnames) noexcept:
    """`span()` enters, `span(type, value, traceback)` leaves: what `with` calls (see _protocol.h)."""
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargsf)
    if FT_LIKELY(kwnames == NULL or PyTuple_GET_SIZE(<object>kwnames) == 0):
        if n == 0:
            incref(self)
            return self
        if FT_LIKELY(n == 3):
            if (<Span>self)._flags & SPAN_NOOP == 0:
                if FT_LIKELY(<object>args[0] is None):
                    span_finish(<Span>self)
                else:
                    span_exit(<Span>self, <object>args[0], <object>args[1], <object>args[2])
            Py_INCREF(None)
            return <PyObject *>None
    PyErr_SetString(TypeError, "a Span is called by `with` only: with no argument or (type, value, traceback)")
    return NULL


# -- end of life --------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* The layout of a Span as Cython lays it out, for code that makes one without going through its type.
     * One that is put aside keeps its two references to None, and has no weak references. */
    #define FT_SPAN struct __pyx_obj_9fasttrace_5_span_Span
    #define ft_span_is_blank(o) (((FT_SPAN *)(o))->_base == Py_None && ((FT_SPAN *)(o))->_extra == Py_None)
    #define ft_span_zero(o) memset(&((FT_SPAN *)(o))->_segment, 0, sizeof(FT_SPAN) - offsetof(FT_SPAN, _segment))
    """
    bint ft_span_is_blank(PyObject *o)
    void ft_span_zero(PyObject *o)

cdef enum:
    SPANS_POOLED = 1024

cdef PyObject *span_pool[SPANS_POOLED]     # spans put aside after their end, refcount 0
cdef uint32_t span_pool_size = 0
cdef destructor span_free = NULL      # what Cython generated


cdef inline PyObject *span_new() except NULL:
    """A new reference to a span with every field zero, unknown to the collector until it holds an object."""
    global span_pool_size
    cdef PyObject *o
    if FT_LIKELY(span_pool_size > 0):
        span_pool_size -= 1
        o = span_pool[span_pool_size]
        ft_span_zero(o)
        ft_revive(o)
        return o
    span = Span.__new__(Span)
    span_untrack(<PyObject *>span)
    incref(<PyObject *>span)
    return <PyObject *>span


cdef void span_dealloc(PyObject *o) noexcept:
    """Called at refcount 0. Walks up the parents it held in a loop: chains of a million are real."""
    cdef PyObject *above
    while True:
        above = span_let_go(o)
        if above == NULL:
            return
        if ft_refcount(above) > 1:
            decref(above)
            return
        ft_set_refcount(above, 0)
        o = above


cdef PyObject *span_let_go(PyObject *o) noexcept:
    """Frees one span, or leaves it to its Segment's list.

    Returns the span above it with the reference it held, for the caller to give up.
    """
    cdef PyObject *above
    cdef uint32_t flags
    ft_clear_weakrefs(o)
    ft_set_refcount(o, 1)        # alive while its parts go: they may run code that looks at it
    above = (<Span>o)._above
    (<Span>o)._above = NULL
    flags = (<Span>o)._flags
    if flags & SPAN_IN_LIST:
        (<Span>o)._flags = flags | SPAN_ORPHAN
        span_untrack(o)
        if FT_UNLIKELY((<Span>o)._extra is not None):
            orphan_extra(o, flags)
        if FT_UNLIKELY((<Span>o)._base is not None):
            (<Span>o)._base = None      # a node keeps its span, which may be the parent this one must not hold
        if not flags & SPAN_FINISHED:
            segment_abandon((<Span>o)._segment, o)    # may free `o` with the rest of the list
        return above
    span_destroy(o)
    return above


cdef int span_is_kept(PyObject *o) noexcept:
    """Whether the span is finished and not sent: its Segment needs what it holds, garbage or not.

    The Segment's list is no reference that the collector knows. A span in a garbage cycle, say by the
    traceback of an exception, would lose its events and links when the cycle is broken.
    """
    return (<Span>o)._flags & (SPAN_FINISHED | SPAN_IN_LIST) == SPAN_FINISHED | SPAN_IN_LIST


cdef void orphan_extra(PyObject *o, uint32_t flags) noexcept:
    """What a span that nobody can reach needs no more; an open ancestor must not wait for it."""
    cdef SpanExtra extra = <SpanExtra>(<Span>o)._extra
    if flags & SPAN_FINISHED:
        extra.local_root = extra.on_finish = extra.store = extra.context = None
    else:
        (<Span>o)._extra = None


cdef void span_destroy(PyObject *o) noexcept:
    """Frees an unlisted span whose only reference is the caller's; `_above` was taken care of."""
    global span_pool_size
    cdef PyObject *segment = (<Span>o)._segment
    if (<Span>o)._name != NULL:
        decref((<Span>o)._name)
    if (<Span>o)._service != NULL:
        decref((<Span>o)._service)
    if (<Span>o)._resource != NULL:
        decref((<Span>o)._resource)
    if (<Span>o)._tags != NULL:
        tags_free((<Span>o)._tags)
    if FT_UNLIKELY(not ft_span_is_blank(o)):
        (<Span>o)._base = None
        (<Span>o)._extra = None
    ft_set_refcount(o, 0)
    if FT_LIKELY(span_pool_size < SPANS_POOLED):
        span_untrack(o)
        span_pool[span_pool_size] = o
        span_pool_size += 1
    else:
        span_free(o)
    if segment != NULL:
        segment_lost(segment, o)
        decref(segment)
