# cython: language_level=3
"""The CPython floor: the least a correct span can cost through CPython's public API.

Per span: ONE freelisted object without collector support, ONE PyContextVar_Set, two
clock_gettime(CLOCK_MONOTONIC), `__enter__`/`__exit__` as ordinary methods of an extension type.
No ids, no parent, no names kept, no tags, no encoding, no delivery: nothing here may be added to,
because every ratio in docs/performance.md divides by it.
"""
cimport cython
from cpython.contextvars cimport PyContextVar_New, PyContextVar_Set
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef object _active = PyContextVar_New("floor_active", NULL)


@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class FloorSpan:
    """What `with` needs and nothing more."""

    cdef timespec start
    cdef timespec end

    def __enter__(self):
        PyContextVar_Set(_active, self)
        clock_gettime(CLOCK_MONOTONIC, &self.start)
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        clock_gettime(CLOCK_MONOTONIC, &self.end)


cdef class FloorTracer:
    """Makes FloorSpans under the method name tracers use."""

    def trace(self, name):
        """Return a new FloorSpan; `name` is taken and ignored, as a call without it would be cheaper."""
        return FloorSpan.__new__(FloorSpan)
