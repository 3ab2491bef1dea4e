"""Carrying a trace from one service to the next in the headers of requests and messages.

    from fasttrace.propagation.http import HTTPPropagator

`http` combines the styles; `datadog`, `tracecontext`, `b3` and `baggage` know one format each,
`carrier` reads and writes the different things that hold headers. Nothing here is imported by
`import fasttrace`.
"""
