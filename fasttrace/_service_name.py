"""The name of a service whose owner gave it none, taken from the command line.

Follows ddtrace 4.16: the first argument that names an existing file or directory outside a `bin`
directory decides. Inside a package the dotted package name is the service, elsewhere the topmost
directory above it that still holds Python files. `python -c` and standard input give no name.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def infer_service(argv: Sequence[str]) -> str | None:
    """Return the service name that `argv` (as in `sys.argv`) suggests, or None. Never raises."""
    try:
        candidates = [argument for argument in argv if not _is_installed_command(argument)]
        # A value after a flag is a second choice: `worker.py` counts before `--dir /srv`'s value.
        return _first_name(candidates, True) or _first_name(candidates, False)
    except Exception:
        return None


def _first_name(candidates: Sequence[str], skip_flag_values: bool) -> str | None:
    after_flag = False
    for argument in candidates:
        is_flag = argument.startswith("-")
        skipped = is_flag or "=" in argument or (after_flag and skip_flag_values)
        after_flag = is_flag
        if skipped or not argument:
            continue
        path = os.path.realpath(argument)
        if os.path.exists(path):
            directory = path if os.path.isdir(path) else os.path.dirname(path)
            return _package_name(directory) or _top_directory_name(directory) or None
    return None


def _is_installed_command(argument: str) -> bool:
    path = os.path.normpath(argument)
    if not os.path.isfile(path):
        return False
    parents = os.path.dirname(path).split(os.sep)
    return any(parent.endswith("bin") for parent in parents)


def _package_name(directory: str) -> str:
    names: list[str] = []
    while os.path.exists(os.path.join(directory, "__init__.py")):
        directory, name = os.path.split(directory)
        if not name:
            break
        names.insert(0, name)
    return ".".join(names)


def _top_directory_name(directory: str) -> str:
    top = directory
    while any(name.endswith(".py") for name in os.listdir(directory)):
        top = directory
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    return os.path.basename(top)
