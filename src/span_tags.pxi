# Setting and reading tags of a span: the coercion table and special keys of ddtrace 4.x.

cdef enum:
    KEY_PLAIN = 0
    KEY_STATUS_CODE = 1      # http.status_code: always text
    KEY_PORT = 2             # network.destination.port: number if it looks like one
    KEY_KEEP = 3
    KEY_DROP = 4
    KEY_SERVICE = 5          # service.name: also the span's service
    KEY_VERSION = 6          # service.version: also `version`
    KEY_MEASURED = 7
    KEY_OURS = 8             # bookkeeping of the tracer: may collide
    KEY_PEER = 9             # peer.service: its source is noted, and it may be renamed

cdef dict SPECIAL_KEYS = {
    "http.status_code": KEY_STATUS_CODE,
    "network.destination.port": KEY_PORT,
    "manual.keep": KEY_KEEP,
    "manual.drop": KEY_DROP,
    "service.name": KEY_SERVICE,
    "service.version": KEY_VERSION,
    "_dd.measured": KEY_MEASURED,
    "peer.service": KEY_PEER,
}
cdef tuple OUR_KEYS = (
    "runtime-id", "process_id", "language", "version", "env", "events", "_dd.span_links", "_dd.origin",
    "_dd.parent_id", "_dd.hostname", "_dd.base_service", "_dd.top_level", "_dd.tracer_kr", "_dd.py.partial_flush",
    "_dd.agent_psr", "_dd.rule_psr", "_dd.limit_psr", "_sampling_priority_v1", "_dd.propagation_error",
    "_dd.git.repository_url", "_dd.git.commit.sha", "_dd.python_main_package", "_dd.span_sampling.mechanism",
    "_dd.span_sampling.rule_rate", "_dd.span_sampling.max_per_second",
)
for _key in OUR_KEYS:
    SPECIAL_KEYS[_key] = KEY_OURS


cdef int special_key(Span span, str key) except -1:
    """KEY_* of a key that the filter did not rule out."""
    cdef PyObject *found = PyDict_GetItemWithError(SPECIAL_KEYS, key)
    cdef Profile profile
    if found != NULL:
        return <int>PyLong_AsSsize_t(<object>found)
    if key.startswith("_dd.p.") or key.startswith("baggage."):
        return KEY_OURS
    profile = (<Segment>span._segment).profile
    if key in profile.tags.meta or key in profile.tags.metrics:
        return KEY_OURS
    return KEY_PLAIN


cdef object as_key(object key):
    """The key as plain text; None, with a warning, if it is not usable."""
    if isinstance(key, str):
        return plain_text(key)
    if isinstance(key, bytes):
        return plain_text((<bytes>key).decode("utf-8", "replace"))
    warn("tag_key", "a tag key must be a str, got %s: tag ignored" % type(key).__name__)
    return None


cdef inline bint is_plain_key(Span span, PyObject *key) noexcept:
    """Whether an exact str is certainly no special key: one probe of a filter and one byte."""
    if (<Segment>span._segment).profile.may_be_special(key):
        return False
    return not PyUnicode_IS_COMPACT_ASCII(key) or ft_ascii(key)[0] != 95    # "_"


cdef inline bint takes_plain_tag(Span span, object key) noexcept:
    """Whether `key` is an exact str of usable length without special meaning, and the span records."""
    cdef PyObject *profile = <PyObject *>(<Segment>span._segment).profile
    if FT_UNLIKELY(span._flags & SPAN_NOOP):
        return False
    return FT_LIKELY(knows_plain(<Profile>profile, <PyObject *>key)) or takes_new_key(span, key)


cdef inline Tag *tag_at_hand(Span span, PyObject *key) noexcept:
    """A new tag of a recording span, with its key and without a value; NULL if that takes more than a look."""
    cdef PyObject *profile = <PyObject *>(<Segment>span._segment).profile
    cdef TagBlock *block = span._tags
    cdef Tag *tag
    cdef Py_hash_t key_hash
    cdef uint32_t i
    if FT_UNLIKELY(span._flags & SPAN_NOOP or not knows_plain(<Profile>profile, key)):
        return NULL
    if FT_UNLIKELY(block == NULL):
        block = span._tags = tags_pooled()
        if block == NULL:
            return NULL
    elif FT_UNLIKELY(block.used >= TAG_BLOCK_SLOTS or block.index != NULL):
        return NULL
    key_hash = ft_known_hash(key)
    for i in range(block.used):
        if ft_known_hash(block.tags[i].key) == key_hash:
            return NULL
    tag = &block.tags[block.used]
    block.used += 1
    incref(key)
    tag.key = key
    return tag


cdef bint takes_new_key(Span span, object key) noexcept:
    if type(key) is not str or not 0 < PyUnicode_GET_LENGTH(<PyObject *>key) <= TEXT_MAX_CHARS \
            or not is_plain_key(span, <PyObject *>key):
        return False
    (<Segment>span._segment).profile.note_plain(<PyObject *>key)
    return True


