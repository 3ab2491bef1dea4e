"""gunicorn: every request yields one trace, through recycling, reload and a graceful stop."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from agent_process import TestAgent
from conftest import FULL
from server_processes import Server, each

PATCHING = "from gevent import monkey; monkey.patch_all()\n"
#: name -> what the configuration file says besides
CONFIGURATIONS = {
    "sync": "worker_class = 'sync'",
    "sync, preload": "worker_class = 'sync'; preload_app = True",
    "sync, recycled": "worker_class = 'sync'; max_requests = 10",
    "gthread": "worker_class = 'gthread'; threads = 4",
    "gthread, preload": "worker_class = 'gthread'; threads = 4; preload_app = True",
    "gthread, recycled": "worker_class = 'gthread'; threads = 4; max_requests = 10",
    "gevent": "worker_class = 'gevent'",
    "gevent, preload": "worker_class = 'gevent'; preload_app = True",
    "gevent, patched first": PATCHING + "worker_class = 'gevent'; preload_app = True",
    "gevent, recycled": "worker_class = 'gevent'; max_requests = 10",
}


def start(configuration: str, session: Any, directory: Path) -> Server:
    """Start gunicorn with two workers."""
    common = "bind = '127.0.0.1:PORT'; workers = 2; graceful_timeout = 20; timeout = 60"
    command = [sys.executable, "-m", "gunicorn", "-c", "configuration.py", "application:wsgi"]
    (directory / "configuration.py").write_text(f"{configuration}; control_socket_disable = True\n")
    for setting in common.split("; ")[1:]:
        name, value = setting.split(" = ")
        command += [f"--{name.replace('_', '-')}", value]
    return Server([*command, "--bind", "127.0.0.1:PORT"], session, directory)


def serve(name: str, session: Any, directory: Path) -> None:
    """Load, load during a reload by SIGHUP, and a graceful stop."""
    configuration = CONFIGURATIONS[name]
    size = 500 if FULL else 30
    with start(configuration, session, directory) as server:
        server.load(size)
        if "max_requests" in configuration:
            server.wait_for_other_workers(server.workers())
        server.load_during(signal.SIGHUP, size)
        server.stop(signal.SIGTERM)
        server.check(f"gunicorn {name}")


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorn(worker: str, agent: TestAgent, tmp_path: Path) -> None:
    """Every way to run this kind of worker loses and repeats nothing."""
    names = [name for name in CONFIGURATIONS if name.startswith(worker)]
    assert names
    assert each(names, serve, agent, tmp_path) == names
