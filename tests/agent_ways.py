"""What an agent may do with a request, and a server that does it with some of them."""

from __future__ import annotations

import functools
import socket
import struct
import time
from typing import Any

from fault_server import RATES, Behaviour, FaultServer, Hangup, Peer, response
from reference import decode_payload


def with_lines(*lines: str, body: bytes = RATES, status: str = "200 OK") -> bytes:
    """Encode a response with just these header lines."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


USUAL = response(datadog_agent_state="a")
ANSWERS = {
    "the same": USUAL,
    "another header": response(datadog_agent_state="a", date="today"),
    "other rates": response(body=b'{"rate_by_service": {}}', datadog_agent_state="a"),
    "rates of the same length": USUAL.replace(b"0.5", b"0.1"),
    "no rates": response(body=b"OK\n", datadog_agent_state="a"),
    "no body": response(body=b"", datadog_agent_state="a"),
    "another state": response(datadog_agent_state="b"),
    "no state": response(),
    "a longer state": response(datadog_agent_state="ab"),
    "202": response(202, datadog_agent_state="a"),
    "204": with_lines("datadog-agent-state: a", body=b"", status="204 None"),
    "307": response(307, location="/"),
    "404": response(404),
    "413": response(413),
    "429": response(429),
    "500": response(500),
    "503": response(503, datadog_agent_state="a"),
    "close": response(datadog_agent_state="a", connection="close"),
    "chunks": with_lines(
        "transfer-encoding: chunked", "datadog-agent-state: a",
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(RATES), RATES),
    ),
    "a long one": response(datadog_agent_state="a", x_padding="x" * 20_000),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + USUAL,
    "more than asked for": USUAL + b"HTTP/1.1 500 Oops\r\n\r\n",
    "HTTP/1.0": USUAL.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "not HTTP": b"SSH-2.0-OpenSSH_9.6 hello and good bye\r\n",
}  # fmt: skip


def answer(data: bytes) -> Behaviour:
    """Read a request and answer it, then go on."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(data)

    return behave


def answer_in_parts(peer: Peer) -> None:
    """Send the usual answer in three parts."""
    peer.read()
    for part in (USUAL[:20], USUAL[20:-5], USUAL[-5:]):
        peer.send(part)
        time.sleep(0.03)


def answer_and_close(peer: Peer) -> None:
    """Close the connection after an answer that does not say so."""
    peer.read()
    peer.send(USUAL)
    stop(True, peer)


def answer_half(then_close: bool, peer: Peer) -> None:
    """Send the beginning of an answer."""
    peer.read()
    peer.send(USUAL[:-5])
    stop(then_close, peer)


def stop(close: bool, peer: Peer) -> None:
    """Do nothing more, or close the connection."""
    if close:
        peer.socket.close()
    else:
        peer.wait_for_hangup()
        raise Hangup


def read_only(then_close: bool, peer: Peer) -> None:
    """Read a request and do not answer."""
    peer.read()
    stop(then_close, peer)


def read_little(then_close: bool, peer: Peer) -> None:
    """Read ten bytes of a request."""
    peer.socket.recv(10)
    stop(then_close, peer)


def reset(peer: Peer) -> None:
    """Read ten bytes, and end the connection with a reset."""
    peer.socket.recv(10)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


def refuse_early(peer: Peer) -> None:
    """Read only the head of a request, refuse it, and close the connection when it is answered."""
    peer.read_head()
    peer.send(response(413, connection="close"))
    time.sleep(0.05)
    stop(True, peer)


WAYS: dict[str, Behaviour] = {
    **{f"answers {name}": answer(data) for name, data in ANSWERS.items()},
    "answers in parts": answer_in_parts,
    "answers and closes": answer_and_close,
    "answers half": functools.partial(answer_half, False),
    "answers half and closes": functools.partial(answer_half, True),
    "mute": functools.partial(read_only, False),
    "closes": functools.partial(read_only, True),
    "reads little": functools.partial(read_little, False),
    "closes unread": functools.partial(read_little, True),
    "resets": reset,
    "refuses early": refuse_early,
}


def server_that(way: Behaviour, on: tuple[int, ...] = (2, 3)) -> Behaviour:
    """A server that behaves in a way on some requests, counted from 1, and well on the others."""
    seen = []

    def behave(peer: Peer) -> None:
        if peer.socket.family != socket.AF_UNIX:  # else a client could send all of what is large
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        while peer.socket.recv(1, socket.MSG_PEEK):
            seen.append(1)
            (way if len(seen) in on else answer(USUAL))(peer)

    return behave


def seen_of(server: FaultServer) -> list[tuple[Any, ...]]:
    """What has arrived: path, headers in their order, names of spans."""
    seen = []
    for request in server.requests:
        version = request["path"].split("/")[1]
        chunks = decode_payload(request["body"], version) if request["body"] else []
        names = [span["name"] for chunk in chunks for span in chunk]
        headers = request["headers"] | {"host": "the agent"}
        if "content-length" in headers:
            assert headers["content-length"] == str(len(request["body"]))
            headers["content-length"] = "right"  # a duration is encoded in as few bytes as it takes
        seen.append((request["method"], request["path"], [*headers.items()], names))
    return seen
