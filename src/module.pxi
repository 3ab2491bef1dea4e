# Last touches on the types, and the build's facts.

cdef extern from *:
    """
    #include <stddef.h>
    #define FT_BOUND_TRACE offsetof(struct __pyx_obj_9fasttrace_5_span_TracerCore, bound_trace)
    #define FT_BOUND_START_SPAN offsetof(struct __pyx_obj_9fasttrace_5_span_TracerCore, bound_start_span)
    #define FT_BOUND_CURRENT_SPAN offsetof(struct __pyx_obj_9fasttrace_5_span_TracerCore, bound_current_span)
    """
    enum: FT_BOUND_TRACE
    enum: FT_BOUND_START_SPAN
    enum: FT_BOUND_CURRENT_SPAN


cdef int finish_types() except -1:
    global span_free, noop_span
    cdef Span span = Span.__new__(Span)
    cdef WrappedFunction wrapped = WrappedFunction.__new__(WrappedFunction)
    ft_enable_with(<PyTypeObject *>Span)
    ft_enable_vectorcall(<PyTypeObject *>Span, <char *>&span._call - <char *><PyObject *>span, 0)
    ft_enable_vectorcall(<PyTypeObject *>WrappedFunction, <char *>&wrapped._call - <char *><PyObject *>wrapped, 1)
    ft_bind_once(<PyTypeObject *>TracerCore, "trace", FT_BOUND_TRACE)
    ft_bind_once(<PyTypeObject *>TracerCore, "start_span", FT_BOUND_START_SPAN)
    ft_bind_once(<PyTypeObject *>TracerCore, "current_span", FT_BOUND_CURRENT_SPAN)
    ft_also_traverse(<PyTypeObject *>Span, <char *>&span._segment - <char *><PyObject *>span)
    span_free = ft_replace_dealloc(<PyTypeObject *>Span, <destructor>span_dealloc)
    noop_span = make_noop_span()
    return 0

finish_types()

BUILD = {"debug": bool(FT_DEBUG_BUILD), "portable": bool(FT_PORTABLE_BUILD), "tsc": bool(FT_HAVE_TSC)}
