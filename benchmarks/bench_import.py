"""What `import fasttrace` costs over a bare interpreter: milliseconds and modules.

    python benchmarks/bench_import.py [--processes N] [--check]

Bare and importing interpreters are started in turns; the difference of the fastest starts is
printed, and of the medians beside it. The peers follow where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import interpreter

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
STATEMENTS = {
    "bare": "pass",
    "fasttrace": "import fasttrace",
    "ddtrace": "import ddtrace.trace",
    "opentelemetry-sdk": "import opentelemetry.sdk.trace",
    "sentry-sdk": "import sentry_sdk",
    "elastic-apm": "import elasticapm",
}
PACKAGES = {
    "fasttrace": "fasttrace",
    "ddtrace": "ddtrace",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "sentry-sdk": "sentry_sdk",
    "elastic-apm": "elasticapm",
}
MAX_MS, MAX_MODULES = 10, 30


def _environment() -> dict[str, str]:
    """The caller's, with the working copy importable if fasttrace is not installed."""
    if installed("fasttrace"):
        return {**os.environ}
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    return {**os.environ, "PYTHONPATH": path}


def start_ms(statement: str) -> float:
    """Milliseconds one interpreter takes to start, run `statement` and leave without exit hooks."""
    command = [sys.executable, "-c", f"{statement}\nimport os; os._exit(0)"]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=_environment(), cwd=HERE)
    return (time.perf_counter() - start) * 1e3


def new_modules(statement: str) -> int:
    """Modules in sys.modules after `statement` that a bare interpreter has not."""
    code = f"import sys; before = len(sys.modules)\n{statement}\nprint(len(sys.modules) - before)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=-1, text=True, env=_environment(), cwd=HERE)
    return int(done.stdout)


def installed(package: str) -> bool:
    """Whether `package` can be imported; asks only for its parent's location."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def main() -> int:
    """Measure, print, check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--processes", type=int, default=30, help="starts of each (default %(default)s)")
    add("--json", metavar="FILE", help="write every start")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    add("--check", action="store_true", help="exit code 1 if a bar is missed")
    arguments = parser.parse_args()
    import report
    from compare import machine_line

    sys.path.append(str(ROOT))
    names = ["bare", *(name for name, package in PACKAGES.items() if installed(package))]
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        start_ms(STATEMENTS[name])  # writes byte code, fills the page cache
    for _ in range(arguments.processes):
        for name in names:
            times[name].append(start_ms(STATEMENTS[name]))
    fastest = {name: min(of) - min(times["bare"]) for name, of in times.items()}
    median = {
        name: statistics.median(of) - statistics.median(times["bare"]) for name, of in times.items()
    }
    rows = [
        ["bare interpreter", f"{min(times['bare']):.2f}", f"{statistics.median(times['bare']):.2f}"]
    ]
    rows[0].append("")
    modules = {name: new_modules(STATEMENTS[name]) for name in names[1:]}
    for name, count in modules.items():
        rows.append([STATEMENTS[name], f"+{fastest[name]:.2f}", f"+{median[name]:.2f}", f"{count}"])
    result = report.markdown(["", "fastest ms", "median ms", "new modules"], rows) + (
        f"\n\n{arguments.processes} starts of each, in turns; {machine_line()}; "
        f"{interpreter.describe()}."
    )
    print(result)
    report.save(arguments, "import", result, times)
    print()
    ours_ms = fastest["fasttrace"]
    found = [
        (ours_ms <= MAX_MS, f"import fasttrace: {ours_ms:.1f} ms, at most {MAX_MS}"),
        (
            modules["fasttrace"] <= MAX_MODULES,
            f"import fasttrace: {modules['fasttrace']} modules, at most {MAX_MODULES}",
        ),
    ]
    if "ddtrace" in fastest:
        times_ = fastest["ddtrace"] / ours_ms
        found.append((times_ >= 10, f"import fasttrace: 1/{times_:.0f} of ddtrace, at most 1/10"))
    return report.print_verdicts(found, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
