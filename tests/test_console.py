"""fasttrace.console: traces printed instead of sent."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import accounting_difference, run_python

from fasttrace import Tracer
from fasttrace._decode import decode_body
from fasttrace.config import Config
from fasttrace.console import MAX_SPANS, ConsoleExporter

SANDWICH = """
    from fasttrace import tracer
    with tracer.trace("sandwich", service="shop", resource="blt") as root:
        root.set_tag("customer", "Ada")
        with tracer.trace("toast", service="kitchen") as toast:
            toast.set_metric("slices", 2)
        try:
            with tracer.trace("charge", service="till", resource="card"):
                raise ValueError("no money")
        except ValueError:
            pass
    with tracer.trace("sweep", service="shop"):
        pass
"""
DRAWN = [
    "trace ID  3 spans  TIME  1 error",
    "sandwich   shop  TIME  blt  customer=Ada",
    "├─ toast   kitchen  TIME  toast  slices=2",
    "└─ charge  till  TIME  card  ERROR builtins.ValueError: no money",
    "",
    "trace ID  1 span  TIME",
    "sweep  shop  TIME  sweep",
]


def masked(text: str) -> list[str]:
    """Return the lines of drawn traces without what differs in each run."""
    text = re.sub(r" +[\d.]+ (ns|us|ms|s)\b", "  TIME", text)
    return re.sub(r"\b[0-9a-f]{32}\b", "ID", text).strip().splitlines()


def run(code: str, **env: str) -> tuple[str, str]:
    """Run a program with the console exporter; return what it printed on both streams."""
    child = run_python(code, env={**os.environ, "OTEL_TRACES_EXPORTER": "console", **env})
    return child.stdout, child.stderr


def export(tracer: Tracer) -> Any:
    """Hand what `tracer` has buffered to a console exporter; return its one result."""
    [payload] = tracer._swap()
    result = ConsoleExporter().export(payload, payload.trace_count, 1.0)
    tracer._settle(payload, result.status)
    return result


# -- whole programs --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_a_program_prints_its_traces_to_standard_error(version: str) -> None:
    """OTEL_TRACES_EXPORTER=console draws each trace, standard output stays the program's."""
    out, err = run(SANDWICH + "    print('done')\n", DD_TRACE_API_VERSION=version)
    assert out == "done\n"
    assert masked(err) == DRAWN


def test_nothing_is_sent_to_an_agent(session: Any) -> None:
    """The agent that is configured as well gets nothing."""
    run_python(SANDWICH, env=session.env(OTEL_TRACES_EXPORTER="console"))
    assert session.spans() == []


def test_traces_are_printed_while_the_program_runs() -> None:
    """A trace appears within a flush interval, flush() prints it at once, both count as sent."""
    code = """
        import sys, time
        from fasttrace import tracer
        with tracer.trace("first"):
            pass
        for _ in range(20_000):
            if tracer.stats()["sent"]:
                break
            time.sleep(0.001)
        with tracer.trace("second"):
            pass
        assert tracer.flush()
        print("flushed", file=sys.stderr)
        with tracer.trace("third"):
            pass
        stats = tracer.stats()
        assert (stats["sent"], stats["dropped"]) == (2, {}), stats
    """
    _, err = run(code, DD_TRACE_WRITER_INTERVAL_SECONDS="0.01", DD_SERVICE="s")
    lines = [line.split()[0] for line in err.splitlines() if line]
    assert lines == ["trace", "first", "trace", "second", "flushed", "trace", "third"]


