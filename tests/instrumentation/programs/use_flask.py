"""Flask: routes, blueprints, errors, hooks, spans in views, requests at once and in a row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
from http_peer import fetch, wsgi_server
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Serve."""
    FlaskInstrumentor().instrument()
    app = flask.Flask("shop")
    app.logger.disabled = True
    parts = flask.Blueprint("parts", "parts", url_prefix="/parts")

    @app.route("/order/<bread>", methods=["GET", "POST"])
    def order(bread: str) -> str:
        with tracer.start_as_current_span("cook", attributes={"bread": bread}):
            return f"{bread} for table {baggage.get_baggage('table')}"

    @app.route("/stream")
    def stream() -> Any:
        return flask.Response(part for part in ("a", "b"))

    @app.route("/fail")
    def fail() -> str:
        raise RuntimeError("no bread")

    @app.route("/handled")
    def handled() -> str:
        raise KeyError("bread")

    @app.errorhandler(KeyError)
    def on_key_error(error: KeyError) -> Any:
        return "handled", 418

    @app.before_request
    def count() -> None:
        trace.get_current_span().set_attribute("counted", True)

    @parts.get("/<int:number>")
    def part(number: int) -> str:
        return str(number)

    app.register_blueprint(parts)
    with wsgi_server(app) as port:
        statuses = [fetch(port, "/order/alone")]
        with tracer.start_as_current_span("client"):
            token = context.attach(baggage.set_baggage("table", "7"))
            for path in ("/order/rye?n=2", "/stream", "/fail", "/handled", "/missing", "/parts/5"):
                statuses.append(fetch(port, path))
            statuses.append(fetch(port, "/order/oat", "POST", "x"))
            statuses.append(fetch(port, "/stream", "DELETE"))
            context.detach(token)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: fetch(port, f"/order/{i}"), range(4)))
    in_this_thread = app.test_client()
    for path in ("/order/rye", "/missing", "/stream", "/handled", "/order/oat"):
        with in_this_thread.get(path) as answer:
            statuses.append(answer.status_code)
    return statuses
