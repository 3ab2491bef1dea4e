"""The documents' programs, run as a reader would run them; what they print is what is shown.

In `docs/*.md` a `python` block that begins with `# name.py` is that file, and a `console` block
holds commands, after `$`, with their output on both streams. In the README a `python` block is a
program of its own, and a `text` block right behind it shows the traces it sends. Durations and
trace ids may differ, nothing else.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCS, README, ROOT, Block, blocks_of, masked
from helpers import CHILD_TIMEOUT_S
from inner_pytest import write_metadata

from fasttrace.testing import capture
from fasttrace.tree import draw

DOCUMENTS = (
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
)
#: The directories that documents name with their files, and those in which a bare name may be.
TREES = r"benchmarks|build|docs|examples|fasttrace|src|tests|\.ci|\.github"
PLACES = (
    ROOT,
    DOCS,
    ROOT / "src",
    *(ROOT / "fasttrace" / part for part in ("", "contrib", "propagation")),
)
#: Files that are named and are not in the repository: of readers, made by a run, or for a reason.
ELSEWHERE = {
    "conftest.py",
    "sitecustomize.py",
    "build/soak/",
    "build/soak",
    "src/_span.pxd",
    "tests/__init__.py",
}
EXECUTED = ("filters.md", "guide.md", "reliability.md", "run.md", "sampling.md", "testing.md")


def run_command(command: str, directory: Path) -> str:
    """Run a command as a shell would; return what it printed, standard error included."""
    words = shlex.split(command)
    env = {**os.environ, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(directory / "site"), *filter(None, sys.path)])
    while "=" in words[0]:
        name, _, env[name] = words.pop(0).partition("=")
    known = {
        "python": [sys.executable],
        "fasttrace-run": [sys.executable, "-m", "fasttrace.run"],
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


def prose_of(document: Path) -> str:
    """Return the text of a document without its code blocks."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors_of(document: Path) -> set[str]:
    """Return what a link may have behind its `#`: the headings, as the web sites write them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Every relative link names a file or directory that exists, and a heading of it."""
    text = document.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        path = document.parent / target if target else document
        assert path.exists(), f"{document.name}: {target}"
        assert not anchor or anchor in anchors_of(path), f"{document.name}: {target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_and_targets_that_are_named_exist(document: Path) -> None:
    """What a document says of a file of this repository, or of `make`, is about one there is."""
    text = prose_of(document)
    ending = r"(?:\.(?:c|h|json|md|png|pxd|pxi|py|pyi|pyx|toml|txt|yml)|/)"
    named = set(re.findall(rf"`([\w./*-]+{ending})`", text))
    named |= set(re.findall(rf"(?<![\w./])((?:{TREES})/[\w./*-]*\w{ending}?)", text))
    lost = {name for name in named if not any(any(place.glob(name)) for place in PLACES)}
    assert lost <= ELSEWHERE, document.name
    targets = set(re.findall(r"(?:`|^    )(?:\w+=\S+ )*make ([a-z][a-z-]*)", text, re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= known, document.name


def test_every_source_file_is_in_the_map() -> None:
    """The tables of docs/architecture.md name every file of the package and of its core."""
    named = re.findall(r"`([\w./*]+)`", (DOCS / "architecture.md").read_text(encoding="utf-8"))
    made = ("__pycache__", "_version.py", "_span.*.so", "_span.*.pyd")
    for path in [*(ROOT / "src").iterdir(), *(ROOT / "fasttrace").iterdir()]:
        name = path.name + "/" * path.is_dir()
        assert any(fnmatch.fnmatch(name.rstrip("/"), one) for one in made) or any(
            fnmatch.fnmatch(name, one) for one in named
        ), path


def test_every_reason_to_drop_is_in_the_guide() -> None:
    """The table of reasons in docs/reliability.md has those that the core gives, and a test's."""
    text = (DOCS / "reliability.md").read_text(encoding="utf-8")
    known = {*re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").glob("*.pxi"))
    given = {*re.findall(r'\bdrop\("(\w+)"', source), "captured"}
    assert given >= {"p0", "filtered"}
    assert given <= known


def test_a_difference_is_found() -> None:
    """The comparison sees every change but durations and ids."""
    shown = "trace 6b02f0b100000000b2a4e09a6d3c8f70  1 span  3.61 us\nop  shop    3.61 us  /menu\n"
    other = "trace 00000000000000000000000000000001  1 span  120 ms\nop  shop  120 ms  /menu\n"
    assert masked(shown) == masked(other)
    for old, new in (("op", "po"), ("1 span", "2 spans"), ("/menu", "/menu  a=1"), ("shop", "")):
        assert masked(shown) != masked(other.replace(old, new))
