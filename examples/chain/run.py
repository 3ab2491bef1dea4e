"""Three services in a chain, one trace: starts them, orders sandwiches, stops them.

    python run.py

Needs uvicorn, fastapi, gunicorn and flask. Traces go to the agent of DD_TRACE_AGENT_URL.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

ORDERS = ("blt?customer=ann", "tuna?customer=bob", "cheese?unimportant=true")


def free_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(stack, service, port, *command, **environment):
    """Start one service; it ends with `stack`."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=Path(__file__).parent,
        env={**os.environ, "DD_SERVICE": service, **environment},
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{service} did not start")


def main():
    """Run the chain."""
    shop, kitchen, oven = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        start(stack, "oven", oven, "oven.py", str(oven))
        start(
            *(stack, "kitchen", kitchen, "-m", "gunicorn", "--log-level=warning"),
            *(f"--bind=127.0.0.1:{kitchen}", "kitchen:app"),
            OVEN_URL=f"http://127.0.0.1:{oven}",
        )
        start(
            *(stack, "shop", shop, "-m", "uvicorn", "--log-level=warning"),
            *(f"--port={shop}", "shop:app"),
            KITCHEN_URL=f"http://127.0.0.1:{kitchen}",
        )
        for order in ORDERS:
            with urllib.request.urlopen(f"http://127.0.0.1:{shop}/order/{order}") as response:
                print(response.read().decode())


if __name__ == "__main__":
    main()
