"""The agent goes away and comes back while a process ends: in time, each span accounted for, once.

It goes at a certain point of the first request that the exit makes, and listens again a moment
later, at the same port or with another Unix socket of the same name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agent_states import spans_in
from fault_server import FaultServer, Peer, response
from helpers import CHILD_TIMEOUT_S, accounting_difference, note_figure

EXIT_TIMEOUT_S = 2.0  # the default; the tests of what is delivered have more, for slow machines
LONG_TIMEOUT_S = 20.0
SLACK_S = 0.75  # of a machine that is busy otherwise
SPANS = 4000  # about 4 MB: more than fits between the two processes, so that sending can be cut off
#: Processes are started by several threads, while pytest changes the environment for each test.
ENVIRON = os.environ.copy()
#: when the agent goes away
MOMENTS = ("before it accepts", "after the head", "after the body", "after a 503")
#: for how long, s: less than until the next attempt, some attempts, more than the exit may take
AWAY_S = (0.0, 0.5, 3.0)
CASES = [
    (kind, moment, away_s) for kind in ("port", "socket") for moment in MOMENTS for away_s in AWAY_S
]


class LeavingAgent:
    """An agent that leaves at `moment`, is away for `away_s` and well afterwards."""

    def __init__(self, directory: Path, kind: str, moment: str, away_s: float) -> None:
        self.acked: list[bytes] = []
        self.taken: list[bytes] = []  # and not acknowledged
        self.returned = threading.Event()
        self._path = str(directory / "apm.socket") if kind == "socket" else None
        self._moment, self._away_s = moment, away_s
        self._leaving = threading.Lock()
        self.server = FaultServer(self._leave, self._path)
        self.url, self._port = self.server.url, getattr(self.server, "port", 0)

    def _leave(self, peer: Peer) -> None:
        if not self._leaving.acquire(blocking=False):
            return  # a second connection while it goes
        if self._moment == "before it accepts":
            time.sleep(0.1)  # what was sent lies in the kernel
        else:
            request = peer.read_head()
            if self._moment != "after the head":
                self.taken.append(peer.read_body(request)["body"])
            if self._moment == "after a 503":
                self.taken.clear()
                peer.send(response(503))
        threading.Thread(target=self._be_away).start()
        peer.wait_for_hangup()

    def _be_away(self) -> None:
        self.server.stop()
        if self._path is not None:
            os.unlink(self._path)
        time.sleep(self._away_s)
        self.server = FaultServer(self._accept, self._path, port=self._port)
        self.returned.set()

    def _accept(self, peer: Peer) -> None:
        while True:
            body = peer.read()["body"]
            peer.send(response())
            self.acked.append(body)

    def stop(self) -> None:
        """End for good."""
        assert self.returned.wait(CHILD_TIMEOUT_S)
        self.server.stop()


def timeout_s(away_s: float) -> float:
    """How long an exit may take."""
    return EXIT_TIMEOUT_S if away_s > EXIT_TIMEOUT_S else LONG_TIMEOUT_S


def run_exit(directory: Path, kind: str, moment: str, away_s: float) -> tuple[Any, LeavingAgent]:
    """Run an application that ends with `SPANS` spans to send; return its report and the agent."""
    directory.mkdir()
    agent = LeavingAgent(directory, kind, moment, away_s)
    order = {"mode": "exit", "resolver": "", "exit_traces": SPANS // 2}
    limit_s = timeout_s(away_s)
    config = {"agent_url": agent.url, "exit_timeout_s": limit_s, "agent_timeout_s": limit_s}
    order["config"] = config
    child = Path(__file__).with_name("agent_states_child.py")
    try:
        done = subprocess.run(
            [sys.executable, str(child)],
            input=json.dumps(order) + "\n",
            capture_output=True,
            text=True,
            timeout=CHILD_TIMEOUT_S,
            cwd=directory,
            env=ENVIRON,
        )
    finally:
        agent.stop()
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout), agent


@pytest.fixture(scope="module")
def exits(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Future[Any]]:
    """All the exits, by case, several at a time: they wait a lot."""
    directory = tmp_path_factory.mktemp("exits")
    with ThreadPoolExecutor(6) as pool:
        return {
            case: pool.submit(run_exit, directory / str(number), *case)
            for number, case in enumerate(CASES)
        }


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_agent_leaves_and_returns_during_the_exit(case: Any, exits: dict[Any, Future[Any]]) -> None:
    """Every span is sent, unconfirmed or dropped for a reason, and the exit ends in time."""
    kind, moment, away_s = case
    report, agent = exits[case].result()
    stats = report["stats"]
    acked, taken = spans_in(agent.acked), spans_in(agent.taken)
    note_figure(
        f"agent at a {kind} leaves {moment} for {away_s} s: finished {stats['finished']}, "
        f"sent {stats['sent']}, unconfirmed {stats['unconfirmed']}, dropped {stats['dropped']}, "
        f"received {len(acked) + len(taken)}, exit {report['exit_s']:.3f} s"
    )
    assert stats["finished"] == SPANS
    assert accounting_difference(stats) == 0
    assert stats["held"] == stats["buffered"] == stats["in_flight"] == stats["open"] == 0
    assert max(Counter(acked + taken).values(), default=1) == 1, "arrived twice"
    assert stats["sent"] == len(acked)
    assert len(acked) + len(taken) <= stats["sent"] + stats["unconfirmed"]
    assert set(stats["dropped"]) <= {"unreachable", "not_sent", "refused_503", "deadline"}
    assert report["exit_s"] < timeout_s(away_s) * 1.1 + SLACK_S
    if away_s > EXIT_TIMEOUT_S:
        assert stats["sent"] == 0
    elif moment == "after the body":
        assert stats["unconfirmed"] == SPANS  # sent again it might be there twice
    else:
        assert stats["sent"] == SPANS  # a later attempt finds it
