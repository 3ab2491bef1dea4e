"""Tags and metrics: coercion, special keys, the two maps."""

from decimal import Decimal

from case_common import Broken, Plain, say_tag
from ddtrace.trace import tracer


class Text(str):
    """A str subclass whose str() would be something else."""

    def __str__(self):
        return "other"


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
        say_tag(say, label, value)


def case_str_subclass(say):
    """A str subclass is text too.

    covers: 2.2.str
    """
    span = tracer.start_span("subclass")
    span.set_tag("key", Text("text"))
    say("value", str.__str__(span.get_tag("key")))
    span.finish()


def case_none(say):
    """None, given or not, becomes the text None.

    covers: 2.2.none
    """
    say_tag(say, "none", None)
    span = tracer.start_span("default")
    span.set_tag("key")
    span.finish()


def case_bytes(say):
    """bytes become their repr.

    covers: 2.2.bytes
    """
    say_tag(say, "bytes", b"abc\xff")
    say_tag(say, "bytearray", bytearray(b"abc"))


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
        say_tag(say, label, value)


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
