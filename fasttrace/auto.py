"""Instrument the libraries a program uses: the first import of the program.

    import fasttrace.auto

does what `fasttrace-run` does for a whole program; see docs/run.md. Meant for programs that are
started by something else, such as uWSGI. A second import changes nothing. Nothing here raises.
"""

from __future__ import annotations

from fasttrace._auto import start

__all__: list[str] = []

start()
