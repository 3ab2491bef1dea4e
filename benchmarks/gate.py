"""Regression gate: instructions per span, counted by callgrind, against ceilings and a baseline.

Instruction counts repeat to a fraction of a per cent on a busy machine, where times do not. A
scenario is run twice, with 1,000 and with 11,000 spans; the difference, divided by 10,000, leaves
start-up out.

    python benchmarks/gate.py                   check; exit code 1 on a regression or missed ceiling
    python benchmarks/gate.py --update          write the baseline for this interpreter
    python benchmarks/gate.py --show child10    functions of one scenario, dearest first

The baseline holds one entry per interpreter build, since the count depends on it: on a build
without an entry only the ceilings are checked. callgrind does not see what a clock read costs, so
this is no place to compare clocks.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import interpreter
from interpreter import clean_environment
from profiles import PRODUCTION_ENV
from sampling_rules import DISCARDING_ENV, MATCHING_ENV

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "gate_baseline.json"
CEILINGS = HERE / "ceilings.json"
SCENARIOS = (
    "single_root",
    "child10",
    "tagged_child10",
    "wrap",
    "wrap10",
    "wrap_coroutine",
    "disabled_with",
    "disabled_wrap",
    "rule_root",
    "discarded_child",
    "otel_face",
    "production10",
)
ADAPTERS = {"otel_face": "otel_face"}
"""Scenarios of fasttrace that are in an adapter of their own."""
ENVIRONMENTS = {
    "rule_root": MATCHING_ENV,
    "discarded_child": DISCARDING_ENV,
    "production10": PRODUCTION_ENV,
    "production20": PRODUCTION_ENV,
}
FEW_SPANS, MANY_SPANS = 1_000, 11_000
TOLERANCE = 0.03
"""A scenario may cost this fraction more than its baseline."""
SMALLEST_IR = 1.0
"""Functions below this many instructions per span are left out of the baseline."""

_FUNCTION = re.compile(r"fn=\((\d+)\)(?: (.*?)(?:'\d+)?)?$")  # 'name'2' is name, recursing
_COST = re.compile(r"[+\-*\d]\S* (\d+)$")


class Counts(dict[str, float]):
    """Instructions per span by function, the function's own only; `total` is their sum."""

    @property
    def total(self) -> float:
        return sum(self.values())


def self_costs(profile: Path) -> dict[str, int]:
    """Sum a callgrind output file to own instructions per function name.

    Format: "fn=(id) name" opens a function (the name is given once per id); each following
    "<line> <cost>" is its own, except the one after "calls=", which is the callee's inclusive cost.
    """
    names: dict[str, str] = {}
    costs: dict[str, int] = {}
    current = ""
    callee_cost_next = False
    with profile.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("calls="):
                callee_cost_next = True
            elif match := _FUNCTION.match(line):
                number, name = match.groups()
                if name:
                    names[number] = name
                current = names[number]
            elif line.startswith("cfn="):
                # A callee's name may be given here first.
                called = _FUNCTION.match(line[1:])
                if called and called[2]:
                    names[called[1]] = called[2]
            elif match := _COST.match(line):
                if callee_cost_next:
                    callee_cost_next = False
                else:
                    costs[current] = costs.get(current, 0) + int(match[1])
    return costs


def _profile(python: str, peer: str, scenario: str, spans: int, directory: Path) -> dict[str, int]:
    output = directory / f"{scenario}.{spans}.out"
    done = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={output}",
            python,
            str(HERE / "peers" / "worker.py"),
            ADAPTERS.get(scenario, peer) if peer == "fasttrace" else peer,
            scenario,
            str(spans),
        ],
        capture_output=True,
        text=True,
        # The order of dicts and sets of strings must not change from run to run.
        env={**clean_environment(), "PYTHONHASHSEED": "0", **ENVIRONMENTS.get(scenario, {})},
    )
    if done.returncode:
        raise RuntimeError(f"{scenario}: the run under valgrind failed\n{done.stderr}")
    return self_costs(output)


