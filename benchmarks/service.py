"""A web service under load: requests a second, processor time and latency, by tracer.

FastAPI under uvicorn and Flask under gunicorn, each untraced, with fasttrace, ddtrace and
opentelemetry, all of them started and idle but the one that is asked. The servers share one core;
the load, from a process of its own, and the sink for traces have another. Load is closed: so many
connections, each of which sends its next request when it has the answer. Servers take turns, round
after round. The one-connection rounds give latencies, the eight-connection rounds what a server can
take. Each tracer sends as it does by default.

    python benchmarks/service.py                        about three minutes
    python benchmarks/service.py --plot docs/service.svg

Processor time is that of all processes and threads of the server over a round, by the kernel.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import interpreter

HERE = Path(__file__).resolve().parent
FRAMEWORKS = {"fastapi": "FastAPI, uvicorn", "flask": "Flask, gunicorn"}
TRACERS = ("none", "fasttrace", "ddtrace", "otel")
REQUEST = b"GET /bread/7?cut=1 HTTP/1.1\r\nHost: shop\r\nUser-Agent: benchmark\r\n\r\n"
CONNECTIONS = 8
WARM_UP_REQUESTS = 300
COLORS = {"none": "#999999", "fasttrace": "#0b6e4f", "ddtrace": "#632ca6", "otel": "#f5a800"}


# -- the load, in its own process ------------------------------------------------------------------


def load(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Send `requests` requests over `connections` connections; seconds, and each one's latency."""
    selector = selectors.DefaultSelector()
    began_ns: dict[socket.socket, int] = {}
    waiting: dict[socket.socket, bytes] = {}
    latencies_ns: list[int] = []
    now_ns = time.perf_counter_ns
    left = requests
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        waiting[connection] = b""
    start_ns = now_ns()
    for connection in list(waiting)[:left]:
        began_ns[connection] = now_ns()
        connection.sendall(REQUEST)
        left -= 1
    while len(latencies_ns) < requests:
        for key, _ in selector.select(30):
            connection: Any = key.fileobj
            data = connection.recv(1 << 16)
            if not data:
                raise SystemExit("service: the server closed a connection")
            waiting[connection] += data
            if not _complete(waiting[connection]):
                continue
            latencies_ns.append(now_ns() - began_ns[connection])
            waiting[connection] = b""
            if left > 0:
                left -= 1
                began_ns[connection] = now_ns()
                connection.sendall(REQUEST)
    seconds = (now_ns() - start_ns) / 1e9
    for connection in waiting:
        connection.close()
    return {"seconds": seconds, "latencies_us": [ns / 1e3 for ns in latencies_ns]}


def _complete(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"service: {answer[:200]!r}")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    raise SystemExit("service: an answer without a length")


