"""``fasttrace demo``: the traced service, the real agent, and the balance of what arrived."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgpack
import pytest
from agent_process import TestAgent, free_ports

from fasttrace import demo
from fasttrace._demo_agent import EmbeddedAgent
from fasttrace.tree import TreeSpan

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
REQUESTS = 16
SPANS = 180  # what 16 requests of the example finish, in 16 traces
TIMEOUT_S = 120


def demo_command(*arguments: str) -> list[str]:
    """Return the command line of the demo, as a user would type it."""
    return [sys.executable, "-m", "fasttrace", "demo", "--requests", str(REQUESTS), *arguments]


def run_demo(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end in a process of its own."""
    return subprocess.run(
        demo_command(*arguments),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **env},
    )


@pytest.fixture(scope="module")
def finished_demo() -> subprocess.CompletedProcess[str]:
    """One run with everything at its default."""
    return run_demo()


def test_it_ends_well_and_everything_finished_is_received(finished_demo):
    """Exit code 0, nothing on stderr, and equal numbers of spans and traces on both sides."""
    assert finished_demo.returncode == 0, finished_demo.stdout + finished_demo.stderr
    assert finished_demo.stderr == ""
    line = f"finished {SPANS} spans in 16 traces = received {SPANS} spans in 16 traces"
    assert line in finished_demo.stdout.splitlines()


def mask(text: str) -> str:
    """Write T for durations (with the blanks before them) and ID for trace ids."""
    return re.sub(
        r"trace [0-9a-f]{32}", "trace ID", re.sub(r" +[0-9.]+ (ns|us|ms|s)\b", " T", text)
    )


def test_traces_are_drawn_as_trees(finished_demo):
    """One sale is drawn whole: HTTP thread, tasks of the kitchen, thread of the printer."""
    blocks = mask(finished_demo.stdout).split("\n\n")
    sale = """\
trace ID  10 spans T
web.request              sandwich-web     T  GET /sandwich
├─ sqlite.query          sandwich-db      T  SELECT euro FROM price WHERE sandwich = ?
├─ kitchen.prepare       sandwich-kitchen T  cheese
│  ├─ stock.take         sandwich-kitchen T  cheddar
│  │  └─ sqlite.query    sandwich-db      T  \
UPDATE stock SET pieces = pieces - 1 WHERE item = ? AND pieces > 0
│  ├─ kitchen.toast      sandwich-kitchen T  kitchen.toast
│  ├─ kitchen.slice      sandwich-kitchen T  kitchen.slice
│  └─ sandwich.assemble  sandwich-kitchen T  sandwich.assemble
├─ till.charge           sandwich-till    T  card
└─ till.receipt          sandwich-till    T  till.receipt"""
    assert re.sub(" +T", " T", sale) in [re.sub(" +T", " T", block) for block in blocks]
    assert "... and 12 more traces" in blocks


def test_errors_are_drawn_with_type_and_message(finished_demo):
    """An exception inside `with`, one set by hand, and a bare `error = 1` can all be seen."""
    assert "  tuna  ERROR sandwich.OutOfStock: no tuna left\n" in finished_demo.stdout
    assert "  card  ERROR CardRefused: 8.50 EUR is over the limit\n" in finished_demo.stdout
    assert "  GET /sandwich  ERROR\n" in finished_demo.stdout


def test_the_table_has_a_line_for_each_service_and_resource(finished_demo):
    """Count, errors, p50 and p99 of each service and resource."""
    lines = mask(finished_demo.stdout).splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("service "))
    assert lines[head].split() == ["service", "resource", "spans", "errors", "p50", "p99"]
    table = [line.rsplit(None, 4) for line in lines[head + 1 : lines.index("", head)]]
    cells = {" ".join(name.split()): rest for name, *rest in table}
    assert cells["sandwich-web GET /sandwich"] == ["16", "2", "T", "T"]
    assert cells["sandwich-db SELECT euro FROM price WHERE sandwich = ?"] == ["16", "0", "T", "T"]
    assert cells["sandwich-kitchen tuna"] == ["4", "4", "T", "T"]
    assert cells["sandwich-till card"] == ["12", "2", "T", "T"]
    assert sum(int(spans) for spans, *_ in cells.values()) == SPANS


