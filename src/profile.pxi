# What a tracer's configuration adds to its spans, in the form the encoders want.

cdef enum:
    KEYS_MAX_CHARS = 100
    KEYS_SLOTS = 128         # a power of two

cdef uint64_t profile_count = 0


@cython.internal
@cython.final
@cython.no_gc
cdef class UsualTags:
    """All tags of ours on the root of a new trace that comes first in its chunk, for one decision."""
    cdef StaticTags tags, with_version
    cdef uint64_t id_high        # high half of the trace id that they are for
    cdef uint64_t profile_number     # and the Profile


@cython.internal
@cython.final
@cython.no_gc
cdef class Profile:
    """Immutable; a changed configuration makes a new one. Segments keep the one they began with."""
    cdef StaticTags tags         # on every span: env, DD_TAGS, tracer.set_tags()
    cdef StaticTags version      # on spans of the configured service
    cdef StaticTags tags_version     # `tags` and `version` in one, for most of those
    cdef StaticTags root         # on local roots: runtime-id, process_id
    cdef StaticTags root_wire    # the same, and what is set at finish
    cdef StaticTags new_trace    # on roots without remote parent
    cdef StaticTags chunk        # on the first span of a chunk
    cdef StaticTags root_chunk   # `root_wire` and `chunk` in one, for a local root that comes first
    cdef UsualTags usual         # with the default decision; None before the first
    cdef uint64_t number         # later ones have a higher one
    cdef str service             # global service or None
    cdef str service_lower
    cdef StaticTags base         # on spans of another service
    cdef StaticTags tags_base    # `tags` and `base` in one, for most of those
    cdef str env                 # "" if not configured
    cdef PyObject *foreign       # owned: service last found to differ from the global one
    cdef uint64_t key_bits[64]   # Bloom filter, two probes: keys of `tags` and all special keys
    cdef PyObject *plain_keys[KEYS_SLOTS]    # owned: keys used before, by address, that are none of those
    cdef Py_hash_t last_keys[KEYS_SLOTS]     # hash of the key that came last and is not there

    def __dealloc__(self):
        cdef int i
        if self.foreign != NULL:
            decref(self.foreign)
        for i in range(KEYS_SLOTS):
            if self.plain_keys[i] != NULL:
                decref(self.plain_keys[i])

    cdef inline bint may_be_special(self, PyObject *key) noexcept:
        cdef uint64_t h = <uint64_t>text_hash(key)
        return (self.key_bits[(h >> 6) & 63] >> (h & 63)) & (self.key_bits[(h >> 18) & 63] >> ((h >> 12) & 63)) & 1

    cdef void note_plain(self, PyObject *key) noexcept:
        """Remembers a usable key without special meaning when the same text comes to its place again.

        That is what happens to those in code, which live as long; not to texts made for one tag.
        """
        cdef size_t slot = key_slot(key)
        cdef Py_hash_t text = text_hash(key)
        cdef PyObject *old
        if self.last_keys[slot] != text or PyUnicode_GET_LENGTH(key) > KEYS_MAX_CHARS:
            self.last_keys[slot] = text
            return
        if self.plain_keys[slot] != NULL and self.plain_keys[slot ^ 1] == NULL:
            slot ^= 1
        old = self.plain_keys[slot]
        incref(key)
        self.plain_keys[slot] = key
        if old != NULL:
            decref(old)

    cdef void note_key(self, object key) noexcept:
        cdef uint64_t h = <uint64_t>text_hash(<PyObject *>key)
        self.key_bits[(h >> 6) & 63] |= <uint64_t>1 << (h & 63)
        self.key_bits[(h >> 18) & 63] |= <uint64_t>1 << ((h >> 12) & 63)

    cdef bint note_foreign(self, PyObject *service) except -1:
        """Whether a span of this service needs `_dd.base_service`; remembers the last that does."""
        if service == NULL or self.service is None or PyUnicode_GET_LENGTH(service) == 0:
            return False
        if (<object>service).lower() == self.service_lower:
            return False
        if self.foreign != NULL:
            decref(self.foreign)
        incref(service)
        self.foreign = service
        return True


cdef inline size_t key_slot(PyObject *key) noexcept:
    return (<size_t>key >> 4) & (KEYS_SLOTS - 1)


cdef inline bint knows_plain(Profile profile, PyObject *key) noexcept:
    """Whether an object of any type is a key that was found usable and without special meaning."""
    cdef size_t slot = key_slot(key)
    return FT_LIKELY(profile.plain_keys[slot] == key) or profile.plain_keys[slot ^ 1] == key


cdef Profile make_profile(service, str env, version, dict meta, dict metrics, dict root_meta, dict root_metrics,
                          dict new_trace_meta, dict chunk_meta, dict chunk_metrics):
    global profile_count
    cdef Profile profile = Profile.__new__(Profile)
    profile_count += 1
    profile.number = profile_count
    profile.tags = StaticTags(meta, metrics).whole()
    profile.version = StaticTags({} if version is None else {"version": plain_text(version)}, {})
    profile.tags_version = StaticTags({**profile.tags.meta, **profile.version.meta}, metrics).whole()
    profile.root = StaticTags(root_meta, root_metrics)
    profile.root_wire = StaticTags(root_meta, {**root_metrics, "_dd.top_level": 1})
    profile.new_trace = StaticTags(new_trace_meta, {})
    profile.chunk = StaticTags(chunk_meta, chunk_metrics)
    profile.root_chunk = StaticTags({**root_meta, **chunk_meta},
                                    {**root_metrics, "_dd.top_level": 1, **chunk_metrics})
    profile.service = None if service is None else plain_text(service)
    profile.service_lower = None if service is None else profile.service.lower()
    profile.base = StaticTags({} if service is None else {"_dd.base_service": profile.service_lower}, {})
    profile.tags_base = StaticTags({**profile.tags.meta, **profile.base.meta}, metrics).whole()
    profile.env = env or ""
    for keys in (SPECIAL_KEYS, profile.tags.meta, profile.tags.metrics):
        for key in keys:
            profile.note_key(key)
    return profile

cdef Profile empty_profile = make_profile(None, None, None, {}, {}, {}, {}, {}, {}, {})
