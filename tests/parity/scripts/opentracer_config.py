"""The OpenTracing face: how its tracer is made and configured.

oracle: 2.21
alone: yes
"""

import inspect

import ddtrace
from ddtrace.opentracer import Tracer
from ddtrace.opentracer.settings import ConfigKeys
from ddtrace.opentracer.tags import Tags


def case_names(say):
    """Modules and names.

    covers: 9.exports
    alone: no
    """
    import importlib

    say("all", sorted(importlib.import_module("ddtrace.opentracer").__all__))
    for name in ("tracer", "span", "span_context", "helpers", "settings", "tags", "propagation"):
        say(name, importlib.import_module(f"ddtrace.opentracer.{name}").__name__.rsplit(".", 1)[1])
    say("tags", sorted(Tags._asdict().items()))


def case_signatures(say):
    """Parameters of Tracer and of what starts spans.

    covers: 9.signatures
    alone: no
    """
    for function in (Tracer, Tracer.start_span, Tracer.start_active_span, Tracer.inject):
        parameters = inspect.signature(function).parameters
        say(function.__name__, [(p.name, p.default is None) for p in parameters.values()])


def case_global_tracer(say):
    """The library's global tracer does the work.

    covers: 9.dd-tracer
    alone: no
    """
    say("same", Tracer("svc")._dd_tracer is ddtrace.tracer)


def case_service_default(say):
    """Without a service name the program's name is it.

    covers: 9.service.default
    launch: file shop/app.py
    """
    Tracer().start_span("span").finish()


def case_keys(say):
    """Names and defaults of the configuration.

    covers: 9.config.keys
    alone: no
    """
    say("keys", sorted(ConfigKeys._asdict().items()))
    say("defaults", sorted(Tracer("svc")._config.items()))


def case_merge(say):
    """What the application says goes before the defaults, which stay for the rest.

    covers: 9.config.merge
    """
    tracer = Tracer("svc", config={"debug": True, "global_tags": {"team": "core"}})
    say("config", sorted(tracer._config.items()))
    tracer.start_span("span").finish()


def case_agent(say):
    """agent_hostname, agent_port and agent_https make the agent's address.

    covers: 9.config.agent
    """
    url = ddtrace.tracer.agent_trace_url
    Tracer("svc", config={"agent_hostname": "agent.local", "agent_port": 8200})
    say("url", ddtrace.tracer.agent_trace_url)
    Tracer("svc", config={"agent_hostname": "agent.local", "agent_https": True})
    say("https", ddtrace.tracer.agent_trace_url.partition(":")[0])
    Tracer("svc", config={"uds_path": "/var/run/agent.socket"})
    say("uds", ddtrace.tracer.agent_trace_url)
    say("changed", ddtrace.tracer.agent_trace_url != url)


def case_tutorial(say):
    """The configuration that tutorials show.

    covers: 9.config.agent
    """
    url = ddtrace.tracer.agent_trace_url
    host, _, port = url.rpartition("/")[2].partition(":")
    tracer = Tracer("svc", config={"agent_hostname": host, "agent_port": int(port)})
    say("url", ddtrace.tracer.agent_trace_url == url)
    tracer.start_span("span").finish()


def case_enabled(say):
    """enabled=False turns the tracer off.

    covers: 9.config.enabled
    """
    tracer = Tracer("svc", config={"enabled": False})
    say("enabled", ddtrace.tracer.enabled)
    with tracer.start_active_span("span"):
        pass
    Tracer("svc", config={"enabled": True}).start_span("sent").finish()
    say("enabled", ddtrace.tracer.enabled)


def case_filters(say):
    """Filters are given as settings.

    covers: 9.config.filters
    """
    from ddtrace.trace import TraceFilter

    class Mark(TraceFilter):
        def process_trace(self, trace):
            for span in trace:
                span.set_tag("marked", "yes")
            return trace

    Tracer("svc", config={"settings": {"FILTERS": [Mark()]}}).start_span("span").finish()


def case_unknown_key(say):
    """An unknown key is ignored.

    covers: 9.config.unknown
    alone: no
    """
    say.raises("quiet", lambda: Tracer("svc", config={"agent_hostnam": "x"}) and None)
    say.raises("debug", lambda: Tracer("svc", config={"agent_hostnam": "x", "debug": True}) and 0)


def case_unknown_key_testing(say):
    """An unknown key raises with debug on, where mistakes are to raise.

    covers: 9.config.unknown
    alone: no
    env: DD_TESTING_RAISE=true
    """
    say.raises("quiet", lambda: Tracer("svc", config={"agent_hostnam": "x"}) and None)
    say.raises("debug", lambda: Tracer("svc", config={"agent_hostnam": "x", "debug": True}) and 0)


def case_scope_managers(say):
    """Scope managers of the package opentracing are taken.

    covers: 9.scope.managers
    alone: no
    """
    from opentracing.scope_managers import ThreadLocalScopeManager
    from opentracing.scope_managers.contextvars import ContextVarsScopeManager

    for manager in (ThreadLocalScopeManager(), ContextVarsScopeManager()):
        tracer = Tracer("svc", scope_manager=manager)
        say("same", tracer.scope_manager is manager)
        with tracer.start_active_span("parent") as scope:
            say("active", manager.active is scope)
            with ddtrace.tracer.trace("native"):
                with tracer.start_active_span("child"):
                    pass
        say("after", manager.active)


def case_scope_manager_default(say):
    """What keeps the scopes where nobody says anything.

    covers: 9.scope.managers
    alone: no
    """
    say("default", type(Tracer("svc").scope_manager).__name__)