def test_the_cost_of_a_span_is_measured(finished_demo):
    """The last lines give a plausible number of ns, what was measured, and where to compare."""
    found = re.search(r"one span costs (\d+) ns: median of 200 rounds", finished_demo.stdout)
    assert found is not None
    assert 10 < int(found[1]) < 100_000
    assert "benchmarks/" in finished_demo.stdout


def test_the_environment_of_the_user_leads_neither_traces_nor_agent_astray(finished_demo):
    """An agent URL, a port or another session in the environment changes nothing."""
    (port,) = free_ports(1)
    nowhere = f"http://127.0.0.1:{port}"
    result = run_demo(
        DD_TRACE_AGENT_URL=nowhere,
        DD_AGENT_URL=nowhere,
        PORT=str(port),
        HOST="0.0.0.0",
        ENABLED_CHECKS="trace_stall",
        _DD_TRACE_WRITER_ADDITIONAL_HEADERS="X-Mine:1",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert f"received {SPANS} spans" in result.stdout
    assert nowhere not in result.stdout


def test_it_works_with_the_other_wire_format_too():
    """DD_TRACE_API_VERSION reaches the service: with v0.5 everything arrives as well."""
    result = run_demo(DD_TRACE_API_VERSION="v0.5")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"received {SPANS} spans" in result.stdout


def test_a_terminal_without_unicode_gets_ascii():
    """Where the output cannot hold box-drawing characters, the trees are drawn without."""
    result = run_demo(PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "|  |  `- sqlite.query  " in result.stdout
    assert result.stdout.isascii()


def test_two_demos_at_the_same_time_do_not_meet():
    """Each has its own agent on its own ports, and receives its own spans only."""
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    both = [
        subprocess.Popen(demo_command(), stdout=subprocess.PIPE, encoding="utf-8", env=env)
        for _ in range(2)
    ]
    outputs = [one.communicate(timeout=TIMEOUT_S)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert len({re.search(r"http://\S+", output)[0] for output in outputs}) == 2


def test_the_installed_package_carries_the_same_example():
    """The demo runs the file of examples/, whether from a checkout or from an installation."""
    assert demo.find_example().read_bytes() == (EXAMPLES / "sandwich.py").read_bytes()


# -- an agent that runs already --------------------------------------------------------------------


class LossyAgent(BaseHTTPRequestHandler):
    """Passes every request on to a real test agent, but does `harm` to those that bring traces."""

    server: LossyServer

    def do_GET(self):
        self.pass_on(b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/traces" not in self.path:
            self.pass_on(body)
        elif self.server.harm == "refuse":
            self.answer(413, b"too large")
        elif self.server.harm == "pretend":
            self.answer(200, b'{"rate_by_service": {}}')
        elif self.server.harm == "drop one chunk":
            chunks = msgpack.unpackb(body)
            self.pass_on(msgpack.packb(chunks[:-1]), chunks=len(chunks) - 1)
        elif self.server.harm == "drop one span":
            chunks = msgpack.unpackb(body)
            self.pass_on(msgpack.packb([chunks[0][:-1], *chunks[1:]]), chunks=len(chunks))
        elif self.server.harm == "repeat":
            self.pass_on(body, answer=False)
            self.pass_on(body)
        else:
            self.pass_on(body)

    do_PUT = do_POST

    def pass_on(self, body: bytes, chunks: int | None = None, answer: bool = True) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers["content-length"] = str(len(body))
        if chunks is not None:
            headers["x-datadog-trace-count"] = str(chunks)
        agent = urllib.parse.urlsplit(self.server.agent_url)
        with contextlib.closing(http.client.HTTPConnection(agent.hostname, agent.port)) as behind:
            behind.request(self.command, self.path, body, headers)
            reply = behind.getresponse()
            if answer:
                self.answer(reply.status, reply.read())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class LossyServer(ThreadingHTTPServer):
    """Stands in front of the agent at `agent_url`."""

    def __init__(self, agent_url: str, harm: str) -> None:
        super().__init__(("127.0.0.1", 0), LossyAgent)
        self.agent_url, self.harm = agent_url, harm
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *exc_info):
        self.shutdown()
        super().__exit__(*exc_info)


@pytest.fixture(scope="module")
def own_agent():
    """A test agent that these tests may send odd things to."""
    with TestAgent() as agent:
        yield agent


def test_a_running_agent_can_be_used(own_agent):
    """--agent URL sends there, and starts no agent."""
    result = run_demo("--agent", own_agent.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"; test agent at {own_agent.url}\n" in result.stdout
    assert f"= received {SPANS} spans in 16 traces" in result.stdout


def test_an_agent_shared_with_others_does_not_disturb(own_agent):
    """Traces of other programs at the same agent are neither counted nor drawn."""
    stranger = {"trace_id": 1, "span_id": 2, "name": "stranger", "resource": "r", "service": "s"}
    body = msgpack.packb([[{**stranger, "start": 1, "duration": 1}]])
    stop = threading.Event()

    def send_all_the_time():
        while not stop.wait(0.02):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", own_agent.port)) as to:
                headers = {"Content-Type": "application/msgpack", "X-Datadog-Trace-Count": "1"}
                headers["Datadog-Meta-Tracer-Version"] = "1"
                to.request("POST", "/v0.4/traces", body, headers)
                assert to.getresponse().status == 200

    sender = threading.Thread(target=send_all_the_time)
    sender.start()
    try:
        result = run_demo("--agent", own_agent.url)
    finally:
        stop.set()
        sender.join()
    assert result.returncode == 0, result.stdout
    assert f"= received {SPANS} spans in 16 traces" in result.stdout
    assert "stranger" not in result.stdout


def test_the_way_through_a_faithful_proxy_loses_nothing(own_agent):
    """The proxy of the following tests does no harm of its own."""
    with LossyServer(own_agent.url, "none") as proxy:
        result = run_demo("--agent", proxy.url)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("refuse", f"finished {SPANS} spans in 16 traces != received 0 spans in 0 traces"),
        ("pretend", f"finished {SPANS} spans in 16 traces != received 0 spans in 0 traces"),
        ("drop one chunk", f"finished {SPANS} spans in 16 traces != received 1"),
        ("drop one span", f"finished {SPANS} spans in 16 traces != received {SPANS - 1} spans"),
        ("repeat", f"finished {SPANS} spans in 16 traces != received {2 * SPANS} spans in 16"),
    ],
)
def test_loss_and_doubles_end_with_1(own_agent, harm, says):
    """Whatever the agent did not get, or got twice, is told with numbers and span ids."""
    with LossyServer(own_agent.url, harm) as proxy:
        result = run_demo("--agent", proxy.url)
    assert result.returncode == 1, result.stdout + result.stderr
    assert says in result.stdout
    what = "received, but not finished: " if harm == "repeat" else "not received: "
    found = re.search(rf"^{what}(\d+) spans? in \d+ traces?, .* ids [0-9a-f]", result.stdout, re.M)
    assert found is not None, result.stdout
    assert int(found[1]) == {"refuse": SPANS, "pretend": SPANS, "repeat": SPANS}.get(
        harm, int(found[1])
    )


def test_a_service_that_is_not_traced_is_no_success():
    """With tracing switched off nothing is finished, which is not "everything arrived"."""
    result = run_demo(DD_TRACE_ENABLED="false")
    assert result.returncode == 1
    assert "finished no spans at all" in result.stdout


# -- no agent --------------------------------------------------------------------------------------


def test_a_missing_agent_package_is_named_with_the_command_that_installs_it():
    """Without ddapm-test-agent: exit code 2 and a pip command for this very interpreter."""
    code = (
        "import sys; sys.modules['ddapm_test_agent'] = None\n"
        "from fasttrace.cli import main; sys.exit(main(['demo']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert f"{sys.executable} -m pip install 'ddapm-test-agent" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_agent_that_does_not_start_is_told_with_what_it_printed(tmp_path):
    """An agent package that fails (an old one, say): exit code 2, its own words, and a hint."""
    package = tmp_path / "ddapm_test_agent"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "agent.py").write_text("def main():\n    raise SystemExit('unrecognized: --host')\n")
    path = os.pathsep.join((str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])))
    result = run_demo(PYTHONPATH=path)
    assert result.returncode == 2
    assert "ddapm-test-agent does not start" in result.stderr
    assert "unrecognized: --host" in result.stderr
    assert "-m pip install -U 'ddapm-test-agent>=1.62'" in result.stderr


