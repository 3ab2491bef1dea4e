"""Let pyperf time a burst function of an adapter, without the adapter's clean-up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(_HERE / "peers"))
# Last, so that an installed fasttrace goes before one built in place.
sys.path.append(str(_HERE.parent))

BURST_SPANS = 1000


def timer(
    burst: Callable[[int], None], after_burst: Callable[[], None], spans: int = BURST_SPANS
) -> Callable[[int], float]:
    """Return what pyperf's bench_time_func wants: loops -> seconds, one loop being a burst."""

    def run(loops: int) -> float:
        now = time.perf_counter
        elapsed_s = 0.0
        for _ in range(loops):
            start = now()
            burst(spans)
            elapsed_s += now() - start
            after_burst()
        return elapsed_s

    return run