# -- the servers -----------------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    """One service with one tracer."""

    def __init__(self, python: str, framework: str, tracer: str, sink: str, core: int) -> None:
        """Start it; raises RuntimeError if it does not answer."""
        self.port = free_port()
        environment = {
            **interpreter.clean_environment(),
            "DD_TRACE_AGENT_URL": sink,
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink,
            # Off is to ddtrace's advantage.
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        }
        command = [str(HERE / "peers" / "service_app.py"), framework, tracer, str(self.port)]
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), python, *command], env=environment, start_new_session=True
        )
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{framework} with {tracer} does not answer")

    def cpu_ns(self) -> int:
        """Processor time so far: all threads of the process and of its children."""
        total = 0
        for process in [self.process.pid, *self._children()]:
            for task in Path(f"/proc/{process}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def _children(self) -> list[int]:
        at = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in at.read_text().split()]

    def round(self, connections: int, requests: int) -> dict[str, Any]:
        """Load it; what `load` found, and processor time per request in microseconds."""
        before_ns = self.cpu_ns()
        command = [sys.executable, __file__, "--load", str(self.port)]
        done = subprocess.run(
            [*command, str(connections), str(requests)], check=True, stdout=-1, text=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        time.sleep(0.05)
        found["cpu_us"] = (self.cpu_ns() - before_ns) / requests / 1e3
        return found

    def stop(self) -> None:
        """End it and its children."""
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` of all are not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(servers: dict[str, Server], rounds: int, requests: int) -> dict[str, dict[str, Any]]:
    """All rounds of one framework; by tracer: rates, processor times, latencies."""
    found: dict[str, dict[str, Any]] = {
        name: {"per_second": [], "cpu_us": [], "latencies_us": []} for name in servers
    }
    names = list(servers)
    for server in servers.values():
        server.round(CONNECTIONS, WARM_UP_REQUESTS)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            one = servers[name].round(1, requests)
            many = servers[name].round(CONNECTIONS, requests)
            found[name]["latencies_us"] += one["latencies_us"]
            found[name]["per_second"].append(requests / many["seconds"])
            found[name]["cpu_us"].append((one["cpu_us"] + many["cpu_us"]) / 2)
    return found


# -- what comes out --------------------------------------------------------------------------------


def summarize(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Figures by tracer; those of throughput and processor time are the best round's."""
    summary = {}
    for name, of in found.items():
        ordered = sorted(of["latencies_us"])
        added = [
            mine - bare for mine, bare in zip(of["cpu_us"], found["none"]["cpu_us"], strict=True)
        ]
        summary[name] = {
            "per_second": max(of["per_second"]),
            "cpu_us": min(of["cpu_us"]),
            "added_us": statistics.median(added),
            "p50_us": percentile(ordered, 0.5),
            "p99_us": percentile(ordered, 0.99),
            "p99.9_us": percentile(ordered, 0.999),
        }
    return summary


def plot(summaries: dict[str, dict[str, dict[str, float]]], file: str, note: str) -> None:
    """Bars: the processor time that tracing adds to a request, and how long one takes."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "fasttrace"  # the same figures, the same file
    matplotlib.rcParams["svg.fonttype"] = "none"  # letters, not outlines
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 2.9), layout="constrained")
    panels = (
        ("cpu_us", "processor time per request, us"),
        ("p50_us", "time of a request alone, median, us"),
    )
    for axis, (key, title) in zip(axes, panels, strict=True):
        labels, values, colors = [], [], []
        for framework, by_tracer in summaries.items():
            for name, figures in by_tracer.items():
                labels.append(f"{framework}, {'untraced' if name == 'none' else name}")
                values.append(figures[key])
                colors.append(COLORS[name])
        bars = axis.barh(labels, values, color=colors)
        axis.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15)
    axes[1].set_yticklabels([])
    figure.supxlabel(textwrap.fill(note, 150), fontsize=7)
    figure.savefig(file, metadata={"Date": None})


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--load", nargs=3, type=int, metavar=("PORT", "CONNECTIONS", "REQUESTS"))
    add("--rounds", type=int, default=7, help="rounds (default %(default)s)")
    add("--requests", type=int, default=1000, help="of a round (default %(default)s)")
    add("--python", default=sys.executable, help="interpreter of the servers")
    add("--plot", metavar="FILE", help="draw the figures (needs matplotlib)")
    add("--json", metavar="FILE", help="write the figures")
    add("--document", metavar="FILE", help="put the result between its marks in this file")
    return parser.parse_args()


def main() -> int:
    """Measure and print; returns the exit code."""
    arguments = parse_arguments()
    if arguments.load:
        print(json.dumps(load(*arguments.load)))
        return 0
    import report
    from compare import machine_line
    from sink import Sink

    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})  # the load and the sink, which inherit it
    sink = Sink()
    rows, summaries = [], {}
    try:
        for framework, title in FRAMEWORKS.items():
            servers: dict[str, Server] = {}
            try:
                for name in TRACERS:
                    servers[name] = Server(arguments.python, framework, name, sink.url, cores[-1])
                found = measure(servers, arguments.rounds, arguments.requests)
            finally:
                for server in servers.values():
                    server.stop()
            summaries[framework] = summarize(found)
            for name, of in summaries[framework].items():
                added = "-" if name == "none" else f"{of['added_us']:+,.0f}"
                cells = [title, "untraced" if name == "none" else name, f"{of['per_second']:,.0f}"]
                cells += [f"{of['cpu_us']:,.0f}", added]
                cells += [f"{of[key]:,.0f}" for key in ("p50_us", "p99_us", "p99.9_us")]
                rows.append(cells)
        received = sink.counted()
    finally:
        sink.stop()
    head = ["service", "tracer", "requests/s", "CPU us", "added", "p50 us", "p99 us", "p99.9 us"]
    packages = ("fasttrace", "ddtrace", "opentelemetry-sdk", "fastapi", "uvicorn", "flask")
    versions = []
    for package in (*packages, "gunicorn"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} in place")
    note = f"{machine_line()}; {interpreter.describe()}; {', '.join(versions)}"
    result = report.markdown(head, rows) + (
        f"\n\n{arguments.rounds} rounds of {arguments.requests:,} requests, with one connection "
        f"for the latencies and {CONNECTIONS} for the rate; rate and CPU of the best round, what "
        f"is added is the median of rounds; {received['spans']:,} spans were received; {note}."
    )
    print(result)
    report.save(arguments, "service", result, summaries)
    if arguments.plot:
        plot(summaries, arguments.plot, note)
    return 0


if __name__ == "__main__":
    sys.exit(main())
