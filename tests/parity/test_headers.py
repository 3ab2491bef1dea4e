"""fasttrace reads and writes the headers ddtrace 4.16 does: random headers under both, compared.

The headers avoid what docs/propagation.md lists as different; everything else is as it comes, well
or badly formed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from parity.pairs import ROUNDS, SEED, answers, assert_none, difference

HIGH = "640cfd8d00000000"
LOW = "000000000000007b"  # 123
ENVIRONS = {
    "default": {},
    "first": {"DD_TRACE_PROPAGATION_EXTRACT_FIRST": "true"},
    "restart": {"DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT": "restart"},
    "ignore": {"DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT": "ignore"},
    "b3": {"DD_TRACE_PROPAGATION_STYLE": "b3,b3multi,tracecontext"},
    "tracecontext": {
        "DD_TRACE_PROPAGATION_STYLE": "tracecontext,datadog,baggage",
        "DD_TRACE_BAGGAGE_TAG_KEYS": "*",
    },
    "b3 alone": {"DD_TRACE_PROPAGATION_STYLE": "b3"},
    "mixed": {
        "DD_TRACE_PROPAGATION_STYLE_EXTRACT": "b3multi,datadog",
        "DD_TRACE_PROPAGATION_STYLE_INJECT": "b3,none",
    },
    "ot-baggage": {"DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED": "true"},
    "no tags": {"DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH": "0"},
    "few tags": {"DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH": "40"},
    "some baggage": {"DD_TRACE_BAGGAGE_TAG_KEYS": "k1,k20,,user.id"},
    "otel": {"OTEL_PROPAGATORS": "b3,tracecontext"},
}


class Headers:
    """Makes random headers for the environment of that name."""

    def __init__(self, name: str) -> None:
        self.rng = random.Random(f"{SEED} {name}")
        # Beside other styles a decision without ids hides the trace from ddtrace.
        self.decisions = ("0", "1", "d", "x", "") if name == "b3 alone" else ()
        # What cannot stand in ot-baggage-* ddtrace sends all the same.
        self.odd_baggage = () if name == "ot-baggage" else ("k%20e=v%2C1%3D%C3%A9", "\u00e9=\u00fc")

    def pick(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def letters(self, alphabet: str, most: int) -> str:
        return "".join(self.rng.choices(alphabet, k=self.rng.randint(0, most)))

    def decimal(self) -> str:
        return self.pick("123", "123", "12379813738877118345", "0", str(2**64 - 1), "", "abc")

    def parent(self) -> str:
        # Never 0 or missing: with a traceparent of the same trace ddtrace then extracts nothing.
        return self.pick("456", "456", "4660", "", "abc", str(2**64 - 1))

    def priority(self) -> str:
        return self.pick("1", "2", "0", "-1", "99", "x", "", "-3", " 1", "1.5")

    def tags(self) -> str:
        parts = []
        for _ in range(self.rng.randint(0, 5)):
            value = self.letters('abcdef0123=~;: -_/"%', 60).strip() or "v"
            parts.append(
                self.pick(
                    f"_dd.p.dm=-{self.pick('0', '1', '4', '12', '255', '256')}",
                    f"_dd.p.tid={self.pick(HIGH, HIGH, HIGH.upper(), '0' * 16, 'zz')}",
                    "_dd.p.usr.id=abc=",
                    "_dd.p.upstream_services=x",
                    "other=1",
                    f"_dd.p.k{self.rng.randint(0, 9)}={value}",
                    "bad" if self.rng.random() < 0.2 else "_dd.p.ok=1",
                    "_dd.p.\u00e9=1" if self.rng.random() < 0.1 else "_dd.p.ok=2",
                    "_dd.p.x=" + "y" * self.rng.choice((10, 200)),
                )
            )
        return ",".join(parts)

    def trace(self) -> str:
        return self.pick(
            HIGH + LOW, HIGH + LOW, "0" * 16 + LOW, HIGH + "abcdef0123456789", "0" * 32
        )

    def span(self) -> str:
        return self.pick("0000000000001234", "00000000000001c8", "0" * 16, "f" * 16)

    def traceparent(self) -> str:
        version = self.pick("00", "00", "00", "00", "01", "ff", "cc")
        end = self.pick("", "", "", "", "", "-", "-x")
        return f"{version}-{self.trace()}-{self.span()}-{self.pick('00', '01', '02', '03')}{end}"

    def dd(self) -> str:
        fields = ["s:" + self.pick("1", "2", "0", "-1", "99", "x", "1.5", "")]
        for _ in range(self.rng.randint(0, 5)):
            key = self.letters("abcde._-", 5) or "k"
            fields.append(
                self.pick(
                    f"o:{self.pick('rum', 'rum', 'synthetics', 'a~b')}",
                    f"p:{self.pick('00000000000000ab', '0000000000001234')}",
                    f"t.dm:{self.pick('-4', '-0')}",
                    "t.usr.id:ab~",
                    f"t.{key}:v{self.letters('abc=~: -_/', 30)}x",
                    "x:y",
                    "bad" if self.rng.random() < 0.2 else "q:r",
                )
            )
        self.rng.shuffle(fields)
        return "dd=" + ";".join(fields)

    def tracestate(self) -> str:
        members = []
        for _ in range(self.rng.choice((1, 1, 2, 3, 3, 40))):
            length = self.rng.choice((1, 5, 20, 130, 200))
            members.append(
                self.pick(
                    f"k{self.rng.randint(0, 99)}={'v' * length}", "a=1", "foo@bar=x", "z=9", ""
                )
            )
        members.insert(0, "k=v" if self.rng.random() < 0.97 else "k=\u00e9")  # within the limits
        for _ in range(self.rng.choice((0, 1, 1, 1, 2))):
            members.insert(self.rng.randint(0, len(members)), self.dd())
        return self.pick(",", " , ", ",").join(members)

    def b3_trace(self) -> str:
        return self.pick(HIGH + LOW, LOW, (HIGH + LOW).upper(), "7b", "zz")

    def b3_span(self) -> str:
        return self.pick("00000000000001c8", "f" * 16, "1")

    def b3(self) -> str:
        both = f"{self.b3_trace()}-{self.b3_span()}"
        whole = [f"{both}-{end}" for end in ("0", "1", "d", "true", "1-ab")]
        return self.pick(both, *whole, *self.decisions)

    def baggage(self) -> str:
        pairs = []
        count = self.rng.choice((1, 1, 2, 3, 3, 70))
        bad_share = 0.1 if count < 4 else 0.0  # one at the very limit spoils all for ddtrace
        for _ in range(count):
            pairs.append(
                self.pick(
                    f"k{self.rng.randint(0, 99)}=v",
                    "user.id=42",
                    " a = b ",
                    *self.odd_baggage,
                    "x=1;p=2",
                    "a=b=c",
                    "bad" if self.rng.random() < bad_share else "ok=1",
                    "=v" if self.rng.random() < bad_share else "m=n",
                    "big=" + "z" * self.rng.choice((10, 2000)),
                )
            )
        return ",".join(pairs)

    def one(self) -> dict[str, str]:
        """The headers of one request."""
        headers: dict[str, str] = {}

        def add(name: str, value: Callable[[], str], share: float) -> None:
            if self.rng.random() < share:
                wsgi = "HTTP_" + name.upper().replace("-", "_")
                headers[self.pick(name, name, name.upper(), wsgi)] = value()

        if self.rng.random() < 0.8:
            add("x-datadog-trace-id", self.decimal, 0.9)
            add("x-datadog-parent-id", self.parent, 1.0)
            add("x-datadog-sampling-priority", self.priority, 0.6)
            origins = ("rum", "a=b", "x;y,z~", "synthetics-browser")
            add("x-datadog-origin", lambda: self.pick(*origins), 0.3)
            add("x-datadog-tags", self.tags, 0.6)
        if self.rng.random() < 0.7:
            add("traceparent", self.traceparent, 0.95)
            add("tracestate", self.tracestate, 0.8)
        add("b3", self.b3, 0.3)
        if self.rng.random() < 0.3:
            add("x-b3-traceid", self.b3_trace, 0.9)
            add("x-b3-spanid", self.b3_span, 1.0)
            add("x-b3-sampled", lambda: self.pick("0", "1", "true"), 0.6)
            add("x-b3-flags", lambda: self.pick("1", "0"), 0.3)
        add("baggage", self.baggage, 0.4)
        if self.rng.random() < 0.2:
            headers["ot-baggage-user"] = self.letters("abc =;,", 20).strip() or "v"
        return headers


def _canonical(said: Any) -> Any:
    """An answer without what the guide lists as different and random headers cannot avoid."""
    if said is None:  # ddtrace, where _EXTRACT_FIRST finds nothing
        said = {
            "trace_id": None, "span_id": None, "priority": None, "origin": None, "meta": {},
            "baggage": {}, "links": [], "sent": {},
        }  # fmt: skip
    for sent in (said["sent"], said.get("sent by child", {})):
        state = sent.get("tracestate", "")
        sent["tracestate"] = ",".join(m for m in state.split(",") if not m.startswith("ot="))
    return said


def _only_p(said: Any, theirs: Any) -> bool:
    """Whether ddtrace sent on the received dd= because it had nothing of its own to say."""
    return said["priority"] is None and said["origin"] is None and "tracestate" in theirs["meta"]


@pytest.mark.parametrize("name", ENVIRONS)
def test_headers(name: str) -> None:
    """The same headers hold the same context, and give the same headers, in both libraries."""
    headers = Headers(name)
    cases = [headers.one() for _ in range(ROUNDS)]
    ours, theirs = (
        [_canonical(said) for said in side]
        for side in answers("run_headers.py", ENVIRONS[name], cases)
    )
    assert_none(
        [
            difference(case, our, their)
            for case, our, their in zip(cases, ours, theirs, strict=True)
            if not _only_p(our, their)
        ]
    )
    found = sum(our["trace_id"] is not None for our in ours)
    assert found > ROUNDS // 8 or name in ("ignore", "restart"), "hardly any headers hold a trace"
