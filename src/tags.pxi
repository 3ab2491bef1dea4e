# Tags of a span: a pooled block of key, value and kind in insertion order; and the tags that every
# span of a tracer carries, encoded once.

cdef enum:
    TAG_TEXT = 0        # value is an owned str: goes to `meta`
    TAG_INT = 1         # value is an int64: goes to `metrics`
    TAG_FLOAT = 2       # value is a finite double: goes to `metrics`
    TAG_BLOCK_SLOTS = 8     # what a pooled block holds
    TAG_BLOCKS_POOLED = 512
    TAG_INDEX_FROM = 32     # beyond this many tags a dict finds them
    TAGS_MAX = 400_000      # per span; the agent refuses maps of more than 500,000 elements

cdef union TagValue:
    PyObject *text
    int64_t whole
    double real

cdef struct Tag:
    PyObject *key       # owned exact str, its hash known
    TagValue value
    uint64_t kind       # TAG_*

cdef struct TagBlock:
    uint32_t used       # tags, all kinds
    uint32_t texts      # of them TAG_TEXT
    uint32_t room       # slots in `tags`
    PyObject *index     # owned dict key -> position, or NULL while a scan is as quick
    TagBlock *pooled    # next free block, while in the pool
    Tag tags[TAG_BLOCK_SLOTS]   # really `room` of them

cdef TagBlock *tag_pool = NULL
cdef int tag_pool_size = 0


cdef inline TagBlock *tags_pooled() noexcept:
    """An empty block, or NULL."""
    global tag_pool, tag_pool_size
    cdef TagBlock *block = tag_pool
    if FT_LIKELY(block != NULL):
        tag_pool = block.pooled
        tag_pool_size -= 1
    return block


cdef inline TagBlock *tags_new() except NULL:
    cdef TagBlock *block = tags_pooled()
    if FT_LIKELY(block != NULL):
        return block
    block = <TagBlock *>PyObject_Malloc(sizeof(TagBlock))
    if block == NULL:
        raise MemoryError()
    block.used = block.texts = 0
    block.room = TAG_BLOCK_SLOTS
    block.index = NULL
    return block


cdef void tags_free(TagBlock *block) noexcept:
    """Gives the block back; values are plain, so no code of the application runs here."""
    global tag_pool, tag_pool_size
    cdef uint32_t i
    for i in range(block.used):
        decref(block.tags[i].key)
        if block.tags[i].kind == TAG_TEXT:
            decref(block.tags[i].value.text)
    block.used = block.texts = 0
    if block.index != NULL:
        decref(block.index)
        block.index = NULL
    if block.room == TAG_BLOCK_SLOTS and tag_pool_size < TAG_BLOCKS_POOLED:
        block.pooled = tag_pool
        tag_pool = block
        tag_pool_size += 1
    else:
        PyObject_Free(block)


cdef inline Py_ssize_t tags_find(TagBlock *block, PyObject *key) except -2:
    """Position of `key` or -1. Equal keys are mostly the same object; else hash, then content."""
    cdef uint32_t i
    cdef Py_hash_t key_hash
    cdef PyObject *at
    if block.index != NULL:
        at = PyDict_GetItemWithError(<object>block.index, <object>key)
        return PyLong_AsSsize_t(<object>at) if at != NULL else -1
    for i in range(block.used):
        if block.tags[i].key == key:
            return i
    key_hash = text_hash(key)
    for i in range(block.used):
        if text_hash(block.tags[i].key) == key_hash and same_text(block.tags[i].key, key):
            return i
    return -1


cdef TagBlock *tags_grow(TagBlock *block) except NULL:
    """A block of twice the room with the same tags; the old one is gone."""
    cdef uint32_t room = block.room * 2
    cdef TagBlock *wide = <TagBlock *>PyObject_Malloc(sizeof(TagBlock) + (room - TAG_BLOCK_SLOTS) * sizeof(Tag))
    cdef uint32_t i
    if wide == NULL:
        raise MemoryError()
    memcpy(wide, block, sizeof(TagBlock) + (block.room - TAG_BLOCK_SLOTS) * sizeof(Tag))
    wide.room = room
    block.used = block.texts = 0
    block.index = NULL
    tags_free(block)
    if wide.index == NULL and wide.used >= TAG_INDEX_FROM:
        index = {}
        for i in range(wide.used):
            index[<object>wide.tags[i].key] = i
        Py_INCREF(index)
        wide.index = <PyObject *>index
    return wide


cdef inline int tags_put(TagBlock **slot, PyObject *key, uint64_t kind, TagValue value) except -1:
    """Sets a tag; takes over the reference of a text value, also when it fails."""
    cdef TagBlock *block = slot[0]
    cdef Tag *tag
    cdef uint32_t i
    cdef Py_hash_t key_hash
    if FT_UNLIKELY(block == NULL):
        slot[0] = block = tags_new()
    if FT_UNLIKELY(block.used >= TAG_BLOCK_SLOTS or block.index != NULL):    # many were there once
        return tags_put_any(slot, key, kind, value)
    key_hash = text_hash(key)
    for i in range(block.used):
        if block.tags[i].key == key or text_hash(block.tags[i].key) == key_hash:
            return tags_put_any(slot, key, kind, value)
    tag = &block.tags[block.used]
    block.used += 1
    block.texts += kind == TAG_TEXT
    incref(key)
    tag.key = key
    tag.kind = kind
    tag.value = value
    return 0


