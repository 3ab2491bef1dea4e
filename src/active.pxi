# The active item: ONE context variable that holds a Span, an activated Context, or an attach node.
#
# A native span sets it when it starts and writes nothing when it ends: readers step over finished
# spans, within the base the span began under, and store what they found.

cdef extern from "Python.h":
    PyObject *PyContextVar_New(const char *name, PyObject *default_value) except NULL
    int PyContextVar_Get(PyObject *var, PyObject *default_value, PyObject **value) except -1
    int PyContextVar_Reset(PyObject *var, PyObject *token) except -1

cdef extern from "_protocol.h":
    PyObject *contextvar_set "ft_contextvar_set" (PyObject *var, PyObject *value) except NULL

cdef PyObject *active_var = PyContextVar_New("fasttrace_active", NULL)


cdef uint64_t attached_count = 0


@cython.final
@cython.trashcan(True)
cdef class AttachNode:
    """An item put in place until its own detach: a scope of another API, or a detached section.

    `item` is a Span, a Context, or None for "no parent".
    """
    cdef readonly object item
    cdef readonly object base        # node this one was attached under
    cdef readonly object payload     # what the attaching API wants back
    cdef uint64_t number             # of all nodes ever attached: a later one has a higher number
    cdef object token                # of the context it was attached in; None once it was detached
    cdef bint detached               # void in every context
    cdef bint also_ended             # a span that has ended is still what is active
    cdef bint of_otel                # its end is that of what was attached after it


cdef inline int set_active(PyObject *item) except -1:
    cdef PyObject *token
    if FT_UNLIKELY(ft_inplace_on) and ft_inplace_set(active_var, item):
        return 0
    token = contextvar_set(active_var, item)
    decref(token)
    return 0


cdef object stored_item():
    """The raw item of this context, or None."""
    cdef PyObject *item = NULL
    PyContextVar_Get(active_var, NULL, &item)
    if item == NULL:
        return None
    found = <object>item
    Py_DECREF(found)
    return found


cdef object live_item(object item):
    """What is active if `item` is stored: an unfinished Span, a Context, an AttachNode, or None."""
    cdef Span span
    cdef PyObject *at
    while True:
        if type(item) is AttachNode:
            if not (<AttachNode>item).detached:
                return item
            item = (<AttachNode>item).base
            continue
        if type(item) is not Span:
            return item
        span = <Span>item
        at = <PyObject *>span
        while at != NULL and (<Span>at)._flags & SPAN_FINISHED and (<Span>at)._base is span._base:
            at = (<Span>at)._above
        if at != NULL and not (<Span>at)._flags & SPAN_FINISHED and (<Span>at)._base is span._base:
            return <object>at
        item = span._base


cdef object active_item():
    """The active item of this context: Span, Context, AttachNode or None. Stores what it walked to."""
    item = stored_item()
    live = live_item(item)
    if live is not item:
        set_active(<PyObject *>live)
    return live


cdef object parent_of_item(object item):
    """What a span started now would have as parent: Span, Context or None."""
    cdef AttachNode node
    if type(item) is AttachNode:
        node = <AttachNode>item
        item = node.item
        if type(item) is Span and not node.also_ended:
            item = live_item(item)
            if type(item) is AttachNode:
                return parent_of_item(item)
    return item


def activate(item) -> None:
    """Makes a Span, a Context or None the active item of the current context.

    An activated Context is used up by the first span started under it, as in ddtrace 4.x.
    """
    if item is not None and type(item) is not Span and type(item) is not Context:
        warn("activate", "only a Span, a Context or None can be activated, got %s" % type(item).__name__)
        return
    set_active(<PyObject *>item)


def active():
    """The active Span or Context, or None."""
    return parent_of_item(active_item())


def attach(item, payload=None, bint also_ended=False) -> AttachNode:
    """Puts `item` (Span, Context or None) in place until `detach()` of the node returned.

    A span that has ended is stepped over as everywhere, unless `also_ended`, the rule of OpenTelemetry.
    """
    global attached_count
    cdef AttachNode node = AttachNode.__new__(AttachNode)
    cdef PyObject *token
    base = active_item()
    node.item = item
    node.base = base
    node.payload = payload
    node.also_ended = node.of_otel = also_ended
    attached_count += 1
    node.number = attached_count
    token = contextvar_set(active_var, <PyObject *>node)
    node.token = <object>token
    decref(token)
    return node


def detach(AttachNode node) -> None:
    """Takes a node back, in any order and in any context; what was active before it is again.

    A node that is detached where it was attached, and before none that was attached later, only goes
    from this context: tasks begun under it keep what they began with. Otherwise it is void in every
    context. A node of OpenTelemetry takes those along that were attached after it, as OpenTelemetry
    says: libraries attach values below the span of a request, and leave it to the span's end to take
    them away.
    """
    token = node.token
    if token is None:
        return
    node.token = None
    nearest = nearest_node(stored_item())
    if nearest is None or (<AttachNode>nearest).number <= node.number or \
            node.of_otel and all_of_otel(nearest, node):
        try:
            PyContextVar_Reset(active_var, <PyObject *>token)
        except ValueError:
            node.detached = True    # attached elsewhere
        else:
            if nearest is not None and (<AttachNode>nearest).number > node.number:
                drop_nodes(nearest, node)
            node.base = None        # or a chain of tasks, each begun under a node of the last, would grow
    else:
        node.detached = True
    active_item()


cdef bint all_of_otel(AttachNode node, AttachNode end):
    """Whether the nodes from `node` down to `end`, exclusively, are OpenTelemetry's; None is the bottom."""
    while node is not None and node is not end and node.of_otel:
        node = nearest_node(node.base)
    return node is end


cdef int drop_nodes(AttachNode node, AttachNode end) except -1:
    """Makes later detaches of the nodes from `node` down to `end`, exclusively, do nothing."""
    while node is not None and node is not end:
        node.token = None
        node = nearest_node(node.base)
    return 0


cdef AttachNode nearest_node(object item):
    """The node that is in place, below any span; None if there is none."""
    while True:
        if type(item) is Span:
            item = (<Span>item)._base
        elif type(item) is AttachNode:
            if not (<AttachNode>item).detached:
                return <AttachNode>item
            item = (<AttachNode>item).base
        else:
            return None


def peek_active():
    """The raw active item, untouched: for `exchange_active`."""
    return stored_item()


def exchange_active(item=None):
    """Puts a raw active item in place and returns the one that was there; None means nothing active.

    For code that has to leave things as it found them: what it got back is what it has to put back.
    """
    old = stored_item()
    if old is not item:
        set_active(<PyObject *>item)
    return old


def attached(AttachNode below=None):
    """The nearest node that is in place in this context, or the one next below `below`; None if there is none."""
    return nearest_node(stored_item() if below is None else below.base)


def attached_on_top():
    """The node that is itself what is active; None where a span begun under it, or a Context, is."""
    item = active_item()
    return item if type(item) is AttachNode else None
