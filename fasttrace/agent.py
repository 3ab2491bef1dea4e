"""Delivering one payload to the Datadog agent, and saying what came of it.

The facts about requests and replies are those of the trace agent (`/v0.4/traces`, `/v0.5/traces`).
What can be sent again without the risk of a duplicate is reported as "retry"; the flusher decides
when. This module is imported by the flusher's thread, never by `import fasttrace`.
"""

from __future__ import annotations

import json
import sys

from fasttrace._address import without_password
from fasttrace._agent_info import read_info
from fasttrace._http import HttpClient, NoResponse, Response, Target
from fasttrace._parse import is_header_name, is_header_value
from fasttrace._span import Route, monotonic_ns
from fasttrace.container import container_headers
from fasttrace.exporter import ExportResult, Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from fasttrace._stream import Buffer
    from fasttrace.config import Config
    from fasttrace.transcode import Body

    class AnyPayload(Protocol):
        """What the exporter needs of a payload."""

        @property
        def api_version(self) -> str:
            """Either "v0.4" or "v0.5"."""

        def buffers(self) -> Sequence[Buffer]:
            """The pieces of the body, in order."""


AGENT_MAX_BYTES = 25 << 20  # of a body; an agent refuses more
_RETRIED_STATUS = (408, 429, 503)  # the agent has refused before it read the traces
_UNKNOWN_ENDPOINT_STATUS = (404, 415)
_DISCOVERY_INTERVAL_NS = 60_000_000_000


