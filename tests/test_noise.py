"""What a program without an agent gets to read: at most one warning, and no data of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from conftest import FULL
from fault_server import FaultServer, Peer, refused_url
from helpers import make_offline_tracer, note_figure

from fasttrace.exporter import ExportResult

pytestmark = pytest.mark.usefixtures("fresh_log")

LOAD = """
import atexit, sys, threading, time
def late():
    for _ in range(3):
        load()
def load():
    with tracer.trace("secret-name", service="secret-service", resource="secret-resource") as span:
        span.set_tag("key", "secret-value")
        span.set_metric("number", 123456789)
        try:
            with tracer.trace("secret-child"):
                raise ValueError("secret-error")
        except ValueError:
            pass
atexit.register(late)  # runs after the tracer's own callback
from fasttrace import tracer
end = time.monotonic() + float(sys.argv[1])
def work():
    while time.monotonic() < end:
        for _ in range(20):
            load()
        time.sleep(0.005)
workers = [threading.Thread(target=work) for _ in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
tracer.flush(0.5)
stats = tracer.stats()
print(stats["finished"], sum(stats["dropped"].values()))
with tracer.trace("secret-name"):
    pass
"""


class Taking:
    """An exporter that takes everything."""

    def export(self, payload: Any, trace_count: int, timeout_s: float) -> ExportResult:
        """Take it."""
        return ExportResult("sent")


def be_mute(peer: Peer) -> None:
    """Take everything and never answer."""
    while True:
        peer.read()


def test_a_full_buffer_is_told_where_the_agent_is_well(caplog: pytest.LogCaptureFixture) -> None:
    """Too many traces for the buffer, and an agent that takes them: that warning is not lost."""
    tracer = make_offline_tracer(buffer_max_bytes=20_000)
    for _ in range(500):
        tracer.trace("op").finish()
    assert tracer.stats()["dropped"]["buffer_full"] > 0
    assert caplog.text == ""
    tracer._flusher._exporter, tracer._flusher._tried_to_load = Taking(), True
    assert tracer.flush()
    assert caplog.text.count("buffer_full") == 1


@pytest.mark.parametrize("agent", ["refused", "no such socket", "mute"])
def test_load_without_an_agent(agent: str, tmp_path: Any) -> None:
    """A minute of load without an agent give one warning; the end of the program gives none."""
    with FaultServer(be_mute) as server:
        urls = {
            "refused": refused_url(),
            "no such socket": f"unix://{tmp_path}/none",
            "mute": server.url,
        }
        done = subprocess.run(
            [sys.executable, "-c", LOAD, "60" if FULL else "1.5"],
            env={
                **os.environ,
                "DD_TRACE_AGENT_URL": urls[agent],
                "DD_TRACE_AGENT_TIMEOUT_SECONDS": "0.2",
                "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.02",
                "DD_TRACE_WRITER_BUFFER_SIZE_BYTES": "100000",  # it is full nearly at once
                "FASTTRACE_EXIT_TIMEOUT_SECONDS": "0.5",
            },
            cwd=os.sep,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0
    finished, dropped = map(int, done.stdout.split())
    assert dropped > 0
    note_figure(f"{agent}: {finished} spans, {dropped} dropped, on standard error: {done.stderr!r}")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr
    assert "123456789" not in done.stderr
    assert urls[agent] in done.stderr
