"""What the agent offers, as it says at `GET /info`, and who wants to know.

The agent is asked in the background, over the connection that has just delivered a payload: the
first payload waits for nothing. It is asked only if the answer makes a difference, and again only
when the agent may be another one (see `AgentExporter.discover`).
"""

from __future__ import annotations

from fasttrace import _log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fasttrace._span import TracerCore
    from fasttrace.config import Config

TIMEOUT_S = 0.5  # the agent has just answered; what else the thread has to do waits for this


class Discovery:
    """Asks the agent for one tracer. Used by one thread at a time.

    * info: the agent's answer, decoded; None until it was asked, empty if it did not say
    * wanted: whether anybody needs the answer; span events want it when the first are sent
    * listeners: called with every new answer, in the thread that sends
    """

    def __init__(self, core: TracerCore, config: Config) -> None:
        self._core = core
        self.info: dict[str, Any] | None = None
        self.wanted = False
        self.listeners: list[Callable[[dict[str, Any]], object]] = []
        if config.source("native_span_events") == "default":  # else the user has decided
            self.listeners.append(self._choose_form_of_events)

    def is_wanted(self) -> bool:
        """Whether an answer would make a difference."""
        return bool(self.listeners) and (self.wanted or self._core._events_as_json)

    def ask(self, exporter: object) -> None:
        """Ask if somebody wants to know; `exporter` need not be able to. Never raises."""
        discover = getattr(exporter, "discover", None)
        if discover is None or not self.is_wanted():
            return
        try:
            info = discover(TIMEOUT_S)
            if info is None:
                return  # what is known still holds
            self.info = info
            for listener in self.listeners:
                listener(info)
        except Exception as error:
            _log.debug(f"asking the agent what it offers failed: {type(error).__name__}: {error}")

    def _choose_form_of_events(self, info: dict[str, Any]) -> None:
        """Send span events in their own field to agents that read it, from version 7.63."""
        self._core._set_native_events(info.get("span_events") is True)