def test_an_agent_that_does_not_answer_is_named():
    """--agent with nobody there: exit code 2 and the URL."""
    (port,) = free_ports(1)
    result = run_demo("--agent", f"http://127.0.0.1:{port}")
    assert result.returncode == 2
    assert f"No agent answers at http://127.0.0.1:{port}: " in result.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:8126", "unix:///var/run/apm.socket", "http://", "x"])
def test_an_agent_url_of_another_form_is_refused(url):
    """--agent takes http URLs only, and says so."""
    result = run_demo("--agent", url)
    assert result.returncode == 2
    assert f"http://host:port, not {url!r}" in result.stderr


def test_an_agent_that_is_not_the_test_agent_is_told_from_it():
    """A server that does not know the test endpoints cannot tell what it received: exit code 2."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        result = run_demo("--agent", f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert result.returncode == 2
    assert "is not a test agent" in result.stderr


def test_the_embedded_agent_listens_on_loopback_only(tmp_path):
    """Each of its three ports takes connections to 127.0.0.1, and to no other local address."""
    with EmbeddedAgent(tmp_path) as agent:
        ports = re.findall(r"server on port (\d+)", agent.log_tail())
        assert len(ports) == 3
        assert agent.url == f"http://127.0.0.1:{ports[0]}"
        for port in map(int, ports):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.2", port), timeout=5)


# -- interruption ----------------------------------------------------------------------------------


def answers(url: str) -> bool:
    """Tell whether an agent answers there."""
    parts = urllib.parse.urlsplit(url)
    try:
        with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port)) as agent:
            agent.request("GET", "/info")
            return agent.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)],
)
def test_the_agent_ends_with_the_demo_however_it_ends(name, code, tmp_path):
    """Ctrl-C, SIGTERM and SIGKILL leave no agent behind, the first two no files either."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fasttrace", "demo", "--requests", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with process:
        first_line = process.stdout.readline()
        url = re.search(r"http://\S+", first_line)[0]
        assert answers(url)
        process.send_signal(getattr(signal, name))
        stderr = process.communicate(timeout=TIMEOUT_S)[1]
    assert process.returncode == code
    assert "Traceback" not in stderr
    deadline_s = time.monotonic() + 30
    while answers(url):
        assert time.monotonic() < deadline_s, "the agent is still there"
        time.sleep(0.05)
    if name != "SIGKILL":
        assert list(tmp_path.iterdir()) == []


