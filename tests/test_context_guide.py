"""docs/context.md: its code runs, and what it asserts holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

GUIDE = (Path(__file__).parent.parent / "docs" / "context.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_code_of_the_guide_runs(session: Any, tmp_path: Path) -> None:
    """All blocks of the guide, as one program, run without an error and send their traces."""
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
