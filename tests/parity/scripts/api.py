"""Names, signatures, attributes, constructors and their tolerance."""

import copy
import pickle
import re
import warnings

import ddtrace
from ddtrace.trace import Context, Span, tracer

BIG = 0x640CFD8D00000000ABCDEF0123456789


class Odd:
    """No text to speak of."""

    def __str__(self):
        return "odd-text"


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


def case_propagator(say):
    """HTTPPropagator with its two functions.

    covers: 4.1.propagator 4.2.extract 4.2.inject-4x
    """
    from ddtrace.propagation.http import HTTPPropagator

    headers = {}
    HTTPPropagator.inject(Context(trace_id=BIG, span_id=77, sampling_priority=2), headers)
    context = HTTPPropagator.extract(headers)
    say(
        "context",
        (type(context).__name__, context.trace_id, context.span_id, context.sampling_priority),
    )
    empty = HTTPPropagator.extract({})
    say("empty", (empty.trace_id, empty.span_id, empty.sampling_priority))
    say("instance", HTTPPropagator().extract(headers).trace_id == BIG)


def case_inject_span(say):
    """inject takes a span.

    covers: 4.2.inject-4x
    oracle: 4.16
    """
    from ddtrace.propagation.http import HTTPPropagator

    with tracer.trace("root") as root:
        headers = {}
        HTTPPropagator.inject(root, headers)
        say("id", headers["x-datadog-parent-id"] == str(root.span_id))
        say("keys", sorted(headers))


def case_inject_non_active(say):
    """inject with the argument non_active_span of 2.x.

    covers: 4.2.inject-2x
    oracle: 2.21
    """
    from ddtrace.propagation.http import HTTPPropagator

    with tracer.trace("root") as root:
        headers = {}
        HTTPPropagator.inject(root.context, headers, root)
        say("id", headers["x-datadog-parent-id"] == str(root.span_id))
        HTTPPropagator.inject(root.context, headers, non_active_span=root)


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


def case_span_constructor(say):
    """Span made by its constructor.

    covers: 4.2.span-constructor 4.2.span-attributes
    """
    span = Span(
        "name",
        service="svc",
        resource="res",
        span_type="web",
        trace_id=BIG,
        span_id=77,
        parent_id=88,
        start=1500000000,
    )
    say(
        "attributes",
        (
            span.name,
            span.service,
            span.resource,
            span.span_type,
            span.trace_id,
            span.span_id,
            span.parent_id,
            span.start,
            span.error,
        ),
    )
    say("context", (span.context.trace_id, span.context.span_id))
    say("duration", (span.duration, span.finished))
    span.finish(finish_time=1500000100)
    say("after", (span.duration, span.finished))


def case_span_constructor_positional(say):
    """The order of the constructor's arguments.

    covers: 4.2.span-constructor
    """
    span = Span("name", "svc", "res", "web", 5, 6, 7, 1500000000.5)
    say(
        "attributes",
        (
            span.name,
            span.service,
            span.resource,
            span.span_type,
            span.trace_id,
            span.span_id,
            span.parent_id,
            span.start_ns,
        ),
    )


def case_span_constructor_defaults(say):
    """A Span with a name alone.

    covers: 4.2.span-constructor
    """
    span = Span("name")
    say(
        "attributes",
        (span.service, span.resource, span.span_type, span.parent_id, span.error, span.duration),
    )
    say("ids", (span.trace_id > 2**64, 0 < span.span_id < 2**64))
    say("context", span.context.trace_id == span.trace_id)
    say.raises("nothing", Span)
    say.raises("unknown", Span, "x", nonsense=1)


def case_span_constructor_context(say):
    """A Span with a context.

    covers: 4.2.span-constructor
    """
    context = Context(trace_id=5, span_id=6, sampling_priority=2, baggage={"a": "1"})
    span = Span("name", context=context, trace_id=5)
    say(
        "context",
        (
            span.context.trace_id,
            span.context.span_id == span.span_id,
            span.context.sampling_priority,
        ),
    )
    say("baggage", span.context.get_baggage_item("a"))


