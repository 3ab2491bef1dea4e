"""Programs that trace and end in some way, for the tests of what arrives then."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

from helpers import note_figure

HEAD = """
import os, signal, sys, threading, time
from fasttrace import tracer
def finish(name):
    with tracer.trace(name):
        pass
"""
#: nothing leaves before the end
LATE = {"DD_TRACE_WRITER_INTERVAL_SECONDS": "3600"}


def script(body: str) -> str:
    """A whole program around the lines of a test."""
    return HEAD + textwrap.dedent(body)


def start(code: str, env: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """Start a program; its output is captured."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    # newer Pythons warn of every fork of a process with threads
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    # `cwd`: not where the package's sources are
    return subprocess.Popen(command, env={**env, **LATE}, cwd=os.sep, **options)


def run(code: str, env: dict[str, str]) -> tuple[int, str, str]:
    """Run a program; return exit code, standard output and standard error."""
    process = start(code, env)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def names(session: Any) -> list[str]:
    """Names of the spans that arrived, sorted."""
    return sorted(span["name"] for span in session.spans())


def report(way: str, finished: int, received: int) -> None:
    """Note the figure of one way to end, and check it: what was finished has been received."""
    note_figure(f"{way}: {finished} spans finished, {received} received")
    assert received == finished
