/* What Cython cannot say about types: a `with` that makes no bound methods, vectorcall, and a
 * deallocator that may keep the object.
 *
 * CPython's `with` fetches __enter__ and __exit__ through their descriptors and calls what it got.
 * Our descriptors hand out the object itself, and the object is callable: no argument means enter,
 * three mean exit. Fetched from the class (contextlib.ExitStack, Span.__enter__(span)) they hand out
 * themselves and take the object as first argument, as any function would.
 */
#ifndef FASTTRACE_PROTOCOL_H
#define FASTTRACE_PROTOCOL_H

#include <Python.h>

#include "_debug.h"
#include "_wire.h"

/* Up to CPython 3.11, PyContextVar_Set works on a borrowed mapping while its allocations may run the
 * collector, and so finalizers: one that sets the same variable, by starting a span, frees that mapping
 * under its feet. From 3.12 on the collector runs only between byte codes. */
static inline PyObject *ft_contextvar_set(PyObject *var, PyObject *value)
{
#if PY_VERSION_HEX < 0x030c0000
    int collecting = PyGC_Disable();
    PyObject *token = PyContextVar_Set(var, value);
    if (collecting)
        PyGC_Enable();
    return token;
#else
    return PyContextVar_Set(var, value);
#endif
}

typedef struct {
    PyObject_HEAD
    PyTypeObject *owner;  /* borrowed: the class it belongs to lives as long as the module */
    Py_ssize_t extra_args; /* 0: __enter__, 3: __exit__ */
    const char *name;
} ft_with_descriptor;

static PyObject *ft_with_get(PyObject *self, PyObject *obj, PyObject *type)
{
    (void)type;
    if (obj == NULL || obj == Py_None)
        obj = self;
    Py_INCREF(obj);
    return obj;
}

static PyObject *ft_with_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ft_with_descriptor *d = (ft_with_descriptor *)self;
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    PyObject *rest, *result;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)
        return PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", d->name);
    if (n < 1 || Py_TYPE(PyTuple_GET_ITEM(args, 0)) != d->owner)
        return PyErr_Format(PyExc_TypeError, "%s() needs a %s as first argument", d->name,
                            d->owner->tp_name);
    if (n != d->extra_args + 1)
        return PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments besides the object (%zd given)",
                            d->name, d->extra_args, n - 1);
    rest = PyTuple_GetSlice(args, 1, n);
    if (rest == NULL)
        return NULL;
    result = PyObject_Call(PyTuple_GET_ITEM(args, 0), rest, NULL);
    Py_DECREF(rest);
    return result;
}

static PyObject *ft_with_repr(PyObject *self)
{
    ft_with_descriptor *d = (ft_with_descriptor *)self;
    return PyUnicode_FromFormat("<method '%s' of '%s' objects>", d->name, d->owner->tp_name);
}

static void ft_with_dealloc(PyObject *self)
{
    PyObject_Free(self);
}

static PyTypeObject ft_with_descriptor_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "fasttrace._span.with_descriptor",
    .tp_basicsize = sizeof(ft_with_descriptor),
    .tp_dealloc = ft_with_dealloc,
    .tp_repr = ft_with_repr,
    .tp_call = ft_with_call,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_descr_get = ft_with_get,
};

static int ft_add_with_descriptor(PyTypeObject *type, const char *name, Py_ssize_t extra_args)
{
    int status;
    ft_with_descriptor *d = PyObject_New(ft_with_descriptor, &ft_with_descriptor_type);
    if (d == NULL)
        return -1;
    d->owner = type;
    d->extra_args = extra_args;
    d->name = name;
    status = PyDict_SetItemString(type->tp_dict, name, (PyObject *)d);
    Py_DECREF(d);
    return status;
}

/* Makes `type` callable through the vectorcall pointer stored at `offset` of each instance. */
static void ft_enable_vectorcall(PyTypeObject *type, Py_ssize_t offset, int is_method)
{
    type->tp_vectorcall_offset = offset;
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    if (is_method)
        type->tp_flags |= Py_TPFLAGS_METHOD_DESCRIPTOR;
    type->tp_call = PyVectorcall_Call;
    PyType_Modified(type);
}

/* Makes `type` an iterator by two C functions, so that exceptions get no frame of ours: `send` is what
 * `yield from` and `await` call, `next` what they call instead while somebody traces (up to 3.11). */
static void ft_enable_steps(PyTypeObject *type, iternextfunc next, sendfunc send)
{
    static PyAsyncMethods methods; /* one type only */
    if (type->tp_as_async != NULL)
        methods.am_await = type->tp_as_async->am_await;
    methods.am_send = send;
    type->tp_as_async = &methods;
    type->tp_iternext = next;
    PyType_Modified(type);
}

/* PyObject_Vectorcall without its check of the result, which a Python function does not need. */
static inline PyObject *ft_call_quickly(PyObject *callee, PyObject **args, size_t nargsf, PyObject *kwnames)
{
    if (FT_LIKELY(PyFunction_Check(callee))) {
        vectorcallfunc call = *(vectorcallfunc *)((char *)callee + PyFunction_Type.tp_vectorcall_offset);
        if (FT_LIKELY(call != NULL))
            return call(callee, args, nargsf, kwnames);
    }
    return PyObject_Vectorcall(callee, args, nargsf, kwnames);
}

