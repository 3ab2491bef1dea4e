"""Programs that fork, for the tests of what becomes of their traces."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

#: `reap` waits for a child and fails if it hangs or does not end well.
REAP = """
import os, sys, threading, time
def reap(pid, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, f"a child ended with {status}"
            return
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise AssertionError("a child hung")
        time.sleep(0.001)
def slow_down_import_of(slow_name):
    # returns an event that is set when the import begins to run the module
    import importlib.machinery
    entered = threading.Event()
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name != slow_name:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            run = spec.loader.exec_module
            def run_slowly(module):
                entered.set()
                time.sleep(0.5)
                run(module)
            spec.loader.exec_module = run_slowly
            return spec
    sys.meta_path.insert(0, Finder())
    return entered
"""


def run(code: str, env: dict[str, str], *arguments: str, timeout_s: float = 120.0) -> str:
    """Run a script in a fresh interpreter; it must end well and say nothing on stderr."""
    done = subprocess.run(
        # newer Pythons warn of every fork of a process with threads, which is the subject here
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            REAP + textwrap.dedent(code),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=env,
        cwd=os.sep,  # not where the package's sources are
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}: {done.stderr}"
    return done.stdout
