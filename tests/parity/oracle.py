"""Interpreters with real ddtrace, the test agent, and running cases in processes of their own."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.cases import Case
from parity.compare import Outcome
from parity.normalise import Normaliser, decode, printed, split_by_marker

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).parent / "child" / "run_cases.py"
ORACLE_PACKAGES = {
    "4.16": ["ddtrace==4.16.0"],
    "2.21": ["ddtrace==2.21.0", "opentracing==2.4.0", "setuptools<81"],
}
RUN_TIMEOUT_S = 120
AGENT_START_TIMEOUT_S = 60
WORKERS = 2


def oracle_python(version: str) -> str:
    """Path of a Python that has this ddtrace; the environment is made on first use."""
    override = os.environ.get("FASTTRACE_ORACLE_" + version.replace(".", ""))
    if override:
        return override
    release = ORACLE_PACKAGES[version][0].replace("==", "-")
    home = ROOT / ".oracle" / f"{release}-py{sys.version_info[0]}.{sys.version_info[1]}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "ready"
    packages = ORACLE_PACKAGES[version]
    if not ready.exists() or ready.read_text().split() != packages:
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True)
        ready.write_text("\n".join(packages))
    return str(python)


class TestAgent:
    """One ddapm-test-agent process; every run has its own session token."""

    __test__ = False

    def __init__(self) -> None:
        self.port, otlp_http, otlp_grpc = _free_ports(3)
        env = {
            **os.environ,
            "ENABLED_CHECKS": "trace_count_header,meta_tracer_version_header,trace_content_length",
        }
        command = [
            sys.executable,
            "-c",
            "from ddapm_test_agent.agent import main; main()",
            "--port",
            str(self.port),
            "--otlp-http-port",
            str(otlp_http),
            "--otlp-grpc-port",
            str(otlp_grpc),
        ]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()
        self._process = subprocess.Popen(command, env=env, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + AGENT_START_TIMEOUT_S
        while True:
            try:
                self.get("/info")
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self._log.seek(0)
                    raise RuntimeError(
                        f"the test agent does not start: {self._log.read().decode()[-6000:]}"
                    ) from None
                time.sleep(0.05)

    @property
    def url(self) -> str:
        """Base URL for the tracers."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **query: str) -> bytes:
        """Body of a GET request."""
        text = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"{self.url}{path}?{text}", timeout=30) as reply:
            return bytes(reply.read())

    def start_session(self, token: str, rates: str) -> None:
        """Begin a session; *rates* is the JSON table of sampling rates that it answers with."""
        query = {"test_session_token": token}
        if rates:
            query["agent_sample_rate_by_service"] = rates
        self.get("/test/session/start", **query)

    def chunks(self, token: str) -> list[list[dict[str, Any]]]:
        """Every chunk received in the session, in order."""
        chunks: list[list[dict[str, Any]]] = []
        for request in json.loads(self.get("/test/session/requests", test_session_token=token)):
            if "/traces" in request["url"]:
                chunks.extend(decode(request["url"], base64.b64decode(request["body"])))
        return chunks

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)
        self._log.close()


@dataclass(frozen=True)
class Library:
    """One side of the comparison."""

    package: str  # "ddtrace" or "fasttrace"
    python: str
    path: str = ""  # PYTHONPATH
    mutation: str = ""
    under_test: bool = False


def fasttrace_library(mutation: str = "") -> Library:
    """The library under test, as this interpreter imports it."""
    override = os.environ.get(
        "FASTTRACE_PARITY_OURS"
    )  # to try the oracle out: an interpreter with ddtrace
    if override:
        return Library("ddtrace", override, mutation=mutation, under_test=True)
    spec = importlib.util.find_spec("fasttrace")
    if spec is None or spec.origin is None:
        raise RuntimeError("fasttrace is not importable")
    return Library("fasttrace", sys.executable, str(Path(spec.origin).parents[1]), mutation, True)


def oracle_library(version: str) -> Library:
    """Real ddtrace of that version."""
    return Library("ddtrace", oracle_python(version))


