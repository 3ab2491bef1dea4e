"""Compare fasttrace with its peers and with the CPython floor; print one table.

Every peer lives in its own fresh process and all of them are measured in turns: one short burst of
spans each, round after round, on one core. Whatever the machine does meanwhile, it does to all.
The figure is the fastest burst; a ratio is fastest by fastest within one run, and then the median
over runs.

    python benchmarks/compare.py                     five runs, about two minutes
    python benchmarks/compare.py --quick             one short run
    python benchmarks/compare.py --check             exit code 1 if a ceiling is missed
    python benchmarks/compare.py --python python3.13 fasttrace and the floor under that interpreter
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import report
from floor.build import generate_c
from interpreter import clean_environment
from sampling_rules import DISCARDING_ENV
from scenarios import PEER_SHARE, SCENARIOS

HERE = Path(__file__).resolve().parent
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


class Peer(NamedTuple):
    """One process of the comparison."""

    name: str
    adapter: str
    environment: dict[str, str]


#: Otherwise ddtrace runs threads of its own and looks for an agent; off is to its advantage.
QUIET_DDTRACE = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}
PEERS = (
    Peer("floor", "floor", {}),
    Peer("fasttrace", "fasttrace", {}),
    Peer("fasttrace-monotonic", "fasttrace", {"FASTTRACE_TSC": "0"}),
    Peer("fasttrace-inplace", "fasttrace", {"FASTTRACE_INPLACE_CONTEXT": "1"}),
    Peer("ddtrace", "ddtrace", QUIET_DDTRACE),
    Peer("otel", "otel", {}),
    Peer("sentry", "sentry", {}),
    Peer("elastic", "elastic", {}),
)
OURS = ("floor", *report.OURS)
DEFAULT_PEERS = "floor,fasttrace,fasttrace-monotonic,ddtrace,otel"
REJECTING = [{"name": "noise.*", "sample_rate": 0}]
VARIANTS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    # ddtrace has no rule that discards; the nearest is one that rejects.
    "discarding": {
        "fasttrace": ("fasttrace", DISCARDING_ENV),
        "ddtrace": ("ddtrace", {"DD_TRACE_SAMPLING_RULES": json.dumps(REJECTING)}),
    },
    "otel_face": {"fasttrace": ("otel_face", {})},
}
"""Processes that some scenarios need: variant -> adapter of the peer -> adapter, variables."""


class Worker:
    """A peer's process and the pipe to it."""

    def __init__(self, peer: Peer, python: str, core: int | None) -> None:
        """Start the process; raises RuntimeError if it does not answer with its description."""
        self.peer = peer
        self._process = subprocess.Popen(
            [python, str(HERE / "peers" / "worker.py"), peer.adapter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**clean_environment(), **peer.environment},
        )
        if core is not None:
            # Set from here, before the first burst: peers may start threads, which inherit it.
            os.sched_setaffinity(self._process.pid, {core})
        self.hello: dict[str, Any] = json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            code = self._process.returncode
            raise RuntimeError(f"{self.peer.name}: its process ended with code {code}")
        return line

    def burst_ns(self, scenario: str, spans: int) -> float:
        """Run one burst; return nanoseconds per span."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"run {scenario} {spans}\n")
        return int(self._answer()) / spans

    def stop(self) -> None:
        """End the process; it has nothing worth waiting for."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def started(pythons: list[tuple[Peer, str]], core: int | None) -> Iterator[list[Worker]]:
    """Have a worker for each peer, under its Python, for as long as the block lasts."""
    workers: list[Worker] = []
    try:
        for peer, python in pythons:
            workers.append(Worker(peer, python, core))
        yield workers
    finally:
        for worker in workers:
            worker.stop()


Team = dict[str, Worker]
"""The processes of one peer, by variant; "" is the plain one."""


def start_team(peer: Peer, python: str, core: int | None) -> Team:
    """Start a peer's processes; raises RuntimeError if one of them does not answer."""
    team = {"": Worker(peer, python, core)}
    try:
        for name, by_adapter in VARIANTS.items():
            if peer.adapter in by_adapter:
                adapter, environment = by_adapter[peer.adapter]
                variant = Peer(peer.name, adapter, {**peer.environment, **environment})
                team[name] = Worker(variant, python, core)
    except BaseException:
        for worker in team.values():
            worker.stop()
        raise
    return team


