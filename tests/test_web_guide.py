"""docs/web.md: its applications, under their servers, send the traces that are shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from documents import DOCS, Block, blocks_of, masked
from web_process import WebServer

from fasttrace.config import FIELDS
from fasttrace.tree import draw

GUIDE = DOCS / "web.md"
TEXT = GUIDE.read_text()
BLOCKS = blocks_of(GUIDE)


def sections() -> list[tuple[Block, Block, Block]]:
    """Each program with the commands and the trace behind it."""
    assert [block.language for block in BLOCKS] == ["python", "console", "text"] * 2
    return [(BLOCKS[n], BLOCKS[n + 1], BLOCKS[n + 2]) for n in range(0, len(BLOCKS), 3)]


@pytest.mark.parametrize("section", sections(), ids=["asgi", "wsgi"])
def test_the_applications(section: Any, session: Any, tmp_path: Path) -> None:
    """The program, started and asked as shown, sends the trace that is shown."""
    program, commands, trace = section
    (tmp_path / program.file_name).write_text(program.text)
    start, ask = re.findall(r"^\$ (.*)$", commands.text, re.MULTILINE)
    variable, kind, application = shlex.split(start)
    assert application.partition(":")[0] + ".py" == program.file_name
    name, _, value = variable.partition("=")
    env = session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="0.02", **{name: value})
    path = shlex.split(ask)[1].partition(":8000")[2]
    with WebServer(kind, application, env, directory=tmp_path) as server:
        assert server.get(path)[0] == 200
        spans = session.wait_for_spans(2)
    assert masked(draw(spans)) == masked(trace.text)
    (root,) = [span for span in spans if not span.get("parent_id")]
    tags = {tag for tag in root["meta"] if not tag.startswith("_dd.")}
    assert {tag for tag in tags if f"`{tag}`" not in TEXT} == {"runtime-id", "language"}


def test_every_variable_is_in_the_guide() -> None:
    """The guide names every environment variable that concerns requests, with its default."""
    variables = [name for field in FIELDS if field.name.startswith("http_") for name in field.env]
    assert len(variables) == 3
    assert [name for name in variables if f"| `{name}` |" not in TEXT] == []
