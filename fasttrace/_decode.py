"""Reading back what the encoder wrote, for whoever shows traces instead of sending them."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]

from fasttrace.transcode import v05_to_v04

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_OWN_TAGS = frozenset(("events", "language", "process_id", "runtime-id"))


def decode_body(body: bytes, api_version: str) -> list[list[dict[str, Any]]]:
    """Return the chunks of a request body, each a list of spans with the keys of the v0.4 format.

    Raises ValueError (msgpack's errors are such) if `body` is none of that version.
    """
    if api_version == "v0.5":
        return [chunk for part in v05_to_v04(body, len(body)) for chunk in _unpack(part.data)]
    return _unpack(body)


def _unpack(body: bytes | bytearray) -> list[list[dict[str, Any]]]:
    chunks: list[list[dict[str, Any]]] = msgpack.unpackb(body)
    return chunks


def application_tags(tags: Iterable[str]) -> list[str]:
    """Leave out the names of the tags that the tracer itself puts on spans."""
    return [name for name in tags if not name.startswith("_") and name not in _OWN_TAGS]
