"""Sampling rules: what they match, what they decide, and what is kept of rejected traces."""

from ddtrace.trace import Context, tracer

HALF = [
    1,
    10,
    100,
    1000,
    18444899399302180860,
    18444899399302180862,
    18444899399302180863,
    9223372036854775809,
    9223372036854775807,
    4611686018427387905,
    4611686018427387903,
    646771306295669658,
    1882305164521835798,
    5198373796167680436,
    6272545487220484606,
    8696342848850656916,
    10197320802478874805,
    10350218024687037124,
    12078589664685934330,
    13794769880582338323,
    14629469446186818297,
]


def _root(name, service=None, resource=None, **tags):
    with tracer.trace(name, service=service, resource=resource) as root:
        for key, value in tags.items():
            root.set_tag(key, value)
        with tracer.trace("child"):
            pass


def case_reference_vectors(say):
    """The decision is a function of the trace id, the same in every tracer.

    covers: 6.2.hash
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0.5}]'
    alone: yes
    """
    for trace_id in HALF:
        tracer.start_span("root", child_of=Context(trace_id=trace_id, span_id=2)).finish()


def case_reference_top(say):
    """The id whose decision differs between 2.x and 4.x.

    covers: 6.2.hash
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0.5}]'
    oracle: 4.16
    alone: yes
    """
    for trace_id in (18444899399302180861, 18446744073709551615):
        tracer.start_span("root", child_of=Context(trace_id=trace_id, span_id=2)).finish()


def case_globs(say):
    """Patterns match the whole text in any case; ? is one character, * any number.

    covers: 6.3.globs
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"name":"web.?"},{"sample_rate":0,"name":"*.End"},{"sample_rate":0,"name":"a*b*c"},{"sample_rate":0,"name":"[x]"},{"sample_rate":0,"name":"exact"},{"sample_rate":0,"name":"q?"}]'
    alone: yes
    """
    for name in (
        "web.a",
        "WEB.B",
        "web.",
        "web.ab",
        "any.end",
        ".END",
        "any.end.",
        "abc",
        "a--b--c",
        "a--b--c-",
        "acb",
        "[X]",
        "x",
        "exact",
        "exactly",
        "inexact",
        "q",
        "qä",
    ):
        _root(name)


def case_fields(say):
    """Service, name and resource of the local root must all match; children do not count.

    covers: 6.3.fields
    env: DD_SERVICE=mine DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"service":"mine","name":"a","resource":"r*"},{"sample_rate":0,"service":"other"},{"sample_rate":0,"name":"child"}]'
    alone: yes
    """
    _root("a", resource="r1")
    _root("a", resource="x")
    _root("b", resource="r1")
    _root("a", service="theirs", resource="r1")
    _root("b", service="OTHER")
    _root("child")


def case_first_match(say):
    """The first rule that matches decides, whatever follows.

    covers: 6.3.first
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":1,"name":"a*"},{"sample_rate":0,"name":"ab*"},{"sample_rate":0}]'
    alone: yes
    """
    for name in ("a", "abc", "b"):
        _root(name)


def case_provenance(say):
    """Rules of customers come first, then dynamic ones; each has a mechanism of its own.

    covers: 6.3.provenance
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"name":"a"},{"sample_rate":1,"name":"[ab]"},{"sample_rate":1,"name":"a","provenance":"dynamic"},{"sample_rate":0,"name":"b","provenance":"dynamic"},{"sample_rate":1,"name":"b","provenance":"customer"}]'
    alone: yes
    """
    for name in ("a", "b"):
        _root(name)


def case_tags(say):
    """Tags of the root must match; numbers do so by their whole value, others by wildcards only.

    covers: 6.3.tags
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"tags":{"tier":"gold*"}},{"sample_rate":0,"tags":{"count":"2?"}},{"sample_rate":0,"tags":{"ratio":"0.*"}},{"sample_rate":0,"tags":{"other":"*"}}]'
    oracle: 4.16
    alone: yes
    """
    _root("text", tier="Golden")
    _root("other text", tier="silver")
    _root("int", count=23)
    _root("whole float", count=24.0)
    _root("other int", count=3)
    _root("float", ratio=0.5)
    _root("any float", other=0.5)
    _root("absent")


def case_tags_of_the_tracer(say):
    """Tags that the configuration gives match as well.

    covers: 6.3.tags
    env: DD_ENV=prod DD_VERSION=v2 DD_SERVICE=mine DD_TAGS=team:core DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"name":"a","tags":{"env":"prod","team":"c*","version":"v?"}},{"sample_rate":0,"name":"b","tags":{"env":"dev"}},{"sample_rate":0,"name":"c","tags":{"process_id":"*","runtime-id":"*"}}]'
    alone: yes
    """
    for name in ("a", "b", "c"):
        _root(name)


