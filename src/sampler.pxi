# The sampling decision: once per trace, when it is first needed.

from libc.math cimport floor

cdef uint64_t SAMPLING_FACTOR = 1111111111111111111     # spreads ids evenly over 64 bits


cdef bint rate_keeps(uint64_t id_low, double rate) noexcept:
    """Whether a trace (or span) of this id is kept at this rate; the same answer in every service."""
    if rate >= 1.0:
        return True
    if rate <= 0.0:
        return False
    return <double>(id_low * SAMPLING_FACTOR) <= rate * 18446744073709551615.0


def sample_id(trace_id, double rate) -> bool:
    """Whether a trace of this id is kept at `rate` (0.0 to 1.0); the hash every Datadog tracer uses."""
    return rate_keeps(trace_id & SPAN_ID_MAX, rate)


cdef str rate_text(double rate):
    """Value of `_dd.p.ksr`: at most six decimals, no trailing zeros."""
    text = "%.6f" % (floor(rate * 1e6 + 0.5) / 1e6)
    return text.rstrip("0").rstrip(".")


cdef inline str rule_rate_text(SampleRule rule):
    if rule.rate_text is None:
        rule.rate_text = rate_text(rule.rate)
    return rule.rate_text


cdef inline int decide(TracerCore core, Segment segment, PyObject *first=NULL) except -1:
    """Gives the trace a sampling priority unless it has one (inherited, manual, or decided before).

    first: of its finished spans, in case that the local root is gone; NULL: none.
    """
    if segment.state.has_priority:
        return 0
    if core.rules is not None or core.rates is not None:
        return decide_by_rules(core, segment, first)
    return decide_by_default(segment.state)


cdef int decide_by_rules(TracerCore core, Segment segment, PyObject *first) except -1:
    """The same where there are rules, or rates of the agent's."""
    cdef RuleSet rules = core.rules              # held: matching may run code that replaces them
    cdef SampleRule rule = find_rule(core, rules, segment, first)
    if rule is not None:
        return decide_by(rules, rule, segment.state, root_end_ns(segment))
    return decide_by_default(segment.state)


cdef inline int decide_by_default(TraceState state) except -1:
    if state.mechanism == MECHANISM_NONE:
        state.mechanism = MECHANISM_DEFAULT
    state.priority = AUTO_KEEP
    state.has_priority = True
    state.source = DECIDED_HERE
    return 0


cdef SampleRule find_rule(TracerCore core, RuleSet rules, Segment segment, PyObject *first):
    """The rule for this trace: the first of the configured ones that matches, else the agent's rate."""
    cdef PyObject *root = segment.root
    cdef SampleRule rule
    cdef Span span
    if root == NULL:
        root = first if first != NULL else segment.head
        while root != NULL and (<Span>root)._flags & (SPAN_FINISHED | SPAN_ORPHAN) == SPAN_ORPHAN:
            root = (<Span>root)._next            # dropped unfinished
        if root == NULL:
            return None
    span = <Span>root
    if rules is not None:
        rule = match_trace(rules, span)
        if rule is not None:
            return rule
    return agent_rule(core, segment, span) if core.rates is not None else None


cdef SampleRule agent_rule(TracerCore core, Segment segment, Span root):
    """The agent's rate for exactly this service and environment, or None."""
    cdef PyObject *entry
    cdef object env = segment.profile.env
    cdef object service = <object>root._service if root._service != NULL else TEXT_EMPTY
    if FT_UNLIKELY(root._flags & SPAN_COLLIDES):
        own = span_get(root, "env", True)
        if own is not None:
            env = own
    if FT_LIKELY(service is core.rated_service and env is core.rated_env):
        return core.rated_rule
    entry = PyDict_GetItemWithError(core.rates, (service, env))
    core.rated_rule = <SampleRule>entry if entry != NULL else None
    core.rated_service, core.rated_env = service, env
    return core.rated_rule


cdef inline int64_t root_end_ns(Segment segment) noexcept:
    """When the local root ended (monotonic), which mostly was just now; 0: it did not, or it was told when."""
    if segment.root == NULL or (<Span>segment.root)._flags & (SPAN_FINISHED | SPAN_DURATION_SET) != SPAN_FINISHED:
        return 0
    return (<Span>segment.root)._start_ns + (<Span>segment.root)._duration_ns


