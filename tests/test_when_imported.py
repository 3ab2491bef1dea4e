"""fasttrace._imports: told of an import, and nobody else notices."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import run_python

from fasttrace._imports import _finder, _waiting, when_imported


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the path, whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    _waiting.clear()


def test_called_once_with_the_complete_module(modules: Path) -> None:
    """The call comes before the importing statement binds a name, and never again."""
    (modules / "shop.py").write_text("price = 1\n")
    seen: list[Any] = []

    def change(module: Any) -> None:
        seen.append(module.price)
        module.price = 2

    when_imported("shop", change)
    assert seen == []
    from shop import price  # type: ignore[import-not-found]

    assert (seen, price) == ([1], 2)
    when_imported("shop", change)  # imported already
    assert seen == [1, 2]
    assert "shop" not in _waiting


def test_the_module_is_as_it_would_have_been(modules: Path) -> None:
    """Loader, spec, file and source are those of the finder that found it."""
    (modules / "plain.py").write_text("")
    (modules / "waited.py").write_text("loader = __loader__, __spec__.loader\n")
    when_imported("waited", lambda module: None)
    import plain  # type: ignore[import-not-found]
    import waited  # type: ignore[import-not-found]

    assert type(waited.__loader__) is type(waited.__spec__.loader) is type(plain.__loader__)
    assert waited.loader == (waited.__loader__, waited.__spec__.loader)
    assert waited.__file__ == str(modules / "waited.py")
    assert waited.__loader__.get_source("waited").startswith("loader")
    assert Path(waited.__cached__).exists() == Path(plain.__cached__).exists()


def test_looking_for_a_spec_is_no_import(modules: Path) -> None:
    """`importlib.util.find_spec` calls nobody, and its loader has the methods of the real one."""
    from importlib.util import find_spec

    (modules / "spare.py").write_text("x = 1\n")
    seen: list[str] = []
    when_imported("spare", lambda module: seen.append(module.__name__))
    spec = find_spec("spare")
    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.get_source("spare") == "x = 1\n"  # type: ignore[attr-defined]
    assert seen == []
    import spare  # type: ignore[import-not-found] # noqa: F401

    assert seen == ["spare"]


def test_the_inner_ones_wait_for_the_outermost(modules: Path) -> None:
    """What imports each other is complete when the first call comes; the inner ones come first."""
    (modules / "outer.py").write_text("import inner\nready = True\n")
    (modules / "inner.py").write_text("")
    seen: list[tuple[str, bool]] = []

    def note(module: Any) -> None:
        seen.append((module.__name__, hasattr(sys.modules["outer"], "ready")))

    for name in ("inner", "outer"):
        when_imported(name, note)
    __import__("outer")
    assert seen == [("inner", True), ("outer", True)]


def test_an_import_that_fails(modules: Path) -> None:
    """The error is the module's own, nobody is called, and a later import that works calls."""
    (modules / "broken.py").write_text("import fine\nraise ValueError('x')\n")
    (modules / "fine.py").write_text("")
    seen: list[str] = []
    for name in ("broken", "fine"):
        when_imported(name, lambda module: seen.append(module.__name__))
    with pytest.raises(ValueError, match="x"):
        import broken  # type: ignore[import-not-found]
    assert seen == ["fine"]
    (modules / "broken.py").write_text("import fine; text = 'another length'\n")
    import broken  # noqa: F401

    assert seen == ["fine", "broken"]


