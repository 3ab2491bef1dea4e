"""Ids: shapes, rendering, forks."""

import os
import random
import time

from case_common import extract, inject
from ddtrace.trace import Context, tracer

BIG = 0x640CFD8D00000000ABCDEF0123456789
SMALL = 0xABCDEF0123456789
HEADERS = {
    "x-datadog-trace-id": str(SMALL),
    "x-datadog-parent-id": "77",
    "x-datadog-sampling-priority": "1",
    "x-datadog-tags": "_dd.p.tid=640cfd8d00000000",
}


def _injected(context):
    headers = {}
    inject(context, headers)
    return headers


def case_span_id(say):
    """Span ids are positive, below 2^64, and do not repeat.

    covers: 3.span-id
    """
    spans = [tracer.start_span("span") for _ in range(1000)]
    ids = {span.span_id for span in spans}
    say("different", len(ids))
    say("range", all(0 < i < 2**64 for i in ids))
    say("type", type(spans[0].span_id).__name__)
    say("large", sum(i >= 2**63 for i in ids) > 300)
    for span in spans[:1]:
        span.finish()


def case_seed(say):
    """random.seed does not make ids repeat.

    covers: 3.span-id
    """
    ids = set()
    for _ in range(3):
        random.seed(1)
        span = tracer.start_span("span")
        ids |= {span.span_id, span.trace_id}
        span.finish()
    say("different", len(ids))


def case_trace_id_128(say):
    """The layout of a trace id.

    covers: 3.trace-id.128 3.trace-id.wire
    """
    low, zero, seconds = set(), set(), set()
    for _ in range(50):
        trace_id = tracer.start_span("span").trace_id
        low.add(trace_id & (2**64 - 1))
        zero.add((trace_id >> 64) & (2**32 - 1))
        seconds.add(trace_id >> 96)
    say("low", (len(low), max(low) > 2**60, min(low) > 0))
    say("zero", zero)
    say("seconds", all(abs(s - time.time()) < 100 for s in seconds))
    tracer.start_span("sent").finish()


def case_trace_id_64(say):
    """64-bit ids on request.

    covers: 3.trace-id.64
    env: DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED=false
    """
    with tracer.trace("root") as root:
        say("range", 0 < root.trace_id < 2**64)
        headers = _injected(root.context)
        say("traceparent", headers["traceparent"].startswith("00-0000000000000000"))
        say("tags", headers.get("x-datadog-tags"))


def case_trace_id_64_incoming(say):
    """With 64-bit ids an incoming _dd.p.tid is kept aside and propagated again.

    covers: 3.trace-id.64-incoming
    env: DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED=false
    """
    context = extract(HEADERS)
    say("trace id", context.trace_id)
    tracer.context_provider.activate(context)
    with tracer.trace("root") as root:
        say("root", root.trace_id)
        headers = _injected(root.context)
        say("id", headers["x-datadog-trace-id"])
        say("tags", sorted(headers["x-datadog-tags"].split(",")))
        with tracer.trace("child"):
            pass


def case_trace_id_64_traceparent(say):
    """With 64-bit ids a traceparent's id stays whole.

    covers: 3.trace-id.64-traceparent
    env: DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED=false
    """
    context = extract({"traceparent": "00-640cfd8d00000000abcdef0123456789-00000000000000aa-01"})
    say("trace id", context.trace_id)
    tracer.context_provider.activate(context)
    with tracer.trace("root") as root:
        say("traceparent", _injected(root.context)["traceparent"][:35])


def case_render_datadog(say):
    """Datadog headers are decimal, low 64 bits.

    covers: 3.render.datadog 4.2.inject-4x
    """
    for trace_id in (BIG, SMALL, 5):
        headers = _injected(Context(trace_id=trace_id, span_id=0x1234, sampling_priority=1))
        say(str(trace_id), {k: v for k, v in sorted(headers.items()) if k.startswith("x-datadog")})


def case_render_traceparent(say):
    """traceparent is padded lower hex.

    covers: 3.render.traceparent
    """
    for trace_id in (BIG, SMALL, 5):
        headers = _injected(Context(trace_id=trace_id, span_id=0x1234, sampling_priority=1))
        say(str(trace_id), headers["traceparent"])


