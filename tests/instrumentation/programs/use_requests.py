"""requests: answers of all kinds, a redirect, failures, threads, sessions, baggage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from http_peer import closed_port, http_server
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation


def main(tracer: trace.Tracer) -> Any:
    """Call the server."""
    RequestsInstrumentor().instrument()
    with http_server() as url:
        requests.get(f"{url}/alone", timeout=30)
        with tracer.start_as_current_span("order"):
            token = context.attach(baggage.set_baggage("table", "7"))
            for path in ("/status/200?size=2", "/status/404", "/status/503", "/redirect"):
                requests.get(url + path, timeout=30)
            requests.post(f"{url}/orders", data={"bread": "rye"}, timeout=30)
            context.detach(token)
            with requests.Session() as session:
                session.headers["X-Shop"] = "1"
                session.put(f"{url}/orders/1", data=b"x", timeout=30)
                session.head(f"{url}/orders/1", timeout=30)
            for broken in (f"http://127.0.0.1:{closed_port()}/", f"{url}/cut"):
                try:
                    requests.get(broken, timeout=30)
                except requests.ConnectionError:
                    pass
            with suppress_http_instrumentation():
                requests.get(f"{url}/not-traced", timeout=30)
            requests.get("http://user:secret@" + url[7:] + "/private", timeout=30)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: requests.get(f"{url}/{i}", timeout=30), range(4)))
