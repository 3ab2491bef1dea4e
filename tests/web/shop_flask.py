"""A Flask application with streams, files and errors."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Iterator

from flask import Flask, Response, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from fasttrace import tracer
from fasttrace.contrib.wsgi import TraceMiddleware

app = Flask(__name__)


@app.get("/bread/<int:number>")
def bread(number: int) -> str:
    """A plain route."""
    with tracer.trace("bake"):
        return f"bread {number}"


@app.get("/fails")
def fails() -> str:
    """A handler that raises; Flask answers 500."""
    raise ValueError("no bread")


@app.get("/stream")
def stream() -> Response:
    """A response in parts."""

    def parts() -> Iterator[str]:
        for number in range(3):
            time.sleep(0.02)
            with tracer.trace("part"):
                yield f"part {number}\n"

    return Response(parts())


@app.get("/endless")
def endless() -> Response:
    """A response that goes on until the client leaves."""

    def parts() -> Iterator[str]:
        for _ in itertools.count():
            yield "part\n" * 1000
            time.sleep(0.005)

    return Response(parts())


@app.get("/file")
def file() -> Response:
    """A file, for the server to send."""
    return send_file(io.BytesIO(b"bread" * 1000), mimetype="text/plain")


@app.get("/forgets")
def forgets() -> str:
    """A handler that does not finish its span."""
    tracer.trace("forgotten")
    return "forgotten"


app.wsgi_app = TraceMiddleware(app.wsgi_app)  # type: ignore[method-assign]


def broken(environ: object, start_response: object) -> list[bytes]:
    """An application whose exceptions reach the server."""
    raise ValueError("nobody catches this")


#: The same application under a prefix, traced as a whole.
inner = Flask(__name__)
inner.add_url_rule("/cake/<kind>", view_func=lambda kind: kind, endpoint="cake")
mounted = TraceMiddleware(DispatcherMiddleware(broken, {"/shop": inner.wsgi_app}))
