# Rules that choose traces (by their local root) or spans: compiled once, matched by a few compares.
#
# What the names of a span match is remembered by their content, so that a service that always uses
# the same few pays for a glob once. Only the fields that some rule looks at are compared.

cdef enum:
    FIELD_SERVICE = 1
    FIELD_NAME = 2
    FIELD_RESOURCE = 4

    RULE_SLOTS = 256             # remembered combinations of names; the newest wins
    RULE_SLOT_MAX_CHARS = 256    # longer names are matched each time
    RULE_BITS = 63               # rules with a bit of their own; the last bit means "and look further"

    OVER_INHERITED = 1           # tail keep goes over a decision from outside
    OVER_MANUAL = 2              # and over manual.drop

cdef str TEXT_NONE = "None"      # what a span without the field is matched as


@cython.internal
@cython.final
cdef class SampleRule:
    """One rule, or one rate of the agent's table. Immutable but for the tags it keeps at hand."""
    cdef double rate
    cdef int mechanism           # MECHANISM_*: goes into `_dd.p.dm`
    cdef int fields              # FIELD_*: which of the names it looks at
    cdef str service, name, resource     # lower-case globs
    cdef tuple tags              # of (key, glob, whether the glob has wildcards only); None: any
    cdef bint discards           # what it rejects is not even sent
    cdef bint keeps_errors       # tail keep: traces whose local root failed
    cdef int64_t keeps_from_ns   # tail keep: traces at least this long; negative: none
    cdef int keeps_over          # OVER_*
    cdef Limiter limiter         # span rules: of this rule's own; else None
    cdef object max_per_second   # span rules: as configured, or None
    cdef str rate_text           # `_dd.p.ksr`; None until it is needed
    cdef StaticTags kept, rejected       # of a whole trace whose id has this high half
    cdef uint64_t kept_high, rejected_high
    cdef UsualTags usual         # of a new trace that it keeps; None before the first

    cdef inline bint keeps_late(self) noexcept:
        return self.keeps_errors or self.keeps_from_ns >= 0


cdef struct RuleSlot:
    PyObject *service            # owned, or NULL
    PyObject *name
    PyObject *resource
    uint64_t candidates
    bint known


@cython.internal
@cython.final
cdef class RuleSet:
    """Rules in their order; the first that matches counts."""
    cdef list rules              # SampleRule
    cdef int fields              # FIELD_*: what any of them looks at
    cdef uint64_t any_candidates     # of every span, if `fields` is 0
    cdef Py_ssize_t resource_from    # first rule that looks at the resource
    cdef bint discards           # some rule discards
    cdef bint keeps_late         # some rule keeps traces by how they end
    cdef Limiter limiter         # of all traces that the rules keep
    cdef RuleSlot slots[RULE_SLOTS]

    def __dealloc__(self):
        cdef int i
        for i in range(RULE_SLOTS):
            rule_slot_clear(&self.slots[i])


cdef void rule_slot_clear(RuleSlot *slot) noexcept:
    Py_XDECREF_raw(slot.service)
    Py_XDECREF_raw(slot.name)
    Py_XDECREF_raw(slot.resource)
    slot.service = slot.name = slot.resource = NULL
    slot.known = False


cdef inline void Py_XDECREF_raw(PyObject *o) noexcept:
    if o != NULL:
        decref(o)


cdef inline PyObject *own_raw(PyObject *o) noexcept:
    if o != NULL:
        incref(o)
    return o


cdef str glob_of(object pattern):
    """The form a glob is kept in; None for one that every text matches."""
    text = plain_text(pattern).lower()
    while "**" in text:
        text = text.replace("**", "*")
    return None if text == "*" else text


