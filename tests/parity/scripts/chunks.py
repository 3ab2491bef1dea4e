"""What the tracer adds by position in the chunk, and the settings that decide it."""

import os
import re

from ddtrace.trace import Context, tracer

HEADERS = {
    "x-datadog-trace-id": "1234567890123",
    "x-datadog-parent-id": "9876543210",
    "x-datadog-sampling-priority": "2",
    "x-datadog-origin": "rum",
    "x-datadog-tags": "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000,_dd.p.usr.id=42,_dd.p.anything=x",
}


def _extract(headers):
    from ddtrace.propagation.http import HTTPPropagator

    return HTTPPropagator.extract(headers)


def _inject(context, headers):
    from ddtrace.propagation.http import HTTPPropagator

    HTTPPropagator.inject(context, headers)


def _family():
    """A root, two children and a grandchild."""
    with tracer.trace("root") as root:
        with tracer.trace("child"):
            with tracer.trace("grandchild"):
                pass
        with tracer.trace("sibling"):
            pass
    return root


def case_plain(say):
    """The keys of a plain local trace.

    covers: 2.1.first.index0 2.1.first.priority 2.1.first.dm 2.1.first.tid 2.1.first.language 2.1.first.tracer-kr
    covers: 2.1.entry.runtime-id 2.1.entry.process-id 2.1.top.local-root 2.1.top.absent 2.1.svc-src
    covers: 2.1.first.process-tags 2.1.process-tags.content 2.1.no-partial-version
    alone: yes
    """
    _family()


def case_two_traces(say):
    """Two traces of one process share runtime-id and process_id.

    covers: 2.1.entry.runtime-id 2.1.entry.process-id 2.1.first.tracer-kr
    alone: yes
    """
    root = _family()
    say("pid", root.get_metric("process_id") == os.getpid())
    say("runtime-id", bool(re.fullmatch("[0-9a-f]{32}", root.get_tag("runtime-id"))))
    tracer.flush()
    _family()


def case_v05(say):
    """The same trace in the v0.5 encoding.

    covers: 2.1.first.index0 3.trace-id.wire
    env: DD_TRACE_API_VERSION=v0.5
    """
    _family()
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
    tracer.context_provider.activate(_extract(HEADERS))
    _family()


def case_remote_foreign_service(say):
    """A continued trace whose spans have services of their own.

    covers: 2.1.every.p-tags 2.1.every.base-service
    """
    tracer.context_provider.activate(_extract(HEADERS))
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
        tracer.context_provider.activate(_extract(headers))
        _family()


def case_remote_no_priority(say):
    """A continued trace without a priority.

    covers: 2.1.first.priority 2.1.first.dm
    oracle: 4.16
    """
    headers = {"x-datadog-trace-id": "1234567890123", "x-datadog-parent-id": "9876543210"}
    tracer.context_provider.activate(_extract(headers))
    root = _family()
    say("priority", root.context.sampling_priority)


def case_context_propagated(say):
    """A Context made by hand with _dd.p.* pairs and other keys.

    covers: 2.1.first.propagated 2.1.every.p-tags
    """
    meta = {"_dd.p.custom": "v", "_dd.p.dm": "-4", "other": "x", "_dd.origin": "lambda"}
    context = Context(trace_id=123, span_id=456, sampling_priority=1, meta=meta)
    tracer.context_provider.activate(context)
    _family()


def case_context_ts(say):
    """_dd.p.ts does not go on children.

    covers: 2.1.every.p-tags
    """
    context = Context(
        trace_id=123, span_id=456, sampling_priority=1, meta={"_dd.p.ts": "02", "_dd.p.x": "y"}
    )
    tracer.context_provider.activate(context)
    _family()


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
    tracer.context_provider.activate(_extract(headers))
    _family()
    headers = {**HEADERS, "x-datadog-tags": "_dd.p.x=" + "a" * 600}
    tracer.context_provider.activate(_extract(headers))
    _family()


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
    tracer.context_provider.activate(_extract(headers))
    _family()


