"""General encoders on dicts equal to what our payload decodes to, ready made.

Making those dicts from spans, which a tracer built on such an encoder would have to do, is not in
their figure.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import msgpack
import msgspec
import ormsgpack
from bursts import Burst
from encoded import SPANS, finished_trace
from peer_fasttrace import tracer

from fasttrace._span import encode_trace

label = "general encoders"


def _burst(maps: Any, encode: Callable[[Any], bytes]) -> Burst:
    assert msgpack.unpackb(encode(maps)) == maps

    def burst(n: int) -> None:
        for _ in range(n // SPANS):
            encode(maps)

    return burst


scenarios: dict[str, Burst] = {}
for _tagged in (False, True):
    _maps = msgpack.unpackb(encode_trace(finished_trace(tracer, _tagged), "v0.4"))
    _kind = "tagged" if _tagged else "untagged"
    scenarios[f"{_kind}-msgpack"] = _burst(_maps, msgpack.Packer().pack)
    scenarios[f"{_kind}-ormsgpack"] = _burst(_maps, ormsgpack.packb)
    scenarios[f"{_kind}-msgspec"] = _burst(_maps, msgspec.msgpack.Encoder().encode)


def versions() -> dict[str, str]:
    """Versions of the installed packages."""
    return {name: importlib.metadata.version(name) for name in ("msgpack", "ormsgpack", "msgspec")}
