"""Real web servers as child processes: uvicorn and gunicorn with the applications of web/."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from agent_process import free_ports

APPLICATIONS = Path(__file__).parent / "web"
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 15.0


class WebServer:
    """A server that serves `application`, a `module:name` of tests/web/ by default.

    server: "uvicorn", "gunicorn", or "script", which is run as `application` PORT. env: its
    environment. directory: in place of tests/web/. Use it as a context manager; at the end it is
    asked to stop, by SIGTERM, and must do so.
    """

    def __init__(
        self, server: str, application: str, env: dict[str, str], directory: Path = APPLICATIONS
    ) -> None:
        self.port = free_ports(1)[0]
        commands = {
            "uvicorn": ["-m", server, "--port", str(self.port), "--log-level=warning", application],
            "gunicorn": [
                "-m",
                server,
                f"-b127.0.0.1:{self.port}",
                "--log-level=warning",
                application,
            ],
            "script": [str(directory / application), str(self.port)],
        }
        self._command = [sys.executable, *commands[server]]
        path = os.pathsep.join([str(directory), *filter(None, sys.path)])
        self._env = {**env, "PYTHONPATH": path}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 # until it is stopped
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def printed(self) -> str:
        """What the server has written to its standard streams."""
        self._log.seek(0)
        return self._log.read()

    def launch(self) -> None:
        """Start the process; entering the context does it, unless it is done already."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=tempfile.gettempdir(),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )

    def __enter__(self) -> WebServer:
        self.launch()
        assert self._process is not None
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return self
            except OSError:
                running = self._process.poll() is None
                if not running or time.monotonic() > deadline_s:
                    self._process.kill()
                    raise RuntimeError(f"no server came up:\n{self.printed()}") from None
            time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            if kind is None:
                raise
        finally:
            self._log.close()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Send one GET request; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def leave_during(self, path: str) -> bytes:
        """Send a GET request, and go away when the first part of the body has come; return it."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = b""
            while b"part" not in received:
                part = connection.recv(65536)
                assert part, received
                received += part
            return received


def named(spans: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The spans of this name, in the order they began."""
    return sorted((s for s in spans if s["name"] == name), key=lambda span: span["start"])
