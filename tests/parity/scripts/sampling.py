"""What a decision leaves in the chunk."""

from case_common import family, inject
from ddtrace.trace import Context, tracer


def case_agent_rate(say):
    """The agent's rate decides and is noted on the root.

    covers: 2.1.root.agent-psr 2.1.root.ksr 2.1.ksr.format
    env: DD_SERVICE=rated DD_ENV=test
    rates: {"service:rated,env:test": 1.0}
    alone: yes
    """
    family()
    tracer.flush()
    family()


def case_agent_rate_zero(say):
    """A rate of 0 rejects; the trace is sent all the same.

    covers: 2.1.root.agent-psr 2.1.root.ksr
    env: DD_SERVICE=rated DD_ENV=test
    rates: {"service:rated,env:test": 0.0}
    alone: yes
    """
    family()
    tracer.flush()
    family()
    with tracer.trace("other", service="other"):
        pass


def case_agent_rate_default_entry(say):
    """The reply's entry for no service is not a fallback.

    covers: 2.1.root.agent-psr
    env: DD_SERVICE=rated
    rates: {"service:,env:": 0.0}
    alone: yes
    """
    family()
    tracer.flush()
    family()


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
        inject(root.context, {})
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
    family()
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
        inject(root.context, headers)
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
        inject(root.context, {})
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