class AgentExporter:
    """Sends payloads to the agent at `config.agent_url`. Used by one thread at a time."""

    def __init__(self, config: Config) -> None:
        self._max_bytes = config.payload_max_bytes
        self._shown_url = without_password(config.agent_url)
        self._headers = _constant_headers(config)
        self._constant_lines = "\r\n".join(self._headers)
        self._of_payload: list[str] = []
        self._client: HttpClient | None = None
        self._address_error = ""
        self._only_v04 = False
        self._transcoded: tuple[AnyPayload, list[Body]] | None = None  # what is left of a payload
        self._last_reply: bytes | None = None
        self._last_rates: dict[str, float] | None = None  # what was read in it
        self._agent_state = ""  # what the agent's replies call the state of its configuration
        self._asked_about: object = None  # the agent, as far as it can be told, that was asked
        self._asked_ns: int | None = None  # monotonic
        if config.api_version == "v0.5":
            import fasttrace.transcode  # noqa: F401 # now, because later a fork would not wait
        try:
            self._client = HttpClient(Target(config.agent_url))
        except ValueError as error:
            self._address_error = str(error)

    def export(self, payload: AnyPayload, trace_count: int, timeout_s: float) -> ExportResult:
        """Try to deliver `payload`, which holds `trace_count` chunks, within `timeout_s` seconds.

        The time includes name look-up, connecting, sending and the reply. Never raises.
        """
        deadline_ns = monotonic_ns() + int(timeout_s * 1e9)
        self._of_payload = _payload_headers(payload)
        begun: Route | None = None
        if self._client is not None:
            begun = self._client.route
            self._client.end_route()  # what is different now is so for the next payload as well
        if begun is not None and not begun.has_begun(payload):
            begun = None
        try:
            return self._export(payload, trace_count, deadline_ns, begun)
        except Exception as error:
            # Not foreseen, so nothing is known about what the agent has.
            self.close()
            return ExportResult("unconfirmed", detail=_describe(error))
        except BaseException:  # KeyboardInterrupt: the next reply would be to this request
            self.close()
            raise

    def _export(
        self, payload: AnyPayload, trace_count: int, deadline_ns: int, begun: Route | None
    ) -> ExportResult:
        if payload.api_version == "v0.5" and (begun is not None or not self._only_v04):
            result = self._post_payload("/v0.5/traces", payload, trace_count, deadline_ns, begun)
            if result.http_status not in _UNKNOWN_ENDPOINT_STATUS:
                return result
            self._only_v04 = True
        if payload.api_version == "v0.5":
            result = self._export_as_v04(payload, deadline_ns)
            result.use_version = "v0.4"
            return result
        return self._post_payload("/v0.4/traces", payload, trace_count, deadline_ns, begun)

    def _export_as_v04(self, payload: AnyPayload, deadline_ns: int) -> ExportResult:
        try:
            bodies = self._bodies_left(payload)
        except Exception as error:
            return ExportResult("not_encodable", detail=_describe(error))
        parts: list[Part] = []
        while bodies:
            body = bodies[0]
            if len(body.data) > AGENT_MAX_BYTES:  # one trace, whose strings v0.5 held only once
                result = ExportResult("chunk_too_large", detail=f"{len(body.data)} bytes of v0.4")
            else:
                result = self._post("/v0.4/traces", [body.data], body.trace_count, deadline_ns)
            if result.status == "retry":
                break
            parts.append(Part(result, body.span_count, body.trace_count, len(body.data)))
            del bodies[0]
        else:
            self._transcoded = None
            if not parts:
                return ExportResult("sent")  # a payload without traces
            last = parts.pop()
            result, result.nbytes = last.result, last.nbytes
        result.parts = parts
        return result

    def _bodies_left(self, payload: AnyPayload) -> list[Body]:
        """Return `payload` as v0.4 bodies, without those that an earlier attempt has settled."""
        from fasttrace.transcode import v05_to_v04

        if self._transcoded is None or self._transcoded[0] is not payload:
            bodies = v05_to_v04(b"".join(payload.buffers()), self._max_bytes)
            self._transcoded = (payload, bodies)
        return self._transcoded[1]

    def _post_payload(
        self,
        path: str,
        payload: AnyPayload,
        trace_count: int,
        deadline_ns: int,
        begun: Route | None,
    ) -> ExportResult:
        """Send `payload` as it is, or go on with it if a route has begun to."""
        if begun is not None:
            deadline_ns = min(deadline_ns, begun.deadline_ns)
        result = self._post(path, payload.buffers(), trace_count, deadline_ns, begun)
        if result.http_status == 200 and self._client is not None and not self._of_payload:
            try:
                self._client.keep_route(
                    payload.api_version, path, self._headers, self._agent_state, self._last_reply
                )
            except Exception:
                self._client.end_route()  # whatever it is, this payload has arrived
        return result

    @property
    def route(self) -> Route | None:
        """The way that the next payload may go without this exporter; None: not without.

        Nor if `export` has been replaced, by a subclass or otherwise: it sees every payload.
        """
        if self._client is None or getattr(self.export, "__func__", None) is not _EXPORT:
            return None
        return self._client.route

    def _post(
        self,
        path: str,
        body: Sequence[Buffer],
        trace_count: int,
        deadline_ns: int,
        begun: Route | None = None,
    ) -> ExportResult:
        client = self._client
        if client is None:
            return ExportResult("bad_address", detail=self._address_error)
        length = sum(map(len, body))
        headers = [
            self._constant_lines,
            *self._of_payload,
            f"Content-Length: {length}",
            f"X-Datadog-Trace-Count: {trace_count}",
        ]
        while True:  # a second time only after a connection that had been used before
            try:
                if begun is None:
                    client.open(deadline_ns)
            except OSError as error:
                return _unreachable(error)
            reused = client.reused
            try:
                if begun is None:
                    client.send(path, headers, body, deadline_ns)
                else:
                    route, begun = begun, None
                    client.resume(route.resume())
            except OSError as error:
                response = client.receive_early()
                client.close()
                if response is not None:
                    return self._judge(response)
                if reused and not isinstance(error, TimeoutError):
                    continue
                return ExportResult("retry", reason="not_sent", detail=_describe(error))
            try:
                return self._judge(client.receive(deadline_ns))
            except NoResponse as failure:
                client.close()
                if failure.unread:
                    continue
                return ExportResult("unconfirmed", detail=str(failure))

    def _judge(self, response: Response) -> ExportResult:
        status = response.status
        self._agent_state = response.headers.get("datadog-agent-state", "")
        if 200 <= status < 300:
            if response.body != self._last_reply:  # mostly an agent repeats itself
                self._last_reply, self._last_rates = response.body, read_rates(response.body)
            return ExportResult("sent", http_status=status, rates=self._last_rates)
        refused = f"refused_{status}"
        detail = f"HTTP status {status}"
        if status in _RETRIED_STATUS:
            return ExportResult("retry", reason=refused, http_status=status, detail=detail)
        return ExportResult(refused, http_status=status, detail=detail)

    def discover(self, timeout_s: float) -> dict[str, Any] | None:
        """Return what the agent says at `GET /info`, decoded; {} if it does not know of that.

        None if what it said before still holds: unless the state that it calls itself in changes,
        or, where it tells none, the connection, it is asked once; at most once a minute anyway,
        and within `timeout_s` seconds. Never raises.
        """
        client, now_ns = self._client, monotonic_ns()
        about = self._agent_state or (client.opened if client is not None else 0)
        recent = self._asked_ns is not None and now_ns < self._asked_ns + _DISCOVERY_INTERVAL_NS
        if client is None or recent or about == self._asked_about:
            return None
        self._asked_ns = now_ns
        headers = [line for line in self._headers if not line.startswith("Content-")]
        deadline_ns = now_ns + int(timeout_s * 1e9)
        try:
            client.open(deadline_ns)
            client.send("/info", headers, (), deadline_ns, method="GET")
            response = client.receive(deadline_ns)
        except Exception:
            client.close()
            return None  # perhaps the next time
        self._asked_about = self._agent_state or client.opened
        return (read_info(response.body) or {}) if response.status == 200 else {}

    def __repr__(self) -> str:
        return f"AgentExporter({self._shown_url})"

    def interrupt(self) -> None:
        """Called by another thread: end a wait for the agent, with whatever outcome."""
        if self._client is not None:
            self._client.interrupt()

    def close(self) -> None:
        """Close the connection; the next export opens another."""
        if self._client is not None:
            self._client.close()

    def after_fork_in_child(self) -> None:
        """Drop what belongs to the parent process."""
        self._transcoded = None
        if self._client is not None:
            self._client.after_fork_in_child()


