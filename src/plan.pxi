# Which tags of ours a span carries on the wire: worked out once, written by either encoder.

cdef enum:
    PLAN_MAX = 12

cdef struct PlanPair:
    PyObject *key        # borrowed
    PyObject *text       # borrowed; NULL: `number` is meant
    int64_t number
    double real
    bint is_real

cdef struct Plan:
    PyObject *shared[8]      # borrowed StaticTags
    int shared_count
    PlanPair pairs[PLAN_MAX]
    int pair_count
    uint32_t texts           # entries of `meta`, own tags included
    uint32_t numbers         # entries of `metrics`, own tags included

cdef str TEXT_EMPTY = ""
cdef str TEXT_ORIGIN = "_dd.origin"
cdef str TEXT_PRIORITY = "_sampling_priority_v1"
cdef str TEXT_MECHANISM = "_dd.p.dm"
cdef str TEXT_DEFAULT = "-0"
cdef str TEXT_TID = "_dd.p.tid"
cdef str TEXT_BASE_SERVICE = "_dd.base_service"
cdef str TEXT_TOP_LEVEL = "_dd.top_level"
cdef str TEXT_PARTIAL = "_dd.py.partial_flush"
cdef str TEXT_AGENT_RATE = "_dd.agent_psr"
cdef str TEXT_RULE_RATE = "_dd.rule_psr"
cdef str TEXT_LIMIT_RATE = "_dd.limit_psr"
cdef str TEXT_KEPT_RATE = "_dd.p.ksr"
cdef str TEXT_PARENT_ID = "_dd.parent_id"
cdef str TEXT_SPAN_MECHANISM = "_dd.span_sampling.mechanism"
cdef str TEXT_SPAN_RATE = "_dd.span_sampling.rule_rate"
cdef str TEXT_SPAN_LIMIT = "_dd.span_sampling.max_per_second"
cdef str TEXT_EVENTS = "events"
cdef str TEXT_LINKS = "_dd.span_links"

cdef enum:
    SECONDS_KEPT = 16        # traces that started in so many different seconds may end in turns

# By the second a trace began in: its high half and the tags of the default decision with that
# `_dd.p.tid`, which most new traces carry.
cdef uint64_t[SECONDS_KEPT] usual_highs
cdef list usual_decisions = [None] * SECONDS_KEPT


cdef inline void plan_share(Plan *plan, StaticTags tags) noexcept:
    if tags.texts | tags.numbers:
        plan.shared[plan.shared_count] = <PyObject *>tags
        plan.shared_count += 1
        plan.texts += tags.texts
        plan.numbers += tags.numbers


cdef inline void plan_text(Plan *plan, str key, str text) noexcept:
    plan.pairs[plan.pair_count].key = <PyObject *>key
    plan.pairs[plan.pair_count].text = <PyObject *>text
    plan.pair_count += 1
    plan.texts += 1


cdef inline void plan_number(Plan *plan, str key, int64_t number) noexcept:
    plan.pairs[plan.pair_count].key = <PyObject *>key
    plan.pairs[plan.pair_count].text = NULL
    plan.pairs[plan.pair_count].is_real = False
    plan.pairs[plan.pair_count].number = number
    plan.pair_count += 1
    plan.numbers += 1


cdef inline void plan_real(Plan *plan, str key, double real) noexcept:
    plan.pairs[plan.pair_count].key = <PyObject *>key
    plan.pairs[plan.pair_count].text = NULL
    plan.pairs[plan.pair_count].is_real = True
    plan.pairs[plan.pair_count].real = real
    plan.pair_count += 1
    plan.numbers += 1


cdef inline void plan_begin(Plan *plan, Span span) noexcept:
    """An empty plan, with the span's own tags counted."""
    plan.shared_count = plan.pair_count = 0
    plan.texts = plan.numbers = 0
    if span._tags != NULL:
        plan.texts = span._tags.texts
        plan.numbers = span._tags.used - span._tags.texts