def case_parent_id_local(say):
    """_dd.parent_id when the first span of the chunk has a local parent.

    covers: 2.1.first.parent-id-local
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=1
    """
    headers = {
        "traceparent": f"00-{1234567890123:032x}-{0xAA1:016x}-01",
        "tracestate": "dd=s:1;p:00000000000000bb",
    }
    tracer.context_provider.activate(_extract(headers))
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
    tracer.context_provider.activate(_extract(headers))
    _family()


def case_baggage_tags(say):
    """Baggage named for tagging becomes tags of the first span.

    covers: 2.1.first.baggage-tags
    oracle: 4.16
    """
    headers = {**HEADERS, "baggage": "user.id=u1,session.id=s1,other=x"}
    tracer.context_provider.activate(_extract(headers))
    _family()


def case_tid_after_inject(say):
    """Children created after an inject carry _dd.p.tid.

    covers: 2.1.every.tid-after-inject 3.render.datadog 3.render.traceparent
    """
    with tracer.trace("root") as root:
        with tracer.trace("before"):
            pass
        headers = {}
        _inject(root.context, headers)
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
    _family()


def case_context_128(say):
    """A 128-bit trace id of a Context made by hand.

    covers: 2.1.first.tid 3.trace-id.wire
    """
    context = Context(trace_id=0x640CFD8D00000000ABCDEF0123456789, span_id=456, sampling_priority=1)
    tracer.context_provider.activate(context)
    root = _family()
    say("trace id", root.trace_id)


def case_git(say):
    """Git metadata without credentials.

    covers: 2.1.first.git-url 2.1.first.git-sha
    env: DD_GIT_REPOSITORY_URL=https://user:secret@example.com/org/repo.git DD_GIT_COMMIT_SHA=0123456789abcdef0123456789abcdef01234567
    """
    _family()


def case_git_ssh(say):
    """A repository address without scheme.

    covers: 2.1.first.git-url
    env: DD_GIT_REPOSITORY_URL=git@example.com:org/repo.git DD_GIT_COMMIT_SHA=abc
    """
    _family()


def case_main_package(say):
    """The main package.

    covers: 2.1.first.main-package
    env: DD_MAIN_PACKAGE=shop DD_GIT_COMMIT_SHA=abc DD_GIT_REPOSITORY_URL=https://example.com/r
    """
    _family()


def case_git_off(say):
    """Git metadata switched off.

    covers: 2.1.first.git-sha
    env: DD_TRACE_GIT_METADATA_ENABLED=false DD_MAIN_PACKAGE=shop DD_GIT_COMMIT_SHA=abc DD_GIT_REPOSITORY_URL=https://example.com/r
    """
    _family()


def case_hostname(say):
    """_dd.hostname on new roots only.

    covers: 2.1.entry.hostname
    env: DD_TRACE_REPORT_HOSTNAME=true DD_HOSTNAME=my-host
    """
    _family()
    tracer.context_provider.activate(Context(trace_id=123, span_id=456, sampling_priority=1))
    _family()


def case_hostname_system(say):
    """Without a configured name the system's is used.

    covers: 2.1.entry.hostname
    env: DD_TRACE_REPORT_HOSTNAME=true
    """
    import socket

    root = _family()
    say("hostname", root.get_tag("_dd.hostname") == socket.gethostname())


def case_agent_rate(say):
    """The agent's rate decides and is noted on the root.

    covers: 2.1.root.agent-psr 2.1.root.ksr 2.1.ksr.format
    env: DD_SERVICE=rated DD_ENV=test
    rates: {"service:rated,env:test": 1.0}
    alone: yes
    """
    _family()
    tracer.flush()
    _family()


def case_agent_rate_zero(say):
    """A rate of 0 rejects; the trace is sent all the same.

    covers: 2.1.root.agent-psr 2.1.root.ksr
    env: DD_SERVICE=rated DD_ENV=test
    rates: {"service:rated,env:test": 0.0}
    alone: yes
    """
    _family()
    tracer.flush()
    _family()
    with tracer.trace("other", service="other"):
        pass


