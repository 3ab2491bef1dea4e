"""The middlewares make the server span ddtrace 4.16's make: random requests under both, compared.

What is different on purpose is in `_expected`. FASTTRACE_TEST_FULL=1 tries more requests, and other
ones every time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from parity.oracle import oracle_python

CHILD = Path(__file__).parent / "child" / "run_web.py"
FULL = os.environ.get("FASTTRACE_TEST_FULL") == "1"
ROUNDS = 20_000 if FULL else 1_500
SEED = random.randrange(2**32) if FULL else 416

ENVIRONS = {
    "default": {},
    "no query": {"DD_HTTP_SERVER_TAG_QUERY_STRING": "false"},
    "own secrets": {"DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP": "(?i)id=[0-9]+|a%20"},
    "wrong pattern": {"DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP": "(unclosed"},
    "no secrets": {"DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP": ""},
    "statuses": {"DD_TRACE_HTTP_SERVER_ERROR_STATUSES": "404,500-502"},
}
PIECES = (
    *("a=1", "&", "&", "&", "=", "password", "Passwd1", "old_pwd", "pass-phrase", "secret", "KEY"),
    *("api_key", "application-keyid", "token", "consumer_id", "sign", "signature", "authorization"),
    *("bearer", "Bearer%20abc.def", "token:", "abcdefghijklm", "token%3A", "ghp_" + "a1" * 18),
    *("eyJhbGci", "eyIx.eyJy", "eyI1-_=.eyKab%3D.sig%2F", ".", "-----BEGIN", "RSA%20PRIVATE KEY"),
    *("-----", "abc", "-----END a PRIVATE%20KEY", "%0A", "ssh-rsa%20", "A1%2B" * 40, "x%40y"),
    *("%22", '"', ":", "%3A", " ", "%20", "%", "%2", "v", "_", "-", "1", "id=12", "they"),
)


def _request(rng: random.Random) -> dict[str, Any]:
    headers = {}
    if rng.random() < 0.8:
        headers["host"] = rng.choice(("shop", "shop:8000", "10.0.0.2:80"))
    if rng.random() < 0.5:
        headers.update({"x-datadog-trace-id": "5", "x-datadog-parent-id": "6"})
    if rng.random() < 0.5:
        headers["user-agent"] = "curl/8"
    return {
        "server": rng.choice(("asgi", "wsgi")),
        "method": rng.choice(("GET", "POST", "PURGE")),
        "scheme": rng.choice(("http", "https")),
        "port": rng.choice((80, 443, 8000)),
        "path": rng.choice(("/", "/bread", "/bread/7/x", "/a b")),
        "query": "".join(rng.choices(PIECES, k=rng.randint(0, 12))),
        "version": rng.choice(("1.0", "1.1", "2")),
        "headers": headers,
        "status": rng.choice((200, 201, 301, 404, 418, 500, 502, 503)),
        "raises": rng.choice((None, None, "first", "later")),
    }


def _answers(python: str, library: str, environ: dict[str, str], lines: str) -> list[Any]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DD_", "OTEL_"))}
    if library == "ddtrace":
        kept.pop("PYTHONPATH", None)
    quiet = {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
        "DD_SERVICE": "shop",
    }
    child = subprocess.run(
        [python, str(CHILD), library],
        input=lines,
        env={**kept, **quiet, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return [json.loads(line) for line in child.stdout.splitlines()]


def _expected(request: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """ddtrace's span with what is different on purpose."""
    if request["server"] == "asgi":
        if request["raises"] == "later" and request["status"] >= 500:
            theirs["http.status_code"] = str(request["status"])  # what the client has got
        return theirs
    theirs["http.version"] = request["version"]
    if "user-agent" in request["headers"]:
        theirs["http.useragent"] = request["headers"]["user-agent"]
    if request["raises"] == "first":
        theirs["http.status_code"] = "500"  # what the server answers then, as with ASGI
    return theirs


@pytest.mark.parametrize("name", ENVIRONS)
def test_requests(name: str) -> None:
    """The same request makes the same server span in both libraries."""
    rng = random.Random(f"{SEED} {name}")
    requests = [_request(rng) for _ in range(ROUNDS)]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    theirs = _answers(oracle_python("4.16"), "ddtrace", ENVIRONS[name], lines)
    ours = _answers(sys.executable, "fasttrace", ENVIRONS[name], lines)
    assert len(ours) == len(theirs) == ROUNDS
    different = []
    for request, our, their in zip(requests, ours, theirs, strict=True):
        expected = _expected(request, their)
        if our != expected:
            parts = {
                key: (our.get(key), expected.get(key))
                for key in {*our, *expected}
                if our.get(key) != expected.get(key)
            }
            different.append(f"{request}\n  ours, theirs: {parts}")
    assert not different, f"seed {SEED}: {len(different)} of {ROUNDS}:\n" + "\n".join(different[:3])
