"""The soak test, `make soak`: an application traces for 15 minutes while its agent keeps dying.

Every 10 s one line: resident memory, rates, where the spans are. At the end the accounting is
compared with what the agent has written down: no span twice, none lost that was not counted. Exit
code 1 if anything is wrong. `build/soak/` gets the figures (soak.jsonl) and a plot (soak.png).

FASTTRACE_SOAK_SECONDS (900) and FASTTRACE_SOAK_SPANS_PER_S (3000) change length and load.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE.parent / "build" / "soak"
SECONDS = float(os.environ.get("FASTTRACE_SOAK_SECONDS", "900"))
SPANS_PER_S = float(os.environ.get("FASTTRACE_SOAK_SPANS_PER_S", "3000"))
UP_S = (5.0, min(40.0, SECONDS / 5))  # how long the agent lives
AWAY_S = (0.1, 8.0)  # how long it is away
MAX_SLOPE_MIB_PER_MIN = 0.5  # of a run of several minutes
WARM_UP = 0.4  # share of the run that does not count for the slope: the heap takes its shape


class MortalAgent:
    """An agent that is killed and started again at random, always on the same port."""

    def __init__(self, ids_path: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.away: list[tuple[float, float]] = []  #: from, to; seconds since the beginning
        self._ids_path = ids_path
        self._begin = time.monotonic()
        self._stopping = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(HERE / "soak_agent.py"), str(self.port), str(self._ids_path)]
        process = subprocess.Popen(command)
        while process.poll() is None:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.02)
        return process

    def _live(self) -> None:
        while not self._stopping.wait(random.uniform(*UP_S)):
            self._process.kill()
            self._process.wait()
            died = time.monotonic() - self._begin
            self._stopping.wait(random.uniform(*AWAY_S))
            self._process = self._start()
            self.away.append((died, time.monotonic() - self._begin))

    def survive(self) -> None:
        """Live on from now on."""
        self._stopping.set()
        self._thread.join()

    def end(self) -> None:
        """End for good."""
        self.survive()
        self._process.kill()
        self._process.wait()


def show(line: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Print one line of the report."""
    stats = line["stats"]
    rate = 0.0
    if before is not None and line["elapsed_s"] > before["elapsed_s"]:
        finished = stats["finished"] - before["stats"]["finished"]
        rate = finished / (line["elapsed_s"] - before["elapsed_s"])
    line["spans_per_s"] = round(rate)
    lost = sum(stats["dropped"].values())
    print(
        f"{line['elapsed_s']:7.1f} s  rss {line['rss_mib']:7.2f} MiB  {rate:7.0f} spans/s  "
        f"finished {stats['finished']}  sent {stats['sent']}  buffered {stats['buffered']}  "
        f"unconfirmed {stats['unconfirmed']}  dropped {lost}  "
        f"children {line['children'].get('children', 0)}",
        flush=True,
    )


def slope_mib_per_min(lines: list[dict[str, Any]]) -> float:
    """Slope of the resident memory after the warm-up, by least squares."""
    points = [(line["elapsed_s"] / 60, line["rss_mib"]) for line in lines]
    points = points[int(len(points) * WARM_UP) :]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def faults(lines: list[dict[str, Any]], received: array[int], slope: float) -> list[str]:
    """Return what is wrong with a run; nothing if all is well."""
    last = lines[-1]
    stats, children = last["stats"], last["children"]
    found = []
    for line in lines:
        stats_then = line["stats"]
        places = ("held", "buffered", "in_flight", "sent", "unconfirmed")
        there = sum(stats_then[place] for place in places) + sum(stats_then["dropped"].values())
        if there != stats_then["finished"]:
            found.append(f"at {line['elapsed_s']} s {stats_then['finished'] - there} unaccounted")
    if children.get("hung"):
        found.append(f"{children['hung']} forked children hung")
    twice = len(received) - len(set(received))
    if twice:
        found.append(f"{twice} spans arrived twice")
    sent = stats["sent"] + children.get("sent", 0)
    unconfirmed = stats["unconfirmed"] + children.get("unconfirmed", 0)
    if not sent <= len(received) <= sent + unconfirmed:
        found.append(f"{len(received)} arrived, but {sent} sent and {unconfirmed} unconfirmed")
    if last["elapsed_s"] > 300 and slope > MAX_SLOPE_MIB_PER_MIN:
        found.append(f"memory grows by {slope:.2f} MiB a minute")
    return found


def plot(lines: list[dict[str, Any]], away: list[tuple[float, float]], path: Path) -> None:
    """Draw memory and rates over time; grey where the agent was away."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [line["elapsed_s"] / 60 for line in lines]
    figure, (memory, rates, buffer) = pyplot.subplots(3, sharex=True, figsize=(10, 8))
    memory.plot(minutes, [line["rss_mib"] for line in lines])
    memory.set_ylabel("resident memory, MiB")
    memory.set_ylim(bottom=0)
    rates.plot(minutes[1:], [line["spans_per_s"] for line in lines[1:]])
    rates.set_ylabel("finished, spans/s")
    rates.set_ylim(bottom=0)
    for name in ("buffered", "unconfirmed"):
        buffer.plot(minutes, [line["stats"][name] for line in lines], label=name)
    buffer.plot(
        minutes, [sum(line["stats"]["dropped"].values()) for line in lines], label="dropped"
    )
    buffer.set_ylabel("spans")
    buffer.set_xlabel("minutes (grey: the agent was away)")
    buffer.legend()
    for axes in (memory, rates, buffer):
        for begin, end in away:
            axes.axvspan(begin / 60, end / 60, color="0.85")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> int:
    """Run the soak test; return the exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    ids_path = OUT / "ids"
    ids_path.unlink(missing_ok=True)
    lines: list[dict[str, Any]] = []
    agent = MortalAgent(ids_path)
    try:
        app = subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore::DeprecationWarning", str(HERE / "soak_app.py")),
                *(agent.url, str(SECONDS), str(SPANS_PER_S)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=OUT,
        )
        assert app.stdout is not None
        for text in app.stdout:
            line = json.loads(text)
            show(line, lines[-1] if lines else None)
            lines.append(line)
            if line["elapsed_s"] > SECONDS - 15.0:
                agent.survive()
        if app.wait() != 0:
            print(f"the application ended with {app.returncode}")
            return 1
    finally:
        agent.end()
    (OUT / "soak.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    received: array[int] = array("Q")
    received.frombytes(ids_path.read_bytes())
    slope = slope_mib_per_min(lines)
    last = lines[-1]
    print(
        f"{len(received)} spans arrived; agent killed {len(agent.away)} times, away for "
        f"{sum(end - begin for begin, end in agent.away):.0f} s; "
        f"{last['children'].get('children', 0)} forks; memory {slope:+.3f} MiB/min; "
        f"dropped {last['stats']['dropped']}"
    )
    try:
        plot(lines, agent.away, OUT / "soak.png")
        print(f"plot: {OUT / 'soak.png'}")
    except ImportError:
        print("no plot: matplotlib is not installed")
    found = faults(lines, received, slope)
    for fault in found:
        print(f"WRONG: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
