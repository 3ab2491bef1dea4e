"""Things that hold headers: reading the ones that matter from them, and writing into them.

Read: dicts, WSGI environs (`HTTP_X_...`), the header classes of frameworks, lists of pairs as in
ASGI scopes, gRPC metadata or Kafka records; names in any case; text or bytes. A header that is
there several times, or whose value is a list, is all its values joined by commas (RFC 9110, 5.3).
Written: anything with `carrier[name] = value`, and lists of pairs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Names of the headers that carry a trace.
HEADERS = (
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-origin",
    "x-datadog-tags",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "baggage",
)
OT_BAGGAGE_PREFIX = "ot-baggage-"
_WSGI_OT_BAGGAGE_PREFIX = "http_ot_baggage_"


def _spellings() -> dict[object, str]:
    table: dict[object, str] = {}
    for name in HEADERS:
        wsgi = "HTTP_" + name.upper().replace("-", "_")
        for spelling in (name, name.title(), wsgi, wsgi.lower()):
            table[spelling] = name
            table[spelling.encode()] = name
    return table


_SPELLINGS = _spellings()


def _pairs(carrier: Any) -> Iterable[tuple[Any, Any]]:
    items = getattr(carrier, "items", None)
    pairs: Iterable[tuple[Any, Any]] = carrier if items is None else items()
    return pairs


def read(carrier: Any) -> dict[str, str]:
    """The headers of `carrier` that carry a trace, by lower-case name.

    Raises what the carrier raises when it is read.
    """
    found: dict[str, str] = {}
    spellings = _SPELLINGS
    for spelling, value in _pairs(carrier):
        name = spellings.get(spelling)
        if name is None:
            try:
                name = spellings.get(spelling.lower())
            except AttributeError:  # neither text nor bytes
                continue
            if name is None:
                continue
        content = value if type(value) is str else _text(value)
        if content is None:
            continue
        if name in found and found[name] != content:
            content = found[name] + "," + content
        found[name] = content
    return found


def read_ot_baggage(carrier: Any) -> dict[str, str]:
    """Baggage in headers ot-baggage-<key>; the keys in lower case."""
    found: dict[str, str] = {}
    for spelling, value in _pairs(carrier):
        name, content = _text(spelling), _text(value)
        if name is None or content is None:
            continue
        name = name.lower()
        for prefix in (OT_BAGGAGE_PREFIX, _WSGI_OT_BAGGAGE_PREFIX):
            if name.startswith(prefix) and len(name) > len(prefix):
                found[name[len(prefix) :]] = content
    return found


def _text(value: object) -> str | None:
    """Text, decoded bytes, or the joined texts of a list; None for anything else."""
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass: only the characters
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple)):
        texts = [text for text in map(_text, value) if text is not None]
        return ",".join(texts) if texts else None
    return None


def write(carrier: Any, headers: dict[str, str]) -> None:
    """Put `headers` into `carrier`, replacing those of the same name.

    A list gets pairs: of text if its first pair has a text name, else of bytes as in ASGI messages.
    In a mapping that tells upper from lower case, other spellings stay.
    Raises what the carrier raises when it is written to.
    """
    if type(carrier) is dict:
        carrier.update(headers)
    elif isinstance(carrier, list):
        as_text = bool(carrier) and isinstance(carrier[0][0], str)
        carrier[:] = [pair for pair in carrier if (_text(pair[0]) or "").lower() not in headers]
        for name, value in headers.items():
            carrier.append((name, value) if as_text else (name.encode(), value.encode()))
    else:
        for name, value in headers.items():
            carrier[name] = value
