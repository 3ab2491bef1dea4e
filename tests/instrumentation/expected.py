"""What a span of opentelemetry-sdk has to be for the Datadog agent, and traces made comparable.

`datadog_span` is the table of docs/opentelemetry.md written down a second time, slow and without
the tracer's help. `lines_of` draws traces as text without what differs from one run to the next.
"""

from __future__ import annotations

import json
import re
from typing import Any

LOW_64 = (1 << 64) - 1

#: Tags that the tracer adds by the position of a span, not by its attributes.
OWN_TAGS = {"language", "runtime-id", "process_id", "_sampling_priority_v1"}
#: Attributes that are fields of the span.
FIELDS = {"service.name": "service", "resource.name": "resource", "span.type": "type"}

#: Attributes whose number is that of a connection, a process or a thread.
NUMBERED = re.compile(r"(^|\.)(port|pid)$|^thread\.|^process\.")
#: What differs in texts from one run to the next.
VOLATILE = [
    (re.compile(r"\b(127\.0\.0\.1|localhost|\[::1\]):\d+"), r"\1:PORT"),
    (re.compile(r"\bport=\d+"), "port=PORT"),
    (re.compile(r"'127\.0\.0\.1', \d+"), "'127.0.0.1', PORT"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b0x[0-9a-f]{6,}"), "ADDRESS"),
    (re.compile(r"\bgen\d+@"), "genPID@"),
    (re.compile(r"/tmp/[\w./-]+"), "FILE"),
]


# -- the mapping -----------------------------------------------------------------------------------


def datadog_span(span: dict[str, Any], service: str) -> dict[str, Any]:
    """Return what the agent has to receive for a `span` recorded by opentelemetry-sdk."""
    meta: dict[str, str] = {}
    metrics: dict[str, float] = {}
    fields: dict[str, Any] = {"service": service, "resource": span["name"], "type": ""}
    if span["kind"] != "INTERNAL":
        meta["span.kind"] = span["kind"].lower()
    for key, value in span["attributes"].items():
        if key in FIELDS:
            fields[FIELDS[key]] = value
        elif key in ("http.status_code", "http.response.status_code"):
            meta["http.status_code"] = str(value)
        elif key != "operation.name":
            _put(meta, metrics, key, value)
    # error.message is of what came last: an exception recorded, or the description of a status.
    after, description = span["described"] or (None, "")
    for i, event in enumerate([*span["events"], None]):
        if i == after and span["status"] == "ERROR":
            meta["error.message"] = description
        if event and event["name"] == "exception":
            given = event["attributes"]
            meta["error.type"] = _type_name(given["exception.type"])
            meta["error.message"] = given["exception.message"]
            meta["error.stack"] = given["exception.stacktrace"]
    return {
        **fields,
        "trace_id": span["trace_id"] & LOW_64,
        "span_id": span["span_id"],
        "parent_id": span["parent_id"] or 0,
        "name": operation(span["kind"], span["attributes"]),
        "error": int(span["status"] == "ERROR"),
        "meta": meta,
        "metrics": metrics,
        # The stack of an exception is in error.stack, not in the event a second time.
        "events": [
            {
                "name": event["name"],
                "attributes": {
                    key: _type_name(value) if key == "exception.type" else value
                    for key, value in event["attributes"].items()
                    if key != "exception.stacktrace"
                },
            }
            for event in span["events"]
        ],
        "links": [
            {
                "trace_id": link["trace_id"] & LOW_64,
                "span_id": link["span_id"],
                "attributes": _flat(link["attributes"]),
            }
            for link in span["links"]
        ],
    }


def _type_name(name: str) -> str:
    """Return the name of an exception's class as ddtrace writes it: always with a module."""
    return name if "." in name else f"builtins.{name}"


def _flat(attributes: dict[str, Any]) -> dict[str, str]:
    """Return the attributes of a link: texts, an item of a sequence under a key of its own."""
    flat: dict[str, str] = {}
    for key, value in attributes.items():
        if isinstance(value, (list, tuple)):
            flat.update(_flat({f"{key}.{i}": item for i, item in enumerate(value)}))
        else:
            flat[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


def _put(meta: dict[str, str], metrics: dict[str, float], key: str, value: Any) -> None:
    """Text goes to meta, numbers and truth values to metrics, sequences to a tag for each item."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _put(meta, metrics, f"{key}.{i}", item)
    elif isinstance(value, (bool, int, float)):
        metrics[key] = float(value)
    else:
        meta[key] = str(value)


def operation(kind: str, attributes: dict[str, Any]) -> str:
    """Return the operation name that a span with these attributes has."""

    def of(key: str) -> str:
        return str(attributes.get(key, "")).lower()

    if attributes.get("operation.name"):
        return str(attributes["operation.name"])
    server, client = kind == "SERVER", kind == "CLIENT"
    side = kind.lower()
    both = server or client
    rows = [
        (both and of("http.request.method"), f"http.{side}.request"),
        (client and of("db.system"), f"{of('db.system')}.query"),
        (
            kind != "INTERNAL" and of("messaging.system") and of("messaging.operation"),
            f"{of('messaging.system')}.{of('messaging.operation')}",
        ),
        (
            client and of("rpc.system") == "aws-api",
            f"aws.{of('rpc.service') or 'client'}.request",
        ),
        (both and of("rpc.system"), f"{of('rpc.system')}.{side}.request"),
        (
            client and of("faas.invoked_provider") and of("faas.invoked_name"),
            f"{of('faas.invoked_provider')}.{of('faas.invoked_name')}.invoke",
        ),
        (server and of("faas.trigger"), f"{of('faas.trigger')}.invoke"),
        (of("graphql.operation.type"), "graphql.server.request"),
        (both and of("network.protocol.name"), f"{of('network.protocol.name')}.{side}.request"),
        (both, f"{side}.request"),
    ]
    return next((name for fits, name in rows if fits), side)


def received_span(span: dict[str, Any]) -> dict[str, Any]:
    """Return a span as the agent decoded it, without the tags of the tracer's own."""
    meta = _given(span.get("meta") or {})
    # As text until the tracer knows that this agent takes them as they are.
    events = [
        {"name": event["name"], "attributes": event.get("attributes", {})}
        for event in json.loads(meta.pop("events", "[]"))
    ] or [
        {
            "name": event["name"],
            "attributes": {k: _plain(v) for k, v in event.get("attributes", {}).items()},
        }
        for event in span.get("span_events") or []
    ]
    return {
        "trace_id": span["trace_id"],
        "span_id": span["span_id"],
        "parent_id": span.get("parent_id") or 0,
        "name": span["name"],
        "service": span["service"],
        "resource": span["resource"],
        "type": span.get("type") or "",
        "error": span.get("error", 0),
        "meta": meta,
        "metrics": _given(span.get("metrics") or {}),
        "events": events,
        "links": [
            {key: link.get(key, {}) for key in ("trace_id", "span_id", "attributes")}
            for link in span.get("span_links") or []
        ],
    }


def _plain(value: dict[str, Any]) -> Any:
    """Return the value of an attribute of a native event."""
    if value["type"] == 4:
        return [_plain(item) for item in value["array_value"]["values"]]
    names = ("string_value", "bool_value", "int_value", "double_value")
    return value[names[value["type"]]]


def _given(tags: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in tags.items()
        if key not in OWN_TAGS and not key.startswith("_dd.")
    }


# -- traces as text --------------------------------------------------------------------------------


def lines_of(spans: list[dict[str, Any]]) -> list[str]:
    """Draw traces: a paragraph for each span, children indented, all in an order of their own.

    Siblings are sorted by their text, as the order in which concurrent ones end is nobody's.
    """
    known = {(span["trace_id"], span["span_id"]): span for span in spans}
    assert len(known) == len(spans), "two spans have the same ids"
    children: dict[tuple[int, int], list[dict[str, Any]]] = {}
    roots = []
    for span in spans:
        above = (span["trace_id"], span["parent_id"])
        if above in known:
            children.setdefault(above, []).append(span)
        else:
            roots.append(span)

    def draw(span: dict[str, Any], indent: str) -> list[str]:
        below = children.get((span["trace_id"], span["span_id"]), [])
        drawn = sorted(draw(child, indent + "    ") for child in below)
        return [
            *(indent + line for line in _facts(span, known)),
            *(line for child in drawn for line in child),
        ]

    return [line for root in sorted(draw(root, "") for root in roots) for line in root]


def _facts(span: dict[str, Any], known: dict[tuple[int, int], dict[str, Any]]) -> list[str]:
    parent = "" if not span["parent_id"] else " (its parent is not here)"
    if (span["trace_id"], span["parent_id"]) in known:
        parent = ""
    title = f"- {_stable('', span['resource'])}: {span['name']}, {span['service']}{parent}"
    lines = [title + f" {span['type']}" * bool(span["type"]) + " ERROR" * span["error"]]
    tags = {**span["meta"], **{key: float(value) for key, value in span["metrics"].items()}}
    lines += [f"  {key} = {_stable(key, tags[key])!r}" for key in sorted(tags)]
    for event in span["events"]:
        given = {key: _stable(key, value) for key, value in event["attributes"].items()}
        lines.append(f"  event {event['name']} {json.dumps(given, sort_keys=True)}")
    for link in span["links"]:
        to = known.get((link["trace_id"], link["span_id"]))
        target = _stable("", to["resource"]) if to else "a span that is not here"
        lines.append(f"  link to {target} {json.dumps(link['attributes'], sort_keys=True)}")
    return lines


def _stable(key: str, value: Any) -> Any:
    """Return a value without what differs from one run to the next."""
    if NUMBERED.search(key):
        return f"some {type(value).__name__}"
    if not isinstance(value, str):
        return value
    if key == "error.stack":
        value = _stack_of_program(value)
    for pattern, replacement in VOLATILE:
        value = pattern.sub(replacement, value)
    return value


def _stack_of_program(stack: str) -> str:
    """Return where in programs/ an exception passed, and its last line.

    The other frames are those of the two tracers and of what they have in common.
    """
    frames = re.findall(r'File "[^"]*/programs/([^"]*)", line (\d+), in (\S+)', stack)
    places = [f"{name}:{line} {function}" for name, line, function in frames]
    return " > ".join([*places, stack.rstrip().rpartition("\n")[2]])
