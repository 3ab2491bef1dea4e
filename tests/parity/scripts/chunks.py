"""What the tracer adds by position in the chunk, and the settings that decide it."""

import os
import re

from case_common import extract, family, inject
from ddtrace.trace import Context, tracer

HEADERS = {
    "x-datadog-trace-id": "1234567890123",
    "x-datadog-parent-id": "9876543210",
    "x-datadog-sampling-priority": "2",
    "x-datadog-origin": "rum",
    "x-datadog-tags": "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000,_dd.p.usr.id=42,_dd.p.anything=x",
}


def case_plain(say):
    """The keys of a plain local trace.

    covers: 2.1.first.index0 2.1.first.priority 2.1.first.dm 2.1.first.tid 2.1.first.language 2.1.first.tracer-kr
    covers: 2.1.entry.runtime-id 2.1.entry.process-id 2.1.top.local-root 2.1.top.absent 2.1.svc-src
    covers: 2.1.first.process-tags 2.1.process-tags.content 2.1.no-partial-version
    alone: yes
    """
    family()


def case_two_traces(say):
    """Two traces of one process share runtime-id and process_id.

    covers: 2.1.entry.runtime-id 2.1.entry.process-id 2.1.first.tracer-kr
    alone: yes
    """
    root = family()
    say("pid", root.get_metric("process_id") == os.getpid())
    say("runtime-id", bool(re.fullmatch("[0-9a-f]{32}", root.get_tag("runtime-id"))))
    tracer.flush()
    family()


def case_v05(say):
    """The same trace in the v0.5 encoding.

    covers: 2.1.first.index0 3.trace-id.wire
    env: DD_TRACE_API_VERSION=v0.5
    """
    family()
    with tracer.trace("error", service="svc", resource="res", span_type="web") as span:
        span.error = 1
        span.set_tag("text", "value")
        span.set_metric("number", 1.5)
        with tracer.trace("child"):
            pass


def case_remote(say):
    """A trace continued from headers.

    covers: 2.1.first.propagated 2.1.first.origin 2.1.every.origin 2.1.every.p-tags 2.1.entry.remote 4.2.extract
    """
    tracer.context_provider.activate(extract(HEADERS))
    family()


def case_remote_foreign_service(say):
    """A continued trace whose spans have services of their own.

    covers: 2.1.every.p-tags 2.1.every.base-service
    """
    tracer.context_provider.activate(extract(HEADERS))
    with tracer.trace("root", service="one"):
        with tracer.trace("child", service="two"):
            pass


def case_remote_dropped(say):
    """A continued trace that was rejected upstream is sent with that priority.

    covers: 2.1.first.priority 2.1.first.dm
    """
    for priority in ("-1", "0"):
        headers = {
            **HEADERS,
            "x-datadog-sampling-priority": priority,
            "x-datadog-tags": "_dd.p.dm=-3",
        }
        tracer.context_provider.activate(extract(headers))
        family()


def case_remote_no_priority(say):
    """A continued trace without a priority.

    covers: 2.1.first.priority 2.1.first.dm
    oracle: 4.16
    """
    headers = {"x-datadog-trace-id": "1234567890123", "x-datadog-parent-id": "9876543210"}
    tracer.context_provider.activate(extract(headers))
    root = family()
    say("priority", root.context.sampling_priority)


def case_context_propagated(say):
    """A Context made by hand with _dd.p.* pairs and other keys.

    covers: 2.1.first.propagated 2.1.every.p-tags
    """
    meta = {"_dd.p.custom": "v", "_dd.p.dm": "-4", "other": "x", "_dd.origin": "lambda"}
    context = Context(trace_id=123, span_id=456, sampling_priority=1, meta=meta)
    tracer.context_provider.activate(context)
    family()


def case_context_ts(say):
    """_dd.p.ts does not go on children.

    covers: 2.1.every.p-tags
    """
    context = Context(
        trace_id=123, span_id=456, sampling_priority=1, meta={"_dd.p.ts": "02", "_dd.p.x": "y"}
    )
    tracer.context_provider.activate(context)
    family()


