"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import CHILD_TIMEOUT_S, run_python
from inner_pytest import write_metadata


class Pytest:
    """Runs pytest in an empty directory, where it finds the plugin as in an installed package."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        write_metadata(directory / "site")

    def write(self, name: str, text: str) -> None:
        """Write a file into the directory pytest runs in."""
        (self.directory / name).write_text(textwrap.dedent(text))

    def run(
        self, *arguments: str, every_plugin: bool = False, env: dict[str, str] | None = None
    ) -> str:
        """Run pytest with this plugin, or with every one installed; return what it printed."""
        if not every_plugin:  # which is what takes most of the time
            arguments = ("-p", "fasttrace", *arguments)
            env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(env or {})}
        path = [str(self.directory / "site"), *(entry for entry in sys.path if entry)]
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.directory,
            env={**os.environ, **(env or {}), "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CHILD_TIMEOUT_S,
        )
        return result.stdout


@pytest.fixture
def inner(tmp_path: Path) -> Pytest:
    """A pytest to run."""
    return Pytest(tmp_path)


def test_the_fixture_captures_for_the_length_of_a_test(inner: Pytest) -> None:
    """Each test that uses fasttrace_spans sees its own spans, nothing goes to the agent."""
    inner.write(
        "test_shop.py",
        """
        import pytest
        from fasttrace import tracer

        @pytest.mark.parametrize("name", ["one", "two"])
        def test_spans(fasttrace_spans, name):
            assert fasttrace_spans == []
            with tracer.trace(name):
                pass
            assert [span.name for span in fasttrace_spans] == [name]

        def test_stats():
            assert tracer.stats()["dropped"] == {"captured": 2}
            assert not tracer._flusher_running
        """,
    )
    assert "3 passed" in inner.run()


def test_spans_of_fixtures_are_captured_in_the_order_of_the_fixtures(inner: Pytest) -> None:
    """What fixtures trace that are set up after fasttrace_spans is captured, too."""
    inner.write(
        "test_shop.py",
        """
        import pytest
        from fasttrace import tracer

        @pytest.fixture
        def shop(fasttrace_spans):
            with tracer.trace("open"):
                pass
            yield
            with tracer.trace("close"):
                pass
            assert [span.name for span in fasttrace_spans] == ["open", "sell", "close"]

        def test_sell(shop):
            with tracer.trace("sell"):
                pass
        """,
    )
    assert "1 passed" in inner.run()


def test_a_failing_test_ends_its_capture(inner: Pytest) -> None:
    """The next test begins with an empty list, and one without the fixture captures nothing."""
    inner.write(
        "test_shop.py",
        """
        from fasttrace import tracer

        def test_fails(fasttrace_spans):
            with tracer.trace("op"):
                raise ValueError("no bread")

        def test_next(fasttrace_spans):
            assert len(fasttrace_spans) == 0

        def test_without():
            assert "_swap" not in vars(tracer)
        """,
    )
    printed = inner.run()
    assert "1 failed, 2 passed" in printed
    assert "ValueError: no bread" in printed


def test_pytest_does_not_import_the_tracer(inner: Pytest) -> None:
    """The tracer is imported by the first test that uses the fixture, after conftest.py."""
    inner.write(
        "conftest.py",
        """
        import os, sys
        assert "_fasttrace_pytest" in sys.modules
        assert "fasttrace" not in sys.modules
        os.environ["DD_SERVICE"] = "set by conftest"
        """,
    )
    inner.write(
        "test_shop.py",
        """
        import sys

        def test_before():
            assert "fasttrace" not in sys.modules

        def test_use(fasttrace_spans):
            from fasttrace import tracer
            with tracer.trace("op"):
                pass
            assert fasttrace_spans[0].service == "set by conftest"
        """,
    )
    assert "2 passed" in inner.run(every_plugin=True)


def test_a_run_with_tracing_switched_off_still_captures(inner: Pytest) -> None:
    """DD_TRACE_ENABLED=false keeps a test run quiet but for what is captured."""
    inner.write(
        "test_shop.py",
        """
        from fasttrace import tracer

        def test_captured(fasttrace_spans):
            with tracer.trace("op"):
                pass
            assert len(fasttrace_spans) == 1

        def test_others():
            with tracer.trace("op"):
                pass
            assert tracer.stats()["finished"] == 1
        """,
    )
    assert "2 passed" in inner.run(env={"DD_TRACE_ENABLED": "false"})


def test_it_is_listed_with_its_first_sentence(inner: Pytest) -> None:
    """`pytest --fixtures` says what the fixture gives."""
    listed = inner.run("--fixtures")
    assert "fasttrace_spans" in listed
    assert "captured instead of sent" in listed


@pytest.mark.parametrize("by", ["conftest", "option"])
def test_it_can_be_loaded_by_name(inner: Pytest, by: str) -> None:
    """Where plugins are not loaded by themselves, fasttrace.pytest_plugin is its name."""
    inner.write("test_shop.py", "def test_it(fasttrace_spans): assert fasttrace_spans == []")
    arguments = ["-p", "fasttrace.pytest_plugin"] if by == "option" else []
    if by == "conftest":
        inner.write("conftest.py", "pytest_plugins = ['fasttrace.pytest_plugin']")
    without = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert "1 passed" in inner.run(*arguments, every_plugin=True, env=without)
    assert "1 passed" in inner.run(*arguments)  # loaded twice, it is still one fixture


def test_it_can_be_blocked(inner: Pytest) -> None:
    """`-p no:fasttrace` switches the plugin off."""
    inner.write("test_shop.py", "def test_it(fasttrace_spans): pass")
    printed = inner.run("-p", "no:fasttrace", every_plugin=True)
    assert "fixture 'fasttrace_spans' not found" in printed


def test_importing_the_plugin_costs_little() -> None:
    """The module pytest imports at its start imports pytest, and nothing of fasttrace."""
    code = """
        import pytest, sys
        before = set(sys.modules)
        import _fasttrace_pytest
        assert set(sys.modules) - before == {"_fasttrace_pytest"}, set(sys.modules) - before
    """
    run_python(code)
