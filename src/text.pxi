# Strings: every text that enters a span is an exact `str` of bounded length from then on.

cdef enum:
    TEXT_MAX_CHARS = 25_000      # longer values are cut, as ddtrace 4.x does
    TEXT_CUT_CHARS = 2_486       # what is left of them, before the marker

cdef str TEXT_CUT_MARK = "<truncated>..."


cdef str cut_text(str s):
    return s[:TEXT_CUT_CHARS] + TEXT_CUT_MARK


cdef str plain_text(object value):
    """An exact str of bounded length from a str or a subclass of it."""
    cdef str s = <str>value if type(value) is str else str.__str__(value)
    if type(s) is not str:
        s = "".join(str.__iter__(s))
    return cut_text(s) if len(s) > TEXT_MAX_CHARS else s


cdef inline PyObject *own_text(object value) except NULL:
    """New reference to `value` as plain text; the common case costs two compares."""
    if FT_LIKELY(type(value) is str and PyUnicode_GET_LENGTH(<PyObject *>value) <= TEXT_MAX_CHARS):
        Py_INCREF(value)
        return <PyObject *>value
    return own_text_slow(value)


cdef PyObject *own_text_slow(object value) except NULL:
    text = plain_text(value)
    Py_INCREF(text)
    return <PyObject *>text


cdef str lossy_text(object value):
    """`value` with everything that is not valid UTF-8 replaced by U+FFFD."""
    return (<str>value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


cdef inline bint same_text(PyObject *a, PyObject *b) noexcept:
    """Equality of two exact strings (or NULL): mostly one compare of pointers."""
    if a == b:
        return True
    if a == NULL or b == NULL or PyUnicode_GET_LENGTH(a) != PyUnicode_GET_LENGTH(b):
        return False
    return PyUnicode_Compare(a, b) == 0


cdef unsigned char *put_text_slow(Buffer *out, unsigned char *p, PyObject *s) except NULL:
    """A string outside ASCII: its UTF-8 form, or U+FFFD for what has none."""
    cdef Py_ssize_t n = 0
    cdef const char *utf8
    try:
        utf8 = PyUnicode_AsUTF8AndSize(s, &n)
    except UnicodeError:
        raw = lossy_text(<object>s).encode()
        n = PyBytes_GET_SIZE(raw)
        p = buffer_reserve(out, p, n + 64)
        return wire_put_str(p, PyBytes_AS_STRING(raw), n)
    p = buffer_reserve(out, p, n + 64)
    return wire_put_str(p, utf8, n)


cdef unsigned char *put_text_long(Buffer *out, unsigned char *p, PyObject *s) except NULL:
    cdef size_t n
    if PyUnicode_IS_COMPACT_ASCII(s):
        n = PyUnicode_GET_LENGTH(s)
        p = buffer_reserve(out, p, n + 64)
        return wire_put_str(p, ft_ascii(s), n)
    return put_text_slow(out, p, s)


cdef inline unsigned char *put_pair(Buffer *out, unsigned char *p, PyObject *key, PyObject *text) except NULL:
    """Writes a key and its text, as put_text() does."""
    cdef unsigned char *after = ft_put_short_pair(p, out.data + out.room, key, text)
    return after if FT_LIKELY(after != NULL) else put_text_long(out, put_text_long(out, p, key), text)


cdef inline unsigned char *put_text(Buffer *out, unsigned char *p, PyObject *s) except NULL:
    """Writes a string; leaves at least 59 bytes of room for the fixed bytes that follow."""
    cdef unsigned char *after = ft_put_short_text(p, out.data + out.room, s)
    return after if FT_LIKELY(after != NULL) else put_text_long(out, p, s)
