"""A small HTTP/1.1 client for one server: keep-alive, one deadline for everything.

It follows RFC 9112 as far as a client that never asks for anything unusual needs it. The standard
library's client is not used because it imports 45 modules (among them `ssl` and `socket`, which
`gevent` wants to patch before anyone has them) and knows timeouts of single calls only. Proxies
and redirects are not followed: traces go to the agent that was named, or nowhere.
"""

from __future__ import annotations

import sys

from fasttrace._fork import gate
from fasttrace._resolve import Resolver
from fasttrace._span import Route, monotonic_ns, usual_reply
from fasttrace._stream import PlainStream, TlsStream, connect_tcp, connect_unix, make_tls_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from fasttrace._stream import Buffer

MAX_BODY_BYTES = 1 << 20  # of a response; a longer one is not read
_MAX_HEAD_BYTES = 64 * 1024
_MAX_INTERIM_RESPONSES = 10  # "100 Continue" and the like
_JOIN_BYTES = 64 * 1024  # smaller pieces leave together, in one packet where they fit
_EARLY_RESPONSE_NS = 50_000_000
_WITHOUT_BODY = (204, 304)  # statuses


class BadResponse(Exception):
    """What the server sent is not HTTP."""


class NoResponse(Exception):
    """The request was sent in full, and no response came.

    * unread: whether the server certainly ended the connection before it had read the request
    """

    def __init__(self, cause: Exception, unread: bool) -> None:
        super().__init__(str(cause) or type(cause).__name__)
        self.unread = unread


