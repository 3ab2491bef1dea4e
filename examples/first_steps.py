"""First steps: the ways to make a span, each in a few lines.

    DD_TRACE_AGENT_URL=http://localhost:8126 python examples/first_steps.py

The traces are sent in the background and, what is left of them, when the program ends.
"""

from fasttrace import tracer


@tracer.wrap()
def greet(name):
    """Be traced by a decorator: a span for each call, named after the function."""
    return f"hello {name}"


@tracer.wrap("greeter.shout", service="greeter", resource="loud")
def shout(name):
    """Be traced under a name, a service and a resource of one's own."""
    return greet(name).upper()  # a call inside a span becomes its child


def nested():
    """Trace blocks of code: a span lasts as long as its `with`; spans inside are its children."""
    with tracer.trace("outer", service="greeter") as outer:
        outer.set_tag("greeting.language", "en")  # text goes to the tags
        outer.set_tag("greeting.count", 3)  # a number to the metrics
        with tracer.trace("inner") as inner:
            assert tracer.current_span() is inner
            assert tracer.current_root_span() is outer
            assert inner.parent_id == outer.span_id
            assert inner.trace_id == outer.trace_id


def by_hand():
    """Start and finish spans where no block fits; `start_span` needs to be told its parent."""
    request = tracer.trace("request.by_hand", service="greeter")  # begins, and is the current span
    step = tracer.start_span("step.by_hand", child_of=request)  # begins, current stays `request`
    step.finish()
    request.finish()


def errors():
    """Let an exception leave a `with`, or mark an error that is none in Python."""
    try:
        with tracer.trace("division", service="greeter"):
            1 / 0  # noqa: B018
    except ZeroDivisionError:
        pass  # the span has noted type, message and stack; the exception itself goes on
    with tracer.trace("answer", service="greeter") as span:
        span.error = 1


if __name__ == "__main__":
    tracer.set_tags({"team": "greeters"})  # on every span from here on
    greet("world")
    shout("world")
    nested()
    by_hand()
    errors()
    tracer.flush()
    print("9 spans in 6 traces were handed to the agent")
