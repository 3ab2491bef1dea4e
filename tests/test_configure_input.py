"""Wrong arguments of `Tracer.configure`: a clear error at once, and nothing is changed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fasttrace import Tracer
from fasttrace.config import Config


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"port": "eighty"}, "port 'eighty': expected a whole number from 1 to 65,535"),
        ({"port": 99999}, "port 99999: expected a whole number from 1 to 65,535"),
        ({"port": 8126.5}, "port 8126.5: expected a whole number from 1 to 65,535"),
        ({"hostname": "http://x"}, "hostname 'http://x': expected a host name or an IP address"),
        ({"hostname": 5}, "hostname 5: expected a host name or an IP address"),
        ({"uds_path": " "}, "uds_path ' ': expected the path of a socket"),
        ({"api_version": "v9"}, "api_version 'v9': expected v0.4 or v0.5"),
        ({"sample_rate": 7}, "sample_rate 7: expected a number from 0.0 to 1.0"),
        ({"rate_limit": "many"}, "rate_limit 'many': expected a whole number"),
        (
            {"partial_flush_min_spans": "x"},
            "partial_flush_min_spans 'x': expected a whole number",
        ),
        (
            {"dogstatsd_url": "gopher://x"},
            "dogstatsd_url 'gopher://x': expected udp://host:port or unix:///path",
        ),
    ],
)
def test_configure_refuses_what_cannot_be(wrong: dict[str, Any], expected: str) -> None:
    """A wrong argument of configure() is named at once, and the others are not applied either."""
    tracer = Tracer()
    before = tracer._config
    with pytest.raises(ValueError, match=re.escape(expected)):
        tracer.configure(**wrong, partial_flush_enabled=False, trace_processors=[object()])
    assert tracer._config is before
    assert tracer._filters == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"port": "8127"}, "http://localhost:8127"),
        ({"port": 0}, "http://localhost:8126"),
        ({"hostname": "::1", "port": 1}, "http://[::1]:1"),
        ({"hostname": "[::1]"}, "http://[::1]:8126"),
        ({"https": True}, "https://localhost:8126"),
        ({"uds_path": "/run/a b"}, "unix:///run/a b"),
    ],
)
def test_configure_takes_addresses(given: dict[str, Any], url: str) -> None:
    """The parts of an address that are usable."""
    tracer = Tracer(config=Config.from_env({"DD_TRACE_AGENT_URL": "http://localhost:8126"}))
    tracer.configure(**given)
    assert tracer.agent_trace_url == url
