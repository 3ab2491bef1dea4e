"""fasttrace.patch and patch_all, fasttrace.auto: which libraries are traced, and what is said."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from inner_pytest import ROOT
from run_command import RUN, at_once, environment, run

from fasttrace import _instrumentor_names as names
from fasttrace.config import FIELDS

NEW_FIELDS = ("trace_methods", "patch_modules")
NOT_FOUND = "ModuleNotFoundException"
#: Tells which instrumentors are on, after what each test does before.
REPORT = """
import importlib, json, sys, threading
def report(*modules):
    threading.Thread(target=int).start()
    for module in modules:
        importlib.import_module(module)
    from fasttrace._instrumentors import installed
    on = [
        name for name, points in installed().items()
        if any(
            point.module in sys.modules and point.load()().is_instrumented_by_opentelemetry
            for point in points
        )
    ]
    print(json.dumps(sorted(on)))
"""
#: An instrumentor that is in the environment of a test only.
FAKE = """
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
class Fake(BaseInstrumentor):
    def instrumentation_dependencies(self): return ()
    def _instrument(self, **kwargs): ...
    def _uninstrument(self, **kwargs): ...
"""


def report(code: str, tmp_path: Path, *path: Path, **env: str) -> tuple[Any, str]:
    """Run `code` after REPORT; return what it prints, read as JSON, and standard error."""
    (tmp_path / "program.py").write_text(REPORT + textwrap.dedent(code))
    result = run(sys.executable, "program.py", cwd=tmp_path, env=environment(*path, **env))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout or "null"), result.stderr


def install(where: Path, name: str, body: str, requires: str = "") -> Path:
    """Install an instrumentor `name` in `where`, whose package module has this body."""
    info = where / f"otel_{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: otel-{name}\nVersion: 1\n"
        + (f"Requires-Dist: {requires}; extra == 'instruments'\n" if requires else "")
    )
    (info / "entry_points.txt").write_text(
        f"[opentelemetry_instrumentor]\n{name} = otel_{name}:Fake\n"
    )
    (where / f"otel_{name}.py").write_text(body)
    return where


def test_patch_traces_what_it_names(tmp_path: Path) -> None:
    """By ddtrace's or OpenTelemetry's name, when the library is imported; False does nothing."""
    code = """
        import fasttrace
        fasttrace.patch(requests=True, futures=True, sqlite3=False)
        import sys
        assert "requests" not in sys.modules
        report("requests", "flask", "sqlite3")
    """
    assert report(code, tmp_path) == (["requests", "threading"], "")


def test_the_program_may_import_an_instrumentor_itself(tmp_path: Path) -> None:
    """One that is imported before its library is complete when the library starts it."""
    code = """
        import fasttrace.auto
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        RequestsInstrumentor().uninstrument()
        report()
    """
    found, errors = report(code, tmp_path)
    assert errors == ""
    assert "fastapi" in found
    assert "requests" not in found


def test_patch_of_what_is_imported_already(tmp_path: Path) -> None:
    """A library imported before is traced at once, a second call changes nothing."""
    code = """
        import requests, grpc
        from fasttrace import patch
        patch(requests=True, grpc=True)
        patch(requests=True)
        report()
    """
    grpc = ["grpc-aio-client", "grpc-aio-server", "grpc-client", "grpc-server"]
    assert report(code, tmp_path) == ([*grpc, "requests"], "")


def test_patch_logging_is_ours(tmp_path: Path) -> None:
    """logging=True puts the ids of the trace on log records."""
    code = """
        import logging, fasttrace
        fasttrace.patch(logging=True)
        with fasttrace.tracer.trace("x") as span:
            record = logging.getLogger("x").makeRecord("x", 20, "", 0, "m", (), None)
        print(json.dumps(getattr(record, "dd.span_id") == str(span.span_id)))
    """
    assert report(code, tmp_path) == (True, "")


PATCH_SAYS_WHAT_IT_CANNOT_DO = [
    ("flsk", NOT_FOUND, "no library is known as 'flsk'; did you mean flask?"),
    (
        "nonsense",
        "ModuleNotFoundException",
        "known as 'nonsense'; known are: aio",
    ),
    (
        "pymongo",
        "ModuleNotFoundException",
        "`pip install opentelemetry-instrumentation-pymongo`",
    ),
    ("mariadb", NOT_FOUND, "OpenTelemetry has no instrumentation of it"),
    ("broken", "PatchException", "ImportError: cannot import name 'x'"),
]


def test_patch_says_what_it_cannot_do(tmp_path: Path) -> None:
    """It raises, or with raise_errors=False warns once, and does the rest."""

    def check(case: tuple[Any, ...]) -> None:
        library, error, said = case
        own = tmp_path / str(PATCH_SAYS_WHAT_IT_CANNOT_DO.index(case))
        own.mkdir()
        site = install(own / "site", "broken", "from os import x")
        code = f"""
            import fasttrace, fasttrace.patching, requests
            try:
                fasttrace.patch(requests=True, {library}=True)
            except fasttrace.patching.PatchException as error:
                print(json.dumps([type(error).__name__, str(error)]))
        """
        (kind, text), errors = report(code, own, site)
        assert kind == error
        assert said in text
        assert errors == ""
        code = f"""
            import fasttrace
            fasttrace.patch(raise_errors=False, requests=True, {library}=True)
            report("requests")
        """
        done, errors = report(code, own, site)
        assert done == ["requests"] if library != "broken" else True
        assert errors.count("\n") <= 1
        assert said in errors

    at_once(check, PATCH_SAYS_WHAT_IT_CANNOT_DO)


ALL = """
    import fasttrace
    fasttrace.patch_all(%s)
    report("flask", "requests", "sqlite3", "urllib.request")
