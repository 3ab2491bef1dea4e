"""Byte streams to the agent that keep one total deadline.

They use the C socket type itself. It needs no `socket` module (so that `gevent` and `eventlet` find
it unimported when they patch), and it is never a patched one. What is sent and received over it
goes through the compiled core, which gives up the interpreter's lock once for all of a piece. Every
call gets what is left of the deadline: a peer that sends a byte a second cannot stretch it.
"""

from __future__ import annotations

import _socket
import sys

from fasttrace._fork import gate
from fasttrace._span import NativeEvent, is_readable, monotonic_ns, receive, send_all, unlocked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from fasttrace._resolve import Address

    Buffer = bytes | bytearray | memoryview

_SEND_BYTES = 256 * 1024  # at most this much in one call, where that is one of Python's
_RECEIVE_BYTES = 64 * 1024
_RESET_POLLS, _RESET_POLL_S = 25, 0.002


def remaining_s(deadline_ns: int) -> float:
    """Return the seconds left until `deadline_ns` (monotonic). Raises TimeoutError if none are."""
    left_ns = deadline_ns - monotonic_ns()
    if left_ns <= 0:
        raise TimeoutError("timed out")
    return max(left_ns / 1e9, 0.001)  # 0 would mean "do not block", with another error


class QuietSocket(_socket.socket):
    """A socket that may be forgotten: the interpreter does not complain that it was not closed."""

    __slots__ = ()

    def __del__(self) -> None:
        self.close()


class PlainStream:
    """A connected TCP or Unix socket."""

    def __init__(self, socket: QuietSocket) -> None:
        self._socket = socket

    def send_all(
        self, pieces: Sequence[Buffer], deadline_ns: int, then_receive: bool = False
    ) -> bytes:
        """Send all of `pieces`. Raises TimeoutError or another OSError; some may be sent then.

        then_receive: return when an answer is there, and return its beginning, or b"" if it has to
        be received. The application is held up less if this thread does not come to life before.
        """
        if sys.platform != "win32":
            return send_all(self._socket.fileno(), pieces, deadline_ns, then_receive)
        else:  # noqa: RET505 # or the other would be unreachable to the type checker
            for piece in pieces:
                view = memoryview(piece).cast("B")
                while view:
                    self._socket.settimeout(remaining_s(deadline_ns))
                    view = view[unlocked(self._socket.send, view[:_SEND_BYTES]) :]
            return b""

    def receive(self, deadline_ns: int) -> bytes:
        """Return what has arrived, b"" at the end. Raises TimeoutError or another OSError."""
        if sys.platform != "win32":
            return receive(self._socket.fileno(), deadline_ns)
        else:  # noqa: RET505 # or the other would be unreachable to the type checker
            self._socket.settimeout(remaining_s(deadline_ns))
            return unlocked(self._socket.recv, _RECEIVE_BYTES)

    def fileno(self) -> int:
        """Return the number of the socket."""
        return self._socket.fileno()

    def is_stale(self) -> bool:
        """Whether the idle connection is of no more use: closed by the peer, or out of step."""
        if sys.platform != "win32":
            return is_readable(self._socket.fileno())
        else:  # noqa: RET505 # as above
            self._socket.settimeout(0.0)
            try:
                self._socket.recv(1, _socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                pass
            return True

    def was_reset(self, error: Exception) -> bool:
        """Whether the peer ended the connection with something unread, `error` being how it ended.

        A system answers what arrives for a socket that is closed, or closed unread, with a reset.
        It may come a moment after the end of the data that it belongs to.
        """
        if isinstance(error, ConnectionError):
            return True
        for _ in range(_RESET_POLLS):
            try:
                if self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
                    return True
            except OSError:
                return False
            NativeEvent().wait(_RESET_POLL_S)
        return False

    def interrupt(self) -> None:
        """Make a thread that waits in this stream go on, with an error or the end of the data."""
        try:
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """Close the connection. In a forked child this leaves the parent's alone."""
        try:
            self._socket.close()
        except OSError:
            pass


class TlsStream:
    """TLS over a PlainStream.

    The TLS engine works on memory buffers, under the fork gate: a fork never finds a lock of the
    TLS library held by a thread that the child does not have.
    """

    def __init__(self, plain: PlainStream, context: ssl.SSLContext, host: str) -> None:
        import ssl  # loaded by make_tls_context

        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._want_read = ssl.SSLWantReadError
        self._closed = (ssl.SSLZeroReturnError, ssl.SSLEOFError)
        with gate:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self, deadline_ns: int) -> None:
        """Agree on keys and verify the peer. Raises ssl.SSLError, TimeoutError, OSError."""
        while True:
            with gate:
                try:
                    unlocked(self._tls.do_handshake)
                    wait = False
                except self._want_read:
                    wait = True
                finally:
                    ready = self._outgoing.read()
            self._plain.send_all((ready,), deadline_ns)
            if not wait:
                return
            self._feed(deadline_ns)

    def send_all(
        self, pieces: Sequence[Buffer], deadline_ns: int, then_receive: bool = False
    ) -> bytes:
        """Send all of `pieces`; as PlainStream.send_all, but for the answer."""
        for piece in pieces:
            self._send(memoryview(piece).cast("B"), deadline_ns)
        return b""

    def _send(self, view: memoryview, deadline_ns: int) -> None:
        while view:
            with gate:
                try:
                    done = unlocked(self._tls.write, view[:_SEND_BYTES])
                except self._want_read:
                    done = 0
                ready = self._outgoing.read()
            self._plain.send_all((ready,), deadline_ns)
            if not done:
                self._feed(deadline_ns)
            view = view[done:]

    def receive(self, deadline_ns: int) -> bytes:
        """Return what has arrived, b"" at the end; as PlainStream.receive."""
        while True:
            with gate:
                try:
                    return unlocked(self._tls.read, _RECEIVE_BYTES)
                except self._closed:
                    return b""
                except self._want_read:
                    ready = self._outgoing.read()
            self._plain.send_all((ready,), deadline_ns)
            self._feed(deadline_ns)

    def _feed(self, deadline_ns: int) -> None:
        data = self._plain.receive(deadline_ns)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def is_stale(self) -> bool:
        """Whether the idle connection is of no more use; as PlainStream.is_stale."""
        # Unread data may be a session ticket, which does not matter. It would have arrived with
        # the first response, so after that unread data means the end or nonsense.
        return self._plain.is_stale()

    def was_reset(self, error: Exception) -> bool:
        """Whether the peer ended the connection with something unread; as PlainStream.was_reset."""
        return self._plain.was_reset(error)

    def interrupt(self) -> None:
        """Make a thread that waits in this stream go on; as PlainStream.interrupt."""
        self._plain.interrupt()

    def close(self) -> None:
        """Close the connection without a word: a forked child must not end the parent's session."""
        self._plain.close()