cdef bint glob_matches(str glob, str text) except -1:
    """Whether all of `text` matches: `*` any run, `?` one character, letters in any case."""
    cdef PyObject *pattern = <PyObject *>glob
    cdef PyObject *subject
    cdef Py_ssize_t pattern_n, subject_n, resume_at = 0
    cdef Py_ssize_t at = 0, subject_at = 0, star = -1
    cdef unsigned int c
    lower = text.lower()
    subject = <PyObject *>lower
    pattern_n = PyUnicode_GET_LENGTH(pattern)
    subject_n = PyUnicode_GET_LENGTH(subject)
    while subject_at < subject_n:
        if at < pattern_n:
            c = PyUnicode_READ_CHAR(pattern, at)
            if c == 42:                          # *
                star = at
                resume_at = subject_at
                at += 1
                continue
            if c == 63 or c == PyUnicode_READ_CHAR(subject, subject_at):     # ?
                at += 1
                subject_at += 1
                continue
        if star < 0:
            return False
        at = star + 1
        resume_at += 1
        subject_at = resume_at
    while at < pattern_n and PyUnicode_READ_CHAR(pattern, at) == 42:
        at += 1
    return at == pattern_n


def match_glob(glob, text) -> bool:
    """Whether `text` matches `glob`, as in sampling rules. Both are str."""
    pattern = glob_of(glob)
    return pattern is None or glob_matches(pattern, plain_text(text))


cdef inline bint field_matches(str glob, PyObject *text) except -1:
    return glob is None or (text != NULL and glob_matches(glob, <str>text))


cdef bint names_match(SampleRule rule, PyObject *service, PyObject *name, PyObject *resource) except -1:
    return field_matches(rule.service, service) and field_matches(rule.name, name) \
        and field_matches(rule.resource, resource)


cdef uint64_t find_candidates(RuleSet rules, PyObject *service, PyObject *name,
                              PyObject *resource) except? 0xFFFFFFFFFFFFFFFF:
    """Bit i: rule i matches these names. Ends with the first that asks for nothing else."""
    cdef Py_ssize_t i
    cdef uint64_t found = 0
    cdef SampleRule rule
    for i in range(len(rules.rules)):
        if i == RULE_BITS:
            return found | <uint64_t>1 << RULE_BITS
        rule = <SampleRule>rules.rules[i]
        if names_match(rule, service, name, resource):
            found |= <uint64_t>1 << i
            if rule.tags is None:
                break
    return found


cdef inline bint slot_takes(PyObject *text) noexcept:
    return text == NULL or PyUnicode_GET_LENGTH(text) <= RULE_SLOT_MAX_CHARS


cdef inline uint64_t slot_hash(PyObject *text) noexcept:
    return <uint64_t>text_hash(text) if text != NULL else 0


cdef inline uint64_t rules_candidates(RuleSet rules, PyObject *service, PyObject *name,
                                      PyObject *resource) except? 0xFFFFFFFFFFFFFFFF:
    """The same, as far as possible from memory."""
    cdef RuleSlot *slot
    cdef uint64_t h
    if rules.fields == 0:
        return rules.any_candidates
    if not rules.fields & FIELD_SERVICE:
        service = NULL
    if not rules.fields & FIELD_NAME:
        name = NULL
    if not rules.fields & FIELD_RESOURCE:
        resource = NULL
    h = slot_hash(service) ^ slot_hash(name) * <uint64_t>0x9E3779B97F4A7C15 \
        ^ slot_hash(resource) * <uint64_t>0xC2B2AE3D27D4EB4F
    slot = &rules.slots[(h ^ h >> 32) % RULE_SLOTS]
    if FT_LIKELY(slot.known and same_text(slot.name, name) and same_text(slot.service, service)
                 and same_text(slot.resource, resource)):
        return slot.candidates
    return learn_candidates(rules, slot, service, name, resource)


cdef uint64_t learn_candidates(RuleSet rules, RuleSlot *slot, PyObject *service, PyObject *name,
                               PyObject *resource) except? 0xFFFFFFFFFFFFFFFF:
    cdef uint64_t found = find_candidates(rules, service, name, resource)
    if slot_takes(service) and slot_takes(name) and slot_takes(resource):
        rule_slot_clear(slot)
        slot.service, slot.name, slot.resource = own_raw(service), own_raw(name), own_raw(resource)
        slot.candidates = found
        slot.known = True
    return found


