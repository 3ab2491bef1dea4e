"""Variables of OpenTelemetry that stand in for the tracer's own.

oracle: 4.16
"""

from ddtrace.trace import tracer


def _root(say):
    with tracer.trace("root") as span:
        say("service", span.service)
    say("priority", span.context.sampling_priority)


def case_service_name(say):
    """OTEL_SERVICE_NAME is the service.

    covers: 11.otel.service-name
    env: OTEL_SERVICE_NAME=shop
    """
    _root(say)


def case_service_name_loses(say):
    """DD_SERVICE wins over OTEL_SERVICE_NAME.

    covers: 11.otel.dd-wins
    env: OTEL_SERVICE_NAME=shop DD_SERVICE=bakery
    """
    _root(say)


def case_resource_attributes(say):
    """OTEL_RESOURCE_ATTRIBUTES gives env, version, service and tags.

    covers: 11.otel.resource-attributes
    env: OTEL_RESOURCE_ATTRIBUTES=deployment.environment=prod,service.name=shop,service.version=2,team=kitchen
    """
    _root(say)


def case_resource_attributes_many(say):
    """Ten tags of OTEL_RESOURCE_ATTRIBUTES count.

    covers: 11.otel.resource-attributes-10
    env: OTEL_RESOURCE_ATTRIBUTES=a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=10,k=11,l=12
    """
    _root(say)


def case_service_name_and_attributes(say):
    """OTEL_SERVICE_NAME wins over service.name among the attributes.

    covers: 11.otel.service-name
    env: OTEL_SERVICE_NAME=shop OTEL_RESOURCE_ATTRIBUTES=service.name=other
    """
    _root(say)


def case_sampler_always_off(say):
    """always_off rejects.

    covers: 11.otel.sampler
    env: OTEL_TRACES_SAMPLER=always_off
    """
    _root(say)


def case_sampler_parent_always_on(say):
    """parentbased_always_on keeps.

    covers: 11.otel.sampler
    env: OTEL_TRACES_SAMPLER=parentbased_always_on
    """
    _root(say)


def case_sampler_ratio(say):
    """traceidratio keeps the share that its argument says.

    covers: 11.otel.sampler-arg
    env: OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0.0
    """
    _root(say)


def case_sampler_ratio_without_argument(say):
    """traceidratio without an argument keeps all.

    covers: 11.otel.sampler-arg
    env: OTEL_TRACES_SAMPLER=parentbased_traceidratio
    """
    _root(say)


def case_sampler_unknown(say):
    """A sampler that nobody knows changes nothing.

    covers: 11.otel.sampler-unknown
    env: OTEL_TRACES_SAMPLER=jaeger_remote
    """
    _root(say)


def case_sampler_loses(say):
    """Sampling rules win over OTEL_TRACES_SAMPLER.

    covers: 11.otel.dd-wins
    env: OTEL_TRACES_SAMPLER=always_off 'DD_TRACE_SAMPLING_RULES=[{"sample_rate":1.0}]'
    """
    _root(say)


def case_sdk_disabled(say):
    """OTEL_SDK_DISABLED turns off OpenTelemetry's spans and not native ones.

    covers: 11.otel.sdk-disabled
    env: OTEL_SDK_DISABLED=true
    """
    _root(say)


def case_exporter_none(say):
    """OTEL_TRACES_EXPORTER=none turns tracing off.

    covers: 11.otel.exporter-none
    env: OTEL_TRACES_EXPORTER=none
    """
    say("enabled", tracer.enabled)


def case_propagators(say):
    """OTEL_PROPAGATORS names the styles.

    covers: 11.otel.propagators
    env: OTEL_PROPAGATORS=b3,tracecontext
    """
    from ddtrace.propagation.http import HTTPPropagator

    headers = {}
    with tracer.trace("root") as span:
        HTTPPropagator.inject(span.context, headers)
    say("headers", sorted(headers))
