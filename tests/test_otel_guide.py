"""docs/opentelemetry.md, run as it is."""

from __future__ import annotations

import os

from documents import DOCS, python_blocks
from helpers import run_python

BLOCKS = python_blocks(DOCS / "opentelemetry.md")


def test_the_guide_runs() -> None:
    """The blocks of the page are one program, whose asserts hold and which says nothing."""
    program = "\n".join(["from fasttrace.testing import capture\nwith capture() as spans:"])
    body = "\n".join(BLOCKS)
    program += "".join(f"\n    {line}" if line else "\n" for line in body.splitlines())
    program += "\nprint(len(spans), sorted({span.name for span in spans}))\n"
    done = run_python(program, env=dict(os.environ))
    assert done.stderr == ""
    assert done.stdout == (
        "8 ['client.request', 'http.server.request', 'internal', 'native', 'sell']\n"
    )
