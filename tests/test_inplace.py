"""The active span written in place, FASTTRACE_INPLACE_CONTEXT: where, and that nobody can tell."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import note_figure, run_python

from fasttrace import Tracer, _span
from fasttrace.config import Config

TESTS = Path(__file__).resolve().parent
FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
OPERATIONS = 2_000_000 if FULL else 100_000
SUPPORTED = sys.version_info < (3, 14) and sysconfig.get_config_var("Py_GIL_DISABLED") != 1
ON = {**os.environ, "FASTTRACE_INPLACE_CONTEXT": "1"}
#: What depends on the active item, in all ways that it is carried about.
SUITE = [
    *("active", "active_machine", "async", "async_lifetimes", "context_guide", "detached"),
    *("opentracing_scope", "otel_context", "otel_scopes", "threads"),
    *("wrap_generators", "wrap_generators_active"),
]

#: Which mapping of variables the current context has, as the collector sees it.
MAPPING = """
import gc
from contextvars import Context, copy_context

def mapping(context):
    [found] = [each for each in gc.get_referents(context) if type(each).__name__ == "hamt"]
    return found

def kept(context, function):
    before = id(mapping(context))
    context.run(function)
    return id(mapping(context)) == before
"""


# -- where it is done ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "state"), [(None, "off"), ("0", "off"), ("1", "on" if SUPPORTED else "off: ")]
)
def test_only_where_it_is_asked_for(setting: str | None, state: str) -> None:
    """Spans are written in place if the variable says so; else a set makes a new mapping."""
    code = (
        MAPPING
        + """