"""


def test_patch_all(tmp_path: Path) -> None:
    """Everything that is installed and imported, but what is named with False."""
    everything, errors = report(ALL % "", tmp_path)
    assert errors == ""
    assert {"flask", "requests", "sqlite3", "threading", "urllib", "jinja2"} <= set(everything)
    assert "fastapi" not in everything
    assert "click" not in everything
    fewer, errors = report(ALL % "flask=False, futures=False, requests=True", tmp_path)
    assert (fewer, errors) == ([n for n in everything if n not in ("flask", "threading")], "")


VARIABLES_THAT_LEAVE_ONE_OUT = [
    ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "flask , URLLIB", {"flask", "urllib"}),
    ("DD_TRACE_FLASK_ENABLED", "false", {"flask"}),
    ("DD_TRACE_FUTURES_ENABLED", "0", {"threading"}),
    ("DD_TRACE_FLASK_ENABLED", "true", set()),
    ("DD_TRACE_CLICK_ENABLED", "false", set()),
    ("DD_PATCH_MODULES", "flask:false,requests:true", {"flask"}),
]


def test_variables_that_leave_one_out(tmp_path: Path) -> None:
    """ddtrace's and OpenTelemetry's variables are honoured by fasttrace.auto."""

    code = """
        import fasttrace.auto
        report("flask", "requests", "sqlite3", "urllib.request")
    """
    everything, _ = report(code, tmp_path)
    assert "flask" in everything

    def check(case: tuple[Any, ...]) -> None:
        variable, value, off = case
        own = tmp_path / str(VARIABLES_THAT_LEAVE_ONE_OUT.index(case))
        own.mkdir()
        found, errors = report(code, own, **{variable: value})
        assert errors == ""
        assert set(everything) - set(found) == off

    at_once(check, VARIABLES_THAT_LEAVE_ONE_OUT)


VARIABLES_THAT_TURN_ALL_OFF = [
    ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", ""),
    ("DD_TRACE_ENABLED", "false", ""),
    ("OTEL_SDK_DISABLED", "true", "OTEL_SDK_DISABLED turns OpenTelemetry off"),
    ("DD_TRACE_OTEL_ENABLED", "false", "DD_TRACE_OTEL_ENABLED turns OpenTelemetry off"),
]


def test_variables_that_turn_all_off(tmp_path: Path) -> None:
    """With one of these no library is traced; where that may surprise, one line says so."""

    def check(case: tuple[Any, ...]) -> None:
        variable, value, said = case
        own = tmp_path / str(VARIABLES_THAT_TURN_ALL_OFF.index(case))
        own.mkdir()
        found, errors = report("import fasttrace.auto\nreport('flask')", own, **{variable: value})
        assert found == []
        assert said in errors
        assert errors.count("\n") == bool(said)

    at_once(check, VARIABLES_THAT_TURN_ALL_OFF)


def test_click_has_to_be_asked_for(tmp_path: Path) -> None:
    """A server that is a command of click would be one trace without end; three ways ask for it."""
    code = "import fasttrace.auto\nreport('click')"
    assert "click" not in report(code, tmp_path)[0]
    assert "click" in report(code, tmp_path, DD_TRACE_CLICK_ENABLED="true")[0]
    assert "click" in report(code, tmp_path, DD_PATCH_MODULES="click:true")[0]
    code = "import fasttrace; fasttrace.patch(click=True); report('click')"
    assert report(code, tmp_path) == (["click"], "")


def test_logging_of_opentelemetry(tmp_path: Path) -> None:
    """Its own attributes on log records come if OpenTelemetry's variable asks for them."""
    code = """
        import fasttrace.auto, logging
        record = logging.getLogger("x").makeRecord("x", 20, "", 0, "m", (), None)
        handlers = [type(one).__module__ for one in logging.getLogger().handlers]
        print(json.dumps([hasattr(record, "otelTraceID"), hasattr(record, "dd.trace_id"), handlers,
            "opentelemetry.instrumentation.logging" in sys.modules]))
    """
    assert report(code, tmp_path) == ([False, True, [], False], "")
    both = [True, True, ["logging"], True]
    assert report(code, tmp_path, OTEL_PYTHON_LOG_CORRELATION="true") == (both, "")


