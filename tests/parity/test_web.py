"""The middlewares make the server span ddtrace 4.16's make: random requests under both, compared.

What is different on purpose is in `_expected`.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from parity.pairs import ROUNDS, SEED, answers, assert_none, difference

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
    ours, theirs = answers("run_web.py", {"DD_SERVICE": "shop", **ENVIRONS[name]}, requests)
    assert_none(
        [
            difference(request, our, _expected(request, their))
            for request, our, their in zip(requests, ours, theirs, strict=True)
        ]
    )
