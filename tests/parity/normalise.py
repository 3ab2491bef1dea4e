"""Turn what one process sent into values that two libraries can be compared by.

Ids become labels: a span is called by its name (and a number when the name repeats, in the order
received), a trace by its first span; ids spelled out in a script stay as they are.  Wall times of
the run are dropped, times chosen by a script stay.  runtime-id, process_id and the seconds inside a
generated 128-bit id are masked, with equal values keeping equal masks.  Absent and empty mean the
same where the agent makes no difference (service, resource, type, error, parent_id, maps), and every
metric is the float64 the agent reads.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgpack

_V05_FIELDS = (
    "service", "name", "resource", "trace_id", "span_id", "parent_id",
    "start", "duration", "error", "meta", "metrics", "type",
)  # fmt: skip
_V05_STRINGS = {"service", "name", "resource", "type"}
_HEX32 = re.compile(r"[0-9a-f]{32}")
_GENERATED_TID = re.compile(r"[0-9a-f]{8}0{8}")
MARKER = "parity.marker"
# a frame of either library, wherever it is installed, but not one of these tests in its repository
_LIBRARY_FRAME = re.compile(r'/(dd|fast)trace/(?!tests/|fasttrace/)|\.p(yx|xi)"')
LONG_NS = 50 * 10**9  # durations of 50 s and more can only have been chosen by the script


def decode(url: str, body: bytes) -> list[list[dict[str, Any]]]:
    """Chunks of one trace payload, as lists of span maps."""
    data = msgpack.unpackb(body, strict_map_key=False, unicode_errors="surrogateescape")
    if "/v0.4/" in url:
        return data
    strings, chunks = data
    return [[_v05_span(strings, row) for row in chunk] for chunk in chunks]


def _v05_span(strings: list[str], row: list[Any]) -> dict[str, Any]:
    if len(row) != len(_V05_FIELDS):
        raise ValueError(f"a v0.5 span has {len(row)} fields")
    span = dict(zip(_V05_FIELDS, row, strict=True))
    for key in _V05_STRINGS:
        span[key] = strings[span[key]]
    span["meta"] = {strings[k]: strings[v] for k, v in span["meta"].items()}
    span["metrics"] = {strings[k]: v for k, v in span["metrics"].items()}
    return span


def split_by_marker(
    chunks: list[list[dict[str, Any]]], names: list[str]
) -> dict[str, list[list[dict[str, Any]]]]:
    """Give each case the chunks that arrived before its marker."""
    result: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in names}
    pending: list[list[dict[str, Any]]] = []
    for chunk in chunks:
        if len(chunk) == 1 and chunk[0]["name"] == MARKER:
            result[chunk[0]["resource"]].extend(pending)
            pending = []
        else:
            pending.append(chunk)
    result[names[-1]].extend(pending)  # none, unless the process died
    return result


class Normaliser:
    """Labels and masks for the chunks of one case."""

    def __init__(
        self, constants: frozenset[int], begin_s: float, end_s: float, alone: bool
    ) -> None:
        self._alone = alone
        self._constants = constants
        self._begin_s = begin_s - 3600
        self._end_s = end_s + 3600
        self._spans: dict[int, str] = {}
        self._traces: dict[int, str] = {}
        self._masks: dict[str, dict[Any, str]] = {}

    def chunks(self, chunks: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """Normalised copies of *chunks*, in the order received."""
        self._name_ids(chunks)
        return [[self._span(span) for span in chunk] for chunk in chunks]

    def _name_ids(self, chunks: list[list[dict[str, Any]]]) -> None:
        counts: dict[str, int] = {}
        for chunk in chunks:
            for span in chunk:
                name = span.get("name") or "<no name>"
                counts[name] = counts.get(name, 0) + 1
                label = name if counts[name] == 1 else f"{name}#{counts[name]}"
                self._spans.setdefault(span["span_id"], label)
                self._traces.setdefault(span["trace_id"], f"trace of {label}")

    def _mask(self, kind: str, value: Any) -> str:
        seen = self._masks.setdefault(kind, {})
        return seen.setdefault(value, f"<{kind} {len(seen) + 1}>")

    def _id(self, value: int, labels: dict[int, str]) -> int | str:
        if value in self._constants or value < 2**32:
            return value
        return labels.get(value) or self._mask("unknown id", value)

    def _span(self, span: dict[str, Any]) -> dict[str, Any]:
        meta = {key: self._meta(key, value) for key, value in (span.get("meta") or {}).items()}
        metrics = {
            key: self._metric(key, value) for key, value in (span.get("metrics") or {}).items()
        }
        start_s = span["start"] / 1e9
        explicit = not self._begin_s < start_s < self._end_s
        duration = span["duration"]
        return {
            "name": span["name"],
            "service": span.get("service") or "",
            "resource": span.get("resource") or "",
            "type": span.get("type") or "",
            "error": span.get("error") or 0,
            "trace_id": self._id(span["trace_id"], self._traces),
            "span_id": self._spans[span["span_id"]],
            "parent_id": self._id(span.get("parent_id") or 0, self._spans),
            "start": span["start"] if explicit else "<now>",
            "duration": duration if duration >= LONG_NS or duration < 0 else "<short>",
            "meta": meta,
            "metrics": metrics,
            "span_links": [self._link(link) for link in span.get("span_links") or []],
            "span_events": [self._event(event) for event in span.get("span_events") or []],
            "other": sorted(set(span) - _KNOWN_KEYS),
        }

    def _meta(self, key: str, value: Any) -> Any:
        if key == "runtime-id" and _HEX32.fullmatch(value):
            return self._mask("runtime-id", value)
        if (
            key == "_dd.p.tid"
            and _GENERATED_TID.fullmatch(value)
            and self._is_now(int(value[:8], 16))
        ):
            return "<seconds>"
        if key == "_dd.parent_id":
            return self._id(int(value, 16), self._spans)
        if key == "_dd.span_links":
            return [self._json_link(link) for link in json.loads(value)]
        if key == "events":
            return [self._event(event) for event in json.loads(value)]
        if (
            isinstance(value, dict) and "string_value" in value
        ):  # a typed attribute of a native event
            return {**value, "string_value": self._meta(key, value["string_value"])}
        if key == "error.stack" or key.endswith("stacktrace"):
            return stack_frames(value)
        return value

    def _metric(self, key: str, value: Any) -> Any:
        if key == "_dd.tracer_kr" and not self._alone and 0 < value <= 1:
            return "<keep rate>"  # other cases of the process lost traces on purpose
        if key == "process_id":
            return self._mask("pid", value)
        return float(value)

    def _is_now(self, seconds: int) -> bool:
        return self._begin_s < seconds < self._end_s

    def _link(self, link: dict[str, Any]) -> dict[str, Any]:
        high = link.get("trace_id_high") or 0
        return {
            "trace_id": self._id(link["trace_id"], self._traces),
            "trace_id_high": "<now>" if self._is_now(high >> 32) else high,
            "span_id": self._id(link["span_id"], self._spans),
            "attributes": link.get("attributes") or {},
            "tracestate": link.get("tracestate") or "",
            "flags": link.get("flags"),
            "dropped_attributes_count": link.get("dropped_attributes_count", 0),
        }

    def _json_link(self, link: dict[str, Any]) -> dict[str, Any]:
        trace_id = int(link["trace_id"], 16)
        high = trace_id >> 64
        return {
            **link,
            "trace_id": self._id(trace_id & (2**64 - 1), self._traces),
            "trace_id_high": "<now>" if self._is_now(high >> 32) else high,
            "span_id": self._id(int(link["span_id"], 16), self._spans),
            "width": [len(link["trace_id"]), len(link["span_id"])],
        }

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        event = dict(event)
        if self._is_now(event.get("time_unix_nano", 0) // 10**9):
            event["time_unix_nano"] = "<now>"
        attributes = event.get("attributes")
        if attributes:
            event["attributes"] = {key: self._meta(key, value) for key, value in attributes.items()}
        return event


_KNOWN_KEYS = {
    "service", "name", "resource", "trace_id", "span_id", "parent_id", "start", "duration", "error",
    "meta", "metrics", "type", "span_links", "span_events",
}  # fmt: skip


def stack_frames(text: str) -> list[str]:
    """Lines of a traceback without marker lines under the source and without frames of the library."""
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line.strip() and not line.strip(" ^~"):
            continue
        if line.startswith("  File "):
            skipping = bool(_LIBRARY_FRAME.search(line))
        elif skipping and line.startswith("    "):
            continue
        else:
            skipping = False
        if not skipping:
            kept.append(line.rstrip())
    if len(kept) > 1 and kept[0].startswith("Traceback") and not kept[1].startswith("  "):
        del kept[0]  # the heading of no frames
    return kept


def printed(value: str) -> str:
    """A printed value without the library's name and without addresses."""
    value = value.replace("fasttrace", "ddtrace")
    return re.sub(r"\b0x[0-9a-f]{6,}", "0x..", value)
