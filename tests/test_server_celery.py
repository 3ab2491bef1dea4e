"""Celery: every task yields one trace, in every kind of pool, however soon its process is ended.

The brokers are Redis, with which Celery's worker runs an event loop, and a directory, with which it
runs threads.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from agent_process import TestAgent
from conftest import FULL
from helpers import note_figure
from instrumentation.peers import redis
from server_processes import PATIENCE_S, each

TASKS = """
import os
from celery import Celery
from fasttrace import tracer
folder = os.path.dirname(os.path.abspath(__file__))
app = Celery("tasks", broker=os.environ["BROKER"])
if app.conf.broker_url.startswith("filesystem"):
    app.conf.broker_transport_options = {
        "data_folder_in": folder + "/queue",
        "data_folder_out": folder + "/queue",
        "control_folder": folder + "/control",
        "polling_interval": 0.02,
    }
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
)
@app.task
def work(number):
    with tracer.trace("task", resource=str(number)):
        with tracer.trace("inner", resource=str(number)):
            pass
    with open(f"{folder}/done/{number}", "w") as file:
        file.write(str(os.getpid()))
"""
PREFORK = ["--pool", "prefork", "--concurrency", "2"]
#: name -> broker, arguments of the worker. A process for each task has Redis alone: with other
#: brokers a thread of the worker forks it, and when that thread ends, at the worker's shutdown, the
#: kernel kills it, as Celery has told it to (PR_SET_PDEATHSIG), with what it holds.
POOLS = {
    "prefork": ("filesystem", PREFORK),
    "prefork, Redis": ("redis", PREFORK),
    "prefork, a process for each task, Redis": ("redis", [*PREFORK, "--max-tasks-per-child", "1"]),
    "threads": ("filesystem", ["--pool", "threads", "--concurrency", "4"]),
    "threads, Redis": ("redis", ["--pool", "threads", "--concurrency", "4"]),
    "gevent": ("filesystem", ["--pool", "gevent", "--concurrency", "4"]),
    "gevent, Redis": ("redis", ["--pool", "gevent", "--concurrency", "4"]),
    "solo": ("filesystem", ["--pool", "solo"]),
}


def serve(redis_port: int, name: str, session: Any, directory: Path) -> None:
    """Have a worker do tasks, and end it by SIGTERM when they are done."""
    count = 200 if FULL else 12
    broker, arguments = POOLS[name]
    for folder in ("queue", "control", "done"):
        (directory / folder).mkdir()
    (directory / "tasks.py").write_text(TASKS)
    path = os.pathsep.join([str(directory), *filter(None, sys.path)])
    # nothing leaves before the end of a process
    env = session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="3600", PYTHONPATH=path)
    database = list(POOLS).index(name)
    of_redis = broker == "redis"
    env["BROKER"] = f"redis://127.0.0.1:{redis_port}/{database}" if of_redis else "filesystem://"
    subprocess.run(
        [
            *(sys.executable, "-c"),
            f"import tasks\nfor number in range({count}): tasks.work.delay(number)",
        ],
        env=env,
        cwd=directory,
        check=True,
        timeout=PATIENCE_S,
    )
    log_path = directory / "log"
    with open(log_path, "wb") as log:
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "warning"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                *arguments,
            ],
            env={**env, "PYTHONWARNINGS": "ignore"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S * (10 if FULL else 1)
        while len(list((directory / "done").iterdir())) < count:
            assert time.monotonic() < deadline, log_path.read_text()
            assert worker.poll() is None, log_path.read_text()
            time.sleep(0.05)
        processes = {file.read_text() for file in (directory / "done").iterdir()}
        if "each" in name:
            # Of a task that ends while it shuts down Celery does not hear, and the task's process
            # waits for that for 30 s.
            while any(map(_is_running, processes)):
                assert time.monotonic() < deadline, log_path.read_text()
                time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        worker.wait(PATIENCE_S)
    finally:
        try:
            os.killpg(worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        worker.wait()
    if "each" in name:
        assert len(processes) == count
    spans = session.spans()
    tasks = Counter(span["resource"] for span in spans if span["name"] == "task")
    assert tasks == Counter(dict.fromkeys(map(str, range(count)), 1)), log_path.read_text()
    assert tasks == Counter(span["resource"] for span in spans if span["name"] == "inner")
    assert len({span["span_id"] for span in spans}) == len(spans) == 2 * count
    assert len({span["trace_id"] for span in spans}) == count
    assert "fasttrace" not in log_path.read_text()
    note_figure(f"Celery, {name}: {count} tasks in {len(processes)} processes, {len(tasks)} traces")


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    return True


def test_celery(agent: TestAgent, tmp_path: Path) -> None:
    """Every kind of pool loses and repeats nothing."""
    names = list(POOLS)
    with redis() as port:
        assert each(names, functools.partial(serve, port), agent, tmp_path) == names