cdef int decide_by(RuleSet rules, SampleRule rule, TraceState state, int64_t now_ns) except -1:
    """The decision of a rule: its rate, and for what it keeps the limit of all rules."""
    cdef bint keeps = rate_keeps(state.id_low, rule.rate)
    state.rule = rule
    state.limit = -1.0
    state.source = DECIDED_HERE
    if state.mechanism == MECHANISM_NONE:
        state.mechanism = rule.mechanism
    if rule.mechanism == MECHANISM_AGENT_RATE:
        state.priority = AUTO_KEEP if keeps else AUTO_REJECT
    else:
        if keeps:
            keeps = limiter_allows(rules.limiter, now_ns)
            state.limit = limiter_share(rules.limiter)
        state.priority = USER_KEEP if keeps else USER_REJECT
        if rule.discards and not keeps:
            state.discarded = DISCARDED
    state.has_priority = True
    return 0


# -- discarded from the start ---------------------------------------------------------------------------
#
# What a rule with `discard` rejects is not sent. If that is clear when the local root begins, its
# children are one span that records nothing: its context is the root's, so that headers still say
# that the trace is rejected. A later manual.keep keeps the root and what begins from then on.

cdef int discard_early(TracerCore core, Segment segment, Span root, bint has_resource) except -1:
    """Rejects a trace at its start if what the rules look at is known by then."""
    cdef TraceState state = segment.state
    cdef RuleSet rules = core.rules
    cdef PyObject *resource = <PyObject *>TEXT_NONE
    cdef uint64_t candidates
    cdef Py_ssize_t i = 0
    cdef SampleRule rule
    if has_resource:
        resource = name_or_none(span_resource_raw(root))
    candidates = rules_candidates(rules, name_or_none(root._service), name_or_none(root._name), resource)
    if candidates == 0:
        return 0
    while not candidates >> i & 1:
        i += 1
    if i == RULE_BITS or (not has_resource and rules.resource_from <= i):
        return 0
    rule = <SampleRule>PyList_GET_ITEM(<PyObject *>rules.rules, i)
    if rule.tags is None and rule.discards and not rate_keeps(state.id_low, rule.rate):
        decide_by(rules, rule, state, 0)
        state.discarded = DISCARDED_EARLY
    return 0


cdef inline bint is_discarded_early(TraceState state) noexcept:
    return state.discarded == DISCARDED_EARLY and state.priority <= 0


cdef object discarded_span(Segment segment, TraceState state, uint64_t span_id):
    """The span that stands for all children of a discarded trace; one for each local root."""
    cdef SpanExtra extra
    cdef Span root = None
    if segment is not None and segment.root != NULL:
        if not (<Span>segment.root)._flags & SPAN_ORPHAN:
            root = <Span>segment.root
            if root._extra is not None and (<SpanExtra>root._extra).discarded is not None:
                return (<SpanExtra>root._extra).discarded
    span = make_discarded_span(state, root._span_id if root is not None else span_id)
    if root is not None:
        extra = span_extra(root)
        extra.discarded = span
    return span


cdef Span make_discarded_span(TraceState state, uint64_t span_id):
    # A segment of its own that knows no tracer: the root holds this span, which must not hold the root.
    cdef Segment bare = segment_new()
    cdef Span span = <Span>given(span_new())
    bare.state = state
    bare.profile = empty_profile
    Py_INCREF(bare)
    span._segment = <PyObject *>bare
    span._call = <vectorcall_function>span_call
    span._flags = SPAN_NOOP | SPAN_FINISHED | SPAN_DISCARDED
    span._span_id = span_id
    Py_INCREF(TEXT_EMPTY)
    span._name = <PyObject *>TEXT_EMPTY
    return span


cdef int noop_set_tag(Span span, object key) except -1:
    """set_tag on a span that records nothing: in a discarded trace the manual decisions count."""
    if span._flags & SPAN_DISCARDED and isinstance(key, str):
        if key == "manual.keep":
            return span_state(span).manual(USER_KEEP)
        if key == "manual.drop":
            return span_state(span).manual(USER_REJECT)
    return 0
