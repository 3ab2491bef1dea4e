"""The second service, Flask under gunicorn: makes sandwiches of what comes out of the oven.

OVEN_URL says where the oven is.
"""

import os

from calls import call
from flask import Flask

from fasttrace import tracer
from fasttrace.contrib.wsgi import TraceMiddleware

app = Flask(__name__)
app.wsgi_app = TraceMiddleware(app.wsgi_app)


@app.get("/make/<sandwich>")
def make(sandwich):
    """Bread first."""
    bread = call(f"{os.environ['OVEN_URL']}/bread")
    with tracer.trace("kitchen.fill", resource=sandwich):
        return {"sandwich": sandwich, **bread}
