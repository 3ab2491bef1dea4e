"""Jinja2: templates compiled, loaded and rendered, one in another, and one that fails."""

from __future__ import annotations

from typing import Any

import jinja2
from opentelemetry import trace
from opentelemetry.instrumentation.jinja2 import Jinja2Instrumentor


def main(tracer: trace.Tracer) -> Any:
    """Render."""
    Jinja2Instrumentor().instrument()
    loader = jinja2.DictLoader(
        {
            "base.html": "<b>{% block body %}{% endblock %}</b>",
            "order.html": "{% extends 'base.html' %}{% block body %}{{ bread }}{% endblock %}",
            "list.html": "{% for x in breads %}{% include 'one.html' %}{% endfor %}",
            "one.html": "[{{ x }}]",
            "broken.html": "{{ bread.slices.nothing }}",
            "wrong.html": "{% nonsense %}",
        }
    )
    environment = jinja2.Environment(loader=loader, autoescape=True)
    notes = [jinja2.Template("alone {{ n }}").render(n=1)]
    with tracer.start_as_current_span("page"):
        notes.append(environment.get_template("order.html").render(bread="rye"))
        with tracer.start_as_current_span("inner"):
            notes.append(environment.get_template("list.html").render(breads=["a", "b"]))
        for name in ("broken.html", "wrong.html", "missing.html"):
            try:
                environment.get_template(name).render(bread={})
            except jinja2.TemplateError as error:
                notes.append(type(error).__name__)
        notes.append("".join(environment.get_template("order.html").generate(bread="oat")))
    return notes
