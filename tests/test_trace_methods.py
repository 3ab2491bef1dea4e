"""DD_TRACE_METHODS: which items are usable, what is said of the others, every kind of function.

That it does what ddtrace does is checked in parity/test_methods.py.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from run_command import RUN, environment, run

from fasttrace import _log
from fasttrace._methods import parse


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of a test, none of them held back."""
    said: list[str] = []
    monkeypatch.setattr(_log, "warn", lambda cause, message: said.append(message))
    return said


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("shop:sell", [("shop", "sell")]),
        ("shop.till:charge,Till.charge", [("shop.till", "charge"), ("shop.till", "Till.charge")]),
        (" a:b ; c : d , E.f ;", [("a", "b"), ("c", "d"), ("c", "E.f")]),
        ("mod:Outer.Inner.f;", [("mod", "Outer.Inner.f")]),
        ("größe:maß", [("größe", "maß")]),
    ],
)
def test_usable_items(text: str, pairs: list[Any], warnings: list[str]) -> None:
    """Modules end at a colon and are separated by semicolons, functions by commas."""
    assert parse(text) == pairs
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("shop", "shop"),
        ("shop:", "shop:"),
        ("shop:a,,c", "shop:"),
        ("shop:*", "shop:*"),
        ("shop[sell]", "shop[sell]"),
        (":sell", ":sell"),
        ("a b:c", "a b:c"),
        ("shop:a.", "shop:a."),
        ("shop:a:b", "shop:a:b"),
        ("__main__:run", "__main__:run"),
        ("x" * 300, "x" * 97 + "..."),
    ],
)
def test_items_that_cannot_be_used(text: str, item: str, warnings: list[str]) -> None:
    """One warning names the variable and the item; the others hold."""
    assert ("good", "one") in parse(f"good:one;{text};good:two")
    assert ("good", "two") in parse(f"good:one;{text};good:two")
    assert {w.partition(" is not usable")[0] for w in warnings} == {f"DD_TRACE_METHODS: {item!r}"}
    assert len(warnings) == 2


KITCHEN = """
    import functools
    def bake(n):
        "Bakes."
        return n
    def steps(n):
        got = yield n
        return got
    async def asteps(n):
        yield n
    class Oven:
        size = 3
        def __init__(self): self.heat = 1
        @property
        def hot(self): return True
        def steps(self): yield 1
        closed = functools.partial(bake, 2)
"""


def kitchen(tmp_path: Path, code: str, methods: str, *run_words: str) -> tuple[Any, str]:
    """Run `code` with spans captured and the functions traced; return its JSON and its errors."""
    (tmp_path / "kitchen.py").write_text(textwrap.dedent(KITCHEN))
    start = "import json\nfrom fasttrace.testing import capture\nimport kitchen\n"
    (tmp_path / "program.py").write_text(start + textwrap.dedent(code))
    words = run_words or RUN
    result = run(*words, "program.py", cwd=tmp_path, env=environment(DD_TRACE_METHODS=methods))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def test_generators_are_covered_as_a_whole(tmp_path: Path) -> None:
    """The span of a generator lasts as long as its iteration; what it returns is passed on."""
    code = """
        import asyncio, inspect
        with capture() as spans:
            steps = kitchen.steps(1)
            found = [next(steps), len(spans)]
            try:
                steps.send(5)
            except StopIteration as stop:
                found += [stop.value, len(spans)]
            list(kitchen.Oven().steps())
            async def walk():
                return [n async for n in kitchen.asteps(2)]
            found += asyncio.run(walk())
        found += [[s.name, s.resource, s.meta["component"]] for s in spans]
        found += [inspect.isgeneratorfunction(kitchen.steps), kitchen.bake.__doc__]
        found += [inspect.isasyncgenfunction(kitchen.asteps)]
        print(json.dumps(found))
    """
    found, errors = kitchen(tmp_path, code, "kitchen:steps,asteps,Oven.steps,bake")
    assert found == [
        *(1, 0, 5, 1, 2),
        ["trace.annotation", "steps", "trace"],
        ["trace.annotation", "Oven.steps", "trace"],
        ["trace.annotation", "asteps", "trace"],
        *(True, "Bakes.", True),
    ]
    assert errors == ""


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("nothing", "a function that kitchen has"),
        ("Oven.nothing", "a function that kitchen has"),
        ("Nothing.bake", "a function that kitchen has"),
        ("Oven", "a function, not 'type'"),
        ("Oven.size", "a function, not 'int'"),
        ("Oven.hot", "a function, not 'property'"),
    ],
)
def test_items_that_the_module_does_not_have(item: str, expected: str, tmp_path: Path) -> None:
    """When the module is imported one warning says so; the other functions are traced."""
    code = """
        with capture() as spans:
            kitchen.bake(1)
        print(json.dumps(len(spans)))
    """
    found, errors = kitchen(tmp_path, code, f"kitchen:{item},bake")
    assert found == 1
    (line,) = errors.splitlines()
    assert f"DD_TRACE_METHODS: 'kitchen:{item}' is not usable: expected {expected}" in line


def test_a_module_that_is_never_imported(tmp_path: Path) -> None:
    """It is not imported for our sake, and nothing is said."""
    code = "import sys; print(json.dumps('colorsys' in sys.modules))"
    assert kitchen(tmp_path, code, "colorsys:rgb_to_hsv;nowhere:run") == (False, "")


def test_only_with_the_command_or_auto(tmp_path: Path) -> None:
    """As with ddtrace, `import fasttrace` alone traces no function."""
    code = "print(json.dumps(hasattr(kitchen.bake, '__wrapped__')))"
    methods = "kitchen:bake"
    assert kitchen(tmp_path, code, methods) == (True, "")
    assert kitchen(tmp_path, code, methods, sys.executable) == (False, "")
    code = "import fasttrace.auto\n" + code
    assert kitchen(tmp_path, code, methods, sys.executable) == (True, "")


def test_without_opentelemetry(tmp_path: Path) -> None:
    """Functions are traced also where nothing of OpenTelemetry is installed."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['opentelemetry'] = None")
    code = """
        with capture() as spans:
            kitchen.bake(1)
        print(json.dumps(len(spans)))
    """
    (tmp_path / "kitchen.py").write_text(textwrap.dedent(KITCHEN))
    start = "import json\nfrom fasttrace.testing import capture\nimport kitchen\n"
    (tmp_path / "program.py").write_text(start + textwrap.dedent(code))
    env = environment(tmp_path, DD_TRACE_METHODS="kitchen:bake")
    result = run(*RUN, "program.py", cwd=tmp_path, env=env)
    assert (result.returncode, result.stdout) == (0, "1\n"), result.stderr
    assert result.stderr.count("\n") == 1
    assert "pip install fasttrace[run]" in result.stderr
