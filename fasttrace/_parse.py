"""Reading the values of environment variables.

Each parser takes the text and returns the value; a text it cannot read raises ValueError, whose
message says what was expected. The rules are those of ddtrace 4.16 (lists, tags) and, for
`OTEL_*`, of the OpenTelemetry specification.
"""

from __future__ import annotations

from fasttrace import _log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TRUE = ("true", "1")
_FALSE = ("false", "0", "no", "off")
_MAX_RESOURCE_ATTRIBUTES = 10


def warn_wrong_value(name: str, value: str, expected: str, used: object) -> None:
    """Warn, once for each variable, that `value` of `name` cannot be read and `used` holds."""
    shown = value if len(value) <= 100 else value[:97] + "..."
    _log.warn(
        f"config {name}", f"{name}={shown!r} is not usable: expected {expected}; using {used!r}"
    )


class PartlyUsable(ValueError):
    """Raised by a parser that could use some of the text.

    * value: what it could read, which holds
    * item: the part it could not read
    """

    def __init__(self, item: str, expected: str, value: object) -> None:
        super().__init__(expected)
        self.item = item
        self.value = value


def text(value: str) -> str:
    """Any text, without surrounding blanks."""
    return value.strip()


def boolean(value: str) -> bool:
    """`true` or `1`; `false`, `0`, `no` or `off`, in any case."""
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def integer(minimum: int | None = None, maximum: int | None = None) -> Callable[[str], int]:
    """Return the parser of a whole number within the given bounds."""

    def parse(value: str) -> int:
        expected = "a whole number" + _bounds(minimum, maximum)
        try:
            number = int(value)
        except ValueError:
            raise ValueError(expected) from None
        if not _within(number, minimum, maximum):
            raise ValueError(expected)
        return number

    return parse


def raised_integer(minimum: int) -> Callable[[str], int]:
    """Return the parser of a whole number; smaller ones count as `minimum` (ddtrace 4.16)."""
    parse_any = integer()

    def parse(value: str) -> int:
        return max(minimum, parse_any(value))

    return parse


def number(minimum: float | None = None, maximum: float | None = None) -> Callable[[str], float]:
    """Return the parser of a finite number within the given bounds."""

    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number - number != 0.0 or not _within(number, minimum, maximum):  # nan or infinite
            raise ValueError("a number" + _bounds(minimum, maximum))
        return number

    return parse


def _within(number: float, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is None or number >= minimum) and (maximum is None or number <= maximum)


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum:,} to {maximum:,}"
    if minimum is not None:
        return f", at least {minimum:,}"
    return ""


def choice(*allowed: str) -> Callable[[str], str]:
    """Return the parser of one of the given words, in any case."""

    def parse(value: str) -> str:
        word = value.strip().lower()
        if word not in allowed:
            raise ValueError(" or ".join(allowed))
        return word

    return parse


def statuses(value: str) -> tuple[tuple[int, int], ...]:
    """HTTP statuses and ranges of them, separated by commas, as pairs of first and last.

    Raises PartlyUsable for items that are neither, which are left out.
    """
    ranges: list[tuple[int, int]] = []
    wrong: list[str] = []
    for item in value.split(","):
        item = item.strip()
        first, _, last = item.partition("-")
        bounds = [part for part in (first, last or first) if _is_status(part)]
        if len(bounds) == 2:
            ranges.append((int(min(bounds)), int(max(bounds))))
        elif item:
            wrong.append(item)
    if wrong:
        expected = "statuses or ranges of them such as 500-599"
        raise PartlyUsable(", ".join(wrong), expected, tuple(ranges) or ((500, 599),))
    return tuple(ranges)


def _is_status(value: str) -> bool:
    return len(value) == 3 and value.isascii() and value.isdigit()


#: Ways to write the ids of a trace into headers, and "baggage".
PROPAGATION_STYLES = ("datadog", "tracecontext", "b3", "b3multi", "baggage")


def propagation_styles(value: str) -> tuple[str, ...]:
    """Names of PROPAGATION_STYLES in any case, separated by commas; `none` is an empty list.

    "b3 single header" is what ddtrace 1.x called `b3`. Raises PartlyUsable for unknown names, which
    are left out.
    """
    known: list[str] = []
    unknown: list[str] = []
    words = [word.strip().lower() for word in value.split(",")]
    for word in words:
        style = "b3" if word == "b3 single header" else word
        if style in PROPAGATION_STYLES:
            if style not in known:
                known.append(style)
        elif style and style != "none":
            unknown.append(style)
    if unknown:
        expected = f"a list of {', '.join(PROPAGATION_STYLES)}, or none"
        if not known and "none" not in words:
            raise ValueError(expected)
        raise PartlyUsable(", ".join(unknown), expected, tuple(known))
    return tuple(known)


