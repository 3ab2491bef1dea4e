"""Partial flushes."""

from case_common import extract, family
from ddtrace.trace import tracer

HEADERS = {
    "x-datadog-trace-id": "1234567890123",
    "x-datadog-parent-id": "9876543210",
    "x-datadog-sampling-priority": "2",
    "x-datadog-origin": "rum",
    "x-datadog-tags": "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000,_dd.p.usr.id=42,_dd.p.anything=x",
}


def case_partial_flush(say):
    """Chunk keys and counts of partial chunks.

    covers: 2.1.first.partial-flush 4.7.partial.min 4.7.partial.chunk-tags 4.7.several-chunks 2.1.partial-flush.complete
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2
    """
    with tracer.trace("root"):
        for number in range(5):
            with tracer.trace(f"child{number}"):
                pass


def case_partial_flush_complete(say):
    """A trace that completes with the minimum number of spans at once.

    covers: 2.1.partial-flush.complete
    oracle: 4.16
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2
    """
    with tracer.trace("root"):
        with tracer.trace("child"):
            pass


def case_partial_flush_order(say):
    """Partial chunks hold what is finished, in creation order.

    covers: 4.7.partial.min 4.7.chunk-order 2.1.first.index0
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=3
    """
    spans = [tracer.trace(name) for name in "abcdefg"]
    for index in (5, 3, 4, 6, 1, 0, 2):
        spans[index].finish()


def case_partial_flush_remote(say):
    """Every partial chunk of a continued trace has the context's values.

    covers: 4.7.partial.chunk-tags 2.1.first.propagated
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2
    """
    tracer.context_provider.activate(extract(HEADERS))
    with tracer.trace("root"):
        for number in range(4):
            with tracer.trace(f"child{number}"):
                pass


def case_partial_flush_late_drop(say):
    """A decision made after a partial flush touches later chunks only.

    covers: 4.7.partial.late-drop
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2
    """
    with tracer.trace("root") as root:
        for number in range(4):
            with tracer.trace(f"child{number}"):
                pass
            if number == 2:
                root.set_tag("manual.drop")


def case_partial_flush_rate(say):
    """Sampling marks land on the local root only once it is sent.

    covers: 4.7.partial.chunk-tags 2.1.root.rule-psr
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2 DD_TRACE_SAMPLING_RULES='[{"sample_rate":1.0}]'
    alone: yes
    """
    with tracer.trace("root"):
        for number in range(4):
            with tracer.trace(f"child{number}"):
                pass


def case_partial_flush_one(say):
    """With a minimum of one every span leaves at once.

    covers: 4.7.partial.min
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=1
    """
    family()


def case_partial_flush_zero(say):
    """A minimum below one counts as one.

    covers: 4.7.partial.min-one
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=0
    oracle: 4.16
    """
    family()


def case_partial_flush_negative(say):
    """So does a negative one.

    covers: 4.7.partial.min-one
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=-5
    oracle: 4.16
    """
    family()


def case_partial_flush_default(say):
    """The default minimum is 300.

    covers: 4.7.partial.default
    """
    with tracer.trace("root"):
        for number in range(305):
            with tracer.trace(f"child{number}"):
                pass


def case_partial_flush_off(say):
    """Partial flush switched off.

    covers: 4.7.partial.off
    env: DD_TRACE_PARTIAL_FLUSH_ENABLED=false DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=2
    """
    family()
