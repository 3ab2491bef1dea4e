"""docs/propagation.md: its code runs, and what it asserts holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from documents import DOCS, python_blocks, run_program

from fasttrace.config import FIELDS

GUIDE = DOCS / "propagation.md"
BLOCKS = python_blocks(GUIDE)


def test_the_code_of_the_guide_runs(session: Any, tmp_path: Path) -> None:
    """All blocks of the guide, as one program, run without an error and send one trace."""
    assert run_program("\n".join(BLOCKS), session, tmp_path) == ""
    spans = {span["span_id"]: span for span in session.received()}
    called = [span for span in spans.values() if span.get("parent_id")]
    assert [spans[span["parent_id"]]["name"] for span in called] == ["call"]


def test_every_block_asserts_something() -> None:
    """No block of the guide shows code without saying what holds."""
    assert len(BLOCKS) >= 4
    assert [block for block in BLOCKS if "assert" not in block] == []


def test_every_variable_is_in_the_guide() -> None:
    """The guide names every environment variable that concerns propagation."""
    variables = {
        variable
        for field in FIELDS
        if field.name.startswith(("propagation_", "baggage_"))
        for variable in field.env
    }
    text = GUIDE.read_text(encoding="utf-8")
    shortened = "DD_TRACE_PROPAGATION_STYLE_EXTRACT"
    assert {name for name in variables if f"`{name}`" not in text} == {shortened}
    assert "`DD_TRACE_PROPAGATION_STYLE_INJECT`, `_EXTRACT`" in text
