"""The third service, a script without framework or middleware: `python oven.py PORT`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fasttrace import tracer
from fasttrace.propagation.http import HTTPPropagator


class Oven(BaseHTTPRequestHandler):
    """Continues the trace of each request by hand."""

    def do_GET(self):
        """Bake."""
        tracer.context_provider.activate(HTTPPropagator.extract(self.headers))
        with tracer.trace("oven.bake", resource=f"GET {self.path}", span_type="web") as span:
            customer = span.context.get_baggage_item("customer")
            if customer:
                span.set_tag("customer", customer)
            content = json.dumps({"bread": "rye"}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *arguments):
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Oven).serve_forever()
