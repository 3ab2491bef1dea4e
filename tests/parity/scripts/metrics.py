"""set_metric, and set_tag of numbers."""

from decimal import Decimal

from case_common import Broken, Plain, say_tag
from ddtrace.trace import tracer


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


class AsFloat:
    """Only __float__."""

    def __float__(self):
        return 2.5

    def __str__(self):
        return "as-float"


def _metric(say, label, value):
    span = tracer.start_span("metric")
    say.raises(f"set {label}", span.set_metric, "key", value)
    say(f"metric {label}", span.get_metric("key"))
    say(f"tag {label}", span.get_tag("key"))
    span.finish()


def case_bool(say):
    """True and False become text.

    covers: 2.2.bool
    """
    say_tag(say, "true", True)
    say_tag(say, "false", False)


def case_int(say):
    """Ints up to 2^53 are metrics.

    covers: 2.2.int
    """
    for value in (0, 1, -1, 2**31, 2**32 + 1, -(2**40), 2**53, -(2**53)):
        say_tag(say, str(value), value)
    say_tag(say, "subclass", Number(5))


def case_int_big(say):
    """Ints beyond 2^53 within int64.

    covers: 2.2.int-big
    """
    for value in (2**53 + 1, -(2**53) - 1, 2**60, 2**63 - 1, -(2**63)):
        say_tag(say, str(value), value)


def case_int_huge(say):
    """Ints beyond int64 become text.

    covers: 2.2.int-big
    """
    for value in (2**63, 2**64, -(2**63) - 1, 10**30):
        say_tag(say, str(value), value)


def case_float(say):
    """Finite floats are metrics.

    covers: 2.2.float
    """
    for value in (0.0, -0.0, 1.0, 0.1, -2.5, 1e300, 5e-324):
        say_tag(say, str(value), value)
    say_tag(say, "subclass", Real(1.5))


def case_nonfinite(say):
    """nan and infinities are dropped.

    covers: 2.2.nonfinite
    """
    for label, value in [("nan", float("nan")), ("inf", float("inf")), ("-inf", float("-inf"))]:
        say_tag(say, label, value)


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


def case_as_float(say):
    """An object with __float__ only.

    covers: 2.2.other
    """
    say_tag(say, "float", AsFloat())


def case_index(say):
    """An object with __index__ only.

    covers: 2.2.index
    """
    say_tag(say, "index", Index())


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
