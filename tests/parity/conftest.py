"""Print the parity report after the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_texts: list[str] = []


@pytest.fixture(scope="session")
def record_parity_report() -> Callable[[str], None]:
    """Keep a text for the terminal summary."""
    return _texts.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the report."""
    for text in _texts:
        terminalreporter.section("parity with ddtrace")
        terminalreporter.write_line(text)
