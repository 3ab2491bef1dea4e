# Texts of headers as C strings: names of the headers that carry a trace, numbers, characters.
#
# The compiled propagator handles what well-behaved services send and declines everything else, which
# fasttrace.propagation then does in Python: one place says what a malformed header means.

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, unsigned int maxchar)
    int PyDict_Next(object mapping, Py_ssize_t *at, PyObject **key, PyObject **value)
    Py_ssize_t PyDict_Size(object mapping)

cdef enum:
    STYLE_DATADOG = 0
    STYLE_TRACECONTEXT = 1
    STYLE_B3 = 2
    STYLE_B3MULTI = 3
    STYLE_BAGGAGE = 4
    STYLES = 5

    HEADER_DD_TRACE = 0
    HEADER_DD_PARENT = 1
    HEADER_DD_PRIORITY = 2
    HEADER_DD_ORIGIN = 3
    HEADER_DD_TAGS = 4
    HEADER_TRACEPARENT = 5
    HEADER_TRACESTATE = 6
    HEADER_B3 = 7
    HEADER_B3_TRACE = 8
    HEADER_B3_SPAN = 9
    HEADER_B3_SAMPLED = 10
    HEADER_B3_FLAGS = 11
    HEADER_BAGGAGE = 12
    HEADERS = 13

    CHAR_PRINTABLE = 1       # may stand in a header: blank to tilde
    CHAR_TAG_KEY = 2         # in the key of a propagated tag, in every style
    CHAR_TAG_VALUE = 4       # in the value of one, in every style
    CHAR_BAGGAGE_KEY = 8     # stands for itself in baggage
    CHAR_BAGGAGE_VALUE = 16
    CHAR_LOWER_HEX = 32

    DD_MEMBER_MAX_CHARS = 256
    DD_MEMBER_RESERVED = 22          # "dd=" and "p:0123456789abcdef;"
    TRACESTATE_MAX_CHARS = 512
    TRACESTATE_MAX_MEMBERS = 32
    TAGS_READ_MAX_CHARS = 512
    ORIGIN_MAX_CHARS = 256
    BAGGAGE_MAX_ITEMS = 64
    FAST_MAX_CHARS = 2048            # longer texts are left to Python

cdef tuple HEADER_NAMES = (
    "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-origin", "x-datadog-tags",
    "traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "baggage",
)
cdef tuple STYLE_NAMES = ("datadog", "tracecontext", "b3", "b3multi", "baggage")

cdef str TEXT_USER_ID = "_dd.p.usr.id"

cdef struct Slice:
    const char *s        # ASCII characters; NULL: not there
    Py_ssize_t n
    PyObject *owner      # owned str or bytes they belong to; NULL: borrowed from another

cdef unsigned char char_kinds[256]


cdef void fill_char_kinds():
    cdef int c
    for c in range(0x20, 0x7f):
        char_kinds[c] = CHAR_PRINTABLE
        letter = chr(c)
        if letter not in " ,=;:":
            char_kinds[c] |= CHAR_TAG_KEY
        if letter not in ",;~":
            char_kinds[c] |= CHAR_TAG_VALUE
        if letter.isalnum() or letter in "!#$&'*+-.^_`|~":
            char_kinds[c] |= CHAR_BAGGAGE_KEY | CHAR_BAGGAGE_VALUE
        if letter in "()/:<>?@[]{}":
            char_kinds[c] |= CHAR_BAGGAGE_VALUE
        if letter in "0123456789abcdef":
            char_kinds[c] |= CHAR_LOWER_HEX

fill_char_kinds()


cdef inline bint all_of(const char *s, Py_ssize_t n, int kind) noexcept:
    cdef Py_ssize_t i
    cdef unsigned char both = 0xff
    for i in range(n):
        both &= char_kinds[<unsigned char>s[i]]
    return (both & kind) != 0


cdef inline bint ascii_of(PyObject *text, const char **s, Py_ssize_t *n) noexcept:
    """Characters of an exact ASCII str, or False."""
    if type(<object>text) is not str or not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    s[0] = ft_ascii(text)
    n[0] = PyUnicode_GET_LENGTH(text)
    return True


cdef inline object text_of(const char *s, Py_ssize_t n):
    """A new str of ASCII characters."""
    text = PyUnicode_New(n, 127)
    memcpy(PyUnicode_DATA(<PyObject *>text), s, n)
    return text


cdef inline object slice_text(Slice *part):
    if part.owner != NULL and type(<object>part.owner) is str:
        return <object>part.owner
    return text_of(part.s, part.n)


# -- writing --------------------------------------------------------------------------------------------------

cdef inline char *put_chars(char *p, const char *s, Py_ssize_t n) noexcept:
    if n:
        memcpy(p, s, n)
    return p + n


cdef inline char *put_hex16(char *p, uint64_t number) noexcept:
    cdef int i
    for i in range(16):
        p[i] = b"0123456789abcdef"[(number >> (60 - 4 * i)) & 15]
    return p + 16