# -- parts -----------------------------------------------------------------------------------------


def test_percentiles_are_values_that_occurred():
    """The p-th percentile is the smallest value that at least p % do not exceed."""
    values = list(range(1, 101))
    assert [demo.percentile(values, percent) for percent in (0, 1, 50, 99, 100)] == [
        1,
        1,
        50,
        99,
        100,
    ]
    assert demo.percentile([7], 50) == demo.percentile([7], 99) == 7
    assert demo.percentile([1, 2], 50) == 1
    assert demo.percentile([1, 2], 51) == 2


def test_the_traces_drawn_are_all_different():
    """At most a handful is chosen, no two alike, the small ones first."""

    def trace(trace_id, size):
        return [
            TreeSpan({"trace_id": trace_id, "span_id": number + 1, "name": f"{size}"})
            for number in range(size)
        ]

    traces = [trace(index + 1, 1 + index % 7) for index in range(70)]
    chosen = demo.choose_traces(traces)
    assert [len(one) for one in chosen] == [1, 2, 3, 4]


def test_a_tracer_that_counts_more_than_the_recorder_saw_is_a_loss(capsys):
    """If the core counts spans that no filter saw, the balance is not even."""
    ids = Counter([(1, 2), (1, 3)])
    assert demo._balance(ids, ids, {"finished": 2}) is True
    assert demo._balance(ids, ids, {"finished": 3}) is False
    assert "counts 3 finished spans" in capsys.readouterr().out


def test_a_service_that_fails_is_told_with_what_it_printed(own_agent, tmp_path):
    """A service that raises ends the demo with its traceback, not with a balance."""
    program = tmp_path / "service.py"
    program.write_text("def main(arguments):\n    raise RuntimeError(str(arguments))\n")
    with pytest.raises(demo.ServiceError) as caught:
        demo._run_service(program, 3, own_agent.url, "token", tmp_path)
    assert str(caught.value).startswith("the service ended with code 1; it printed:\n\nTraceback")
    assert str(caught.value).endswith("RuntimeError: ['--requests', '3']")
