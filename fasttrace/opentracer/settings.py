"""The keys of the dict that configures a `Tracer` (ddtrace 2.21 `ddtrace.opentracer.settings`)."""

from __future__ import annotations

import os
from collections import namedtuple

from fasttrace import _log, _parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What is configured where nothing is said. `debug` makes wrong keys an error in test runs.
DEFAULTS: dict[str, Any] = {
    "agent_hostname": None,
    "agent_https": None,
    "agent_port": None,
    "debug": False,
    "enabled": None,
    "global_tags": {},
    "sampler": None,
    "priority_sampling": None,
    "uds_path": None,
    "settings": {"FILTERS": []},
}

ConfigKeyNames = namedtuple(  # type: ignore[misc]  # the names are those of the table
    "ConfigKeyNames", [key.upper() for key in DEFAULTS]
)
ConfigKeys = ConfigKeyNames(*DEFAULTS)


class ConfigException(Exception):
    """A tracer cannot be configured as asked. Raised in test runs only, see `raises`."""


def config_invalid_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of `config` that mean nothing here."""
    return [key for key in config if key not in DEFAULTS]


def raises() -> bool:
    """Whether mistakes raise instead of being logged: DD_TESTING_RAISE, as in ddtrace."""
    try:
        return _parse.boolean(os.environ.get("DD_TESTING_RAISE", "0"))
    except ValueError:
        return False


def merged(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `config` with the defaults for what it does not say.

    Raises:
        ConfigException: a key is unknown, `debug` is on and DD_TESTING_RAISE is set. Else unknown
            keys are logged and left out.

    """
    result = dict(DEFAULTS)
    if config:
        result.update(config)
        unknown = [str(key) for key in config_invalid_keys(config)]
        if unknown:
            if result["debug"] and raises():
                raise ConfigException(f"invalid key(s) given ({','.join(unknown)})")
            _log.warn(
                "opentracer_config",
                f"opentracer.Tracer: unknown config keys {', '.join(unknown):.200} are ignored, "
                f"known are {', '.join(DEFAULTS)}",
            )
    return result


def port_of(value: object) -> int | None:
    """Return the number in `value` if it can be a port, else None, with a warning if it was set."""
    if value is None:
        return None
    try:
        port = int(str(value))
        if 0 < port < 65536:
            return port
    except ValueError:
        pass
    _log.warn(
        "opentracer_port",
        f"opentracer.Tracer: agent_port {value!r:.50} is no number from 1 to 65535: ignored",
    )
    return None
