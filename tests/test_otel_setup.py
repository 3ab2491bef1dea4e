"""How the OpenTelemetry face comes into a program: entry points, extras, variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from helpers import CHILD_TIMEOUT_S
from inner_pytest import ROOT

import fasttrace

ENTRY_POINTS = """\
[opentelemetry_tracer_provider]
fasttrace = fasttrace.opentelemetry:TracerProvider
[opentelemetry_context]
fasttrace = fasttrace._otel_context:RuntimeContext
[opentelemetry_propagator]
datadog = fasttrace.opentelemetry:DatadogPropagator
"""


def run(code: str, *path: Path, **env: str) -> tuple[Any, str]:
    """Run `code` in a fresh interpreter; return what it prints, read as JSON, and its errors."""
    full = [str(entry) for entry in (*path, Path(fasttrace.__file__).parents[1])]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={
            **kept,
            "DD_TRACE_AGENT_URL": "http://localhost:9",
            "PYTHONPATH": ":".join(full),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT_S,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout or "null"), child.stderr


def metadata(where: Path) -> Path:
    """Write the entry points as an installed fasttrace has them; return the folder for sys.path."""
    info = where / "fasttrace_entries-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fasttrace-entries\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return where


def test_the_project_declares_the_entry_points() -> None:
    """What the tests below install is what pyproject.toml declares."""
    declared = (ROOT / "pyproject.toml").read_text()
    for line in ENTRY_POINTS.splitlines():
        if line.startswith("["):
            assert f"[project.entry-points.{line[1:-1]}]" in declared
        else:
            name, _, target = line.partition(" = ")
            assert f'{name} = "{target}"' in declared


def test_the_variables_alone_set_it_up(tmp_path: Path) -> None:
    """OTEL_PYTHON_TRACER_PROVIDER and OTEL_PYTHON_CONTEXT are all that a program needs."""
    found, errors = run(
        """
        import json
        from opentelemetry import baggage, context, propagate, trace
        tracer = trace.get_tracer("unchanged")
        with tracer.start_as_current_span("s") as span:
            from fasttrace import tracer as native
            token = context.attach(baggage.set_baggage("k", "v"))
            headers = {}
            propagate.inject(headers)
            context.detach(token)
            print(json.dumps([
                type(trace.get_tracer_provider()).__module__,
                type(context._RUNTIME_CONTEXT).__module__,
                context._RUNTIME_CONTEXT._earlier is None,
                native.current_span() is span is trace.get_current_span(),
                sorted(headers),
            ]))
        """,
        metadata(tmp_path),
        OTEL_PYTHON_TRACER_PROVIDER="fasttrace",
        OTEL_PYTHON_CONTEXT="fasttrace",
    )
    assert found == [
        "fasttrace.opentelemetry.provider",
        "fasttrace._otel_context",
        True,
        True,
        [
            "baggage",
            "traceparent",
            "tracestate",
            "x-datadog-parent-id",
            "x-datadog-sampling-priority",
            "x-datadog-tags",
            "x-datadog-trace-id",
        ],
    ]
    assert errors == ""


def test_otel_propagators_datadog(tmp_path: Path) -> None:
    """OTEL_PROPAGATORS may name datadog, which OpenTelemetry itself does not know."""
    found, errors = run(
        """
        import json
        from opentelemetry import propagate, trace
        from fasttrace.opentelemetry import TracerProvider
        tracer = TracerProvider().get_tracer("t")
        headers = {}
        with tracer.start_as_current_span("s"):
            propagate.inject(headers)
        context = propagate.extract(headers)
        print(json.dumps([sorted(name.partition("-")[0] for name in headers),
            trace.get_current_span(context).get_span_context().is_remote]))
        """,
        metadata(tmp_path),
        OTEL_PROPAGATORS="datadog,baggage",
    )
    assert found == [["x", "x", "x", "x"], True]
    assert errors == ""


def test_import_fasttrace_imports_no_opentelemetry() -> None:
    """Only who asks for the face loads OpenTelemetry."""
    found, _ = run(
        """
        import json, sys
        import fasttrace, fasttrace.testing
        with fasttrace.tracer.trace("s") as span:
            span.set_attribute("k", "v")
            span.update_name("t")
        print(json.dumps([name for name in sys.modules if "opentelemetry" in name]))
        """
    )
    assert found == []


def test_without_the_extra_the_message_names_it() -> None:
    """Where opentelemetry-api is not installed, the error says what to install."""
    found, _ = run(
        """
        import json, sys
        sys.modules["opentelemetry"] = None
        try:
            import fasttrace.opentelemetry
        except ImportError as error:
            print(json.dumps(str(error)))
        """
    )
    assert "pip install fasttrace[opentelemetry]" in found


def test_a_context_in_use_before(tmp_path: Path) -> None:
    """What was attached to OpenTelemetry's own context stays current, and can be detached."""
    found, errors = run(
        """
        import json, logging
        logging.basicConfig()
        from opentelemetry import baggage, context, trace
        from opentelemetry.trace import NonRecordingSpan, SpanContext
        remote = NonRecordingSpan(SpanContext(5, 6, True))
        outer = context.attach(trace.set_span_in_context(remote))
        token = context.attach(baggage.set_baggage("k", "v"))
        from fasttrace.opentelemetry import TracerProvider
        from fasttrace import tracer as native
        tracer = TracerProvider().get_tracer("t")
        found = [baggage.get_baggage("k")]
        with tracer.start_as_current_span("s") as span:
            found += [span.parent_id, baggage.get_baggage("k")]
        with native.trace("n") as span:
            found += [span.parent_id]
        context.detach(token)
        with tracer.start_as_current_span("s") as span:
            found += [span.parent_id, baggage.get_baggage("k")]
        context.detach(outer)
        found += [tracer.start_span("s").parent_id, dict(context.get_current())]
        print(json.dumps(found))
        """,
        DD_TRACE_DEBUG="true",
    )
    assert found == ["v", 6, "v", 6, 6, None, None, {}]
    assert "OpenTelemetry's context was in use before" in errors
    assert "Failed to detach" not in errors


def test_otel_variables_stand_in_for_datadogs() -> None:
    """Service, tags, sampling and the switch are read from OTEL_* where DD_* say nothing."""
    code = """
        import json
        from fasttrace import tracer
        from fasttrace.opentelemetry import TracerProvider
        from fasttrace.testing import capture
        with capture() as spans:
            with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
                priority = None
                if span.is_recording():
                    span.get_span_context()
                    priority = span.context.sampling_priority
        print(json.dumps([[s.service, s.meta.get("env"), s.meta.get("version"), s.meta.get("team")]
            for s in spans] + [priority]))
    """
    names = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod,service.version=2,team=kitchen",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    assert run(code, **names)[0] == [["shop", "prod", "2", "kitchen"], -1]
    assert run(code, **names, DD_SERVICE="bar", OTEL_SDK_DISABLED="true")[0] == [None]
    assert run(code, OTEL_SDK_DISABLED="true", DD_TRACE_OTEL_ENABLED="true")[0][-1] == 1
