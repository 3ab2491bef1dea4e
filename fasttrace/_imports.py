"""Calling something when a module has been imported, without importing it.

    when_imported("flask", instrument_flask)

A finder in front of all others puts a loader of ours in front of the loader of a module somebody
waits for. It steps aside before the module runs: `__loader__` and `__spec__` are what they would
have been.

If a module that is waited for imports others that are, all are told when the first is complete:
what they do then may import it, and would find half of it.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from fasttrace import _log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Callback = Callable[[ModuleType], None]

_waiting: dict[str, list[Callback]] = {}
_complete: dict[int, list[str]] = {}  # by thread: modules whose callbacks wait for the outermost


def when_imported(name: str, call: Callback) -> None:
    """Have `call(module)` called as soon as the module `name` (dotted) has been imported.

    If it is imported already, that is now. What `call` raises is logged; a module is waited for
    once, `importlib.reload` does not call again. Packages without `__init__.py` are never noticed.
    """
    module = sys.modules.get(name)
    if module is not None:
        _call(call, module, name)
        return
    _waiting.setdefault(name, []).append(call)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _call(call: Callback, module: ModuleType, name: str) -> None:
    try:
        call(module)
    except Exception as error:
        _log.warn(f"imported {name}", f"after import of {name}: {type(error).__name__}: {error}")


class Deferred:
    """Has those who wait for what is imported inside of a `with` called at its end."""

    def __enter__(self) -> list[str]:
        me = get_ident()
        self._outermost = me not in _complete
        return _complete.setdefault(me, [])

    def __exit__(self, *exc_info: object) -> None:
        if self._outermost:
            for name in _complete.pop(get_ident(), ()):
                for call in _waiting.pop(name, ()):
                    _call(call, sys.modules[name], name)  # some put another object in their place


class _Finder:
    """Finds the modules that are waited for, by asking the finders behind it."""

    def __init__(self) -> None:
        self._asked: set[tuple[int, str]] = set()  # thread and name

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module waited for, its loader replaced; None for any other."""
        if name not in _waiting:
            return None
        question = (get_ident(), name)
        if question in self._asked:  # by another finder that asks all the others, as this one does
            return None
        self._asked.add(question)
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = None
                if finder is not self and find is not None:
                    spec = find(name, path, target)
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                    return spec
        finally:
            self._asked.discard(question)
        return None


class _Loader:
    """Loads a module as `loader` does, then calls those who wait for it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as `loader` does."""
        create = getattr(self._loader, "create_module", None)
        module: ModuleType | None = None if create is None else create(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module under its own loader, then call those who wait."""
        loader = self._loader
        spec = module.__spec__
        if spec is not None:
            spec.loader = loader
        try:
            module.__loader__ = loader
        except AttributeError:
            pass  # not every object in sys.modules is a module
        with Deferred() as complete:
            loader.exec_module(module)
            complete.append(module.__name__ if spec is None else spec.name)


_finder: Any = _Finder()
