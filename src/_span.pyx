"""The compiled core of fasttrace: one extension module, read in the order a span lives.

    start: ids, clock -> Span in a Segment of a TraceState -> active item
    finish: Segment complete -> filters -> sampling decision -> plan of tags -> encoder -> payload
    send: the flusher swaps the payload out; Python code from there on, unless a Route has it go as the last one
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyObject_Free, PyObject_Malloc
from cpython.object cimport PyObject, PyTypeObject, destructor
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport isfinite
from libc.stdint cimport INT64_MAX, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from _wire cimport *
from operator import index as operator_index
from os import urandom as os_urandom

cdef class TracerCore
cdef class Context
cdef class Segment
cdef class Payload
cdef class SampleRule

include "cpython.pxi"
include "warnings.pxi"
include "clock.pxi"
include "ids.pxi"
include "unlocked.pxi"
include "thread.pxi"
include "sigterm.pxi"
include "text.pxi"
include "tags.pxi"
include "state.pxi"
include "otel_span.pxi"
include "span.pxi"
include "span_parts.pxi"
include "span_life.pxi"
include "span_tags.pxi"
include "profile.pxi"
include "links.pxi"
include "inplace.pxi"
include "active.pxi"
include "segment.pxi"
include "sampling.pxi"
include "payload.pxi"
include "plan.pxi"
include "names.pxi"
include "encoder_v04.pxi"
include "encoder_v05.pxi"
include "core.pxi"
include "fork.pxi"
include "start.pxi"
include "submit.pxi"
include "route.pxi"
include "headers.pxi"
include "propagator.pxi"
include "inject.pxi"
include "extract.pxi"
include "wrap.pxi"
include "inside.pxi"
include "otel.pxi"
include "otel_scope.pxi"
include "logs.pxi"
include "methods.pxi"
include "module.pxi"
