"""What several scripts do; they import it as `case_common`, and it holds no cases itself."""

from ddtrace.trace import tracer


class Broken:
    """__str__ and __repr__ raise."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class Plain:
    """An ordinary object."""

    def __str__(self):
        return "plain-text"


class Custom(Exception):
    """An exception of an application."""


def extract(headers):
    """The Context in the headers."""
    from ddtrace.propagation.http import HTTPPropagator

    return HTTPPropagator.extract(headers)


def inject(context, headers):
    """Write a span or Context into the headers."""
    from ddtrace.propagation.http import HTTPPropagator

    HTTPPropagator.inject(context, headers)


def family():
    """A root, two children and a grandchild; returns the root."""
    with tracer.trace("root") as root:
        with tracer.trace("child"):
            with tracer.trace("grandchild"):
                pass
        with tracer.trace("sibling"):
            pass
    return root


def say_tag(say, label, value):
    """Set a tag; say what became of it."""
    span = tracer.start_span("tag")
    say.raises(f"set {label}", span.set_tag, "key", value)
    say(f"tag {label}", span.get_tag("key"))
    say(f"metric {label}", span.get_metric("key"))
    span.finish()


def spoil(error, name="root"):
    """Raise an error in a child."""
    with tracer.trace(name):
        with tracer.trace("child"):
            raise error


def described(span):
    """What an error has left on a span."""
    return (
        span.error,
        span.get_tag("error.type"),
        span.get_tag("error.message"),
        bool(span.get_tag("error.stack")),
    )
