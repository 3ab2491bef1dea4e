"""urllib3: one connection and many, redirects and retries it makes itself, failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from http_peer import closed_port, http_server
from opentelemetry import trace
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor


def main(tracer: trace.Tracer) -> Any:
    """Call the server."""
    URLLib3Instrumentor().instrument(
        request_hook=lambda span, pool, request: span.set_attribute("hook", request.method),
        response_hook=lambda span, pool, response: span.set_attribute("answer", response.status),
    )
    with http_server() as url, urllib3.PoolManager(retries=False) as http:
        http.request("GET", f"{url}/alone")
        with tracer.start_as_current_span("order"):
            for path in ("/status/200", "/status/404", "/status/500"):
                http.request("GET", url + path)
            http.request("GET", f"{url}/redirect", redirect=True, retries=3)
            http.request("POST", f"{url}/orders", body=b"rye")
            try:
                http.request("GET", f"http://127.0.0.1:{closed_port()}/", retries=2)
            except urllib3.exceptions.MaxRetryError:
                pass
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: http.request("GET", f"{url}/{i}"), range(4)))