cdef inline int span_set_tag(Span span, object key, object value) except -1:
    """set_tag(): never raises for any value."""
    cdef TagValue raw
    if FT_LIKELY(takes_plain_tag(span, key) and type(value) is str
                 and PyUnicode_GET_LENGTH(<PyObject *>value) <= TEXT_MAX_CHARS):
        Py_INCREF(value)
        raw.text = <PyObject *>value
        return tags_put(&span._tags, <PyObject *>key, TAG_TEXT, raw)
    return span_set_tag_any(span, key, value)


cdef int span_set_tag_any(Span span, object key, object value) except -1:
    if span._flags & SPAN_NOOP:
        return noop_set_tag(span, key)
    if type(key) is not str or not 0 < PyUnicode_GET_LENGTH(<PyObject *>key) <= TEXT_MAX_CHARS:
        key = as_key(key)
        if key is None:
            return 0
    if PyUnicode_GET_LENGTH(<PyObject *>key) == 0 or not is_plain_key(span, <PyObject *>key):
        return span_set_special(span, key, value)
    if type(value) is int or type(value) is float:
        return span_put_number(span, key, value)
    return span_put_any(span, key, value)


cdef inline int span_put_number(Span span, str key, object value) except -1:
    """Stores an exact int or float under a key without special meaning."""
    cdef TagValue raw
    cdef int overflow = 0
    if type(value) is float:
        raw.real = PyFloat_AS_DOUBLE(value)
        if isfinite(raw.real):
            return tags_put(&span._tags, <PyObject *>key, TAG_FLOAT, raw)
        return 0
    raw.whole = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return span_put_any(span, key, value)
    return tags_put(&span._tags, <PyObject *>key, TAG_INT, raw)


cdef int span_put_any(Span span, str key, object value) except -1:
    """Stores a value of any type under a key without special meaning."""
    cdef object number
    try:
        if isinstance(value, bool) or value is None:
            return tags_put_text(&span._tags, <PyObject *>key, str(value))
        if isinstance(value, str):
            return tags_put_text(&span._tags, <PyObject *>key, value)
        if isinstance(value, (int, float)) or (hasattr(type(value), "__index__") and not isinstance(value, type)):
            number = value if isinstance(value, float) else operator_index(value)
            if isinstance(number, float) and not isfinite(number):
                return 0
            metric = as_metric(number)
            if metric is None:
                return tags_put_text(&span._tags, <PyObject *>key, str(int(number)))
            return tags_put_number(&span._tags, <PyObject *>key, float(metric) if isinstance(metric, float) else metric)
        return tags_put_text(&span._tags, <PyObject *>key, str(value))
    except Exception as exc:
        warn("tag_value", "the value of tag %.200r was ignored: %s while it was read" % (key, type(exc).__name__))
    return 0


cdef int span_set_special(Span span, str key, object value) except -1:
    cdef int kind = special_key(span, key)
    if kind == KEY_PLAIN:
        return span_put_any(span, key, value)
    if kind == KEY_KEEP or kind == KEY_DROP:
        return span_state(span).manual(USER_KEEP if kind == KEY_KEEP else USER_REJECT)
    if kind == KEY_STATUS_CODE:
        try:
            value = str(value)
        except Exception:
            pass
    elif kind == KEY_PORT:
        try:
            value = int(value)
        except Exception:
            pass
    elif kind == KEY_MEASURED:
        try:
            value = 1 if value is None or value else 0
        except Exception:
            value = 1
    elif kind == KEY_SERVICE:
        replace_text(&span._service, text_or_none(value))
    elif kind == KEY_VERSION:
        span._flags |= SPAN_COLLIDES | SPAN_USER_VERSION
        span_put_any(span, "version", int(value) if isinstance(value, bool) else value)
    elif kind == KEY_OURS:
        span._flags |= SPAN_COLLIDES
        if key == "version":
            span._flags |= SPAN_USER_VERSION
    elif kind == KEY_PEER:
        value = span_set_peer(span, value)
    return span_put_any(span, key, value)


cdef object span_set_peer(Span span, object value):
    """Notes where peer.service came from; the name it goes by (DD_TRACE_PEER_SERVICE_MAPPING)."""
    cdef TracerCore core = (<Segment>span._segment).core
    span_put_any(span, "_dd.peer.service.source", "peer.service")
    if core is not None and core.peer_mapping is not None and isinstance(value, str):
        mapped = core.peer_mapping.get(value)
        if mapped is not None:
            span_put_any(span, "_dd.peer.service.remapped_from", value)
            return mapped
    return value


