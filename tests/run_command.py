"""Programs run by fasttrace-run, and without it, for the tests of what that changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from helpers import CHILD_TIMEOUT_S

#: The command, in a form that needs no installed script.
RUN = [sys.executable, "-m", "fasttrace.run"]
#: What a Python program gets on its path to find fasttrace, wherever that is installed.
PATH = [entry for entry in sys.path if entry]
NO_AGENT = "http://localhost:9"


def environment(*path: Path | str, **extra: str) -> dict[str, str]:
    """The environment of a program: fasttrace on its path, and no agent unless `extra` has one."""
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "DD_TRACE_AGENT_URL": NO_AGENT,
        "PYTHONPATH": os.pathsep.join(map(str, [*path, *PATH])),
        **extra,
    }


def run(
    *words: str, cwd: Path, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command line in `cwd`; return what became of it."""
    return subprocess.run(
        words,
        cwd=cwd,
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT_S,
        check=False,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def at_once(test: Callable[[Any], None], cases: Iterable[Any]) -> None:
    """Call `test` for every case, some of them at once: most of the time they wait for children.

    Raises what the first one that fails raises, with a note that names the case.
    """

    def one(case: Any) -> None:
        try:
            test(case)
        except BaseException as error:
            raise AssertionError(f"{case}: {error}") from error

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, cases))


def outcome(result: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    return result.returncode, result.stdout, result.stderr
