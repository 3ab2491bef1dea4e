"""Name resolution that can be given up.

The system's resolver knows no timeout that a caller could set, so it runs in a thread of its own.
Who waits too long leaves; the thread stays behind and its answer is used by the next attempt. At
most one such thread exists for each resolver.
"""

from __future__ import annotations

import _socket

from fasttrace._fork import gate
from fasttrace._span import NativeEvent, monotonic_ns, start_native_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: family and address, as `socket.connect` wants it
    Address = tuple[int, Any]


class Resolver:
    """Finds the addresses of a TCP host. Used by one thread at a time."""

    def __init__(self) -> None:
        self._pending: _Lookup | None = None

    def find(self, host: str, port: int, deadline_ns: int) -> list[Address]:
        """Return the addresses of `host`, best first.

        Raises TimeoutError if the answer is not there by `deadline_ns` (monotonic), OSError
        (`gaierror`) if there is no such name. Literal addresses and `localhost` need no look-up.
        """
        if host.lower() in ("localhost", "localhost."):
            return [(_socket.AF_INET, ("127.0.0.1", port)), (_socket.AF_INET6, ("::1", port, 0, 0))]
        literal = _numeric(host, port)
        if literal:
            return literal
        lookup = self._pending
        if lookup is None or (lookup.host, lookup.port) != (host, port):
            lookup = self._pending = _Lookup(host, port)
            start_native_thread(lookup.run)
        if not lookup.done.wait(max(0.0, (deadline_ns - monotonic_ns()) / 1e9)):
            raise TimeoutError(f"the name {host} was not resolved in time")
        self._pending = None
        if lookup.error is not None:
            raise lookup.error
        return lookup.addresses


class _Lookup:
    """One look-up and its answer."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.done = NativeEvent()
        self.addresses: list[Address] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.addresses = _getaddrinfo(self.host, self.port, 0)
            if not self.addresses:
                raise OSError(f"the name {self.host} has no address")
        except Exception as error:
            self.error = error
        finally:
            self.done.set()


def _numeric(host: str, port: int) -> list[Address]:
    try:
        return _getaddrinfo(host, port, _socket.AI_NUMERICHOST)
    except OSError:
        return []


def _getaddrinfo(host: str, port: int, flags: int) -> list[Address]:
    # As bytes: for text the C function would import a codec, and look-ups import nothing.
    if host.isascii():
        name = host.encode("ascii")
    else:
        with gate:  # this may import the codec
            name = host.encode("idna")
    found = _socket.getaddrinfo(name, port, 0, _socket.SOCK_STREAM, 0, flags)
    families = (_socket.AF_INET, _socket.AF_INET6)
    return [(family, address) for family, _, _, _, address in found if family in families]
