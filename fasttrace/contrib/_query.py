"""Secrets in query strings, replaced by `<redacted>` before a query string becomes part of a tag.

What counts as a secret by default is what ddtrace 4.16 takes for one: the value of a key that says
so (`password=...`, `"api_key": "..."`, both spelled plainly or percent-encoded), bearer and GitHub
tokens, JSON web tokens, private keys, and public SSH keys.
"""

from __future__ import annotations

import re

from fasttrace import _log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REDACTED = "<redacted>"

#: A longer query string is not searched but replaced as a whole, characters.
MAX_CHARS = 8192

_BLANK = r"(?:\s|%20)"
_QUOTE = r'(?:"|%22)'
_DASHES = "-----"

# Names of keys whose value is a secret; `_` and `-` within them are optional.
_KEYS = "|".join(
    (
        r"(?:(?:old|new)[-_]?)?p(?:ass)?w(?:or)?d[12]?",
        r"pass(?:[-_]?phrase)?",
        r"secret",
        r"(?:(?:api|private|public|access|secret|app|application)[-_]?)key(?:[-_]?id)?",
        r"token",
        r"consumer[-_]?(?:id|key|secret)",
        r"sign(?:ed|ature)?",
        r"auth(?:entication|orization)?",
    )
)
_VALUES = "|".join(
    (
        rf"{_BLANK}*(?:=|%3D)[^&]+",  # key=value
        # "key": "value"; in the value no quotes, nor a percent sign that ends the text
        rf"{_QUOTE}{_BLANK}*(?::|%3A){_BLANK}*{_QUOTE}(?:%2[^2]|%[^2]|[^\"%])+{_QUOTE}",
    )
)
_OTHERS = "|".join(
    (
        rf"bearer{_BLANK}+[a-z0-9._-]+",
        r"token(?::|%3A)[a-z0-9]{13}",
        r"gh[opsu]_[0-9a-z]{36}",
        # header.claims[.signature] of a JSON web token, at the beginning of a word
        r"(?P<before>^|[^\w%-]|%[0-9a-f]{2})ey[i-l][\w-]+(?:=|%3D)*\.ey[i-l][\w-]+(?:=|%3D)*"
        r"(?:\.(?:[\w.+/=-]|%3D|%2F|%2B)+)?",
        rf"{_DASHES}BEGIN(?:[a-z\s]|%20)+PRIVATE{_BLANK}KEY{_DASHES}[^-]+"
        rf"{_DASHES}END(?:[a-z\s]|%20)+PRIVATE{_BLANK}KEY(?:{_DASHES})?(?:\n|%0A)?",
        r"(?:ssh-(?:rsa|dss)|ecdsa-[a-z0-9]+-[a-z0-9]+)(?:\s|%20|%09)+"
        r"(?:[a-z0-9/.+]|%2F|%5C|%2B){100,}(?:=|%3D)*(?:(?:\s|%20|%09)+[a-z0-9._-]+)?",
    )
)
_SECRET = f"{_QUOTE}?(?:{_KEYS})(?:{_VALUES})|{_OTHERS}"

# Without one of these a query string, in lower case, holds none of the above.
_HINTS = (
    *("pw", "pass", "secret", "key", "token", "consumer", "sign", "auth", "bearer", "gh"),
    *("ey", _DASHES, "ssh-", "ecdsa-"),
)


def redactor(pattern: str | None) -> Callable[[str], str] | None:
    """Return the function that replaces secrets in a query string.

    pattern: a regular expression for secrets; None: the default ones; "": there are none. One that
    is not valid gives a warning, and None is returned: no query string can be shown.
    """
    if pattern == "":
        return _unchanged
    if pattern is None:
        return _redact
    try:
        replace = re.compile(pattern, re.ASCII).sub
    except (re.error, RecursionError, OverflowError) as error:
        _log.warn(
            "config DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP",
            f"DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP={pattern[:100]!r} is not usable: expected "
            f"a regular expression ({error}); query strings are left out of http.url",
        )
        return None

    def redact(query: str) -> str:
        return replace(REDACTED, query) if len(query) <= MAX_CHARS else REDACTED

    return redact


def _unchanged(query: str) -> str:
    return query


_replace = re.compile(_SECRET, re.ASCII | re.IGNORECASE).sub


def _redact(query: str) -> str:
    if len(query) > MAX_CHARS:
        return REDACTED
    lower = query.lower()
    for hint in _HINTS:
        if hint in lower:
            return _replace(_redacted, query)
    return query


def _redacted(match: re.Match[str]) -> str:
    return (match["before"] or "") + REDACTED
