/* Writes a context variable where it stands in the current context, instead of making a new mapping of
 * all variables as PyContextVar_Set does. An experiment, off unless FASTTRACE_INPLACE_CONTEXT=1.
 *
 * A context holds a persistent hash trie (CPython's Python/hamt.c): setting a variable copies the nodes on
 * the way to it, and whoever holds the old trie keeps seeing the old value. If nobody does, the copy has no
 * observer, and the old trie dies as soon as the new one is in place. That is so if the trie and every node
 * on the way have one reference: a copy of the context, an iterator, or a trie that shares a node would
 * hold another, and a weak reference to the trie is looked for. Then the leaf can as well be written.
 *
 * Why that is safe: between the first look at a reference count and the write nothing is allocated, released
 * or called that could run other code, and the lock of the interpreter is held. What the old value's end may
 * run comes last, when all is as PyContextVar_Set would have left it: leaf, and the variable's cache with
 * thread and version. C code further up the stack that holds a bare pointer into the trie could not have
 * survived PyContextVar_Set in its place either, which would have freed what it points to. In any doubt
 * nothing is done and the caller takes the public way. The long form is in docs/architecture.md.
 *
 * The layouts are private to CPython, so a version is admitted by name once its headers were compared
 * (tests/test_inplace.py does that again) and the self-test of inplace.pxi looks at each of them. */
#ifndef FASTTRACE_INPLACE_H
#define FASTTRACE_INPLACE_H

#include <Python.h>
#include <stddef.h>
#include <string.h>

#include "_debug.h"

#if defined(PYPY_VERSION) || defined(GRAALVM_PYTHON) || defined(Py_LIMITED_API)
#define FT_INPLACE_MISSING "only CPython's own contexts are known"
#elif defined(Py_GIL_DISABLED)
#define FT_INPLACE_MISSING "without the interpreter's lock, looking and writing are not one step"
#elif PY_VERSION_HEX < 0x030a0000 || PY_VERSION_HEX >= 0x030e0000
#define FT_INPLACE_MISSING "the contexts of this version of CPython were not examined"
#else
#define FT_INPLACE_MISSING ""
#define FT_HAVE_INPLACE 1
#endif

#ifdef FT_HAVE_INPLACE

typedef struct {
    PyObject_HEAD
    PyObject *root;
    PyObject *weakrefs;
    Py_ssize_t count;
} ft_trie;

typedef struct {
    PyObject_HEAD
    PyObject *previous;
    PyObject *trie;
    PyObject *weakrefs;
    int entered;
} ft_context;

typedef struct {
    PyObject_HEAD
    PyObject *name;
    PyObject *default_value;
    PyObject *cached;         /* borrowed */
    uint64_t cached_thread;   /* PyThreadState.id and .context_ver that `cached` holds for */
    uint64_t cached_version;
    Py_hash_t hash;
} ft_variable;

#define FT_TRIE_BITS 5
#define FT_TRIE_WIDTH (1 << FT_TRIE_BITS)

/* Pairs of key and value for the bits that are set; a key of NULL has a node below it as its value. */
typedef struct {
    PyObject_VAR_HEAD
    uint32_t bitmap;
    PyObject *items[1];
} ft_bitmap_node;

typedef struct {
    PyObject_HEAD
    PyObject *children[FT_TRIE_WIDTH];
    Py_ssize_t count;
} ft_array_node;

/* No array of this size can be: the compiler stops here if a layout is not what the headers say. */
#define FT_INPLACE_ASSERT(name, condition) typedef char ft_inplace_##name[(condition) ? 1 : -1]
FT_INPLACE_ASSERT(hash_bits, sizeof(Py_hash_t) == 4 || sizeof(Py_hash_t) == 8);
FT_INPLACE_ASSERT(bitmap_padded, offsetof(ft_bitmap_node, items) == sizeof(PyVarObject) + sizeof(PyObject *));
FT_INPLACE_ASSERT(array_plain, sizeof(ft_array_node) == sizeof(PyObject) + (FT_TRIE_WIDTH + 1) * sizeof(PyObject *));
FT_INPLACE_ASSERT(thread_fields, sizeof(((PyThreadState *)0)->id) == 8 &&
                  sizeof(((PyThreadState *)0)->context_ver) == 8);

/* Set by the self-test, which saw them; types of any other kind are left alone. */
static PyTypeObject *ft_trie_type = NULL;
static PyTypeObject *ft_bitmap_type = NULL;
static PyTypeObject *ft_array_type = NULL;
static int ft_inplace_on = 0;

/* The 32 bits by which the trie files a variable. */
static inline uint32_t ft_trie_hash(PyObject *variable)
{
    Py_hash_t hash = ((ft_variable *)variable)->hash;
    uint32_t folded = sizeof(hash) == 4 ? (uint32_t)hash : (uint32_t)hash ^ (uint32_t)((uint64_t)hash >> 32);
    return folded == UINT32_MAX ? UINT32_MAX - 1 : folded;
}

static inline uint32_t ft_ones(uint32_t bits)
{
    bits -= (bits >> 1) & 0x55555555u;
    bits = (bits & 0x33333333u) + ((bits >> 2) & 0x33333333u);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0fu;
    return (bits * 0x01010101u) >> 24;
}

/* Where the current context keeps the value of `variable`; NULL if it has none, if anybody else could see
 * that place, or if it is of a kind not looked into (colliding hashes). */