from fasttrace import _span, tracer
context = Context()
context.run(lambda: tracer.trace("first").finish())
print(_span.inplace_context())
print(kept(context, lambda: tracer.trace("second").finish()))
tracer.shutdown()
"""
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("FASTTRACE_IN")}
    env |= {"DD_TRACE_ENABLED": "1"} | ({"FASTTRACE_INPLACE_CONTEXT": setting} if setting else {})
    lines = run_python(code, env=env).stdout.splitlines()
    assert lines[0].startswith(state)
    assert lines[1] == str(state == "on")


def test_the_layouts_are_those_of_the_headers(tmp_path: Path) -> None:
    """Each field is where CPython's own headers have it; a version not examined gives a reason."""
    include = sysconfig.get_path("include")
    fields = {
        ("ft_context", "struct _pycontextobject"): {
            "previous": "ctx_prev",
            "trie": "ctx_vars",
            "weakrefs": "ctx_weakreflist",
            "entered": "ctx_entered",
        },
        ("ft_variable", "struct _pycontextvarobject"): {
            "name": "var_name",
            "default_value": "var_default",
            "cached": "var_cached",
            "cached_thread": "var_cached_tsid",
            "cached_version": "var_cached_tsver",
            "hash": "var_hash",
        },
        ("ft_trie", "PyHamtObject"): {
            "root": "h_root",
            "weakrefs": "h_weakreflist",
            "count": "h_count",
        },
    }
    if sys.version_info >= (3, 12):  # it is not in a header before
        small = {"bitmap": "b_bitmap", "items": "b_array"}
        fields["ft_bitmap_node", "PyHamtNode_Bitmap"] = small
    lines = ["#include <Python.h>", "#include <internal/pycore_context.h>", '#include "_inplace.h"']
    lines += ["#ifdef FT_HAVE_INPLACE"] if SUPPORTED else []
    for (ours, theirs), names in fields.items():
        lines.append(f'_Static_assert(sizeof({ours}) == sizeof({theirs}), "{ours}");')
        lines += [
            f'_Static_assert(offsetof({ours}, {one}) == offsetof({theirs}, {two}), "{two}");'
            for one, two in names.items()
        ]
    if not SUPPORTED:
        lines = [*lines[:1], lines[2], "#ifdef FT_HAVE_INPLACE", "#error examined after all"]
    source = tmp_path / "layouts.c"
    source.write_text("\n".join([*lines, "#endif", ""]))
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    options = ["-fsyntax-only", "-DPy_BUILD_CORE", f"-I{include}", f"-I{include}/internal"]
    done = subprocess.run(
        [compiler, *options, f"-I{TESTS.parent / 'src'}", str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_not_where_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fresh_log: None
) -> None:
    """One warning names the variable and the reason, and the tracer works as without it."""
    answer = "off: a context is laid out otherwise"
    monkeypatch.setattr(_span, "use_inplace_context", lambda on: answer)
    tracer = Tracer(config=Config.from_env({"FASTTRACE_INPLACE_CONTEXT": "1"}))
    tracer.trace("traced").finish()
    tracer.shutdown(timeout=0)
    [record] = caplog.records
    assert "FASTTRACE_INPLACE_CONTEXT has no effect" in record.getMessage()
    assert answer in record.getMessage()


def test_support_can_tell() -> None:
    """`fasttrace info` says whether it is on."""
    command = [sys.executable, "-m", "fasttrace", "info"]
    done = subprocess.run(command, env=ON, capture_output=True, text=True, timeout=60)
    assert f"\nin place  {'on' if SUPPORTED else 'off: '}" in done.stdout


# -- nobody can tell -------------------------------------------------------------------------------


@pytest.mark.skipif(not SUPPORTED, reason="nothing is written in place on this interpreter")
class TestOn:
    """On an interpreter whose contexts are known."""

    def test_like_a_model(self) -> None:
        """However they are nested, copied, iterated and collected, contexts hold what was set."""
        command = [sys.executable, str(TESTS / "inplace_fuzz.py"), str(OPERATIONS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        note_figure(f"in place, like a model: {done.stdout.strip()}")

    def test_what_others_hold_does_not_change(self) -> None:
        """Copies, iterators, the mapping and weak references to it each prevent the write."""
        code = (
            MAPPING
            + """
import weakref
from fasttrace import _span
context = Context()
write = _span.exchange_active
context.run(write, "first")
assert kept(context, lambda: write("second"))

copy = context.copy()
assert not kept(context, lambda: write("third"))
assert copy.run(_span.peek_active) == "second"
assert kept(context, lambda: write("fourth")), "the mapping is its own again"

values = context.values()
assert not kept(context, lambda: write("fifth"))
assert list(values) == ["fourth"]

held = mapping(context)
reference = weakref.ref(held)
assert not kept(context, lambda: write("sixth"))
[root] = gc.get_referents(held)
assert "fifth" in gc.get_referents(root)
del held, root
assert reference() is None

reference = weakref.ref(mapping(context))
assert reference() is not None
context.run(write, "seventh")
assert reference() is None, "a set replaces the mapping that the weak reference is of"
assert context.run(_span.peek_active) == "seventh"
"""
        )
        run_python(code, env=ON)

    def test_an_end_that_traces(self) -> None:
        """When the old value ends, and a span begins meanwhile, the new one is there already."""
        code = """
from fasttrace import _span, tracer

class Ending:
    def __del__(self):
        seen.append(_span.peek_active())
        _span.exchange_active("by the end")

seen = []
_span.exchange_active("first")
_span.exchange_active(Ending())
_span.exchange_active("second")
assert seen == ["second"]
assert _span.peek_active() == "by the end"
"""
        run_python(code, env=ON)

    def test_threads_at_the_same_version(self) -> None:
        """What one thread writes is not what another finds in the variable's cache."""
        code = """
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from fasttrace import _span, tracer

variable = ContextVar("variable")
with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
    one.submit(variable.set, "of one").result()
    two.submit(variable.set, "of two").result()
    for number in range(10):
        assert one.submit(_span.inplace_set, variable, f"one {number}").result()
        assert two.submit(variable.get).result() == (f"two {number - 1}" if number else "of two")
        assert two.submit(_span.inplace_set, variable, f"two {number}").result()
        assert one.submit(variable.get).result() == f"one {number}"
"""
        run_python(code, env=ON)

    def test_only_variables(self) -> None:
        """The function of the tests takes a ContextVar and nothing else."""
        with pytest.raises(TypeError, match="a ContextVar is needed, got str"):
            _span.inplace_set("active", 1)  # type: ignore[arg-type]

    def test_the_suite_of_contexts(self) -> None:
        """Everything that depends on what is active passes with in-place writes as well."""
        files = [f"test_{name}.py" for name in SUITE]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        done = subprocess.run(
            command, cwd=TESTS, env=ON, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-5_000:] + done.stderr
