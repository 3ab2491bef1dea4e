"""Ways in which the OpenTracing face could be wrong."""

import importlib

from mutation_registry import behaviour


def _module(library, name):
    return importlib.import_module(f"{library}.opentracer.{name}")


@behaviour("opentracer_spans.tag_*")
def opentracer_tags_are_plain(library):
    """Tags with a meaning are tags like any other."""
    _module(library, "tags").SPECIAL.clear()


@behaviour("opentracer.service*", "opentracer.start_*")
def opentracer_service_is_inherited(library):
    """Spans take the native service."""
    kind = _module(library, "tracer").Tracer
    make = kind.__init__

    def broken(self, *args, **kwargs):
        make(self, *args, **kwargs)
        self._service_name = None

    kind.__init__ = broken


@behaviour("opentracer.*reference*", "opentracer.child_of_*")
def opentracer_forgets_references(library):
    """What a span refers to is not looked at."""
    tracer = _module(library, "tracer")
    tracer.resolve = lambda child_of, references: _module(library, "references").Origin()


@behaviour("opentracer_spans.baggage")
def opentracer_baggage_is_everywhere(library):
    """Baggage shows on spans that were begun before it was set."""
    kind = _module(library, "span").Span
    items = {}
    kind.set_baggage_item = lambda self, key, value: items.update({key: value}) or self
    kind.get_baggage_item = lambda self, key: items.get(key)
    kind.context = property(
        lambda self: _module(library, "span_context").SpanContext(
            baggage=items, ddcontext=self._dd_span.context
        )
    )


@behaviour("opentracer.*baggage*")
def opentracer_baggage_stays_home(library):
    """Baggage is not injected."""
    module = _module(library, "propagation.http")
    module._PREFIX = "baggage-"


@behaviour("opentracer.*nesting*", "opentracer.activate*")
def opentracer_scopes_are_not_seen(library):
    """Native spans do not see the active OpenTracing span."""
    attach = importlib.import_module(f"{library}._span").attach
    for name in ("tracer", "scope"):
        _module(library, name).attach = lambda item, payload: attach(None, payload)
