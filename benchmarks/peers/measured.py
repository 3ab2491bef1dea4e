"""Where shapes.py imports `tracer` from: an adapter puts its own here before it imports shapes.

The detour keeps the line `from ... import tracer` in the measured code. CPython compiles a method
call on an imported name differently from one on a local or a parameter, and an imported name is
what nearly every application has.
"""

from __future__ import annotations

from typing import Any

tracer: Any = None
Context: Any = None
