"""Sending and receiving in the compiled core, with the interpreter's lock given up."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest

from fasttrace._span import is_readable, monotonic_ns, receive, send_all


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection; the first does not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(20.0)
    return ours, theirs


def soon_ns(seconds: float) -> int:
    """A deadline."""
    return monotonic_ns() + int(seconds * 1e9)


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 5_000_000], [3_000_000] * 8])
def test_pieces_arrive_in_order(sizes: list[int]) -> None:
    """Any number of pieces up to eight, of any size, arrives as one stream of bytes."""
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    got = bytearray()
    ours, theirs = pair()
    with ours, theirs:

        def read() -> None:
            while data := theirs.recv(100_000):
                got.extend(data)

        thread = threading.Thread(target=read)
        thread.start()
        send_all(ours.fileno(), pieces, soon_ns(20.0))
        ours.shutdown(socket.SHUT_WR)
        thread.join()
    assert bytes(got) == b"".join(pieces)


def test_deadline_of_a_peer_that_does_not_read() -> None:
    """What cannot be sent or received in time ends with TimeoutError, whatever was sent by then."""
    ours, theirs = pair()
    with ours, theirs:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            send_all(ours.fileno(), [bytes(50_000_000)], soon_ns(0.1))
        with pytest.raises(TimeoutError):
            receive(ours.fileno(), soon_ns(0.1))
        for late in (lambda: send_all(ours.fileno(), [b"x"], 0), lambda: receive(ours.fileno(), 0)):
            with pytest.raises(TimeoutError):
                late()
        send_all(ours.fileno(), [], soon_ns(0.1), True)  # and nobody answers
        assert time.monotonic() - begin >= 0.3


def test_errors_of_the_system() -> None:
    """A closed connection and a bad descriptor are OSErrors; neither makes a signal."""
    ours, theirs = pair()
    with ours:
        theirs.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_all(ours.fileno(), [b"x"], soon_ns(5.0))
        assert is_readable(ours.fileno())
        assert receive(ours.fileno(), soon_ns(5.0)) == b""
        number = ours.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        send_all(number, [b"x"], soon_ns(5.0))
    with pytest.raises(ValueError, match="too many"):
        send_all(number, [b""] * 9, soon_ns(5.0))
    with pytest.raises(TypeError):
        send_all(number, ["text"], soon_ns(5.0))  # type: ignore[list-item]


def test_signal_handlers_run_meanwhile() -> None:
    """A main thread that sends handles signals, and an exception of a handler comes out."""

    def handle(*_: object) -> None:
        raise InterruptedError("handler")

    before = signal.signal(signal.SIGALRM, handle)
    ours, theirs = pair()
    try:
        with ours, theirs:
            for call in (
                lambda: send_all(ours.fileno(), [bytes(50_000_000)], soon_ns(20.0)),
                lambda: receive(ours.fileno(), soon_ns(20.0)),
            ):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(InterruptedError, match="handler"):
                    call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_waiting_for_the_answer() -> None:
    """With `then_receive` the call returns the answer, but leaves an end to whoever reads next."""
    ours, theirs = pair()
    with ours, theirs:

        def answer() -> None:
            theirs.recv(100)
            time.sleep(0.05)
            theirs.send(b"answer")

        thread = threading.Thread(target=answer)
        thread.start()
        assert not is_readable(ours.fileno())
        assert send_all(ours.fileno(), [b"question"], soon_ns(20.0), True) == b"answer"
        assert not is_readable(ours.fileno())
        thread.join()
        theirs.close()
        assert receive(ours.fileno(), soon_ns(20.0)) == b""
