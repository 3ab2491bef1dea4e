"""fasttrace sends what ddtrace sends: every script of ``scripts/`` under both, compared."""

from __future__ import annotations

import pytest
from parity.cases import ORACLES, Case, discover
from parity.child.mutations import names
from parity.ids import IDS, NOT_APPLICABLE
from parity.report import Report, run, without_script

CASES = discover()
PAIRS = [(case, oracle) for case in CASES for oracle in case.oracles]


@pytest.fixture(scope="module")
def report(record_parity_report) -> Report:
    """The outcome of one complete run, mutations included."""
    result = run()
    record_parity_report(result.text())
    return result


@pytest.mark.parametrize(("case", "oracle"), PAIRS, ids=[f"{c.name}-{o}" for c, o in PAIRS])
def test_case(report: Report, case: Case, oracle: str) -> None:
    """A script's traces and outputs equal ddtrace's, but for the table of deliberate differences."""
    assert not report.unexplained[case.name, oracle], "\n".join(
        str(d) for d in report.unexplained[case.name, oracle]
    )


@pytest.mark.parametrize("name", names())
def test_mutation(report: Report, name: str) -> None:
    """A broken tracer turns the comparison red."""
    assert report.caught[name]


def test_every_id_has_a_script() -> None:
    """No documented fact is without a script, unless it is listed as not applicable."""
    assert without_script(CASES) == []


def test_ids_are_known() -> None:
    """Scripts and the table of facts that do not apply name only ids of the index."""
    assert {i for case in CASES for i in case.covers} | set(NOT_APPLICABLE) <= set(IDS)


def test_no_row_is_unused(report: Report) -> None:
    """Every deliberate difference is really met."""
    assert report.unused_rows() == []


def test_enough_mutations() -> None:
    """At least twenty ways to be wrong are tried."""
    assert len(names()) >= 20


def test_both_oracles_are_used() -> None:
    """Each oracle version judges cases."""
    assert {oracle for _, oracle in PAIRS} == set(ORACLES)
