"""Keys of tags with a meaning of their own."""

from ddtrace.trace import tracer


def case_http_status(say):
    """http.status_code is text whatever it is given as.

    covers: 2.2.key.http-status
    """
    for label, value in [("int", 200), ("text", "404"), ("float", 200.0), ("none", None)]:
        span = tracer.start_span("status")
        span.set_tag("http.status_code", value)
        say(label, (span.get_tag("http.status_code"), span.get_metric("http.status_code")))
        span.finish()


def case_port(say):
    """network.destination.port as digits is a metric.

    covers: 2.2.key.port
    """
    for label, value in [("int", 80), ("digits", "8080"), ("text", "http"), ("empty", "")]:
        span = tracer.start_span("port")
        span.set_tag("network.destination.port", value)
        say(
            label,
            (span.get_tag("network.destination.port"), span.get_metric("network.destination.port")),
        )
        span.finish()


def case_manual_keep(say):
    """manual.keep decides to keep and is not stored, whatever its value.

    covers: 2.2.key.manual-keep
    """
    from ddtrace.constants import MANUAL_KEEP_KEY

    for label, args in [
        ("bare", ()),
        ("true", (True,)),
        ("false", (False,)),
        ("none", (None,)),
        ("text", ("x",)),
    ]:
        span = tracer.start_span("keep")
        span.set_tag(MANUAL_KEEP_KEY, *args)
        say(
            label,
            (
                span.context.sampling_priority,
                span.get_tag(MANUAL_KEEP_KEY),
                span.get_metric(MANUAL_KEEP_KEY),
            ),
        )
        span.finish()


def case_manual_drop(say):
    """manual.drop decides to drop and is not stored, whatever its value.

    covers: 2.2.key.manual-drop
    """
    from ddtrace.constants import MANUAL_DROP_KEY

    for label, args in [("bare", ()), ("true", (True,)), ("false", (False,)), ("none", (None,))]:
        span = tracer.start_span("drop")
        span.set_tag(MANUAL_DROP_KEY, *args)
        say(
            label,
            (
                span.context.sampling_priority,
                span.get_tag(MANUAL_DROP_KEY),
                span.get_metric(MANUAL_DROP_KEY),
            ),
        )
        span.finish()


def case_manual_on_child(say):
    """A child's manual decision is the trace's decision.

    covers: 2.2.key.manual-keep 2.2.key.manual-drop
    """
    for key in ("manual.keep", "manual.drop"):
        with tracer.trace("root") as root:
            with tracer.trace("child") as child:
                child.set_tag(key)
            say(key, root.context.sampling_priority)


def case_manual_last_wins(say):
    """The last manual decision wins.

    covers: 2.2.key.manual-keep 2.2.key.manual-drop
    """
    with tracer.trace("keep-drop") as span:
        span.set_tag("manual.keep")
        span.set_tag("manual.drop")
    with tracer.trace("drop-keep") as span:
        span.set_tag("manual.drop")
        span.set_tag("manual.keep")


def case_manual_in_set_tags(say):
    """set_tags obeys the special keys too.

    covers: 2.2.set-tags 2.2.key.manual-keep
    """
    with tracer.trace("set-tags") as span:
        span.set_tags({"a": 1, "manual.keep": True, "service.name": "renamed"})
        say("service", span.service)


def case_service_name(say):
    """service.name sets the service and is stored.

    covers: 2.2.key.service-name
    """
    for label, value in [("text", "svc"), ("none", None), ("int", 5)]:
        span = tracer.start_span("service-name")
        say.raises(label, span.set_tag, "service.name", value)
        say(
            f"service {label}",
            (span.service, span.get_tag("service.name"), span.get_metric("service.name")),
        )
        span.finish()


def case_service_version(say):
    """service.version also sets version.

    covers: 2.2.key.service-version
    """
    span = tracer.start_span("service-version")
    span.set_tag("service.version", "1.2.3")
    say("version", (span.get_tag("version"), span.get_tag("service.version")))
    span.finish()


def case_service_version_number(say):
    """service.version given as a number or a bool.

    covers: 2.2.key.service-version
    oracle: 4.16
    """
    for value in (7, 1.5, True, None):
        span = tracer.start_span("service-version")
        span.set_tag("service.version", value)
        say(repr(value), (span.get_tag("version"), span.get_metric("version")))
        span.finish()


def case_version_tag(say):
    """version alone is a plain tag.

    covers: 2.2.key.service-version
    """
    span = tracer.start_span("version")
    span.set_tag("version", "7")
    span.set_tag("env", "mine")
    span.finish()


def case_measured(say):
    """_dd.measured is 0 or 1 from the truth of the value.

    covers: 2.2.key.measured 2.1.measured
    """
    for label, args in [
        ("bare", ()),
        ("true", (True,)),
        ("false", (False,)),
        ("one", (1,)),
        ("zero", (0,)),
        ("text", ("yes",)),
        ("none", (None,)),
    ]:
        span = tracer.start_span("measured")
        span.set_tag("_dd.measured", *args)
        say(label, (span.get_tag("_dd.measured"), span.get_metric("_dd.measured")))
        span.finish()


def case_analytics(say):
    """analytics.event is a plain tag.

    covers: 2.2.key.analytics
    """
    for label, value in [("true", True), ("false", False), ("number", 0.5), ("text", "x")]:
        span = tracer.start_span("analytics")
        span.set_tag("analytics.event", value)
        say(label, (span.get_tag("analytics.event"), span.get_metric("analytics.event")))
        span.finish()


def case_eausr(say):
    """_dd1.sr.eausr takes a number.

    covers: 2.2.key.eausr
    """
    for label, value in [("one", 1), ("half", 0.5)]:
        span = tracer.start_span("eausr")
        span.set_tag("_dd1.sr.eausr", value)
        say(label, (span.get_tag("_dd1.sr.eausr"), span.get_metric("_dd1.sr.eausr")))
        span.finish()


def case_eausr_text(say):
    """_dd1.sr.eausr given as text.

    covers: 2.2.key.eausr
    """
    span = tracer.start_span("eausr-text")
    say.raises("text", span.set_tag, "_dd1.sr.eausr", "x")
    span.finish()


def case_plain_keys(say):
    """Keys that mean something elsewhere are plain tags here.

    covers: 2.2.key.plain
    """
    span = tracer.start_span("plain", service="s", resource="r", span_type="web")
    for key in (
        "error",
        "span.type",
        "resource.name",
        "operation.name",
        "sampling.priority",
        "span.kind",
        "error.type",
    ):
        span.set_tag(key, "value")
    span.set_tag("sampling.priority", 2)
    say(
        "span",
        (span.error, span.span_type, span.resource, span.name, span.context.sampling_priority),
    )
    span.finish()


def case_error_tag_values(say):
    """The tag error is a metric or text like any other.

    covers: 2.2.key.plain
    """
    for value in (1, True, "1", 0):
        span = tracer.start_span("error-tag")
        span.set_tag("error", value)
        say(repr(value), (span.error, span.get_tag("error"), span.get_metric("error")))
        span.finish()