def tags_max_length(value: str) -> int:
    """A whole number of characters; a negative one turns x-datadog-tags off, as 0 does."""
    length = integer()(value)
    if length < 0:
        raise PartlyUsable(value.strip(), "a whole number, at least 0", 0)
    return length


def names(value: str) -> tuple[str, ...]:
    """Words separated by commas, without surrounding blanks."""
    return tuple(word.strip() for word in value.split(",") if word.strip())


def exporter(value: str) -> str:
    """Where OTEL_TRACES_EXPORTER sends traces: `agent`, `console`, or `none`, which is no place."""
    word = choice("none", "console", "agent")(value)
    return "agent" if word == "none" else word


def tags(value: str) -> dict[str, str]:
    """`key:value` pairs, separated by commas or, where there is none, by blanks.

    Only the first colon of a pair separates; a key without a colon has the value "", a value
    without a key is left out.
    """
    parts = value.split(",") if "," in value else value.split()
    result: dict[str, str] = {}
    for part in parts:
        key, _, tag = part.partition(":")
        if key.strip():
            result[key.strip()] = tag.strip()
    return result


def switches(value: str) -> dict[str, bool]:
    """`name:true` pairs, separated as those of `tags`; a name alone, or anything else, is false."""
    return {name: word.lower() in _TRUE for name, word in tags(value).items()}


def mapping(value: str) -> dict[str, str]:
    """`from:to` pairs separated by commas, neither side empty."""
    result: dict[str, str] = {}
    for part in value.split(","):
        if not part.strip():
            continue
        old, _, new = part.partition(":")
        if not old.strip() or not new.strip():
            raise ValueError("pairs like old:new, separated by commas")
        result[old.strip()] = new.strip()
    return result


def headers(value: str) -> dict[str, str]:
    """`name:value` pairs of HTTP headers, separated by commas; Latin-1 without control characters.

    The name is a token of RFC 9110; anything else could end the header early.
    """
    result = mapping(value)
    for name, content in result.items():
        if not is_header_name(name) or not is_header_value(content):
            raise ValueError("pairs like Header-Name:value, separated by commas")
    return result


def is_header_name(name: str) -> bool:
    """Whether `name` may be sent as the name of an HTTP header (RFC 9110 `token`)."""
    return (
        name.isascii()
        and bool(name)
        and all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name)
    )


def is_header_value(value: str) -> bool:
    """Whether `value` may be sent as the value of an HTTP header."""
    return all(char == "\t" or (" " <= char <= "\xff" and char != "\x7f") for char in value)


def resource_attributes(value: str) -> dict[str, str]:
    """OTEL_RESOURCE_ATTRIBUTES as tags: `key=value` pairs, of which the first ten count.

    `deployment.environment`, `service.name` and `service.version` become `env`, `service` and
    `version`.
    """
    names = {
        "deployment.environment": "env",
        "service.name": "service",
        "service.version": "version",
    }
    result: dict[str, str] = {}
    for part in value.split(","):
        key, separator, content = part.partition("=")
        if separator and key.strip() and len(result) < _MAX_RESOURCE_ATTRIBUTES:
            result[names.get(key.strip(), key.strip())] = _unquote(content.strip())
    return result


def _unquote(value: str) -> str:
    """Undo percent encoding, as the values of OTEL_RESOURCE_ATTRIBUTES have it."""
    first, *rest = value.split("%")
    decoded = bytearray(first.encode())
    for part in rest:
        try:
            decoded += bytes.fromhex(part[:2]) + part[2:].encode()
        except ValueError:
            decoded += b"%" + part.encode()
    return decoded.decode("utf-8", "replace")


def otel_sample_rate(environ: Mapping[str, str]) -> float | None:
    """The share of traces OTEL_TRACES_SAMPLER and its _ARG ask to keep; None if they do not say."""
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower().removeprefix("parentbased_")
    if not sampler:
        return None
    if sampler == "always_on":
        return 1.0
    if sampler == "always_off":
        return 0.0
    if sampler == "traceidratio":
        try:
            return number(0.0, 1.0)(environ.get("OTEL_TRACES_SAMPLER_ARG", "") or "1")
        except ValueError:
            raise ValueError("OTEL_TRACES_SAMPLER_ARG with a number from 0 to 1") from None
    raise ValueError("always_on, always_off or traceidratio, or one of them after parentbased_")