def test_threads(tmp_path: Path) -> None:
    """What a thread is started for, directly, by a pool, a timer or a subclass, has the parent."""
    code = """
        import fasttrace.auto, threading
        from fasttrace import tracer
        from fasttrace.testing import capture
        def work():
            with tracer.trace("work"):
                pass
        class Own(threading.Thread):
            def start(self):
                super().start()
        found = []
        def by_thread(): threading.Thread(target=work).start()
        def by_timer(): threading.Timer(0, work).start()
        def by_subclass(): Own(target=work).start()
        def by_pool():
            from concurrent.futures import ThreadPoolExecutor
            with ThreadPoolExecutor(1) as pool:
                pool.submit(work)
        with capture() as spans:
            for start in ORDER:
                before = threading.enumerate()
                with tracer.trace("start") as span:
                    start()
                    for thread in threading.enumerate():
                        if thread not in before:
                            thread.join()
                (work_span,) = [one for one in spans if one.name == "work"][len(found):]
                found.append(work_span.parent_id == span.span_id)
        print(json.dumps([found, threading.Thread.start.__name__]))
    """
    names = ["by_pool", "by_thread", "by_timer", "by_subclass"]
    orders = [names[number:] + names[:number] for number in range(len(names))]

    def check(order: list[str]) -> None:
        directory = tmp_path / order[0]
        directory.mkdir()
        ordered = code.replace("ORDER", ", ".join(order))
        assert report(ordered, directory) == ([[True] * 4, "start"], "")

    at_once(check, orders)


def test_what_a_start_loads(tmp_path: Path) -> None:
    """A program that uses nothing pays neither for instrumentation nor for OpenTelemetry's API."""
    code = "import sys; print(*sys.modules)"
    loaded = set(run(*RUN, "-c", code, cwd=tmp_path).stdout.split())
    bare = set(run(sys.executable, "-c", code, cwd=tmp_path).stdout.split())
    dear = ("opentelemetry.trace", "opentelemetry.context", "wrapt", "asyncio", "ssl", "requests")
    assert [name for name in dear if name in loaded] == []
    assert "fasttrace.tracer" in loaded
    assert len(loaded - bare) < 160


