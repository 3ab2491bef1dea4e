"""Reading numbers and checking characters of header values, strictly and in bounded time.

Python's own int() takes signs, underscores, blanks and any digits of Unicode, and its cost grows
with the square of the length; a header is read by many programs, so only the plain form counts.
"""

from __future__ import annotations

HEX_LOWER = "0123456789abcdef"
SPAN_ID_MAX = (1 << 64) - 1
_DECIMAL_MAX_CHARS = 20  # digits of 2^64-1
_BLANKS_MAX_CHARS = 64  # a longer text is not worth the search for blanks around a number
_PRIORITY_MAX = (1 << 31) - 1


def decimal_id(text: str) -> int | None:
    """The number in `text`, 0 to 2^64-1; None if it is not one. Blanks around it are allowed."""
    if not (text.isdigit() and text.isascii()):
        if len(text) > _BLANKS_MAX_CHARS:
            return None
        text = text.strip()
        if not (text.isdigit() and text.isascii()):
            return None
    if len(text) > _DECIMAL_MAX_CHARS:
        return None
    number = int(text)
    return number if number <= SPAN_ID_MAX else None


def hex_id(text: str, max_digits: int) -> int | None:
    """The number in 1 to `max_digits` hex digits of either case, None if that is not what it is."""
    if 0 < len(text) <= max_digits and text.isalnum() and text.isascii():
        try:
            return int(text, 16)
        except ValueError:
            pass
    return None


_PRIORITIES = {str(number): number for number in (-1, 0, 1, 2)}


def priority(text: str) -> int | None:
    """The sampling priority in `text`, any signed 32-bit number; None if it is not one."""
    number = _PRIORITIES.get(text)
    if number is not None:
        return number
    if len(text) > _BLANKS_MAX_CHARS:
        return None
    text = text.strip()
    digits = text[1:] if text[:1] in ("-", "+") else text
    if len(digits) > 10 or not (digits.isdigit() and digits.isascii()):
        return None
    number = int(text)
    return number if -_PRIORITY_MAX - 1 <= number <= _PRIORITY_MAX else None


def is_decision_maker(text: str) -> bool:
    """Whether `text` is a value of `_dd.p.dm`: -0 to -255, no leading zeros."""
    digits = text[1:]
    if text[:1] != "-" or not 1 <= len(digits) <= 3:
        return False
    if not (digits.isdigit() and digits.isascii()) or (digits[0] == "0" and len(digits) > 1):
        return False
    return int(digits) <= 255


def is_printable(text: str) -> bool:
    """Whether all characters are ASCII from the blank to the tilde: they may stand in a header."""
    return text.isascii() and text.isprintable()


def printable(text: str) -> str:
    """`text` with everything that may not stand in a header replaced by `_`."""
    if is_printable(text):
        return text
    return "".join(char if " " <= char <= "~" else "_" for char in text)
