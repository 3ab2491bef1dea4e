"""Text that is long or not valid."""

from ddtrace.trace import tracer


def case_long_values(say):
    """Tag values beyond 25000 characters are cut to 2500 with a marker.

    covers: 1.11.truncation
    oracle: 4.16
    """
    for length in (24999, 25000, 25001, 100000):
        span = tracer.start_span("long")
        span.set_tag("key", "v" * length)
        say(f"length {length}", len(span.get_tag("key")))
        span.finish()


def case_long_wide(say):
    """The limit counts characters, not bytes.

    covers: 1.11.truncation
    oracle: 4.16
    """
    for text in ("\u00e9", "\u4e2d", "\U0001f600"):
        for length in (12501, 25000, 25001):
            span = tracer.start_span("wide")
            span.set_tag("key", text * length)
            span.finish()


def case_long_keys(say):
    """Keys, too.

    covers: 1.11.truncation
    oracle: 4.16
    """
    span = tracer.start_span("long-key")
    span.set_tag("k" * 25001, "v")
    span.set_metric("m" * 25001, 1)
    span.finish()


def case_long_fields(say):
    """Name, service, resource and type, too.

    covers: 1.11.truncation
    oracle: 4.16
    """
    long = "x" * 25001
    for fields in (
        {"name": long},
        {"name": "a", "service": long},
        {"name": "b", "resource": long},
        {"name": "c", "span_type": long},
    ):
        span = tracer.start_span(**fields)
        say(
            sorted(fields)[-1],
            [len(v or "") for v in (span.name, span.service, span.resource, span.span_type)],
        )
        span.finish()


def case_long_assigned(say):
    """Assigned later, too.

    covers: 1.11.truncation
    oracle: 4.16
    """
    with tracer.trace("root") as span:
        span.resource = "r" * 25001
        span.service = "s" * 25001
        say("lengths", (len(span.resource), len(span.service)))


def case_long_links(say):
    """Attributes of links.

    covers: 1.11.truncation
    oracle: 4.16
    """
    with tracer.trace("root") as span:
        span.set_link(trace_id=5, span_id=6, attributes={"k": "v" * 25001})


def case_long_2x(say):
    """2.x sends everything whole.

    covers: 1.11.truncation
    oracle: 2.21
    """
    span = tracer.start_span("long")
    span.set_tag("key", "v" * 25001)
    span.finish()


def case_surrogates(say):
    """Lone surrogates cost ddtrace the whole trace.

    covers: 1.11.surrogates
    alone: yes
    """
    with tracer.trace("good"):
        pass
    root = tracer.trace("root")
    with tracer.trace("child"):
        pass
    root.set_tag("key", "a\ud800b")
    say.raises("finish", root.finish)
    with tracer.trace("after"):
        pass


def case_odd_text(say):
    """Odd but valid text arrives unchanged.

    covers: 2.2.str
    """
    for number, text in enumerate(
        ["", " ", "\n\t", "\x00", "\x7f", "\u2028", "\ufeff", "\U0010ffff", "e\u0301", "\u202ertl"]
    ):
        with tracer.trace(f"span{number}", resource=text or None) as span:
            span.set_tag("key", text)
            span.set_tag(text or "empty", "value")