cdef inline int plan_span(Plan *plan, Span span, Segment segment, bint first, uint32_t partial) except -1:
    """Fills the plan for a span of a chunk; `partial` is the chunk's size if the trace goes on.

    Called at one place, so that it is inlined there.
    """
    cdef PyObject *profile = <PyObject *>segment.profile
    cdef PyObject *state = <PyObject *>segment.state
    cdef PyObject *usual
    cdef uint32_t flags = span._flags
    plan_begin(plan, span)
    if FT_LIKELY(span._service == <PyObject *>(<Profile>profile).service and span._segment == <PyObject *>segment
                 and segment.core is not None and (<TraceState>state).origin is None):
        if FT_LIKELY(not first):
            if FT_LIKELY(not flags & (SPAN_LOCAL_ROOT | SPAN_OWNS_STATIC | SPAN_TOP_LEVEL)
                         and ((<TraceState>state).rule is None or segment.root != <PyObject *>span)):
                plan_share(plan, (<Profile>profile).tags_version if flags & SPAN_VERSION else (<Profile>profile).tags)
                if FT_UNLIKELY(flags & SPAN_INHERITS and (<TraceState>state).inherited is not None):
                    plan_share(plan, (<TraceState>state).inherited)
                return 0
        elif FT_LIKELY(is_new_root(flags, <TraceState>state) and span._extra is None and not partial):
            usual = usual_at_hand(<Profile>profile, <TraceState>state, segment.root == <PyObject *>span)
            if FT_LIKELY(usual != NULL):
                plan_share(plan, (<UsualTags>usual).with_version if flags & SPAN_VERSION else (<UsualTags>usual).tags)
                return 0
    if not first and plan_foreign(plan, span, segment):
        return 0
    return plan_any(plan, span, segment, first, partial)


cdef bint plan_foreign(Plan *plan, Span span, Segment segment) noexcept:
    """The same for most spans of another service than the tracer's, that of the last such span; False: not done."""
    cdef PyObject *profile = <PyObject *>segment.profile
    cdef PyObject *state = <PyObject *>segment.state
    if span._service != (<Profile>profile).foreign or span._segment != <PyObject *>segment or segment.core is None \
            or span._flags & (SPAN_LOCAL_ROOT | SPAN_OWNS_STATIC | SPAN_TOP_LEVEL | SPAN_VERSION | SPAN_INHERITS
                              | SPAN_BASE_KNOWN | SPAN_COLLIDES) \
            or (<TraceState>state).origin is not None \
            or (<TraceState>state).rule is not None and segment.root == <PyObject *>span:
        return False
    plan_share(plan, (<Profile>profile).tags_base)
    return True


cdef int plan_any(Plan *plan, Span span, Segment segment, bint first, uint32_t partial) except -1:
    """The same for every span; its own tags are counted already."""
    cdef Profile profile = segment.profile
    cdef TraceState state = segment.state
    cdef uint32_t flags = span._flags
    cdef UsualTags usual
    cdef bint has_rates = False
    if segment.core is None:
        return 0
    if FT_UNLIKELY(span._segment != <PyObject *>segment):
        # Made by hand and added by a filter: it has what it was given.
        if first:
            plan_first(plan, span, segment, partial)
        return 0
    if first and is_new_root(flags, state) and span._extra is None and not partial \
            and is_usual_decision(state, segment.root == <PyObject *>span) \
            and make_usual(profile, state, state.rule):
        usual = state.rule.usual if state.rule is not None else profile.usual
        plan_share(plan, usual.with_version if flags & SPAN_VERSION else usual.tags)
        first = False
        has_rates = True
    elif FT_LIKELY(not flags & SPAN_OWNS_STATIC):
        plan_share(plan, profile.tags_version if flags & SPAN_VERSION else profile.tags)
        if flags & SPAN_LOCAL_ROOT:
            plan_share(plan, profile.root_chunk if first and not flags & SPAN_COLLIDES else profile.root_wire)
            if flags & SPAN_NEW_TRACE:
                plan_share(plan, profile.new_trace)
    elif flags & SPAN_LOCAL_ROOT:
        plan_number(plan, TEXT_TOP_LEVEL, 1)
    if flags & SPAN_TOP_LEVEL and not flags & SPAN_LOCAL_ROOT:
        plan_number(plan, TEXT_TOP_LEVEL, 1)
    if FT_UNLIKELY(flags & SPAN_INHERITS and not first and state.inherited is not None
                   and not flags & SPAN_OWNS_STATIC):
        plan_share(plan, state.inherited)
    if FT_UNLIKELY(state.origin is not None):
        plan_text(plan, TEXT_ORIGIN, state.origin)
    if span._service != <PyObject *>profile.service and not flags & SPAN_BASE_KNOWN and \
            (span._service == profile.foreign or profile.note_foreign(span._service)):
        plan_share(plan, profile.base)
    if first:
        has_rates = plan_first(plan, span, segment, partial)
    if FT_UNLIKELY(state.rule is not None and segment.root == <PyObject *>span and not has_rates):
        plan_rates(plan, state)
    return 0


# Most roots that begin a trace carry the same tags as the others of their second: all of them are one
# piece then, for each decision (the default one, a rule's, a rate of the agent's).

cdef inline bint is_new_root(uint32_t flags, TraceState state) noexcept:
    """Whether a chunk's first span begins a trace and has nothing of another process or in place of ours."""
    return flags & (SPAN_LOCAL_ROOT | SPAN_NEW_TRACE | SPAN_COLLIDES | SPAN_OWNS_STATIC) \
        == SPAN_LOCAL_ROOT | SPAN_NEW_TRACE and state.propagated is None and state.parent_tag is None