def case_attributes_rw(say):
    """Attributes that can be written.

    covers: 4.2.span-attributes
    """
    with tracer.trace("span") as span:
        span.name = "renamed"
        span.service = "svc"
        span.resource = "res"
        span.span_type = "web"
        span.error = 1
        say("values", (span.name, span.service, span.resource, span.span_type, span.error))


def case_context_shared_identity(say):
    """span.context is one object.

    covers: 4.2.span-attributes
    """
    with tracer.trace("span") as span:
        say("same", span.context is span.context)
        say("ids", (span.context.trace_id == span.trace_id, span.context.span_id == span.span_id))


def case_tolerance_name(say):
    """Names of a wrong type.

    covers: 2.3.name
    oracle: 4.16
    """
    for label, value in [("int", 5), ("bytes", b"x"), ("list", ["a"]), ("object", Odd())]:
        span = tracer.start_span(value)
        say(label, (span.name, span.resource))
        span.finish()


def case_tolerance_name_none(say):
    """The name None.

    covers: 2.3.name-none
    oracle: 4.16
    """
    span = Span(None)
    say("none", (span.name, span.resource))


def case_tolerance_resource(say):
    """Resources of a wrong type, and an empty one.

    covers: 2.3.resource
    oracle: 4.16
    """
    for label, value in [("int", 5), ("list", ["a"]), ("object", Odd()), ("empty", "")]:
        span = tracer.start_span("name", resource=value)
        say(label, span.resource)
        span.finish()


def case_tolerance_bytes(say):
    """Bytes where text belongs.

    covers: 2.3.resource 2.3.service 2.3.span-type
    oracle: 4.16
    """
    span = tracer.start_span("name", resource=b"res", service=b"svc", span_type=b"web")
    say("values", (span.resource, span.service, span.span_type))
    span.finish()


def case_tolerance_service(say):
    """Services of a wrong type.

    covers: 2.3.service
    oracle: 4.16
    """
    for label, value in [("int", 5), ("object", Odd())]:
        span = tracer.start_span("name", service=value)
        say(label, span.service)
        span.finish()


def case_tolerance_service_unhashable(say):
    """A list as service.

    covers: 2.3.service
    oracle: 4.16
    """
    say.raises("list", tracer.start_span, "name", service=["a"])


def case_tolerance_span_type(say):
    """Span types of a wrong type.

    covers: 2.3.span-type
    oracle: 4.16
    """
    for label, value in [("int", 5), ("list", ["a"]), ("object", Odd())]:
        span = tracer.start_span("name", span_type=value)
        say(label, span.span_type)
        span.finish()


def case_tolerance_assigned(say):
    """Wrong types assigned later.

    covers: 2.3.name 2.3.resource 2.3.service 2.3.span-type
    oracle: 4.16
    """
    for label, value in [("int", 5), ("none", None), ("object", Odd())]:
        with tracer.trace("span", service="svc", resource="res", span_type="web") as span:
            for attribute in ("name", "service", "resource", "span_type"):
                say.raises(f"{attribute} {label}", setattr, span, attribute, value)
                say(f"value {attribute} {label}", getattr(span, attribute))


def case_tolerance_str_subclass(say):
    """Subclasses of str keep their text.

    covers: 2.3.name
    """

    class Text(str):
        """A subclass."""

    with tracer.trace(
        Text("name"), service=Text("svc"), resource=Text("res"), span_type=Text("web")
    ) as span:
        say("values", (str(span.name), str(span.service), str(span.resource), str(span.span_type)))


