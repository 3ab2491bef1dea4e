# Span and trace ids: splitmix64 with a random start and a random odd increment. Within a process
# no value repeats before 2^64 draws; processes run on different orbits.

cdef uint64_t id_state = 0
cdef uint64_t id_step = 1
cdef unsigned int id_fork_count = 0     # ft_fork_count at the last seeding


cdef int seed_ids() except -1:
    """Fresh entropy from the operating system; independent of random.seed()."""
    global id_state, id_step, id_fork_count
    cdef bytes noise
    cdef const unsigned char *raw
    cdef int i
    id_fork_count = ft_fork_count
    noise = os_urandom(16)
    raw = noise
    id_state = id_step = 0
    for i in range(8):
        id_state = (id_state << 8) | raw[i]
        id_step = (id_step << 8) | raw[8 + i]
    id_step |= 1
    return 0


cdef inline uint64_t next_id() noexcept:
    """A random id of 64 bits, never 0. A forked child must have gone through note_fork()."""
    global id_state
    cdef uint64_t z
    while True:
        id_state += id_step
        z = id_state
        z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
        z ^= z >> 31
        if FT_LIKELY(z != 0):
            return z


def new_id() -> int:
    """A random 64-bit id, never 0."""
    note_fork()
    return next_id()


seed_ids()
