# Declarations of the CPython calls that the parts share; public API only.

cdef extern from "Python.h":
    void incref "Py_INCREF" (PyObject *o)      # on borrowed pointers: Cython's own would count twice
    void decref "Py_DECREF" (PyObject *o)
    int PyUnicode_KIND(PyObject *s) nogil
    int PyUnicode_Compare(PyObject *a, PyObject *b) except? -1
    Py_ssize_t PyLong_AsSsize_t(object o) except? -1
    long long PyLong_AsLongLongAndOverflow(object o, int *overflow) except? -1
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    unsigned int PyUnicode_READ_CHAR(PyObject *s, Py_ssize_t at) nogil
    Py_ssize_t PyTuple_GET_SIZE(object o)
    PyObject *PyTuple_GET_ITEM(PyObject *o, Py_ssize_t i)
    void PyObject_GC_Track(PyObject *o)
    void PyObject_GC_UnTrack(PyObject *o)
    PyObject *PyList_GET_ITEM(PyObject *o, Py_ssize_t at) nogil
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf) nogil
    PyObject *PyObject_Vectorcall(PyObject *callee, PyObject **args, size_t nargsf, PyObject *kwnames)
    object PyMethod_New(object function, object instance)
    void PyErr_SetString(object error_type, const char *message)
    void PyErr_Fetch(PyObject **error_type, PyObject **error_value, PyObject **error_traceback)
    void PyErr_Restore(PyObject *error_type, PyObject *error_value, PyObject *error_traceback)
    void PyErr_NormalizeException(PyObject **error_type, PyObject **error_value, PyObject **error_traceback)
    int PyException_SetTraceback(PyObject *error, PyObject *traceback)

cdef extern from "_zero.h":
    pass

cdef extern from "_protocol.h":
    void ft_revive(PyObject *o)
    int ft_enable_with(PyTypeObject *owner) except -1
    void ft_enable_vectorcall(PyTypeObject *owner, Py_ssize_t offset, int is_method)
    destructor ft_replace_dealloc(PyTypeObject *owner, destructor ours)
    void ft_adapt_collection(PyTypeObject *owner, Py_ssize_t offset, int (*kept)(PyObject *) noexcept)
    unsigned char *ft_put_short_text(unsigned char *p, unsigned char *end, PyObject *s) nogil
    unsigned char *ft_put_short_pair(unsigned char *p, unsigned char *end, PyObject *key, PyObject *text) nogil
    const char *ft_ascii(PyObject *s) nogil
    Py_hash_t text_hash "ft_text_hash" (PyObject *s)
    Py_hash_t ft_known_hash(PyObject *s) nogil
    bint ft_is_text(PyObject *o) nogil
    Py_ssize_t ft_refcount(PyObject *o) nogil
    void ft_set_refcount(PyObject *o, Py_ssize_t n) nogil
    void ft_clear_weakrefs(PyObject *o)
    PyObject *ft_call_quickly(PyObject *callee, PyObject **args, size_t nargsf, PyObject *kwnames)
    ctypedef object (*ft_method)(PyObject *, PyObject **, Py_ssize_t, PyObject *)
    ft_method ft_replace_method(PyTypeObject *type, const char *name, ft_method quick)


cdef inline object given(PyObject *raw):
    """The object of a new reference."""
    o = <object>raw
    decref(raw)
    return o


cdef inline PyObject *taken(object o) noexcept:
    """A new reference to an object."""
    Py_INCREF(o)
    return <PyObject *>o


cdef inline PyObject *sound(PyObject *raw) except NULL:
    """The same; NULL raises what is pending."""
    return raw


cdef str take_error():
    """Name of the pending exception, which is no longer pending. For calls whose errors are not raised."""
    cdef PyObject *error_type = NULL
    cdef PyObject *error_value = NULL
    cdef PyObject *error_traceback = NULL
    PyErr_Fetch(&error_type, &error_value, &error_traceback)
    if error_type == NULL:
        return "no exception"
    name = (<object>error_type).__name__
    Py_XDECREF(error_type)
    Py_XDECREF(error_value)
    Py_XDECREF(error_traceback)
    return name