cdef inline PyObject *name_or_none(PyObject *text) noexcept:
    return text if text != NULL else <PyObject *>TEXT_NONE


cdef inline PyObject *span_resource_raw(Span span) noexcept:
    """Borrowed text of the resource as the encoders write it; NULL if it was set to None."""
    if FT_UNLIKELY(span._flags & SPAN_NO_RESOURCE):
        return NULL
    return span._resource if span._resource != NULL else span._name


cdef SampleRule match_trace(RuleSet rules, Span root):
    """The first rule that the local root matches, by its names and its tags, or None."""
    cdef PyObject *service = name_or_none(root._service)
    cdef PyObject *name = name_or_none(root._name)
    cdef PyObject *resource = name_or_none(span_resource_raw(root))
    cdef uint64_t candidates = rules_candidates(rules, service, name, resource)
    cdef Py_ssize_t i = 0
    cdef SampleRule rule
    while candidates:
        if candidates & 1:
            if FT_UNLIKELY(i == RULE_BITS):
                return match_rest(rules, root, service, name, resource)
            rule = <SampleRule>PyList_GET_ITEM(<PyObject *>rules.rules, i)
            if rule.tags is None or rule_tags_match(rule, root):
                return rule
        candidates >>= 1
        i += 1
    return None


cdef SampleRule match_rest(RuleSet rules, Span root, PyObject *service, PyObject *name, PyObject *resource):
    cdef Py_ssize_t i
    cdef SampleRule rule
    for i in range(RULE_BITS, len(rules.rules)):
        rule = <SampleRule>rules.rules[i]
        if names_match(rule, service, name, resource) and (rule.tags is None or rule_tags_match(rule, root)):
            return rule
    return None


cdef SampleRule match_span(RuleSet rules, Span span):
    """The first span rule that the span matches, or None; a span without the name has no match."""
    cdef uint64_t candidates = rules_candidates(rules, span._service, span._name, NULL)
    cdef Py_ssize_t i = 0
    cdef SampleRule rule
    while candidates:
        if candidates & 1:
            if FT_UNLIKELY(i == RULE_BITS):
                for i in range(RULE_BITS, len(rules.rules)):
                    rule = <SampleRule>rules.rules[i]
                    if names_match(rule, span._service, span._name, NULL):
                        return rule
                return None
            return <SampleRule>PyList_GET_ITEM(<PyObject *>rules.rules, i)
        candidates >>= 1
        i += 1
    return None


# -- tags -----------------------------------------------------------------------------------------------

cdef bint rule_tags_match(SampleRule rule, Span root) except -1:
    """Whether the root has all tags of the rule; a number matches by its whole value, or any wildcard."""
    cdef str glob
    for key, glob, wildcards_only in rule.tags:
        value = root_tag(root, key)
        if value is None:
            return False
        if type(value) is float:
            if (<object>value).is_integer():
                value = int(value)
            elif not wildcards_only:
                return False
        if glob is not None and not glob_matches(glob, value if type(value) is str else str(value)):
            return False
    return True


cdef inline PyObject *static_find(StaticTags tags, object key) except? NULL:
    cdef PyObject *found
    if not tags.texts | tags.numbers:
        return NULL
    found = PyDict_GetItemWithError(tags.meta, key)
    return found if found != NULL else PyDict_GetItemWithError(tags.metrics, key)


