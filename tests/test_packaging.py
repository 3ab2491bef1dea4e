"""What a build of the sources produces: an sdist, a wheel made from it, or a helpful error.

The builds are isolated, so they install the build requirements from the package index.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from build.util import project_wheel_metadata

ROOT = Path(__file__).parent.parent
NOT_SOURCES = shutil.ignore_patterns(
    ".venv*", ".nox", ".oracle", ".*_cache", ".hypothesis", "__pycache__",
    "build", "dist", "_build", "_version.py", "*.so", "*.pyd",
)  # fmt: skip
ADDED_BY_SDIST = {"PKG-INFO", "setup.cfg", "fasttrace/_version.py"}
MAX_WHEEL_BYTES = 2_000_000


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would change a build."""
    meant_for_builds = ("FASTTRACE_", "SETUPTOOLS_SCM_", "CFLAGS", "LDFLAGS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(meant_for_builds)}
    return {**kept, **extra}


def run(*command: str, cwd: Path, **extra_env: str) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**extra_env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def copy_sources(to: Path, *ignored: str) -> Path:
    """Copy the sources, with uncommitted changes and without anything built from them."""

    def ignore(directory: str, names: list[str]) -> set[str]:
        return NOT_SOURCES(directory, names) | set(ignored).intersection(names)

    return Path(shutil.copytree(ROOT, to, ignore=ignore))


@dataclass
class Built:
    """The result of `python -m build`, and the names of the files that should be in the sdist."""

    sdist: Path
    wheel: Path
    sources: set[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An sdist of these sources and a wheel made from that sdist."""
    tree = copy_sources(tmp_path_factory.mktemp("tree") / "fasttrace")
    if (tree / ".git").exists():
        listing = run("git", "ls-tree", "-r", "--name-only", "HEAD", cwd=tree).stdout
    else:
        listing = (tree / "fasttrace.egg-info" / "SOURCES.txt").read_text()
    done = run(sys.executable, "-m", "build", cwd=tree)
    assert done.returncode == 0, done.stdout
    (sdist,) = tree.glob("dist/*.tar.gz")
    (wheel,) = tree.glob("dist/*.whl")
    return Built(sdist, wheel, {name for name in listing.splitlines() if "egg-info" not in name})


def test_sdist_has_every_source_and_nothing_else(built: Built) -> None:
    """The sdist holds what version control holds: all that building and testing needs."""
    with tarfile.open(built.sdist) as archive:
        files = [PurePosixPath(entry.name) for entry in archive if entry.isfile()]
    names = {str(PurePosixPath(*file.parts[1:])) for file in files}
    names = {name for name in names if "egg-info" not in name}
    assert names - ADDED_BY_SDIST == built.sources - ADDED_BY_SDIST


def test_wheel_has_only_the_package(built: Built) -> None:
    """The wheel holds fasttrace/, its pytest plugin and metadata: one module of it is compiled."""
    with zipfile.ZipFile(built.wheel) as archive:
        files = [PurePosixPath(name) for name in archive.namelist()]
    files = [file for file in files if not file.parts[0].endswith(".dist-info")]
    assert {file.parts[0] for file in files} == {"fasttrace", "_fasttrace_pytest.py"}
    compiled = [file for file in files if file.suffix in (".so", ".pyd")]
    assert [file.name.partition(".")[0] for file in compiled] == ["_span"]
    assert {file.suffix for file in files} - {".so", ".pyd"} == {".py", ".pyi", ".typed"}
    assert PurePosixPath("fasttrace/_span.pyi") in files
    assert PurePosixPath("fasttrace/py.typed") in files


def test_wheel_has_every_module(built: Built) -> None:
    """Every Python file of fasttrace/ is in the wheel, and so is the demo's service."""
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        name for name in built.sources if re.fullmatch(r"(fasttrace/.*|examples/[^/]*)\.pyi?", name)
    }
    assert wanted
    assert {re.sub("^examples/", "fasttrace/_examples/", name) for name in wanted} <= names


def test_wheel_is_small(built: Built) -> None:
    """The wheel is smaller than 2 MB."""
    assert built.wheel.stat().st_size < MAX_WHEEL_BYTES


def test_wheel_requires_only_msgpack(built: Built) -> None:
    """Without an extra, fasttrace brings msgpack and nothing else."""
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert [re.split(r"[^\w-]", line)[0] for line in required] == ["msgpack"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"


def test_installed_wheel_knows_its_version(built: Built, tmp_path: Path) -> None:
    """The wheel installs and imports; `__version__` is the version in its file name."""
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target"]
    done = run(*command, str(tmp_path / "site"), str(built.wheel), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import fasttrace as f"
    code += "; print(f.__version__, f.__file__)"
    version, file = run(sys.executable, "-I", "-c", code, cwd=tmp_path).stdout.split()
    assert version == built.wheel.name.split("-")[1]
    assert Path(file).is_relative_to(tmp_path)


def test_version_without_version_control(tmp_path: Path) -> None:
    """Bare sources, neither a clone nor an sdist, build with the fallback version."""
    tree = copy_sources(tmp_path / "tree", ".git", "PKG-INFO", "fasttrace.egg-info")
    assert project_wheel_metadata(tree)["Version"] == "0.1.0.dev0"


def test_version_of_a_clone_without_tags(tmp_path: Path) -> None:
    """A clone that has no tag builds with a development version that names the commit."""
    tree = copy_sources(tmp_path / "tree", ".git", "PKG-INFO", "fasttrace.egg-info")
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init"], ["add", "."], [*identity, "commit", "-m", "sources"]):
        done = run("git", *arguments, cwd=tree)
        assert done.returncode == 0, done.stdout
    commit = run("git", "rev-parse", "--short=7", "HEAD", cwd=tree).stdout.strip()
    version = project_wheel_metadata(tree)["Version"]
    assert re.fullmatch(rf"0\.1\.(0\.)?dev1\+g{commit}\w*", version)


if sys.platform != "win32":  # where the compiler is not found by a name in CC

    def test_missing_compiler_is_named(tmp_path: Path) -> None:
        """Without a C compiler the build fails with an error that says what to install."""
        tree = copy_sources(tmp_path / "tree")
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "."]
        done = run(*command, cwd=tree, CC=str(tmp_path / "no-such-cc"))
        assert done.returncode != 0
        assert "the C compiler" in done.stdout
        assert "no-such-cc' was not found" in done.stdout
        assert "apt-get install gcc" in done.stdout


@pytest.mark.parametrize(
    ("name", "most"),
    [("setup.py", 50), (".github/workflows/ci.yml", 100), (".github/workflows/wheels.yml", 100)],
)
def test_build_files_stay_small(name: str, most: int) -> None:
    """Files that build and release stay short enough to be read in one go."""
    assert len((ROOT / name).read_text().splitlines()) <= most
