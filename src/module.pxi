# Last touches on the types, and the build's facts.

cdef int finish_types() except -1:
    global span_free, segment_free, state_free, scope_free, noop_span
    cdef Span span = Span.__new__(Span)
    cdef SpanScope scope = SpanScope.__new__(SpanScope)
    cdef WrappedCallable wrapped = WrappedCallable.__new__(WrappedCallable)
    cdef Py_ssize_t call_at = <char *>&wrapped._call - <char *><PyObject *>wrapped
    ft_enable_with(<PyTypeObject *>Span)
    ft_enable_vectorcall(<PyTypeObject *>Span, <char *>&span._call - <char *><PyObject *>span, 0)
    ft_enable_with(<PyTypeObject *>SpanScope)
    ft_enable_vectorcall(<PyTypeObject *>SpanScope, <char *>&scope._call - <char *><PyObject *>scope, 0)
    ft_enable_vectorcall(<PyTypeObject *>WrappedCallable, call_at, 0)
    ft_enable_vectorcall(<PyTypeObject *>WrappedFunction, call_at, 1)
    ft_enable_steps(<PyTypeObject *>Inside, inside_next, inside_send)
    ft_adapt_collection(<PyTypeObject *>Span, <char *>&span._segment - <char *><PyObject *>span, span_is_kept)
    span_free = ft_replace_dealloc(<PyTypeObject *>Span, <destructor>span_dealloc)
    segment_free = ft_replace_dealloc(<PyTypeObject *>Segment, <destructor>segment_dealloc)
    state_free = ft_replace_dealloc(<PyTypeObject *>TraceState, <destructor>state_dealloc)
    scope_free = ft_replace_dealloc(<PyTypeObject *>SpanScope, <destructor>scope_dealloc)
    noop_span = make_noop_span()
    quicken_methods()
    return 0

finish_types()

BUILD = {"debug": bool(FT_DEBUG_BUILD), "portable": bool(FT_PORTABLE_BUILD), "tsc": bool(FT_HAVE_TSC)}
