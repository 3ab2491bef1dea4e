"""One peer in one process, driven burst by burst over a pipe.

    python worker.py PEER                    obey commands on standard input
    python worker.py PEER SCENARIO SPANS     run SPANS spans and exit (for callgrind and perf)

Commands, one a line, one line of answer each:
    run SCENARIO N      time one burst of N spans, answer nanoseconds
    quit
The first line the process writes is a JSON object: label, versions, Python, scenarios.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_BENCHMARKS = Path(__file__).resolve().parent.parent
sys.path.insert(1, str(_BENCHMARKS))
# Last, so that an installed fasttrace goes before one built in place.
sys.path.append(str(_BENCHMARKS.parent))

from interpreter import describe  # noqa: E402  (found through the path above)

CHUNK_SPANS = 1000
"""Spans between two clean-ups in one-shot mode, as many as in an ordinary burst."""


def load(peer: str) -> Any:
    """Import the adapter `peer_<peer>` and prove that its scenarios make the spans they claim."""
    adapter = importlib.import_module(f"peer_{peer}")
    count_spans = getattr(adapter, "count_spans", None)
    if count_spans is None:
        return adapter
    known = getattr(adapter, "expected_spans", {})
    for name, burst in adapter.scenarios.items():
        expected = known.get(name, 0 if name.startswith(("disabled", "discarded")) else 40)
        got = count_spans(burst, 40)
        if got != expected:
            raise SystemExit(f"{peer}: {name} made {got} spans instead of {expected}")
    return adapter


def _no_clean_up() -> None:
    """For adapters that keep nothing between bursts."""


def serve(peer: str) -> None:
    """Obey commands until `quit` or end of input."""
    # Whatever a peer prints goes to standard error; the pipe carries answers only.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    adapter = load(peer)
    after_burst = getattr(adapter, "after_burst", _no_clean_up)
    hello = {
        "label": adapter.label,
        "versions": adapter.versions(),
        "python": describe(),
        "scenarios": list(adapter.scenarios),
    }
    if hasattr(adapter, "file"):
        hello["file"] = adapter.file
    print(json.dumps(hello), file=answers)
    now_ns = time.perf_counter_ns
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            break
        burst, spans = adapter.scenarios[words[1]], int(words[2])
        # The other peers have had the core since: fetch our code and data back before timing.
        burst(max(10, spans // 20 // 10 * 10))
        after_burst()
        start_ns = now_ns()
        burst(spans)
        elapsed_ns = now_ns() - start_ns
        after_burst()
        print(elapsed_ns, file=answers)
    # Exit hooks of a peer (a flush, a wait for an agent) are no part of any of this.
    os._exit(0)


def run_once(peer: str, scenario: str, spans: int) -> None:
    """Run one scenario `spans` times over, without timing it."""
    adapter = importlib.import_module(f"peer_{peer}")
    burst = adapter.scenarios[scenario]
    after_burst = getattr(adapter, "after_burst", _no_clean_up)
    for _ in range(spans // CHUNK_SPANS):
        burst(CHUNK_SPANS)
        after_burst()
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        run_once(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        serve(sys.argv[1])