def case_render_b3(say):
    """b3 ids have 32 digits only above 64 bits.

    covers: 3.render.b3
    env: DD_TRACE_PROPAGATION_STYLE=b3,b3multi
    """
    for trace_id in (BIG, SMALL, 5):
        say(
            str(trace_id),
            sorted(
                _injected(Context(trace_id=trace_id, span_id=0x1234, sampling_priority=1)).items()
            ),
        )


def case_render_logs(say):
    """Ids for logs.

    covers: 3.render.logs 4.2.current
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1
    oracle: 4.16
    """
    say("none", tracer.get_log_correlation_context())
    for trace_id in (BIG, SMALL, 2**64 - 1, 2**64):
        tracer.context_provider.activate(Context(trace_id=trace_id, span_id=456))
        say(f"context {trace_id}", tracer.get_log_correlation_context())
        with tracer.trace("root", service="other") as root:
            values = tracer.get_log_correlation_context()
            say("span id", values.pop("dd.span_id") == str(root.span_id))
            say("values", values)


def case_render_logs_active(say):
    """get_log_correlation_context takes the span to describe.

    covers: 3.render.logs
    oracle: 4.16
    """
    span = tracer.start_span("span")
    values = tracer.get_log_correlation_context(span)
    say("trace id", values["dd.trace_id"] == f"{span.trace_id:032x}")
    say("span id", values["dd.span_id"] == str(span.span_id))
    span.finish()


def case_logging_switch(say):
    """The switch for 128-bit ids in logs has no effect.

    covers: 3.render.logging-switch
    env: DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED=false
    oracle: 4.16
    """
    with tracer.trace("root") as root:
        say(
            "trace id",
            tracer.get_log_correlation_context()["dd.trace_id"] == f"{root.trace_id:032x}",
        )


def _fork(work):
    """Run *work* in a forked child and wait for it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            os.write(writer, repr(work()).encode())
            tracer.flush()
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    data = b""
    while True:
        part = os.read(reader, 65536)
        if not part:
            break
        data += part
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return data.decode(), status


def case_fork_ids(say):
    """A forked child makes other ids than its parent and its siblings.

    covers: 3.span-id-fork
    alone: yes
    """
    tracer.start_span("before").finish()
    tracer.flush()

    def ids():
        return [tracer.start_span("x").span_id for _ in range(10)]

    texts = [_fork(ids)[0] for _ in range(3)] + [repr(ids())]
    numbers = {n for text in texts for n in text.strip("[]").split(", ")}
    say("different", len(numbers))


def case_fork_runtime_id(say):
    """A forked child has its own runtime-id and process_id.

    covers: 2.1.entry.runtime-id-fork 4.3.fork.parent
    alone: yes
    """

    def work():
        with tracer.trace("in.child") as span:
            return span.get_tag("runtime-id"), span.get_metric("process_id") == os.getpid()

    with tracer.trace("before") as before:
        pass
    tracer.flush()
    text, status = _fork(work)
    say("status", status)
    say("new runtime-id", before.get_tag("runtime-id") not in text)
    say("own pid", "True" in text)
    with tracer.trace("after") as after:
        pass
    say("old runtime-id", before.get_tag("runtime-id") == after.get_tag("runtime-id"))


def case_fork_parent(say):
    """In the child the active span is the remote parent of the first span.

    covers: 4.3.fork.parent 4.3.fork.decision
    alone: yes
    oracle: 4.16
    """
    with tracer.trace("root", service="mine") as root:

        def work():
            with tracer.trace("in.child") as span:
                with tracer.trace("in.child.inner"):
                    pass
                return (
                    span.parent_id == root.span_id,
                    span.trace_id == root.trace_id,
                    span.service == "mine",
                )

        text, status = _fork(work)
        say("child", text)
        say("status", status)
        with tracer.trace("in.parent"):
            pass


def case_fork_decision(say):
    """Both processes send the same priority.

    covers: 4.3.fork.decision
    alone: yes
    """
    with tracer.trace("root") as root:
        root.set_tag("manual.drop")

        def work():
            with tracer.trace("in.child") as span:
                return span.context.sampling_priority

        say("child", _fork(work)[0])
    say("parent", root.context.sampling_priority)


def case_fork_buffers(say):
    """Finished spans of the parent leave from the parent only.

    covers: 4.3.fork.buffers
    alone: yes
    """
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    child.finish()
    other = tracer.start_span("other")
    other.finish()

    def work():
        with tracer.trace("in.child"):
            return 1

    say("child", _fork(work))
    root.finish()
