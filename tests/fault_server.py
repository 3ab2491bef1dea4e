"""A server that misbehaves on command: what the real test agent does not do.

A `FaultServer` runs one `Behaviour` for each connection, in a thread of its own, and records every
request that arrived whole.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

RATES = b'{"rate_by_service": {"service:web,env:prod": 0.5}}'


class Hangup(Exception):
    """The client has closed the connection."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: FaultServer, connection: socket.socket, number: int) -> None:
        self.server = server
        self.socket = connection
        self.number = number  #: connections are counted from 1
        self._buffer = b""

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise Hangup
        self._buffer += data

    def read_head(self) -> dict[str, Any]:
        """Read a request up to its body."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, version = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} was sent twice"
            headers[name.lower()] = value
        return {"method": method, "path": path, "version": version, "headers": headers}

    def read_body(self, request: dict[str, Any]) -> dict[str, Any]:
        """Read the body of a request whose head has been read, and record the request."""
        length = int(request["headers"].get("content-length", 0))
        while len(self._buffer) < length:
            self._more()
        request["body"], self._buffer = self._buffer[:length], self._buffer[length:]
        request["connection"] = self.number
        self.server.requests.append(request)
        return request

    def read(self) -> dict[str, Any]:
        """Read and record a whole request."""
        return self.read_body(self.read_head())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def drip(self, data: bytes, pause_s: float) -> None:
        """Send one byte at a time."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            time.sleep(pause_s)

    def wait_for_hangup(self) -> None:
        """Read nothing more, until the client closes or the server is stopped."""
        self.server.stopping.wait(30.0)


Behaviour = Callable[[Peer], None]


def response(status: int = 200, body: bytes = RATES, **headers: str) -> bytes:
    """Encode a response; a header named `keep_alive` is sent as `keep-alive`."""
    fields = {"content-length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(*answers: bytes) -> Behaviour:
    """A server that gives the n-th request (of all connections) the n-th answer, then the last."""

    def behave(peer: Peer) -> None:
        while True:
            peer.read()
            peer.send(answers[min(len(peer.server.requests), len(answers)) - 1])

    return behave


class FaultServer:
    """Listens on a port (0: a free one) of a loopback address, or on the Unix socket at `path`.

    Use it in a `with`.
    """

    def __init__(
        self,
        behave: Behaviour,
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self._behave = behave
        self._tls = tls
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        self.tls_versions: set[str] = set()  # of handshakes that succeeded
        self.stopping = threading.Event()
        self._peers: list[socket.socket] = []
        if path is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=64)
            self.port = self._listener.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            self.url = f"{'https' if tls else 'http'}://{shown}:{self.port}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
            self.url = f"unix://{path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._peers.append(connection)
            threading.Thread(
                target=self._serve, args=(connection, self.connections), daemon=True
            ).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, Hangup):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self.tls_versions.add(str(connection.version()))
                self._peers.append(connection)
            with connection:
                self._behave(Peer(self, connection, number))

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection there is now, whatever is under way on it."""
        while self._peers:
            peer = self._peers.pop()
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class FullBacklog:
    """A listening port where a connection is never completed."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._waiting: list[socket.socket] = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", self.port))
            self._waiting.append(one)

    def __enter__(self) -> FullBacklog:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for one in (*self._waiting, self._listener):
            one.close()


def refused_url() -> str:
    """Return the URL of a loopback port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"