def case_tolerance_ids(say):
    """Ids of a wrong type are replaced.

    covers: 2.3.bad-ids
    oracle: 4.16
    """
    for label, value in [("text", "x"), ("float", 1.5), ("list", [1]), ("none", None)]:
        span = Span("name", trace_id=value, span_id=value, parent_id=value)
        say(
            label,
            (
                isinstance(span.trace_id, int),
                isinstance(span.span_id, int),
                span.span_id != 0,
                span.parent_id,
            ),
        )


def case_tolerance_zero_ids(say):
    """Ids of zero.

    covers: 2.3.zero-span-id 2.3.zero-parent
    oracle: 4.16
    """
    span = Span("name", span_id=0)
    say("span_id", span.span_id)
    span = Span("name", parent_id=0)
    say("parent_id", span.parent_id)
    span = Span("name", trace_id=0)
    say("trace_id", span.trace_id == 0)


def case_tolerance_error(say):
    """error of any type.

    covers: 2.3.error
    oracle: 4.16
    """
    for label, value in [
        ("true", True),
        ("three", 3),
        ("text", "x"),
        ("none", None),
        ("float", 1.5),
        ("huge", 2**40),
        ("negative", -1),
    ]:
        span = tracer.start_span("span")
        say.raises(label, setattr, span, "error", value)
        say(f"error {label}", span.error)
        span.finish()


def case_tolerance_start(say):
    """A start of a wrong type.

    covers: 2.3.raw-2x
    oracle: 4.16
    """
    for label, value in [("text", "x"), ("list", [])]:
        say.raises(label, Span, "name", start=value)


def case_raw_2x(say):
    """Wrong types cost 2.x the trace.

    covers: 2.3.raw-2x
    oracle: 2.21
    alone: yes
    """
    for label, fields in [
        ("service", {"service": 5}),
        ("resource", {"resource": 5}),
        ("type", {"span_type": 5}),
    ]:
        span = tracer.start_span(label, **fields)
        say.raises(label, span.finish)


def case_slots(say):
    """Unknown attributes are refused.

    covers: 2.3.slots
    """
    span = tracer.start_span("span")
    say.raises("set", setattr, span, "unknown_attribute", 1)
    say.raises("get", getattr, span, "unknown_attribute")
    span.finish()


def case_str(say):
    """str of a span.

    covers: 2.3.str
    """
    say("str", str(Span("name", trace_id=5, span_id=6, parent_id=7)))
    say("root", str(Span("name", trace_id=5, span_id=6)))


def case_repr(say):
    """repr of a span.

    covers: 2.3.repr
    oracle: 2.21
    """
    say("repr", repr(Span("name", trace_id=5, span_id=6, parent_id=7)))


def case_context_constructor(say):
    """Context made by its constructor.

    covers: 4.2.context-constructor 4.2.context-attributes
    """
    context = Context(
        trace_id=BIG,
        span_id=77,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        metrics={"m": 1},
        baggage={"b": "c"},
        is_remote=False,
    )
    say(
        "attributes",
        (
            context.trace_id,
            context.span_id,
            context.dd_origin,
            context.sampling_priority,
            context.dd_user_id,
        ),
    )
    say("baggage", context.get_all_baggage_items())
    empty = Context()
    say(
        "empty",
        (empty.trace_id, empty.span_id, empty.dd_origin, empty.sampling_priority, empty.dd_user_id),
    )
    say(
        "positional",
        (lambda c: (c.trace_id, c.span_id, c.dd_origin, c.sampling_priority))(
            Context(5, 6, "rum", 1)
        ),
    )


def case_context_attributes(say):
    """Context attributes can be written.

    covers: 4.2.context-attributes
    """
    context = Context()
    context.trace_id = 5
    context.span_id = 6
    context.sampling_priority = 1
    context.dd_origin = "rum"
    context.dd_user_id = "me"
    say(
        "values",
        (
            context.trace_id,
            context.span_id,
            context.sampling_priority,
            context.dd_origin,
            context.dd_user_id,
        ),
    )
    context.sampling_priority = None
    context.dd_origin = None
    context.dd_user_id = None
    say("none", (context.sampling_priority, context.dd_origin, context.dd_user_id))


