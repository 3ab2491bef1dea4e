"""The suite on the other interpreters: `nox` runs it on each of VERSIONS that this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: Those whose contexts can be written in place: each has a layout of its own to be wrong about.
IN_PLACE = [f"python-3.{minor}" for minor in range(10, 14)]
nox.options.error_on_missing_interpreters = False


def find_python(version: str) -> str | None:
    """Return the path of a CPython `version`: the one on PATH, else pyenv's newest, else None.

    Every candidate is tried, as pyenv puts names on PATH that do not run.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    in_pyenv = sorted(root.glob(f"{version}.*"), key=lambda path: path.stat().st_mtime)
    candidates = [f"python{version}", *(str(path / "bin/python") for path in reversed(in_pyenv))]
    question = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"
    for path in filter(None, map(shutil.which, candidates)):
        answer = subprocess.run([path, "-c", question], capture_output=True, text=True, check=False)
        if answer.stdout.split() == [version, "cpython"]:
            return path
    return None


def run_suite(session: nox.Session) -> None:
    """Install the project, not editable, into a new environment and run its tests there."""
    session.install(".[test]")
    session.chdir("tests")  # in the root, the sources would hide the installed package
    # Parity is checked on the default Python, the one its oracles run on, and so are the packages
    # of instrumentation, which cost more to install than to run.
    session.run("pytest", "--ignore=parity", "--ignore=instrumentation", *session.posargs)
    if session.name in IN_PLACE:
        session.run("python", "inplace_fuzz.py", "2000000")


def say_missing(session: nox.Session) -> None:
    """Say that the interpreter is not there, so that its absence does not look like success."""
    session.skip(f"this machine has no {session.name.replace('python-', 'CPython ')}")


for version in VERSIONS:
    path = find_python(version)
    if path:
        nox.session(python=path, name=f"python-{version}")(run_suite)
    else:
        nox.session(python=False, name=f"python-{version}")(say_missing)
