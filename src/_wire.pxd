"""Byte writers on a growing C buffer, all inline: the form measured three times faster than methods."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from "_wire.h" nogil:
    enum: WIRE_FIXED_SIZE
    void wire_copy(unsigned char *to, const char *source, size_t n) noexcept
    unsigned char *wire_put_short(unsigned char *p, const char *s, size_t n) noexcept
    unsigned char *wire_copy_padded(unsigned char *to, const unsigned char *source, size_t n) noexcept
    unsigned char *wire_put_uint(unsigned char *p, uint64_t v) noexcept
    unsigned char *wire_put_int(unsigned char *p, int64_t v) noexcept
    unsigned char *wire_put_double(unsigned char *p, double v) noexcept
    unsigned char *wire_put_array_header(unsigned char *p, uint32_t n) noexcept
    unsigned char *wire_put_map_header(unsigned char *p, uint32_t n) noexcept
    unsigned char *wire_put_str(unsigned char *p, const char *s, size_t n) noexcept
    unsigned char *wire_put_v04_fixed(unsigned char *p, uint64_t trace_id, uint64_t span_id, uint64_t parent_id,
                                      int64_t start_ns, int64_t duration_ns) noexcept

cdef extern from "_block.h" nogil:
    void *ft_block_resize(void *old, size_t old_room, size_t room) noexcept
    void ft_block_free(void *block, size_t room) noexcept

cdef extern from *:
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *s) nogil
    void *PyUnicode_DATA(PyObject *s) nogil
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *s) nogil
    const char *PyUnicode_AsUTF8AndSize(PyObject *s, Py_ssize_t *size) except NULL

cdef struct Buffer:
    unsigned char *data      # owned, raw memory
    size_t used              # bytes written and valid
    size_t room              # bytes allocated

cdef inline void buffer_free(Buffer *b) noexcept nogil:
    ft_block_free(b.data, b.room)
    b.data = NULL
    b.used = 0
    b.room = 0

cdef inline int buffer_grow(Buffer *b, size_t wanted) except -1:
    """Makes room for `wanted` bytes in all. Growth by a quarter beyond 1 MiB keeps the slack small."""
    cdef size_t room = b.room if b.room else 4096
    cdef void *moved
    while room < wanted:
        room += room // 4 if room > (1 << 20) else room
    moved = ft_block_resize(b.data, b.room, room)
    if moved == NULL:
        raise MemoryError()
    b.data = <unsigned char *>moved
    b.room = room
    return 0

cdef inline int buffer_trim(Buffer *b, size_t spare) except -1:
    """Gives back the room beyond `spare` bytes."""
    cdef void *moved
    if b.data == NULL:
        return 0
    moved = ft_block_resize(b.data, b.room, b.used + spare)
    if moved == NULL:
        raise MemoryError()
    b.data = <unsigned char *>moved
    b.room = b.used + spare
    return 0

cdef inline unsigned char *buffer_reserve(Buffer *b, unsigned char *p, size_t more) except NULL:
    """Position `p` again, with at least `more` bytes of room behind it."""
    cdef size_t at
    if <size_t>(b.data + b.room - p) >= more:
        return p
    at = p - b.data
    buffer_grow(b, at + more)
    return b.data + at

cdef inline int buffer_append(Buffer *b, const char *source, size_t n) except -1:
    if b.room - b.used < n:
        buffer_grow(b, b.used + n)
    memcpy(b.data + b.used, source, n)
    b.used += n
    return 0
