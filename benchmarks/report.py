"""From raw bursts to the table of compare.py: minima, ratios, ceilings. Measures nothing itself."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

from scenarios import BY_NAME, SCENARIOS

Bursts = dict[str, dict[str, list[float]]]
"""One run: peer -> scenario -> nanoseconds per span of every burst."""

OURS = {"fasttrace": "", "fasttrace-monotonic": "monotonic ", "fasttrace-inplace": "in place "}
"""The peers that are ours, and how their column "x floor" begins."""
FLOOR_KEYS = {"fasttrace": "x_floor_max", "fasttrace-monotonic": "x_floor_max_monotonic"}
"""The ceiling on that column, in ceilings.json."""
RESTLESS = 1.25
"""A median this much above the minimum means that the machine was busy with something else."""
MARK_BEGIN, MARK_END = "<!-- results -->", "<!-- end of results -->"
PEERS = {
    "ddtrace": "ddtrace_min",
    "otel": "otel_min",
    "sentry": "sentry_min",
    "elastic": "elastic_min",
}
"""Peers that get a "times cheaper" column, and the ceiling key that goes with it."""


def summary(bursts: list[float]) -> dict[str, float]:
    """Minimum, tenth percentile and median of one scenario's bursts, in nanoseconds per span."""
    ordered = sorted(bursts)
    return {
        "min": ordered[0],
        "p10": ordered[len(ordered) // 10],
        "median": statistics.median(ordered),
    }


def minimum(runs: list[Bursts], peer: str, scenario: str) -> float:
    """Median over runs of the run's fastest burst; nan when the peer lacks the scenario."""
    minima = [min(run[peer][scenario]) for run in runs if scenario in run.get(peer, {})]
    return statistics.median(minima) if minima else math.nan


def median_minimum(runs: list[dict[str, Any]], peer: str, scenario: str) -> float:
    """As `minimum`, of runs as `as_json` writes them."""
    return statistics.median(run[peer][scenario]["min"] for run in runs)


def ratio(
    runs: list[Bursts], peer: str, scenario: str, over: str, over_scenario: str | None
) -> float:
    """Median over runs of (fastest burst of `peer`) / (fastest burst of `over`); nan if missing."""
    ratios = [
        min(run[peer][scenario]) / min(run[over][over_scenario])
        for run in runs
        if scenario in run.get(peer, {}) and over_scenario in run.get(over, {})
    ]
    return statistics.median(ratios) if ratios else math.nan


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def table(runs: list[Bursts], peers: list[str]) -> str:
    """The comparison as a Markdown table, one row per scenario."""
    ours = [peer for peer in OURS if peer in peers]
    others = [peer for peer in PEERS if peer in peers]
    head = ["scenario", *(f"{peer} ns" for peer in peers)]
    head += [f"{OURS[peer]}x floor" for peer in ours]
    head += [f"cheaper than {other}" for other in others]
    rows = []
    for scenario in SCENARIOS:
        costs = [minimum(runs, peer, scenario.name) for peer in peers]
        if all(math.isnan(cost) for cost in costs):
            continue
        cells = [scenario.title, *(_number(cost, ",.0f") for cost in costs)]
        for peer in ours:
            cells.append(
                _number(ratio(runs, peer, scenario.name, "floor", scenario.floor_scenario), ".2f")
            )
        for other in others:
            cheaper = ratio(runs, other, scenario.name, "fasttrace", scenario.name)
            cells.append(_number(cheaper, ".1f" if cheaper < 10 else ".0f"))
        rows.append(cells)
    return markdown(head, rows)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = (
        "|"
        + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths))
        + "|"
    )
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def verdicts(runs: list[Bursts], ceilings: dict[str, dict[str, float]]) -> list[tuple[bool, str]]:
    """One (met, sentence) for every ceiling; a ceiling on something not measured is not met."""
    found: list[tuple[bool, str]] = []
    for name, limits in ceilings.items():
        if not limits.keys() - {"ir_max"}:
            continue  # for gate.py
        scenario = BY_NAME[name]
        for ours, key in FLOOR_KEYS.items():
            if key in limits:
                got = ratio(runs, ours, name, "floor", scenario.floor_scenario)
                limit = limits[key]
                claim = f"{OURS[ours]}{got:.2f} x floor, at most {limit:.2f}"
                found.append((got <= limit, f"{scenario.title}: {claim}"))
        for peer, key in PEERS.items():
            if key in limits:
                got = ratio(runs, peer, name, "fasttrace", name)
                limit = limits[key]
                claim = f"{got:.1f} times cheaper than {peer}, at least {limit:g}"
                found.append((got >= limit, f"{scenario.title}: {claim}"))
    return found


