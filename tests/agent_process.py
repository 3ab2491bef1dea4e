"""A real Datadog test agent (``ddapm-test-agent``) as a child process, and a client for it.

Several agents can run at the same time: every listener the program opens is moved to a free
loopback port (``PORT``, ``OTLP_HTTP_PORT``, ``OTLP_GRPC_PORT``), the web page is off
(``WEB_UI_PORT=0``), and its files go to a directory of its own. The client uses only the standard
library, so that no test depends on the code it tests.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

#: The agent's own checks of every trace request, all of which must pass in every test that talks
#: to a shared agent.
CHECKS = ("trace_count_header", "meta_tracer_version_header", "trace_content_length")
#: The header that assigns a trace request to a session of the agent.
TOKEN_HEADER = "X-Datadog-Test-Session-Token"

_START_TIMEOUT_S = 60.0
_REQUEST_TIMEOUT_S = 60.0
_REFUSED_REQUEST = re.compile(
    r'"(?:POST|PUT) (/v0\.[0-9]/(?:traces|stats))[^"]*" ([345][0-9][0-9]) '
)


def find_program() -> str:
    """Return the path of ``ddapm-test-agent``: beside the running interpreter, else on PATH.

    Raises FileNotFoundError, naming the package to install, if there is none.
    """
    suffix = ".exe" if sys.platform == "win32" else ""
    beside = Path(sys.executable).parent / f"ddapm-test-agent{suffix}"
    if beside.exists():
        return str(beside)
    found = shutil.which("ddapm-test-agent")
    if found is None:
        raise FileNotFoundError("ddapm-test-agent is not installed: pip install ddapm-test-agent")
    return found


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback TCP ports that are free at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class AgentSession:
    """What one agent received under one session token. Usable as a context manager."""

    def __init__(self, agent: TestAgent, token: str) -> None:
        self.agent = agent
        self.token = token
        #: What a tracer must send with every request to have it assigned to this session.
        self.headers = {TOKEN_HEADER: token}

    def __enter__(self) -> AgentSession:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.clear()

    def traces(self) -> list[list[dict[str, Any]]]:
        """The decoded traces of this session, one list of spans per trace id."""
        return self.agent.traces(self.token)

    def spans(self) -> list[dict[str, Any]]:
        """Every span of this session."""
        return [span for trace in self.traces() for span in trace]

    def requests(self) -> list[dict[str, Any]]:
        """The raw requests of this session, oldest first."""
        return self.agent.requests(self.token)

    def wait_for_spans(self, count: int, timeout_s: float = 20.0) -> list[dict[str, Any]]:
        """Wait until at least `count` spans have arrived, or raise TimeoutError; return all."""
        deadline = time.monotonic() + timeout_s
        while True:
            spans = self.spans()
            if len(spans) >= count:
                return spans
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(spans)} of {count} spans arrived within {timeout_s} s")
            time.sleep(0.02)

    def set_rates(self, rates: dict[str, float]) -> None:
        """Restart the session; the agent answers its trace requests with these sampling rates."""
        self.agent.start_session(self.token, rates)

    def clear(self) -> None:
        """Let the agent forget this session's requests."""
        self.agent.get("/test/session/clear", test_session_token=self.token)


