"""examples/chain: three services under their real servers, one trace, in every style."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from web_process import WebServer

CHAIN = Path(__file__).resolve().parent.parent / "examples" / "chain"
DEFAULT = "datadog,tracecontext,baggage"
#: What the shop writes, what the kitchen reads and writes, what the oven reads.
STYLES = {
    "default": (None, None, None, None),
    "datadog": ("datadog",) * 4,
    "tracecontext": ("tracecontext",) * 4,
    "b3": ("b3",) * 4,
    "b3multi": ("b3multi",) * 4,
    "mixed": ("b3multi,baggage", "b3multi,baggage", "tracecontext,baggage", DEFAULT),
}
NAMES = [
    *("asgi.request", "http.request", "wsgi.request", "http.request", "oven.bake"),
]


def environment(session: Any, service: str, **extra: str | None) -> dict[str, str]:
    """The environment of one service, and the variables in `extra` that are not None."""
    given = {name: value for name, value in extra.items() if value is not None}
    interval = {"DD_TRACE_WRITER_INTERVAL_SECONDS": "0.02"}
    env: dict[str, str] = session.env(DD_SERVICE=service, **interval, **given)
    return env


def chain(session: Any, styles: tuple[str | None, ...]) -> tuple[WebServer, WebServer, WebServer]:
    """Shop, kitchen and oven, not yet started."""
    shop_out, kitchen_in, kitchen_out, oven_in = styles
    inject, extract = "DD_TRACE_PROPAGATION_STYLE_INJECT", "DD_TRACE_PROPAGATION_STYLE_EXTRACT"
    oven = WebServer("script", "oven.py", environment(session, "oven", **{extract: oven_in}), CHAIN)
    kitchen_env = {inject: kitchen_out, extract: kitchen_in, "OVEN_URL": oven.url}
    env = environment(session, "kitchen", **kitchen_env)
    kitchen = WebServer("gunicorn", "kitchen:app", env, CHAIN)
    env = environment(session, "shop", **{inject: shop_out, "KITCHEN_URL": kitchen.url})
    return WebServer("uvicorn", "shop:app", env, CHAIN), kitchen, oven


def path_of(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The spans from the root down to the oven, each the parent of the next."""
    (root,) = [span for span in spans if not span.get("parent_id")]
    path = [root]
    while True:
        below = [span for span in spans if span.get("parent_id") == path[-1]["span_id"]]
        below = [span for span in below if span["name"] != "kitchen.fill"]
        if not below:
            return path
        (child,) = below
        path.append(child)


@pytest.mark.parametrize("styles", STYLES.values(), ids=STYLES.keys())
def test_three_services(session: Any, styles: tuple[str | None, ...]) -> None:
    """Three services send one trace: one id, one decision, each parent right."""
    servers = chain(session, styles)
    for server in servers:
        server.launch()
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        for path, kept in (("/order/blt?customer=ann", True), ("/order/tuna?unimportant=1", False)):
            session.clear()
            status, body = servers[0].get(path)
            assert (status, json.loads(body)["bread"]) == (200, "rye")
            spans = path_of(session.wait_for_spans(6))
            assert [span["name"] for span in spans] == NAMES
            assert [span["service"] for span in spans] == [
                *("shop", "shop", "kitchen", "kitchen", "oven"),
            ]
            assert len({span["trace_id"] for span in spans}) == 1
            # What is said of the whole trace is on the first span of each service.
            firsts = [span for span in spans if span["name"] != "http.request"]
            assert len({span["meta"]["_dd.p.tid"] for span in firsts}) == 1
            decisions = [span["metrics"]["_sampling_priority_v1"] for span in firsts]
            assert {decision > 0 for decision in decisions} == {kept}
            if styles[0] in (None, "datadog", "tracecontext"):  # b3 knows no more than yes and no
                assert len(set(decisions)) == 1
                assert len({span["meta"]["_dd.p.dm"] for span in firsts}) == 1
            if kept and (styles[0] is None or "baggage" in styles[0]):
                assert spans[-1]["meta"]["customer"] == "ann"


def test_the_example(session: Any) -> None:
    """The example starts the three services, and each order is one trace."""
    result = subprocess.run(
        [sys.executable, str(CHAIN / "run.py")],
        env=session.env(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert [order["sandwich"] for order in printed] == ["blt", "tuna", "cheese"]
    spans = session.wait_for_spans(18)
    assert len({span["trace_id"] for span in spans}) == 3
    assert len(spans) == 18
