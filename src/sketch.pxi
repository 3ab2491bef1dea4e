# The distribution of durations as a DDSketch: counts of logarithmic bins of 0.775 % relative accuracy.

cdef extern from "math.h":
    double c_log "log" (double x) nogil

cdef double SKETCH_GAMMA = 1.015625          # a bin's upper border by its lower one
cdef double SKETCH_OFFSET = 1338.5           # added to the index; the agent's own mapping
cdef double SKETCH_LOG_GAMMA = 0.015504186535965254

cdef enum:
    SKETCH_SLACK = 16                        # bins made at once beyond the one that is needed


@cython.internal
@cython.final
cdef class Sketch:
    """Counts of durations in nanoseconds."""
    cdef uint32_t *bins
    cdef int first               # index of bins[0]
    cdef int room                # bins there are
    cdef uint64_t zeros

    def __dealloc__(self):
        PyMem_RawFree(self.bins)


cdef int sketch_add(Sketch sketch, int64_t duration_ns) except -1:
    cdef int index
    if duration_ns <= 0:
        sketch.zeros += 1
        return 0
    index = <int>floor(c_log(<double>duration_ns) / SKETCH_LOG_GAMMA + SKETCH_OFFSET)
    if FT_UNLIKELY(index < sketch.first or index >= sketch.first + sketch.room):
        sketch_grow(sketch, index)
    sketch.bins[index - sketch.first] += 1
    return 0


cdef int sketch_grow(Sketch sketch, int index) except -1:
    """Makes bins up to `index` and a few beyond."""
    cdef int first = index - SKETCH_SLACK
    cdef int last = index + SKETCH_SLACK
    cdef uint32_t *bins
    if sketch.room:
        first = min(first, sketch.first)
        last = max(last, sketch.first + sketch.room - 1)
    bins = <uint32_t *>PyMem_RawCalloc(last - first + 1, sizeof(uint32_t))
    if bins == NULL:
        raise MemoryError()
    if sketch.room:
        memcpy(bins + (sketch.first - first), sketch.bins, sketch.room * sizeof(uint32_t))
        PyMem_RawFree(sketch.bins)
    sketch.bins = bins
    sketch.first = first
    sketch.room = last - first + 1
    return 0


cdef bytes proto_number(uint64_t number):
    """A varint of protocol buffers."""
    out = bytearray()
    while number >= 128:
        out.append(<unsigned char>(number & 127 | 128))
        number >>= 7
    out.append(<unsigned char>number)
    return bytes(out)


cdef bytes proto_double(double number):
    return (<char *>&number)[:8]             # little-endian, as everything this is built for


cdef bytes sketch_bytes(Sketch sketch):
    """The message `DDSketch` of protocol buffers, as the agent reads it."""
    cdef int low = 0
    cdef int high = sketch.room - 1
    cdef int i
    store = b""
    while low <= high and sketch.bins[low] == 0:
        low += 1
    while high >= low and sketch.bins[high] == 0:
        high -= 1
    if low <= high:
        counts = b"".join([proto_double(sketch.bins[i]) for i in range(low, high + 1)])
        store = b"\x12" + proto_number(len(counts)) + counts + b"\x18" + proto_number(2 * (sketch.first + low))
    mapping = b"\x09" + proto_double(SKETCH_GAMMA) + b"\x11" + proto_double(SKETCH_OFFSET)
    made = b"\x0a" + proto_number(len(mapping)) + mapping + b"\x12" + proto_number(len(store)) + store + b"\x1a\x00"
    return made + b"\x21" + proto_double(<double>sketch.zeros) if sketch.zeros else made


def sketch_of(durations_ns) -> bytes:
    """The encoded sketch of durations, for tests."""
    cdef Sketch sketch = Sketch.__new__(Sketch)
    for duration_ns in durations_ns:
        sketch_add(sketch, duration_ns)
    return sketch_bytes(sketch)
