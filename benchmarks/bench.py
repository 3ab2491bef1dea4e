"""Run every benchmark made for human eyes, one after the other (`make bench`).

python benchmarks/bench.py [options for pyperf, e.g. --fast or --rigorous]
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYPERF_SCRIPTS = (
    "bench_span.py",
    "bench_trace.py",
    "bench_tags.py",
    "bench_ids.py",
    "bench_encode.py",
    "bench_propagation.py",
    "bench_flush.py",
)
PLAIN_SCRIPTS = ("bench_import.py", "bench_logs.py", "memory.py")


def main() -> int:
    """Run the scripts; stops at the first that fails and returns its exit code."""
    # pyperf starts its workers with a clean environment; without this they miss an in-place build.
    inherit = [f"--inherit-environ={name}" for name in ("PYTHONPATH",) if name in os.environ]
    commands = [[name, "--quiet", *inherit, *sys.argv[1:]] for name in PYPERF_SCRIPTS]
    commands += [[name] for name in PLAIN_SCRIPTS]
    for name, *options in commands:
        print(f"== {name}", flush=True)
        code = subprocess.run([sys.executable, str(HERE / name), *options]).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
