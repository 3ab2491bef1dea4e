# Run-time warnings: the Python layer decides what becomes of them.

cdef object warn_hook = None


def set_warn_hook(hook) -> None:
    """`hook(cause, message)` receives the core's run-time warnings; None ignores them."""
    global warn_hook
    warn_hook = hook


cdef int warn(str cause, str message) except -1:
    """Reports a problem that must not reach the application."""
    if warn_hook is not None:
        try:
            warn_hook(cause, message)
        except Exception:
            pass
    return 0
