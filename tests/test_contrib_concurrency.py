"""Many requests at a time: none is in the trace of another, whatever the server runs them in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from helpers import run_python
from web_process import WebServer, named

REQUESTS = 40

SERVERS = {
    "uvicorn, tasks": ("uvicorn", "shop_fastapi:app", "/bread/{}", ""),
    "uvicorn, threads": ("uvicorn", "shop_fastapi:app", "/thread/{}", ""),
    "gunicorn, threads": ("gunicorn", "shop_flask:app", "/bread/{}", "-k gthread --threads 4"),
    "gunicorn, greenlets": ("gunicorn", "shop_flask:app", "/bread/{}", "-k gevent"),
}


@pytest.mark.parametrize(
    ("server", "application", "path", "options"), SERVERS.values(), ids=SERVERS.keys()
)
def test_requests_at_the_same_time(
    session: Any, server: str, application: str, path: str, options: str
) -> None:
    """Each request continues its own trace, and the handler's span is below its own request's."""
    env = session.env(DD_TRACE_WRITER_INTERVAL_SECONDS="0.02", GUNICORN_CMD_ARGS=options)

    def ask(number: int) -> int:
        headers = {"x-datadog-trace-id": str(number + 1), "x-datadog-parent-id": "7"}
        return running.get(path.format(number), **headers)[0]

    with WebServer(server, application, env) as running, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(REQUESTS))) == {200}
        spans = session.wait_for_spans(2 * REQUESTS)
    kind = "asgi.request" if server == "uvicorn" else "wsgi.request"
    requests = {span["trace_id"]: span for span in named(spans, kind)}
    assert set(requests) == set(range(1, REQUESTS + 1))
    for number, span in requests.items():
        assert span["parent_id"] == 7
        assert span["meta"]["http.url"].endswith(path.format(number - 1))
    handled = {span["trace_id"]: span["parent_id"] for span in named(spans, "bake")}
    assert handled == {number: span["span_id"] for number, span in requests.items()}


def test_what_is_imported() -> None:
    """`import fasttrace` knows nothing of the middlewares, and they know no framework."""
    run_python("""
        import sys
        import fasttrace
        assert not [name for name in sys.modules if name.startswith("fasttrace.contrib")]
        import fasttrace.contrib.asgi, fasttrace.contrib.wsgi
        dear = {"asyncio", "typing", "logging", "socket", "starlette", "werkzeug", "flask"}
        assert not dear & set(sys.modules), dear & set(sys.modules)
    """)
