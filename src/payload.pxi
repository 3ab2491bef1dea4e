# The payload buffer: chunks encoded back to back until the flusher takes them.

cdef enum:
    PAYLOAD_MAX_CHUNKS = 400_000     # the agent refuses arrays of more than 500,000 elements
    PAYLOAD_MAX_STRINGS = 400_000
    PAYLOAD_HEADER_BYTES = 16        # at most, beside the chunks and the strings themselves
    BUFFER_KEEP_BYTES = 8 << 20      # a buffer up to this size is used again
    STRING_OBJECT_BYTES = 72         # of a str, beside its characters, at most
    STRING_ENTRY_BYTES = 112         # what a dict needs for an entry, and its value, an int

cdef struct StringSlot:
    PyObject *text       # a key of the payload's `contents`, or NULL for an empty slot
    uint32_t index       # in the payload's string table

cdef struct StringTable:
    StringSlot *slots    # owned; open addressing by object identity
    uint32_t room        # power of two
    uint32_t used


cdef int table_init(StringTable *table, uint32_t room) except -1:
    table.slots = <StringSlot *>PyMem_RawCalloc(room, sizeof(StringSlot))
    if table.slots == NULL:
        raise MemoryError()
    table.room = room
    table.used = 0
    return 0


cdef void table_free(StringTable *table) noexcept:
    PyMem_RawFree(table.slots)
    table.slots = NULL
    table.room = table.used = 0


cdef inline StringSlot *table_slot(StringTable *table, PyObject *text) noexcept:
    """The slot of this very object, or the empty one where it belongs."""
    cdef uint32_t mask = table.room - 1
    cdef uint64_t spread = (<uint64_t><size_t>text >> 4) * <uint64_t>0x9E3779B97F4A7C15
    cdef uint32_t at = <uint32_t>(spread >> 32) & mask
    while table.slots[at].text != NULL and table.slots[at].text != text:
        at = (at + 1) & mask
    return &table.slots[at]


cdef int table_add(StringTable *table, PyObject *text, uint32_t index) except -1:
    cdef StringTable wide
    cdef StringSlot *slot
    cdef uint32_t i
    if table.used * 2 >= table.room:
        table_init(&wide, table.room * 2)
        for i in range(table.room):
            if table.slots[i].text != NULL:
                slot = table_slot(&wide, table.slots[i].text)
                slot[0] = table.slots[i]
        wide.used = table.used
        PyMem_RawFree(table.slots)
        table[0] = wide
    slot = table_slot(table, text)
    slot.text = text
    slot.index = index
    table.used += 1
    return 0


cdef char *PIECE_FORMAT = "B"


@cython.internal
@cython.final
cdef class Piece:
    """Read-only buffer over a part of a Payload, without a copy."""
    cdef Payload owner
    cdef void *data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("a payload is read-only")
        view.buf = self.data
        view.obj = self
        view.len = self.size
        view.itemsize = 1
        view.readonly = 1
        view.ndim = 1
        view.format = PIECE_FORMAT if flags & PyBUF_FORMAT else NULL
        view.shape = &self.size if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.owner.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.owner.exports -= 1