def case_agent_rate_default_entry(say):
    """The reply's entry for no service is not a fallback.

    covers: 2.1.root.agent-psr
    env: DD_SERVICE=rated
    rates: {"service:,env:": 0.0}
    alone: yes
    """
    _family()
    tracer.flush()
    _family()


def case_agent_rate_ksr(say):
    """The decimal text of odd rates.

    covers: 2.1.ksr.format
    env: DD_SERVICE=rated
    rates: {"service:rated,env:": 0.9999999, "service:b,env:": 0.0000001, "service:c,env:": 1}
    alone: yes
    oracle: 4.16
    """
    tracer.start_span("warm").finish()
    tracer.flush()
    for service in ("rated", "b", "c"):
        span = tracer.start_span("span", service=service, child_of=Context(trace_id=1, span_id=2))
        span.finish()


def case_manual_removes_psr(say):
    """A manual decision after an agent decision removes the rate from the root.

    covers: 2.2.key.manual-psr 2.1.ksr.only
    env: DD_SERVICE=rated
    rates: {"service:rated,env:": 1.0}
    alone: yes
    """
    tracer.start_span("warm").finish()
    tracer.flush()
    with tracer.trace("root") as root:
        _inject(root.context, {})
        say("decided", root.get_metric("_dd.agent_psr"))
        with tracer.trace("child") as child:
            child.set_tag("manual.drop")
        say("removed", root.get_metric("_dd.agent_psr"))


def case_rule(say):
    """A rule's rate is noted on the root, with the limiter's.

    covers: 2.1.root.rule-psr 2.1.root.limit-psr 2.1.root.ksr
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":1,"name":"root"},{"sample_rate":0,"name":"dropped"}]'
    alone: yes
    """
    _family()
    with tracer.trace("dropped"):
        with tracer.trace("child"):
            pass
    with tracer.trace("unmatched"):
        pass


def case_rule_ksr(say):
    """_dd.p.ksr of a rule is not propagated by the originator.

    covers: 2.1.ksr.not-outward 2.1.ksr.format
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":1.0}]'
    alone: yes
    oracle: 4.16
    """
    with tracer.trace("root") as root:
        headers = {}
        _inject(root.context, headers)
        say("tags", sorted(t.split("=")[0] for t in headers["x-datadog-tags"].split(",")))
        say("tracestate", "ksr" in headers["tracestate"])
        with tracer.trace("child"):
            pass


def case_rule_manual(say):
    """A manual decision in a trace with a rule.

    covers: 2.2.key.manual-psr
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":1.0}]'
    alone: yes
    """
    with tracer.trace("kept") as root:
        root.set_tag("manual.keep")
    with tracer.trace("decided-then-dropped") as root:
        _inject(root.context, {})
        root.set_tag("manual.drop")
        say("psr", (root.get_metric("_dd.rule_psr"), root.get_metric("_dd.limit_psr")))


def case_ksr_default(say):
    """No _dd.p.ksr for default and manual decisions.

    covers: 2.1.ksr.only
    """
    with tracer.trace("default"):
        pass
    with tracer.trace("manual") as span:
        span.set_tag("manual.keep")


def case_priority_assigned(say):
    """sampling_priority assigned on the context.

    covers: 4.2.context-attributes 2.1.first.priority
    """
    for priority in (2, 1, 0, -1):
        with tracer.trace("root") as root:
            root.context.sampling_priority = priority
            say(str(priority), root.context.sampling_priority)


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
    tracer.context_provider.activate(_extract(HEADERS))
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
    _family()


def case_partial_flush_zero(say):
    """A minimum below one counts as one.

    covers: 4.7.partial.min-one
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=0
    oracle: 4.16
    """
    _family()


def case_partial_flush_negative(say):
    """So does a negative one.

    covers: 4.7.partial.min-one
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=-5
    oracle: 4.16
    """
    _family()


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
    _family()


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
