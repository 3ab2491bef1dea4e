"""The agent of the demo: Datadog's own test agent, from the package ``ddapm-test-agent``.

It receives traces like any agent, and tells over HTTP what it has received and decoded. Asked are
``/info``, ``/test/session/start`` and ``/test/session/traces``.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import socket
import sys
import time
import urllib.parse
from pathlib import Path

from ._demo_processes import start_python, stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from types import TracebackType
    from typing import Any

#: What the agent is asked to verify in every request; a failure is answered with status 400.
CHECKS = ("trace_count_header", "meta_tracer_version_header", "trace_content_length")

_HOW_TO_GET_IT = """\
The demo sends its traces to Datadog's test agent, and the package ddapm-test-agent is not
installed in this Python. Install it with

    {python} -m pip install 'ddapm-test-agent>=1.62'

or name a test agent that is running already: fasttrace demo --agent http://localhost:8126"""

_START_TIMEOUT_S = 30.0
_REQUEST_TIMEOUT_S = 30.0
_START_ATTEMPTS = 3


class AgentError(Exception):
    """There is no agent to run the demo with; the text tells the user why and what to do."""


class TestAgent:
    """The questions the demo asks a running test agent; `url` is ``http://host:port``."""

    __test__ = False  # not a test, though pytest would take the name for one

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise AgentError(f"--agent wants http://host:port, not {url!r}")
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or 80
        self._prefix = parts.path.rstrip("/")

    def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """GET `path`; return status and body. OSError if there is no answer."""
        target = self._prefix + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_REQUEST_TIMEOUT_S)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{self.url}{path} does not speak HTTP: {error!r}") from error
        finally:
            connection.close()

    def start_session(self, token: str) -> None:
        """Open the session that the service's traces will belong to; AgentError if that fails."""
        try:
            status, _ = self.get("/test/session/start", test_session_token=token)
        except OSError as error:
            raise AgentError(f"No agent answers at {self.url}: {error}") from error
        if status != 200:
            raise AgentError(
                f"The agent at {self.url} is not a test agent"
                f" (it answered {status} to /test/session/start)"
            )

    def received_spans(self, token: str) -> list[dict[str, Any]]:
        """Return every span received since the session began, decoded by the agent.

        A shared agent adds the spans that came without any token. OSError if it cannot tell.
        """
        status, body = self.get("/test/session/traces", test_session_token=token)
        if status != 200:
            raise OSError(f"the agent answered {status} when asked for its traces: {body[:500]!r}")
        return [span for trace in json.loads(body) for span in trace]


class EmbeddedAgent(TestAgent):
    """A test agent as a child process, on free loopback ports; a context manager that stops it.

    Its files and its log stay in `directory`. AgentError if the package is missing or the agent
    does not come up.
    """

    def __init__(self, directory: Path) -> None:
        if importlib.util.find_spec("ddapm_test_agent") is None:
            raise AgentError(_HOW_TO_GET_IT.format(python=sys.executable))
        self._directory = directory
        self._log_path = directory / "agent.log"
        for _ in range(_START_ATTEMPTS):  # a port that was free may be taken by now
            port, otlp_http_port, otlp_grpc_port = _free_ports(3)
            super().__init__(f"http://127.0.0.1:{port}")
            with self._log_path.open("wb") as log:
                self._process: subprocess.Popen[bytes] = start_python(
                    "ddapm_test_agent.agent",
                    [
                        "--host=127.0.0.1",
                        f"--port={port}",
                        f"--otlp-http-port={otlp_http_port}",
                        f"--otlp-grpc-port={otlp_grpc_port}",
                        "--web-ui-port=0",
                        f"--snapshot-dir={directory}",
                        f"--vcr-cassettes-directory={directory}",
                        "--log-level=WARNING",
                    ],
                    cwd=directory,
                    env=_agent_environment(),
                    output=log,
                )
            if self._comes_up():
                return
            self.stop()
        raise AgentError(
            f"ddapm-test-agent does not start; it printed:\n\n{self.log_tail()}\n\n"
            f"If it is an old one: {sys.executable} -m pip install -U 'ddapm-test-agent>=1.62'"
        )

    def _comes_up(self) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                return self.get("/info")[0] == 200 and self._process.poll() is None
            except OSError:
                time.sleep(0.02)
        return False

    def log_tail(self) -> str:
        """Return the end of what the agent printed."""
        return self._log_path.read_text(errors="replace")[-2000:].strip()

    def stop(self) -> None:
        """End the process; it has nothing to save."""
        stop(self._process)

    def __enter__(self) -> EmbeddedAgent:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _free_ports(count: int) -> list[int]:
    """Return different loopback ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _agent_environment() -> dict[str, str]:
    """Return our environment without what was meant for the application or for another agent.

    With DD_TRACE_AGENT_URL, for one, the agent would pass on to that address all it receives.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DD_", "_DD_", "OTEL_", "OTLP_", "SNAPSHOT_", "VCR_"))
        and name not in ("PORT", "HOST", "WEB_UI_PORT", "LOG_LEVEL")
    }
    # The command line option --enabled-checks takes a string where a list is needed.
    env["ENABLED_CHECKS"] = ",".join(CHECKS)
    env["DISABLE_LLMOBS_DATA_FORWARDING"] = "1"
    env["PYTHONUNBUFFERED"] = "1"  # it is killed, and what it said should be in its log by then
    return env
