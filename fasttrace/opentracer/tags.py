"""Tags that mean more than being there.

| OpenTracing tag | what it does to the span |
|---|---|
| span.type | its type |
| service.name | its service |
| resource.name, db.statement | its resource |
| peer.hostname | tag out.host |
| peer.port | tag network.destination.port |
| sampling.priority | the sampling priority of its trace |
| error | whether it failed |

All others are set as they are. Follows ddtrace 2.21 but for `error`, which there is a tag only.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fasttrace._span import Span

_NAMES = {
    "RESOURCE_NAME": "resource.name",
    "SAMPLING_PRIORITY": "sampling.priority",
    "SERVICE_NAME": "service.name",
    "SPAN_TYPE": "span.type",
    "TARGET_HOST": "out.host",
    "TARGET_PORT": "network.destination.port",
}
TagNames = namedtuple("TagNames", list(_NAMES))  # type: ignore[misc]  # as above
Tags = TagNames(**_NAMES)

_NO = frozenset({"", "0", "false", "no"})
_YES = frozenset({"1", "true", "yes"})


def set_error(span: Span, value: object) -> None:
    """Mark `span` as failed, or as not; a value that says more than that becomes a tag as well."""
    if isinstance(value, (bool, int, float)) or value is None:
        span.error = 1 if value else 0
        return
    word = value.strip().lower() if isinstance(value, str) else ""
    if isinstance(value, str) and word in _NO:
        span.error = 0
        return
    span.error = 1
    if word not in _YES:
        span.set_tag("error", value)


def _set_type(span: Span, value: Any) -> None:
    span.span_type = value


def _set_service(span: Span, value: Any) -> None:
    span.service = value


def _set_resource(span: Span, value: Any) -> None:
    span.resource = value


def _set_host(span: Span, value: Any) -> None:
    span.set_tag_str(_NAMES["TARGET_HOST"], value)


def _set_port(span: Span, value: Any) -> None:
    span.set_tag(_NAMES["TARGET_PORT"], value)


def _set_priority(span: Span, value: Any) -> None:
    span.context.sampling_priority = value


#: OpenTracing tag -> what sets it.
SPECIAL: dict[str, Callable[[Span, Any], None]] = {
    "span.type": _set_type,
    "service.name": _set_service,
    "resource.name": _set_resource,
    "db.statement": _set_resource,
    "peer.hostname": _set_host,
    "peer.port": _set_port,
    "sampling.priority": _set_priority,
    "error": set_error,
}
