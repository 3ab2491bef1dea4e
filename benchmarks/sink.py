"""A trace agent and OTLP collector that takes everything and counts it, in a process of its own.

    sink = Sink(); sink.url; sink.counted(); sink.stop()

It says at once that all is well: what it costs is in nobody's figure, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request

_ANSWER = b'{"rate_by_service":{}}'
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_NONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """The process, and what to ask it."""

    def __init__(self, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, __file__], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def counted(self) -> dict[str, int]:
        """Requests, bytes and spans received since the last time this was asked."""
        with urllib.request.urlopen(self.url + "/counted") as response:
            counted: dict[str, int] = json.load(response)
        return counted

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class _Bodies:
    """Bodies by path; they are read when somebody asks, and not while anything is measured."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []

    def counted(self) -> dict[str, int]:
        bodies, self.received = self.received, []
        return {
            "requests": len(bodies),
            "bytes": sum(len(body) for _, body in bodies),
            "spans": sum(_spans(path, body) for path, body in bodies),
        }


def _spans(path: str, body: bytes) -> int:
    if path.startswith("/v1/traces"):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        request = ExportTraceServiceRequest.FromString(body)
        return sum(
            len(scope.spans)
            for resource in request.resource_spans
            for scope in resource.scope_spans
        )
    import msgpack

    decoded = msgpack.unpackb(body, strict_map_key=False)
    traces = decoded[1] if path.startswith("/v0.5/") else decoded
    return sum(len(trace) for trace in traces)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: _Bodies) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            fields = dict(
                line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
            )
            body = b""
            if fields.get("transfer-encoding") == "chunked":
                while size := int(await reader.readline(), 16):
                    body += await reader.readexactly(size)
                    await reader.readline()
                await reader.readline()
            else:
                body = await reader.readexactly(int(fields.get("content-length", 0)))
            if path == "/counted":
                answer = json.dumps(to.counted()).encode()
                writer.write(_OK % (len(answer), answer))
            elif path.endswith("/traces"):
                to.received.append((path, body))
                writer.write(_OK % (len(_ANSWER), _ANSWER))
            else:
                writer.write(_NONE)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    bodies = _Bodies()
    server = await asyncio.start_server(
        lambda reader, writer: _serve(reader, writer, bodies), "127.0.0.1", 0, limit=1 << 26
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the parent ends


if __name__ == "__main__":
    asyncio.run(_main())
