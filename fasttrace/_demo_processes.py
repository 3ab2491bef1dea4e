"""The child processes of the demo: none of them outlives it, however it ends.

A child is a module's `main()` in a fresh interpreter with the same import path. It leaves as soon
as its standard input ends, which the operating system sees to even if the demo is killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

# The import path is handed over, and not rebuilt from the environment: what runs in the child must
# be the very package that started it, whatever the working directory holds. os.read, as a thread
# inside sys.stdin's lock would break the child's own shutdown.
_CHILD = """
import json, os, sys, threading
sys.path[:] = json.loads(sys.argv.pop(1))
def leave_with_parent():
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=leave_with_parent, daemon=True).start()
from {module} import main
sys.exit(main())
"""


def start_python(
    module: str,
    arguments: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    output: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Run `module.main()` in a child process; both its output streams go to the file `output`.

    `arguments` become its `sys.argv[1:]`. The terminal's Ctrl-C reaches the parent only, which then
    stops its children in its own order.
    """
    code = _CHILD.format(module=module)
    return subprocess.Popen(  # noqa: S603 (our own code)
        [sys.executable, "-c", code, json.dumps(sys.path), *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], patience_s: float = 3.0) -> None:
    """End a child: let it go by itself, then make it. Harmless if it has ended already."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