def case_setdefault(say):
    """A tag of the user with the context's key wins.

    covers: 2.1.first.setdefault
    """
    context = Context(
        trace_id=123,
        span_id=456,
        sampling_priority=1,
        meta={"_dd.p.custom": "context", "plain": "context"},
    )
    tracer.context_provider.activate(context)
    with tracer.trace("root") as root:
        root.set_tag("_dd.p.custom", "user")
        root.set_tag("plain", "user")
        with tracer.trace("child"):
            pass


def case_user_language(say):
    """The tracer's own chunk keys over tags of the user.

    covers: 2.1.first.setdefault 2.1.first.language
    """
    with tracer.trace("root") as root:
        root.set_tag("language", "user")
        root.set_tag("_dd.p.dm", "-9")
        root.set_tag("runtime-id", "mine")


def case_user_origin(say):
    """_dd.origin set by the user on a span.

    covers: 2.1.every.origin
    """
    with tracer.trace("root") as root:
        root.set_tag("_dd.origin", "user")
        with tracer.trace("child"):
            pass


def case_user_origin_remote(say):
    """_dd.origin set by the user where the context has one.

    covers: 2.1.every.origin 2.1.first.setdefault
    """
    for value in ("user", 5):
        context = Context(trace_id=123, span_id=456, sampling_priority=1, dd_origin="rum")
        tracer.context_provider.activate(context)
        with tracer.trace("root") as root:
            root.set_tag("_dd.origin", value)
            with tracer.trace("child") as child:
                child.set_tag("_dd.origin", value)
            with tracer.trace("untouched"):
                pass


def case_origin_assigned(say):
    """dd_origin assigned on the context later.

    covers: 2.1.every.origin 4.2.context-attributes
    """
    with tracer.trace("root") as root:
        with tracer.trace("before"):
            pass
        root.context.dd_origin = "later"
        with tracer.trace("after"):
            pass


def case_propagation_error(say):
    """Unusable x-datadog-tags leave _dd.propagation_error.

    covers: 2.1.first.propagation-error
    """
    headers = {**HEADERS, "x-datadog-tags": "_dd.p.dm"}
    tracer.context_provider.activate(extract(headers))
    family()
    headers = {**HEADERS, "x-datadog-tags": "_dd.p.x=" + "a" * 600}
    tracer.context_provider.activate(extract(headers))
    family()


def case_parent_id(say):
    """_dd.parent_id of two extracted styles that disagree.

    covers: 2.1.first.parent-id 2.1.first.parent-id-local
    """
    headers = {
        "x-datadog-trace-id": "1234567890123",
        "x-datadog-parent-id": "9876543210",
        "x-datadog-sampling-priority": "1",
        "traceparent": f"00-{1234567890123:032x}-{0xAA1:016x}-01",
        "tracestate": "dd=s:1;p:00000000000000bb",
    }
    tracer.context_provider.activate(extract(headers))
    family()


def case_parent_id_local(say):
    """_dd.parent_id when the first span of the chunk has a local parent.

    covers: 2.1.first.parent-id-local
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=1
    """
    headers = {
        "traceparent": f"00-{1234567890123:032x}-{0xAA1:016x}-01",
        "tracestate": "dd=s:1;p:00000000000000bb",
    }
    tracer.context_provider.activate(extract(headers))
    with tracer.trace("root"):
        with tracer.trace("child"):
            pass


def case_raw_headers(say):
    """The context's traceparent and tracestate stay out of meta.

    covers: 2.1.first.raw-headers
    oracle: 4.16
    """
    headers = {
        "traceparent": f"00-{1234567890123:032x}-{0xAA1:016x}-01",
        "tracestate": "dd=s:2;o:rum;t.dm:-4,other=1",
    }
    tracer.context_provider.activate(extract(headers))
    family()


def case_baggage_tags(say):
    """Baggage named for tagging becomes tags of the first span.

    covers: 2.1.first.baggage-tags
    oracle: 4.16
    """
    headers = {**HEADERS, "baggage": "user.id=u1,session.id=s1,other=x"}
    tracer.context_provider.activate(extract(headers))
    family()


