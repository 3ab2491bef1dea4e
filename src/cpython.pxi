# Declarations of the CPython calls that the parts share; public API only.

cdef extern from "Python.h":
    int PyUnicode_Compare(PyObject *a, PyObject *b) except? -1
    Py_hash_t PyObject_Hash(PyObject *o) except? -1
    Py_ssize_t PyLong_AsSsize_t(object o) except? -1
    long long PyLong_AsLongLongAndOverflow(object o, int *overflow) except? -1
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    unsigned int PyUnicode_READ_CHAR(PyObject *s, Py_ssize_t at) nogil
    Py_ssize_t PyTuple_GET_SIZE(object o)
    PyObject *PyList_GET_ITEM(PyObject *o, Py_ssize_t at) nogil
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf) nogil
    PyObject *PyObject_Vectorcall(PyObject *callee, PyObject **args, size_t nargsf, PyObject *kwnames)
    object PyMethod_New(object function, object instance)
    void PyErr_SetString(object error_type, const char *message)
    void PyErr_Fetch(PyObject **error_type, PyObject **error_value, PyObject **error_traceback)
    void PyErr_Restore(PyObject *error_type, PyObject *error_value, PyObject *error_traceback)
    void PyErr_NormalizeException(PyObject **error_type, PyObject **error_value, PyObject **error_traceback)
    int PyException_SetTraceback(PyObject *error, PyObject *traceback)

cdef extern from "_protocol.h":
    int ft_enable_with(PyTypeObject *owner) except -1
    void ft_enable_vectorcall(PyTypeObject *owner, Py_ssize_t offset, int is_method)
    destructor ft_replace_dealloc(PyTypeObject *owner, destructor ours)
    void ft_also_traverse(PyTypeObject *owner, Py_ssize_t offset)
    Py_ssize_t ft_refcount(PyObject *o) nogil
    void ft_set_refcount(PyObject *o, Py_ssize_t n) nogil
    void ft_clear_weakrefs(PyObject *o)
    void ft_untrack(PyObject *o)
    void ft_track(PyObject *o)


cdef inline Py_hash_t text_hash(PyObject *s) noexcept:
    """Hash of an exact str: cached in the object, cannot fail."""
    return PyObject_Hash(s)