def make_tls_context() -> ssl.SSLContext:
    """Return what verifies servers: the system's authorities, or those of SSL_CERT_FILE/_DIR."""
    import ssl

    return ssl.create_default_context()


def connect_tcp(addresses: list[Address], deadline_ns: int) -> PlainStream:
    """Connect to the first of `addresses` that answers.

    Each address gets an equal share of the time that is left. Raises the last OSError.
    """
    error: OSError = OSError("no address")
    for index, (family, address) in enumerate(addresses):
        socket = None
        try:
            socket = QuietSocket(family, _socket.SOCK_STREAM)
            socket.settimeout(remaining_s(deadline_ns) / (len(addresses) - index))
            unlocked(socket.connect, address)
            socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            return PlainStream(socket)
        except OSError as failure:
            # "refused" of the second address must not hide the timeout of the first, which may
            # still be worth a retry.
            if index == 0 or not isinstance(error, TimeoutError):
                error = failure
            if socket is not None:
                socket.close()
    raise error


def connect_unix(path: str, deadline_ns: int) -> PlainStream:
    """Connect to the Unix socket at `path`. Raises OSError."""
    family = getattr(_socket, "AF_UNIX", None)
    if family is None:
        raise OSError("this system has no Unix sockets")
    socket = QuietSocket(family, _socket.SOCK_STREAM)
    try:
        socket.settimeout(remaining_s(deadline_ns))
        unlocked(socket.connect, path)
    except OSError:
        socket.close()
        raise
    return PlainStream(socket)
