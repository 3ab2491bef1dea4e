"""Health metrics: what became of the traces, as DogStatsD distributions.

Off unless DD_TRACE_HEALTH_METRICS_ENABLED. The names are those of ddtrace, under `datadog.tracer.`:

* `writer.accepted.traces`: finished chunks that were to be sent
* `buffer.accepted.traces`, `.spans`: those that got into the buffer
* `buffer.dropped.traces`, `.bytes`, tag `reason` (`full`, `t_too_big`), `encoder.dropped.traces`:
  those that did not
* `http.requests`, `http.errors` (tag `type`: the status or `err`): attempts to deliver
* `http.sent.traces`, `.bytes`, `http.dropped.traces`, `.bytes`: what came of it; and, of our own,
  `http.unconfirmed.traces`: sent in full, but whether they arrived is not known

Each carries the tags env, service and version. Counting is done where the payloads are delivered,
sending by the flusher's thread alone, without ever waiting: a datagram that cannot leave is lost.
"""

from __future__ import annotations

import _socket

from fasttrace import _log
from fasttrace._http import split_authority
from fasttrace._resolve import Resolver
from fasttrace._span import monotonic_ns
from fasttrace._stream import QuietSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from fasttrace._span import Payload, TracerCore
    from fasttrace.config import Config

_PREFIX = "datadog.tracer."
_UDP_BYTES, _UNIX_BYTES = 1432, 8192  # largest datagram DogStatsD clients send
_RESOLVE_NS = 50_000_000
_BUFFER_REASONS = {"buffer_full": "full", "chunk_too_large": "t_too_big"}


class HealthMetrics:
    """Counts for one tracer, and sends what has been counted. Used by one thread at a time."""

    def __init__(self, core: TracerCore, config: Config) -> None:
        self._core = core
        self._tags = _tags_of(config)
        self._sender = _Sender(config)
        self._counts: dict[tuple[str, str], int] = {}  # (name, own tag) -> since the last report
        self._put_back: set[int] = set()  # ids of payloads that have been counted as accepted
        self._refused: dict[str, tuple[int, int]] = {}  # as of the last report

    def taken(self, payloads: Iterable[Payload]) -> None:
        """Count what came out of the buffer, but for what had been put back there."""
        for payload in payloads:
            if id(payload) not in self._put_back:
                self._add("buffer.accepted.traces", payload.trace_count)
                self._add("buffer.accepted.spans", payload.span_count)
                self._add("writer.accepted.traces", payload.trace_count)
        self._put_back.clear()

    def put_back(self, payload: Payload) -> None:
        """Remember that `payload` waits in the buffer again."""
        self._put_back.add(id(payload))

    def attempted(self, status: str, http_status: int | None) -> None:
        """Count one attempt to deliver that ended with `status` (of an `ExportResult`)."""
        self._add("http.requests", 1)
        if status != "sent":
            self._add("http.errors", 1, f"type:{http_status or 'err'}")

    def settled(self, status: str, traces: int, nbytes: int) -> None:
        """Count what became of `traces` of `nbytes`: "sent", "unconfirmed" or a drop reason."""
        if status == "unconfirmed":
            self._add("http.unconfirmed.traces", traces)
            return
        kind = "sent" if status == "sent" else "dropped"
        self._add(f"http.{kind}.traces", traces)
        self._add(f"http.{kind}.bytes", nbytes)

    def report(self) -> None:
        """Send what has been counted since the last time. Never waits, never raises."""
        self._count_refused()
        counts, self._counts = self._counts, {}
        lines = [
            f"{_PREFIX}{name}:{count}|d|#{','.join(filter(None, (tag, self._tags)))}".removesuffix(
                "|#"
            )
            for (name, tag), count in counts.items()
        ]
        self._sender.send(lines)

    def _add(self, name: str, count: int, tag: str = "") -> None:
        if count:
            key = (name, tag)
            self._counts[key] = self._counts.get(key, 0) + count

    def _count_refused(self) -> None:
        refused = dict(self._core._refused)
        for reason, (chunks, nbytes) in refused.items():
            known_chunks, known_bytes = self._refused.get(reason, (0, 0))
            self._add("writer.accepted.traces", chunks - known_chunks)
            kind = _BUFFER_REASONS.get(reason)
            if kind is None:
                self._add("encoder.dropped.traces", chunks - known_chunks)
            else:
                self._add("buffer.dropped.traces", chunks - known_chunks, f"reason:{kind}")
                self._add("buffer.dropped.bytes", nbytes - known_bytes, f"reason:{kind}")
        self._refused = refused


class _Sender:
    """Sends lines as datagrams, as many in one as fit."""

    def __init__(self, config: Config) -> None:
        self._url = config.dogstatsd_url
        self._socket: QuietSocket | None = None
        self._resolver = Resolver()
        scheme, _, rest = self._url.partition("://")
        self._path = rest if scheme in ("unix", "unixgram") else ""
        self._max_bytes = _UNIX_BYTES if self._path else _UDP_BYTES
        self._host, self._port = "", 0
        if not self._path:
            try:
                if scheme != "udp":
                    raise ValueError("expected udp://host:port or unix:///path")
                self._host, self._port = split_authority(rest.partition("/")[0], 8125)
            except ValueError as error:
                origin = config.source("dogstatsd_url").removeprefix("env ")
                _log.warn("dogstatsd_url", f"no health metrics: {self._url!r} ({origin}): {error}")

    def send(self, lines: list[str]) -> None:
        """Send `lines`; what cannot leave now is lost."""
        try:
            for datagram in self._datagrams(lines):
                self._open().send(datagram)
        except Exception as error:  # nobody there, queue full, name not resolved yet
            _log.debug(f"health metrics were not sent to {self._url}: {error}")
            self.close()

    def _datagrams(self, lines: list[str]) -> list[bytes]:
        datagrams: list[bytes] = []
        for line in lines if self._path or self._host else ():
            data = line.encode("utf-8", "replace")
            if datagrams and len(datagrams[-1]) + 1 + len(data) <= self._max_bytes:
                datagrams[-1] += b"\n" + data
            else:
                datagrams.append(data)
        return datagrams

    def _open(self) -> QuietSocket:
        if self._socket is None:
            family, address = self._address()
            self._socket = QuietSocket(family, _socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.connect(address)
        return self._socket

    def _address(self) -> tuple[int, Any]:
        if self._path:
            return _socket.AF_UNIX, self._path
        found = self._resolver.find(self._host, self._port, monotonic_ns() + _RESOLVE_NS)
        return found[0]

    def close(self) -> None:
        """Forget the socket; the next `send` opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _tags_of(config: Config) -> str:
    """Return the tags of every metric, without what would end a tag or a metric."""
    tags = []
    for name in ("env", "service", "version"):
        value = getattr(config, name)
        if name == "service" and not value:
            value = config.inferred_service
        if value:
            clean = "".join("_" if character in ",|#\n" else character for character in value)
            tags.append(f"{name}:{clean}")
    return ",".join(tags)