cdef inline bint is_usual_decision(TraceState state, bint is_root) noexcept:
    """Whether the tags of the decision say nothing that other traces do not say."""
    if state.rule is None:
        return state.mechanism == MECHANISM_DEFAULT and state.priority == AUTO_KEEP
    return state.mechanism == state.rule.mechanism and state.priority > 0 and state.source == DECIDED_HERE \
        and (state.limit == 1.0 or state.rule.mechanism == MECHANISM_AGENT_RATE) and is_root


cdef inline PyObject *usual_at_hand(Profile profile, TraceState state, bint is_root) noexcept:
    """The borrowed UsualTags for this decision and second, if they are made already; else NULL."""
    cdef PyObject *usual
    if not is_usual_decision(state, is_root):
        return NULL
    usual = <PyObject *>profile.usual if state.rule is None else <PyObject *>state.rule.usual
    if usual != <PyObject *>None and (<UsualTags>usual).id_high == state.id_high \
            and (<UsualTags>usual).profile_number == profile.number:
        return usual
    return NULL


cdef bint make_usual(Profile profile, TraceState state, SampleRule rule) except -1:
    """Prepares the tags of such roots, at most once a second; False: not for one that began earlier."""
    cdef UsualTags usual = rule.usual if rule is not None else profile.usual
    cdef StaticTags decision
    cdef uint32_t slot
    if state.id_high == 0:
        return False
    if usual is not None:
        if usual.id_high == state.id_high and usual.profile_number == profile.number:
            return True
        if usual.id_high > state.id_high or usual.profile_number > profile.number:
            return False
    if rule is not None:
        decision = rule_tags(rule, state)
    else:
        slot = (state.id_high >> 32) % SECONDS_KEPT
        if usual_highs[slot] != state.id_high:
            note_second(slot, state.id_high)
        decision = <StaticTags>usual_decisions[slot]
    usual = UsualTags()
    usual.tags = StaticTags(
        {**profile.tags.meta, **profile.root_chunk.meta, **profile.new_trace.meta, **decision.meta},
        {**profile.tags.metrics, **profile.root_chunk.metrics, **profile.new_trace.metrics,
         **decision.metrics}).whole()
    usual.with_version = StaticTags({**usual.tags.meta, **profile.version.meta}, usual.tags.metrics).whole()
    usual.id_high = state.id_high
    usual.profile_number = profile.number
    if rule is not None:
        rule.usual = usual
    else:
        profile.usual = usual
    return True


cdef int note_second(uint32_t slot, uint64_t id_high) except -1:
    """Prepares the tags of traces whose ids have this high half."""
    usual_decisions[slot] = StaticTags({TEXT_MECHANISM: TEXT_DEFAULT, TEXT_TID: "%016x" % id_high},
                                       {TEXT_PRIORITY: AUTO_KEEP})
    usual_highs[slot] = id_high
    return 0


cdef bint plan_first(Plan *plan, Span span, Segment segment, uint32_t partial) except -1:
    """Tags of the whole chunk, which its first span carries; whether its rates are among them."""
    cdef uint32_t slot
    cdef TraceState state = segment.state
    if span._flags & (SPAN_LOCAL_ROOT | SPAN_OWNS_STATIC | SPAN_COLLIDES) != SPAN_LOCAL_ROOT or \
            span._segment != <PyObject *>segment:
        plan_share(plan, segment.profile.chunk)
    if FT_LIKELY(state.id_high and state.propagated is None and not partial and not span._flags & SPAN_COLLIDES):
        if FT_LIKELY(state.mechanism == MECHANISM_DEFAULT and state.priority == AUTO_KEEP):
            slot = (state.id_high >> 32) % SECONDS_KEPT
            if FT_UNLIKELY(usual_highs[slot] != state.id_high):
                note_second(slot, state.id_high)
            plan_share(plan, <StaticTags>PyList_GET_ITEM(<PyObject *>usual_decisions, slot))
            if FT_UNLIKELY(state.parent_tag is not None and span._flags & SPAN_LOCAL_ROOT):
                plan_text(plan, TEXT_PARENT_ID, state.parent_tag)
            return False
        if state.rule is not None and segment.root == <PyObject *>span and state.parent_tag is None \
                and state.source == DECIDED_HERE and state.mechanism == state.rule.mechanism \
                and plan_rule(plan, state, state.rule):
            return True
    plan_number(plan, TEXT_PRIORITY, state.priority)
    if state.mechanism == MECHANISM_DEFAULT:
        plan_text(plan, TEXT_MECHANISM, TEXT_DEFAULT)
    elif state.mechanism != MECHANISM_NONE:
        plan_text(plan, TEXT_MECHANISM, mechanism_text(state.mechanism))
    if partial:
        plan_number(plan, TEXT_PARTIAL, partial)
    if state.id_high and (state.inherited is None or TEXT_TID not in state.inherited.meta):
        slot = (state.id_high >> 32) % SECONDS_KEPT
        if usual_highs[slot] != state.id_high:
            note_second(slot, state.id_high)
        plan_text(plan, TEXT_TID, (<StaticTags>usual_decisions[slot]).meta[TEXT_TID])
    if state.propagated is not None:
        if not span._flags & SPAN_OWNS_STATIC or not span._flags & SPAN_INHERITS:
            plan_share(plan, state.propagated)
    if state.parent_tag is not None and span._flags & SPAN_LOCAL_ROOT:
        plan_text(plan, TEXT_PARENT_ID, state.parent_tag)
    return False


