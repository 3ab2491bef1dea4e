"""Payloads of the tests' choice and exporters to deliver them with."""

from __future__ import annotations

import time
from typing import Any

import msgpack

from fasttrace.agent import AgentExporter
from fasttrace.config import Config
from fasttrace.exporter import ExportResult

SPAN = {
    "trace_id": 7,
    "span_id": 9,
    "name": "op",
    "resource": "res",
    "service": "svc",
    "start": 1_700_000_000_000_000_000,
    "duration": 1000,
}
TRACES = msgpack.packb([[SPAN], [SPAN]])
#: the same span in v0.5
STRINGS = ["", "svc", "op", "res"]
TRACES_V05 = msgpack.packb([STRINGS, [[[1, 2, 3, 7, 9, 0, SPAN["start"], 1000, 0, {}, {}, 0]]]])


class FakePayload:
    """What the exporter needs of a payload, with a body of the test's choice."""

    def __init__(
        self, body: bytes = TRACES, trace_count: int = 2, api_version: str = "v0.4"
    ) -> None:
        self.body = body
        self.trace_count = trace_count
        self.api_version = api_version

    def buffers(self) -> list[Any]:
        """Two pieces, the second without a copy, as the core gives them."""
        return [self.body[:5], memoryview(self.body)[5:]]


def make_exporter(url: str, **config: Any) -> AgentExporter:
    """Return an exporter to `url`, configured by `config` alone."""
    return AgentExporter(Config.from_env({}, agent_url=url, **config))


def export(
    exporter: AgentExporter, payload: FakePayload | None = None, timeout_s: float = 5.0
) -> ExportResult:
    """Export one payload, a small one unless given."""
    payload = payload or FakePayload()
    return exporter.export(payload, payload.trace_count, timeout_s)


def timed(exporter: AgentExporter, timeout_s: float, payload: FakePayload | None = None) -> Any:
    """Export, and make sure that it did not take noticeably longer than it may."""
    begin = time.monotonic()
    result = export(exporter, payload, timeout_s)
    assert time.monotonic() - begin < timeout_s + 0.5
    return result
