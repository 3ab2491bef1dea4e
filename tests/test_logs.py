"""Log lines that name their trace: standard library, structlog, loguru."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import CHILD_TIMEOUT_S, note_figure, run_python
from inner_pytest import ROOT

import fasttrace
from fasttrace import _span, logs, tracer

FIELDS = ("dd.trace_id", "dd.span_id", "dd.service", "dd.env", "dd.version")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a logger named `shop` writes with the usual format, while logs are connected."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter(logs.FORMAT))
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logs.enable()
    yield written
    logs.disable()
    logger.removeHandler(handler)


def test_a_line_names_its_trace_and_span(lines: io.StringIO) -> None:
    """A 128-bit trace id has 32 hex digits; the rest is what the correlation context says."""
    with tracer.trace("s") as span:
        expected = tracer.get_log_correlation_context()
        logging.getLogger("shop").info("sold")
    assert expected["dd.trace_id"] == f"{span.trace_id:032x}"
    for name, value in expected.items():
        assert f"{name}={value}" in lines.getvalue()
    assert lines.getvalue().endswith("] - sold\n")


def test_a_line_outside_of_a_trace_has_zeros(lines: io.StringIO) -> None:
    """Where nothing is active both ids are 0."""
    logging.getLogger("shop").info("idle")
    assert "dd.trace_id=0 dd.span_id=0]" in lines.getvalue()


def test_a_short_trace_id_is_decimal(lines: io.StringIO) -> None:
    """Ids of 64 bits, as of an older service, are decimal; an activated Context counts."""
    tracer.context_provider.activate(fasttrace.Context(trace_id=2**64 - 1, span_id=2**63))
    logging.getLogger("shop").info("x")
    tracer.context_provider.activate(None)
    assert f"dd.trace_id={2**64 - 1} dd.span_id={2**63}]" in lines.getvalue()


def test_a_disabled_tracer_logs_zeros(lines: io.StringIO) -> None:
    """A line of a disabled tracer is formatted all the same."""
    tracer.enabled = False
    try:
        with tracer.trace("s"):
            logging.getLogger("shop").info("x")
    finally:
        tracer.enabled = True
    assert "dd.trace_id=0 dd.span_id=0]" in lines.getvalue()


def test_brace_style() -> None:
    """Formats of style { find the names below `dd`."""
    logs.enable(brace_style=True)
    try:
        record = logging.getLogRecordFactory()("n", 20, "p", 1, "m", (), None)
        text = logging.Formatter("{dd.trace_id} {dd.span_id} {message}", style="{").format(record)
    finally:
        logs.disable()
    assert text == "0 0 m"


def test_disable_and_other_factories() -> None:
    """disable() gives back the factory that was there, and one set on top of ours still works."""
    before = logging.getLogRecordFactory()
    logs.enable()
    ours = logging.getLogRecordFactory()
    logs.enable()
    assert logging.getLogRecordFactory() is ours
    logging.setLogRecordFactory(lambda *args, **kwargs: ours(*args, **kwargs))
    logs.disable()
    record = logging.getLogRecordFactory()("n", 20, "p", 1, "m", (), None)
    assert "dd.trace_id" not in record.__dict__
    logging.setLogRecordFactory(ours)
    logs.disable()
    assert logging.getLogRecordFactory() is before


def test_records_travel(lines: io.StringIO) -> None:
    """A record that is pickled, or made again from its dict, keeps the trace it was made in."""
    with tracer.trace("s"):
        record = logging.getLogRecordFactory()("n", 20, "p", 1, "m", (), None)
    again = pickle.loads(pickle.dumps(record))
    made = logging.makeLogRecord(record.__dict__)
    for name in FIELDS:
        assert getattr(again, name) == getattr(made, name) == getattr(record, name)


def test_structlog() -> None:
    """The processor adds the fields to the event."""
    import structlog

    written = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=[logs.add_to_structlog, structlog.processors.JSONRenderer()],
    )
    with tracer.trace("s"):
        expected = tracer.get_log_correlation_context()
        logger.info("sold", slices=2)
    assert json.loads(written.getvalue()) == {"event": "sold", "slices": 2, **expected}


def test_loguru() -> None:
    """The patcher adds the fields to the extra of a record."""
    from loguru import logger

    written: list[Any] = []
    logger.configure(
        handlers=[{"sink": lambda message: written.append(message.record["extra"])}],
        patcher=logs.add_to_loguru,
    )
    with tracer.trace("s"):
        expected = tracer.get_log_correlation_context()
        logger.info("sold")
    logger.configure(handlers=[], patcher=lambda record: None)
    assert written == [expected]


def test_the_variable_turns_it_on() -> None:
    """DD_LOGS_INJECTION=true is enough; without it logging is not even loaded."""
    code = """
        import sys
        import fasttrace
        early = "logging" in sys.modules
        import logging
        record = logging.getLogRecordFactory()("n", 20, "p", 1, "m", (), None)
        print(early, getattr(record, "dd.env", None))
    """
    variables = {**os.environ, "DD_LOGS_INJECTION": "true", "DD_ENV": "prod"}
    assert run_python(code, env=variables).stdout == "True prod\n"
    assert run_python(code).stdout == "False None\n"


def test_log_ids_of_a_custom_provider(tracer: Any) -> None:
    """The ids are those of the tracer that is asked."""
    with tracer.trace("s") as span:
        assert _span.log_ids(tracer) == (f"{span.trace_id:032x}", str(span.span_id))


def test_what_a_record_costs() -> None:
    """A connected record costs less than twice a plain one, and a disabled one is a plain one."""
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_logs.py"), "--rounds", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    ns = {line[:30].strip(): int(line[30:].split()[0].replace(",", "")) for line in lines}
    assert len(ns) == 4
    note_figure(", ".join(f"{name} {cost} ns" for name, cost in ns.items()))
    connected = [cost for name, cost in ns.items() if name.startswith("connected")]
    assert max(connected) < 2 * ns["plain"]
    assert ns["disabled again"] < 1.25 * ns["plain"]