@cython.final
cdef class Payload:
    """The body of one request to the agent; takes chunks until it is swapped out."""
    cdef Buffer body             # v0.4 or v0.5 chunks
    cdef Buffer strings          # v0.5: encoded string table
    cdef size_t strings_held     # bytes of `strings` and of all that is kept to know them again
    cdef StringTable table       # v0.5: the keys of `contents`, found without looking at their text
    cdef dict contents           # v0.5: text -> index
    cdef int version             # 4 or 5
    cdef uint32_t string_count
    cdef int exports             # live buffer views
    cdef readonly bint stats_computed    # its spans are in our statistics: the agent must not count them again
    cdef readonly uint32_t p0_traces     # left out since the last payload, because they are rejected and counted
    cdef readonly uint32_t p0_spans
    cdef readonly uint32_t trace_count
    cdef readonly uint32_t span_count
    cdef uint32_t settled_spans  # of them, what is no longer under way
    cdef uint32_t settled_traces
    cdef bint settled            # all of it is
    cdef bint flying             # taken out to be sent: its bytes still count to the bound of the buffer

    def __dealloc__(self):
        buffer_free(&self.body)
        buffer_free(&self.strings)
        table_free(&self.table)

    @property
    def api_version(self) -> str:
        """"v0.4" or "v0.5"."""
        return "v0.5" if self.version == 5 else "v0.4"

    @property
    def unsettled_traces(self) -> int:
        """Chunks that are still to be delivered."""
        return self.trace_count - self.settled_traces

    @property
    def nbytes(self) -> int:
        """Length of the body in bytes."""
        return self.body_size()

    cdef size_t body_size(self) noexcept:
        cdef unsigned char head[16]
        cdef size_t size = self.size() + (wire_put_array_header(head, self.trace_count) - head)
        if self.version == 5:
            size += 1 + (wire_put_array_header(head, self.string_count) - head)
        return size

    cdef size_t size(self) noexcept:
        """Bytes to be sent, without the few of the headers."""
        return self.body.used + self.strings.used

    cdef size_t held(self) noexcept:
        """Bytes of memory in use: beside those to be sent, those of strings that may come again."""
        return self.body.used + self.strings_held

    cdef uint32_t unsettled(self) noexcept:
        """Spans that are still to be delivered."""
        return self.span_count - self.settled_spans

    cdef int close(self) except -1:
        """Gives back the room it has for more: it takes no more chunks."""
        self.forget_strings()
        buffer_trim(&self.body, 16)
        buffer_trim(&self.strings, 16)
        return 0

    cdef void forget_strings(self) noexcept:
        """Lets go of the strings themselves: their bytes are written."""
        table_free(&self.table)
        self.contents = None
        self.strings_held = self.strings.used

    cdef int start_strings(self) except -1:
        self.contents = {}
        table_init(&self.table, 256)
        string_index(self, <PyObject *>TEXT_EMPTY)
        string_index(self, <PyObject *>TEXT_ORIGIN)
        return 0

    cdef Piece piece(self, Buffer *b):
        cdef Piece piece = Piece.__new__(Piece)
        piece.owner = self
        piece.data = b.data
        piece.size = b.used
        return piece

    def buffers(self) -> list:
        """The pieces of the body, in order: bytes and memoryviews that are valid as long as they live."""
        cdef unsigned char head[16]
        cdef unsigned char *p = head
        cdef list pieces = []
        if self.version == 5:
            p[0] = 0x92
            p = wire_put_array_header(p + 1, self.string_count)
            pieces.append((<char *>head)[:p - head])
            pieces.append(memoryview(self.piece(&self.strings)))
            p = head
        p = wire_put_array_header(p, self.trace_count)
        pieces.append((<char *>head)[:p - head])
        pieces.append(memoryview(self.piece(&self.body)))
        return pieces


cdef Payload new_payload(int version, Buffer *spare):
    """An empty payload; takes over the memory of `spare` if there is any."""
    cdef Payload payload = Payload.__new__(Payload)
    payload.version = version
    if version == 5:
        payload.start_strings()
    if spare != NULL and spare.data != NULL:
        payload.body = spare[0]
        payload.body.used = 0
        spare.data = NULL
        spare.used = spare.room = 0
    return payload


cdef inline uint32_t string_index(Payload payload, PyObject *text) except? 0:
    """Index of a string in the payload's table; the same object is found without looking at its text."""
    cdef StringSlot *slot = table_slot(&payload.table, text)
    if FT_LIKELY(slot.text != NULL):
        return slot.index
    return string_index_new(payload, text)


cdef uint32_t string_index_new(Payload payload, PyObject *text) except? 0:
    cdef PyObject *known = PyDict_GetItemWithError(payload.contents, <object>text)
    cdef unsigned char *p
    cdef uint32_t index, room
    cdef size_t encoded
    if known != NULL:
        # Not kept: a text made anew for each span would be held once for each.
        return <uint32_t>PyLong_AsSsize_t(<object>known)
    index = payload.string_count
    p = buffer_reserve(&payload.strings, payload.strings.data + payload.strings.used, 64)
    p = put_text(&payload.strings, p, text)
    payload.contents[<object>text] = index
    encoded = p - payload.strings.data - payload.strings.used
    payload.strings.used += encoded
    payload.string_count += 1
    room = payload.table.room
    table_add(&payload.table, text, index)
    payload.strings_held += encoded + text_bytes(text, encoded) + STRING_ENTRY_BYTES \
        + <size_t>(payload.table.room - room) * sizeof(StringSlot)
    return index


cdef size_t text_bytes(PyObject *text, size_t encoded) noexcept:
    """Memory of a str of which `encoded` bytes of UTF-8 have been made: it keeps those it does not consist of."""
    cdef size_t size = STRING_OBJECT_BYTES + PyUnicode_KIND(text) * (PyUnicode_GET_LENGTH(text) + 1)
    return size if PyUnicode_IS_COMPACT_ASCII(text) else size + encoded
