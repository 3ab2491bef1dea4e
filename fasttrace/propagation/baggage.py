"""The style `baggage`: key=value pairs that travel with the trace (W3C Baggage, ddtrace 4.16).

Keys and values are percent-encoded UTF-8. Unlike ddtrace, `%` itself is encoded, as the W3C asks,
so that every item comes out as it went in.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace._fork import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HEADER = "baggage"
MAX_ITEMS = 64
MAX_BYTES = 8192

_ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#: Characters that stand for themselves.
SAFE_IN_KEY = _ALNUM + "!#$&'*+-.^_`|~"
SAFE_IN_VALUE = SAFE_IN_KEY + "()/:<>?@[]{}"


def extract(headers: Mapping[str, str]) -> dict[str, str]:
    """The items of the header baggage; none at all if one of them is malformed.

    At most MAX_ITEMS items and MAX_BYTES bytes are read; the rest is dropped with a warning.
    """
    text = headers.get(HEADER)
    if not text:
        return {}
    if len(text) > MAX_BYTES:
        # Never split more than can be used. The last part is incomplete, or one byte too many.
        text = text[: MAX_BYTES + 1].rpartition(",")[0]
        _warn_dropped()
        if not text:
            return {}
    found: dict[str, str] = {}
    parts = text.split(",", MAX_ITEMS)
    if len(parts) > MAX_ITEMS:
        del parts[MAX_ITEMS]
        _warn_dropped()
    room = MAX_BYTES + 1
    wide = not text.isascii()
    for part in parts:
        room -= 1 + (len(part.encode("utf-8", "surrogatepass")) if wide else len(part))
        if room < 0:
            _warn_dropped()
            break
        key, _, value = part.partition("=")
        key, value = _decode(key.strip()), _decode(value.strip())
        if not key or not value:
            _log.debug("the header baggage is malformed: ignored")
            return {}
        found[key] = value
    return found


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    decoded: str = load("urllib.parse").unquote(text)
    return decoded


def _encode(text: str, safe: str) -> str:
    text = text.strip()
    if not text.strip(safe):
        return text
    quote = load("urllib.parse").quote
    try:
        quoted: str = quote(text, safe)
    except UnicodeEncodeError:  # lone surrogates
        quoted = quote(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), safe)
    return quoted


def encode(items: Mapping[str, Any]) -> str:
    """The value of the header baggage for these items, "" for none.

    Keys and values are their str() without surrounding blanks; an item without key or value, or
    whose str() fails, is left out, because receivers would drop everything else with it. Items
    beyond MAX_ITEMS or MAX_BYTES are dropped with a warning.
    """
    parts: list[str] = []
    room = MAX_BYTES + 1
    for key, value in list(items.items()):
        try:
            key_text = _encode(key if type(key) is str else str(key), SAFE_IN_KEY)
            value_text = _encode(value if type(value) is str else str(value), SAFE_IN_VALUE)
        except Exception:
            key_text = value_text = ""
        if not key_text or not value_text:
            _log.debug("a baggage item without key or value is not sent")
            continue
        part = f"{key_text}={value_text}"
        room -= len(part) + 1
        if room < 0 or len(parts) == MAX_ITEMS:
            _warn_dropped()
            break
        parts.append(part)
    return ",".join(parts)


def _warn_dropped() -> None:
    _log.warn(
        "propagation baggage",
        f"baggage of more than {MAX_ITEMS} items or {MAX_BYTES} bytes: the rest is dropped",
    )
