"""Run parity cases under one library: ``PARITY_PLAN=plan.json python run_cases.py``.

The plan names the library (``ddtrace`` or ``fasttrace``), the cases and the file for the results.
Every script is loaded with the library's name substituted; every case runs in an empty context.
With several cases in the process, a marker trace after each one tells their spans apart.
"""

import contextvars
import gc
import importlib
import json
import os
import sys
import time
import traceback
import types


class Say:
    """What a case prints: labelled values, kept as text."""

    def __init__(self):
        self.lines = {}

    def __call__(self, label, value):
        """Record repr(*value*) under *label*; a repeated label gets a number."""
        key, number = label, 1
        while key in self.lines:
            number += 1
            key = f"{label} ({number})"
        try:
            self.lines[key] = repr(value)
        except Exception as error:
            self.lines[key] = f"repr raised {type(error).__name__}"

    def outcome(self, label, function, *args, **kwargs):
        """Record what calling *function* gives: its value, or the type of its exception."""
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            self(label, f"raised {type(error).__name__}")
            return None
        self(label, value)
        return value

    def raises(self, label, function, *args, **kwargs):
        """Record only whether calling *function* raises, and what type."""
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            self(label, f"raised {type(error).__name__}")
            return None
        self(label, "no exception")
        return value


def load(path, library, loaded):
    """The script at *path* as a module, with ``ddtrace`` read as *library*."""
    common = os.path.join(os.path.dirname(path), "common.py")
    if path != common:
        load(common, library, loaded)  # as case_common, which scripts import
    if path not in loaded:
        with open(path) as file:
            source = file.read().replace("ddtrace", library)
        name = "case_" + os.path.basename(path)[:-3]
        module = types.ModuleType(name)
        module.__file__ = path
        sys.modules[name] = module
        exec(compile(source, path, "exec"), module.__dict__)
        loaded[path] = module
    return loaded[path]


def run(path, library, loaded, function, say):
    """Run one case; returns the text of the exception that came out, or an empty string."""
    try:
        getattr(load(path, library, loaded), function)(say)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return ""


def main(plan_path):
    """Run the plan; the results are written even if a case ends the process."""
    with open(plan_path) as file:
        plan = json.load(file)
    library, markers = plan["library"], plan["markers"]
    if plan["mutation"]:
        sys.path.insert(0, plan["mutations"])
        importlib.import_module("mutations").install(plan["mutation"], library)
    tracer = importlib.import_module(f"{library}.trace").tracer
    if library == "ddtrace" and markers:
        only_flush_on_demand(tracer)
    loaded, results = {}, {}
    gc.freeze()
    for name, path, function in plan["cases"]:
        say = Say()
        begin = time.time()
        context = contextvars.Context()
        raised = context.run(lambda: run(path, library, loaded, function, say))  # noqa: B023
        del context
        results[name] = {"said": say.lines, "raised": raised, "begin": begin, "end": time.time()}
        with open(plan["results"] + ".part", "w") as file:
            json.dump(results, file)
        os.replace(plan["results"] + ".part", plan["results"])
        if plan["flush"]:
            gc.collect()
            tracer.flush()
        if markers:
            contextvars.Context().run(lambda: mark(tracer, name))  # noqa: B023
            tracer.flush()
    if markers:
        sys.stderr.flush()
        os._exit(0)  # nothing left to send; do not wait for the library's exit handlers


def only_flush_on_demand(tracer):
    """Keep ddtrace's periodic flush from having traces under way while a case's own flush returns.

    Without this, now and then, a trace would arrive after the marker of its case.
    """
    aggregator = getattr(tracer, "_span_aggregator", None)
    for owner, name in ((tracer, "_writer"), (aggregator, "writer")):
        writer = getattr(owner, name, None)
        if hasattr(writer, "interval"):
            writer.interval = 3600.0


def mark(tracer, name):
    """Send the trace that separates one case's spans from the next one's."""
    tracer.start_span("parity.marker", resource=name).finish()


if __name__ == "__main__":
    main(os.environ["PARITY_PLAN"])
