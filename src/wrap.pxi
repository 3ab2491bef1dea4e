# wrap() for plain functions: a callable object in the function's place. Coroutine functions and
# generators get wrappers written in Python, because their callers look for the real thing; what a
# generator's wrapper does at each step is in inside.pxi.

from types import FunctionType


cdef class WrappedCallable:
    """Something callable that runs inside a span of its own; looks and pickles like what is wrapped."""
    cdef vectorcall_function _call
    cdef object __weakref__
    cdef dict __dict__
    cdef TracerCore _core
    cdef object _function
    cdef str _span_name
    cdef object _service, _resource, _span_type

    def __init__(self, TracerCore core not None, function, name, service, resource, span_type):
        self._call = <vectorcall_function>wrapped_call
        self._core = core
        self._function = function
        self._span_name = plain_text(name)
        self._service = service
        self._resource = resource
        self._span_type = span_type

    def __call__(self, *args, **kwargs):
        # For who looks `__call__` up: the slot itself is replaced, see finish_types().
        return self(*args, **kwargs)

    def __getattr__(self, name):
        # What neither this type nor `__dict__` has, such as `cache_info` of an lru_cache. Special names
        # mean something about this object, but for the annotations, which CPython 3.14 makes when asked.
        if name[:2] != "__" or name == "__annotations__":
            return getattr(self._function, name)
        raise AttributeError("%r object has no attribute %r" % (type(self).__name__, name))

    @property
    def __class__(self):
        # Who asks isinstance() is told what was wrapped: inspect and unittest.mock want a function.
        return FunctionType if isinstance(self._function, FunctionType) else type(self)

    def __repr__(self):
        return "<traced %r>" % (self._function,)

    def __reduce__(self):
        return self.__qualname__

    @property
    def __code__(self):
        return self._function.__code__

    @property
    def __globals__(self):
        return self._function.__globals__

    @property
    def __defaults__(self):
        return self._function.__defaults__

    @property
    def __kwdefaults__(self):
        return self._function.__kwdefaults__

    @property
    def __closure__(self):
        return self._function.__closure__


@cython.final
cdef class WrappedFunction(WrappedCallable):
    """The same for a function: in a class it is a method."""

    def __get__(self, instance, owner):
        if instance is None:
            return self
        return PyMethod_New(self, instance)

    def __set_name__(self, owner, name):
        # Python itself makes these class methods only if they are functions.
        if name in ("__init_subclass__", "__class_getitem__") and owner.__dict__.get(name) is self:
            setattr(owner, name, classmethod(self))


# Called so that an exception stays pending instead of being raised: a `try` costs more.
# Pointers, as Cython would count up and down what it fetches from `self`: None mostly, one time after the other.
ctypedef PyObject *(*quiet_trace)(TracerCore, PyObject *, PyObject *, PyObject *, PyObject *) noexcept
ctypedef int (*quiet_finish)(Span) noexcept


cdef PyObject *wrapped_call(PyObject *self, PyObject **args, size_t nargsf, PyObject *kwnames) noexcept:
    """Calls the function between start and finish of a span; its result and its exception pass through."""
    cdef PyObject *result
    cdef PyObject *raw
    if not (<WrappedCallable>self)._core.is_enabled:
        return PyObject_Vectorcall(<PyObject *>(<WrappedCallable>self)._function, args, nargsf, kwnames)
    if FT_UNLIKELY((<WrappedCallable>self)._core._wrap_executor is not None):
        return wrapped_by_executor(self, args, nargsf, kwnames)
    raw = (<quiet_trace>core_trace)(
        <TracerCore><PyObject *>(<WrappedCallable>self)._core, <PyObject *>(<WrappedCallable>self)._span_name,
        <PyObject *>(<WrappedCallable>self)._service, <PyObject *>(<WrappedCallable>self)._resource,
        <PyObject *>(<WrappedCallable>self)._span_type)
    if FT_UNLIKELY(raw == NULL):
        warn("internal", "no span could be started: %s" % take_error())
        return PyObject_Vectorcall(<PyObject *>(<WrappedCallable>self)._function, args, nargsf, kwnames)
    result = ft_call_quickly(<PyObject *>(<WrappedCallable>self)._function, args, nargsf, kwnames)
    if FT_LIKELY(result != NULL):
        if FT_UNLIKELY((<quiet_finish>span_finish)(<Span>raw) < 0):
            warn("internal", "a span could not be finished: %s" % take_error())
        decref(raw)
        return result
    wrapped_failed(<Span>raw)
    decref(raw)
    return NULL


cdef PyObject *wrapped_by_executor(PyObject *self, PyObject **args, size_t nargsf, PyObject *kwnames) except NULL:
    """The executor runs the function, with or without a span, as ddtrace 2.x has it."""
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargsf)
    cdef Py_ssize_t i
    cdef WrappedCallable wrapped = <WrappedCallable>self
    positional = tuple([<object>args[i] for i in range(n)])
    keywords = {}
    if kwnames != NULL:
        for name in <tuple>kwnames:
            keywords[name] = <object>args[n]
            n += 1
    result = wrapped._core._wrap_executor(
        wrapped._core, wrapped._function, positional, keywords, wrapped._span_name, service=wrapped._service,
        resource=wrapped._resource, span_type=wrapped._span_type)
    Py_INCREF(result)
    return <PyObject *>result


cdef void wrapped_failed(Span span) noexcept:
    """Finishes the span of a call that raised; the exception stays pending."""
    cdef PyObject *error_type = NULL
    cdef PyObject *error_value = NULL
    cdef PyObject *error_traceback = NULL
    PyErr_Fetch(&error_type, &error_value, &error_traceback)
    PyErr_NormalizeException(&error_type, &error_value, &error_traceback)
    if error_traceback != NULL:
        PyException_SetTraceback(error_value, error_traceback)
    try:
        span_exit(span, <object>error_type, <object>error_value,
                  <object>error_traceback if error_traceback != NULL else None)
    except BaseException as exc:
        warn("internal", "a span could not be finished: %s" % type(exc).__name__)
    PyErr_Restore(error_type, error_value, error_traceback)
