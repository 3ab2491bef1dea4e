"""What tracing adds to the CPU time of one web request: Flask and FastAPI, fully instrumented.

Each combination of framework and tracer is a server in its own process. They get bursts of requests
in turns, one after the other, round after round; the figure is CPU time of the server's process,
all threads, user and system, over a burst and the time in which its traces are sent, divided by the
requests. What tracing adds is the difference to the untraced server's figure of the same round, as
a machine may be slower in one round than in another. The table has the median of the rounds, and of
what is added the quartiles besides.

    python benchmarks/web_requests.py             twelve rounds of 500 requests, about five minutes
    python benchmarks/web_requests.py --quick     two rounds of 300, to see that it works

Traces go to a sink on the loopback, which reads and answers them, in a process of its own.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import importlib.metadata
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import interpreter
from compare import machine_line

HERE = Path(__file__).resolve().parent
FRAMEWORKS = ("flask", "fastapi")
TRACERS = ("untraced", "packages", "fasttrace", "otel", "ddtrace")
WARM_UP_REQUESTS = 200
SETTLE_S = 1.5  # in which the traces of a burst leave: all flush once a second
VERSIONS = (
    *("fasttrace", "ddtrace", "opentelemetry-sdk", "opentelemetry-instrumentation-flask"),
    *("opentelemetry-exporter-otlp-proto-http", "flask", "werkzeug", "fastapi", "uvicorn"),
)


class Sink(BaseHTTPRequestHandler):
    """Answers traces as an agent and as a collector do; notes how much came to which path."""

    protocol_version = "HTTP/1.1"
    received: dict[str, int] = {}

    def do_POST(self) -> None:
        """Read a payload."""
        size = self._read()
        self.received[self.path] = self.received.get(self.path, 0) + size
        if self.path.startswith("/v1"):
            self._answer(200, b"", "application/x-protobuf")
        else:
            self._answer(200, b'{"rate_by_service":{}}', "application/json")

    do_PUT = do_POST  # noqa: N815 - the name is http.server's

    def do_GET(self) -> None:
        """Answer what a tracer asks its agent, and how much has come."""
        if self.path == "/received":
            self._answer(200, repr(self.received).encode(), "text/plain")
        else:
            self._answer(200, b'{"endpoints":["/v0.4/traces","/v0.5/traces"]}', "application/json")

    def _read(self) -> int:
        if self.headers.get("transfer-encoding", "") != "chunked":
            return len(self.rfile.read(int(self.headers.get("content-length", 0))))
        total = 0
        while True:
            size = int(self.rfile.readline(), 16)
            total += len(self.rfile.read(size))
            self.rfile.readline()
            if size == 0:
                return total

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


def run_sink() -> None:
    """Serve as the sink until the parent closes its end of standard input."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


class Server:
    """One server under load."""

    def __init__(self, framework: str, tracer: str, sink_port: int) -> None:
        sink = f"http://127.0.0.1:{sink_port}"
        env = {
            **os.environ,
            "DD_TRACE_AGENT_URL": sink,
            "DD_SERVICE": "shop",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink,
            "OTEL_BSP_SCHEDULE_DELAY": "1000",
            # Off is to ddtrace's advantage.
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "peers" / "web_app.py"), framework, tracer],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port, pid = map(int, self.process.stdout.readline().split())
        self._clock = (~pid) << 3 | 2  # CPU time of that process, as clock_getcpuclockid() has it

    def burst(self, requests: int) -> float:
        """Send requests, wait for their traces to leave; return CPU time per request in us."""
        before_ns = time.clock_gettime_ns(self._clock)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for _ in range(requests):
            connection.request("GET", "/order/rye?size=2", headers={"user-agent": "benchmark"})
            reply = connection.getresponse()
            body = reply.read()
            assert reply.status == 200, (reply.status, body)
        connection.close()
        time.sleep(SETTLE_S)
        return (time.clock_gettime_ns(self._clock) - before_ns) / requests / 1000

    def stop(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def measure(servers: dict[tuple[str, str], Server], rounds: int, requests: int) -> dict:
    """Return for each server the CPU time per request of every round."""
    costs: dict[tuple[str, str], list[float]] = {key: [] for key in servers}
    keys = list(servers)
    for server in servers.values():
        server.burst(WARM_UP_REQUESTS)
    for number in range(rounds):
        turn = number % len(keys)
        for key in keys[turn:] + keys[:turn]:
            costs[key].append(servers[key].burst(requests))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return costs


def table(costs: dict[tuple[str, str], list[float]]) -> str:
    """Return the table for docs/performance.md."""
    lines = [
        "| request | tracer | CPU us | added by tracing us | quartiles us | x fasttrace |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for framework in FRAMEWORKS:
        plain = costs[framework, "untraced"]
        added = {
            tracer: statistics.quantiles(
                [cost - base for cost, base in zip(costs[framework, tracer], plain, strict=True)],
                method="inclusive",
            )
            for tracer in TRACERS
        }
        for tracer in TRACERS:
            line = f"| {framework} | {tracer} | {statistics.median(costs[framework, tracer]):.0f} |"
            if tracer == "untraced":
                lines.append(f"{line} - | - | - |")
            else:
                low, middle, high = added[tracer]
                ratio = middle / added["fasttrace"][1]
                lines.append(f"{line} {middle:.0f} | {low:.0f} to {high:.0f} | {ratio:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two rounds of 300 requests")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sink:
        run_sink()
        return
    rounds, requests = (2, 300) if arguments.quick else (arguments.rounds, arguments.requests)
    sink = subprocess.Popen(
        [sys.executable, __file__, "--sink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    servers: dict[tuple[str, str], Server] = {}
    try:
        assert sink.stdout is not None
        port = int(sink.stdout.readline())
        for framework in FRAMEWORKS:
            for tracer in TRACERS:
                servers[framework, tracer] = Server(framework, tracer, port)
        costs = measure(servers, rounds, requests)
        asked = http.client.HTTPConnection("127.0.0.1", port)
        asked.request("GET", "/received")
        received = asked.getresponse().read().decode()
    finally:
        for server in servers.values():
            server.stop()
        sink.kill()
        sink.communicate()
    print(table(costs))
    print(
        f"\nCPU time per request, median of {rounds} rounds of {requests} requests,",
        end=" ",
    )
    print(f"{datetime.date.today()}.\n\n* {machine_line()}\n* {interpreter.describe()}")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    print("* " + ", ".join(versions))
    print("* bytes received: " + re.sub(r"[{}']", "", received))


if __name__ == "__main__":
    main()
