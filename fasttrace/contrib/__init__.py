"""Tracing the requests a web application serves: `asgi` and `wsgi`, one middleware each.

    from fasttrace.contrib.asgi import TraceMiddleware

Nothing in here is imported by `import fasttrace`.
"""
