"""What the tracer tells for support: the start-up log, debug lines, `fasttrace info`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from fault_server import FaultServer, answering, refused_url, response
from helpers import note_figure, run_python

import fasttrace
from fasttrace.config import FIELDS


def run_info(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `fasttrace info` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fasttrace", "info", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


# -- fasttrace info --------------------------------------------------------------------------------


def test_with_an_agent(agent: Any) -> None:
    """Version, build, settings with their sources, and the agent's endpoints; exit code 0."""
    done = run_info(DD_TRACE_AGENT_URL=agent.url, DD_ENV="prod")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"fasttrace {fasttrace.__version__}\n")
    assert f"agent     {agent.url} (env DD_TRACE_AGENT_URL)\n          reachable\n" in done.stdout
    assert "/v0.4/traces" in done.stdout
    assert re.search(r"^core +_span\S*\.(so|pyd), built with: ", done.stdout, re.MULTILINE)
    assert re.search(r"^clock +(tsc|monotonic)$", done.stdout, re.MULTILINE)
    shown = re.findall(r"^  (\w+) +\S.*  \(\S.*\)$", done.stdout, re.MULTILINE)
    note_figure(
        f"{len(shown)} settings with their source, of {len(FIELDS)}; "
        f"{done.stdout.count('/v0.')} endpoints; exit code {done.returncode}"
    )
    for field in FIELDS:
        assert re.search(rf"^  {field.name} +\S.*  \(\S.*\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^  env +prod  \(env DD_ENV\)$", done.stdout, re.MULTILINE)


def test_as_json(agent: Any) -> None:
    """The same as JSON, with all the agent says."""
    done = run_info("--json", DD_TRACE_AGENT_URL=agent.url, DD_SERVICE="shop")
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert (facts["version"], facts["agent_error"]) == (fasttrace.__version__, None)
    assert facts["settings"]["service"] == {"value": "shop", "source": "env DD_SERVICE"}
    assert "/v0.4/traces" in facts["agent_info"]["endpoints"]


def test_without_an_agent() -> None:
    """If nobody is there it says so and why; exit code 1."""
    url = refused_url()
    done = run_info(DD_TRACE_AGENT_URL=url)
    assert done.returncode == 1
    assert f"agent     {url} (env DD_TRACE_AGENT_URL)\n          not reachable: Conn" in done.stdout


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (response(200, b"<html>"), 1, "answers, but not as an agent does"),
        (response(200, b"{}"), 1, "answers, but not as an agent does"),
        (response(500, b""), 1, "HTTP status 500"),
        (response(200, b'{"endpoints": ["/v0.2/traces"]}'), 1, "does not take traces"),
        (response(404, b""), 0, "does not know /info"),
    ],
)
def test_with_something_else(answer: bytes, code: int, text: str) -> None:
    """What answers but is no agent of today is told apart."""
    with FaultServer(answering(answer)) as server:
        done = run_info(DD_TRACE_AGENT_URL=server.url)
    assert done.returncode == code
    assert text in done.stdout


def test_no_secrets() -> None:
    """Neither the password of a URL nor the value of a header is shown."""
    url = refused_url().replace("://", "://user:s3cret@")
    for arguments in ((), ("--json",)):
        done = run_info(
            *arguments,
            DD_TRACE_AGENT_URL=url,
            _DD_TRACE_WRITER_ADDITIONAL_HEADERS="X-Key:s3cret",
            DD_TRACE_STARTUP_LOGS="1",
        )
        assert "s3cret" not in done.stdout + done.stderr
        assert "X-Key" in done.stdout


# -- the start-up log ------------------------------------------------------------------------------

STARTUP = "- DATADOG TRACER CONFIGURATION - "


def facts_of(text: str) -> dict[str, Any]:
    """The JSON of the one start-up line in an output."""
    (line,) = [line for line in text.splitlines() if STARTUP in line]
    facts = json.loads(line.partition(STARTUP)[2])
    assert isinstance(facts, dict)
    return facts


