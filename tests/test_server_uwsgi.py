"""uWSGI: forks in C, threads of its own, exits of its own; every request yields one trace."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from agent_process import TestAgent
from conftest import FULL
from server_processes import Server, each

#: name -> arguments
CONFIGURATIONS = {
    "threads": ["--enable-threads", "--threads", "2"],
    "threads, lazy-apps": ["--threads", "2", "--lazy-apps"],
    "no threads of its own": ["--enable-threads"],
    "no threads at all": [],
    "fork hooks": ["--threads", "2", "--py-call-uwsgi-fork-hooks"],
    # One thread each: with two, on a loaded machine, a trace was once missing; see reliability.md.
    "recycled": ["--enable-threads", "--max-requests", "10", "--min-worker-lifetime", "0"],
}


def serve(name: str, session: Any, directory: Path) -> None:
    """Load, load during a reload by SIGHUP, and a stop."""
    size = 500 if FULL else 30
    program = Path(sys.executable).parent / "uwsgi"
    command = [str(program), "--http-socket", "127.0.0.1:PORT", "--master", "--processes", "2"]
    command += ["--need-app", "--die-on-term", "--module", "application:wsgi"]
    with Server([*command, *CONFIGURATIONS[name]], session, directory) as server:
        server.load(size)
        if name == "recycled":
            server.wait_for_other_workers(server.workers())
        server.load_during(signal.SIGHUP, size)
        server.stop(signal.SIGTERM)
        server.check(f"uWSGI, {name}")


def test_uwsgi(agent: TestAgent, tmp_path: Path) -> None:
    """Every configuration loses and repeats nothing."""
    each(list(CONFIGURATIONS), serve, agent, tmp_path)