def test_auto_twice_and_after_the_fact(tmp_path: Path) -> None:
    """It counts once, also beside the variables, and instruments what is imported already."""
    code = """
        import requests, urllib3
        from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
        URLLib3Instrumentor().instrument()
        import fasttrace.auto, importlib
        importlib.reload(fasttrace.auto)
        report("sqlite3")
    """
    found, errors = report(
        code, tmp_path, OTEL_PYTHON_CONTEXT="contextvars_context", DD_TRACE_DEBUG="true"
    )
    assert {"requests", "sqlite3", "urllib3"} <= set(found)
    assert errors.count("instrumented: requests") == 1
    assert "already instrumented" not in errors


def test_log_records_are_connected(tmp_path: Path) -> None:
    """fasttrace.auto enables log correlation unless DD_LOGS_INJECTION=false."""
    code = """
        import fasttrace.auto, logging
        print(json.dumps(hasattr(logging.makeLogRecord({}), "dd.trace_id")))
    """
    assert report(code, tmp_path) == (True, "")
    assert report(code, tmp_path, DD_LOGS_INJECTION="false") == (False, "")


A_BROKEN_INSTRUMENTOR_IS_ONE_WARNING = [
    ("raise RuntimeError('bad')", "", "fake is not instrumented: RuntimeError: bad"),
    ("raise SystemExit(3)", "", "fake is not instrumented: SystemExit: 3"),
    ("def Fake(): return 5", "", "fake is not instrumented: AttributeError"),
    ("import nothing_of_that_name", "", ""),  # of a library that is not installed
    (FAKE, "requests>=1000", "fake is not instrumented: This instrumentation only instruments"),
    (FAKE, "not-installed>=1", ""),
]


def test_a_broken_instrumentor_is_one_warning(tmp_path: Path) -> None:
    """The program runs, the others are started, and one line says what is wrong."""

    def check(case: tuple[Any, ...]) -> None:
        body, requires, said = case
        own = tmp_path / str(A_BROKEN_INSTRUMENTOR_IS_ONE_WARNING.index(case))
        own.mkdir()
        site = install(own / "site", "fake", body, requires)
        (own / "program.py").write_text(REPORT + "import sys\nreport = None\nprint(sys.argv)")
        result = run(*RUN, "program.py", "a", cwd=own, env=environment(site))
        assert (result.returncode, result.stdout) == (0, "['program.py', 'a']\n")
        assert said in result.stderr
        assert result.stderr.count("\n") == bool(said), result.stderr
        (own / "program.py").write_text(
            "import requests\nprint(hasattr(requests.Session.send, '__wrapped__'))"
        )
        assert run(*RUN, "program.py", cwd=own, env=environment(site)).stdout == "True\n"

    at_once(check, A_BROKEN_INSTRUMENTOR_IS_ONE_WARNING)


def test_an_instrumentor_from_elsewhere(tmp_path: Path) -> None:
    """One that no table has is started at once, by patch too; the hooks before and after run."""
    site = install(tmp_path / "site", "own_thing", FAKE)
    with open(site / "otel_own_thing-1.dist-info" / "entry_points.txt", "a") as file:
        for when in ("pre", "post"):
            file.write(f"[opentelemetry_{when}_instrument]\n{when} = hooks:{when}\n")
    (site / "hooks.py").write_text("import sys\ndef pre(): sys.a = 1\ndef post(): sys.b = sys.a\n")
    code = """
        import sys, fasttrace.auto
        assert sys.b == 1
        report()
    """
    found, errors = report(code, tmp_path, site)
    assert "own-thing" in found
    assert errors == ""
    found, _ = report("import fasttrace; fasttrace.patch(own_thing=True); report()", tmp_path, site)
    assert found == ["own-thing"]