cdef object root_tag(Span root, str key):
    """A tag of a local root as str, int or float, its own or one the tracer gives it; None: not there."""
    cdef Segment segment = <Segment>root._segment
    cdef Profile profile = segment.profile
    cdef Tag *tag
    cdef PyObject *found = NULL
    cdef Py_ssize_t at = -1
    if root._tags != NULL:
        at = tags_find(root._tags, <PyObject *>key)
        if at >= 0:
            tag = &root._tags.tags[at]
            return <object>tag.value.text if tag.kind == TAG_TEXT else tag_number(tag)
    if segment.state.propagated is not None:     # of a context from outside: the first span has them all
        found = static_find(segment.state.propagated, key)
        if found != NULL:
            return <object>found
    if is_plain_key(root, <PyObject *>key):
        return None
    if not root._flags & SPAN_OWNS_STATIC:
        found = static_find(profile.tags, key)
        if found == NULL and root._flags & SPAN_INHERITS and segment.state.inherited is not None:
            found = static_find(segment.state.inherited, key)
        if found == NULL and root._flags & SPAN_VERSION:
            found = static_find(profile.version, key)
        if found == NULL and root._flags & SPAN_LOCAL_ROOT:
            found = static_find(profile.root_wire if root._flags & SPAN_TOP_LEVEL else profile.root, key)
            if found == NULL and root._flags & SPAN_NEW_TRACE:
                found = static_find(profile.new_trace, key)
    if found != NULL:
        return <object>found
    return segment.state.origin if key == TEXT_ORIGIN else None


# -- making rules -----------------------------------------------------------------------------------------

cdef SampleRule new_rule(double rate, int mechanism):
    cdef SampleRule rule = SampleRule.__new__(SampleRule)
    rule.rate = rate
    rule.mechanism = mechanism
    rule.keeps_from_ns = -1
    return rule


cdef int rule_set_names(SampleRule rule, object service, object name, object resource) except -1:
    rule.service = None if service is None else glob_of(service)
    rule.name = None if name is None else glob_of(name)
    rule.resource = None if resource is None else glob_of(resource)
    rule.fields = (FIELD_SERVICE if rule.service is not None else 0) | (FIELD_NAME if rule.name is not None else 0) \
        | (FIELD_RESOURCE if rule.resource is not None else 0)
    return 0


cdef RuleSet make_rule_set(list rules, Limiter limiter):
    cdef RuleSet made = RuleSet.__new__(RuleSet)
    cdef SampleRule rule
    cdef Py_ssize_t i
    made.rules = rules
    made.limiter = limiter
    made.resource_from = len(rules)
    for i in range(len(rules)):
        rule = <SampleRule>rules[i]
        made.fields |= rule.fields
        made.discards |= rule.discards
        made.keeps_late |= rule.keeps_late()
        if rule.fields & FIELD_RESOURCE and i < made.resource_from:
            made.resource_from = i
    if made.fields == 0:
        made.any_candidates = find_candidates(made, NULL, NULL, NULL)
    return made


cdef RuleSet trace_rules(list described, double rate_limit, Limiter limiter):
    """The rules that `fasttrace.sampling.trace_rules()` described; keeps a limiter of the same limit."""
    cdef list rules = []
    cdef SampleRule rule
    for one in described:
        rule = new_rule(one["sample_rate"], one["mechanism"])
        rule_set_names(rule, one["service"], one["name"], one["resource"])
        rule.discards = one["discard"]
        rule.keeps_errors = one["keep_errors"]
        if one["keep_slower_than_ns"] is not None:
            rule.keeps_from_ns = one["keep_slower_than_ns"]
        rule.keeps_over = (OVER_INHERITED if "inherited" in one["keep_overrides"] else 0) \
            | (OVER_MANUAL if "manual" in one["keep_overrides"] else 0)
        tags = []
        for key, glob in one["tags"].items():
            tags.append((plain_text(key), glob_of(glob), not glob.strip("*?")))
        rule.tags = tuple(tags) or None
        rules.append(rule)
    if limiter is None or limiter.per_second != rate_limit:
        limiter = Limiter(rate_limit)
    return make_rule_set(rules, limiter)


cdef RuleSet span_rules(list described):
    """The rules that `fasttrace.sampling.span_rules()` described."""
    cdef list rules = []
    cdef SampleRule rule
    for one in described:
        rule = new_rule(one["sample_rate"], MECHANISM_SPAN_RULE)
        rule_set_names(rule, one["service"], one["name"], None)
        rule.max_per_second = one["max_per_second"]
        if rule.max_per_second is not None:
            rule.limiter = Limiter(rule.max_per_second)
        rules.append(rule)
    return make_rule_set(rules, None)