def case_tid_after_inject(say):
    """Children created after an inject carry _dd.p.tid.

    covers: 2.1.every.tid-after-inject 3.render.datadog 3.render.traceparent
    """
    with tracer.trace("root") as root:
        with tracer.trace("before"):
            pass
        headers = {}
        inject(root.context, headers)
        say("trace id", headers["x-datadog-trace-id"] == str(root.trace_id & (2**64 - 1)))
        say("parent id", headers["x-datadog-parent-id"] == str(root.span_id))
        say(
            "traceparent",
            headers["traceparent"] == f"00-{root.trace_id:032x}-{root.span_id:016x}-01",
        )
        with tracer.trace("after"):
            with tracer.trace("after.child"):
                pass


def case_context_64(say):
    """A trace id that fits 64 bits has no _dd.p.tid.

    covers: 2.1.first.tid-64bit
    """
    tracer.context_provider.activate(Context(trace_id=2**64 - 1, span_id=456, sampling_priority=1))
    family()


def case_context_128(say):
    """A 128-bit trace id of a Context made by hand.

    covers: 2.1.first.tid 3.trace-id.wire
    """
    context = Context(trace_id=0x640CFD8D00000000ABCDEF0123456789, span_id=456, sampling_priority=1)
    tracer.context_provider.activate(context)
    root = family()
    say("trace id", root.trace_id)


def case_git(say):
    """Git metadata without credentials.

    covers: 2.1.first.git-url 2.1.first.git-sha
    env: DD_GIT_REPOSITORY_URL=https://user:secret@example.com/org/repo.git DD_GIT_COMMIT_SHA=0123456789abcdef0123456789abcdef01234567
    """
    family()


def case_git_ssh(say):
    """A repository address without scheme.

    covers: 2.1.first.git-url
    env: DD_GIT_REPOSITORY_URL=git@example.com:org/repo.git DD_GIT_COMMIT_SHA=abc
    """
    family()


def case_main_package(say):
    """The main package.

    covers: 2.1.first.main-package
    env: DD_MAIN_PACKAGE=shop DD_GIT_COMMIT_SHA=abc DD_GIT_REPOSITORY_URL=https://example.com/r
    """
    family()


def case_git_off(say):
    """Git metadata switched off.

    covers: 2.1.first.git-sha
    env: DD_TRACE_GIT_METADATA_ENABLED=false DD_MAIN_PACKAGE=shop DD_GIT_COMMIT_SHA=abc DD_GIT_REPOSITORY_URL=https://example.com/r
    """
    family()


def case_hostname(say):
    """_dd.hostname on new roots only.

    covers: 2.1.entry.hostname
    env: DD_TRACE_REPORT_HOSTNAME=true DD_HOSTNAME=my-host
    """
    family()
    tracer.context_provider.activate(Context(trace_id=123, span_id=456, sampling_priority=1))
    family()


def case_hostname_system(say):
    """Without a configured name the system's is used.

    covers: 2.1.entry.hostname
    env: DD_TRACE_REPORT_HOSTNAME=true
    """
    import socket

    root = family()
    say("hostname", root.get_tag("_dd.hostname") == socket.gethostname())


def case_peer_service(say):
    """peer.service on client and producer spans.

    covers: 2.1.peer.source
    """
    for kind in ("client", "producer", "server", "consumer", "internal", None):
        with tracer.trace(f"kind.{kind}") as span:
            if kind:
                span.set_tag("span.kind", kind)
            span.set_tag("peer.service", "db")


def case_peer_mapping(say):
    """peer.service renamed by the mapping.

    covers: 2.1.peer.mapping
    env: DD_TRACE_PEER_SERVICE_MAPPING=db:database,x:y
    """
    for service in ("db", "other"):
        with tracer.trace("span") as span:
            span.set_tag("span.kind", "client")
            span.set_tag("peer.service", service)


def case_peer_defaults_off(say):
    """peer.service is not derived by default.

    covers: 2.1.peer.defaults
    """
    with tracer.trace("span") as span:
        span.set_tag("span.kind", "client")
        span.set_tag("out.host", "host")
        span.set_tag("db.name", "orders")


def case_peer_defaults_on(say):
    """peer.service derived when asked for.

    covers: 2.1.peer.defaults
    env: DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED=true
    """
    for tags in (
        {"out.host": "host"},
        {"db.name": "orders", "out.host": "host"},
        {"rpc.service": "svc"},
        {"net.peer.name": "peer"},
        {},
    ):
        with tracer.trace("span") as span:
            span.set_tag("span.kind", "client")
            span.set_tags(tags)
