"""``python -m parity [PATTERN] [--no-mutations]``: run the oracle and print the report."""

from __future__ import annotations

import sys

from parity.report import run

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    report = run(arguments[0] if arguments else "", mutations="--no-mutations" not in sys.argv)
    print(report.text())
    sys.exit(any(report.unexplained.values()) or not all(report.caught.values()))
