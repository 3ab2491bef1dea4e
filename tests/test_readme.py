"""The README's program, run as a reader would run it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from documents import DOCS, README, blocks_of, masked, run_program

from fasttrace.tree import draw

if TYPE_CHECKING:
    from conftest import Session


def first_block(language: str) -> str:
    """The README's first code block in `language`."""
    return next(block.text for block in blocks_of(README) if block.language == language)


def test_program_sends_the_trace_that_is_shown(session: Session, tmp_path: Path) -> None:
    """The agent receives from the README's program the trace that the README shows below it."""
    assert run_program(first_block("python"), session, tmp_path) == ""
    assert masked(draw(session.received())) == masked(first_block("text"))


def test_program_is_short() -> None:
    """The README's program has ten lines, empty ones not counted."""
    assert len(first_block("python").split("\n\n")) >= 2
    assert len([line for line in first_block("python").splitlines() if line]) <= 10


def test_figures_are_those_of_the_performance_document() -> None:
    """The costs in the README are the ones in the table of docs/performance.md."""
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| child in a 10-span trace .*", text, re.MULTILINE)
    introduction = README.read_text(encoding="utf-8").partition("## Install")[0]
    figures = re.findall(r"[\d,]+(?= ns)", introduction)
    assert len(figures) == 3
    assert any(set(figures) <= {cell.strip() for cell in row.split("|")} for row in rows)
