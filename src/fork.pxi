# What changes in a forked child, and the span that records nothing.

cdef object fork_hook = None         # called with each TracerCore in the child


def set_fork_hook(hook) -> None:
    """`hook(core)` runs in a forked child for every tracer, before its first span or flush."""
    global fork_hook
    fork_hook = hook


cdef object load_module(str name):
    """A module, imported in a way that a fork in another thread does not cut in two."""
    from fasttrace._fork import load

    return load(name)


cdef inline int note_fork() except -1:
    if FT_UNLIKELY(ft_fork_count != id_fork_count):
        return child_begins()
    return 0


cdef int child_begins() except -1:
    """First use in a forked child: new ids, empty buffers, new runtime id."""
    seed_ids()
    for ref in list(live_cores):
        core = ref()
        if core is not None:
            (<TracerCore>core).forget()
            if fork_hook is not None:
                try:
                    fork_hook(core)
                except Exception as exc:
                    warn("fork", "a tracer could not be reset after fork: %s" % exc)
    return 0


# -- the span that records nothing ----------------------------------------------------------------------------

cdef Span make_noop_span():
    cdef Span span = Span("")
    span._flags = SPAN_NOOP | SPAN_FINISHED
    span._span_id = 0
    (<Segment>span._segment).state.id_low = (<Segment>span._segment).state.id_high = 0
    return span


cdef Context noop_context(Span span):
    """The Context that passes through a disabled service: the activated one, else an empty one."""
    item = parent_of_item(active_item())
    if type(item) is Context:
        return <Context>item
    return Context(is_remote=False)


def decide_before_fork() -> None:
    """Takes the sampling decision of the active trace, so that a forked child agrees with its parent."""
    cdef Segment segment
    item = parent_of_item(active_item())
    if type(item) is Span and not (<Span>item)._flags & SPAN_NOOP:
        segment = <Segment>(<Span>item)._segment
        if segment.core is not None:
            decide(segment.core, segment)
