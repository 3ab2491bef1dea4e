"""Tags and metrics: coercion, special keys, the two maps."""

from decimal import Decimal

from ddtrace.trace import tracer


class Text(str):
    """A str subclass whose str() would be something else."""

    def __str__(self):
        return "other"


class Number(int):
    """An int subclass."""


class Real(float):
    """A float subclass."""


class Index:
    """Only __index__."""

    def __index__(self):
        return 7

    def __str__(self):
        return "index-text"


class Broken:
    """__str__ and __repr__ raise."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class Plain:
    """An ordinary object."""

    def __str__(self):
        return "plain-text"


class AsFloat:
    """Only __float__."""

    def __float__(self):
        return 2.5

    def __str__(self):
        return "as-float"


def _tag(say, label, value):
    span = tracer.start_span("tag")
    say.raises(f"set {label}", span.set_tag, "key", value)
    say(f"tag {label}", span.get_tag("key"))
    say(f"metric {label}", span.get_metric("key"))
    span.finish()


def _metric(say, label, value):
    span = tracer.start_span("metric")
    say.raises(f"set {label}", span.set_metric, "key", value)
    say(f"metric {label}", span.get_metric("key"))
    say(f"tag {label}", span.get_tag("key"))
    span.finish()


def case_str(say):
    """Text goes to meta unchanged.

    covers: 2.2.str
    """
    for label, value in [
        ("plain", "text"),
        ("empty", ""),
        ("digits", "12"),
        ("wide", "\u00e9\u4e2d\U0001f600"),
        ("nul", "a\0b"),
    ]:
        _tag(say, label, value)


def case_str_subclass(say):
    """A str subclass is text too.

    covers: 2.2.str
    """
    span = tracer.start_span("subclass")
    span.set_tag("key", Text("text"))
    say("value", str.__str__(span.get_tag("key")))
    span.finish()


def case_bool(say):
    """True and False become text.

    covers: 2.2.bool
    """
    _tag(say, "true", True)
    _tag(say, "false", False)


def case_none(say):
    """None, given or not, becomes the text None.

    covers: 2.2.none
    """
    _tag(say, "none", None)
    span = tracer.start_span("default")
    span.set_tag("key")
    span.finish()


def case_int(say):
    """Ints up to 2^53 are metrics.

    covers: 2.2.int
    """
    for value in (0, 1, -1, 2**31, 2**32 + 1, -(2**40), 2**53, -(2**53)):
        _tag(say, str(value), value)
    _tag(say, "subclass", Number(5))


def case_int_big(say):
    """Ints beyond 2^53 within int64.

    covers: 2.2.int-big
    """
    for value in (2**53 + 1, -(2**53) - 1, 2**60, 2**63 - 1, -(2**63)):
        _tag(say, str(value), value)


def case_int_huge(say):
    """Ints beyond int64 become text.

    covers: 2.2.int-big
    """
    for value in (2**63, 2**64, -(2**63) - 1, 10**30):
        _tag(say, str(value), value)


def case_float(say):
    """Finite floats are metrics.

    covers: 2.2.float
    """
    for value in (0.0, -0.0, 1.0, 0.1, -2.5, 1e300, 5e-324):
        _tag(say, str(value), value)
    _tag(say, "subclass", Real(1.5))


def case_nonfinite(say):
    """nan and infinities are dropped.

    covers: 2.2.nonfinite
    """
    for label, value in [("nan", float("nan")), ("inf", float("inf")), ("-inf", float("-inf"))]:
        _tag(say, label, value)


def case_nonfinite_keeps_old(say):
    """A dropped value leaves what was there before.

    covers: 2.2.nonfinite
    """
    span = tracer.start_span("keeps")
    span.set_tag("number", 1)
    span.set_tag("number", float("nan"))
    span.set_tag("text", "a")
    span.set_tag("text", float("inf"))
    span.set_metric("metric", 1)
    span.set_metric("metric", float("nan"))
    span.finish()


def case_bytes(say):
    """bytes become their repr.

    covers: 2.2.bytes
    """
    _tag(say, "bytes", b"abc\xff")
    _tag(say, "bytearray", bytearray(b"abc"))


def case_other(say):
    """Other objects become str().

    covers: 2.2.other
    """
    values = [
        ("list", [1, "a"]),
        ("dict", {"a": 1}),
        ("tuple", (1, 2)),
        ("decimal", Decimal("1.50")),
        ("plain", Plain()),
        ("complex", 1 + 2j),
        ("class", Plain),
        ("exception", ValueError("x")),
    ]
    for label, value in values:
        _tag(say, label, value)


def case_as_float(say):
    """An object with __float__ only.

    covers: 2.2.other
    """
    _tag(say, "float", AsFloat())


def case_index(say):
    """An object with __index__ only.

    covers: 2.2.index
    """
    _tag(say, "index", Index())


def case_str_raises(say):
    """An object without text is ignored and what was there stays.

    covers: 2.2.str-raises
    """
    span = tracer.start_span("broken")
    span.set_tag("other", "kept")
    say.raises("set", span.set_tag, "key", Broken())
    say("key", span.get_tag("key"))
    span.finish()


def case_key_bytes(say):
    """A bytes key.

    covers: 2.2.key-bytes
    """
    span = tracer.start_span("bytes-key")
    say.raises("tag", span.set_tag, b"key", "v")
    say.raises("metric", span.set_metric, b"metric", 1)
    span.finish()


def case_key_other(say):
    """A tag key that is neither str nor bytes is ignored.

    covers: 2.2.key-other
    """
    span = tracer.start_span("other-key")
    for label, key in [("int", 1), ("none", None), ("tuple", ("a",)), ("float", 1.5)]:
        say.raises(f"tag {label}", span.set_tag, key, "v")
    span.set_tag("after", "kept")
    span.finish()


def case_metric_key_other(say):
    """A metric key that is neither str nor bytes is ignored.

    covers: 2.2.key-other
    oracle: 4.16
    """
    span = tracer.start_span("other-key")
    for label, key in [("int", 1), ("none", None), ("tuple", ("a",)), ("float", 1.5)]:
        say.raises(f"metric {label}", span.set_metric, key, 1)
    span.set_metric("after", 1)
    span.finish()


def case_exclusive(say):
    """A key lives in one of the two maps.

    covers: 2.2.exclusive
    """
    span = tracer.start_span("exclusive")
    span.set_tag("a", "text")
    span.set_tag("a", 1)
    span.set_tag("b", 1)
    span.set_tag("b", "text")
    span.set_tag("c", "text")
    span.set_metric("c", 2)
    span.set_metric("d", 2)
    span.set_tag("d", "text")
    for key in "abcd":
        say(key, (span.get_tag(key), span.get_metric(key)))
    span.finish()


def case_replace(say):
    """A later value replaces an earlier one.

    covers: 2.2.exclusive
    """
    span = tracer.start_span("replace")
    for value in ("1", "2", "3"):
        span.set_tag("key", value)
    for number in range(20):
        span.set_metric("metric", number)
    span.finish()


def case_get_tag_metric(say):
    """get_tag does not see metrics and get_metric does not see text.

    covers: 2.2.get-tag-metric
    """
    span = tracer.start_span("get")
    span.set_tag("n", 5)
    span.set_tag("t", "text")
    say("get_tag n", span.get_tag("n"))
    say("get_metric n", span.get_metric("n"))
    say("get_metric t", span.get_metric("t"))
    say("get_tag missing", span.get_tag("missing"))
    say("get_metric missing", span.get_metric("missing"))
    span.finish()


def case_copies(say):
    """Changing what get_tags and get_metrics return changes nothing.

    covers: 2.2.copies
    """
    span = tracer.start_span("copies", child_of=None)
    span.set_tag("a", "1")
    span.set_metric("m", 1)
    tags, metrics = span.get_tags(), span.get_metrics()
    say("types", (type(tags).__name__, type(metrics).__name__))
    tags["b"] = "2"
    metrics["n"] = 2
    say("tags", (span.get_tag("b"), span.get_metric("n")))
    say("has", (tags["a"], metrics["m"]))
    span.finish()


def case_get_tags_content(say):
    """get_tags and get_metrics of a child hold what was set on it.

    covers: 2.2.copies 4.2.span-methods
    """
    with tracer.trace("parent"):
        with tracer.trace("child") as span:
            span.set_tag("t", "x")
            span.set_tag("n", 3)
            span.set_metric("m", 1.5)
            say(
                "tags",
                {k: v for k, v in sorted(span.get_tags().items()) if not k.startswith("_dd.")},
            )
            say("metrics", dict(sorted(span.get_metrics().items())))


def case_set_tag_str(say):
    """set_tag_str keeps text, decodes bytes with replacement and ignores the rest.

    covers: 2.2.set-tag-str 4.2.span-2x
    oracle: 2.21
    """
    span = tracer.start_span("set-tag-str")
    for label, value in [
        ("str", "text"),
        ("bytes", b"abc"),
        ("bad", b"a\xffb"),
        ("int", 1),
        ("none", None),
        ("list", [1]),
    ]:
        say.raises(label, span.set_tag_str, label, value)
        say(f"value {label}", span.get_tag(label))
    span.finish()


def case_set_tag_str_exclusive(say):
    """set_tag_str over a metric of the same key.

    covers: 2.2.set-tag-str-exclusive
    oracle: 2.21
    """
    span = tracer.start_span("set-tag-str-exclusive")
    span.set_metric("key", 1)
    span.set_tag_str("key", "text")
    span.finish()


def case_set_tags(say):
    """set_tags loops over items.

    covers: 2.2.set-tags 4.2.span-methods
    """
    span = tracer.start_span("set-tags")
    span.set_tags({"a": "1", "b": 2, "c": None, "d": 1.5, "http.status_code": 200})
    say.raises("empty", span.set_tags, {})
    say.raises("none", span.set_tags, None)
    say.raises("empty list", span.set_tags, [])
    say.raises("list", span.set_tags, [("x", 1)])
    span.finish()


def case_set_metrics(say):
    """set_metrics loops over items.

    covers: 2.2.set-metrics 4.2.span-methods
    """
    span = tracer.start_span("set-metrics")
    span.set_metrics({"a": 1, "b": 2.5, "c": "3"})
    say.raises("empty", span.set_metrics, {})
    say.raises("none", span.set_metrics, None)
    say.raises("empty list", span.set_metrics, [])
    say.raises("list", span.set_metrics, [("x", 1)])
    span.finish()


def case_metric_plain(say):
    """set_metric of ints and floats.

    covers: 2.2.metric-convert
    """
    for value in (0, 1, -3, 2**53, 1.5, -0.25, 1e-9):
        _metric(say, str(value), value)
    _metric(say, "int subclass", Number(5))


def case_metric_convert(say):
    """set_metric converts with float().

    covers: 2.2.metric-convert
    """
    for label, value in [
        ("int text", "12"),
        ("float text", "1.5"),
        ("spaces", " 2 "),
        ("exponent", "1e3"),
        ("decimal", Decimal("1.25")),
        ("object", AsFloat()),
    ]:
        _metric(say, label, value)


def case_metric_bad(say):
    """set_metric ignores what is no number.

    covers: 2.2.metric-bad
    """
    for label, value in [
        ("text", "abc"),
        ("empty", ""),
        ("none", None),
        ("list", [1]),
        ("complex", 1j),
        ("object", Plain()),
        ("broken", Broken()),
    ]:
        _metric(say, label, value)


def case_metric_nonfinite(say):
    """set_metric ignores nan and infinities, also as text.

    covers: 2.2.metric-nonfinite
    """
    for label, value in [
        ("nan", float("nan")),
        ("inf", float("inf")),
        ("-inf", float("-inf")),
        ("text nan", "nan"),
        ("text inf", "inf"),
    ]:
        _metric(say, label, value)


def case_metric_bool(say):
    """set_metric of a bool.

    covers: 2.2.metric-bool
    """
    _metric(say, "true", True)
    _metric(say, "false", False)


def case_metric_big(say):
    """set_metric of ints beyond 2^53.

    covers: 2.2.metric-big
    """
    for value in (2**53 + 1, 2**63 - 1, -(2**63)):
        _metric(say, str(value), value)


def case_metric_huge(say):
    """set_metric of ints beyond int64.

    covers: 2.2.metric-big
    oracle: 4.16
    """
    for value in (2**63, 2**64 + 5, -(2**63) - 1):
        _metric(say, str(value), value)


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


def case_after_finish(say):
    """Tags set after finish, while the trace is open, are sent.

    covers: 4.2.span-methods
    """
    with tracer.trace("root"):
        with tracer.trace("child") as child:
            pass
        child.set_tag("late", "text")
        child.set_metric("late.metric", 1)
        child.resource = "late resource"


def case_many(say):
    """A span may have hundreds of tags.

    covers: 4.2.span-methods
    """
    span = tracer.start_span("many")
    for number in range(300):
        span.set_tag(f"t{number}", f"v{number}")
        span.set_metric(f"m{number}", number)
    span.finish()


def case_remove(say):
    """remove_tag and remove_metric.

    covers: 4.2.span-4x
    oracle: 4.16
    """
    span = tracer.start_span("remove")
    span.set_tag("a", "1")
    span.set_tag("b", "2")
    span.set_metric("m", 1)
    span.set_metric("n", 1)
    say("returns", (span.remove_tag("a"), span.remove_metric("m")))
    say.raises("missing tag", span.remove_tag, "missing")
    say.raises("missing metric", span.remove_metric, "missing")
    say("left", (span.get_tag("a"), span.get_tag("b"), span.get_metric("m"), span.get_metric("n")))
    span.remove_tag("n")
    span.remove_metric("b")
    say("wrong map", (span.get_metric("n"), span.get_tag("b")))
    span.set_tag("a", "again")
    span.finish()
