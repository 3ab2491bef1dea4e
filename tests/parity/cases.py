"""Find the parity cases: functions named ``case_*`` in ``scripts/*.py``, written for ddtrace.

A case is described by its docstring: one sentence, then ``key: value`` lines.

* ``covers``: ids of ``parity.ids`` (any number of lines)
* ``oracle``: ddtrace versions to compare with, default ``4.16 2.21``
* ``env``: environment variables, shell-quoted; cases with equal environments share a process
* ``alone``: ``yes`` gives the case a process of its own
* ``flush``: ``no`` leaves the sending to the interpreter's exit (implies ``alone``)
* ``rates``: JSON, the sampling rates the agent answers with
* ``launch``: how the process is started: ``script`` (default), ``file NAME`` or ``module NAME``

A value given in the module docstring is the default for all cases of the file.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
# ddtrace 2.21 has no release for newer Pythons
ORACLES = ("4.16", "2.21") if sys.version_info < (3, 14) else ("4.16",)
_KEYS = ("covers", "oracle", "env", "alone", "flush", "rates", "launch")
_LINE = re.compile(rf"^\s*({'|'.join(_KEYS)}):\s*(.*)$")


@dataclass(frozen=True)
class Case:
    """One function that runs unchanged under both libraries."""

    name: str  # "<script>.<function without case_>"
    path: Path
    function: str
    statement: str
    covers: tuple[str, ...]
    oracles: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    alone: bool
    flush: bool
    rates: str
    launch: str
    constants: frozenset[int] = field(
        compare=False
    )  # ids spelled out in the script: kept literally

    @property
    def group(self) -> tuple[object, ...]:
        """Cases of one group share a process."""
        alone = self.name if self.alone else ""
        return (alone, self.env, self.rates, self.launch, self.flush)


def discover(pattern: str = "") -> list[Case]:
    """All cases, in file order; *pattern* keeps those whose name contains it."""
    found: list[Case] = []
    for path in sorted(SCRIPTS.glob("*.py")):
        source = path.read_text()
        tree = ast.parse(source)
        defaults = _fields(ast.get_docstring(tree) or "")
        constants = _constants(source)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("case_"):
                case = _case(path, node, defaults, constants)
                if pattern in case.name:
                    found.append(case)
    return found


def _case(
    path: Path, node: ast.FunctionDef, defaults: dict[str, str], constants: frozenset[int]
) -> Case:
    doc = ast.get_docstring(node) or ""
    fields = {**defaults, **_fields(doc)}
    name = f"{path.stem}.{node.name.removeprefix('case_')}"
    covers = tuple(fields.get("covers", "").split())
    statement = doc.split("\n\n")[0].replace("\n", " ").strip()
    if not covers or not statement:
        raise ValueError(f"case {name}: the docstring needs a sentence and a 'covers:' line")
    env = dict(item.split("=", 1) for item in shlex.split(fields.get("env", "")))
    flush = fields.get("flush", "yes") == "yes"
    rates = fields.get("rates", "")
    if rates:
        json.loads(rates)
    return Case(
        name=name,
        path=path,
        function=node.name,
        statement=statement,
        covers=covers,
        oracles=tuple(v for v in fields.get("oracle", "4.16 2.21").split() if v in ORACLES),
        env=tuple(sorted(env.items())),
        alone=fields.get("alone") == "yes" or not flush,
        flush=flush,
        rates=rates,
        launch=fields.get("launch", "script"),
        constants=constants,
    )


def _fields(doc: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in doc.splitlines():
        match = _LINE.match(line)
        if match:
            key, value = match.groups()
            fields[key] = f"{fields[key]} {value}" if key in fields else value
    return fields


def _constants(source: str) -> frozenset[int]:
    """Ids written in the script, as numbers or as hex or decimal text, with their low halves."""
    values = {int(text, 16) for text in re.findall(r"0x([0-9a-fA-F]+)", source)}
    values |= {int(text) for text in re.findall(r"\b(\d{3,39})\b", source)}
    values |= {int(text, 16) for text in re.findall(r"\b([0-9a-f]{16}|[0-9a-f]{32})\b", source)}
    values |= {value & (2**64 - 1) for value in values} | {value >> 64 for value in values}
    return frozenset(values)
