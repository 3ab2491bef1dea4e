"""Names: modules, constants, what each library exports."""

import re
import warnings

import ddtrace
from ddtrace.trace import tracer


def case_trace_module(say):
    """Names of ddtrace.trace.

    covers: 4.1.trace-module
    """
    import ddtrace.trace

    for name in ("tracer", "Tracer", "Span", "Context", "TraceFilter"):
        say(name, hasattr(ddtrace.trace, name))
    say("tracer", type(ddtrace.trace.tracer).__name__)
    say("instance", isinstance(ddtrace.trace.tracer, ddtrace.trace.Tracer))


def case_base_context_provider(say):
    """BaseContextProvider is in ddtrace.trace.

    covers: 4.1.trace-module 4.7.provider
    """
    from ddtrace.trace import BaseContextProvider

    say("instance", isinstance(tracer.context_provider, BaseContextProvider))
    for name in ("activate", "active", "__call__"):
        say(name, hasattr(BaseContextProvider, name))


def case_package(say):
    """ddtrace.tracer is the same tracer, without a warning.

    covers: 4.1.package
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        say("same", ddtrace.tracer is tracer)
    say("warnings", len(caught))
    say("version", bool(re.match(r"\d+\.\d+", ddtrace.__version__)))


def case_package_old(say):
    """Tracer and Span of the older style.

    covers: 4.1.package-old
    oracle: 2.21
    """
    say("Tracer", ddtrace.Tracer.__name__)
    say("Span", ddtrace.Span.__name__)


def case_ext(say):
    """Modules of ddtrace.ext and some of their names.

    covers: 4.1.ext
    """
    from ddtrace.ext import SpanKind, SpanTypes, db, http, net

    say(
        "http",
        (http.URL, http.METHOD, http.STATUS_CODE, http.QUERY_STRING, http.VERSION, http.USER_AGENT),
    )
    say(
        "net",
        (
            net.TARGET_HOST,
            net.TARGET_PORT,
            net.PEER_SERVICE if hasattr(net, "PEER_SERVICE") else None,
        ),
    )
    say("db", (db.NAME, db.SYSTEM, db.USER, db.ROWCOUNT))
    say("types", (SpanTypes.WEB, SpanKind.CLIENT))


def case_ext_more(say):
    """Further modules of ddtrace.ext, as 4.x has them.

    covers: 4.1.ext
    oracle: 4.16
    """
    import importlib

    for name in (
        "consul",
        "elasticsearch",
        "kafka",
        "kombu",
        "memcached",
        "mongo",
        "redis",
        "sql",
        "user",
        "valkey",
    ):
        module = importlib.import_module(f"ddtrace.ext.{name}")
        say(
            name,
            {k: v for k, v in sorted(vars(module).items()) if k.isupper() and isinstance(v, str)},
        )


def case_ext_older(say):
    """Modules of ddtrace.ext that 4.x lost.

    covers: 4.1.ext 4.2.history
    oracle: 2.21
    """
    import importlib

    for name in ("cassandra", "aws"):
        module = importlib.import_module(f"ddtrace.ext.{name}")
        values = {k: v for k, v in vars(module).items() if k.isupper() and isinstance(v, str)}
        say(name, sorted(values.items())[:3])


def case_ext_common(say):
    """All text constants of the common modules.

    covers: 4.1.ext
    oracle: 4.16
    """
    from ddtrace.ext import db, http, net

    for module in (db, http, net):
        values = {
            k: v for k, v in sorted(vars(module).items()) if k.isupper() and isinstance(v, str)
        }
        say(module.__name__.rsplit(".", 1)[1], values)


def case_constants(say):
    """Values of ddtrace.constants.

    covers: 4.1.constants
    """
    from ddtrace import constants

    for name in (
        "AUTO_KEEP",
        "AUTO_REJECT",
        "USER_KEEP",
        "USER_REJECT",
        "ENV_KEY",
        "VERSION_KEY",
        "SERVICE_KEY",
        "SERVICE_VERSION_KEY",
        "SPAN_KIND",
        "PID",
        "MANUAL_KEEP_KEY",
        "MANUAL_DROP_KEY",
        "ERROR_MSG",
        "ERROR_TYPE",
        "ERROR_STACK",
    ):
        say(name, getattr(constants, name))


def case_span_types(say):
    """Values of SpanTypes.

    covers: 4.1.span-types
    """
    from ddtrace.ext import SpanTypes

    for name in (
        "CACHE",
        "CASSANDRA",
        "ELASTICSEARCH",
        "GRPC",
        "GRAPHQL",
        "HTTP",
        "MONGODB",
        "REDIS",
        "SERVERLESS",
        "SQL",
        "TEMPLATE",
        "TEST",
        "WEB",
        "WORKER",
        "AUTH",
        "SYSTEM",
        "LLM",
    ):
        say(name, getattr(SpanTypes, name))
    with tracer.trace("typed", span_type=SpanTypes.WEB) as span:
        say("span", span.span_type)


def case_span_types_4x(say):
    """Span types new in 4.x.

    covers: 4.1.span-types
    oracle: 4.16
    """
    from ddtrace.ext import SpanTypes

    for name in ("COSMOS", "VALKEY", "WEBSOCKET", "RAY"):
        say(name, getattr(SpanTypes, name))


def case_span_kinds(say):
    """Values of SpanKind.

    covers: 4.1.span-kinds
    """
    from ddtrace.ext import SpanKind

    for name in ("CLIENT", "SERVER", "PRODUCER", "CONSUMER"):
        say(name, getattr(SpanKind, name))


def case_span_kind_internal(say):
    """SpanKind.INTERNAL is new in 4.x.

    covers: 4.1.span-kinds
    oracle: 4.16
    """
    from ddtrace.ext import SpanKind

    say("INTERNAL", SpanKind.INTERNAL)


def case_set_struct_tag(say):
    """Struct tags of 2.x.

    covers: 4.2.span-struct
    oracle: 2.21
    """
    span = tracer.start_span("span")
    say("has", hasattr(span, "set_struct_tag"))
    span.finish()


def case_sampled(say):
    """The attribute sampled of 2.x.

    covers: 4.2.span-sampled
    oracle: 2.21
    """
    span = tracer.start_span("span")
    say("has", hasattr(span, "sampled"))
    span.finish()


def case_pin(say):
    """Pin exists in 2.x.

    covers: 4.1.pin
    oracle: 2.21
    """
    import ddtrace.trace

    say("has", hasattr(ddtrace.trace, "Pin"))


def case_patch(say):
    """config, patch and patch_all are importable.

    covers: 4.1.package
    """
    for name in ("config", "patch", "patch_all"):
        say(name, hasattr(ddtrace, name))


def case_history(say):
    """Names that 4.x no longer has.

    covers: 4.2.history
    oracle: 2.21
    """
    span = tracer.start_span("span")
    for name in ("set_tag_str", "finish_with_ancestors"):
        say(name, hasattr(span, name))
    span.finish()
    for name in ("on_start_span", "deregister_on_start_span"):
        say(name, hasattr(tracer, name))
    import ddtrace.opentracer

    say("opentracer", hasattr(ddtrace.opentracer, "Tracer"))
