# Name, service, resource and type of a span as v0.4 has them, and a table of those that come again.
#
# Most spans of a process share a few combinations of strings that live as long as its code. Their bytes
# are copied in one piece instead of seven. A combination is taken in when it comes twice in a row to its
# place, so that texts made for one span cost no more than the look.

cdef enum:
    NAMES_SLOTS = 128        # a power of two
    NAMES_SHIFT = 64 - 7
    NAMES_MAX_BYTES = 160

cdef struct Names:
    PyObject *name           # owned, as the next two, if `used`
    PyObject *service        # or NULL
    PyObject *resource       # or NULL: the name is meant
    uint64_t candidate       # what came last and is not here
    uint32_t type
    uint32_t used            # bytes of `data`; 0: nothing is here
    unsigned char data[NAMES_MAX_BYTES + 16]

cdef Names[NAMES_SLOTS] names_table

cdef const char *V04_NAME = b"\xa4name"
cdef const char *V04_SERVICE = b"\xa7service"
cdef const char *V04_RESOURCE = b"\xa8resource"
cdef const char *V04_TYPE = b"\xa4type"
cdef const char *V04_ERROR = b"\xa5error\x01"


cdef inline unsigned char *put_raw(unsigned char *p, const char *source, size_t n) noexcept:
    memcpy(p, source, n)
    return p + n


cdef inline unsigned char *put_names(Buffer *out, unsigned char *p, Span span) except NULL:
    """Writes these fields and the error; needs room for NAMES_MAX_BYTES and 64 bytes, leaves 59."""
    cdef uint64_t mix = (<size_t>span._name + 3 * <size_t>span._service + 5 * <size_t>span._resource) \
        * <uint64_t>0x9E3779B97F4A7C15
    cdef Names *slot = &names_table[mix >> NAMES_SHIFT]
    if FT_LIKELY(slot.name == span._name and slot.service == span._service and slot.resource == span._resource
                 and slot.type == span._type and slot.used):
        p = wire_copy_padded(p, slot.data, slot.used)
    else:
        p = put_names_anew(out, p, span, slot, mix)
    if FT_UNLIKELY(span._flags & SPAN_ERROR):
        p = put_raw(p, V04_ERROR, 7)
    return p


cdef unsigned char *put_names_anew(Buffer *out, unsigned char *p, Span span, Names *slot, uint64_t mix) except NULL:
    """The same without the error, from the strings."""
    cdef PyObject *name = span._name if span._name != NULL else <PyObject *>TEXT_EMPTY
    cdef size_t start = p - out.data
    p = put_text(out, put_raw(p, V04_NAME, 5), name)
    p = put_raw(p, V04_SERVICE, 8)
    p = put_text(out, p, span._service if span._service != NULL else <PyObject *>TEXT_EMPTY)
    p = put_raw(p, V04_RESOURCE, 9)
    p = put_text(out, p, span._resource if span._resource != NULL else name)
    if span._type:
        p = put_text(out, put_raw(p, V04_TYPE, 5), span_type_raw(span))
    names_note(slot, span, mix, out.data + start, p - out.data - start)
    return p


cdef void names_note(Names *slot, Span span, uint64_t mix, const unsigned char *data, size_t n) noexcept:
    """Takes the bytes of a span's names in if they are likely to come again."""
    cdef PyObject *resource = span._resource
    cdef uint64_t tail = 0
    if n > NAMES_MAX_BYTES or span._type == SPAN_TYPE_OWN:
        return
    if resource != NULL:
        if ft_refcount(resource) == 1:
            return           # made for this span
        if PyUnicode_IS_COMPACT_ASCII(resource) and PyUnicode_GET_LENGTH(resource) >= 8:
            # Another text may have come to lie where the last one was.
            memcpy(&tail, ft_ascii(resource) + PyUnicode_GET_LENGTH(resource) - 8, 8)
    mix ^= tail
    if slot.candidate != mix:
        slot.candidate = mix
        return
    names_hold(span._name, span._service, resource)
    if slot.used:
        names_release(slot.name, slot.service, slot.resource)
    slot.name, slot.service, slot.resource = span._name, span._service, resource
    slot.type = span._type
    slot.used = <uint32_t>n
    memcpy(slot.data, data, n)


cdef inline void names_hold(PyObject *name, PyObject *service, PyObject *resource) noexcept:
    if name != NULL:
        incref(name)
    if service != NULL:
        incref(service)
    if resource != NULL:
        incref(resource)


cdef inline void names_release(PyObject *name, PyObject *service, PyObject *resource) noexcept:
    """These are exact strings: giving them up runs no code."""
    if name != NULL:
        decref(name)
    if service != NULL:
        decref(service)
    if resource != NULL:
        decref(resource)
