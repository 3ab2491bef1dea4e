"""Build the floor on demand, for whichever interpreter is asked to run it.

Two steps, because the interpreter under test may have neither Cython nor setuptools:
`generate_c` (needs Cython; once, by the interpreter that runs the benchmarks) and `load`
(needs a C compiler and the interpreter's own headers; in the process that measures).
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

SOURCE = Path(__file__).with_name("_floor.pyx")
BUILD_DIR = Path(__file__).resolve().parent.parent / "_build"
C_FILE = BUILD_DIR / "_floor.c"


def generate_c() -> Path:
    """Translate `_floor.pyx` to C unless an up-to-date translation exists.

    Returns the C file. Raises RuntimeError when the translation is needed and Cython is missing.
    """
    if C_FILE.exists() and C_FILE.stat().st_mtime >= SOURCE.stat().st_mtime:
        return C_FILE
    try:
        from Cython.Compiler.Main import compile as cython_compile
    except ImportError as exc:
        install = f"{sys.executable} -m pip install -r benchmarks/requirements.txt"
        raise RuntimeError(f"the floor needs Cython once: {install}") from exc
    BUILD_DIR.mkdir(exist_ok=True)
    result = cython_compile(str(SOURCE), output_file=str(C_FILE), language_level=3)
    if result.num_errors:
        raise RuntimeError("Cython could not translate the floor; see above")
    return C_FILE


def _extension_path() -> Path:
    """Where the extension of THIS interpreter belongs; one version may be built in several ways."""
    build_id = zlib.crc32(f"{sys.base_prefix} {sys.version}".encode())
    name = "_floor" + str(sysconfig.get_config_var("EXT_SUFFIX"))
    return BUILD_DIR / f"{sys.implementation.cache_tag}-{build_id:08x}" / name


def _compile(c_file: Path, target: Path) -> None:
    """Compile with the interpreter's own compiler and flags, as setuptools would."""

    def config(name: str) -> list[str]:
        return shlex.split(str(sysconfig.get_config_var(name) or ""))

    target.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may build at once; a rename is atomic, a half-written library is not.
    scratch = target.with_suffix(f".{os.getpid()}.tmp")
    command = [
        *config("LDSHARED"),
        *config("CFLAGS"),
        *config("CCSHARED"),
        "-O3",  # as the extension of fasttrace is built
        f"-I{sysconfig.get_path('include')}",
        str(c_file),
        "-o",
        str(scratch),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"the C compiler refused the floor: {shlex.join(command)}\n{done.stderr}"
        )
    os.replace(scratch, target)


def load():
    """Return the compiled `_floor` module for this interpreter, building whatever is missing."""
    c_file = generate_c()
    target = _extension_path()
    if not target.exists() or target.stat().st_mtime < c_file.stat().st_mtime:
        _compile(c_file, target)
    spec = importlib.util.spec_from_file_location("_floor", target)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{target} is no extension module of this interpreter")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