cdef inline char *put_decimal(char *p, uint64_t number) noexcept:
    cdef char digits[20]
    cdef int n = 0
    while True:
        digits[n] = <char>(48 + number % 10)
        n += 1
        number //= 10
        if number == 0:
            break
    while n:
        n -= 1
        p[0] = digits[n]
        p += 1
    return p


cdef inline char *put_signed(char *p, int number) noexcept:
    if number < 0:
        p[0] = b"-"
        return put_decimal(p + 1, <uint64_t>(-<int64_t>number))
    return put_decimal(p, <uint64_t>number)


# -- reading --------------------------------------------------------------------------------------------------

cdef inline bint read_hex(const char *s, Py_ssize_t n, uint64_t *number) noexcept:
    """1 to 16 lower-case hex digits."""
    cdef uint64_t value = 0
    cdef Py_ssize_t i
    cdef unsigned char c
    if n < 1 or n > 16 or not all_of(s, n, CHAR_LOWER_HEX):
        return False
    for i in range(n):
        c = <unsigned char>s[i]
        value = value << 4 | (c & 15) + (9 if c > 57 else 0)
    number[0] = value
    return True


cdef inline bint read_decimal(const char *s, Py_ssize_t n, uint64_t *number) noexcept:
    """Decimal digits of a number below 2^64."""
    cdef uint64_t value = 0
    cdef unsigned int digit
    cdef Py_ssize_t i
    if n < 1 or n > 20:
        return False
    for i in range(n):
        digit = <unsigned int>(<unsigned char>s[i]) - 48
        if digit > 9 or (i == 19 and (value > 1844674407370955161 or (value == 1844674407370955161 and digit > 5))):
            return False
        value = value * 10 + digit
    number[0] = value
    return True


cdef inline bint read_priority(const char *s, Py_ssize_t n, int *number) noexcept:
    """One of the usual sampling priorities: -1, 0, 1, 2."""
    if n == 1 and b"0" <= s[0] <= b"2":
        number[0] = s[0] - 48
        return True
    if n == 2 and s[0] == b"-" and s[1] == b"1":
        number[0] = -1
        return True
    return False


cdef inline bint read_maker(const char *s, Py_ssize_t n, int *number) noexcept:
    """`-N` of a decision maker, 0 to 255 without leading zeros."""
    cdef uint64_t value
    if n < 2 or n > 4 or s[0] != b"-" or (s[1] == b"0" and n > 2) or not read_decimal(s + 1, n - 1, &value):
        return False
    number[0] = <int>value
    return value <= 255


cdef inline bint same_name(const char *s, const char *name, Py_ssize_t n, bint wsgi) noexcept:
    """Whether `s` is `name`, in any case; in a WSGI environ a hyphen is an underscore."""
    cdef Py_ssize_t i
    cdef char c
    cdef char hyphen = b"-"
    if wsgi:
        hyphen = b"_"
    for i in range(n):
        c = s[i]
        if b"A" <= c <= b"Z":
            c |= 32
        if name[i] == b"-":
            if c != hyphen:
                return False
        elif c != name[i]:
            return False
    return True


cdef int header_number(const char *s, Py_ssize_t n) noexcept:
    """HEADER_* of a name, -1 for all others."""
    cdef bint wsgi = False
    cdef int first
    if n < 2 or n > 32:
        return -1
    if n > 6 and s[4] == b"_" and same_name(s, b"http", 4, False):
        wsgi = True
        s += 5
        n -= 5
    first = s[0] | 32
    if n == 2:
        return HEADER_B3 if first == b"b" and s[1] == b"3" else -1
    if n == 7:
        return HEADER_BAGGAGE if first == b"b" and same_name(s, b"baggage", n, wsgi) else -1
    if first == b"t":
        if n == 10:
            return HEADER_TRACESTATE if same_name(s, b"tracestate", n, wsgi) else -1
        if n == 11:
            return HEADER_TRACEPARENT if same_name(s, b"traceparent", n, wsgi) else -1
        return -1
    if first != b"x" or n < 10:
        return -1
    if n == 18:
        return HEADER_DD_TRACE if same_name(s, b"x-datadog-trace-id", n, wsgi) else -1
    if n == 19:
        return HEADER_DD_PARENT if same_name(s, b"x-datadog-parent-id", n, wsgi) else -1
    if n == 27:
        return HEADER_DD_PRIORITY if same_name(s, b"x-datadog-sampling-priority", n, wsgi) else -1
    if n == 16:
        return HEADER_DD_ORIGIN if same_name(s, b"x-datadog-origin", n, wsgi) else -1
    if n == 14:
        return HEADER_DD_TAGS if same_name(s, b"x-datadog-tags", n, wsgi) else -1
    if n == 12:
        if same_name(s, b"x-b3-traceid", n, wsgi):
            return HEADER_B3_TRACE
        return HEADER_B3_SAMPLED if same_name(s, b"x-b3-sampled", n, wsgi) else -1
    if n == 11:
        return HEADER_B3_SPAN if same_name(s, b"x-b3-spanid", n, wsgi) else -1
    if n == 10:
        return HEADER_B3_FLAGS if same_name(s, b"x-b3-flags", n, wsgi) else -1
    return -1
