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


# A server that forks in C may have several threads in the child before one of them traces. The first one that does
# makes the child ready, and the others wait: what they finished meanwhile would be thrown away with what is the
# parent's, or carry its ids.
cdef unsigned int fork_ready_count = 0   # ft_fork_count when this process was last made ready
cdef unsigned int fork_begun_count = 0   # ft_fork_count when a thread last began to do so
cdef unsigned long fork_thread = 0       # that thread
cdef NativeEvent fork_done = None        # raised when it is done

cdef double FORK_WAIT_S = 2.0            # nobody is held up longer, whatever is wrong


cdef inline int note_fork() except -1:
    if FT_UNLIKELY(ft_fork_count != fork_ready_count):
        return child_begins()
    return 0


def fork_count() -> int:
    """How many forks, by whatever code, lie between this process and the one that imported the module."""
    return ft_fork_count


def look_for_fork() -> None:
    """Makes a forked child ready, if that has not been done; waits while another thread is at it."""
    note_fork()


cdef int child_begins() except -1:
    """First use in a forked child: new ids, empty buffers, new runtime id."""
    global fork_begun_count, fork_ready_count, fork_thread, fork_done
    cdef unsigned int count = ft_fork_count
    if fork_begun_count == count:
        if fork_thread != PyThread_get_thread_ident():
            fork_done.wait(FORK_WAIT_S)
        return 0
    fork_done = NativeEvent()
    fork_thread = PyThread_get_thread_ident()
    fork_begun_count = count
    try:
        empty_child()
    finally:
        fork_ready_count = count
        fork_done.raise_flag()
    return 0


cdef int empty_child() except -1:
    seed_ids()
    forget_who_left()
    cores = [ref() for ref in list(live_cores)]
    for core in cores:
        if core is not None:
            (<TracerCore>core).forget()
    for core in cores:
        if core is not None and fork_hook is not None:
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
