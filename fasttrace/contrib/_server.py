"""What the two middlewares share: how a request becomes the span of a server.

Names and values of the tags follow ddtrace 4.16. Whatever goes wrong in here is logged and does not
reach the application.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace.contrib._query import redactor
from fasttrace.propagation.http import HTTPPropagator, Propagator
from fasttrace.tracer import tracer as default_tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fasttrace._span import Context, Span
    from fasttrace.tracer import Tracer

METHOD = "http.method"
ROUTE = "http.route"
STATUS_CODE = "http.status_code"
URL = "http.url"
USER_AGENT = "http.useragent"
VERSION = "http.version"

_MAX_CAUSE_CHARS = 100


class Server:
    """A tracer, and what its configuration says about the requests that are served.

    Args:
        tracer: makes the spans; None: the default tracer.
        name: of the spans.
        component: tag of the spans.
        service: of the spans; None: the tracer's.
        span_modifier: called with each span and its scope or environ when the span has begun.

    """

    __slots__ = ("_errors", "_extract", "_name", "_service", "_tags", "modify", "redact", "tracer")

    def __init__(
        self,
        tracer: Tracer | None,
        name: str,
        component: str,
        service: str | None,
        span_modifier: Callable[[Span, Any], object] | None,
    ) -> None:
        self.tracer = default_tracer if tracer is None else tracer
        config = self.tracer._config
        known = self.tracer is default_tracer
        self._extract = HTTPPropagator.extract if known else Propagator(config).extract
        self._name = name
        self._service = service
        self._tags = (("component", component), ("span.kind", "server"))
        self._errors = config.http_error_statuses
        self.redact = redactor(config.http_query_secrets) if config.http_query_string else None
        self.modify = span_modifier

    def begin(self, headers: Any, resource: str) -> tuple[Span, Span | Context | None]:
        """Start the span of a request, active, in the trace that `headers` name.

        A trace that is active already is left only for another one in the headers. Returns the
        span and what was active before, for `restore_active`.
        """
        tracer = self.tracer
        context = self._extract(headers)
        provider = tracer.context_provider
        active = provider.active()
        if active is None:
            if context.trace_id or context._span_links or context._baggage:
                provider.activate(context)
        elif context.trace_id and context.trace_id != active.trace_id:
            provider.activate(context)
        span = tracer.trace(self._name, self._service, resource, "web")
        for key, value in self._tags:
            span.set_tag(key, value)
        return span, active

    def full_url(self, url: str, query: str) -> str:
        """Return the value of http.url: no user or password, no secrets in the query string."""
        if "@" in url:
            scheme, separator, rest = url.partition("://")
            host, slash, path = rest.partition("/")
            url = scheme + separator + host.rpartition("@")[2] + slash + path
        if query and self.redact is not None:
            return f"{url}?{self.redact(query)}"
        return url

    def set_status(self, span: Span, status: int) -> None:
        """Tag the status of the response; some are errors."""
        span.set_tag(STATUS_CODE, str(int(status)))  # of an HTTPStatus only the number
        for first, last in self._errors:
            if first <= status <= last:
                span.error = 1
                return

    def set_error(self, span: Span, error: BaseException, answered: bool) -> None:
        """Mark the span with what the application raised, before or after it gave a status."""
        try:
            span.set_exc_info(type(error), error, error.__traceback__)
            if not answered:
                span.set_tag(STATUS_CODE, "500")  # what the server answers then
        except Exception as failure:
            complain(failure)


def set_route(span: Span, resource: str, method: str, route: str) -> None:
    """Tag the route, and make it the resource unless the application has chosen another one."""
    span.set_tag(ROUTE, route)
    if span.resource == resource:
        span.resource = f"{method} {route}"


def restore_active(tracer: Tracer, before: Span | Context | None) -> None:
    """Make active what was before a request, whatever the request has left open."""
    try:
        tracer.context_provider.activate(before)
    except Exception as failure:
        complain(failure)


def complain(failure: BaseException) -> None:
    """Log that a request could not be traced as it should be."""
    name = type(failure).__name__[:_MAX_CAUSE_CHARS]
    _log.warn(f"contrib {name}", f"a request could not be traced in full: {name}")
