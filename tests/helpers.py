"""What tests share and no fixture is: offline tracers, what they encoded, child processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from reference import decode_payload

if TYPE_CHECKING:
    from fasttrace import Tracer

#: How long a child process may run before the test fails, s.
CHILD_TIMEOUT_S = 120.0


#: Counters of `Tracer.stats()`, in spans: where they come from, where they are.
SOURCES = ("finished", "added_by_filter")
PLACES = ("held", "buffered", "in_flight", "sent", "unconfirmed")

#: What tests have measured, for the end of the run.
figures: list[str] = []


def note_figure(text: str) -> None:
    """Have `text` shown, beside the name of the test that runs, when the run has ended."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0].partition("::")[2]
    figures.append(f"{test}: {text}".replace("\n", "; "))


class Accounts:
    """Sums of what many tracers counted, for the end of the run."""

    def __init__(self) -> None:
        self.tests = 0  #: after which every tracer was checked
        self.tracers = 0
        self._spans: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def add(self, stats: dict[str, Any]) -> None:
        """Count a tracer that is done with."""
        self.tracers += 1
        self._dropped.update(stats["dropped"])
        self._spans.update({name: stats[name] for name in (*SOURCES, *PLACES)})

    def figure(self) -> str:
        """Both sides of the equation, in spans, and what is between them."""
        spans = {**self._spans, "dropped": self._dropped}
        places = {**{name: self._spans[name] for name in PLACES}, "dropped": self._dropped.total()}
        made = " + ".join(f"{self._spans[name]:,} {name}" for name in SOURCES)
        found = " + ".join(f"{count:,} {name}" for name, count in places.items())
        return (
            f"accounting, checked after {self.tests:,} tests, of {self.tracers:,} tracers: "
            f"{made} = {found}, difference {accounting_difference(spans)}; "
            f"{len(self._dropped)} reasons"
        )


def accounting_difference(stats: dict[str, Any]) -> int:
    """How many spans `stats` cannot account for; 0 if every one is in exactly one place."""
    accounted = sum(stats[place] for place in PLACES) + sum(stats["dropped"].values())
    return int(sum(stats[source] for source in SOURCES) - accounted)


def _no_flusher() -> None:
    """In place of starting the flusher: leave finished chunks in the buffer for the test."""


def make_offline_tracer(**config: Any) -> Tracer:
    """Return a Tracer that never sends, configured by `config` alone, not by the environment."""
    from fasttrace import Tracer
    from fasttrace.config import Config

    tracer = Tracer(config=Config.from_env({}, **{"service": "svc", **config}))
    tracer._on_first_chunk = _no_flusher
    return tracer


def take_payloads(tracer: Any) -> list[tuple[str, bytes]]:
    """Take what `tracer` has buffered: pairs of API version and request body.

    The spans count as dropped, for the reason 'test'.
    """
    taken = []
    for payload in tracer._swap():
        body = b"".join(map(bytes, payload.buffers()))
        assert len(body) == payload.nbytes, "Content-Length differs from the length of the body"
        chunks = decode_payload(body, payload.api_version)
        assert len(chunks) == payload.trace_count, (
            "X-Datadog-Trace-Count differs from the chunks in the body"
        )
        assert sum(map(len, chunks)) == payload.span_count, (
            "the payload's span count differs from its spans"
        )
        taken.append((payload.api_version, body))
        tracer._settle(payload, "test")
    return taken


def chunks_of(tracer: Any) -> list[list[dict[str, Any]]]:
    """Take and decode what `tracer` has buffered: chunks, each a list of v0.4-shaped spans."""
    return [
        chunk for version, body in take_payloads(tracer) for chunk in decode_payload(body, version)
    ]


def spans_of(tracer: Any) -> list[dict[str, Any]]:
    """Take and decode what `tracer` has buffered: every span, in the order of the wire."""
    return [span for chunk in chunks_of(tracer) for span in chunk]


def by_name(spans: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Index decoded spans by name. Raises AssertionError if two have the same name."""
    named = {span["name"]: span for span in spans}
    assert len(named) == len(spans), f"names repeat: {[span['name'] for span in spans]}"
    return named


def run_python(
    code: str, *args: str, env: dict[str, str] | None = None, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter, in an empty directory; assert its exit status; return it.

    The working directory matters: the interpreter puts it first on the path, and in the project's
    own directory it would find the package's sources instead of the installed package.
    """
    with tempfile.TemporaryDirectory(prefix="ft-child-") as empty:
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *args],
            env=env,
            cwd=empty,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHILD_TIMEOUT_S,
        )
    assert result.returncode == expect, (
        f"exit status {result.returncode}, expected {expect}\n{result.stdout}\n{result.stderr}"
    )
    return result