def restless(runs: list[Bursts]) -> list[str]:
    """What had a median burst over RESTLESS times its fastest in most runs, as "peer: scenario"."""
    found = []
    for peer in runs[0]:
        for name in runs[0][peer]:
            spreads = []
            for run in runs:
                of = summary(run[peer][name])
                spreads.append(of["median"] / of["min"])
            if statistics.median(spreads) > RESTLESS:
                found.append(f"{peer}: {BY_NAME[name].title}")
    return found


def text(runs: list[Bursts], meta: dict[str, Any]) -> str:
    """The table and, below it, everything a reader needs to judge it."""
    peers = list(meta["peers"])
    lines = [
        table(runs, peers),
        "",
        f"Nanoseconds per span, fastest burst; {meta['runs']} runs of {meta['rounds']} rounds, "
        f"{meta['date']}.",
        "",
        f"* machine: {meta['machine']}",
    ]
    for name, hello in meta["peers"].items():
        versions = ", ".join(f"{key} {value}" for key, value in hello["versions"].items())
        lines.append(f"* {name}: {versions}; {hello['python']}")
    if busy := restless(runs):
        lines += ["", "The machine was busy with other work during: " + "; ".join(busy) + "."]
    return "\n".join(lines)


def put_into(document: str, body: str, name: str = "") -> str:
    """`document` with what stands between the two marks of that name replaced by `body`.

    Raises ValueError if the marks are missing.
    """
    mark = MARK_BEGIN.replace("results", f"results: {name}") if name else MARK_BEGIN
    begin, found, rest = document.partition(mark)
    _, found_end, end = rest.partition(MARK_END)
    if not found or not found_end:
        raise ValueError(f"the document has no lines {mark} and {MARK_END}")
    return f"{begin}{mark}\n\n{body}\n\n{MARK_END}{end}"


def save(arguments: Any, name: str, result: str, raw: Any) -> None:
    """Do what `--document` and `--json` ask for: the result in its place, the raw figures."""
    if arguments.document:
        document = Path(arguments.document)
        document.write_text(put_into(document.read_text(), result, name))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(raw, indent=1) + "\n")


def print_verdicts(found: list[tuple[bool, str]], check: bool) -> int:
    """Print a line per (met, sentence); return 1 if `check` and one of them is missed."""
    for met, sentence in found:
        print(f"{'ok    ' if met else 'MISSED'}  {sentence}")
    return int(check and not all(met for met, _ in found))


def as_json(runs: list[Bursts], meta: dict[str, Any], bursts: bool = True) -> dict[str, Any]:
    """Everything that was measured, for `--json`: summaries and, if wanted, the raw bursts."""

    def described(costs: list[float]) -> dict[str, Any]:
        short = {key: round(value, 1) for key, value in summary(costs).items()}
        return {**short, "bursts": [round(cost, 1) for cost in costs]} if bursts else short

    return {
        "meta": meta,
        "runs": [
            {
                peer: {name: described(costs) for name, costs in by_scenario.items()}
                for peer, by_scenario in run.items()
            }
            for run in runs
        ],
    }
