# Native thread, lock and event. gevent and eventlet replace the ones of the `threading` and
# `_thread` modules; the flusher must run while such a hub is blocked, so it uses these.

cdef extern from "pythread.h" nogil:
    ctypedef void *PyThread_type_lock
    enum: PYTHREAD_INVALID_THREAD_ID
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock)
    int PyThread_acquire_lock_timed(PyThread_type_lock, long long microseconds, int intr_flag)
    void PyThread_release_lock(PyThread_type_lock)
    unsigned long PyThread_get_thread_ident()
    unsigned long PyThread_start_new_thread(void (*func)(void *) noexcept, void *arg)

cdef extern from "_sigterm.h" nogil:
    ctypedef struct sigset_t:
        pass
    void ft_signals_off(sigset_t *before) noexcept
    void ft_signals_back(const sigset_t *before) noexcept

cdef extern from "Python.h":
    ctypedef int PyGILState_STATE
    PyGILState_STATE PyGILState_Ensure() nogil
    void PyGILState_Release(PyGILState_STATE) nogil


cdef long long lock_wait_us(double timeout_s) noexcept:
    """Argument for PyThread_acquire_lock_timed: negative waits for ever, a century is the most."""
    if timeout_s < 0:
        return -1
    return <long long>(min(timeout_s, 3e9) * 1e6)


@cython.final
cdef class NativeLock:
    """A non-reentrant lock of the operating system; `with lock:` works."""
    cdef PyThread_type_lock _lock
    cdef bint _held
    cdef unsigned long _holder       # the thread, while _held

    def __cinit__(self):
        self._lock = PyThread_allocate_lock()
        if self._lock == NULL:
            raise MemoryError("no lock could be allocated")

    def __dealloc__(self):
        if self._lock != NULL:
            if self._held:
                PyThread_release_lock(self._lock)
            PyThread_free_lock(self._lock)

    def acquire(self, double timeout_s=-1) -> bool:
        """Takes the lock; False if that took longer than `timeout_s` seconds (negative: no limit)."""
        cdef long long wait_us = lock_wait_us(timeout_s)
        cdef int got = self.try_acquire()
        if not got and wait_us != 0:
            ft_lock_goes()
            with nogil:
                got = PyThread_acquire_lock_timed(self._lock, wait_us, 0)
            ft_lock_is_back()
            if got:
                self.note_holder()
        return got != 0

    cdef bint try_acquire(self) noexcept:
        if not PyThread_acquire_lock_timed(self._lock, 0, 0):
            return False
        self.note_holder()
        return True

    cdef void note_holder(self) noexcept:
        self._held = True
        self._holder = PyThread_get_thread_ident()

    def release(self) -> None:
        """Gives the lock back; RuntimeError if nobody holds it."""
        if not self._held:
            raise RuntimeError("release of a lock that is not held")
        self.give_back()

    cdef void give_back(self) noexcept:
        self._held = False
        PyThread_release_lock(self._lock)

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._held

    def mine(self) -> bool:
        """Whether the calling thread holds the lock; true in all greenlets of the thread."""
        return self._held and self._holder == PyThread_get_thread_ident()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *exc):
        self.release()


# What a thread that counts its time with the lock, a flusher, has to free: it does so at its next wait.
cdef Buffer left_to_wait
cdef unsigned long left_by = 0


cdef bint leave_to_wait(Buffer block) noexcept:
    """Has the calling thread free a block when it waits next; False if it may not wait, or has left one already."""
    global left_to_wait, left_by
    if not ft_lock_is_counted() or left_to_wait.data != NULL:
        return False
    left_to_wait = block
    left_by = PyThread_get_thread_ident()
    return True


cdef Buffer take_what_was_left() noexcept:
    """The block that the calling thread has left, to be freed without the lock; else an empty one."""
    global left_to_wait
    cdef Buffer block = left_to_wait
    if block.data == NULL or left_by != PyThread_get_thread_ident():
        block.data = NULL
        block.used = block.room = 0
        return block
    left_to_wait.data = NULL
    left_to_wait.used = left_to_wait.room = 0
    return block


def free_what_was_left() -> None:
    """Frees what the calling thread would free at its next wait. For a thread that ends."""
    cdef Buffer block = take_what_was_left()
    with nogil:
        buffer_free(&block)


cdef void forget_who_left() noexcept:
    """In a forked child, where the thread that left a block does not live on."""
    buffer_free(&left_to_wait)


@cython.final
cdef class NativeEvent:
    """A flag one thread waits for and any thread, also in a signal handler or __del__, may set."""
    cdef PyThread_type_lock _lock    # held while the flag is down
    cdef bint _up

    def __cinit__(self):
        self._lock = PyThread_allocate_lock()
        if self._lock == NULL:
            raise MemoryError("no lock could be allocated")
        PyThread_acquire_lock_timed(self._lock, 0, 0)

    def __dealloc__(self):
        if self._lock != NULL:
            if not self._up:
                PyThread_release_lock(self._lock)
            PyThread_free_lock(self._lock)

    cdef void raise_flag(self) noexcept:
        if not self._up:
            self._up = True
            PyThread_release_lock(self._lock)

    def set(self) -> None:
        """Raises the flag and wakes the waiter."""
        self.raise_flag()

    def clear(self) -> None:
        """Lowers the flag."""
        if self._up:
            self._up = False
            PyThread_acquire_lock_timed(self._lock, -1, 0)

    def is_set(self) -> bool:
        """Whether the flag is up."""
        return self._up

    def wait(self, timeout_s=None) -> bool:
        """Waits at most `timeout_s` seconds (None: no limit) for the flag; whether it is up."""
        cdef long long wait_us = -1 if timeout_s is None else lock_wait_us(max(timeout_s, 0.0))
        cdef int got
        cdef Buffer block
        block = take_what_was_left()
        if self._up and block.data == NULL:
            return True
        ft_lock_goes()
        with nogil:
            buffer_free(&block)
            got = PyThread_acquire_lock_timed(self._lock, wait_us, 0)
            if got:
                # Handed on at once, and before the GIL is asked for: clear() holds the GIL while
                # it takes this lock.
                PyThread_release_lock(self._lock)
        ft_lock_is_back()
        return self._up


cdef void run_thread(void *arg) noexcept nogil:
    cdef PyGILState_STATE state = PyGILState_Ensure()
    call_thread_function(arg)
    PyGILState_Release(state)


cdef void call_thread_function(void *arg) noexcept with gil:
    func = <object>arg
    Py_DECREF(func)
    try:
        func()
    except BaseException as exc:
        warn("thread", "background thread ended by %s: %s" % (type(exc).__name__, exc))


def start_native_thread(func) -> None:
    """Runs `func()` in a new thread of the operating system, which never delays interpreter exit.

    No signal is handled in it. Raises RuntimeError if no thread can be started.
    """
    cdef unsigned long ident
    cdef sigset_t before
    Py_INCREF(func)
    ft_signals_off(&before)
    ident = PyThread_start_new_thread(run_thread, <void *>func)
    ft_signals_back(&before)
    if ident == <unsigned long>PYTHREAD_INVALID_THREAD_ID:
        Py_DECREF(func)
        raise RuntimeError("can't start a new thread")
