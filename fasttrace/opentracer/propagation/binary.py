"""The format BINARY: the same names and texts as TEXT_MAP, as bytes.

| bytes | content |
|---|---|
| 4 | `FTB1` |
| 4 | length of the rest, big-endian |
| 2 + n | length and UTF-8 bytes of a name |
| 4 + n | length and UTF-8 bytes of its text; names and texts take turns |

ddtrace has no such format, so there is nobody to be compatible with but ourselves.
"""

from __future__ import annotations

import opentracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fasttrace.opentracer.propagation.http import HTTPPropagator
    from fasttrace.opentracer.span_context import SpanContext

MAGIC = b"FTB1"
_NAME_MAX_BYTES = 0xFFFF


class BinaryPropagator:
    """Injects into and extracts from bytearrays.

    Args:
        text: the propagator for names and texts.

    """

    def __init__(self, text: HTTPPropagator) -> None:
        self._text = text

    def inject(self, span_context: SpanContext, carrier: Any) -> None:
        """Append `span_context` to `carrier`.

        Raises:
            opentracing.InvalidCarrierException: `carrier` is no bytearray.

        """
        if not isinstance(carrier, bytearray):
            raise opentracing.InvalidCarrierException(
                f"a bytearray is needed as carrier, got {type(carrier).__name__}"
            )
        pairs: dict[str, str] = {}
        self._text.inject(span_context, pairs)
        body = bytearray()
        for name, text in pairs.items():
            name_bytes = name.encode("utf-8", "replace")[:_NAME_MAX_BYTES]
            text_bytes = text.encode("utf-8", "replace")
            body += len(name_bytes).to_bytes(2, "big") + name_bytes
            body += len(text_bytes).to_bytes(4, "big") + text_bytes
        carrier += MAGIC + len(body).to_bytes(4, "big") + body

    def extract(self, carrier: Any) -> SpanContext:
        """Return what `carrier` holds; a context without ids if it is empty.

        What was injected is found behind bytes that were there before, and before ones that came
        later.

        Raises:
            opentracing.InvalidCarrierException: `carrier` holds no bytes.
            opentracing.SpanContextCorruptedException: the bytes are not what `inject` wrote.

        """
        if not isinstance(carrier, (bytearray, bytes, memoryview)):
            raise opentracing.InvalidCarrierException(
                f"a bytearray is needed as carrier, got {type(carrier).__name__}"
            )
        data = bytes(carrier)
        return self._text.extract(_read(data) if data else {})


def _read(data: bytes) -> dict[str, str]:
    begin = data.find(MAGIC)
    if begin < 0:
        raise opentracing.SpanContextCorruptedException("the carrier holds no span context")
    begin += len(MAGIC)
    size = int.from_bytes(data[begin : begin + 4], "big")
    body = data[begin + 4 : begin + 4 + size]
    pairs: dict[str, str] = {}
    try:
        if len(body) != size or len(data) < begin + 4:
            raise ValueError("cut short")
        at = 0
        while at < size:
            name, at = _piece(body, at, 2)
            pairs[name], at = _piece(body, at, 4)
    except ValueError as error:  # UnicodeDecodeError is one
        raise opentracing.SpanContextCorruptedException(
            f"the carrier is no span context: {error}"
        ) from error
    return pairs


def _piece(body: bytes, at: int, length_bytes: int) -> tuple[str, int]:
    """The text at `at`, behind its length, and where the next one begins. Raises ValueError."""
    begin = at + length_bytes
    end = begin + int.from_bytes(body[at:begin], "big")
    if end > len(body):
        raise ValueError("cut short")
    return body[begin:end].decode("utf-8"), end
