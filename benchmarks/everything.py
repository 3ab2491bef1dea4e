"""Measure all that docs/performance.md reports, and write the results into it.

One benchmark after the other, since each wants the machine for itself. A benchmark that misses a
bar does not stop the others; what was missed is printed at the end, and gives exit code 1.

    python benchmarks/everything.py
    python benchmarks/everything.py --also debian=.venv-bench-debian/bin/python
    python benchmarks/everything.py --only encoders --only memory
    python benchmarks/everything.py --bars      print what has a bar, and write nothing

Figures go between the marks of docs/performance.md and, unrounded, to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "performance.md"
RESULTS = HERE / "results"
README = HERE.parent / "README.md"
QUIET_LOAD = 0.5
VERDICT = re.compile(r"^(ok    |MISSED)  |, ceiling |, baseline ")
"""Lines of report.print_verdicts() and of gate.py."""
STEPS: dict[str, list[str]] = {
    "compare": ["compare.py", "--check"],
    "compare others": [
        *("compare.py", "--runs", "3", "--rounds", "15"),
        *("--peers", "floor,fasttrace,sentry,elastic"),
    ],
    "compare inplace": ["compare.py", "--peers", "floor,fasttrace,fasttrace-inplace"],
    "profiles": ["profiles.py", "--check"],
    "encoders": ["encoders.py", "--check"],
    "delivered": ["delivered.py", "--check"],
    "latency": ["latency.py"],
    "service": ["service.py", "--plot", str(DOCUMENT.parent / "service.svg")],
    "pauses": ["pauses.py", "--check"],
    "threads": ["threads.py", "--check"],
    "memory": ["memory.py", "--check"],
    "import": ["bench_import.py", "--check"],
    "gate": ["gate.py"],
}


def write_when() -> None:
    """Say when, from which commit, and on how busy a machine this was measured."""
    load = os.getloadavg()[0]
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip() or "?"
    text = f"Measured {time.strftime('%Y-%m-%d')} from commit {commit}; load average {load:.1f}"
    if load > QUIET_LOAD:
        text += ": the machine was busy with other work, and the figures are preliminary"
    DOCUMENT.write_text(report.put_into(DOCUMENT.read_text(), f"{text}.", "when"))


def write_introduction() -> None:
    """Put the three figures of a child, and where they come from, into the README."""
    result = json.loads((RESULTS / "compare.json").read_text())
    # As the table says them, which has rounded.
    row = re.search(
        r"^\| child in a 10-span trace +\| +[\d,]+ \|.*", DOCUMENT.read_text(), re.MULTILINE
    )
    assert row is not None
    cells = [cell.strip() for cell in row[0].split("|")]
    figures = iter([f"{cells[i]} ns" for i in (3, 5, 6)])  # fasttrace, ddtrace, otel
    text = README.read_text()
    head, install, rest = text.partition("## Install")
    head = re.sub(r"[\d,]+ ns", lambda _: next(figures), head)
    head = re.sub(r"\d{4}-\d\d-\d\d(?=; `make bench)", result["meta"]["date"], head)
    README.write_text(head + install + rest)


def step(name: str, command: list[str], document: bool = True) -> list[str]:
    """Run one benchmark; return the lines that say which bars it met and which it missed."""
    print(f"== {name}", flush=True)
    began_s = time.monotonic()
    if document:
        command = [*command, "--document", str(DOCUMENT)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="")
    print(f"-- {name}: {time.monotonic() - began_s:.0f} s\n", flush=True)
    verdicts = [line for line in done.stdout.splitlines() if VERDICT.search(line)]
    if done.returncode and not any(is_missed(line) for line in verdicts):
        verdicts.append(f"MISSED  it ended with exit code {done.returncode}")
    return [f"{name}: {line}" for line in verdicts]


def is_missed(verdict: str) -> bool:
    """Whether this line says that a bar was missed."""
    return "MISSED" in verdict or "REGRESSION" in verdict


def main() -> int:
    """Run the steps; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", action="append", choices=[*STEPS, "also"], help="this step; may be repeated")
    add(
        "--also",
        action="append",
        default=[],
        metavar="MARK=PYTHON",
        help="compare under this interpreter, too, for the marks of that name; may be repeated",
    )
    add("--bars", action="store_true", help="only print, and only what has a bar")
    arguments = parser.parse_args()
    verdicts: list[str] = []
    if arguments.bars:
        for name, command in STEPS.items():
            if "--check" in command or name == "gate":
                verdicts += step(
                    name, [sys.executable, str(HERE / command[0]), *command[1:]], False
                )
        return conclude(verdicts)
    RESULTS.mkdir(exist_ok=True)
    write_when()
    for name, command in STEPS.items():
        if arguments.only and name not in arguments.only:
            continue
        line = [sys.executable, str(HERE / command[0]), *command[1:]]
        if name.startswith("compare"):
            line += ["--mark", name, "--summary", str(RESULTS / f"{name.replace(' ', '-')}.json")]
        elif name != "gate":
            line += ["--json", str(RESULTS / f"{name}.json")]
        verdicts += step(name, line, name != "gate")
    if not arguments.only or "also" in arguments.only:
        for also in arguments.also:
            mark, _, python = also.partition("=")
            line = [sys.executable, str(HERE / "compare.py"), "--runs", "3"]
            line += ["--python", python, "--peers-python", python, "--mark", f"compare {mark}"]
            line += ["--summary", str(RESULTS / f"compare-{mark}.json")]
            verdicts += step(f"compare under {mark}", line)
    if (RESULTS / "compare.json").exists():
        write_introduction()
    if not arguments.only:
        text = "\n".join(["```", *verdicts, "```"])
        DOCUMENT.write_text(report.put_into(DOCUMENT.read_text(), text, "bars"))
    return conclude(verdicts)


def conclude(verdicts: list[str]) -> int:
    """Print every verdict, then how many were missed; returns the exit code."""
    missed = sum(map(is_missed, verdicts))
    print("== every bar", *verdicts, f"{len(verdicts)} bars, {missed} missed", sep="\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
