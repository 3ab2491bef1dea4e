"""docs/opentracing.md and a tutorial's program, run as they are against a real agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from documents import DOCS, python_blocks, run_program
from helpers import by_name

BLOCKS = python_blocks(DOCS / "opentracing.md")

# In the style of the old tutorials, for ddtrace 2.x; only the import is another one here.
TUTORIAL = '''
import time

import opentracing
from opentracing.ext import tags
from ddtrace.opentracer import Tracer, set_global_tracer


def init_tracer(service_name):
    """Configure the tracer of this service."""
    config = {
        "agent_hostname": "localhost",
        "agent_port": 8126,
    }
    tracer = Tracer(service_name, config=config)
    set_global_tracer(tracer)
    return tracer


class Hello:
    def __init__(self, tracer):
        self.tracer = tracer

    def say_hello(self, hello_to):
        with self.tracer.start_active_span("say-hello") as scope:
            scope.span.set_tag("hello-to", hello_to)
            scope.span.set_baggage_item("greeting", "Hello")
            message = self.format_string(hello_to)
            self.print_hello(message)
            return message

    def format_string(self, hello_to):
        with self.tracer.start_active_span("format") as scope:
            headers = self.request("http://localhost:8081/format")
            message = self.formatter(headers, hello_to)
            scope.span.log_kv({"event": "string-format", "value": message})
            return message

    def request(self, url):
        span = self.tracer.active_span
        span.set_tag(tags.HTTP_METHOD, "GET")
        span.set_tag(tags.HTTP_URL, url)
        span.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_CLIENT)
        headers = {}
        self.tracer.inject(span, opentracing.Format.HTTP_HEADERS, headers)
        return headers

    def formatter(self, headers, hello_to):
        span_ctx = self.tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
        span_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER}
        with self.tracer.start_active_span("formatter", child_of=span_ctx, tags=span_tags) as scope:
            greeting = scope.span.get_baggage_item("greeting") or "Goodbye"
            return "%s, %s!" % (greeting, hello_to)

    def print_hello(self, message):
        with self.tracer.start_active_span("println") as scope:
            print(message)
            scope.span.log_kv({"event": "println"})


init_tracer("hello-world")
opentracing.tracer.start_span("start-up").finish(finish_time=time.time())
Hello(opentracing.tracer).say_hello("Brian")
'''


def run(session: Any, tmp_path: Path, code: str) -> str:
    """Run a program that sends to port 8126, here to the session's agent; return its output."""
    port = session.agent.url.rpartition(":")[2]
    assert code.count("8126") == 1
    code = code.replace("8126", port)
    return run_program(code, session, tmp_path, DD_TRACE_AGENT_URL="http://127.0.0.1:1")


def test_the_tutorial_runs_unchanged(session: Any, tmp_path: Path) -> None:
    """A program written for ddtrace 2.x sends the trace it describes, at its exit."""
    printed = run(session, tmp_path, TUTORIAL.replace("ddtrace", "fasttrace"))
    assert printed == "Hello, Brian!\n"
    spans = by_name(session.received())
    parents = {
        name: next((n for n, s in spans.items() if s["span_id"] == span.get("parent_id")), None)
        for name, span in spans.items()
    }
    assert parents == {
        "start-up": None,
        "say-hello": None,
        "format": "say-hello",
        "formatter": "format",
        "println": "say-hello",
    }
    assert {span["service"] for span in spans.values()} == {"hello-world"}
    assert spans["say-hello"]["meta"]["hello-to"] == "Brian"
    assert spans["format"]["meta"]["span.kind"] == "client"
    assert spans["formatter"]["meta"]["span.kind"] == "server"
    assert len({spans[name]["trace_id"] for name in spans if name != "start-up"}) == 1


def test_the_code_of_the_guide_runs(session: Any, tmp_path: Path) -> None:
    """All blocks of the guide, as one program, run without an error and send their traces."""
    assert run(session, tmp_path, "\n".join(BLOCKS)) == ""
    spans = session.received()
    names = {span["name"] for span in spans}
    assert names >= {"serve", "fetch_bread", "checkout", "query", "soup", "salad", "wash"}
    assert names >= {"order bread", "bake", "parent", "child", "failing", "raising", "delivery"}
    failed = {span["name"] for span in spans if span.get("error")}
    assert failed == {"failing", "raising"}
    assert {span["meta"].get("team") for span in spans} == {"kitchen"}
    serve = next(span for span in spans if span["name"] == "serve")
    assert (serve["resource"], serve["service"]) == ("order 1", "sandwich-shop")


def test_every_later_block_asserts_something() -> None:
    """No block of the guide but the first shows code without saying what holds."""
    assert len(BLOCKS) >= 8
    assert [block for block in BLOCKS[1:] if "assert" not in block] == []
