# The methods that are called most, without the general parsing of arguments for their common forms.
# Each has the generated wrapper behind it, which raises what a wrong call deserves.

cdef ft_method general_trace = NULL
cdef ft_method general_set_tag = NULL
cdef ft_method general_set_metric = NULL
cdef ft_method general_finish = NULL
cdef str WORD_SERVICE = "service"
cdef str WORD_RESOURCE = "resource"
cdef str WORD_SPAN_TYPE = "span_type"


ctypedef PyObject *(*quiet_method)(PyObject *, PyObject **, Py_ssize_t, PyObject *) noexcept


cdef PyObject *quick_trace(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames) except NULL:
    """trace(name, service, resource, span_type): all of them by position, or only the name."""
    cdef PyObject *service = <PyObject *>None
    cdef PyObject *resource = <PyObject *>None
    cdef PyObject *span_type = <PyObject *>None
    cdef PyObject *word
    cdef Py_ssize_t i
    if FT_UNLIKELY(nargs != 1):
        if kwnames != NULL or not 1 < nargs <= 4:
            return (<quiet_method>general_trace)(self, args, nargs, kwnames)
        service = args[1]
        resource = args[2] if nargs > 2 else resource
        span_type = args[3] if nargs > 3 else span_type
    elif kwnames != NULL:
        for i in range(PyTuple_GET_SIZE(<object>kwnames)):
            word = PyTuple_GET_ITEM(kwnames, i)
            if word == <PyObject *>WORD_SERVICE:
                service = args[1 + i]
            elif word == <PyObject *>WORD_RESOURCE:
                resource = args[1 + i]
            elif word == <PyObject *>WORD_SPAN_TYPE:
                span_type = args[1 + i]
            else:
                return (<quiet_method>general_trace)(self, args, nargs, kwnames)
    word = args[0]
    return core_trace(<TracerCore>self, <object>word, <object>service, <object>resource, <object>span_type)


cdef PyObject *quick_set_tag(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames) except NULL:
    """set_tag(key, value): nothing is called for a key known from before, a str, and room in the block."""
    cdef Tag *tag
    if FT_LIKELY(nargs == 2 and kwnames == NULL and ft_is_text(args[1])
                 and PyUnicode_GET_LENGTH(args[1]) <= TEXT_MAX_CHARS):
        tag = tag_at_hand(<Span>self, args[0])
        if FT_LIKELY(tag != NULL):
            incref(args[1])
            tag.value.text = args[1]
            tag.kind = TAG_TEXT
            (<Span>self)._tags.texts += 1
            return none()
    return set_tag_with_care(self, args, nargs, kwnames)


cdef PyObject *set_tag_with_care(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames) except NULL:
    cdef PyObject *key
    cdef PyObject *value
    if nargs != 2 or kwnames != NULL:
        return (<quiet_method>general_set_tag)(self, args, nargs, kwnames)
    key = args[0]
    value = args[1]
    span_set_tag(<Span>self, <object>key, <object>value)
    return none()


cdef inline PyObject *none() noexcept:
    """A new reference to None."""
    incref(<PyObject *>None)
    return <PyObject *>None


cdef PyObject *quick_set_metric(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames) except NULL:
    """set_metric(key, value): the same for an int."""
    cdef PyObject *value
    cdef Tag *tag
    cdef int64_t whole
    cdef int overflow = 0
    if FT_LIKELY(nargs == 2 and kwnames == NULL):
        value = args[1]
        if FT_LIKELY(type(<object>value) is int):
            whole = PyLong_AsLongLongAndOverflow(<object>value, &overflow)
            if FT_LIKELY(overflow == 0):
                tag = tag_at_hand(<Span>self, args[0])
                if FT_LIKELY(tag != NULL):
                    tag.value.whole = whole
                    tag.kind = TAG_INT
                    return none()
    return set_metric_with_care(self, args, nargs, kwnames)


cdef PyObject *set_metric_with_care(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames) except NULL:
    cdef PyObject *key
    cdef PyObject *value
    if nargs != 2 or kwnames != NULL:
        return (<quiet_method>general_set_metric)(self, args, nargs, kwnames)
    key = args[0]
    value = args[1]
    span_set_metric(<Span>self, <object>key, <object>value)
    return none()


cdef object quick_finish(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames):
    """finish()"""
    if FT_UNLIKELY(nargs != 0 or kwnames != NULL):
        return general_finish(self, args, nargs, kwnames)
    span_finish(<Span>self)
    return None


cdef ft_method replace_method(PyTypeObject *owner, const char *name, ft_method quick) except NULL:
    cdef ft_method general = ft_replace_method(owner, name, quick)
    if general == NULL:
        raise SystemError("the build is at fault: no method %r to make quick" % (<bytes>name).decode())
    return general


cdef int quicken_methods() except -1:
    global general_trace, general_set_tag, general_set_metric, general_finish
    global general_start, general_start_current
    general_trace = replace_method(<PyTypeObject *>TracerCore, "trace", <ft_method>quick_trace)
    general_set_tag = replace_method(<PyTypeObject *>Span, "set_tag", <ft_method>quick_set_tag)
    general_set_metric = replace_method(<PyTypeObject *>Span, "set_metric", <ft_method>quick_set_metric)
    general_finish = replace_method(<PyTypeObject *>Span, "finish", quick_finish)
    general_start = replace_method(<PyTypeObject *>OtelTracer, "start_span", quick_start)
    general_start_current = replace_method(<PyTypeObject *>OtelTracer, "start_as_current_span", quick_start_current)
    return 0
