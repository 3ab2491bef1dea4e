"""The command ``fasttrace``: help, version, wrong input."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fasttrace
from fasttrace import cli


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m fasttrace`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fasttrace", *arguments], capture_output=True, text=True, timeout=60
    )


def test_help_lists_the_commands():
    """--help goes to stdout, names every command and exits with 0."""
    result = run_command("--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: fasttrace ")
    assert "demo" in result.stdout
    assert "info" in result.stdout
    assert result.stderr == ""


def test_version_is_that_of_the_package():
    """--version prints the name and the version of the package that runs."""
    result = run_command("--version")
    assert (result.returncode, result.stdout) == (0, f"fasttrace {fasttrace.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("--dance",),
        ("demo", "--requests"),
        ("demo", "--requests", "0"),
        ("demo", "--requests", "-3"),
        ("demo", "--requests", "many"),
        ("demo", "more"),
    ],
    ids=" ".join,
)
def test_a_command_line_it_does_not_understand_ends_with_2_and_the_usage(arguments):
    """No command, an unknown one or a wrong option: usage and reason on stderr, exit code 2."""
    result = run_command(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: fasttrace")
    assert "error: " in result.stderr


def test_the_reason_names_the_value(capsys):
    """The message about a wrong value quotes it and says what is wanted."""
    with pytest.raises(SystemExit):
        cli.main(["demo", "--requests", "many"])
    assert "'many' is not a positive whole number" in capsys.readouterr().err


def test_the_command_line_costs_the_import_nothing():
    """`import fasttrace` loads neither the command line nor the demo nor argparse."""
    code = "import sys, fasttrace; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(result.stdout.split())
    assert "fasttrace" in loaded
    unwanted = {"argparse", "fasttrace.cli", "fasttrace.demo", "fasttrace.tree"}
    assert not loaded & unwanted
