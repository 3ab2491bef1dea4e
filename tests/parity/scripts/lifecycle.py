"""enabled, flush, shutdown, exit, context providers."""

import logging

from ddtrace.trace import tracer


class Recorder(logging.Handler):
    """Keeps the records of warnings and worse."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []
        logging.getLogger().addHandler(self)

    def emit(self, record):
        """Keep the text."""
        self.texts.append(record.getMessage())


def case_disabled(say):
    """A disabled tracer makes spans and sends nothing.

    covers: 4.7.disabled 4.2.tracer-misc
    alone: yes
    """
    tracer.enabled = False
    say("enabled", tracer.enabled)
    with tracer.trace("off") as span:
        say("active", tracer.current_span() is span)
        span.set_tag("a", "b")
        with tracer.trace("child"):
            pass
    say("after", tracer.current_span())
    tracer.enabled = True
    with tracer.trace("on"):
        pass


def case_disabled_error(say):
    """Exceptions go through a disabled tracer.

    covers: 4.7.disabled
    alone: yes
    """
    tracer.enabled = False

    def work():
        with tracer.trace("off"):
            raise ValueError("boom")

    say.raises("raises", work)
    say.raises("wrapped", tracer.wrap()(work))


def case_disabled_env(say):
    """DD_TRACE_ENABLED=false.

    covers: 4.7.disabled
    alone: yes
    env: DD_TRACE_ENABLED=false
    """
    say("enabled", tracer.enabled)
    with tracer.trace("off"):
        pass


def case_disabled_otel(say):
    """OTEL_TRACES_EXPORTER=none.

    covers: 4.7.disabled
    alone: yes
    env: OTEL_TRACES_EXPORTER=none
    """
    say("enabled", tracer.enabled)
    with tracer.trace("off"):
        pass


def case_disabled_logs(say):
    """A disabled tracer has no ids for logs.

    covers: 4.7.disabled-logs
    alone: yes
    oracle: 4.16
    """
    tracer.enabled = False
    with tracer.trace("off"):
        values = tracer.get_log_correlation_context()
        say("ids", (values["dd.trace_id"], values["dd.span_id"]))


def case_disabled_midway(say):
    """A span begun enabled and finished disabled is lost.

    covers: 4.7.disabled-midway
    alone: yes
    """
    span = tracer.start_span("lost")
    tracer.enabled = False
    span.finish()
    tracer.enabled = True
    with tracer.trace("sent"):
        pass


def case_enabled_midway(say):
    """A span begun disabled and finished enabled.

    covers: 4.7.disabled-midway
    alone: yes
    """
    tracer.enabled = False
    span = tracer.start_span("begun-disabled")
    tracer.enabled = True
    say.raises("finish", span.finish)
    tracer.start_span("other").finish()


def case_flush(say):
    """flush sends what is complete; what is open stays.

    covers: 4.7.flush
    """
    open_root = tracer.start_span("open")
    tracer.start_span("open.child", child_of=open_root).finish()
    with tracer.trace("complete"):
        pass
    say("returns", tracer.flush())
    with tracer.trace("second"):
        pass
    tracer.flush()
    open_root.finish()


def case_flush_empty(say):
    """flush with nothing to send.

    covers: 4.7.flush
    """
    say.raises("flush", tracer.flush)
    say.raises("again", tracer.flush)


def case_shutdown(say):
    """shutdown sends what is complete.

    covers: 4.7.shutdown 4.7.shutdown-after
    alone: yes
    """
    with tracer.trace("before"):
        pass
    say("returns", tracer.shutdown())
    say.raises("after", lambda: tracer.trace("after").finish())


def case_shutdown_timeout(say):
    """shutdown takes a timeout.

    covers: 4.7.shutdown
    alone: yes
    """
    with tracer.trace("before"):
        pass
    say.raises("timeout", tracer.shutdown, timeout=5)
    say.raises("again", tracer.shutdown, 5)


def case_shutdown_unfinished(say):
    """shutdown with open spans says so.

    covers: 4.4.unfinished-warning 4.7.shutdown
    alone: yes
    """
    records = Recorder()
    span = tracer.start_span("left-open")
    tracer.shutdown()
    say("warned", any("left-open" in text for text in records.texts))
    del span


def case_shutdown_after_warning(say):
    """Spans begun after shutdown are warned about.

    covers: 4.7.shutdown-after
    alone: yes
    """
    tracer.shutdown()
    records = Recorder()
    for _ in range(3):
        tracer.start_span("late").finish()
    say("warned", len(records.texts) > 0)


def case_shutdown_state(say):
    """What shutdown leaves behind.

    covers: 4.7.shutdown-state
    alone: yes
    oracle: 4.16
    """
    span = tracer.trace("open")
    tracer.shutdown()
    say("enabled", tracer.enabled)
    say("active", tracer.current_span())
    span.finish()


def case_atexit(say):
    """What is complete leaves at exit.

    covers: 4.7.atexit
    flush: no
    """
    with tracer.trace("root"):
        with tracer.trace("child"):
            pass
    tracer.start_span("second").finish()


def case_atexit_unfinished(say):
    """What is open at exit is not sent.

    covers: 4.7.atexit 4.4.unfinished 4.4.unfinished-warning
    flush: no
    """
    tracer.trace("open")
    tracer.start_span("complete").finish()


def case_atexit_after_flush(say):
    """Nothing is sent twice.

    covers: 4.7.atexit 4.7.flush
    flush: no
    """
    tracer.start_span("first").finish()
    tracer.flush()
    tracer.start_span("second").finish()


def case_provider(say):
    """The context provider's functions.

    covers: 4.7.provider
    """
    provider = tracer.context_provider
    say("empty", (provider.active(), provider()))
    with tracer.trace("root") as root:
        say("active", (provider.active() is root, provider() is root))
    span = tracer.start_span("other")
    say("activate", provider.activate(span) is None)
    say("activated", provider.active() is span)
    span.finish()


def case_provider_custom(say):
    """A context provider of the user.

    covers: 4.7.provider
    alone: yes
    """
    from ddtrace.trace import BaseContextProvider

    class Provider(BaseContextProvider):
        """Keeps the active item in an attribute."""

        def __init__(self):
            super().__init__()
            self.item = None
            self.calls = []

        def _has_active_context(self):
            return self.item is not None

        def activate(self, ctx):
            self.calls.append(getattr(ctx, "name", type(ctx).__name__))
            self.item = ctx
            return ctx

        def active(self):
            item = self.item
            while item is not None and getattr(item, "finished", False):
                item = getattr(item, "_parent", None)
            self.item = item
            return item

    provider = Provider()
    tracer.configure(context_provider=provider)
    say("same", tracer.context_provider is provider)
    with tracer.trace("root") as root:
        say("current", tracer.current_span() is root)
        provider.item = None
        say("none", tracer.current_span())
        with tracer.trace("second") as second:
            say("parent", second.parent_id)
        provider.item = root
    say("calls", provider.calls)


def case_provider_2x(say):
    """_has_active_context of 2.x.

    covers: 4.7.provider-2x
    oracle: 2.21
    """
    say("empty", tracer.context_provider._has_active_context())
    with tracer.trace("root"):
        say("root", tracer.context_provider._has_active_context())