def measure(teams: list[Team], rounds: int) -> report.Bursts:
    """One run: `rounds` rounds of one burst per scenario and peer."""
    bursts: report.Bursts = {team[""].peer.name: {} for team in teams}
    for number in range(rounds):
        # A new order every round: nobody always follows the same neighbour.
        turn = number % len(teams)
        order = teams[turn:] + teams[:turn]
        for scenario in SCENARIOS:
            for team in order:
                worker = team.get(scenario.variant, team[""])
                if scenario.name in worker.hello["scenarios"]:
                    share = 1 if worker.peer.name in OURS else PEER_SHARE
                    cost = worker.burst_ns(scenario.name, scenario.burst_spans // share)
                    bursts[worker.peer.name].setdefault(scenario.name, []).append(cost)
    return bursts


def machine_line() -> str:
    """Processor, cores, kernel and the kernel's clock source."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        clock = CLOCK_SOURCE.read_text().strip()
    except OSError:
        clock = "unknown"
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores, {system}, clock source {clock}"


def choose_core() -> int | None:
    """The core all peers share, not this process's where there are two; None if unknown."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[:-1]))
    return cores[-1]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ", ".join(peer.name for peer in PEERS)
    add = parser.add_argument
    add("--rounds", type=int, default=60, help="rounds in a run (default %(default)s)")
    add("--runs", type=int, default=5, help="runs with fresh processes (default %(default)s)")
    add("--quick", action="store_true", help="one run of 15 rounds")
    add("--peers", default=DEFAULT_PEERS, help=f"of {known}; default %(default)s")
    add("--python", default=sys.executable, help="interpreter for fasttrace and the floor")
    add("--peers-python", default=sys.executable, help="interpreter for the other peers")
    add("--document", metavar="FILE", help="put the result between the marks in this file")
    add("--mark", metavar="NAME", default="", help="the name of those marks")
    add("--json", metavar="FILE", help="write raw bursts and summaries")
    add("--summary", metavar="FILE", help="write summaries without the bursts")
    add(
        "--check",
        nargs="?",
        const=str(HERE / "ceilings.json"),
        metavar="FILE",
        help="exit code 1 if a ceiling of FILE (default benchmarks/ceilings.json) is missed",
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.runs = 15, 1
    wanted = arguments.peers.split(",")
    unknown = set(wanted) - {peer.name for peer in PEERS}
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    arguments.peers = [peer for peer in PEERS if peer.name in wanted]
    return arguments


def main() -> int:
    """Measure, print, check; returns the exit code."""
    arguments = parse_arguments()
    generate_c()
    core = choose_core()
    runs: list[report.Bursts] = []
    hellos: dict[str, Any] = {}
    started_s = time.monotonic()
    for number in range(arguments.runs):
        teams: list[Team] = []
        try:
            for peer in arguments.peers:
                python = arguments.python if peer.name in OURS else arguments.peers_python
                teams.append(start_team(peer, python, core))
            hellos = {team[""].peer.name: team[""].hello for team in teams}
            for name, hello in hellos.items():
                file = hello.pop("file", None)  # for the reader, not for the results
                if file and not number:
                    print(f"{name}: {file}", file=sys.stderr)
            runs.append(measure(teams, arguments.rounds))
        except RuntimeError as exc:
            print(f"compare: {exc}", file=sys.stderr)
            return 2
        finally:
            for team in teams:
                for worker in team.values():
                    worker.stop()
        elapsed_s = time.monotonic() - started_s
        print(f"run {number + 1} of {arguments.runs} done after {elapsed_s:.0f} s", file=sys.stderr)

    meta = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine_line(),
        "peers": hellos,
        "runs": arguments.runs,
        "rounds": arguments.rounds,
    }
    result = report.text(runs, meta)
    print(result)
    if arguments.document:
        document = Path(arguments.document)
        document.write_text(report.put_into(document.read_text(), result, arguments.mark))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report.as_json(runs, meta), indent=1) + "\n")
    if arguments.summary:
        raw = report.as_json(runs, meta, bursts=False)
        Path(arguments.summary).write_text(json.dumps(raw, indent=1) + "\n")
    if not arguments.check:
        return 0
    print()
    verdicts = report.verdicts(runs, json.loads(Path(arguments.check).read_text()))
    return report.print_verdicts(verdicts, True)


if __name__ == "__main__":
    sys.exit(main())
