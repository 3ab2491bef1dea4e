"""What `import fasttrace` costs over a bare interpreter: milliseconds and modules.

    python benchmarks/bench_import.py [--processes N]

Bare and importing interpreters are started in turns; the difference of the fastest starts is
printed, and of the medians beside it. ddtrace and opentelemetry-sdk follow where installed.
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

ROOT = Path(__file__).resolve().parent.parent
STATEMENTS = {
    "bare": "pass",
    "fasttrace": "import fasttrace",
    "ddtrace": "import ddtrace.trace",
    "opentelemetry-sdk": "import opentelemetry.sdk.trace",
}
PACKAGES = {
    "fasttrace": "fasttrace",
    "ddtrace": "ddtrace",
    "opentelemetry-sdk": "opentelemetry.sdk",
}


def _environment() -> dict[str, str]:
    """The caller's, with the working copy importable after whatever the caller put first."""
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    return {**os.environ, "PYTHONPATH": path}


def start_ms(statement: str) -> float:
    """Milliseconds one interpreter takes to start, run `statement` and leave without exit hooks."""
    command = [sys.executable, "-c", f"{statement}\nimport os; os._exit(0)"]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=_environment())
    return (time.perf_counter() - start) * 1e3


def new_modules(statement: str) -> int:
    """Modules in sys.modules after `statement` that a bare interpreter has not."""
    code = f"import sys; before = len(sys.modules)\n{statement}\nprint(len(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_environment()
    )
    return int(done.stdout)


def installed(package: str) -> bool:
    """Whether `package` can be imported; asks only for its parent's location."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def main() -> None:
    """Measure and print one line per package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=30, help="starts of each (default 30)")
    processes = parser.parse_args().processes
    sys.path.append(str(ROOT))
    names = ["bare", *(name for name, package in PACKAGES.items() if installed(package))]
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        start_ms(STATEMENTS[name])  # writes byte code, fills the page cache
    for _ in range(processes):
        for name in names:
            times[name].append(start_ms(STATEMENTS[name]))
    bare_min, bare_median = min(times["bare"]), statistics.median(times["bare"])
    print(f"{'bare interpreter':<25} {bare_min:7.2f} ms fastest, {bare_median:7.2f} ms median")
    for name in names[1:]:
        fastest = min(times[name]) - bare_min
        median = statistics.median(times[name]) - bare_median
        modules = new_modules(STATEMENTS[name])
        cost = f"{fastest:+7.2f} ms fastest, {median:+7.2f} ms median"
        print(f"import {name:<18} {cost}, {modules} modules")


if __name__ == "__main__":
    main()
