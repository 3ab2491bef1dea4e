"""What the agent says about itself: `GET /info`.

The reply is a JSON object with `version`, `endpoints`, `feature_flags`, `client_drop_p0s`,
`span_events`, `config` and more, depending on the agent's age. Agents that do not know the endpoint
answer 404: they read v0.4 and nothing that was added since.
"""

from __future__ import annotations

import json

from fasttrace._http import HttpClient, NoResponse, Target
from fasttrace._span import monotonic_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.config import Config


class InfoReply:
    """An agent's answer, or why there is none.

    * http_status: of the answer, None if the agent was not reached or did not answer
    * info: what it says; empty if it says nothing that can be read
    * detail: what went wrong, for people; "" if nothing did
    """

    __slots__ = ("detail", "http_status", "info")

    def __init__(
        self, http_status: int | None = None, info: dict[str, Any] | None = None, detail: str = ""
    ) -> None:
        self.http_status = http_status
        self.info = info or {}
        self.detail = detail

    @property
    def reached(self) -> bool:
        """Whether something that speaks HTTP has answered."""
        return self.http_status is not None

    def __repr__(self) -> str:
        return f"InfoReply(http_status={self.http_status}, detail={self.detail!r})"


def fetch(config: Config, timeout_s: float) -> InfoReply:
    """Ask the agent at `config.agent_url`, over a connection of its own, within `timeout_s`.

    Never raises. Imports nothing, so that a thread may call it without the fork gate, but for an
    https address: the caller must have `ssl` loaded then, or hold the gate while it makes the
    exporter, as the flusher does.
    """
    deadline_ns = monotonic_ns() + int(timeout_s * 1e9)
    client = None
    try:
        client = HttpClient(Target(config.agent_url))
        client.open(deadline_ns)
        headers = ["Content-Length: 0", "Connection: close"]
        client.send("/info", headers, (), deadline_ns, method="GET")
        response = client.receive(deadline_ns)
    except (OSError, ValueError, NoResponse) as error:
        text = getattr(error, "strerror", None) or str(error)
        return InfoReply(detail=f"{type(error).__name__}: {text}")
    except Exception as error:  # not foreseen
        return InfoReply(detail=type(error).__name__)
    finally:
        if client is not None:
            client.close()
    if response.status != 200:
        return InfoReply(response.status, detail=f"HTTP status {response.status}")
    info = read_info(response.body)
    if info is None:
        return InfoReply(response.status, detail="the answer is not the JSON of an agent")
    return InfoReply(response.status, info)


def read_info(body: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in the body of an answer, None if there is none."""
    try:
        info = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return info if isinstance(info, dict) else None
