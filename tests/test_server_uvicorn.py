"""uvicorn: every request yields one trace, whichever way the server ends."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from agent_process import TestAgent
from conftest import FULL
from server_processes import Server, each

#: name -> arguments, signal that ends the server
CONFIGURATIONS = {
    "one process, SIGTERM": ([], signal.SIGTERM),
    "one process, SIGINT": ([], signal.SIGINT),
    "two workers, SIGTERM": (["--workers", "2"], signal.SIGTERM),
    "two workers, SIGINT": (["--workers", "2"], signal.SIGINT),
}


def serve(name: str, session: Any, directory: Path) -> None:
    """Load, for several workers load during their reload by SIGHUP, and a graceful stop."""
    arguments, signum = CONFIGURATIONS[name]
    size = 500 if FULL else 30
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--port",
        "PORT",
        "--log-level",
        "warning",
        *arguments,
    ]
    with Server([*command, "application:asgi"], session, directory) as server:
        server.load(size)
        if arguments:
            server.load_during(signal.SIGHUP, size)
        server.stop(signum)
        server.check(f"uvicorn {name}")


def test_uvicorn(agent: TestAgent, tmp_path: Path) -> None:
    """One process and several workers, ended by either signal, lose and repeat nothing."""
    names = list(CONFIGURATIONS)
    assert each(names, serve, agent, tmp_path) == names
