"""A request to the next service: a span of its own, and its trace in the headers."""

import json
import urllib.request

from fasttrace import tracer
from fasttrace.propagation.http import HTTPPropagator


def call(url):
    """Return what the service at `url` answers, decoded from JSON."""
    with tracer.trace("http.request", resource=f"GET {url}", span_type="http") as span:
        span.set_tag("span.kind", "client")
        span.set_tag("http.url", url)
        headers = {}
        HTTPPropagator.inject(span, headers)
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            span.set_tag("http.status_code", response.status)
            return json.load(response)
