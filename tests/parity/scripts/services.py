"""Service, version, env, DD_TAGS: what the settings put on spans."""

from ddtrace.trace import Context, tracer


def _family(service=None):
    with tracer.trace("root", service=service) as root:
        with tracer.trace("child"):
            pass
        with tracer.trace("foreign", service="foreign"):
            with tracer.trace("inherits"):
                pass
            with tracer.trace("back", service=root.service):
                pass
    return root


def case_env_version(say):
    """env on every span, version by the rule.

    covers: 2.1.every.env 2.1.version.no-root 2.1.version.same-service 2.1.version.foreign 2.1.service.env
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    _family()


def case_version_foreign_root(say):
    """A foreign root has no version and so its children have none.

    covers: 2.1.version.foreign 2.1.version.same-service
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    with tracer.trace("root", service="foreign"):
        with tracer.trace("inherits"):
            pass
        with tracer.trace("own", service="mysvc"):
            pass


def case_version_detached(say):
    """Without an active root the service alone decides.

    covers: 2.1.version.no-root
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    foreign = tracer.start_span("foreign", child_of=root, service="foreign")
    back = tracer.start_span("back", child_of=foreign, service="mysvc")
    for span in (back, foreign, child, root):
        span.finish()


def case_version_other_active_root(say):
    """start_span roots look at the active root.

    covers: 2.1.version.same-service
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    with tracer.trace("active", service="foreign"):
        tracer.start_span("root").finish()
        tracer.start_span("foreign", service="foreign").finish()


def case_version_child_of(say):
    """With child_of, too, the active root decides.

    covers: 2.1.version.same-service 2.1.version.no-root
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    own = tracer.start_span("own")
    foreign = tracer.start_span("foreign", service="foreign")
    tracer.start_span("nothing active, below foreign", child_of=foreign, service="mysvc").finish()
    with tracer.trace("active foreign", service="foreign"):
        tracer.start_span("below own", child_of=own, service="mysvc").finish()
        tracer.start_span(
            "below own, activated", child_of=own, service="mysvc", activate=True
        ).finish()
    with tracer.trace("active own"):
        tracer.start_span("below foreign", child_of=foreign, service="mysvc").finish()
        tracer.start_span("foreign below foreign", child_of=foreign).finish()
    tracer.context_provider.activate(Context(trace_id=123, span_id=456))
    tracer.start_span("context active", child_of=foreign, service="mysvc").finish()
    tracer.context_provider.activate(None)
    foreign.finish()
    own.finish()


def case_version_renamed_root(say):
    """A root renamed to the own service still has no version, nor do its children.

    covers: 2.1.version.same-service
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    with tracer.trace("root", service="foreign") as root:
        root.service = "mysvc"
        with tracer.trace("child"):
            pass


def case_version_root_renamed_away(say):
    """A root renamed away keeps its version, and children that follow get it too.

    covers: 2.1.version.same-service
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    with tracer.trace("root") as root:
        root.service = "foreign"
        with tracer.trace("child"):
            pass
        with tracer.trace("own", service="mysvc"):
            pass


def case_version_user_tag(say):
    """A version tag set by the user on the root.

    covers: 2.1.version.same-service
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    with tracer.trace("root") as root:
        root.set_tag("version", "user")
        with tracer.trace("child"):
            pass
    with tracer.trace("foreign", service="foreign") as root:
        root.set_tag("version", "user")
        with tracer.trace("child"):
            pass