def case_late_tags(say):
    """What is set until the root ends counts.

    covers: 6.2.lazy
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"resource":"late","tags":{"late":"yes"}}]'
    alone: yes
    """
    with tracer.trace("root") as root:
        with tracer.trace("child"):
            root.set_tag("late", "yes")
        root.resource = "late"


def case_inherited(say):
    """A trace that comes with a decision keeps it.

    covers: 6.2.inherited
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0}]'
    alone: yes
    """
    for priority in (-1, 0, 1, 2):
        remote = Context(trace_id=4242, span_id=17, sampling_priority=priority)
        tracer.start_span("root", child_of=remote).finish()


def case_limit_zero(say):
    """A limit of 0 rejects what the rules keep.

    covers: 6.3.limit
    env: DD_TRACE_RATE_LIMIT=0 DD_TRACE_SAMPLING_RULES='[{"sample_rate":1,"name":"a"},{"sample_rate":0,"name":"b"}]'
    alone: yes
    """
    for name in ("a", "b", "c"):
        _root(name)


def case_limit_none(say):
    """A negative limit is none.

    covers: 6.3.limit
    env: DD_TRACE_RATE_LIMIT=-1 DD_TRACE_SAMPLING_RULES='[{"sample_rate":1}]'
    alone: yes
    """
    for _ in range(3):
        _root("a")


def case_limit_one(say):
    """Beyond the limit traces are rejected, and the share kept is noted.

    covers: 6.3.limit
    env: DD_TRACE_RATE_LIMIT=1 DD_TRACE_SAMPLING_RULES='[{"sample_rate":1}]'
    alone: yes
    """
    for _ in range(4):
        _root("a")


def case_rate_variable(say):
    """DD_TRACE_SAMPLE_RATE is a last rule for everything.

    covers: 6.3.rate-variable
    env: DD_TRACE_SAMPLE_RATE=0 DD_TRACE_SAMPLING_RULES='[{"sample_rate":1,"name":"a"}]'
    oracle: 2.21
    alone: yes
    """
    for name in ("a", "b"):
        _root(name)


def case_otel_variable(say):
    """OTEL_TRACES_SAMPLER stands in for it.

    covers: 6.3.rate-variable
    env: OTEL_TRACES_SAMPLER=parentbased_always_off
    alone: yes
    """
    _root("a")


def case_discard(say):
    """What a rule with discard rejects is not sent, whatever its children are.

    covers: 6.3.discard
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"name":"noise","discard":true},{"sample_rate":0,"resource":"/late","discard":true},{"sample_rate":1,"name":"kept","discard":true}]'
    oracle: 4.16
    alone: yes
    """
    _root("noise")
    _root("kept")
    _root("other")
    with tracer.trace("web") as root:
        with tracer.trace("child"):
            pass
        root.resource = "/late"


def case_single_spans(say):
    """Spans of rejected traces that a span rule keeps are marked.

    covers: 6.4.kept
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"name":"dropped"}]' DD_SPAN_SAMPLING_RULES='[{"name":"chi*","service":"s?c","max_per_second":2},{"service":"db"},{"name":"never","sample_rate":0}]'
    alone: yes
    """
    for name in ("dropped", "kept"):
        with tracer.trace(name):
            for service in ("svc", "svc", "sv", "db", "svc"):
                with tracer.trace("child", service=service):
                    pass
            with tracer.trace("never"):
                pass


def case_single_spans_hash(say):
    """A span rule's rate is applied to the id of the span.

    covers: 6.4.hash
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0}]' DD_SPAN_SAMPLING_RULES='[{"name":"child","sample_rate":0.5}]'
    oracle: 4.16
    alone: yes
    """
    for span_id in HALF:
        with tracer.trace("root"):
            span = tracer.start_span("child")
            span.span_id = span_id
            span.finish()


def case_single_spans_manual(say):
    """They also work in a trace that was dropped by hand.

    covers: 6.4.kept
    env: DD_SPAN_SAMPLING_RULES='[{"name":"child"}]'
    alone: yes
    """
    with tracer.trace("root") as root:
        root.set_tag("manual.drop")
        with tracer.trace("child"):
            pass


def case_bad_rules(say):
    """A rule without a rate is left out; the others apply.

    covers: 6.3.bad
    env: DD_TRACE_SAMPLING_RULES='[{"name":"a"},{"sample_rate":0,"name":"b"}]' DD_SPAN_SAMPLING_RULES='[{"sample_rate":1},{"name":"child"}]'
    oracle: 4.16
    alone: yes
    """
    for name in ("a", "b"):
        _root(name)


def case_sample(say):
    """tracer.sample(span) decides at once.

    covers: 6.2.lazy
    env: DD_TRACE_SAMPLING_RULES='[{"sample_rate":0,"name":"a"}]'
    oracle: 4.16
    alone: yes
    """
    with tracer.trace("a") as root:
        say("before", root.context.sampling_priority)
        tracer.sample(root)
        say("after", root.context.sampling_priority)
        root.name = "b"
