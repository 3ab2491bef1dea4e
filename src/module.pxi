# Last touches on the types, and the build's facts.

cdef int finish_types() except -1:
    global span_free, noop_span
    cdef Span span = Span.__new__(Span)
    cdef WrappedFunction wrapped = WrappedFunction.__new__(WrappedFunction)
    ft_enable_with(<PyTypeObject *>Span)
    ft_enable_vectorcall(<PyTypeObject *>Span, <char *>&span._call - <char *><PyObject *>span, 0)
    ft_enable_vectorcall(<PyTypeObject *>WrappedFunction, <char *>&wrapped._call - <char *><PyObject *>wrapped, 1)
    ft_also_traverse(<PyTypeObject *>Span, <char *>&span._segment - <char *><PyObject *>span)
    span_free = ft_replace_dealloc(<PyTypeObject *>Span, <destructor>span_dealloc)
    noop_span = make_noop_span()
    quicken_methods()
    return 0

finish_types()

BUILD = {"debug": bool(FT_DEBUG_BUILD), "portable": bool(FT_PORTABLE_BUILD), "tsc": bool(FT_HAVE_TSC)}
