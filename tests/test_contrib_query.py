"""Query strings in http.url: what counts as a secret, and how it is left out."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from fasttrace.contrib import _query
from fasttrace.contrib._query import MAX_CHARS, REDACTED

SECRETS = {
    "password=abc": "<redacted>",
    "a=1&old_pwd=x&b=2": "a=1&<redacted>&b=2",
    "a=1&PassPhrase%20=x": "a=1&<redacted>",
    "pass-phrase=x": "<redacted>",
    "passwd2=x": "<redacted>",
    "my_secret%3Dx&b=2": "my_<redacted>&b=2",
    "api_key=1&private-key-id=2&publickey=3": "<redacted>&<redacted>&<redacted>",
    "application-key=1": "<redacted>",
    "consumer_id=1&consumersecret=2": "<redacted>&<redacted>",
    "signature=1&sign=2&signed=3": "<redacted>&<redacted>&<redacted>",
    "auth=1&authorization=2&authentication=3": "<redacted>&<redacted>&<redacted>",
    "q={%22token%22:%20%22abc%22}": "q={<redacted>}",
    'q={"secret": "abc"}&b=2': "q={<redacted>}&b=2",
    "x=Bearer%20abc.def": "x=<redacted>",
    "x=token:abcdefghijklm": "x=<redacted>",
    "x=ghp_" + "a1" * 18: "x=<redacted>",
    "x=eyJhbGci.eyJzdWIi.c2ln": "x=<redacted>",
    "x=%20eyJhbGci.eyJzdWIi": "x=%20<redacted>",
    "x=-----BEGIN%20PRIVATE%20KEY-----abc-----END PRIVATE KEY-----&b=2": "x=<redacted>&b=2",
    "x=ssh-rsa%20" + "A1%2B" * 100 + "==%20me": "x=<redacted>",
}
PLAIN = [
    "",
    "a=1&b=2",
    "keyword=abc",  # no value of a key follows the word key
    "passing",
    "key=1",  # names of keys that say nothing of a secret
    "they=1",
    "x=theyJhbGci.eyJzdWIi",  # in the middle of a word
    "x=token:short",
    "\u00e9=1",
]


def redactor(pattern: str | None) -> Callable[[str], str]:
    """The function for a valid pattern."""
    redact = _query.redactor(pattern)
    assert redact is not None
    return redact


@pytest.mark.parametrize(("query", "shown"), SECRETS.items())
def test_secrets_are_replaced(query: str, shown: str) -> None:
    """Values of keys that say so, and texts that look like keys or tokens, are replaced."""
    assert redactor(None)(query) == shown


@pytest.mark.parametrize("query", PLAIN)
def test_everything_else_stays(query: str) -> None:
    """A query string without secrets is shown as it is."""
    assert redactor(None)(query) == query


def test_a_pattern_of_ones_own() -> None:
    """A regular expression replaces the default; an empty one leaves all as it is."""
    assert redactor("id=[0-9]+")("id=12&password=x") == "<redacted>&password=x"
    assert redactor("")("password=x") == "password=x"


def test_a_pattern_that_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    """What is no regular expression gives one warning that names the variable; nothing is shown."""
    assert _query.redactor("(unclosed") is None
    (record,) = caplog.records
    assert "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP='(unclosed'" in record.getMessage()


@pytest.mark.parametrize("pattern", [None, "id=[0-9]+"])
def test_long_query_strings_are_left_out(pattern: str | None) -> None:
    """What is too long to be searched is not shown at all."""
    redact = redactor(pattern)
    assert redact("a" * MAX_CHARS) == "a" * MAX_CHARS
    assert redact("a" * (MAX_CHARS + 1)) == REDACTED


@pytest.mark.parametrize(
    "piece",
    [
        *("-----BEGIN a", "eyI", "ssh-rsa ", "token%20", "%22key%22%3A%22", "api_", "%20eyI", '"'),
        *("password", "ssh-rsa a", "%22token%22:%22"),
    ],
)
def test_no_query_string_takes_long(piece: str) -> None:
    """The search takes time in proportion to the length, also where much looks like a secret."""
    query = (piece * MAX_CHARS)[:MAX_CHARS]
    redact = redactor(None)
    best_s = 10.0
    for _ in range(3):
        start = time.perf_counter()
        redact(query)
        best_s = min(best_s, time.perf_counter() - start)
    assert best_s < 0.1
