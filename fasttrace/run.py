"""The command ``fasttrace-run``: run a program with the libraries it uses traced.

    fasttrace-run gunicorn shop:app
    fasttrace-run app.py --port 80
    fasttrace-run -m celery -A tasks worker

The program takes this process's place, so its signals, exit code and output are its own. All that
is passed on is the environment: a directory on PYTHONPATH, from which Python runs
`_bootstrap/sitecustomize.py` at the start of the program and of every Python it starts in turn.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

#: Exit codes, as shells have them.
NOT_UNDERSTOOD, NOT_EXECUTABLE, NOT_FOUND = 2, 126, 127

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bootstrap")

USAGE = "usage: fasttrace-run [-h] [-d] [-i] [-v] [--list] program [argument ...]"
HELP = f"""{USAGE}

Run a program with the libraries it uses traced.

  fasttrace-run gunicorn shop:app       a command, found on PATH
  fasttrace-run app.py --port 80        a Python file
  fasttrace-run -m celery worker        a Python module
  fasttrace-run -c 'import shop'        Python code

options:
  -h, --help     show this text
  -d, --debug    log what the tracer does (DD_TRACE_DEBUG=true)
  -i, --info     print version, settings and what the agent says
  -v, --version  print the version
  --list         list the libraries installed here, and what traces them
  --             the program follows, even if its name begins with a hyphen

What libraries need: pip install fasttrace[run]. All settings are environment variables."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; `argv` is what follows its name.

    Does not return if there is a program to run. Exit codes: 0 done, 1 no agent (`--info`) or
    nothing installed that could trace libraries (`--list`), 2 an unknown option or no program, 126
    the program is not executable, 127 it does not exist.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    while words and words[0].startswith("-") and not _is_for_python(words[0]):
        option = words.pop(0)
        if option == "--":
            break
        if option in ("-d", "--debug"):
            os.environ["DD_TRACE_DEBUG"] = "true"
        elif option in ("-h", "--help"):
            return _say(HELP)
        elif option in ("-v", "--version"):
            from fasttrace._version import version

            return _say(f"fasttrace-run {version}")
        elif option in ("-i", "--info"):
            from fasttrace import info

            text, well = info.describe()
            return _say(text, 0 if well else 1)
        elif option == "--list":
            from fasttrace import _listing

            text, well = _listing.describe()
            return _say(text, 0 if well else 1)
        else:
            return _fail(f"unknown option {option}\n{USAGE}", NOT_UNDERSTOOD)
    if not words:
        return _fail(f"no program is named\n{USAGE}", NOT_UNDERSTOOD)
    if words[0] in ("-m", "-c") and len(words) == 1:
        return _fail(f"{words[0]} needs an argument\n{USAGE}", NOT_UNDERSTOOD)
    path, command = find_command(words)
    if not path:
        return _fail(f"{words[0]}: program not found", NOT_FOUND)
    prepare(os.environ)
    return _replace_process(path, command)


def _is_for_python(word: str) -> bool:
    """Whether Python itself says with this word what it runs: -m, -c, or standard input."""
    return word == "-" or word.startswith(("-m", "-c"))


def find_command(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the file to execute, "" if there is none, and the command line it gets.

    A name with a separator is a path, any other is looked up on PATH, as a shell does it; a file
    that ends in .py (or .pyw, .pyz) is run by this Python.
    """
    name = words[0]
    if _is_for_python(name):
        return sys.executable, [sys.executable, *words]
    if name.lower().endswith((".py", ".pyw", ".pyz")) and os.path.isfile(name):
        return sys.executable, [sys.executable, *words]
    if os.path.dirname(name):
        return name if os.path.exists(name) else "", list(words)
    return _find_on_path(name), list(words)


def _find_on_path(name: str) -> str:
    if sys.platform == "win32":
        import shutil

        return shutil.which(name) or ""
    found = ""
    for directory in os.get_exec_path():
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            found = found or path  # a later one may be executable
    return found


def prepare(environ: MutableMapping[str, str]) -> None:
    """Change the environment so that every Python that gets it traces its libraries."""
    path = environ.get("PYTHONPATH", "")
    if BOOTSTRAP not in path.split(os.pathsep):
        environ["PYTHONPATH"] = f"{BOOTSTRAP}{os.pathsep}{path}" if path else BOOTSTRAP
    environ["_FASTTRACE_RUN_PID"] = str(os.getpid())  # the one that speaks up if it is not traced


def _replace_process(path: str, command: list[str]) -> int:
    """Run the program in place of this one; return only if that cannot be done."""
    try:
        if sys.platform == "win32":  # where a process cannot be replaced
            import subprocess

            return subprocess.call(command, executable=path)  # noqa: S603 # what was asked for
        os.execv(path, command)  # noqa: S606
    except FileNotFoundError:  # what its first line names
        return _fail(f"{command[0]}: its interpreter was not found", NOT_FOUND)
    except OSError as error:
        return _fail(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE)


def _say(text: str, code: int = 0) -> int:
    print(text)
    return code


def _fail(message: str, code: int) -> int:
    print(f"fasttrace-run: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
