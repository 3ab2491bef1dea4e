"""fasttrace: a tracer with the API of ddtrace and a compiled core.

    from fasttrace import tracer

    with tracer.trace("make.sandwich", service="kitchen") as span:
        span.set_tag("bread", "rye")

`tracer` is the default Tracer, configured by DD_* environment variables when it is imported.
"""

try:
    from fasttrace import _span as _span
except ImportError as error:
    if "_span" not in str(error):
        raise
    raise ImportError(
        "fasttrace's compiled core is missing or does not fit this Python. Install fasttrace with "
        "`pip install fasttrace`, or in a source tree build it with `pip install .` (a C compiler "
        f"is needed): {error}"
    ) from error

from fasttrace._span import Context, Span
from fasttrace._version import version as __version__
from fasttrace.filters import TraceFilter
from fasttrace.tracer import Tracer, tracer

__all__ = ["Context", "Span", "TraceFilter", "Tracer", "__version__", "tracer"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fasttrace import constants as constants
    from fasttrace import ext as ext
    from fasttrace import trace as trace
    from fasttrace.patching import patch as patch
    from fasttrace.patching import patch_all as patch_all
else:

    def __getattr__(name: str) -> object:
        """Import what `import ddtrace` makes reachable, such as `ddtrace.ext`, when it is used."""
        if name in ("constants", "ext", "trace"):
            from fasttrace._fork import load

            return load(f"{__name__}.{name}")
        if name in ("patch", "patch_all"):
            from fasttrace._fork import load

            return getattr(load("fasttrace.patching"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
