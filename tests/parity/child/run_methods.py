"""Call functions that DD_TRACE_METHODS names: ``run_methods.py LIBRARY``, spans as JSON.

Everything is called as a program would; what is printed are results and spans.
"""

import asyncio
import importlib
import json
import logging
import sys
import tempfile
from pathlib import Path

MODULE = """
import functools
def plain(a, b=1): return a + b
def fails(): raise ValueError("no")
def outer(): return plain(1)
async def later(a): return a
def untouched(): return "u"
def passed(function): return functools.wraps(function)(lambda *a: function(*a))
@passed
def decorated(a): return a
class Base:
    def method(self, a): return a
    async def later(self, a): return a
    @staticmethod
    def static(a): return a
    @classmethod
    def made(cls): return cls.__name__
    def __call__(self, a): return a
    class Inner:
        def deep(self): return 1
class Sub(Base):
    def method(self, a): return super().method(a)
class Child(Base): pass
"""
LIBRARY = sys.argv[1]
logging.disable(logging.CRITICAL)
finished = []
importlib.import_module(f"{LIBRARY}.auto")
trace = importlib.import_module(f"{LIBRARY}.trace")


class Keep(trace.TraceFilter):
    """Keeps what is finished here."""

    def process_trace(self, chunk):
        """Keep the chunk; send nothing."""
        finished.extend(chunk)


trace.tracer.configure(trace_processors=[Keep()])
folder = Path(tempfile.mkdtemp())
(folder / "kitchen").mkdir()
(folder / "kitchen" / "__init__.py").write_text("")
(folder / "kitchen" / "oven.py").write_text(MODULE)
sys.path.insert(0, str(folder))
from kitchen import oven  # noqa: E402

CALLS = {
    "plain": lambda: oven.plain(1, b=2),
    "fails": lambda: oven.fails(),
    "outer": lambda: oven.outer(),
    "later": lambda: asyncio.run(oven.later(3)),
    "untouched": lambda: oven.untouched(),
    "decorated": lambda: oven.decorated(4),
    "method": lambda: oven.Base().method(5),
    "method of subclass": lambda: oven.Sub().method(6),
    "inherited": lambda: oven.Child().method(7),
    "unbound": lambda: oven.Base.method(oven.Base(), 8),
    "async method": lambda: asyncio.run(oven.Base().later(9)),
    "static": lambda: oven.Base.static(10),
    "static of object": lambda: oven.Base().static(10),
    "class method": lambda: oven.Sub.made(),
    "call": lambda: oven.Base()(11),
    "deep": lambda: oven.Base.Inner().deep(),
    "names": lambda: [oven.plain.__name__, oven.plain.__module__, oven.Base.method.__qualname__],
    "kind": lambda: asyncio.iscoroutinefunction(oven.Base.later),
}
for name, call in CALLS.items():
    finished.clear()
    try:
        result = call()
    except Exception as error:
        result = f"raised {type(error).__name__}"
    spans = [
        [
            span.name,
            span.resource,
            span.get_tag("component"),
            span.error,
            span.get_tag("error.type"),
            span.parent_id is not None and any(one.span_id == span.parent_id for one in finished),
        ]
        for span in finished
    ]
    print(json.dumps([name, result, spans]))