class Response:
    """Status, header and body of an answer.

    The names in `headers` are lower case. `body` is None if it was too long or came only in part.
    """

    __slots__ = ("body", "headers", "keep_alive", "status")

    def __init__(
        self, status: int, headers: dict[str, str], body: bytes | None, keep_alive: bool
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive


class Target:
    """The parts of an agent URL.

    Raises ValueError if the URL names no host, or a port that is none.
    """

    def __init__(self, url: str) -> None:
        self.scheme, _, rest = url.partition("://")
        self.host = ""
        self.port = 0
        self.socket_path = ""
        self.prefix = ""
        if self.scheme == "unix":
            self.socket_path = rest
            self.host_header = "localhost"
            return
        authority, slash, path = rest.partition("/")
        self.prefix = (slash + path).partition("?")[0].partition("#")[0].rstrip("/")
        self.host_header = authority.rpartition("@")[2]
        default = {"http": 80, "https": 443}[self.scheme]
        self.host, self.port = split_authority(self.host_header, default)
        if not (self.host_header + self.prefix).isascii() or set(rest) & set(" \r\n\t"):
            raise ValueError("the URL has characters that must be escaped")


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Return host and port of the part of a URL that names them. Raises ValueError."""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    if not host:
        raise ValueError("the URL names no host")
    return host, _port_number(port) if port else default_port


def _port_number(text: str) -> int:
    if text.isdigit() and 0 < int(text[:6]) < 65536:
        return int(text)
    raise ValueError(f"{text!r} is no port number")


class HttpClient:
    """One connection to one server, opened when needed. Used by one thread at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._begins: dict[tuple[str, str], str] = {}  # of requests, by method and path
        self._resolver = Resolver()
        self._stream: PlainStream | TlsStream | None = None
        self._tls_context: ssl.SSLContext | None = None
        if target.scheme == "https":
            self._tls_context = make_tls_context()
        self._begun = b""  # of the response, received with the end of the sending
        #: whether the open connection has already carried a request
        self.reused = False
        #: connections opened so far
        self.opened = 0
        #: the way that the next request of a kind may go without this client; see `keep_route`
        self.route: Route | None = None

    def open(self, deadline_ns: int) -> None:
        """Make sure of a connection, keeping the one there is unless the server has closed it.

        Raises OSError (refused, timeout, unknown name, TLS failure).
        """
        if self._stream is not None:
            if not self._stream.is_stale():
                return
            self.close()
        target = self._target
        self.reused = False
        self.opened += 1
        if target.scheme == "unix":
            self._stream = connect_unix(target.socket_path, deadline_ns)
            return
        addresses = self._resolver.find(target.host, target.port, deadline_ns)
        plain = connect_tcp(addresses, deadline_ns)
        self._stream = plain
        if target.scheme == "https":
            try:
                self._start_tls(plain, deadline_ns)
            except Exception:
                self.close()
                raise

    def _start_tls(self, plain: PlainStream, deadline_ns: int) -> None:
        if self._tls_context is None:
            with gate:
                self._tls_context = make_tls_context()
        tls = TlsStream(plain, self._tls_context, self._target.host)
        self._stream = tls
        tls.handshake(deadline_ns)

    def send(
        self,
        path: str,
        headers: Sequence[str],
        body: Sequence[Buffer],
        deadline_ns: int,
        *,
        method: str = "POST",
    ) -> None:
        """Send a request in full, or raise OSError. `headers` are lines without their end."""
        stream = self._open_stream()
        head = "\r\n".join([self._begin_of(method, path), *headers, "", ""]).encode("latin-1")
        pieces: list[Buffer] = [head]
        for piece in body:
            if len(pieces[-1]) + len(piece) <= _JOIN_BYTES:
                pieces[-1] = b"".join((pieces[-1], piece))
            else:
                pieces.append(piece)
        self._begun = b""
        self._begun = stream.send_all(pieces, deadline_ns, then_receive=True)

    def _begin_of(self, method: str, path: str) -> str:
        begin = self._begins.get((method, path))
        if begin is None:
            target = self._target
            begin = f"{method} {target.prefix}{path} HTTP/1.1\r\nHost: {target.host_header}"
            self._begins[method, path] = begin
        return begin

    def keep_route(
        self, version: str, path: str, headers: Sequence[str], state: str, body: bytes | None
    ) -> None:
        """Let payloads of `version` go the way of the request that has just been answered.

        headers: the lines of it that are always the same. state, body: what the agent said.
        """
        self.end_route()
        if sys.platform == "win32" or not isinstance(self._stream, PlainStream) or body is None:
            return
        head = "\r\n".join([self._begin_of("POST", path), *headers, ""]).encode("latin-1")
        self.route = Route(self._stream, version, head, state.encode("latin-1"), body)

    def resume(self, begun: bytes) -> None:
        """Take over a request that was sent over a route; `begun` is what has come back so far."""
        self._begun = begun

    def end_route(self) -> None:
        """Let nothing go without this client any more, until the next `keep_route`."""
        if self.route is not None:
            self.route.end()
            self.route = None

    def receive(self, deadline_ns: int) -> Response:
        """Return the response to what was sent. Raises NoResponse."""
        stream = self._open_stream()
        begun, self._begun = self._begun, b""
        usual = usual_reply(begun)
        if usual is not None and usual[0] not in _WITHOUT_BODY:
            self.reused = True
            return Response(*usual, True)
        reader = _Reader(stream, deadline_ns, begun)
        try:
            response = reader.response()
        except (OSError, EOFError, BadResponse) as error:
            # A server that is done with an idle connection closes it without waiting for more. One
            # that has read the whole request and closes it then may have the traces.
            ended = isinstance(error, EOFError | ConnectionError) and not reader.received
            raise NoResponse(error, ended and self.reused and stream.was_reset(error)) from None
        self.reused = True
        if not response.keep_alive or reader.has_more():
            self.close()
        return response

    def receive_early(self) -> Response | None:
        """Return what the server said instead of reading the whole request; None if nothing."""
        try:
            return self.receive(monotonic_ns() + _EARLY_RESPONSE_NS)
        except NoResponse:
            return None

    def _open_stream(self) -> PlainStream | TlsStream:
        if self._stream is None:
            raise ConnectionError("the connection was closed")
        return self._stream

    def interrupt(self) -> None:
        """Called by another thread: end what this client is waiting for."""
        stream = self._stream
        if stream is not None:
            stream.interrupt()

    def close(self) -> None:
        """Close the connection; the next `open` makes another."""
        stream, self._stream = self._stream, None
        self.end_route()
        self.reused = False
        self._begun = b""
        if stream is not None:
            stream.close()

    def after_fork_in_child(self) -> None:
        """Forget the parent's connection, look-ups and TLS state without touching the parent's."""
        self.close()
        self._resolver = Resolver()
        self._tls_context = None


class _Reader:
    """Reads one response from a stream."""

    def __init__(
        self, stream: PlainStream | TlsStream, deadline_ns: int, begun: bytes = b""
    ) -> None:
        self._stream = stream
        self._deadline_ns = deadline_ns
        self._buffer = bytearray(begun)
        self.received = len(begun)  # bytes

    def response(self) -> Response:
        if not self._buffer:
            self._fill()
        usual = usual_reply(bytes(self._buffer))
        if usual is not None and usual[0] not in _WITHOUT_BODY:
            self._buffer.clear()
            return Response(*usual, True)
        for _ in range(_MAX_INTERIM_RESPONSES):
            first, *lines = self._head()
            version, status = _parse_status(first)
            headers = _parse_headers(lines)
            if status >= 200:
                break
        else:
            raise BadResponse("too many interim responses")
        connection = headers.get("connection", "").lower()
        keep_alive = "close" not in connection if version != "1.0" else "keep-alive" in connection
        # From here on the outcome is known, and nothing that goes wrong changes it.
        try:
            body, ended = self._body(status, headers)
        except (OSError, EOFError, BadResponse):
            body, ended = None, True
        return Response(status, headers, body, keep_alive and not ended)

    def has_more(self) -> bool:
        """Whether more than the response has come, which nobody asked for."""
        return bool(self._buffer)

    def _head(self) -> list[str]:
        """Take the status line and the headers, up to the first empty line."""
        while True:
            if not b"HTTP/1.".startswith(self._buffer[:7]):
                raise BadResponse("not an HTTP response")
            plain, usual = self._buffer.find(b"\n\n"), self._buffer.find(b"\n\r\n")
            if usual >= 0 and not 0 <= plain < usual:
                size = usual + 3
                break
            if plain >= 0:
                size = plain + 2
                break
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise BadResponse("the header is too long")
            self._fill()
        return self._exactly(size).decode("latin-1").replace("\r\n", "\n").split("\n")[:-2]

    def _body(self, status: int, headers: dict[str, str]) -> tuple[bytes | None, bool]:
        """Return the body and whether the connection is of no more use after it."""
        if status in _WITHOUT_BODY:
            return b"", False
        coding = headers.get("transfer-encoding", "identity").lower()
        if coding == "chunked":
            return self._chunks()
        if coding != "identity":
            return None, True
        length = headers.get("content-length")
        if length is None:
            return self._rest()
        if not length.isdigit() or int(length[:8]) > MAX_BODY_BYTES:
            return None, True
        return self._exactly(int(length)), False

    def _chunks(self) -> tuple[bytes | None, bool]:
        body = bytearray()
        while size := _chunk_size(self._line()):
            if len(body) + size > MAX_BODY_BYTES:
                return None, True
            body += self._exactly(size)
            if self._line():
                raise BadResponse("a chunk has no end")
        left = _MAX_HEAD_BYTES
        while line := self._line():  # trailers
            left -= len(line)
            if left < 0:
                return None, True
        return bytes(body), False

    def _rest(self) -> tuple[bytes | None, bool]:
        while len(self._buffer) <= MAX_BODY_BYTES:
            try:
                self._fill()
            except EOFError:
                return self._exactly(len(self._buffer)), True
        return None, True

    def _line(self) -> bytes:
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > _MAX_HEAD_BYTES:
                raise BadResponse("a line is too long")
            self._fill()
        return self._exactly(end + 1).rstrip(b"\r\n")

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self) -> None:
        data = self._stream.receive(self._deadline_ns)
        if not data:
            raise EOFError("the connection was closed before the response was complete")
        self.received += len(data)
        self._buffer += data


def _parse_status(line: str) -> tuple[str, int]:
    protocol, _, rest = line.partition(" ")
    code = rest[:3]
    is_number = code.isascii() and code.isdigit()
    if not protocol.startswith("HTTP/1.") or not is_number or rest[3:4] not in ("", " "):
        raise BadResponse("not an HTTP response")
    return protocol[5:], int(code)


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadResponse("not a header line")
        headers[name.lower()] = value.strip(" \t\r")
    return headers


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 8:
        raise BadResponse("not a chunk size")
    try:
        return int(digits, 16)
    except ValueError:
        raise BadResponse("not a chunk size") from None