def case_version_remote(say):
    """Version on spans of a continued trace.

    covers: 2.1.version.no-root
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    tracer.context_provider.activate(Context(trace_id=123, span_id=456, sampling_priority=1))
    _family()


def case_version_case(say):
    """The service is compared exactly.

    covers: 2.1.version.no-root 2.1.every.base-service-case
    env: DD_SERVICE=mysvc DD_ENV=prod DD_VERSION=1.2
    """
    with tracer.trace("root", service="MySvc"):
        with tracer.trace("child"):
            pass


def case_version_without_service(say):
    """DD_VERSION without DD_SERVICE.

    covers: 2.1.version.no-root
    env: DD_VERSION=1.2
    """
    _family()


def case_base_service(say):
    """_dd.base_service holds the lower-cased global service.

    covers: 2.1.every.base-service 2.1.every.base-service-case
    env: DD_SERVICE=MyShop
    """
    _family()
    with tracer.trace("upper", service="MYSHOP"):
        with tracer.trace("lower", service="myshop"):
            pass


def case_base_service_final(say):
    """The final service of the span counts.

    covers: 2.1.every.base-service
    env: DD_SERVICE=mysvc
    """
    with tracer.trace("to-foreign") as span:
        span.service = "foreign"
    with tracer.trace("to-own", service="foreign") as span:
        span.service = "mysvc"
    with tracer.trace("to-none", service="foreign") as span:
        span.service = None
    with tracer.trace("to-empty", service="foreign") as span:
        span.service = ""


def case_base_service_user(say):
    """A _dd.base_service set by the user.

    covers: 2.1.every.base-service
    env: DD_SERVICE=mysvc
    """
    with tracer.trace("foreign", service="foreign") as span:
        span.set_tag("_dd.base_service", "user")
    with tracer.trace("own") as span:
        span.set_tag("_dd.base_service", "user")


def case_dd_tags(say):
    """DD_TAGS on every span, coerced like set_tag.

    covers: 2.1.every.dd-tags 2.1.every.coerced
    env: DD_TAGS=team:core,number:12,half:0.5,flag:true,http.status_code:200
    """
    with tracer.trace("root") as root:
        say("number", (root.get_tag("number"), root.get_metric("number")))
        with tracer.trace("child") as child:
            child.set_tag("team", "mine")
    tracer.start_span("bare").finish()


def case_dd_tags_spaces(say):
    """DD_TAGS separated by spaces.

    covers: 2.1.every.dd-tags
    env: 'DD_TAGS=a:1 b:2 c:x:y'
    """
    with tracer.trace("root"):
        pass


def case_dd_tags_mixed(say):
    """A comma anywhere makes commas the separator; items are trimmed.

    covers: 2.1.every.dd-tags
    env: 'DD_TAGS=a:1 , b:x y ,c, :d,e:,,f:g:h'
    oracle: 4.16
    """
    with tracer.trace("root"):
        pass


def case_dd_tags_special(say):
    """Special keys in DD_TAGS.

    covers: 2.1.every.coerced
    env: DD_TAGS=manual.keep:1,service.version:9,team:core
    """
    with tracer.trace("root") as root:
        say("priority", root.context.sampling_priority)
        with tracer.trace("child"):
            pass


def case_dd_tags_fill(say):
    """service, env and version inside DD_TAGS fill the settings.

    covers: 2.1.ddtags.fill 2.1.ddtags.removed 2.1.service.dd-tags
    env: DD_TAGS=service:tagged,env:stage,version:3,team:core
    """
    root = _family()
    say("service", root.service)


def case_dd_tags_not_fill(say):
    """The own variables win over DD_TAGS.

    covers: 2.1.ddtags.fill 2.1.ddtags.removed
    env: DD_TAGS=service:tagged,env:stage,version:3,team:core DD_SERVICE=own DD_ENV=prod DD_VERSION=9
    """
    root = _family()
    say("service", root.service)


def case_dd_tags_git(say):
    """Git keys inside DD_TAGS are no tags.

    covers: 2.1.ddtags.removed
    env: DD_TAGS=git.commit.sha:abc,git.repository_url:https://example.com/r,team:core
    """
    _family()


def case_tracer_tags(say):
    """tracer.set_tags on every span begun later.

    covers: 2.1.every.tracer-tags 2.1.every.coerced 4.2.tracer-misc
    alone: yes
    """
    with tracer.trace("before"):
        pass
    tracer.set_tags({"team": "core", "number": 3, "flag": True, "none": None})
    with tracer.trace("root"):
        with tracer.trace("child") as child:
            child.set_tag("team", "mine")
    tracer.set_tags({"team": "other", "more": "x"})
    with tracer.trace("after"):
        pass


def case_tracer_tags_over_dd_tags(say):
    """tracer.set_tags and DD_TAGS together.

    covers: 2.1.every.tracer-tags 2.1.every.dd-tags
    alone: yes
    env: DD_TAGS=team:env,only:env DD_ENV=prod DD_VERSION=1 DD_SERVICE=mysvc
    """
    tracer.set_tags({"team": "code", "env": "code", "version": "code"})
    with tracer.trace("root"):
        with tracer.trace("child"):
            pass


def case_mapping(say):
    """DD_SERVICE_MAPPING renames at creation.

    covers: 2.1.mapping
    env: DD_SERVICE=mysvc DD_SERVICE_MAPPING=foreign:renamed,mysvc:mine
    """
    root = _family()
    say("service", root.service)
    with tracer.trace("late") as span:
        span.service = "foreign"
        say("assigned", span.service)


def case_otel_service(say):
    """OTEL_SERVICE_NAME names the service.

    covers: 2.1.service.otel
    env: OTEL_SERVICE_NAME=otel-svc
    """
    _family()


def case_otel_service_second(say):
    """DD_SERVICE wins over OTEL_SERVICE_NAME.

    covers: 2.1.service.otel 2.1.service.env
    env: OTEL_SERVICE_NAME=otel-svc DD_SERVICE=dd-svc
    """
    _family()


def case_otel_resource(say):
    """OTEL_RESOURCE_ATTRIBUTES stand in for DD_TAGS.

    covers: 2.1.service.otel 2.1.ddtags.fill
    env: OTEL_RESOURCE_ATTRIBUTES=service.name=otel-svc,deployment.environment=stage,service.version=4,team=core
    """
    _family()


def case_inferred_file(say):
    """The service of a plain script.

    covers: 2.1.service.inferred
    launch: file billing.py
    alone: yes
    """
    with tracer.trace("root") as root:
        say("service", root.service)


def case_inferred_nested(say):
    """The service of a script in a directory.

    covers: 2.1.service.inferred
    launch: file tools/nightly/report.py
    alone: yes
    """
    with tracer.trace("root") as root:
        say("service", root.service)


def case_inferred_module(say):
    """The service of a package run with -m.

    covers: 2.1.service.inferred
    launch: module shop
    alone: yes
    """
    with tracer.trace("root") as root:
        say("service", root.service)


def case_inferred_submodule(say):
    """The service of a sub-package run with -m.

    covers: 2.1.service.inferred
    launch: module shop.orders
    alone: yes
    """
    with tracer.trace("root") as root:
        say("service", root.service)
