"""docs/context.md: its code runs, and what it asserts holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from documents import DOCS, python_blocks, run_program

GUIDE = DOCS / "context.md"
BLOCKS = python_blocks(GUIDE)


def test_the_code_of_the_guide_runs(session: Any, tmp_path: Path) -> None:
    """All blocks of the guide, as one program, run without an error and send their traces."""
    assert run_program("\n".join(BLOCKS), session, tmp_path) == ""
    names = {span["name"] for span in session.received()}
    assert names >= {
        "request",
        "query",
        "during",
        "after",
        "work",
        "refresh",
        "rows",
        "transaction",
    }
    assert not any(span.get("error") for span in session.received())


def test_every_block_asserts_something() -> None:
    """No block of the guide shows code without saying what holds."""
    assert len(BLOCKS) >= 6
    assert [block for block in BLOCKS if "assert" not in block] == []
