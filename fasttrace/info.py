"""`fasttrace info`: what a support ticket needs. Nothing but the command line imports this."""

from __future__ import annotations

import json
import platform

from . import __version__
from ._agent_info import InfoReply, fetch
from ._startup import build_facts, settings, shown_value, startup_facts
from .config import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def describe(as_json: bool = False, timeout_s: float = 2.0) -> tuple[str, bool]:
    """Return version, build, settings with their sources, and what the agent says of itself.

    The second value is whether the agent can be reached, within `timeout_s` seconds, and takes our
    traces.
    """
    config = Config.from_env()
    reply = fetch(config, timeout_s)
    fault = _fault(config, reply)
    if as_json:
        text = json.dumps(_facts(config, reply, fault), indent=2, default=str)
    else:
        text = "\n".join(_lines(config, reply, fault))
    return text, not fault


def _fault(config: Config, reply: InfoReply) -> str:
    """Return why traces would not arrive, "" if they would."""
    if not reply.reached:
        return f"not reachable: {reply.detail}"
    if reply.http_status == 404:
        return ""  # an agent from before /info was invented
    if reply.http_status != 200:
        return f"answers with HTTP status {reply.http_status}: is it an agent?"
    endpoints = reply.info.get("endpoints")
    if reply.detail or not isinstance(endpoints, list):
        return "answers, but not as an agent does"
    if f"/{config.api_version}/traces" not in endpoints and "/v0.4/traces" not in endpoints:
        return "does not take traces of version 0.4"
    return ""


def _facts(config: Config, reply: InfoReply, fault: str) -> dict[str, Any]:
    return {
        **startup_facts(config),
        "agent_error": fault or None,
        "agent_info": reply.info or None,
        "settings": {
            name: {"value": value, "source": source} for name, value, source in settings(config)
        },
    }


def _lines(config: Config, reply: InfoReply, fault: str) -> list[str]:
    build = build_facts(config)
    flags = [name for name in ("debug", "portable", "tsc") if build[name]]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    lines = [
        f"fasttrace {__version__}",
        f"python    {python}, {platform.system()} {platform.release()}, {platform.machine()}",
        f"core      {build['file']}, built with: {', '.join(flags) or 'nothing special'}",
        f"clock     {build['clock']}",
        f"in place  {build['inplace_context']}",
        "",
        f"agent     {shown_value(config, 'agent_url')} ({config.source('agent_url')})",
        f"          {fault or 'reachable'}",
    ]
    for key in ("version", "git_commit", "client_drop_p0s", "span_events", "endpoints"):
        if key in reply.info:
            value = reply.info[key]
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append(f"          {key}: {text}")
    if reply.http_status == 404:
        lines.append("          does not know /info: an old agent, or none")
    lines += ["", "settings (source)"]
    rows = settings(config)
    width = max(len(name) for name, _, _ in rows)
    lines += [f"  {name:<{width}}  {value}  ({source})" for name, value, source in rows]
    return lines