def test_without_the_extra(tmp_path: Path) -> None:
    """Where opentelemetry-instrumentation is missing, one line says what to install."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['opentelemetry.instrumentation'] = None"
    )
    env = environment(tmp_path)
    result = run(*RUN, "-c", "print(5)", cwd=tmp_path, env=env)
    assert (result.returncode, result.stdout) == (0, "5\n")
    said = "opentelemetry-instrumentation is missing; install it with `pip install fasttrace[run]`"
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    result = run(*RUN, "--list", cwd=tmp_path, env=env)
    assert (result.returncode, result.stderr) == (1, "")
    assert said in result.stdout
    code = "import fasttrace\ntry: fasttrace.patch(flask=True)\nexcept Exception as e: print(e)"
    assert said in run(sys.executable, "-c", code, cwd=tmp_path, env=env).stdout


def test_another_provider_stays(tmp_path: Path) -> None:
    """OpenTelemetry's SDK, set up before, keeps its place; a warning says where spans go."""
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        import fasttrace
        fasttrace.patch(requests=True)
        print(json.dumps(type(trace.get_tracer_provider()).__module__))
    """
    found, errors = report(code, tmp_path)
    assert found == "opentelemetry.sdk.trace"
    assert errors.count("\n") == 1
    assert "opentelemetry.sdk.trace.TracerProvider" in errors


def test_the_context_is_ours_alone(tmp_path: Path) -> None:
    """Under fasttrace-run OpenTelemetry's own context is never asked."""
    code = (
        "from opentelemetry import context, trace; r = context._RUNTIME_CONTEXT\n"
        "print(type(r).__module__, r._earlier, type(trace.get_tracer_provider()).__module__)"
    )
    result = run(*RUN, "-c", code, cwd=tmp_path)
    assert result.stdout == "fasttrace._otel_context None fasttrace.opentelemetry.provider\n"


def test_the_list(tmp_path: Path) -> None:
    """--list says of each library whether it is traced, and if not what to install or change."""
    site = install(tmp_path / "site", "own_thing", FAKE)
    for name, version in (("pymongo", "4.0"), ("sqlalchemy", "99")):
        (site / f"{name}-{version}.dist-info").mkdir()
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    env = environment(site, DD_TRACE_FLASK_ENABLED="false")
    result = run(*RUN, "--list", cwd=tmp_path, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines()}
    assert rows["LIBRARY"] == "VERSION INSTRUMENTATION STATE"
    assert rows["requests"].endswith(" opentelemetry-instrumentation-requests traced")
    assert rows["sqlite3"] == "Python's opentelemetry-instrumentation-sqlite3 traced"
    assert rows["own-thing"] == "otel-own_thing traced"
    assert rows["flask"].endswith(" not traced: DD_TRACE_FLASK_ENABLED says so")
    assert "4.0 opentelemetry-instrumentation-pymongo not traced: pip install " in rows["pymongo"]
    assert " not traced: needs sqlalchemy" in rows["sqlalchemy"]
    assert rows["click"].endswith(" not traced: DD_TRACE_CLICK_ENABLED=true asks for it")
    assert "asgiref" not in rows  # a middleware, which starts nothing by itself


def test_the_guide_has_every_name() -> None:
    """docs/run.md names every instrumentor and ddtrace's name for it, and every variable."""
    words = set(re.findall(r"[\w-]+", (ROOT / "docs" / "run.md").read_text(encoding="utf-8")))
    assert {*names.KNOWN, *names.OF_DDTRACE} - words == set()
    variables = [one for field in FIELDS if field.name in NEW_FIELDS for one in field.env]
    assert set(variables) <= words
    assert len(variables) == 2


def test_the_tables() -> None:
    """Names are in their normal form, and what OpenTelemetry installs here is in the table."""
    from fasttrace._instrumentors import installed

    for table in (names.KNOWN, names.OF_DDTRACE, names.ONLY_DDTRACE):
        assert [name for name in table if name != names.normalised(name)] == []
    assert not names.ONLY_DDTRACE & set(names.KNOWN)
    targets = {one for them in names.OF_DDTRACE.values() for one in them}
    assert targets <= set(names.KNOWN)
    ours = {
        name
        for name, points in installed().items()
        if points[0].value.startswith("opentelemetry.instrumentation.")
    }
    assert len(ours) >= 15
    assert ours <= set(names.KNOWN)
    for name in ours:
        point = installed()[name][0]
        assert point.dist is not None
        assert names.package_of(name) == point.dist.name
