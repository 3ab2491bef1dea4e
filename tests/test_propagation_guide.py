"""docs/propagation.md: its code runs, and what it asserts holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from fasttrace.config import FIELDS

GUIDE = (Path(__file__).parent.parent / "docs" / "propagation.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_code_of_the_guide_runs(session: Any, tmp_path: Path) -> None:
    """All blocks of the guide, as one program, run without an error and send one trace."""
    program = tmp_path / "guide.py"
    program.write_text("\n".join(BLOCKS))
    child = subprocess.run(
        [sys.executable, str(program)],
        env=session.env(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")
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
    shortened = "DD_TRACE_PROPAGATION_STYLE_EXTRACT"
    assert {name for name in variables if f"`{name}`" not in GUIDE} == {shortened}
    assert "`DD_TRACE_PROPAGATION_STYLE_INJECT`, `_EXTRACT`" in GUIDE
