# Tail keep: a rule keeps a trace it would have rejected because of how its local root ended.
#
# That is possible only as long as nobody was told of the rejection: no chunk has left, no headers
# were injected. So that long traces get that far, their finished spans are held instead of flushed
# in parts, up to a bound for the whole tracer; beyond it the head decision stands.

cdef enum:
    HELD_SPAN_BYTES = 256        # a span without its tags, its names and its part of a trace


cdef bint is_slow_or_failed(SampleRule rule, Segment segment) noexcept:
    cdef PyObject *root = segment.root
    if root == NULL or not (<Span>root)._flags & SPAN_FINISHED:
        return False
    return (rule.keeps_errors and (<Span>root)._flags & SPAN_ERROR) \
        or (rule.keeps_from_ns >= 0 and (<Span>root)._duration_ns >= rule.keeps_from_ns)


cdef SampleRule tail_rule(TracerCore core, Segment segment):
    """The rule that may still keep this rejected trace, or None."""
    cdef TraceState state = segment.state
    cdef SampleRule rule = state.rule
    cdef int over = 0
    if rule is not None:
        return rule if rule.keeps_late() else None
    if state.source == DECIDED_HERE:
        return None
    if segment.root == NULL or core.rules is None:
        return None
    over = OVER_MANUAL if state.source == DECIDED_BY_HAND else OVER_INHERITED
    rule = match_trace(core.rules, <Span>segment.root)
    if rule is not None and rule.keeps_late() and rule.keeps_over & over:
        return rule
    return None


cdef bint tail_keep(TracerCore core, Segment segment) except -1:
    """Keeps a rejected trace if a rule wants it for its end; whether it is kept."""
    cdef TraceState state = segment.state
    cdef RuleSet rules = core.rules
    cdef SampleRule rule
    if state.is_known or state.priority > 0 or rules is None:
        return state.priority > 0
    rule = tail_rule(core, segment)
    if rule is None or not is_slow_or_failed(rule, segment):
        return False
    if not limiter_allows(rules.limiter):
        core.tail_limited += 1
        return False
    # No rate: the trace was not drawn, so nobody may take it for one of many like it.
    state.decide(USER_KEEP, rule.mechanism)
    state.rule = None
    state.discarded = NOT_DISCARDED
    state.source = DECIDED_HERE
    core.tail_kept += 1
    return True


cdef bint tail_holds(TracerCore core, Segment segment) except -1:
    """Whether finished spans of an unfinished trace wait for its end."""
    cdef TraceState state = segment.state
    decide(core, segment)
    if state.is_known or core.rules is None or tail_keep(core, segment) or tail_rule(core, segment) is None:
        return False
    if segment.root == NULL or (<Span>segment.root)._flags & SPAN_FINISHED:
        return False                             # nothing new will be known
    core.tail_spans += segment.finished - segment.tail_spans
    segment.tail_spans = segment.finished
    if segment.finished >= segment.tail_next:
        core.tail_bytes -= segment.tail_bytes
        segment.tail_bytes = held_bytes(segment)
        core.tail_bytes += segment.tail_bytes
        segment.tail_next = segment.finished + segment.finished // 4
    if core.tail_spans <= core.tail_spans_max and core.tail_bytes <= core.tail_bytes_max:
        return True
    state.is_known = True
    core.tail_overflowed += 1
    return False


cdef void tail_release(TracerCore core, Segment segment) noexcept:
    """The spans that were held leave, or are gone."""
    if segment.fork_count == id_fork_count:
        core.tail_spans -= segment.tail_spans
        core.tail_bytes -= segment.tail_bytes
    segment.tail_spans = segment.tail_next = 0
    segment.tail_bytes = 0


cdef size_t held_bytes(Segment segment) noexcept:
    """About the memory of the spans on the list."""
    cdef PyObject *at = segment.head
    cdef TagBlock *block
    cdef size_t total = 0
    cdef uint32_t i
    while at != NULL:
        total += HELD_SPAN_BYTES
        block = (<Span>at)._tags
        if block != NULL:
            total += sizeof(TagBlock) + (block.room - TAG_BLOCK_SLOTS) * sizeof(Tag)
            for i in range(block.used):
                if block.tags[i].kind == TAG_TEXT:
                    total += <size_t>PyUnicode_GET_LENGTH(block.tags[i].value.text)
        at = (<Span>at)._next
    return total
