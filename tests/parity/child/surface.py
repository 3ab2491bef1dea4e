"""Print, as JSON, the public names and signatures of the package named by the first argument."""

import importlib
import inspect
import json
import sys
import warnings

CLASSES = ("Tracer", "Span", "Context", "BaseContextProvider", "TraceFilter")
SPECIAL = ("__init__", "__enter__", "__exit__", "__call__")


def parameters(function, skip):
    """Name, kind and default of the parameters but for the first `skip`; None if nobody knows."""
    try:
        found = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, None if p.default is p.empty else repr(p.default)] for p in found]


def members(owner):
    """Every public member of a class: its parameters, or "attribute"."""
    found = {}
    for name in dir(owner):
        if name.startswith("_") and name not in SPECIAL:
            continue
        is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
        value = getattr(owner, name)
        found[name] = parameters(value, 0 if is_static else 1) if callable(value) else "attribute"
    return found


def surface(package):
    """The names of the package and of its `trace`, and the members of every public class."""
    root = importlib.import_module(package)
    trace = importlib.import_module(f"{package}.trace")
    http = importlib.import_module(f"{package}.propagation.http")
    found = {name: members(getattr(trace, name)) for name in CLASSES}
    found["HTTPPropagator"] = members(http.HTTPPropagator)
    names = {name for name in dir(root) if not name.startswith("_")}
    lazy = ("constants", "ext", "patch", "patch_all", "trace")
    names |= {name for name in lazy if hasattr(root, name)}
    found["the package"] = dict.fromkeys(sorted(names), "attribute")
    found["trace"] = dict.fromkeys(trace.__all__, "attribute")
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(surface(sys.argv[1])))
