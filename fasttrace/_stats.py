"""Statistics of traces, sent to the agent every ten seconds (`/v0.6/stats`).

With DD_TRACE_STATS_COMPUTATION_ENABLED the core counts every chunk that it finishes, so that the
agent need not; what is rejected then need not be sent at all. Both only with an agent that says at
`/info` that it can do without (`/v0.6/stats` among its endpoints, `client_drop_p0s`): until it has
said so, and with any other agent, nothing is counted here and everything is sent.

Used by the thread that delivers, one at a time; imported by it, never by `import fasttrace`.
"""

from __future__ import annotations

import sys
import time

import msgpack  # type: ignore[import-untyped]

from fasttrace._http import HttpClient, NoResponse, Target
from fasttrace._span import monotonic_ns
from fasttrace.agent import _constant_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace._span import TracerCore
    from fasttrace.config import Config

    Warnings = list[tuple[str, str]]

PATH = "/v0.6/stats"
INTERVAL_NS = 10_000_000_000
_WAITING_MAX = 6  # payloads kept for an agent that is away: a minute
_KINDS = ("client", "server", "producer", "consumer")


class StatsSender:
    """Statistics of one tracer."""

    def __init__(self, core: TracerCore, config: Config) -> None:
        self._core = core
        self._config = config
        self._refused = False  # the agent does not know the endpoint, whatever it says
        self._waiting: list[bytes] = []
        self._sequence = 0
        self._client: HttpClient | None = None

    def send(self, everything: bool, deadline_ns: int | None) -> Warnings:
        """Send what is complete, or `everything`; returns warnings (cause, text). Never raises.

        deadline_ns: monotonic; None: the configured time of one request.
        """
        limit_ns = monotonic_ns() + int(self._config.agent_timeout_s * 1e9)
        if deadline_ns is not None:
            limit_ns = min(limit_ns, deadline_ns)
        warnings: Warnings = []
        try:
            self._collect(everything)
            while self._waiting and monotonic_ns() < limit_ns:
                if not self._post(self._waiting[0], limit_ns, warnings):
                    break
                del self._waiting[0]
        except Exception as error:
            warnings.append(("stats", f"trace statistics failed: {type(error).__name__}: {error}"))
        del self._waiting[:-_WAITING_MAX]
        return warnings

    # -- what the agent offers ---------------------------------------------------------------------

    def apply(self, info: dict[str, Any]) -> None:
        """Count and drop as the agent's answer at `/info` allows."""
        if self._refused:
            return
        if PATH not in _texts(info.get("endpoints")):
            self._core._set_stats(None)
            return
        self._core._set_stats(
            INTERVAL_NS,
            _texts(info.get("span_kinds_stats_computed")) or _KINDS,
            _texts(info.get("peer_tags")),
            info.get("client_drop_p0s") is True,
        )

    # -- sending -----------------------------------------------------------------------------------

    def _collect(self, everything: bool) -> None:
        before_ns = (1 << 63) - 1 if everything else time.time_ns()
        buckets = self._core._take_stats(before_ns)
        if not buckets:
            return
        config = self._config
        self._sequence += 1
        payload = {
            "Hostname": (config.hostname or "") if config.report_hostname else "",
            "Env": config.env or "",
            "Version": config.version or "",
            "Service": config.service or config.inferred_service or "",
            "Lang": "python",
            "TracerVersion": _version(),
            "RuntimeID": sys.modules["fasttrace.tracer"]._runtime_id,
            "Sequence": self._sequence,
            "Stats": [
                {"Start": start_ns, "Duration": INTERVAL_NS, "Stats": [_group(g) for g in groups]}
                for start_ns, groups in buckets
            ],
        }
        self._waiting.append(msgpack.packb(payload, unicode_errors="replace"))

    def _post(self, body: bytes, limit_ns: int, warnings: Warnings) -> bool:
        """Send one payload. Returns False if it may be sent again later."""
        if self._client is None:
            self._client = HttpClient(Target(self._config.agent_url))
        client = self._client
        headers = [*_constant_headers(self._config), f"Content-Length: {len(body)}"]
        try:
            client.open(limit_ns)
            client.send(PATH, headers, [body], limit_ns)
            status = client.receive(limit_ns).status
        except (OSError, NoResponse) as error:
            sent = isinstance(error, NoResponse)  # and maybe counted: twice would be wrong
            client.close()
            warnings.append(("stats unreachable", f"trace statistics cannot be sent: {error}"))
            return sent
        if status in (404, 415):
            self._refused = True
            self._core._set_stats(None)
            warnings.append(
                ("stats", f"the agent takes no trace statistics (HTTP status {status})")
            )
        elif status in (408, 429, 503):
            return False
        elif status >= 400:
            text = f"trace statistics were refused by the agent: HTTP status {status}"
            warnings.append(("stats refused", text))
        return True

    def close(self) -> None:
        """Close the connection; the next `send` opens another."""
        if self._client is not None:
            self._client.close()


def _group(group: tuple[Any, ...]) -> dict[str, Any]:
    key, hits, top_level_hits, errors, duration_ns, succeeded, failed = group
    name, service, resource, span_type, status, synthetic, kind, is_root, peers = key
    entry: dict[str, Any] = {
        "Name": name,
        "Service": service,
        "Resource": resource,
        "Type": span_type,
        "HTTPStatusCode": status,
        "Synthetics": synthetic,
        "SpanKind": kind,
        "IsTraceRoot": 1 if is_root else 2,
        "Hits": hits,
        "TopLevelHits": top_level_hits,
        "Errors": errors,
        "Duration": duration_ns,
        "OkSummary": succeeded,
        "ErrorSummary": failed,
    }
    if peers:
        entry["PeerTags"] = list(peers)
    return entry


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _version() -> str:
    from fasttrace._version import version

    return version
