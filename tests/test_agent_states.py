"""Agents that are not well: the application never waits, nothing is lost uncounted or sent twice.

Every state of `agent_states.STATES` is tried under steady load, after which the agent gets well, at
the exit of a process, and for leaks. Each test shows its figures. All the applications are started
at the same time, a few at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agent_states import STATES, State, spans_in
from helpers import CHILD_TIMEOUT_S, accounting_difference, note_figure

FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
LOAD_S = 20.0 if FULL else 1.2
LEAK_TRACES = 1_000_000 if FULL else 20_000
#: Processes are started by several threads, while pytest changes the environment for each test.
ENVIRON = os.environ.copy()
#: AddressSanitizer keeps what is freed for a while
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
LEAK_MIB = 40.0 if SANITIZED else 2.0
GROWN_MIB = 40.0 if SANITIZED else 4.0  # under load, in its second half
AT_ONCE = 5
SLACK_S = 0.75  # of a machine that is busy otherwise
EXIT_TIMEOUT_S = 2.0  # the default
#: no application thread may wait for this long, and every wait for an agent takes longer
AGENT_TIMEOUT_S = 1.0
LONGEST_FINISH_S = 0.7
#: states where each trace is delivered, whatever happens on the way
LOSSLESS = ("ok", "refused", "unknown name", "hanging name", "full backlog", "garbage body")
#: what a state may cost, besides what the full buffer does not take
REASONS = {
    "404": "refused_404",
    "413": "refused_413",
    "429": "refused_429",
    "500": "refused_500",
    "503": "refused_503",
    "redirect": "refused_307",
}
#: states in which an exit does not wait, because a second attempt would be pointless
HOPELESS = ("refused", "unknown name")


class Run:
    """What came of one application and its agent."""

    def __init__(self, state: State, report: dict[str, Any], stderr: str) -> None:
        self.report = report
        self.stderr = stderr
        self.stats: dict[str, Any] = report["stats"]
        self.acked = spans_in(state.acked)
        self.taken = spans_in(state.taken)

    def figures(self) -> str:
        """The figures of this run, in one line."""
        stats = self.stats
        lost = {**stats["dropped"], "unconfirmed": stats["unconfirmed"]}
        text = f"finished {stats['finished']}, sent {stats['sent']}, lost {lost}"
        text += f", longest finish() {self.report['longest_finish_s'] * 1e3:.2f} ms"
        text += f", exit {self.report['exit_s']:.3f} s"
        if "grown_mib" in self.report:
            text += f", grown by {self.report['grown_mib']:.2f} MiB"
        return text


def run_application(name: str, mode: str) -> Run:
    """Run an application against an agent in the state `name`."""
    config: dict[str, Any] = {"exit_timeout_s": EXIT_TIMEOUT_S}
    if mode != "exit":
        config |= {
            "flush_interval_s": 0.05,
            "agent_timeout_s": AGENT_TIMEOUT_S,
            "buffer_max_bytes": 200_000,
            "payload_max_bytes": 100_000,
        }
    with tempfile.TemporaryDirectory(prefix="ft-state-") as directory:
        state = STATES[name](Path(directory))
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("agent_states_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env=ENVIRON,
        )
        watchdog = threading.Timer(CHILD_TIMEOUT_S * (10 if FULL else 1), child.kill)
        watchdog.start()
        try:
            config["agent_url"] = state.url
            order = {"mode": mode, "resolver": state.resolver, "config": config}
            order |= {"load_s": LOAD_S, "traces": LEAK_TRACES}
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
            if mode == "load":
                healthy = threading.Event()

                def disturb() -> None:
                    while not healthy.wait(0.1):
                        state.disturb()

                disturber = threading.Thread(target=disturb)
                disturber.start()
                try:
                    line = child.stdout.readline()
                finally:
                    healthy.set()
                    disturber.join()
                state.heal()
                child.stdin.write("well\n")
            else:
                line = "{}"
            rest, stderr = child.communicate()
            assert child.returncode == 0, line + rest + stderr
            return Run(state, json.loads(rest), stderr)
        finally:
            watchdog.cancel()
            child.kill()
            child.wait()
            state.stop()


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Future[Run]]]:
    """The runs of the tests that were selected, by mode and state."""
    wanted = [
        (item.originalname.removeprefix("test_"), item.callspec.params["state"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and "runs" in item.fixturenames
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {(mode, name): pool.submit(run_application, name, mode) for mode, name in wanted}


Runs = dict[tuple[str, str], "Future[Run]"]


def check_accounts(run: Run) -> None:
    """Nothing is lost uncounted, and no span arrived twice."""
    stats = run.stats
    assert accounting_difference(stats) == 0
    assert (stats["held"], stats["buffered"], stats["in_flight"], stats["open"]) == (0, 0, 0, 0)
    twice = [name for name, times in Counter(run.acked + run.taken).items() if times > 1]
    assert not twice, f"arrived twice: {twice[:5]}"
    # What the agent has acknowledged is what counts as sent, unless the answer was lost on the way.
    assert stats["sent"] <= len(run.acked)
    assert len(run.acked) + len(run.taken) <= stats["sent"] + stats["unconfirmed"]


@pytest.mark.parametrize("state", STATES)
def test_load(state: str, runs: Runs) -> None:
    """Under load: no thread waits, memory stays bounded, accounts are exact, delivery resumes."""
    run = runs["load", state].result()
    note_figure(f"{state}: {run.figures()}")
    check_accounts(run)
    assert run.report["longest_finish_s"] < LONGEST_FINISH_S
    assert run.report["grown_mib"] < GROWN_MIB
    assert run.report["flusher_alive"]
    allowed = {"buffer_full", REASONS.get(state, "buffer_full")}
    assert set(run.stats["dropped"]) <= allowed
    if state in LOSSLESS:
        assert run.stats["unconfirmed"] == 0
    else:
        assert run.stats["unconfirmed"] + sum(run.stats["dropped"].values()) > 0 or state in (
            "closes idle keep-alive",
            "restarts",
            "unix socket replaced",
        )
    arrived = [name for name in run.acked if name.startswith("well-")]
    assert len(arrived) == 20, "delivery did not resume"
    warnings = [line for line in run.stderr.splitlines() if line]
    assert len(warnings) <= 3, run.stderr  # one of a cause


@pytest.mark.parametrize("state", STATES)
def test_exit(state: str, runs: Runs) -> None:
    """At exit: within the deadline, refused at once, and what is lost is counted."""
    run = runs["exit", state].result()
    if state in HOPELESS and run.report["exit_s"] > 0.1:
        run = run_application(state, "exit")  # when the others are done
    note_figure(f"{state}: {run.figures()}")
    check_accounts(run)
    limit_s = 0.1 if state in HOPELESS else EXIT_TIMEOUT_S * 1.1
    assert run.report["exit_s"] < limit_s + SLACK_S
    assert run.stderr == ""
    if state in ("ok", "garbage body", "closes idle keep-alive", "restarts"):
        assert run.stats["sent"] == run.stats["finished"] == 100


@pytest.mark.parametrize("state", STATES)
def test_leak(state: str, runs: Runs) -> None:
    """Very many traces cost no memory, whatever becomes of them."""
    run = runs["leak", state].result()
    note_figure(f"{state}: {LEAK_TRACES:,} traces, {run.figures()}")
    assert accounting_difference(run.stats) == 0
    assert run.stats["finished"] == 2 * LEAK_TRACES
    assert run.report["grown_mib"] < LEAK_MIB
