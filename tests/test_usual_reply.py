"""The reply of an agent, read in one go where it is a usual one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import note_figure
from hypothesis import given
from hypothesis import strategies as st

from fasttrace._http import BadResponse, _Reader
from fasttrace._span import usual_reply


class Bytewise:
    """A stream that brings a byte at a time, and then its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def receive(self, deadline_ns: int) -> bytes:
        data, self._data = self._data[:1], self._data[1:]
        return data


def read_slowly(data: bytes) -> Any:
    """What the general reader makes of a reply that comes bit by bit; None if it is none."""
    stream: Any = Bytewise(data)
    try:
        return _Reader(stream, 0).response()
    except (BadResponse, EOFError):
        return None


USUAL = b'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX: \t1 \r\ncontent-length: 5\r\n\r\n{"a"}'
LINES = [
    b"A: b", b"a:c", b"Datadog-Agent-State: x", b"connection: close", b"Connection: keep-alive",
    b"transfer-encoding: chunked", b"Transfer-Encoding: identity", b"content-length: 3", b"no sign",
    b" folded: x", b": no name", b"\xff: \xa0", b"", b"x:y\nz:1", b"\r", b"x: y\r",
]  # fmt: skip
STARTS = [
    *[b"HTTP/1.1 200 OK"] * 4, b"HTTP/1.1 413", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 2000",
    b"HTTP/1.1 204 None", b"HTTP/1.1 100 Continue", b"HTTP/1.0 200 OK", b"SSH-2.0",
]  # fmt: skip


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """A reply with its length, right or wrong, and up to three lines more, some of them odd."""
    body = draw(st.sampled_from([b"", b"OK\n", b"{}\r\n\r\n"]))
    length = len(body) + draw(st.sampled_from([0, 0, 0, 0, -1, 1]))
    lines = [draw(st.sampled_from(STARTS)), b"Content-Length: %d" % length]
    for line in draw(st.lists(st.sampled_from(LINES), max_size=3)):
        lines.insert(draw(st.integers(1, len(lines))), line)
    return draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])).join([*lines, b"", b""]) + body


@pytest.fixture
def looked_at() -> Iterator[Counter[str]]:
    """How many replies a property has seen, shown in the end."""
    seen: Counter[str] = Counter()
    yield seen
    note_figure(f"{seen['usual']} of {seen['all']} replies are usual, and read the same twice")


def test_the_usual_reply() -> None:
    """Status, headers and body of a reply as agents send it."""
    headers = {"content-type": "a/b", "x": "1", "content-length": "5"}
    assert usual_reply(USUAL) == (200, headers, b'{"a"}')
    for other in (USUAL[:-1], USUAL + b"x", USUAL[:30], b"", USUAL.replace(b"1.1", b"1.0")):
        assert usual_reply(other) is None


@given(reply=replies())
def test_a_quick_look_sees_what_a_close_one_sees(looked_at: Counter[str], reply: bytes) -> None:
    """Whatever `usual_reply` takes for a usual reply, the general reader reads the same in it."""
    looked_at["all"] += 1
    quick = usual_reply(reply)
    if quick is not None and quick[0] not in (204, 304):
        looked_at["usual"] += 1
        slow = read_slowly(reply)
        assert slow is not None
        assert (slow.status, slow.headers, slow.body, slow.keep_alive) == (*quick, True)