def case_context_user_id(say):
    """dd_user_id is propagated.

    covers: 4.2.context-attributes
    """
    with tracer.trace("root") as root:
        root.context.dd_user_id = "me"
        say("value", root.context.dd_user_id)
        with tracer.trace("child"):
            pass


def case_context_baggage(say):
    """Baggage functions.

    covers: 4.2.context-baggage
    """
    context = Context(trace_id=5, span_id=6)
    say("set", context.set_baggage_item("a", "1"))
    context.set_baggage_item("b", "2")
    context.set_baggage_item("a", "3")
    say("get", (context.get_baggage_item("a"), context.get_baggage_item("missing")))
    say("all", context.get_all_baggage_items())
    context.remove_baggage_item("a")
    say.raises("missing", context.remove_baggage_item, "missing")
    say("removed", context.get_all_baggage_items())
    context.remove_all_baggage_items()
    say("empty", context.get_all_baggage_items())


def case_context_baggage_odd(say):
    """Baggage values are kept as given.

    covers: 4.2.context-baggage
    """
    context = Context()
    for label, value in [("int", 1), ("none", None), ("empty", "")]:
        say.raises(label, context.set_baggage_item, label, value)
        say(f"value {label}", context.get_baggage_item(label))


def case_context_copy(say):
    """Context.copy gives other ids and the same values.

    covers: 4.2.context-copy
    oracle: 4.16
    """
    context = Context(
        trace_id=5,
        span_id=6,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        baggage={"a": "1"},
    )
    other = context.copy(7, 8)
    say("values", (other.trace_id, other.span_id, other.dd_origin, other.sampling_priority))
    say("baggage", other.get_all_baggage_items())
    other.set_baggage_item("b", "2")
    say("shared", context.get_baggage_item("b"))


def case_context_equality(say):
    """Contexts compare by value.

    covers: 4.2.context-attributes
    """
    say("equal", Context(trace_id=5, span_id=6) == Context(trace_id=5, span_id=6))
    say("other", Context(trace_id=5, span_id=6) == Context(trace_id=5, span_id=7))
    say("nothing", Context(trace_id=5, span_id=6) == 5)
    say(
        "priority",
        Context(trace_id=5, span_id=6, sampling_priority=1) == Context(trace_id=5, span_id=6),
    )


def case_context_pickle(say):
    """A Context pickles by value.

    covers: 4.2.context-attributes
    """
    context = Context(
        trace_id=BIG,
        span_id=6,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        baggage={"a": "1"},
    )
    other = pickle.loads(pickle.dumps(context))
    say("equal", other == context)
    say(
        "values",
        (
            other.trace_id,
            other.span_id,
            other.dd_origin,
            other.sampling_priority,
            other.get_all_baggage_items(),
        ),
    )
    with tracer.trace("root") as root:
        again = pickle.loads(pickle.dumps(root.context))
        say("span's", (again.trace_id == root.trace_id, again.span_id == root.span_id))


def case_context_pickled_parent(say):
    """A pickled Context carries its values into another trace part.

    covers: 4.2.context-attributes 2.1.every.p-tags
    """
    context = Context(
        trace_id=123,
        span_id=456,
        dd_origin="rum",
        sampling_priority=2,
        meta={"_dd.p.x": "y"},
        baggage={"a": "1"},
    )
    tracer.context_provider.activate(pickle.loads(pickle.dumps(context)))
    with tracer.trace("root") as root:
        say("baggage", root.context.get_baggage_item("a"))
        with tracer.trace("child"):
            pass


def case_context_deepcopy(say):
    """A Context can be copied.

    covers: 4.2.context-attributes
    """
    context = Context(trace_id=BIG, span_id=6, dd_origin="rum", sampling_priority=2)
    other = copy.deepcopy(context)
    say("values", (other == context, other is context))


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