cdef int tags_put_any(TagBlock **slot, PyObject *key, uint64_t kind, TagValue value) except -1:
    """The same where the key may be there already, or the block is full."""
    cdef TagBlock *block = slot[0]
    cdef Tag *tag
    cdef Py_ssize_t at
    cdef Tag old
    try:
        at = tags_find(block, key)
        if at < 0 and block.used >= TAGS_MAX:
            warn("tag_count", "a span holds at most %d tags: further ones are ignored" % TAGS_MAX)
            if kind == TAG_TEXT:
                decref(value.text)
            return 0
        if at < 0 and block.used == block.room:
            block = slot[0] = tags_grow(block)
        if at < 0 and block.index != NULL:
            (<dict>block.index)[<object>key] = block.used
    except BaseException:
        if kind == TAG_TEXT:
            decref(value.text)
        raise
    block.texts += kind == TAG_TEXT
    if at < 0:
        tag = &block.tags[block.used]
        block.used += 1
        incref(key)
        tag.key = key
        tag.kind = kind
        tag.value = value
        return 0
    tag = &block.tags[at]
    old = tag[0]
    tag.kind = kind
    tag.value = value
    if old.kind == TAG_TEXT:
        block.texts -= 1
        decref(old.value.text)
    return 0


cdef int tags_put_text(TagBlock **slot, PyObject *key, object text) except -1:
    cdef TagValue value
    value.text = own_text(text)
    return tags_put(slot, key, TAG_TEXT, value)


cdef int tags_put_number(TagBlock **slot, PyObject *key, object number) except -1:
    """Sets an exact int within int64 or a finite float."""
    cdef TagValue value
    if type(number) is float:
        value.real = PyFloat_AS_DOUBLE(number)
        return tags_put(slot, key, TAG_FLOAT, value)
    value.whole = number
    return tags_put(slot, key, TAG_INT, value)


cdef int tags_remove(TagBlock *block, PyObject *key) except -1:
    """Removes a tag and closes the gap; 1 if it was there."""
    cdef Py_ssize_t at
    cdef uint32_t i
    cdef Tag gone
    if block == NULL:
        return 0
    at = tags_find(block, key)
    if at < 0:
        return 0
    gone = block.tags[at]
    block.used -= 1
    for i in range(<uint32_t>at, block.used):
        block.tags[i] = block.tags[i + 1]
    if block.index != NULL:
        index = <dict>block.index
        del index[<object>key]
        for i in range(<uint32_t>at, block.used):
            index[<object>block.tags[i].key] = i
    if gone.kind == TAG_TEXT:
        block.texts -= 1
        decref(gone.value.text)
    decref(gone.key)
    return 1


cdef object tag_number(Tag *tag):
    return tag.value.whole if tag.kind == TAG_INT else tag.value.real


@cython.internal
@cython.final
cdef class StaticTags:
    """Tags shared by many spans, immutable, with their v0.4 bytes ready.

    `meta` and `metrics` are dicts of exact str to str or number.
    """
    cdef readonly dict meta
    cdef readonly dict metrics
    cdef Buffer meta_wire       # the pairs as v0.4 has them, without a map header
    cdef Buffer metrics_wire
    cdef Buffer fields_wire     # both maps as the fields of a span that has no other tags; see whole()
    cdef uint32_t fields        # how many fields that is; 0: not prepared
    cdef uint32_t texts, numbers

    def __cinit__(self, dict meta, dict metrics):
        self.meta = meta
        self.metrics = metrics
        self.texts = len(meta)
        self.numbers = len(metrics)
        for key in meta:
            static_put(&self.meta_wire, key, meta[key])
        for key in metrics:
            static_put(&self.metrics_wire, key, metrics[key])
        buffer_trim(&self.meta_wire, 16)
        buffer_trim(&self.metrics_wire, 16)

    def __dealloc__(self):
        buffer_free(&self.meta_wire)
        buffer_free(&self.metrics_wire)
        buffer_free(&self.fields_wire)

    cdef StaticTags whole(self):
        """Prepares `fields_wire`: worth it for what many spans have and nothing besides."""
        static_put_field(self, V04_META, 5, self.texts, &self.meta_wire)
        static_put_field(self, V04_METRICS, 8, self.numbers, &self.metrics_wire)
        buffer_trim(&self.fields_wire, 16)
        return self


cdef int static_put_field(StaticTags tags, const char *name, size_t size, uint32_t entries, Buffer *pairs) except -1:
    """Adds one of the maps, unless it is empty."""
    cdef Buffer *out = &tags.fields_wire
    cdef unsigned char *p
    if entries == 0:
        return 0
    p = buffer_reserve(out, out.data + out.used, pairs.used + 64)
    p = wire_put_map_header(put_raw(p, name, size), entries)
    memcpy(p, pairs.data, pairs.used)
    out.used = p + pairs.used - out.data
    tags.fields += 1
    return 0


cdef int static_put(Buffer *out, object key, object value) except -1:
    cdef unsigned char *p = buffer_reserve(out, out.data + out.used, 64)
    p = put_text(out, p, <PyObject *>key)
    p = put_value(out, p, value)
    out.used = p - out.data
    return 0


cdef unsigned char *put_value(Buffer *out, unsigned char *p, object value) except NULL:
    """A tag value given as Python object: exact str, int within int64, or float."""
    p = buffer_reserve(out, p, 64)
    if type(value) is str:
        return put_text(out, p, <PyObject *>value)
    if type(value) is float:
        return wire_put_double(p, PyFloat_AS_DOUBLE(value))
    return wire_put_int(p, value)


cdef object as_metric(object value):
    """`value` as exact int within int64 or finite float; None if it is neither (ddtrace 4.x rules)."""
    cdef double real
    if type(value) is int or isinstance(value, int):
        value = int(value)
        return value if -(1 << 63) <= value < (1 << 63) else None
    real = value
    return real if isfinite(real) else None
