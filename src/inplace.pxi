# Writing the active item where it stands (_inplace.h): the switch, and the test that has to pass first.

cdef extern from "_inplace.h":
    const char *FT_INPLACE_MISSING
    int ft_inplace_on
    int ft_inplace_set(PyObject *variable, PyObject *value)
    void ft_inplace_switch(int on)
    int ft_is_cached(PyObject *variable, PyObject *value)
    const char *ft_inplace_learn(PyObject *context, PyObject *variable, PyObject *trie, PyObject *root)
    int ft_inplace_learned()

cdef extern from "Python.h":
    object PyContext_New()
    object PyContext_CopyCurrent()
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    int PyContextVar_CheckExact(object o)
    object new_variable "PyContextVar_New"(const char *name, PyObject *default_value)
    object set_variable "PyContextVar_Set"(object variable, object value)

# Random hashes have filled more than half of the first 32 places, and so made a node of the other kind,
# long before.
cdef enum: INPLACE_TEST_VARIABLES = 400

cdef str inplace_fault = None    # why it cannot be on; "" if it can; None: not tested yet


def use_inplace_context(bint on) -> str:
    """Turns in-place writing of the active item on, if its self-test passes in this process, or off.

    Returns what `inplace_context()` says then.
    """
    global inplace_fault
    if on and inplace_fault is None:
        inplace_fault = FT_INPLACE_MISSING.decode() or inplace_self_test()
    ft_inplace_switch(1 if on and not inplace_fault else 0)
    return inplace_context()


def inplace_context() -> str:
    """"on", "off", or "off: " with the reason why it cannot be on."""
    if ft_inplace_on:
        return "on"
    return "off: " + inplace_fault if inplace_fault else "off"


def inplace_set(variable, value) -> bool:
    """For tests: sets a ContextVar in the current context if that can be done in place; returns whether.

    Nothing can before the self-test has run.
    """
    if not PyContextVar_CheckExact(variable):
        raise TypeError("a ContextVar is needed, got %s" % type(variable).__name__)
    return bool(ft_inplace_set(<PyObject *>variable, <PyObject *>value))


cdef str inplace_self_test():
    """What does not fit, or "". All in a context of its own; nothing is left behind."""
    cdef list variables = []
    try:
        context = PyContext_New()
        PyContext_Enter(context)
        try:
            return inplace_learn(context, variables) or inplace_compare(context, variables)
        finally:
            PyContext_Exit(context)
    except Exception as exc:
        return "its self-test ended with %s" % type(exc).__name__


cdef str inplace_learn(object context, list variables):
    """Compares the layouts with what the collector sees of a context that is filled step by step."""
    from gc import get_referents
    cdef const char *fault
    while not ft_inplace_learned():
        if len(variables) == INPLACE_TEST_VARIABLES:
            return "wide nodes were not met"
        variable = new_variable("fasttrace_self_test", NULL)
        variables.append(variable)
        set_variable(variable, len(variables))
        tries = [each for each in get_referents(context) if type(each).__name__ == "hamt"]
        roots = get_referents(*tries)
        if len(tries) != 1 or len(roots) != 1:
            return "a context is not a hash trie"
        fault = ft_inplace_learn(<PyObject *>context, <PyObject *>variable, <PyObject *>tries[0], <PyObject *>roots[0])
        if fault != NULL:
            return fault.decode()
    return ""


cdef str inplace_compare(object context, list variables):
    """Writes in place what can be, and looks at it through the public functions."""
    cdef int written = 0
    other = variables[0]
    for variable in variables:
        before = PyContext_CopyCurrent()
        iterator = iter(context.items())
        shown = before[variable]
        if ft_inplace_set(<PyObject *>variable, <PyObject *>before):
            return "it would write into a copy"
        set_variable(other, "other")        # a mapping of its own, of which most is still the copy's
        ft_inplace_set(<PyObject *>variable, <PyObject *>before)
        set_variable(variable, "own")       # and now the way to this variable is its own as well
        before.run(int)                     # what is cached is out of date
        for value in ("first", other, "last"):
            written += ft_inplace_set(<PyObject *>variable, <PyObject *>value)
            if not ft_is_cached(<PyObject *>variable, <PyObject *>value) or variable.get() is not value \
                    or context[variable] is not value:
                return "a value written is not the value read"
        if before[variable] is not shown or dict(iterator)[variable] is not shown:
            return "a copy changed with the original"
        if before.run(variable.get) is not shown or variable.get() != "last":
            return "a value written is seen in another context"
        if len(context) != len(variables) or len(before) != len(variables):
            return "a variable was lost"
        other = variable
    # All three values of each; but of two variables whose 32 bits are equal, none is.
    if written < 2 * len(variables):
        return "too little could be written in place"
    return ""
