"""Broken tracers: changes made inside the process under test that the oracle must notice.

A payload mutation (``payload_mutations``) decodes what is about to be sent, changes the spans as a
broken tracer would and sends that.  A behaviour mutation, here, replaces a function of the library
or hides a setting.  Each names the cases (globs) that are run with it.
"""

import importlib
import os
import sys
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import opentracer_mutations  # noqa: F401 - registers its own
import otel_mutations  # noqa: F401 - registers its own
import payload_mutations  # noqa: F401 - registers its own
from mutation_registry import behaviour, install, names, wants  # noqa: F401


def _tracer_class(library):
    return importlib.import_module(f"{library}.trace").Tracer


def _override(library, name, function):
    """Replace a method of the tracer, wherever the default tracer keeps it (bound or not)."""
    module = importlib.import_module(f"{library}.trace")
    setattr(module.Tracer, name, function)
    for kind in type(module.tracer).__mro__:
        if kind is not module.Tracer and name in vars(kind) and issubclass(kind, module.Tracer):
            setattr(kind, name, function)
    if name in getattr(module.tracer, "__dict__", {}):
        setattr(module.tracer, name, types.MethodType(function, module.tracer))


@behaviour("parents.*")
def trace_ignores_active(library):
    """trace() starts a root each time."""

    def trace(self, name, service=None, resource=None, span_type=None, span_api="datadog"):
        return self.start_span(name, None, service, resource, span_type, True)

    _override(library, "trace", trace)


@behaviour("parents.*", "finishing.*")
def start_span_activates(library):
    """start_span always activates."""
    kind = _tracer_class(library)
    start_span = kind.start_span

    def broken(
        self,
        name,
        child_of=None,
        service=None,
        resource=None,
        span_type=None,
        activate=False,
        span_api="datadog",
    ):
        return start_span(self, name, child_of, service, resource, span_type, True)

    _override(library, "start_span", broken)


@behaviour("parents.*", "finishing.*")
def start_span_forgets_child_of(library):
    """start_span ignores child_of."""
    kind = _tracer_class(library)
    start_span = kind.start_span

    def broken(self, name, child_of=None, *args, **kwargs):
        return start_span(self, name, None, *args, **kwargs)

    _override(library, "start_span", broken)


@behaviour("activation.current_root")
def current_root_is_current(library):
    """current_root_span gives the active span."""
    _override(library, "current_root_span", lambda self: self.current_span())


@behaviour("wrapping*.*")
def wrap_swallows(library):
    """A wrapped function swallows exceptions and its result."""
    kind = _tracer_class(library)

    def wrap(self, name=None, service=None, resource=None, span_type=None):
        def decorate(function):
            def wrapper(*args, **kwargs):
                with self.trace(name or f"{function.__module__}.{function.__name__}"):
                    try:
                        return function(*args, **kwargs)
                    except Exception:
                        return None

            return wrapper

        return decorate

    kind.wrap = wrap


@behaviour("wrapping*.*")
def wrap_qualified_names(library):
    """Wrapped functions are named with their class."""
    kind = _tracer_class(library)
    wrap = kind.wrap

    def broken(self, name=None, *args, **kwargs):
        def decorate(function):
            given = name or f"{function.__module__}.{getattr(function, '__qualname__', '')}"
            return wrap(self, given, *args, **kwargs)(function)

        return decorate

    kind.wrap = broken


@behaviour("filters.drop", "filters.edit", "filters.settings")
def filters_ignored(library):
    """configure forgets filters."""
    kind = _tracer_class(library)
    configure = kind.configure

    def broken(self, *args, **kwargs):
        kwargs.pop("trace_processors", None)
        kwargs.pop("settings", None)
        return configure(self, *args, **kwargs)

    kind.configure = broken


@behaviour("filters.start_hooks*")
def start_hooks_ignored(library):
    """on_start_span forgets the function."""
    kind = _tracer_class(library)
    kind.on_start_span = lambda self, function: function


@behaviour("services.tracer_tags*")
def tracer_tags_ignored(library):
    """set_tags of the tracer does nothing."""
    kind = _tracer_class(library)
    kind.set_tags = lambda self, tags: None


@behaviour("chunks.remote*")
def extract_forgets_origin(library):
    """extract loses the origin."""
    propagator = importlib.import_module(f"{library}.propagation.http").HTTPPropagator
    extract = propagator.extract

    def broken(headers):
        context = extract(headers)
        context.dd_origin = None
        return context

    propagator.extract = staticmethod(broken)


@behaviour("lifecycle.disabled", "lifecycle.disabled_midway")
def enabled_ignored(library):
    """enabled cannot be switched off."""
    kind = _tracer_class(library)
    kind.enabled = property(lambda self: True, lambda self, value: None)


@behaviour("services.env_version", "services.version_*_root")
def env_variable_ignored(library):
    """DD_ENV is not read."""
    os.environ.pop("DD_ENV", None)


@behaviour("services.mapping")
def mapping_ignored(library):
    """DD_SERVICE_MAPPING is not read."""
    os.environ.pop("DD_SERVICE_MAPPING", None)


@behaviour("partial.*")
def partial_flush_ignored(library):
    """The minimum for partial flushes is not read."""
    os.environ.pop("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", None)


@behaviour("ids.trace_id_64*")
def id_width_ignored(library):
    """The switch for 64-bit ids is not read."""
    os.environ.pop("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", None)


@behaviour("lifecycle.atexit*")
def exit_loses_spans(library):
    """What is complete at exit is not sent."""
    importlib.import_module(f"{library}._exit").watch = lambda flusher: None


@behaviour("lifecycle.shutdown*")
def shutdown_loses_spans(library):
    """shutdown does not flush."""
    _override(library, "shutdown", lambda self, timeout=None: None)


@behaviour("activation.activate*")
def activate_ignored(library):
    """Contexts cannot be activated."""
    provider = type(importlib.import_module(f"{library}.trace").tracer.context_provider)
    provider.activate = lambda self, context: None