if hasattr(os, "fork"):

    def test_parent_and_child_print_their_own() -> None:
        """After a fork each process prints what it finished, once."""
        code = """
            import os
            from fasttrace import tracer
            with tracer.trace("before"):
                pass
            pid = os.fork()
            with tracer.trace("child" if pid == 0 else "parent"):
                pass
            tracer.flush()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        """
        _, err = run(code)
        assert sorted(re.findall(r"^\w+(?=  )", err, re.MULTILINE)) == ["before", "child", "parent"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding"])
def test_a_terminal_without_the_characters_gets_others(
    new_tracer: Callable[..., Tracer], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Where the lines of the tree cannot be encoded, the trace is drawn in ASCII."""
    tracer = new_tracer()
    with tracer.trace("café"), tracer.trace("below"):
        pass

    class Terminal(io.StringIO):
        pass

    terminal = Terminal()
    Terminal.encoding = encoding  # type: ignore[assignment]
    monkeypatch.setattr(sys, "stderr", terminal)
    assert export(tracer).status == "sent"
    lines = masked(terminal.getvalue())
    assert lines[1:] == ["caf\\xe9   svc  TIME  caf\\xe9", "`- below  svc  TIME  below"]


def test_a_program_without_standard_error_goes_on() -> None:
    """With standard error closed or absent the traces are dropped, counted, and nothing raises."""
    code = """
        import sys
        from fasttrace import tracer
        for stream in (None, open("x", "w")):
            if stream is not None:
                stream.close()
            sys.stderr = stream
            with tracer.trace("op"):
                pass
            assert not tracer.flush()
        print(tracer.stats()["dropped"])
    """
    begin_s = time.monotonic()
    out, err = run(code)
    assert (out, err) == ("{'not_printed': 2}\n", "")
    assert time.monotonic() - begin_s < 30.0


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError, RuntimeError])
def test_a_stream_that_raises_is_a_result(
    new_tracer: Callable[..., Tracer], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Whatever goes wrong when the text is written, the export says what, and raises nothing."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise error("broken")

    tracer = new_tracer()
    with tracer.trace("op"):
        pass
    monkeypatch.setattr(sys, "stderr", Broken())
    result = export(tracer)
    assert (result.status, result.detail) == ("not_printed", f"{error.__name__}: broken")


def test_what_is_printed_is_there_at_once(
    new_tracer: Callable[..., Tracer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is left in the buffer of the stream."""
    tracer = new_tracer()
    with tracer.trace("op"):
        pass
    with (tmp_path / "log").open("w", buffering=1 << 20) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert export(tracer).status == "sent"
        assert masked((tmp_path / "log").read_text()) == [
            "trace ID  1 span  TIME",
            "op  svc  TIME  op",
        ]
        monkeypatch.undo()


# -- what is printed -------------------------------------------------------------------------------


def test_the_tracers_own_tags_are_left_out(
    new_tracer: Callable[..., Tracer], capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed are the tags of the application and of its configuration, on the span's one line."""
    tracer = new_tracer(env="prod", version="7", tags={"team": "deli"})
    with tracer.trace("op") as span:
        span.set_tag("sql", "SELECT *\nFROM bread\x1b[31m")
        span.set_metric("rows", 2.5)
        span._add_event("ordered", {})
        span.link_span(span.context)
    assert export(tracer).status == "sent"
    printed = capsys.readouterr()
    assert printed.out == ""
    _, line = masked(printed.err)
    assert line == (
        "op  svc  TIME  op  team=deli  env=prod  version=7"
        "  sql=SELECT *\\nFROM bread\\x1b[31m  rows=2.5"
    )


def test_a_huge_trace_is_printed_in_part(
    new_tracer: Callable[..., Tracer], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a trace with more spans than anybody reads the rest is counted."""
    tracer = new_tracer(partial_flush_enabled=False)
    with tracer.trace("root"):
        for _ in range(MAX_SPANS + 10):
            with tracer.trace("child"):
                pass
    assert export(tracer).status == "sent"
    lines = masked(capsys.readouterr().err)
    assert len(lines) == MAX_SPANS + 2
    assert lines[-1] == "... and 11 more spans"


def test_parts_of_a_trace_are_put_together(
    new_tracer: Callable[..., Tracer], capsys: pytest.CaptureFixture[str]
) -> None:
    """A trace that was flushed in parts is one tree, if its parts are printed together."""
    tracer = new_tracer(partial_flush_min_spans=5)
    with tracer.trace("root"):
        for _ in range(7):
            with tracer.trace("child"):
                pass
    assert export(tracer).status == "sent"
    lines = masked(capsys.readouterr().err)
    assert lines[0] == "trace ID  8 spans  TIME"
    assert [line[:8] for line in lines[1:]] == ["root    ", *["├─ child"] * 6, "└─ child"]


def test_a_payload_that_cannot_be_read_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong is a result of the export, never an exception."""

    class Payload:
        api_version = "v0.4"

        def buffers(self) -> list[bytes]:
            return [b"\xc1"]

    result = ConsoleExporter().export(Payload(), 1, 1.0)  # type: ignore[arg-type]
    assert result.status == "not_printed"
    assert result.detail
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_decoding_is_the_same_for_both_formats(
    new_tracer: Callable[..., Tracer], version: str
) -> None:
    """Chunks come back with the keys of v0.4 in either format, many of them as well."""
    tracer = new_tracer(api_version=version)
    for number in range(300):
        with tracer.trace(f"op {number}", span_type="web") as span:
            span.set_tag("text", "é" * number)
    [payload] = tracer._swap()
    chunks = decode_body(b"".join(payload.buffers()), version)
    tracer._settle(payload, "test")
    assert [chunk[0]["name"] for chunk in chunks] == [f"op {number}" for number in range(300)]
    assert [len(chunk[0]["meta"].get("text", "")) for chunk in chunks] == list(range(300))
    assert {chunk[0]["type"] for chunk in chunks} == {"web"}


# -- choosing it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "exporter", "enabled"),
    [
        ("console", "console", True),
        (" Console ", "console", True),
        ("agent", "agent", True),
        ("none", "agent", False),
        ("", "agent", True),
    ],
)
def test_the_variable(
    value: str, exporter: str, enabled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """OTEL_TRACES_EXPORTER chooses the exporter or none, without a warning."""
    config = Config.from_env({"OTEL_TRACES_EXPORTER": value})
    assert (config.exporter, config.enabled) == (exporter, enabled)
    assert caplog.messages == []


def test_an_unknown_exporter_is_one_warning() -> None:
    """A value that names no exporter of ours gives one warning, and traces go to the agent."""
    code = """
        import json, logging
        records = []
        handler = logging.Handler()
        handler.emit = lambda record: records.append(record.getMessage())
        logging.getLogger("fasttrace").addHandler(handler)
        from fasttrace import Tracer, tracer
        Tracer()
        print(json.dumps([records, tracer._config.exporter, tracer.enabled]))
    """
    out, _ = run(code, OTEL_TRACES_EXPORTER="otlp")
    assert json.loads(out) == [
        [
            "OTEL_TRACES_EXPORTER='otlp' is not usable: expected none or console or agent;"
            " using 'agent'"
        ],
        "agent",
        True,
    ]


def test_the_program_may_choose(capsys: pytest.CaptureFixture[str]) -> None:
    """Config(exporter="console") prints whatever the environment says; other words are refused."""
    config = Config.from_env({"OTEL_TRACES_EXPORTER": "agent"}, exporter="console", service="s")
    tracer = Tracer(config=config)
    with tracer.trace("op"):
        pass
    assert tracer.flush()
    assert masked(capsys.readouterr().err) == ["trace ID  1 span  TIME", "op  s  TIME  op"]
    assert tracer.stats()["sent"] == 1
    assert accounting_difference(tracer.stats()) == 0
    with pytest.raises(ValueError, match="expected agent or console"):
        config.replace(exporter="otlp")
