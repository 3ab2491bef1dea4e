"""What the tracer is and how it is configured: for the log at start-up and for `fasttrace info`.

Secrets are left out: the password of a URL, the values of additional headers.
"""

from __future__ import annotations

import os
import platform
import sys
import time

from fasttrace import _log, _span
from fasttrace._address import without_password
from fasttrace._fork import gate
from fasttrace._version import version
from fasttrace.config import FIELDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.config import Config

_URLS = ("agent_url", "dogstatsd_url")


def log_configuration(config: Config) -> None:
    """Log one line of JSON with the keys of ddtrace's start-up log, as far as they apply here.

    `agent_error` is not among them: whether the agent can be reached is not known before the first
    traces are sent, and a start must not wait for it. A warning says so if it cannot.
    """
    with gate:
        import json
    line = json.dumps(startup_facts(config), default=str)
    _log.announce(f"- DATADOG TRACER CONFIGURATION - {line}")


def startup_facts(config: Config) -> dict[str, Any]:
    """Return what the start-up log says."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "os_name": platform.system(),
        "os_version": platform.release(),
        "is_64_bit": sys.maxsize > 2**32,
        "architecture": platform.machine(),
        "vm": platform.python_implementation(),
        "version": version,
        "build": build_facts(config),
        "lang": "python",
        "lang_version": platform.python_version(),
        "in_virtual_env": sys.prefix != sys.base_prefix,
        "agent_url": without_password(config.agent_url),
        "agent_url_source": config.source("agent_url"),
        "statsd_url": config.dogstatsd_url,
        "tracer_enabled": config.enabled,
        "service": config.service or config.inferred_service,
        "env": config.env,
        "dd_version": config.version,
        "debug": config.debug,
        "sampling_rules": config.sampling_rules,
        "global_tags": config.tags,
        "log_injection_enabled": config.log_injection,
        "health_metrics_enabled": config.health_metrics_enabled,
        "partial_flush_enabled": config.partial_flush_enabled,
        "partial_flush_min_spans": config.partial_flush_min_spans,
        "api_version": config.api_version,
    }


def build_facts(config: Config) -> dict[str, Any]:
    """Return the switches the compiled core was built with, and what it uses of this system."""
    return {
        **_span.BUILD,
        "clock": _span.adjust_clock(config.tsc_enabled),
        "inplace_context": _span.inplace_context(),
        "file": os.path.basename(_span.__file__ or ""),
    }


def settings(config: Config) -> list[tuple[str, str, str]]:
    """Return name, value and source of every setting, in the order of the table."""
    return [
        (field.name, shown_value(config, field.name), config.source(field.name)) for field in FIELDS
    ]


def shown_value(config: Config, name: str) -> str:
    """Return the value of a setting as text, without secrets."""
    value = getattr(config, name)
    if name in _URLS:
        return without_password(value)
    if name == "additional_headers":
        return ", ".join(f"{header}: ..." for header in value) or "none"
    if name == "service" and value is None:
        return "from the command line of the application"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{key}:{each}" for key, each in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(_shown_item, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def _shown_item(item: object) -> str:
    """A text, or a pair of the first and the last number of a range."""
    return "-".join(map(str, item)) if isinstance(item, tuple) else str(item)