static int ft_enable_with(PyTypeObject *type)
{
    if (PyType_Ready(&ft_with_descriptor_type) < 0)
        return -1;
    if (ft_add_with_descriptor(type, "__enter__", 0) < 0 ||
        ft_add_with_descriptor(type, "__exit__", 3) < 0)
        return -1;
    PyType_Modified(type);
    return 0;
}

/* ---- what a str object holds: public fields, read without a call ---- */
static inline const char *ft_ascii(PyObject *s)
{
    return (const char *)((PyASCIIObject *)s + 1);
}

/* Writes a short ASCII string if there is ample room before `end`; else NULL. */
static WIRE_INLINE unsigned char *ft_put_short_text(unsigned char *p, unsigned char *end, PyObject *s)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    if (FT_LIKELY(n < 32 && PyUnicode_IS_COMPACT_ASCII(s) && end - p >= 96))
        return wire_put_short(p, ft_ascii(s), (size_t)n);
    return NULL;
}

/* The same for a key and its text. */
static WIRE_INLINE unsigned char *ft_put_short_pair(unsigned char *p, unsigned char *end, PyObject *key,
                                                    PyObject *text)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(key);
    Py_ssize_t m = PyUnicode_GET_LENGTH(text);
    if (FT_LIKELY(n < 32 && m < 32 && PyUnicode_IS_COMPACT_ASCII(key) && PyUnicode_IS_COMPACT_ASCII(text) &&
                  end - p >= 128))
        return wire_put_short(wire_put_short(p, ft_ascii(key), (size_t)n), ft_ascii(text), (size_t)m);
    return NULL;
}

static inline int ft_is_text(PyObject *o)
{
    return Py_IS_TYPE(o, &PyUnicode_Type);
}

static inline Py_hash_t ft_known_hash(PyObject *s)
{
    return ((PyASCIIObject *)s)->hash; /* -1 before the first call of hash() */
}

static inline Py_hash_t ft_text_hash(PyObject *s)
{
    Py_hash_t known = ft_known_hash(s);
    return known != -1 ? known : PyObject_Hash(s);
}

/* ---- object life at its end, for a deallocator that may keep the object ---- */
static inline Py_ssize_t ft_refcount(PyObject *o)
{
    return Py_REFCNT(o);
}

static inline void ft_set_refcount(PyObject *o, Py_ssize_t n)
{
    Py_SET_REFCNT(o, n);
}

/* Only with refcount 0, as CPython asks for. */
static inline void ft_clear_weakrefs(PyObject *o)
{
    PyObject **list = (PyObject **)((char *)o + Py_TYPE(o)->tp_weaklistoffset);
    if (*list != NULL)
        PyObject_ClearWeakRefs(o);
}

/* Makes a new object of one that was put aside after its end: refcount 1, its fields as they were. */
static inline void ft_revive(PyObject *o)
{
#if defined(Py_REF_DEBUG) || defined(Py_TRACE_REFS) || defined(Py_GIL_DISABLED)
    (void)PyObject_Init(o, Py_TYPE(o));
#else
    Py_SET_REFCNT(o, 1); /* all that PyObject_Init does for an object that has its type */
#endif
}

/* The generated wrapper of a method parses its arguments in a general way, at up to a hundred
 * instructions a call. `quick` takes its place for the common forms, and hands the others on to the
 * wrapper, which is returned; NULL, without a change, if there is no such method. */
typedef PyObject *(*ft_method)(PyObject *, PyObject **, Py_ssize_t, PyObject *);

static ft_method ft_replace_method(PyTypeObject *type, const char *name, ft_method quick)
{
    PyMethodDef *def;
    for (def = type->tp_methods; def != NULL && def->ml_name != NULL; def++)
        if (strcmp(def->ml_name, name) == 0 && def->ml_flags == (METH_FASTCALL | METH_KEYWORDS)) {
            ft_method general = (ft_method)(void (*)(void))def->ml_meth;
            def->ml_meth = (PyCFunction)(void (*)(void))quick;
            return general;
        }
    return NULL;
}

/* Adds one owned reference, at `offset`, to what the collector sees of a type, and hides from it what an
 * object holds while `kept` says so: the collector empties all that it takes for garbage. */
static traverseproc ft_traverse_base = NULL;
static inquiry ft_clear_base = NULL;
static inquiry ft_is_kept = NULL;
static Py_ssize_t ft_traverse_offset = 0;

static int ft_traverse(PyObject *self, visitproc visit, void *arg)
{
    if (ft_is_kept(self))
        return 0;
    Py_VISIT(*(PyObject **)((char *)self + ft_traverse_offset));
    return ft_traverse_base(self, visit, arg);
}

static int ft_clear(PyObject *self)
{
    return ft_is_kept(self) ? 0 : ft_clear_base(self);
}

static void ft_adapt_collection(PyTypeObject *type, Py_ssize_t offset, inquiry kept)
{
    ft_traverse_base = type->tp_traverse;
    ft_clear_base = type->tp_clear;
    ft_traverse_offset = offset;
    ft_is_kept = kept;
    type->tp_traverse = ft_traverse;
    type->tp_clear = ft_clear;
}

static destructor ft_replace_dealloc(PyTypeObject *type, destructor ours)
{
    destructor original = type->tp_dealloc;
    type->tp_dealloc = ours;
    return original;
}

#endif
