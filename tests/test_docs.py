"""The documents' programs, run as a reader would run them; what they print is what is shown.

In `docs/*.md` a `python` block that begins with `# name.py` is that file, and a `console` block
holds commands, after `$`, with their output on both streams. In the README a `python` block is a
program of its own, and a `text` block right behind it shows the traces it sends. Durations and
trace ids may differ, nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documents import README, ROOT, Block, blocks_of, masked
from helpers import CHILD_TIMEOUT_S
from inner_pytest import write_metadata

from fasttrace.testing import capture
from fasttrace.tree import draw

EXECUTED = ("filters.md", "guide.md", "reliability.md", "sampling.md", "testing.md")


def run_command(command: str, directory: Path) -> str:
    """Run a command as a shell would; return what it printed, standard error included."""
    words = shlex.split(command)
    env = {**os.environ, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(directory / "site"), *filter(None, sys.path)])
    while "=" in words[0]:
        name, _, env[name] = words.pop(0).partition("=")
    known = {
        "python": [sys.executable],
        "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
    }
    result = subprocess.run(
        [*known[words[0]], *words[1:]],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=CHILD_TIMEOUT_S,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output that is shown."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"line {block.line}: output without a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", EXECUTED)
def test_every_program_prints_what_is_shown(name: str, tmp_path: Path) -> None:
    """The commands of a document, run on its files in their order, print what it says."""
    write_metadata(tmp_path / "site")
    ran = 0
    for block in blocks_of(ROOT / "docs" / name):
        if block.file_name:
            (tmp_path / block.file_name).write_text(block.text, encoding="utf-8")
        for command, shown in commands_of(block) if block.language == "console" else ():
            printed = run_command(command, tmp_path)
            assert masked(printed) == masked(shown), f"{name}, line {block.line}: {command}"
            ran += 1
    assert ran


@pytest.mark.parametrize("name", EXECUTED)
def test_no_block_is_left_out(name: str) -> None:
    """Each block of these documents is a file that a later command runs, or such a command."""
    blocks = blocks_of(ROOT / "docs" / name)
    for number, block in enumerate(blocks):
        assert block.language in ("python", "console"), f"line {block.line}: {block.language}"
        if block.language == "python":
            assert block.file_name, f"line {block.line}: no file name"
            later = [later.text for later in blocks[number + 1 :]]
            module = block.file_name.removesuffix(".py")
            assert any(f"{module}.py" in text or f"from {module} " in text for text in later), (
                f"line {block.line}: {block.file_name} is never run"
            )


def test_programs_of_the_readme_send_the_traces_that_are_shown() -> None:
    """Each Python program of the README runs, and sends the trace shown right behind it."""
    blocks = blocks_of(README)
    programs = [number for number, block in enumerate(blocks) if block.language == "python"]
    assert programs
    for number in programs:
        block = blocks[number]
        with capture() as spans:
            exec(compile(block.text, f"README, line {block.line}", "exec"), {"__name__": "shop"})
        following = blocks[number + 1 : number + 2]
        if following and following[0].follows_code and following[0].language == "text":
            assert masked(draw(span.raw for span in spans)) == masked(following[0].text)


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link of the README and of docs/ names a file or directory that exists."""
    for document in (README, *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_a_difference_is_found() -> None:
    """The comparison sees every change but durations and ids."""
    shown = "trace 6b02f0b100000000b2a4e09a6d3c8f70  1 span  3.61 us\nop  shop    3.61 us  /menu\n"
    other = "trace 00000000000000000000000000000001  1 span  120 ms\nop  shop  120 ms  /menu\n"
    assert masked(shown) == masked(other)
    for old, new in (("op", "po"), ("1 span", "2 spans"), ("/menu", "/menu  a=1"), ("shop", "")):
        assert masked(shown) != masked(other.replace(old, new))