@pytest.mark.parametrize("variable", ["DD_TRACE_STARTUP_LOGS", "DD_TRACE_DEBUG"])
def test_startup_line(variable: str) -> None:
    """Asked for, one line at the import says how the tracer is configured."""
    url = refused_url()
    environ = {"DD_SERVICE": "shop", "DD_TAGS": "a:b", "DD_TRACE_AGENT_URL": url, variable: "1"}
    done = run_python("import fasttrace", env={**os.environ, **environ})
    facts = facts_of(done.stderr)
    lines = done.stderr.count(STARTUP)
    note_figure(f"{lines} start-up line, {len(facts)} facts, {len(done.stderr)} characters")
    assert facts["version"] == fasttrace.__version__
    assert (facts["service"], facts["agent_url"]) == ("shop", url)
    assert facts["global_tags"] == {"a": "b"}
    assert facts["lang"] == "python"
    assert facts["debug"] is (variable == "DD_TRACE_DEBUG")


def test_startup_line_goes_through_the_logging_there_is() -> None:
    """Where logging is configured before the import, the line goes there, whatever the level."""
    code = """
    import logging, sys
    logging.basicConfig(stream=sys.stdout, level="WARNING", format="%(levelname)s %(message)s")
    import fasttrace
    """
    done = run_python(code, env={**os.environ, "DD_TRACE_STARTUP_LOGS": "true"})
    assert done.stdout.startswith(f"INFO {STARTUP}")
    assert done.stderr == ""


def test_no_startup_line_by_default() -> None:
    """By default nothing is said and nothing is loaded for it."""
    code = """
    import sys
    import fasttrace
    assert "fasttrace._startup" not in sys.modules and "json" not in sys.modules
    """
    done = run_python(code)
    assert done.stdout + done.stderr == ""


def test_debug_lines() -> None:
    """DD_TRACE_DEBUG tells of every delivery: how much, where to, what came of it."""
    code = """
    from fasttrace import tracer
    tracer.trace("op").set_tag("secret", "s3cret")
    tracer.current_span().finish()
    assert tracer.flush(10.0)
    """
    with FaultServer(answering(response())) as server:
        environ = {"DD_TRACE_AGENT_URL": server.url, "DD_TRACE_DEBUG": "1"}
        done = run_python(code, env={**os.environ, **environ})
    lines = done.stderr.splitlines()
    (line,) = [line for line in lines if "1 traces" in line]
    note_figure(f"{len(lines)} lines for 1 delivery and the start: {line.partition('DEBUG')[2]}")
    assert "DEBUG" in line
    assert f"to {server.url} (from DD_TRACE_AGENT_URL): sent, HTTP status 200" in line
    assert "s3cret" not in done.stderr


# -- wrong addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"DD_TRACE_AGENT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"DD_TRACE_AGENT_URL": "http://127.0.0.1:99999"}, "http://127.0.0.1:99999"),
        ({"DD_TRACE_AGENT_URL": "http://:8126"}, "http://:8126"),
        ({"DD_TRACE_AGENT_URL": "unix:///no/such.socket"}, "unix:///no/such.socket"),
        ({"DD_AGENT_HOST": "127.0.0.1", "DD_TRACE_AGENT_PORT": "1"}, "http://127.0.0.1:1"),
        ({"DD_AGENT_HOST": "a b"}, "http://a b:8126"),
    ],
)
def test_wrong_address(variables: dict[str, str], shown: str) -> None:
    """The application starts and runs; a warning names the URL, its variable and the error."""
    code = """
    from fasttrace import tracer
    for _ in range(5):
        with tracer.trace("op"):
            pass
        tracer.flush(0.2)
    stats = tracer.stats()
    assert stats["finished"] == 5, stats
    print("ran")
    """
    done = run_python(code, env={**os.environ, **variables})
    assert done.stdout == "ran\n"
    warnings = done.stderr.splitlines()
    assert len(warnings) == 1, done.stderr
    assert shown in warnings[0]
    assert next(iter(variables)) in warnings[0]
    assert "Error" in warnings[0] or "URL" in warnings[0]
    assert "Traceback" not in done.stderr
