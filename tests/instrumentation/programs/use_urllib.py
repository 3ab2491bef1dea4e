"""urllib of the standard library: answers, error answers that it raises, failures, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from http_peer import closed_port, http_server
from opentelemetry import trace
from opentelemetry.instrumentation.urllib import URLLibInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Call the server."""
    URLLibInstrumentor().instrument()
    opener = build_opener(ProxyHandler({}))

    def get(url: str, **kwargs: Any) -> None:
        try:
            opener.open(Request(url, **kwargs), timeout=30).close()
        except (URLError, OSError):
            pass

    with http_server() as url:
        get(f"{url}/alone")
        with tracer.start_as_current_span("order"):
            for path in ("/status/200?size=2", "/status/404", "/status/500", "/redirect", "/cut"):
                get(url + path)
            get(f"{url}/orders", data=b"rye", headers={"X-Shop": "1"})
            get(f"{url}/orders", method="PUT", data=b"rye")
            get(f"http://127.0.0.1:{closed_port()}/")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: get(f"{url}/{i}"), range(4)))
