# Which traces are kept, and what is counted of the others.
from libc.math cimport floor

include "limiter.pxi"
include "rules.pxi"
include "sampler.pxi"
include "tail.pxi"
include "sketch.pxi"
include "stats.pxi"
