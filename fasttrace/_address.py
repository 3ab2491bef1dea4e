"""Where the agent and DogStatsD are, by the rules of ddtrace 4.16."""

from __future__ import annotations

import os

from fasttrace import _parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT_SOCKET = "/var/run/datadog/apm.socket"
DOGSTATSD_SOCKET = "/var/run/datadog/dsd.socket"

_HOST_NAMES = ("DD_TRACE_AGENT_HOSTNAME", "DD_AGENT_HOST")
_PORT_NAMES = ("DD_TRACE_AGENT_PORT", "DD_AGENT_PORT")
_FORMS = "http://host:port, https://host:port or unix:///path/of/socket"


def check_agent_url(url: str, source: str) -> str:
    """Return `url`, stripped. Raises ValueError, naming the valid forms, for any other scheme."""
    url = url.strip()
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https", "unix") or not rest:
        raise ValueError(
            f"unsupported agent URL {without_password(url)!r} ({source}): expected {_FORMS}"
        )
    return f"{scheme.lower()}://{rest}"


def without_password(url: str) -> str:
    """Return `url` without the `user:password@` part, so that it can be shown."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def find_agent_url(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the agent's URL and what it follows from: a variable's name or "default".

    DD_TRACE_AGENT_URL, else host and port variables if any is set, else the agent's Unix socket if
    there is one, else http://localhost:8126. Raises ValueError for an unsupported scheme.
    """
    url = environ.get("DD_TRACE_AGENT_URL", "").strip()
    if url:
        return check_agent_url(url, "from DD_TRACE_AGENT_URL"), "env DD_TRACE_AGENT_URL"
    host_name, host = _first(environ, _HOST_NAMES)
    port_name, port = _first_port(environ, _PORT_NAMES, "8126")
    if host or port:
        names = " and ".join(name for name in (host_name, port_name) if name)
        return f"http://{bracketed(host or 'localhost')}:{port or '8126'}", f"env {names}"
    if os.path.exists(AGENT_SOCKET):
        return f"unix://{AGENT_SOCKET}", "default"
    return "http://localhost:8126", "default"


def find_dogstatsd_url(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the URL of DogStatsD (`udp://` or `unix://`) and what it follows from.

    DD_DOGSTATSD_URL, else host (DD_DOGSTATSD_HOST, DD_AGENT_HOST) and port variables, else its Unix
    socket if there is one, else udp://localhost:8125.
    """
    url = environ.get("DD_DOGSTATSD_URL", "").strip()
    if url:
        return url if "://" in url else f"udp://{url}", "env DD_DOGSTATSD_URL"
    host_name, host = _first(environ, ("DD_DOGSTATSD_HOST", "DD_AGENT_HOST"))
    port_name, port = _first_port(environ, ("DD_DOGSTATSD_PORT",), "8125")
    if host or port:
        names = " and ".join(name for name in (host_name, port_name) if name)
        return f"udp://{bracketed(host or 'localhost')}:{port or '8125'}", f"env {names}"
    if os.path.exists(DOGSTATSD_SOCKET):
        return f"unix://{DOGSTATSD_SOCKET}", "default"
    return "udp://localhost:8125", "default"


def changed_agent_url(
    url: str, hostname: object, port: object, https: object, uds_path: object
) -> str | None:
    """Return `url` with those parts of it that are not None in their place; None if all are.

    Raises ValueError, naming the argument and what was expected, for a part that cannot be one.
    """
    if uds_path is not None:
        if not isinstance(uds_path, str) or not uds_path.strip():
            raise ValueError(f"uds_path {uds_path!r}: expected the path of a socket")
        return f"unix://{uds_path}"
    if hostname is None and port is None and https is None:
        return None
    old_scheme, _, rest = url.partition("://")
    old_host, _, old_port = rest.partition("/")[0].rpartition(":")
    if old_scheme == "unix":
        old_scheme, old_host, old_port = "http", "localhost", "8126"
    if hostname and (not isinstance(hostname, str) or set(hostname) & set("/@?#% \t\r\n")):
        raise ValueError(f"hostname {hostname!r}: expected a host name or an IP address")
    if port is not None and port != 0:  # which leaves it as it is
        try:
            port = _parse.integer(1, 65535)(str(port))
        except ValueError as error:
            raise ValueError(f"port {port!r}: expected {error}") from None
    scheme = old_scheme if https is None else ("https" if https else "http")
    host = bracketed(str(hostname or old_host or "localhost"))
    return f"{scheme}://{host}:{port or old_port or 8126}"


def check_dogstatsd_url(url: object) -> str:
    """Return `url`. Raises ValueError, naming the valid forms, for any other."""
    scheme, separator, rest = str(url).partition("://")
    if not isinstance(url, str) or (separator and (scheme not in ("udp", "unix") or not rest)):
        raise ValueError(f"dogstatsd_url {url!r}: expected udp://host:port or unix:///path")
    return url if separator else f"udp://{url}"


def bracketed(host: str) -> str:
    """Return `host` as a URL wants it: a literal IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    for name in names:
        value = environ.get(name, "").strip()
        if value:
            return name, value
    return "", ""


def _first_port(
    environ: Mapping[str, str], names: tuple[str, ...], default: str
) -> tuple[str, str]:
    name, port = _first(environ, names)
    if not port:
        return "", ""
    try:
        _parse.integer(1, 65535)(port)
    except ValueError as error:
        _parse.warn_wrong_value(name, port, str(error), int(default))
        return name, default
    return name, port
