"""Extract and inject headers under one library: JSON lines in, JSON lines out.

``run_headers.py LIBRARY``. A line is a dict of headers; the answer says which context they hold,
and which headers that context and a child span of it give.
"""

import importlib
import json
import logging
import sys

logging.disable(logging.CRITICAL)
LIBRARY = sys.argv[1]
HTTPPropagator = importlib.import_module(f"{LIBRARY}.propagation.http").HTTPPropagator
tracer = importlib.import_module(f"{LIBRARY}.trace").tracer


def link(item):
    """The parts of a span link."""
    if isinstance(item, tuple):
        trace_id, span_id, tracestate, flags, attributes = item
    else:
        trace_id, span_id, tracestate = item.trace_id, item.span_id, item.tracestate
        flags, attributes = item.flags, item.attributes
    return [trace_id, span_id, tracestate or "", flags, dict(attributes)]


def injected(source):
    """The headers of a span or context."""
    headers = {}
    HTTPPropagator.inject(source, headers)
    if "x-datadog-tags" in headers:  # in any order
        headers["x-datadog-tags"] = sorted(headers["x-datadog-tags"].split(","))
    return headers


def answer(headers):
    """What the headers hold and what is sent on."""
    context = HTTPPropagator.extract(headers)
    if context is None:
        return None
    said = {
        "trace_id": context.trace_id,
        "span_id": context.span_id,
        "priority": context.sampling_priority,
        "origin": context.dd_origin,
        "meta": {key: value for key, value in context._meta.items() if key != "traceparent"},
        "baggage": context.get_all_baggage_items(),
        "links": [link(item) for item in context._span_links],
        "sent": injected(context),
    }
    if context.trace_id is not None and context.sampling_priority is not None:
        span = tracer.start_span("child", child_of=context)
        span.span_id = 0x5555
        said["sent by child"] = injected(span)
    return said


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
