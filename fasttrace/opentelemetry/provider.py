"""`TracerProvider` and `Tracer`: the two classes an application meets."""

from __future__ import annotations

import os

from opentelemetry import propagate, trace

from fasttrace import _otel_context, _span
from fasttrace._version import version
from fasttrace.opentelemetry.propagator import Propagator
from fasttrace.tracer import Tracer as NativeTracer
from fasttrace.tracer import tracer as default_tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes


#: What `TracerProvider.get_tracer` returns: an `opentelemetry.trace.Tracer` of a native tracer.
Tracer = _span.OtelTracer


class Resource:
    """What `TracerProvider.resource` says of the process, as the SDK's resource does.

    Args:
        attributes: under the names of OpenTelemetry's conventions.

    """

    __slots__ = ("attributes", "schema_url")

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes
        self.schema_url = ""


class TracerProvider(trace.TracerProvider):
    """Hands out OpenTelemetry tracers whose spans go where those of a native tracer go.

    The first one makes OpenTelemetry's current context and the active native span one, and has
    `opentelemetry.propagate` use the configured propagation styles unless OTEL_PROPAGATORS says
    otherwise. Under OTEL_SDK_DISABLED=true it hands out tracers that do nothing.

    Args:
        tracer: the native tracer; None: `fasttrace.tracer`.

    """

    def __init__(self, tracer: NativeTracer | None = None) -> None:
        self._native = default_tracer if tracer is None else tracer
        self._tracer: trace.Tracer = trace.NoOpTracer()
        if self._native._config.otel_enabled:
            self._tracer = Tracer(self._native)  # type: ignore[assignment] # registered as one
            _otel_context.install()
            if not os.environ.get("OTEL_PROPAGATORS", "").strip():
                propagate.set_global_textmap(Propagator(self._native._config))

    @property
    def resource(self) -> Resource:
        """Service, version, environment and global tags: instrumentation asks for the name."""
        config = self._native._config
        named = {
            "service.name": config.service or config.inferred_service,
            "service.version": config.version,
            "deployment.environment": config.env,
            "deployment.environment.name": config.env,
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "fasttrace",
            "telemetry.sdk.version": version,
        }
        return Resource({**config.tags, **{key: text for key, text in named.items() if text}})

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> trace.Tracer:
        """Return the tracer; who asks for it makes no difference to its spans."""
        return self._tracer

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is finished; return whether all was delivered within so many milliseconds."""
        return self._native.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what is finished, then stop recording, on the native tracer too."""
        self._native.shutdown()
