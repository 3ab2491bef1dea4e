"""Compare the normalised outcome of one case under two libraries."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


class _Word:
    def __init__(self, word: str) -> None:
        self._word = word

    def __repr__(self) -> str:
        return self._word


ABSENT = _Word("ABSENT")  # the key exists on the other side only
ANY = _Word("ANY")  # in a table row: any value, but not ABSENT


@dataclass(frozen=True)
class Outcome:
    """What one case did under one library."""

    chunks: list[list[dict[str, Any]]]
    said: dict[str, str]
    raised: str


@dataclass(frozen=True)
class Difference:
    """One value that differs: where, ours, theirs."""

    case: str
    oracle: str
    key: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.case} [{self.oracle}] {self.key}: ours {_short(self.ours)}, theirs {_short(self.theirs)}"


@dataclass(frozen=True)
class Row:
    """A deliberate difference.  *case* and *key* are globs, *oracle* a version or ``*``.

    *ours* and *theirs* are exact values, ``ABSENT``, ``ANY`` or a predicate of one argument.
    """

    case: str
    key: str
    ours: Any
    theirs: Any
    reason: str
    oracle: str = "*"

    def explains(self, difference: Difference) -> bool:
        """True when this row allows *difference*."""
        return (
            self.oracle in ("*", difference.oracle)
            and fnmatchcase(difference.case, self.case)
            and fnmatchcase(difference.key, self.key)
            and _matches(self.ours, difference.ours)
            and _matches(self.theirs, difference.theirs)
        )


def compare(case: str, oracle: str, ours: Outcome, theirs: Outcome) -> list[Difference]:
    """Every difference between two outcomes.

    Chunks, and the spans of a chunk, are lined up by span names, so that one that is missing is one
    difference and does not shift the rest.
    """
    pairs: dict[str, tuple[Any, Any]] = {"raised": (ours.raised, theirs.raised)}
    for label in dict.fromkeys([*ours.said, *theirs.said]):
        pairs[f"said/{label}"] = (ours.said.get(label, ABSENT), theirs.said.get(label, ABSENT))
    for number, (mine, other) in enumerate(_line_up(ours.chunks, theirs.chunks, _names)):
        where = f"chunk {number}"
        if mine is None or other is None:
            pairs[where] = (_chunk_summary(mine), _chunk_summary(other))
            continue
        for position, (span, twin) in enumerate(_line_up(mine, other, _name)):
            _pair_spans(pairs, f"{where}/span {position}", span, twin)
    found = [
        Difference(case, oracle, key, a, b)
        for key, (a, b) in pairs.items()
        if a is not b and a != b
    ]
    if theirs.raised:  # equal failures would prove nothing
        found.append(Difference(case, oracle, "the script itself", ABSENT, theirs.raised))
    return found


def _line_up(mine: list[Any], others: list[Any], name: Any) -> list[tuple[Any, Any]]:
    """Pairs of items with equal names, in order; what has no partner is paired with None."""
    pairs: list[tuple[Any, Any]] = []
    matcher = difflib.SequenceMatcher(
        None, [name(x) for x in mine], [name(x) for x in others], autojunk=False
    )
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal" or b - a == d - c:
            pairs.extend(zip(mine[a:b], others[c:d], strict=True))
        else:
            pairs.extend((item, None) for item in mine[a:b])
            pairs.extend((None, item) for item in others[c:d])
    return pairs


def _name(span: dict[str, Any]) -> str:
    return str(span["name"])


def _names(chunk: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(_name(span) for span in chunk)


def _pair_spans(pairs: dict[str, tuple[Any, Any]], where: str, mine: Any, other: Any) -> None:
    if mine is None or other is None:
        pairs[where] = tuple(ABSENT if span is None else _summary(span) for span in (mine, other))
        return
    left, right = _flat(mine), _flat(other)
    for key in dict.fromkeys([*left, *right]):
        pairs[f"{where} {_name(other)}/{key}"] = (left.get(key, ABSENT), right.get(key, ABSENT))


def _flat(span: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in span.items():
        if key in ("meta", "metrics"):
            for name, item in value.items():
                if name in ("_dd.span_links", "events"):
                    flat[f"{key}/{name}"] = f"{len(item)} items"
                    for index, part in enumerate(item):
                        flat.update((f"{key}/{name} {index}/{k}", v) for k, v in part.items())
                else:
                    flat[f"{key}/{name}"] = item
        elif key in ("span_links", "span_events"):
            for index, item in enumerate(value):
                flat.update((f"{key} {index}/{name}", part) for name, part in item.items())
        else:
            flat[key] = value
    return flat


def _summary(span: dict[str, Any]) -> str:
    return f"{span['name']} below {span['parent_id']}"


def _chunk_summary(chunk: list[dict[str, Any]] | None) -> Any:
    return ABSENT if chunk is None else [_summary(span) for span in chunk]


def _matches(expected: Any, actual: Any) -> bool:
    if expected is ANY:
        return actual is not ABSENT
    if expected is ABSENT or actual is ABSENT:
        return expected is actual
    if callable(expected):
        return bool(expected(actual))
    return bool(expected == actual)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:600]}... ({len(text)} characters)"