_EXPORT = AgentExporter.export


def read_rates(body: bytes | None) -> dict[str, float] | None:
    """Return the sampling rates in an agent's reply, None if it says nothing about them.

    Old agents answer "OK". A reply that cannot be read counts as silence.
    """
    if not body or body.startswith(b"OK"):
        return None
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    rates = reply.get("rate_by_service") if isinstance(reply, dict) else None
    if not isinstance(rates, dict):
        return None
    return {
        service: float(rate)
        for service, rate in rates.items()
        if isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate <= 1
    }


def _unreachable(error: OSError) -> ExportResult:
    # A timeout may be a short overload. The others (refused, no such socket or name, no route, a
    # wrong certificate) will not be different in a second.
    hopeless = not isinstance(error, TimeoutError | BlockingIOError)
    return ExportResult("retry", reason="unreachable", hopeless=hopeless, detail=_describe(error))


def _describe(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _constant_headers(config: Config) -> list[str]:
    """Return the header lines that are the same in every request."""
    from fasttrace._version import version

    lines = [
        "Content-Type: application/msgpack",
        "Datadog-Meta-Lang: python",
        "Datadog-Meta-Lang-Version: {}.{}.{}".format(*sys.version_info[:3]),
        f"Datadog-Meta-Lang-Interpreter: {_interpreter()}",
        f"Datadog-Meta-Tracer-Version: {version}",
        "Datadog-Client-Computed-Top-Level: true",
        "Datadog-Send-Real-Http-Status: 1",  # or an overloaded agent would answer 200
        *container_headers(),
    ]
    if not config.reuse_connections:
        lines.append("Connection: close")
    more = dict(config.additional_headers)
    if config.external_env:
        more["Datadog-External-Env"] = config.external_env
    lines += [
        f"{name}: {value}"
        for name, value in more.items()
        if is_header_name(name) and is_header_value(value)
    ]
    return lines


def _payload_headers(payload: object) -> list[str]:
    """Return the headers about statistics: whether we count, and what is therefore left out."""
    if not getattr(payload, "stats_computed", False):
        return []
    lines = ["Datadog-Client-Computed-Stats: true"]
    for name in ("traces", "spans"):
        count = getattr(payload, f"p0_{name}", 0)
        if count:
            lines.append(f"Datadog-Client-Dropped-P0-{name.capitalize()}: {count}")
    return lines


def _interpreter() -> str:
    name = sys.implementation.name
    return {"cpython": "CPython", "pypy": "PyPy"}.get(name, name)
