"""The OpenTracing API on fasttrace's compiled core: `pip install fasttrace[opentracing]`.

    import opentracing
    from fasttrace.opentracer import Tracer, set_global_tracer

    set_global_tracer(Tracer("shop", config={"agent_hostname": "localhost", "agent_port": 8126}))

    with opentracing.tracer.start_active_span("checkout") as scope:
        scope.span.set_tag("basket.items", 3)

Names and configuration are those of ddtrace 2.21's `ddtrace.opentracer`, the last one there was;
docs/opentracing.md says where this one behaves better. OpenTracing spans and fasttrace's own spans
nest in each other.
"""

try:
    import opentracing as _opentracing  # noqa: F401
except ImportError as error:
    if error.name != "opentracing":
        raise
    raise ImportError(
        "fasttrace.opentracer needs the package opentracing. Install it with "
        "`pip install fasttrace[opentracing]`",
        name="opentracing",
    ) from error

from fasttrace.opentracer.helpers import set_global_tracer
from fasttrace.opentracer.tracer import Tracer

__all__ = ["Tracer", "set_global_tracer"]
