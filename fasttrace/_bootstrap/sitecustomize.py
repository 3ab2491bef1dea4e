"""Run by Python at its start, because `fasttrace-run` has put this directory on PYTHONPATH.

Any Python that the program starts runs it too, an old one and one without fasttrace: hence the
plain syntax. The `sitecustomize` that would have been run without us is run first, and whatever it
raises is reported by Python as it would have been.
"""

import os
import sys


def _run_the_next_one():
    here = os.path.dirname(os.path.abspath(__file__))
    places = [
        (number, entry)
        for number, entry in enumerate(sys.path)
        if os.path.abspath(entry or ".") == here
    ]
    for _, entry in places:
        sys.path.remove(entry)
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
        if ours is not None:
            sys.modules["sitecustomize"] = ours
    finally:
        for number, entry in places:  # for processes that are given our sys.path
            sys.path.insert(number, entry)


def _instrument():
    try:
        import fasttrace.auto  # noqa: F401
    except Exception:
        error = sys.exc_info()[1]
        if os.environ.get("_FASTTRACE_RUN_PID") == str(os.getpid()):  # not some Python it starts
            sys.stderr.write(
                "fasttrace-run: the program is not traced: %s: %s (%s)\n"
                % (type(error).__name__, error, sys.executable)
            )


try:
    _run_the_next_one()
finally:
    _instrument()