cdef int span_set_tag_str(Span span, object key, object value) except -1:
    """set_tag_str(): text as it is, bytes decoded, nothing else."""
    if span._flags & SPAN_NOOP:
        return 0
    key = as_key(key)
    if key is None:
        return 0
    if isinstance(value, bytes):
        value = (<bytes>value).decode("utf-8", "replace")
    if not isinstance(value, str):
        warn("tag_value", "set_tag_str takes text, got %s for %.200r: ignored" % (type(value).__name__, key))
        return 0
    kind = special_key(span, key)
    if kind == KEY_OURS:
        span._flags |= SPAN_COLLIDES
        if key == "version":
            span._flags |= SPAN_USER_VERSION
    elif kind == KEY_PEER:
        value = span_set_peer(span, value)
    return tags_put_text(&span._tags, <PyObject *>key, value)


cdef inline int span_set_metric(Span span, object key, object value) except -1:
    """set_metric(): what float() takes and is finite; integers beyond int64 become text."""
    if FT_LIKELY((type(value) is int or type(value) is float) and takes_plain_tag(span, key)):
        return span_put_number(span, key, value)
    return span_set_metric_any(span, key, value)


cdef int span_set_metric_any(Span span, object key, object value) except -1:
    cdef object number
    if span._flags & SPAN_NOOP:
        return 0
    if isinstance(key, bytes):
        return 0
    key = as_key(key)
    if key is None:
        return 0
    try:
        if isinstance(value, int):
            number = int(value)
        else:
            number = float(value)
            if not isfinite(number):
                return 0
    except Exception as exc:
        warn("metric_value", "the value of metric %.200r was ignored: it is no number (%s)" % (key, type(exc).__name__))
        return 0
    if special_key(span, key) == KEY_OURS:
        span._flags |= SPAN_COLLIDES
    if as_metric(number) is None:
        return span_put_any(span, key, number)
    return tags_put_number(&span._tags, <PyObject *>key, number)


# -- reading: own tags first, then those every span of the tracer carries ------------------------------

cdef dict span_shared(Span span, bint text):
    """The tags a span has without holding them: static, version, propagated, of local roots."""
    cdef Segment segment = <Segment>span._segment
    cdef Profile profile = segment.profile
    cdef dict found
    if span._flags & (SPAN_OWNS_STATIC | SPAN_NOOP):
        return {}
    found = dict(profile.tags.meta if text else profile.tags.metrics)
    if span._flags & SPAN_INHERITS and segment.state.inherited is not None and text:
        found.update(segment.state.inherited.meta)
    if span._flags & SPAN_VERSION and text:
        found.update(profile.version.meta)
    if span._flags & SPAN_LOCAL_ROOT:
        found.update(profile.root.meta if text else profile.root.metrics)
        if span._flags & SPAN_NEW_TRACE and text:
            found.update(profile.new_trace.meta)
    if span._flags & SPAN_TOP_LEVEL and span._flags & SPAN_FINISHED and not text:
        found[TEXT_TOP_LEVEL] = 1
    return found


cdef dict span_own(Span span, bint text, dict into):
    """Adds the span's own tags of one kind to `into`, taking out those of the other kind."""
    cdef TagBlock *block = span._tags
    cdef Tag *tag
    cdef uint32_t i
    if block != NULL:
        for i in range(block.used):
            tag = &block.tags[i]
            if (tag.kind == TAG_TEXT) == text:
                into[<object>tag.key] = <object>tag.value.text if text else tag_number(tag)
            else:
                into.pop(<object>tag.key, None)
    return into


cdef dict span_meta(Span span):
    return span_own(span, True, span_shared(span, True))


cdef dict span_metrics(Span span):
    return span_own(span, False, span_shared(span, False))


cdef object span_get(Span span, object key, bint text):
    cdef Py_ssize_t at
    cdef Tag *tag
    if isinstance(key, bytes):
        key = (<bytes>key).decode("utf-8", "replace")
    if not isinstance(key, str):
        return None
    key = plain_text(key)
    if span._tags != NULL:
        at = tags_find(span._tags, <PyObject *>key)
        if at >= 0:
            tag = &span._tags.tags[at]
            if (tag.kind == TAG_TEXT) != text:
                return None
            return <object>tag.value.text if text else tag_number(tag)
    return span_shared(span, text).get(key)


cdef int span_remove(Span span, object key) except -1:
    """Removes a tag of either kind, as 4.x; a shared one by copying the rest into the span's own block."""
    if span._flags & SPAN_NOOP or not isinstance(key, str):
        return 0
    key = plain_text(key)
    if key in span_shared(span, True) or key in span_shared(span, False):
        span_own_static(span)
    if key == "version":
        span._flags &= ~<uint32_t>SPAN_USER_VERSION
    return tags_remove(span._tags, <PyObject *>key)


cdef int span_own_static(Span span) except -1:
    """Copies the shared tags into the span, which from then on does without them."""
    meta = span_meta(span)
    metrics = span_metrics(span)
    for key in meta:
        tags_put_text(&span._tags, <PyObject *>key, meta[key])
    for key in metrics:
        tags_put_number(&span._tags, <PyObject *>key, metrics[key])
    if span._flags & SPAN_VERSION:
        span._flags |= SPAN_USER_VERSION
    span._flags |= SPAN_OWNS_STATIC | SPAN_COLLIDES
    return 0