class TestAgent:
    """One running test agent.

    `extra_env` adds to or overrides the program's environment variables. Raises RuntimeError, with
    what the program printed, if it does not come up.
    """

    __test__ = False  # the name begins with "Test", but pytest must not collect it

    def __init__(self, **extra_env: str) -> None:
        self.host = "127.0.0.1"
        self._extra_env = extra_env
        self._dir = tempfile.mkdtemp(
            prefix="ft-agent-"
        )  # short: a Unix socket path holds about 100 characters
        self.log_path = os.path.join(self._dir, "agent.log")
        self.socket_path = os.path.join(self._dir, "apm.socket")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._start()

    # -- life --------------------------------------------------------------------------------------

    def _start(self) -> None:
        # A free port can be taken by someone else before the agent binds it; then try again with
        # others.
        for _ in range(5):
            self.port, otlp_http_port, otlp_grpc_port = free_ports(3)
            env = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("DD_", "_DD_", "OTEL_"))
            }
            env.update(
                HOST=self.host,
                PORT=str(self.port),
                OTLP_HTTP_PORT=str(otlp_http_port),
                OTLP_GRPC_PORT=str(otlp_grpc_port),
                WEB_UI_PORT="0",
                ENABLED_CHECKS=",".join(CHECKS),
                # without this the agent forgets its checks' failures
                DD_POOL_TRACE_CHECK_FAILURES="1",
                DISABLE_LLMOBS_DATA_FORWARDING="1",
                SNAPSHOT_DIR=self._dir,
                VCR_CASSETTES_DIRECTORY=self._dir,
                LOG_LEVEL="INFO",  # the level of the access log, which check_failures() reads
                PYTHONUNBUFFERED="1",
            )
            if hasattr(socket, "AF_UNIX") and sys.platform != "win32":
                env["DD_APM_RECEIVER_SOCKET"] = self.socket_path
            env.update(self._extra_env)
            with open(self.log_path, "wb") as log:
                self._process = subprocess.Popen(
                    [find_program()],
                    env=env,
                    cwd=self._dir,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            if self._wait_until_up():
                return
            self._end_process()
        log_text = self.log()
        shutil.rmtree(self._dir, ignore_errors=True)
        raise RuntimeError(f"ddapm-test-agent did not start; it printed:\n{log_text[-4000:]}")

    def _wait_until_up(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.info()
                return True
            except OSError:
                time.sleep(0.05)
        return False

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    def stop(self) -> None:
        """End the agent and remove its files. Harmless when repeated."""
        self._end_process()
        shutil.rmtree(self._dir, ignore_errors=True)

    def __enter__(self) -> TestAgent:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # -- addresses ---------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where traces are accepted over TCP, as DD_TRACE_AGENT_URL wants it."""
        return f"http://{self.host}:{self.port}"

    @property
    def socket_url(self) -> str:
        """Where traces are accepted over a Unix socket, as DD_TRACE_AGENT_URL wants it."""
        return f"unix://{self.socket_path}"

    # -- test endpoints ----------------------------------------------------------------------------

    def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """GET `path` of the agent; return status and body, whatever the status."""
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=_REQUEST_TIMEOUT_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _get_json(self, path: str, **query: str) -> Any:
        status, body = self.get(path, **query)
        if status != 200:
            raise RuntimeError(f"test agent answered {status} to {path} {query}: {body[:2000]!r}")
        return json.loads(body)

    def info(self) -> dict[str, Any]:
        """What the agent says about itself (``/info``)."""
        info = self._get_json("/info")
        assert isinstance(info, dict)
        return info

    def start_session(self, token: str, rates: dict[str, float] | None = None) -> None:
        """Begin (again) the session `token`; `rates` is the sampling table it is answered with."""
        query = {"test_session_token": token}
        if rates is not None:
            query["agent_sample_rate_by_service"] = json.dumps(rates)
        status, body = self.get("/test/session/start", **query)
        if status != 200:
            raise RuntimeError(f"test agent answered {status} to a session start: {body[:2000]!r}")

    def session(
        self, token: str | None = None, rates: dict[str, float] | None = None
    ) -> AgentSession:
        """Begin a session, under a fresh token unless one is given."""
        session = AgentSession(self, token or uuid.uuid4().hex)
        self.start_session(session.token, rates)
        return session

    def traces(self, token: str) -> list[list[dict[str, Any]]]:
        """The traces of a session, decoded by the agent, merged by trace id (low 64 bits)."""
        traces = self._get_json("/test/session/traces", test_session_token=token)
        assert isinstance(traces, list)
        return traces

    def requests(self, token: str) -> list[dict[str, Any]]:
        """The raw trace requests of a session, oldest first.

        Each is a dict of method (str), path (str), headers (dict, names in lower case) and body
        (bytes).
        """
        result = []
        for request in self._get_json("/test/session/requests", test_session_token=token):
            result.append(
                {
                    "method": request["method"],
                    "path": urllib.parse.urlsplit(request["url"]).path,
                    "headers": {name.lower(): value for name, value in request["headers"].items()},
                    "body": base64.b64decode(request["body"]),
                }
            )
        return result

    def log(self) -> str:
        """What the agent has printed so far."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except OSError:
            return ""

    def check_failures(self) -> list[str]:
        """Everything the agent found wrong with any trace request since it started.

        Holds failed checks and also requests it refused for another reason (a body it could not
        decode), which its failure list leaves out.
        """
        failures = []
        status, body = self.get("/test/trace_check/failures", return_all="true")
        if status != 200:
            failures.append(body.decode("utf-8", "replace"))
        failures += [
            f"{path} was answered {code}" for path, code in _REFUSED_REQUEST.findall(self.log())
        ]
        return failures

    def checks_passed(self) -> dict[str, int]:
        """How often each check of the agent passed since it started."""
        summary = self._get_json("/test/trace_check/summary", return_all="true")
        return {name: counts["Passed_Checks"] for name, counts in summary.items()}
