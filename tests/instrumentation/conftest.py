"""The servers that the programs talk to: one of each kind for each of the two runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers import CHILD_TIMEOUT_S
from instrumentation import peers

CHILD = Path(__file__).parent / "child.py"
#: Name of the variable that tells a program its server's port -> how the server is started.
SERVERS = {
    "POSTGRESQL_PORT": peers.postgresql,
    "REDIS_PORT": peers.redis,
    "MEMCACHED_PORT": peers.memcached,
}


class Runs:
    """Starts programs, and the servers they name, when they are asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._ports: dict[tuple[str, str], str] = {}
        self._pool = stack.enter_context(ThreadPoolExecutor(2))

    def start(self, which: str, name: str, env: dict[str, str]) -> Future[str]:
        """Run programs/<name>.py under `which` tracer; the future is what it prints."""
        text = (CHILD.parent / "programs" / f"{name}.py").read_text()
        ports = {key: self._port(which, key) for key in SERVERS if key in text}
        return self._pool.submit(self._run, which, name, {**env, **ports})

    def _port(self, which: str, key: str) -> str:
        if (which, key) not in self._ports:
            self._ports[which, key] = str(self._stack.enter_context(SERVERS[key]()))
        return self._ports[which, key]

    def _run(self, which: str, name: str, env: dict[str, str]) -> str:
        with tempfile.TemporaryDirectory(prefix="ft-child-") as empty:
            result = subprocess.run(
                [sys.executable, str(CHILD), which, name],
                env=env,
                cwd=empty,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CHILD_TIMEOUT_S,
                check=False,
            )
        assert result.returncode == 0, f"{which} {name}: {result.stdout}\n{result.stderr}"
        return result.stdout


@pytest.fixture(scope="session")
def runs() -> Iterator[Runs]:
    """What starts the programs."""
    with ExitStack() as stack:
        yield Runs(stack)
