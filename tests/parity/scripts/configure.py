"""The Tracer: attributes, configure, several instances."""

import re
import warnings

from ddtrace.trace import tracer


def case_tracer_misc(say):
    """Tracer attributes.

    covers: 4.2.tracer-misc
    """
    say("enabled", tracer.enabled)
    say("agent_trace_url", bool(re.match(r"http://127\.0\.0\.1:\d+$", tracer.agent_trace_url)))
    say("debug_logging", tracer.debug_logging)
    say("SHUTDOWN_TIMEOUT", tracer.SHUTDOWN_TIMEOUT)
    say("provider", hasattr(tracer, "context_provider"))
    say("active", tracer.context_provider.active())
    say("called", tracer.context_provider())


def case_sample(say):
    """sample decides for a span's trace.

    covers: 4.2.tracer-misc
    """
    with tracer.trace("root") as root:
        say("before", root.context.sampling_priority)
        tracer.sample(root)
        say("after", root.context.sampling_priority)


def case_configure_4x(say):
    """configure takes the arguments of 4.x.

    covers: 4.2.configure-4x
    oracle: 4.16
    alone: yes
    """
    for name, value in [
        ("context_provider", None),
        ("compute_stats_enabled", False),
        ("appsec_enabled", False),
        ("iast_enabled", False),
        ("apm_tracing_disabled", False),
        ("trace_processors", []),
    ]:
        say.raises(name, tracer.configure, **{name: value})
    say.raises("unknown", tracer.configure, nonsense=1)
    tracer.start_span("span").finish()


def case_configure_2x(say):
    """configure takes the arguments of 2.x.

    covers: 4.2.configure-2x
    oracle: 2.21
    alone: yes
    """
    say.raises("enabled", tracer.configure, enabled=True)
    say.raises("settings", tracer.configure, settings={})
    say.raises("partial", tracer.configure, partial_flush_enabled=True, partial_flush_min_spans=2)
    with tracer.trace("root"):
        for number in range(3):
            with tracer.trace(f"child{number}"):
                pass
    say.raises("provider", tracer.configure, context_provider=None)
    say.raises(
        "more",
        tracer.configure,
        priority_sampling=True,
        dogstatsd_url=None,
        api_version=None,
        compute_stats_enabled=False,
    )
    say.raises(
        "security",
        tracer.configure,
        appsec_enabled=False,
        iast_enabled=False,
        appsec_standalone_enabled=False,
    )
    tracer.start_span("span").finish()


def case_configure_agent_2x(say):
    """configure(hostname=, port=, https=, uds_path=) sets the agent's address.

    covers: 4.2.configure-2x
    oracle: 2.21
    alone: yes
    """
    from urllib.parse import urlsplit

    parts = urlsplit(tracer.agent_trace_url)
    say.raises("both", tracer.configure, hostname="localhost", port=parts.port)
    say("url", urlsplit(tracer.agent_trace_url).hostname)
    tracer.start_span("span").finish()
    tracer.flush()
    say.raises("back", tracer.configure, hostname=parts.hostname, port=parts.port, https=False)
    tracer.start_span("again").finish()


def case_configure_enabled_2x(say):
    """configure(enabled=False) switches off.

    covers: 4.2.configure-2x
    oracle: 2.21
    alone: yes
    """
    tracer.configure(enabled=False)
    say("off", tracer.enabled)
    tracer.start_span("lost").finish()
    tracer.configure(enabled=True)
    say("on", tracer.enabled)
    tracer.start_span("sent").finish()


def case_configure_enables(say):
    """configure with an argument turns the tracer on.

    covers: 4.2.configure-enables
    oracle: 4.16
    alone: yes
    """
    tracer.enabled = False
    tracer.configure(compute_stats_enabled=False)
    say("enabled", tracer.enabled)
    tracer.start_span("span").finish()


def case_second_tracer(say):
    """A second Tracer sends too.

    covers: 4.2.second-tracer 4.2.tracer-constructor
    oracle: 2.21
    alone: yes
    """
    from ddtrace.trace import Tracer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = Tracer(url=tracer.agent_trace_url)
    say("different", other is not tracer)
    with tracer.trace("first"):
        pass
    with other.trace("second"):
        pass
    tracer.flush()
    other.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        say.raises("arguments", Tracer, url=None, dogstatsd_url=None, context_provider=None)


def case_second_tracer_nested(say):
    """Spans of a second Tracer inside a span of the first.

    covers: 4.2.second-tracer
    oracle: 2.21
    alone: yes
    """
    from ddtrace.trace import Tracer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = Tracer(url=tracer.agent_trace_url)
    with tracer.trace("outer") as outer:
        with other.trace("inner") as inner:
            say("parent", inner.parent_id == outer.span_id)
            say("trace", inner.trace_id == outer.trace_id)
    tracer.flush()
    other.flush()


def case_sampler_2x(say):
    """configure(sampler=) sets what decides.

    covers: 4.2.sampler 4.2.configure-2x
    oracle: 2.21
    alone: yes
    """

    class Never:
        """A sampler that rejects."""

        def sample(self, span):
            return False

    say.raises("none", tracer.configure, sampler=None)
    tracer.start_span("default").finish()
    say.raises("own", tracer.configure, sampler=Never())
    tracer.start_span("rejected").finish()


def case_log_context_2x(say):
    """Log correlation in 2.x has bare keys.

    covers: 4.2.current 3.render.logs
    oracle: 2.21
    """
    with tracer.trace("root") as root:
        values = tracer.get_log_correlation_context()
        trace_id = values.get("trace_id", values.get("dd.trace_id"))
        say("trace id", trace_id == f"{root.trace_id:032x}")
        say("keys", sorted(values))