cdef bint plan_rule(Plan *plan, TraceState state, SampleRule rule) except -1:
    """All tags of a decision by rule in one, as most traces of a second have them; False: not this one."""
    if FT_LIKELY(state.priority > 0):
        if state.limit != 1.0 and rule.mechanism != MECHANISM_AGENT_RATE:
            return False
        if FT_UNLIKELY(rule.kept_high != state.id_high):
            if state.id_high < rule.kept_high:
                return False
            rule.kept = rule_tags(rule, state)
            rule.kept_high = state.id_high
        plan_share(plan, rule.kept)
        return True
    if state.limit >= 0.0:
        return False
    if FT_UNLIKELY(rule.rejected_high != state.id_high):
        if state.id_high < rule.rejected_high:
            return False
        rule.rejected = rule_tags(rule, state)
        rule.rejected_high = state.id_high
    plan_share(plan, rule.rejected)
    return True


cdef StaticTags rule_tags(SampleRule rule, TraceState state):
    metrics = {TEXT_PRIORITY: state.priority}
    if rule.mechanism == MECHANISM_AGENT_RATE:
        metrics[TEXT_AGENT_RATE] = rule.rate
    else:
        metrics[TEXT_RULE_RATE] = rule.rate
        if state.limit >= 0.0:
            metrics[TEXT_LIMIT_RATE] = state.limit
    return StaticTags({TEXT_MECHANISM: mechanism_text(rule.mechanism), TEXT_TID: "%016x" % state.id_high,
                       TEXT_KEPT_RATE: rule_rate_text(rule)}, metrics)


cdef int plan_rates(Plan *plan, TraceState state) except -1:
    """How the local root's trace came to be kept or dropped."""
    if state.rule.mechanism == MECHANISM_AGENT_RATE:
        plan_real(plan, TEXT_AGENT_RATE, state.rule.rate)
    else:
        plan_real(plan, TEXT_RULE_RATE, state.rule.rate)
        if state.limit >= 0.0:
            plan_real(plan, TEXT_LIMIT_RATE, state.limit)
    plan_text(plan, TEXT_KEPT_RATE, rule_rate_text(state.rule))
    return 0


cdef tuple plan_merge(Plan *plan, Span span):
    """The same as two dicts (meta, metrics), for spans whose tags may share names with ours.

    What the tracer set at start gives way to the application's tags, and so do the values of the
    trace's context; what it sets at the end of the trace does not.
    """
    cdef dict meta = {}
    cdef dict metrics = {}
    cdef PyObject *chunk = <PyObject *>(<Segment>span._segment).profile.chunk
    cdef PyObject *base = <PyObject *>(<Segment>span._segment).profile.base
    cdef PlanPair *pair
    cdef int i
    for i in range(plan.shared_count):
        if plan.shared[i] != chunk and plan.shared[i] != base:
            meta.update((<StaticTags>plan.shared[i]).meta)
            metrics.update((<StaticTags>plan.shared[i]).metrics)
    for i in range(plan.pair_count):
        pair = &plan.pairs[i]
        if pair.text != NULL and pair.key != <PyObject *>TEXT_ORIGIN:
            meta[<object>pair.key] = <object>pair.text
    span_own(span, True, meta)
    span_own(span, False, metrics)
    for i in range(plan.shared_count):
        if plan.shared[i] == chunk or plan.shared[i] == base:
            meta.update((<StaticTags>plan.shared[i]).meta)
            metrics.update((<StaticTags>plan.shared[i]).metrics)
    for i in range(plan.pair_count):
        pair = &plan.pairs[i]
        if pair.text == NULL:
            metrics[<object>pair.key] = pair.real if pair.is_real else pair.number
            meta.pop(<object>pair.key, None)
        elif pair.key == <PyObject *>TEXT_ORIGIN:
            meta[<object>pair.key] = <object>pair.text
    return meta, metrics
