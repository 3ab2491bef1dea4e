"""Reading sampling rules: from JSON or from the program, into what the compiled core takes.

The fields are those of ddtrace 4.16 (`DD_TRACE_SAMPLING_RULES`, `DD_SPAN_SAMPLING_RULES`) and
those of tail keep. A rule that cannot be read is left out with one warning, which names the
setting, the rule and what was expected. So is a rule with an unknown key: without the condition
that the key may have been it would match traces it was not meant for. The other rules apply.
"""

from __future__ import annotations

from fasttrace import _log
from fasttrace._fork import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from fasttrace.config import Config

    Rules = str | Iterable[Mapping[str, Any]]

# `_dd.p.dm` of a rule by where it comes from; also the order in which rules count
_MECHANISMS = {"customer": 11, "dynamic": 12, "default": 3}
_OVERRIDES = ("inherited", "manual")
_SHOWN_CHARS = 120


class _Wrong(ValueError):
    """A rule that cannot be used; the text says why."""


def compiled(config: Config) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rules for traces and for spans, as `TracerCore._set_sampling` takes them.

    The sample rate is the last rule for traces and matches what no other does.
    """
    rules = trace_rules(config.sampling_rules, _name(config, "sampling_rules"))
    if config.sample_rate is not None:
        rules.append(_trace_rule({"sample_rate": config.sample_rate}))
    spans = span_rules(config.span_sampling_rules, _name(config, "span_sampling_rules"))
    return rules, spans


def trace_rules(rules: Rules, name: str) -> list[dict[str, Any]]:
    """Return the usable ones of `rules`, JSON or mappings, in the order in which they count.

    name: of the setting, for warnings.
    """
    usable = _each(rules, name, _trace_rule)
    order = list(_MECHANISMS.values())
    return sorted(usable, key=lambda rule: order.index(rule["mechanism"]))


def span_rules(rules: Rules, name: str) -> list[dict[str, Any]]:
    """Return the usable ones of rules for single spans, JSON or mappings.

    name: of the setting, for warnings.
    """
    return _each(rules, name, _span_rule)


def _name(config: Config, field: str) -> str:
    """The variable a setting comes from; its own name if the program set it."""
    source = config.source(field)
    return source.removeprefix("env ") if source.startswith("env ") else field


def _each(
    rules: Rules, name: str, read: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    usable = []
    for number, rule in enumerate(_items(rules, name), 1):
        try:
            usable.append(read(rule))
        except _Wrong as error:
            _log.warn(
                f"config {name} {number}",
                f"{name}: rule {number} is left out: {error}: {_shown(rule)}",
            )
    return usable


def _items(rules: Rules, name: str) -> list[Mapping[str, Any]]:
    expected = "a list of rules, each an object with a sample_rate"
    if isinstance(rules, str):
        if not rules.strip():
            return []
        try:
            rules = load("json").loads(rules)
        except (ValueError, RecursionError) as error:
            problem = f"no valid JSON ({error})"
            _log.warn(f"config {name}", f"{name} is ignored: {problem}; expected {expected}")
            return []
    if isinstance(rules, (list, tuple)):
        return list(rules)
    _log.warn(f"config {name}", f"{name} is ignored: expected {expected}, got {_shown(rules)}")
    return []


def _shown(rule: object) -> str:
    try:
        text = repr(rule)
    except Exception:
        text = type(rule).__name__
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


# -- one rule --------------------------------------------------------------------------------------


def _trace_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    fields = _fields(
        rule,
        "sample_rate",
        "service",
        "name",
        "resource",
        "tags",
        "provenance",
        "discard",
        "keep_errors",
        "keep_slower_than_ms",
        "keep_overrides",
    )
    if "sample_rate" not in fields:
        raise _Wrong("it has no sample_rate")
    slower_ms = fields.get("keep_slower_than_ms")
    return {
        "sample_rate": _rate(fields["sample_rate"]),
        "service": _text(fields, "service"),
        "name": _text(fields, "name"),
        "resource": _text(fields, "resource") or None,  # as in ddtrace
        "tags": _tag_globs(fields.get("tags")),
        "mechanism": _mechanism(fields.get("provenance", "default")),
        "discard": _flag(fields, "discard"),
        "keep_errors": _flag(fields, "keep_errors"),
        "keep_slower_than_ns": None
        if slower_ms is None
        else int(_number(slower_ms, "keep_slower_than_ms", 0.0, 1e12) * 1e6),
        "keep_overrides": _overrides(fields.get("keep_overrides")),
    }


def _span_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    fields = _fields(rule, "service", "name", "sample_rate", "max_per_second")
    service, name = _text(fields, "service") or None, _text(fields, "name") or None
    if service is None and name is None:
        raise _Wrong("it has neither service nor name")
    most = fields.get("max_per_second")
    if most is not None:
        most = _number(most, "max_per_second", 0.0, 1e9)
        most = int(most) if most.is_integer() else most
    return {
        "service": service,
        "name": name,
        "sample_rate": _rate(fields.get("sample_rate", 1.0)),
        "max_per_second": most,
    }


def _fields(rule: Mapping[str, Any], *known: str) -> dict[str, Any]:
    if not hasattr(rule, "keys"):
        raise _Wrong("it is no object")
    fields = {key: rule[key] for key in rule.keys()}  # noqa: SIM118 # any mapping
    unknown = sorted(str(key) for key in fields if key not in known)
    if unknown:
        raise _Wrong(f"unknown key {', '.join(unknown)} (known: {', '.join(known)})")
    return fields


def _number(value: object, name: str, least: float, most: float) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else -1.0  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not least <= number <= most:
        bounds = f"from {least:g} to {most:g}" if most < 1e9 else f", at least {least:g}"
        raise _Wrong(f"{name} must be a number {bounds}".replace(" ,", ","))
    return number


def _rate(value: object) -> float:
    return _number(value, "sample_rate", 0.0, 1.0)


def _text(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise _Wrong(f"{key} must be text")
    return value


def _flag(fields: dict[str, Any], key: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise _Wrong(f"{key} must be true or false")
    return value


def _tag_globs(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _Wrong("tags must be an object of patterns by tag name")
    for glob in value.values():
        if not isinstance(glob, (str, int, float)):
            raise _Wrong("tags must be an object of patterns by tag name")
    return {key: str(glob) for key, glob in value.items()}


def _mechanism(provenance: object) -> int:
    if not isinstance(provenance, str) or provenance not in _MECHANISMS:
        raise _Wrong(f"provenance must be one of {', '.join(_MECHANISMS)}")
    return _MECHANISMS[provenance]


def _overrides(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(word in _OVERRIDES for word in value):
        raise _Wrong(f"keep_overrides must be a list of {', '.join(_OVERRIDES)}")
    return tuple(value)
