"""The README's program, run as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fasttrace.tree import draw

if TYPE_CHECKING:
    from conftest import Session

README_FILE = Path(__file__).parent.parent / "README.md"
README = README_FILE.read_text()
DURATION = re.compile(r" *\d[\d.]* (ns|us|ms|s)\b")
TRACE_ID = re.compile(r"[0-9a-f]{32}")


def first_block(language: str) -> str:
    """The README's first code block in `language`."""
    match = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


def without_chance(text: str) -> list[str]:
    """The lines of a drawn trace without what differs in each run: the id and the durations."""
    return DURATION.sub("", TRACE_ID.sub("ID", text)).strip().splitlines()


def test_program_sends_the_trace_that_is_shown(session: Session, tmp_path: Path) -> None:
    """The agent receives from the README's program the trace that the README shows below it."""
    program = tmp_path / "shop.py"
    program.write_text(first_block("python"))
    command = [sys.executable, str(program)]
    child = subprocess.run(
        command, env=session.env(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")
    assert without_chance(draw(session.received())) == without_chance(first_block("text"))


def test_program_is_short() -> None:
    """The README's program has ten lines, empty ones not counted."""
    assert len(first_block("python").split("\n\n")) >= 2
    assert len([line for line in first_block("python").splitlines() if line]) <= 10


def test_figures_are_those_of_the_performance_document() -> None:
    """The costs in the README are the ones in the table of docs/performance.md."""
    document = README_FILE.with_name("docs") / "performance.md"
    rows = re.findall(r"^\| child in a 10-span trace .*", document.read_text(), re.MULTILINE)
    figures = re.findall(r"[\d,]+(?= ns)", README.partition("## Install")[0])
    assert len(figures) == 3
    assert any(set(figures) <= {cell.strip() for cell in row.split("|")} for row in rows)
