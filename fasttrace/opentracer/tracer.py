"""Tracer: starts spans for OpenTracing, and takes them into carriers and out of them.

All work is done by a native tracer. This class finds out what the new span descends from and what
baggage it inherits; only the default scope manager's way is kept short.
"""

from __future__ import annotations

import os
import sys

import opentracing
from opentracing import Format

import fasttrace
from fasttrace import _log
from fasttrace._span import active, attach, attached, attached_on_top
from fasttrace.opentracer import scope as scopes
from fasttrace.opentracer.propagation import BinaryPropagator, HTTPPropagator
from fasttrace.opentracer.references import LINK_TYPE, resolve
from fasttrace.opentracer.scope import ContextScopeManager, Scope
from fasttrace.opentracer.settings import ConfigException, merged, port_of, raises
from fasttrace.opentracer.span import Span
from fasttrace.opentracer.span_context import SpanContext
from fasttrace.propagation.http import Propagator
from fasttrace.provider import DefaultContextProvider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fasttrace import _span
    from fasttrace.opentracer.references import Origin

_new = object.__new__


class Tracer(opentracing.Tracer):  # type: ignore[misc]  # opentracing has no types
    """An OpenTracing tracer (ddtrace 2.21 `ddtrace.opentracer.Tracer`).

    Args:
        service_name: service of every span begun here; None: the configured service, else the name
            of the program.
        config: see `fasttrace.opentracer.settings.DEFAULTS`; applied to the native tracer.
        scope_manager: where the active scope is kept; None: a `ContextScopeManager`.
        dd_tracer: the native tracer that does the work; None: `fasttrace.tracer`.

    Raises:
        ConfigException: with DD_TESTING_RAISE set, `config` has unknown keys and `debug` on, or
            there is no service name.

    """

    def __init__(
        self,
        service_name: str | None = None,
        config: Mapping[str, Any] | None = None,
        scope_manager: Any = None,
        dd_tracer: fasttrace.Tracer | None = None,
    ) -> None:
        self._config = merged(config)
        self._debug = self._config["debug"]
        self._dd_tracer = fasttrace.tracer if dd_tracer is None else dd_tracer
        self._service_name = service_name or _configured_service(self._dd_tracer)
        if not self._service_name and raises():
            raise ConfigException("there is no service name: give service_name, or set DD_SERVICE")
        own = scope_manager is None or isinstance(scope_manager, ContextScopeManager)
        manager = ContextScopeManager() if scope_manager is None else scope_manager
        self._scope_manager = manager
        self._foreign_manager = None if own else manager
        if own:
            manager._tracer = self
        else:
            scopes.bridge(manager)
        self._configure()
        self._start = self._dd_tracer.start_span
        native = Propagator(self._dd_tracer._config)
        text = HTTPPropagator(native, as_headers=False)
        self._propagators: dict[Any, HTTPPropagator | BinaryPropagator] = {
            Format.HTTP_HEADERS: HTTPPropagator(native, as_headers=True),
            Format.TEXT_MAP: text,
            Format.BINARY: BinaryPropagator(text),
        }

    def _configure(self) -> None:
        """Apply what the application said to the native tracer, and nothing else."""
        config, tracer = self._config, self._dd_tracer
        if config["global_tags"]:
            tracer.set_tags(config["global_tags"])
        changes = {
            "hostname": config["agent_hostname"],
            "port": port_of(config["agent_port"]),
            "https": config["agent_https"],
            "uds_path": config["uds_path"],
            "sampler": config["sampler"],
            "priority_sampling": config["priority_sampling"],
        }
        filters = (config["settings"] or {}).get("FILTERS")
        if filters:
            changes["settings"] = {"FILTERS": filters}
        if not isinstance(tracer.context_provider, DefaultContextProvider):
            _log.warn("opentracer_provider", "opentracer.Tracer: the context provider is replaced")
            changes["context_provider"] = DefaultContextProvider()
        changes = {name: value for name, value in changes.items() if value is not None}
        enabled = config["enabled"]
        if changes or enabled is not None:
            # configure() turns a tracer on unless told otherwise.
            tracer.configure(enabled=tracer.enabled if enabled is None else enabled, **changes)

    # -- spans -----------------------------------------------------------------------------------

    @property
    def scope_manager(self) -> Any:
        """Where the active scope is kept."""
        return self._scope_manager

    @property
    def active_span(self) -> Any:
        """The active span, or None; one that another API has begun is shown as OpenTracing's."""
        item, scope = scopes.current()
        if scope is not None:
            return scope.span
        if item is not None:
            return scopes.as_opentracing(item, self)
        scope = self._foreign_scope()
        return None if scope is None else scope.span

    def start_active_span(
        self,
        operation_name: str,
        child_of: Any = None,
        references: Any = None,
        tags: Mapping[str, Any] | None = None,
        start_time: float | None = None,
        ignore_active_span: bool = False,
        finish_on_close: bool = True,
    ) -> Any:
        """Start a span and make it active: `with tracer.start_active_span("name") as scope:`.

        Args:
            operation_name: name of the span.
            child_of, references, tags, start_time, ignore_active_span: as for `start_span`.
            finish_on_close: whether the span ends with its scope.

        Returns:
            The scope; its `span` is the span.

        """
        if (
            child_of is not None
            or references
            or ignore_active_span
            or self._foreign_manager is not None
        ):
            span = self.start_span(
                operation_name, child_of, references, tags, start_time, ignore_active_span
            )
            return self._scope_manager.activate(span, finish_on_close)
        # What follows is start_span() and activate() without their calls, for the common case.
        parent: Any = active()
        node = attached()
        baggage = None
        if node is not None:
            outer = node.payload
            outer = outer._span if type(outer) is Scope else None
            if type(outer) is Span and outer._dd_span is parent:
                baggage = outer._baggage
            else:
                parent, baggage = self._inherit(parent, node)
        native = self._start(operation_name, parent, self._service_name)
        span = _new(Span)
        span._tracer = self
        span._dd_span = native
        span._baggage = baggage
        span._context = None
        scope = _new(Scope)
        scope._manager = self._scope_manager
        scope._span = span
        scope._finish_on_close = finish_on_close
        if native.finished:  # nothing is recorded: what was active stays it
            if parent is not None:
                span._context = _passing_context(parent, baggage)
            native = parent
        scope._node = attach(native, scope)
        if start_time or tags:
            _dress(span, tags, start_time)
        return scope

    def start_span(
        self,
        operation_name: str | None = None,
        child_of: Any = None,
        references: Any = None,
        tags: Mapping[str, Any] | None = None,
        start_time: float | None = None,
        ignore_active_span: bool = False,
    ) -> Span:
        """Start a span without making it active.

        Args:
            operation_name: name of the span.
            child_of: the Span or SpanContext that is its parent.
            references: Reference or several; see `fasttrace.opentracer.references.resolve`.
            tags: as for `Span.set_tag`.
            start_time: seconds since the epoch; None: now.
            ignore_active_span: without a parent, begin a new trace even if a span is active.

        Raises:
            TypeError: with DD_TESTING_RAISE set, the parent is no span and no context.

        """
        origin: Origin | None = None
        parent: Any = None
        baggage: dict[str, Any] | None = None
        if child_of is not None or references:
            origin = resolve(child_of, references)
            parent, baggage = origin.parent, origin.baggage
        if not ignore_active_span and (origin is None or not origin.known):
            parent = active()
            node = attached()
            if node is not None or parent is None or self._foreign_manager is not None:
                parent, baggage = self._inherit(parent, node)
        native = self._start(operation_name, parent, self._service_name)  # type: ignore[arg-type]
        span = _new(Span)
        span._tracer = self
        span._dd_span = native
        span._baggage = baggage
        span._context = None
        if native.finished and parent is not None:  # nothing is recorded: the trace passes through
            span._context = _passing_context(parent, baggage)
        if origin is not None:
            for context, kind in origin.links:
                native.link_span(context, {LINK_TYPE: kind})
        if start_time or tags:
            _dress(span, tags, start_time)
        return span

    def _inherit(
        self, parent: Any, node: _span.AttachNode | None
    ) -> tuple[Any, dict[str, Any] | None]:
        """The parent and the baggage of a span begun under the active item `parent`.

        The baggage is that of the innermost span that OpenTracing knows.
        """
        scope: Any
        if node is not None and type(node.payload) is Scope:
            scope = node.payload
        else:
            scope = scopes.enclosing_scope() if node is not None else None
        if scope is None and parent is None and (node is None or node.item is not None):
            scope = self._foreign_scope()
            if scope is not None and isinstance(scope.span, Span):
                parent = scope.span._dd_span
        face = scope.span if scope is not None else None
        if not isinstance(face, Span):
            face = None
        elif scopes.is_cut_off(self._foreign_manager) and attached_on_top() is not None:
            return None, None
        if isinstance(parent, fasttrace.Span) and (face is None or face._dd_span is not parent):
            face = parent._get_ctx_item(scopes.FACE) or face
        return parent, None if face is None else face._baggage

    def _foreign_scope(self) -> Any:
        """The active scope of a scope manager that is not ours, or None."""
        return None if self._foreign_manager is None else self._foreign_manager.active

    # -- carriers --------------------------------------------------------------------------------

    def inject(self, span_context: Any, format: Any, carrier: Any) -> None:
        """Write a span context into `carrier`, and take the sampling decision of its trace.

        Args:
            span_context: a SpanContext, or a Span.
            format: one of `opentracing.Format`.
            carrier: for TEXT_MAP and HTTP_HEADERS a dict or the like, for BINARY a bytearray.

        Raises:
            opentracing.UnsupportedFormatException: `format` is none of these.
            opentracing.InvalidCarrierException: `carrier` is not what the format needs.

        """
        propagator = self._propagator(format)
        if isinstance(span_context, opentracing.Span):
            span_context = span_context.context
        if not isinstance(span_context, SpanContext):
            _log.warn("opentracer_inject", f"cannot inject {type(span_context).__name__}: ignored")
            span_context = SpanContext()
        propagator.inject(span_context, carrier)

    def extract(self, format: Any, carrier: Any) -> SpanContext:
        """Return the span context in `carrier`; one without ids if there is none.

        Nothing becomes active.

        Args:
            format: one of `opentracing.Format`.
            carrier: for TEXT_MAP and HTTP_HEADERS a dict or the like, for BINARY bytes.

        Raises:
            opentracing.UnsupportedFormatException: `format` is none of these.
            opentracing.InvalidCarrierException: `carrier` is not what the format needs.
            opentracing.SpanContextCorruptedException: there is one, but it cannot be read.

        """
        return self._propagator(format).extract(carrier)

    def _propagator(self, format: Any) -> HTTPPropagator | BinaryPropagator:
        for known, propagator in self._propagators.items():
            if format == known:
                return propagator
        raise opentracing.UnsupportedFormatException(f"unknown format {format!r:.100}")

    def get_log_correlation_context(self) -> dict[str, str]:
        """Return what a log line needs to be found from a trace, as the native tracer does."""
        return self._dd_tracer.get_log_correlation_context()

    def __repr__(self) -> str:
        return f"<opentracer.Tracer service={self._service_name!r}>"


def _configured_service(tracer: fasttrace.Tracer) -> str | None:
    """The service of the native tracer if it was configured, else the name of the program."""
    if tracer._config.service:
        return tracer._config.service
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) or (sys.argv[0] if sys.argv else "")
    return os.path.basename(path) or tracer._config.inferred_service


def _dress(span: Span, tags: Mapping[str, Any] | None, start_time: float | None) -> None:
    if start_time:
        span._dd_span.start = start_time
    if tags:
        for key in tags:
            span.set_tag(key, tags[key])


def _passing_context(parent: Any, baggage: dict[str, Any] | None) -> SpanContext:
    context = parent.context if isinstance(parent, fasttrace.Span) else parent
    return SpanContext(ddcontext=context, baggage=baggage)