def run_cases(
    agent: TestAgent, jobs: Iterable[tuple[Library, list[Case]]]
) -> list[dict[str, Outcome]]:
    """Run each job's cases, grouped into processes, two processes at a time."""
    jobs = list(jobs)
    groups: list[tuple[int, Library, list[Case]]] = []
    for number, (library, cases) in enumerate(jobs):
        grouped: dict[object, list[Case]] = {}
        for case in cases:
            grouped.setdefault(case.group, []).append(case)
        groups.extend((number, library, group) for group in grouped.values())
    groups.sort(key=lambda item: -len(item[2]))
    results: list[dict[str, Outcome]] = [{} for _ in jobs]
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = pool.map(lambda item: _run_group(agent, item[1], item[2]), groups)
        for (number, _, _), outcome in zip(groups, outcomes, strict=True):
            results[number].update(outcome)
    return results


def _run_group(agent: TestAgent, library: Library, cases: list[Case]) -> dict[str, Outcome]:
    token = uuid.uuid4().hex
    first = cases[0]
    agent.start_session(token, first.rates)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "app"
        work.mkdir()
        plan = {
            "library": library.package,
            "cases": [(case.name, str(case.path), case.function) for case in cases],
            "markers": len(cases) > 1,
            "flush": first.flush,
            "mutation": library.mutation,
            "mutations": str(CHILD.parent),
            "results": str(Path(scratch) / "results.json"),
        }
        plan_path = Path(scratch) / "plan.json"
        plan_path.write_text(json.dumps(plan))
        env = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("DD_", "_DD_", "OTEL_", "PYTHON"))
            },
            "DD_TRACE_AGENT_URL": agent.url,
            "DD_TRACE_API_VERSION": "v0.4",
            # What ddtrace does unless told otherwise; ours would go by the agent's /info, in its own time.
            "DD_TRACE_NATIVE_SPAN_EVENTS": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "_DD_TRACE_WRITER_ADDITIONAL_HEADERS": f"X-Datadog-Test-Session-Token:{token}",
            "PARITY_PLAN": str(plan_path),
            "PYTHONPATH": library.path,
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict(first.env),
        }
        command = _command(library.python, first.launch, work)
        ended, output = _run(command, env, work)
        try:
            results = json.loads(Path(plan["results"]).read_text())
        except OSError:
            results = {}
    missing = [case.name for case in cases if case.name not in results]
    if ended or missing:
        failure = f"{library.package} ({library.python}) {ended}, no result for {missing[:3]}: {output[-3000:]}"
        if not library.under_test:
            raise RuntimeError(failure)
        for name in missing or [cases[-1].name]:
            results[name] = {"said": {}, "begin": 0, "end": time.time(), **results.get(name, {})}
            results[name]["raised"] = failure
    chunks = agent.chunks(token)
    if os.environ.get("PARITY_VERBOSE"):
        sys.stderr.write(output)
    by_case = (
        split_by_marker(chunks, [c.name for c in cases]) if len(cases) > 1 else {first.name: chunks}
    )
    outcomes = {}
    for case in cases:
        result = results[case.name]
        normaliser = Normaliser(case.constants, result["begin"], result["end"], case.alone)
        outcomes[case.name] = Outcome(
            chunks=normaliser.chunks(by_case[case.name]),
            said={label: printed(value) for label, value in result["said"].items()},
            raised=printed(result["raised"]),
        )
    return outcomes


def _run(command: list[str], env: dict[str, str], work: Path) -> tuple[str, str]:
    """How the process ended (empty if well), and what it printed."""
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=RUN_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        return f"did not end within {RUN_TIMEOUT_S} s", str(error.stdout)
    return f"ended with {done.returncode}" if done.returncode else "", done.stdout


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


def _command(python: str, launch: str, work: Path) -> list[str]:
    """How the process is started; the name of the program decides the inferred service."""
    kind, _, name = launch.partition(" ")
    if kind == "script":
        return [python, str(CHILD)]
    if kind == "file":
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHILD, path)
        return [python, name]
    package = work / name.replace(".", "/")
    package.mkdir(parents=True, exist_ok=True)
    for parent in [package, *package.parents]:
        if parent == work:
            break
        (parent / "__init__.py").touch()
    shutil.copyfile(CHILD, package / "__main__.py")
    return [python, "-m", name]
