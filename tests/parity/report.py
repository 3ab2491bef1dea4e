"""Run every case under fasttrace and real ddtrace, and report on the comparison."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from parity.cases import ORACLES, Case, discover
from parity.child import mutations as broken
from parity.compare import Difference, Outcome, Row, compare
from parity.differences import ROWS
from parity.ids import IDS, NOT_APPLICABLE
from parity.oracle import TestAgent, fasttrace_library, oracle_library, run_cases


@dataclass
class Report:
    """Outcomes and differences of one complete run."""

    cases: list[Case]
    theirs: dict[str, dict[str, Outcome]] = field(
        default_factory=dict
    )  # oracle version -> case -> outcome
    explained: dict[tuple[str, str], list[tuple[Difference, Row]]] = field(default_factory=dict)
    unexplained: dict[tuple[str, str], list[Difference]] = field(default_factory=dict)
    caught: dict[str, list[Difference]] = field(default_factory=dict)  # mutation -> new differences

    def pairs(self) -> Iterator[tuple[Case, str]]:
        """Every comparison: a case and the oracle version."""
        for case in self.cases:
            for oracle in case.oracles:
                yield case, oracle

    def judge(self, ours: dict[str, Outcome]) -> None:
        """Compare *ours* with the oracles' outcomes."""
        for case, oracle in self.pairs():
            found = compare(case.name, oracle, ours[case.name], self.theirs[oracle][case.name])
            explained, unexplained = sort_out(found)
            self.explained[case.name, oracle] = explained
            self.unexplained[case.name, oracle] = unexplained

    def unused_rows(self) -> list[Row]:
        """Rows of the table that no comparison needed."""
        if len(ORACLES) < 2:
            return []  # rows about the missing version cannot be used
        used = {id(row) for items in self.explained.values() for _, row in items}
        return [row for row in ROWS if id(row) not in used]

    def text(self) -> str:
        """The report for people."""
        covered = {i for case in self.cases for i in case.covers}
        lines = ["parity with ddtrace"]
        lines.append(
            f"  ids: {len(IDS)} in the index, {len(covered & set(IDS))} covered, {len(NOT_APPLICABLE)} not applicable, "
            f"{len(without_script(self.cases))} without a script"
        )
        lines += [f"    without a script: {i}: {IDS[i]}" for i in without_script(self.cases)]
        lines += [f"    not applicable: {i}: {reason}" for i, reason in NOT_APPLICABLE.items()]
        for oracle in ORACLES:
            keys = [key for key in self.explained if key[1] == oracle]
            equal = sum(not self.explained[key] and not self.unexplained[key] for key in keys)
            only_rows = sum(bool(self.explained[key]) and not self.unexplained[key] for key in keys)
            wrong = sum(len(self.unexplained[key]) for key in keys)
            everywhere = sum(
                not self.unexplained[key] and all(row.case == "*" for _, row in self.explained[key])
                for key in keys
            )
            lines.append(
                f"  ddtrace {oracle}: {len(keys)} cases run, {equal} equal to the last key, "
                f"{everywhere} equal but for rows that hold everywhere, {only_rows} as the table of deliberate "
                f"differences says, unexplained differences {wrong}"
            )
        lines.append("  deliberate differences, by reason (rows of the table, values that differ):")
        reasons: dict[str, list[int]] = {}
        for row in ROWS:
            reasons.setdefault(row.reason, [0, 0])[0] += 1
        for items in self.explained.values():
            for _, row in items:
                reasons[row.reason][1] += 1
        lines += [f"    {reason}: {rows}, {uses}" for reason, (rows, uses) in reasons.items()]
        lines += [f"  UNEXPLAINED {d}" for items in self.unexplained.values() for d in items]
        lines += [
            f"    unused row: {row.case} [{row.oracle}] {row.key}" for row in self.unused_rows()
        ]
        caught = sum(bool(items) for items in self.caught.values())
        lines.append(
            f"  mutations: {len(broken.names())}, caught {caught} of {len(self.caught)} run"
        )
        lines += [f"    not caught: {name}" for name, items in self.caught.items() if not items]
        lines += [
            f"    {name}: {len(items)} differences, first {items[0]}"[:240]
            for name, items in self.caught.items()
            if items
        ]
        return "\n".join(lines)


def sort_out(found: list[Difference]) -> tuple[list[tuple[Difference, Row]], list[Difference]]:
    """Differences that a row of the table explains, and the others."""
    explained: list[tuple[Difference, Row]] = []
    unexplained: list[Difference] = []
    for difference in found:
        row = next((row for row in ROWS if row.explains(difference)), None)
        if row is None:
            unexplained.append(difference)
        else:
            explained.append((difference, row))
    return explained, unexplained


def died(difference: Difference) -> bool:
    """Whether the difference is only that the process ended: no proof that it was noticed."""
    return difference.key == "raised" and "no result for" in str(difference.ours)


def without_script(cases: list[Case]) -> list[str]:
    """Ids that no case covers and that are not listed as not applicable."""
    covered = {i for case in cases for i in case.covers}
    return [i for i in IDS if i not in covered and i not in NOT_APPLICABLE]


def run(pattern: str = "", mutations: bool = True) -> Report:
    """The whole oracle: both versions, our side, and the mutations."""
    report = Report(discover(pattern))
    with ThreadPoolExecutor() as pool:
        oracles = list(pool.map(oracle_library, ORACLES))
    agent = TestAgent()
    try:
        jobs = [(fasttrace_library(), report.cases)]
        for version, library in zip(ORACLES, oracles, strict=True):
            jobs.append((library, [case for case in report.cases if version in case.oracles]))
        ours, *theirs = run_cases(agent, jobs)
        report.theirs = dict(zip(ORACLES, theirs, strict=True))
        report.judge(ours)
        if mutations:
            names = broken.names()
            jobs = [
                (fasttrace_library(n), [c for c in report.cases if broken.wants(n, c.name)])
                for n in names
            ]
            for name, outcome in zip(names, run_cases(agent, jobs), strict=True):
                found: list[Difference] = []
                for case, oracle in report.pairs():
                    if case.name in outcome:
                        theirs = report.theirs[oracle][case.name]
                        _, wrong = sort_out(compare(case.name, oracle, outcome[case.name], theirs))
                        known = {str(d) for d in report.unexplained[case.name, oracle]}
                        found += [d for d in wrong if str(d) not in known and not died(d)]
                report.caught[name] = found
    finally:
        agent.stop()
    return report
