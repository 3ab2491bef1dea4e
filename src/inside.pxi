# What runs inside of a wrapped generator: with an active item of its own, put aside while it pauses.

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    PySendResult PyIter_Send(PyObject *iterator, PyObject *value, PyObject **result)
    PyObject *PyObject_CallMethodOneArg(PyObject *target, PyObject *name, PyObject *argument)
    int PyErr_ExceptionMatches(PyObject *error_type)
    void PyErr_SetObject(PyObject *error_type, PyObject *value)
    PyObject *PyErr_Occurred()
    PyObject *PyExc_StopIteration

cdef extern from "_protocol.h":
    ctypedef PySendResult (*ft_send)(PyObject *target, PyObject *value, PyObject **result) noexcept
    ctypedef PyObject *(*ft_next)(PyObject *target) noexcept
    void ft_enable_steps(PyTypeObject *owner, ft_next next_step, ft_send send)


ctypedef PyObject *(*loud_step)(PyObject *, PyObject *) except NULL


@cython.final
cdef class Inside:
    """The body of a wrapped generator, as the wrapper runs it: by `yield from`, or step by step by `await`.

    Around each step the active item of the body is exchanged for that of its consumer; also while a
    step of an async generator waits for something, because a task that is never finished may be torn
    down in any other context. It has neither `throw` nor `close`: what is thrown in comes up in the
    wrapper, which asks `takes` and goes on.
    """
    cdef object _item        # the active item of whichever of the two is not running
    cdef object _exchange    # of a context provider of the application; None: ours
    cdef bint _stay          # both share one active item
    cdef object _generator   # an async generator, whose steps come one after another
    cdef object _step        # the generator, or what the current step is awaited by; None: it has ended
    cdef object _error       # is thrown in by the next step
    cdef bint _failed        # it has ended with an exception

    def __init__(self, bint stay=False, peek=None, exchange=None):
        self._stay = stay
        self._exchange = exchange
        if not stay:
            self._item = stored_item() if peek is None else peek()

    def put_aside(self) -> None:
        """Changes between the two active items; first called when the span has just begun."""
        inside_switch(self)

    def run(self, generator):
        """Takes the generator and returns what to `yield from`."""
        self._step = generator
        return self

    def begin(self, generator) -> None:
        """Takes an async generator, whose first step is to be awaited."""
        self._generator = generator
        self._step = generator.__anext__()

    def resume(self, value) -> None:
        """Makes the next step of an async generator, to be awaited: it resumes with `value`."""
        self._step = self._generator.asend(value)

    def takes(self, error) -> bool:
        """Whether `error` came from outside, and goes into the body with the next step; else it is the body's own."""
        if self._failed:
            return False
        if self._step is not None:
            self._error = error
        elif self._generator is not None:
            self._step = self._generator.athrow(error)
        else:
            return False
        return True

    def send(self, value):
        # What CPython 3.10 and 3.11 call instead of `am_send` while somebody traces lines.
        cdef PyObject *result = (<loud_step>inside_step)(<PyObject *>self, <PyObject *>value)
        found = <object>result
        decref(result)
        return found

    def has_ended(self) -> bool:
        """Whether there is no further step."""
        return self._step is None

    def __iter__(self):
        return self

    def __await__(self):
        return self


cdef int inside_switch(Inside inside) except -1:
    """Puts the item of the one that is to run in place, and keeps that of the other."""
    if inside._stay:
        return 0
    if inside._exchange is not None:
        inside._item = inside._exchange(inside._item)
        return 0
    old = stored_item()
    if old is not inside._item:
        set_active(<PyObject *>inside._item)
        inside._item = old
    return 0


ctypedef int (*quiet_switch)(Inside) noexcept


cdef PySendResult inside_send(PyObject *raw, PyObject *value, PyObject **result) noexcept:
    """One step (`am_send`). What the body raises stays pending: a frame of ours would be in its traceback."""
    cdef Inside inside = <Inside>raw
    cdef PyObject *step = <PyObject *>inside._step
    cdef PyObject *error_type = NULL
    cdef PyObject *error_value = NULL
    cdef PyObject *error_traceback = NULL
    cdef PySendResult status
    if inside._step is None:
        PyErr_SetString(RuntimeError, "the generator has ended")
        return PYGEN_ERROR
    incref(step)
    if FT_UNLIKELY((<quiet_switch>inside_switch)(inside) < 0):
        warn("internal", "the active span was not exchanged: %s" % take_error())
    if FT_UNLIKELY(inside._error is not None):
        status = inside_throw(inside, step, result)
    else:
        status = PyIter_Send(step, value, result)
    if FT_UNLIKELY(status == PYGEN_ERROR):
        PyErr_Fetch(&error_type, &error_value, &error_traceback)
        inside._failed = True
    if FT_UNLIKELY((<quiet_switch>inside_switch)(inside) < 0):
        warn("internal", "the active span was not exchanged: %s" % take_error())
    if status != PYGEN_NEXT:
        inside._step = None
    decref(step)
    if FT_UNLIKELY(status == PYGEN_ERROR):
        PyErr_Restore(error_type, error_value, error_traceback)
    return status


cdef PySendResult inside_throw(Inside inside, PyObject *step, PyObject **result) noexcept:
    """Throws the waiting error into the body."""
    cdef PyObject *error_type = NULL
    cdef PyObject *error_value = NULL
    cdef PyObject *error_traceback = NULL
    error, inside._error = inside._error, None
    result[0] = PyObject_CallMethodOneArg(step, <PyObject *>"throw", <PyObject *>error)
    if result[0] != NULL:
        return PYGEN_NEXT
    if not PyErr_ExceptionMatches(PyExc_StopIteration):
        return PYGEN_ERROR
    PyErr_Fetch(&error_type, &error_value, &error_traceback)
    PyErr_NormalizeException(&error_type, &error_value, &error_traceback)
    returned = (<object>error_value).value
    Py_INCREF(returned)
    result[0] = <PyObject *>returned
    decref(error_type)
    decref(error_value)
    Py_XDECREF(error_traceback)
    return PYGEN_RETURN


cdef PyObject *inside_step(PyObject *raw, PyObject *value) noexcept:
    """The same with a StopIteration at the end."""
    cdef PyObject *result = NULL
    cdef PySendResult status = inside_send(raw, value, &result)
    if status == PYGEN_RETURN:
        stop = StopIteration(<object>result)
        decref(result)
        PyErr_SetObject(PyExc_StopIteration, <PyObject *>stop)
        return NULL
    return result


cdef PyObject *inside_next(PyObject *raw) noexcept:
    """`tp_iternext`, also for who traces lines."""
    return inside_step(raw, <PyObject *>None)