def test_a_call_that_raises_is_a_warning(modules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The import goes on, and the others that wait are called."""
    (modules / "noisy.py").write_text("")
    seen: list[str] = []
    when_imported("noisy", lambda module: 1 / 0)  # type: ignore[arg-type,return-value]
    when_imported("noisy", lambda module: seen.append(module.__name__))
    import noisy  # type: ignore[import-not-found] # noqa: F401

    assert seen == ["noisy"]
    assert [record.getMessage() for record in caplog.records] == [
        "after import of noisy: ZeroDivisionError: division by zero"
    ]


def test_a_module_that_is_not_there(modules: Path) -> None:
    """An ImportError is what it would have been, and names the module."""
    when_imported("nowhere_at_all", lambda module: None)
    with pytest.raises(ModuleNotFoundError) as error:
        import nowhere_at_all  # type: ignore[import-not-found] # noqa: F401
    assert error.value.name == "nowhere_at_all"
    assert str(error.value) == "No module named 'nowhere_at_all'"


def test_a_package_and_what_is_in_it(modules: Path) -> None:
    """Submodules can be waited for, also where the package replaces itself."""
    package = modules / "bakery"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import sys, types\nnew = types.ModuleType('bakery')\nnew.__path__ = __path__\n"
        "new.__spec__ = __spec__\nnew.replaced = True\nsys.modules['bakery'] = new\n"
    )
    (package / "oven.py").write_text("")
    seen: list[Any] = []
    when_imported("bakery", lambda module: seen.append(module.replaced))
    when_imported("bakery.oven", lambda module: seen.append(module.__name__))
    import bakery.oven  # type: ignore[import-not-found] # noqa: F401

    assert seen == [True, "bakery.oven"]


def test_beside_a_finder_of_the_same_kind(modules: Path) -> None:
    """Others that ask all the others, with wrapt's way to end a circle or with none, find it."""
    from importlib.util import find_spec

    (modules / "doubly.py").write_text("")
    busy: list[str] = []

    class AsWrapt:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            if name != "doubly" or name in busy:
                return None
            busy.append(name)
            try:
                return find_spec(name)
            finally:
                busy.remove(name)

    class AsOurs:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            others = [finder for finder in sys.meta_path if finder is not self]
            found = (one.find_spec(name, path, target) for one in others if name == "doubly")
            return next(filter(None, found), None)

    seen: list[str] = []
    when_imported("doubly", lambda module: seen.append(module.__name__))
    for other in (AsWrapt(), AsOurs()):
        sys.meta_path.insert(0, other)  # type: ignore[arg-type]
    sys.meta_path.append(AsWrapt())  # type: ignore[arg-type]
    import doubly  # type: ignore[import-not-found] # noqa: F401

    assert seen == ["doubly"]


def test_threads_that_import_at_once(modules: Path) -> None:
    """Of many threads that import it, one calls, and all find what the call has made of it."""
    for number in range(20):
        (modules / f"hot{number}.py").write_text("import time; time.sleep(0.001); x = 1\n")
    calls: list[str] = []
    found: list[int] = []

    def change(module: Any) -> None:
        calls.append(module.__name__)
        module.x = 2

    def work(number: int) -> None:
        found.append(__import__(f"hot{number}").x)

    for number in range(20):
        when_imported(f"hot{number}", change)
        threads = [threading.Thread(target=work, args=(number,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(calls) == 20
    assert found == [2] * 80


def test_frozen_built_in_and_zipped_modules(tmp_path: Path) -> None:
    """Every kind of loader works, in a process where nothing has been imported yet."""
    printed = run_python(
        """
        import sys, zipfile
        from fasttrace._imports import when_imported
        with zipfile.ZipFile(sys.argv[1], "w") as archive:
            archive.writestr("zipped.py", "x = 1")
        sys.path.insert(0, sys.argv[1])
        seen = []
        for name in ("zipped", "_csv", "json.decoder", "__phello__", "_struct", "asyncio"):
            when_imported(name, lambda module: seen.append(module.__name__))
        import zipped, _csv, json, _struct, asyncio
        import contextlib, io
        with contextlib.redirect_stdout(io.StringIO()):
            import __phello__
        import json as j
        print(j.dumps(sorted(seen)))
        """,
        str(tmp_path / "archive.zip"),
        env=dict(os.environ),
    ).stdout
    assert json.loads(printed) == [
        *("__phello__", "_csv", "_struct", "asyncio", "json.decoder", "zipped")
    ]


def test_nothing_is_hooked_by_the_import() -> None:
    """`import fasttrace` puts no finder anywhere."""
    printed = run_python("import sys, fasttrace; print(sys.meta_path)", env=dict(os.environ)).stdout
    assert "fasttrace" not in printed
    assert type(_finder).__module__ == "fasttrace._imports"