def count(python: str, peer: str, scenario: str, directory: Path) -> Counts:
    """Instructions per span of one scenario, by function. Raises RuntimeError if the run fails."""
    few = _profile(python, peer, scenario, FEW_SPANS, directory)
    many = _profile(python, peer, scenario, MANY_SPANS, directory)
    spans = MANY_SPANS - FEW_SPANS
    return Counts({name: (many[name] - few.get(name, 0)) / spans for name in many})


def grown(now: dict[str, float], before: dict[str, float], most: int = 12) -> list[str]:
    """The functions that cost more than in the baseline, worst first, one printable line each."""
    deltas = {name: cost - before.get(name, 0.0) for name, cost in now.items()}
    worst = sorted(deltas.items(), key=lambda item: -item[1])[:most]
    return [
        f"    {delta:+9.1f}  {before.get(name, 0.0):9.1f} -> {now[name]:9.1f}  {name}"
        for name, delta in worst
        if delta >= SMALLEST_IR
    ]


def check(counts: dict[str, Counts], baseline: dict[str, dict[str, float]] | None) -> bool:
    """Print a line per scenario and the functions behind a regression; True if all is well."""
    ceilings = json.loads(CEILINGS.read_text())
    well = True
    for scenario, now in counts.items():
        line = f"{scenario:<16} {now.total:9.0f} instructions per span"
        ceiling = ceilings.get(scenario, {}).get("ir_max")
        if ceiling is not None:
            met = now.total <= ceiling
            well &= met
            line += f", ceiling {ceiling:,} {'ok' if met else 'MISSED'}"
        before = (baseline or {}).get(scenario)
        growth: list[str] = []
        if before:
            base = before["total"]
            change = now.total / base - 1
            regressed = change > TOLERANCE
            well &= not regressed
            line += f", baseline {base:.0f} ({change:+.1%}{', REGRESSION' if regressed else ''})"
            growth = grown(now, before) if regressed else []
        print(line)
        for entry in growth:
            print(entry)
    return well


def show(now: Counts, most: int = 40) -> None:
    """Print the functions of one scenario, dearest first."""
    print(f"{now.total:.0f} instructions per span")
    for name, cost in sorted(now.items(), key=lambda item: -item[1])[:most]:
        print(f"{cost:9.1f}  {cost / now.total:6.1%}  {name}")


def main() -> int:
    """Count, then check, show or update; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--update", action="store_true", help="write the baseline instead of checking it"
    )
    parser.add_argument("--show", metavar="SCENARIO", help="print the functions of one scenario")
    parser.add_argument("--peer", default="fasttrace", help="adapter to count (default fasttrace)")
    parser.add_argument("--scenario", action="append", help="only this scenario; may be repeated")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("gate: valgrind is not installed (Debian: apt-get install valgrind)", file=sys.stderr)
        return 2
    names = [arguments.show] if arguments.show else arguments.scenario or list(SCENARIOS)
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {
            name: pool.submit(count, sys.executable, arguments.peer, name, Path(directory))
            for name in names
        }
        counts = {name: job.result() for name, job in jobs.items()}
    if arguments.show:
        show(counts[arguments.show])
        return 0
    stored = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    key = interpreter.key()
    if arguments.update:
        entry = stored.setdefault(key, {})
        for name, now in counts.items():
            kept = {
                function: round(cost, 1) for function, cost in now.items() if cost >= SMALLEST_IR
            }
            entry[name] = {"total": round(now.total, 1), **dict(sorted(kept.items()))}
        BASELINE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
        print(f"baseline written for {key}")
        return 0
    if key not in stored:
        print(f"no baseline for {key}: only the ceilings are checked")
    return 0 if check(counts, stored.get(key)) else 1


if __name__ == "__main__":
    sys.exit(main())