static inline PyObject **ft_own_place(PyThreadState *thread, PyObject *variable)
{
    ft_context *context = (ft_context *)thread->context;
    ft_trie *trie;
    PyObject *node;
    uint32_t hash;
    if (context == NULL || Py_TYPE(context) != &PyContext_Type)
        return NULL;
    trie = (ft_trie *)context->trie;
    if (trie == NULL || Py_TYPE(trie) != ft_trie_type || Py_REFCNT(trie) != 1 || trie->weakrefs != NULL)
        return NULL;
    hash = ft_trie_hash(variable);
    for (node = trie->root; node != NULL && Py_REFCNT(node) == 1; hash >>= FT_TRIE_BITS) {
        uint32_t digit = hash & (FT_TRIE_WIDTH - 1);
        if (Py_TYPE(node) == ft_bitmap_type) {
            uint32_t bitmap = ((ft_bitmap_node *)node)->bitmap;
            uint32_t bit = (uint32_t)1 << digit;
            PyObject **pair;
            if (!(bitmap & bit))
                return NULL;
            pair = &((ft_bitmap_node *)node)->items[2 * ft_ones(bitmap & (bit - 1))];
            if (pair[0] == variable)
                return &pair[1];
            if (pair[0] != NULL)
                return NULL;
            node = pair[1];
        } else if (Py_TYPE(node) == ft_array_type)
            node = ((ft_array_node *)node)->children[digit];
        else
            return NULL;
    }
    return NULL;
}

/* 1: the variable has the value now; 0: nothing was done. `variable` must be a ContextVar. */
static inline int ft_inplace_set(PyObject *variable, PyObject *value)
{
    PyThreadState *thread = PyThreadState_Get();
    PyObject **place = ft_own_place(thread, variable);
    PyObject *old;
    if (place == NULL)
        return 0;
    old = *place;
    Py_INCREF(value);
    *place = value;
    ((ft_variable *)variable)->cached = value;
    ((ft_variable *)variable)->cached_thread = thread->id;
    ((ft_variable *)variable)->cached_version = thread->context_ver;
    Py_DECREF(old); /* last: this may run anything */
    return 1;
}

static inline void ft_inplace_switch(int on)
{
    ft_inplace_on = on;
}

/* ---- for the self-test ---- */

/* Whether the variable's cache is what a lookup at this moment leaves there. */
static int ft_is_cached(PyObject *variable, PyObject *value)
{
    PyThreadState *thread = PyThreadState_Get();
    ft_variable *known = (ft_variable *)variable;
    return known->cached == value && known->cached_thread == thread->id &&
           known->cached_version == thread->context_ver;
}

static int ft_is_type(PyTypeObject *type, const char *name, size_t size, size_t item_size)
{
    return strcmp(type->tp_name, name) == 0 && (size_t)type->tp_basicsize == size &&
           (size_t)type->tp_itemsize == item_size;
}

/* Compares the layouts above with what CPython's own traversal of the same objects found: `trie` in
 * `context`, `root` in `trie`. Reads nothing beyond the sizes that the types state. NULL, or what differs. */
static const char *ft_inplace_learn(PyObject *context, PyObject *variable, PyObject *trie, PyObject *root)
{
    PyTypeObject *type = Py_TYPE(root);
    if (PyContext_Type.tp_basicsize != sizeof(ft_context) ||
        PyContext_Type.tp_weaklistoffset != offsetof(ft_context, weakrefs) ||
        ((ft_context *)context)->trie != trie)
        return "a context is laid out otherwise";
    if (PyContextVar_Type.tp_basicsize != sizeof(ft_variable) ||
        ((ft_variable *)variable)->hash != PyObject_Hash(variable))
        return "a context variable is laid out otherwise";
    if (!ft_is_type(Py_TYPE(trie), "hamt", sizeof(ft_trie), 0) ||
        Py_TYPE(trie)->tp_weaklistoffset != offsetof(ft_trie, weakrefs) || ((ft_trie *)trie)->root != root)
        return "a mapping of variables is laid out otherwise";
    ft_trie_type = Py_TYPE(trie);
    if (ft_is_type(type, "hamt_bitmap_node", offsetof(ft_bitmap_node, items), sizeof(PyObject *))) {
        if (Py_SIZE(root) != 2 * (Py_ssize_t)ft_ones(((ft_bitmap_node *)root)->bitmap))
            return "a small node is laid out otherwise";
        ft_bitmap_type = type;
    } else if (ft_is_type(type, "hamt_array_node", sizeof(ft_array_node), 0)) {
        Py_ssize_t count = 0;
        for (int i = 0; i < FT_TRIE_WIDTH; i++)
            count += ((ft_array_node *)root)->children[i] != NULL;
        if (((ft_array_node *)root)->count != count)
            return "a wide node is laid out otherwise";
        ft_array_type = type;
    } else
        return "a node is of an unknown kind";
    return NULL;
}

static int ft_inplace_learned(void)
{
    return ft_bitmap_type != NULL && ft_array_type != NULL;
}

#else
enum { ft_inplace_on = 0 }; /* a constant: the compiler drops what depends on it */
#define ft_inplace_set(variable, value) ((void)(variable), (void)(value), 0)
#define ft_inplace_switch(on) ((void)(on))
#define ft_is_cached(variable, value) ((void)(variable), (void)(value), 0)
#define ft_inplace_learn(context, variable, trie, root) \
    ((void)(context), (void)(variable), (void)(trie), (void)(root), FT_INPLACE_MISSING)
#define ft_inplace_learned() 0
#endif

#endif
