"""The documents of this repository: their code blocks, and how those are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from helpers import CHILD_TIMEOUT_S

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"


class Block(NamedTuple):
    """A code block of a document."""

    language: str
    text: str
    line: int  #: of the document, where it begins
    follows_code: bool  #: whether it stands right behind another block or one line of text after it

    @property
    def file_name(self) -> str:
        """The file a python block is, "" if it is none."""
        match = re.match(r"# (\w+\.py)\n", self.text)
        return match[1] if self.language == "python" and match else ""


def blocks_of(document: Path) -> list[Block]:
    """Return the code blocks of a document, in their order."""
    blocks = []
    text = document.read_text(encoding="utf-8")
    end = 0
    for match in re.finditer(r"^```(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        between = text[end : match.start()].strip()
        near = bool(blocks) and "\n\n" not in between and not between.startswith("#")
        line = text.count("\n", 0, match.start()) + 1
        blocks.append(Block(match[1], match[2], line, near))
        end = match.end()
    return blocks


def masked(text: str) -> list[str]:
    """Return the lines of an output without what differs in each run."""
    text = re.sub(r"(?<= ) *[\d.]+ (ns|us|ms|s)\b", "TIME", text)
    text = re.sub(r"\bin [\d.]+s\b", "in TIME", text)
    return re.sub(r"\b[0-9a-f]{32}\b", "ID", text).rstrip("\n").splitlines()


def python_blocks(document: Path) -> list[str]:
    """Return the text of the Python blocks of a document, in their order."""
    return [block.text for block in blocks_of(document) if block.language == "python"]


def run_program(text: str, session: Any, directory: Path, **env: str) -> str:
    """Run a program whose traces arrive in `session`; return its output, there being no error."""
    program = directory / "program.py"
    program.write_text(text, encoding="utf-8")
    child = subprocess.run(
        [sys.executable, str(program)],
        env=session.env(**env),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT_S,
    )
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout
