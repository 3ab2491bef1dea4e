"""fasttrace-run: what it runs and how, and that the program does not notice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from inner_pytest import ROOT
from run_command import RUN, at_once, environment, outcome, run

from fasttrace import run as command

REPORT = """
import os, sys
main = sys.modules["__main__"]
print(sys.argv, __name__, main is sys.modules[__name__], getattr(main, "__file__", None))
print(main.__spec__ is None, sys.path[0], os.getcwd(), sys.stdin.read(), sys.flags.optimize)
print(os.environ.get("SHOP"), {"requests", "flask", "grpc"} & set(sys.modules))
"""
ENDS = {
    "return": "",
    "exit 3": "import sys; sys.exit(3)",
    "exit text": "import sys; sys.exit('no bread')",
    "exception": "def f():\n    return 1 / 0\nf()",
    "exception in a thread": "import threading; threading.Thread(target=lambda: 1 / 0).start()",
    "os._exit": "import os; os._exit(4)",
    "signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "log": "import logging; logging.warning('low'); logging.getLogger('x').error('out')",
    "log format": "import logging; logging.basicConfig(format='%(message)s'); logging.error('out')",
    "warning": "import warnings; warnings.warn('hot')",
    "spawned": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(5)'])",
    "pool": "import multiprocessing as m\nwith m.Pool(1) as p: print(p.map(abs, [-1]))",
    "asyncio": "import asyncio; asyncio.run(asyncio.sleep(0)); print(1)",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with one program in every form."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(REPORT)
    for name in ("script.py", "package/module.py"):
        (tmp_path / name).write_text(REPORT)
    for name in ("tool", "text"):
        (tmp_path / name).write_text(f"#!{sys.executable}\n{REPORT}")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "gone").write_text("#!/nowhere/python\n")
    (tmp_path / "gone").chmod(0o755)
    return tmp_path


FORMS = {
    "script.py": [sys.executable],
    "./script.py a -b --list": [sys.executable],
    "package/module.py": [sys.executable],
    "-m package -m x": [sys.executable],
    "-m package.module": [sys.executable],
    "tool -c": [],
    "./tool": [],
    "sh -c ./tool": [],
    "python -O script.py": [],
}


def test_every_form_of_program(programs: Path) -> None:
    """Arguments, `__main__`, path, standard input and what is imported are as without it."""
    search = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = environment(PATH=search, SHOP="corner")

    def check(line: str) -> None:
        with_it, without = (
            run(*start, *line.split(), cwd=programs, env=env, input="bread", stdin=None)
            for start in (RUN, FORMS[line])
        )
        assert outcome(with_it) == outcome(without)
        assert with_it.returncode == 0
        assert "__main__ True" in with_it.stdout

    at_once(check, FORMS)


def test_every_end_of_a_program(tmp_path: Path) -> None:
    """Exit code, signal and output are those of the program; of the agent, one line at most."""
    for number, code in enumerate(ENDS.values()):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "program.py").write_text(code)
    at_once(lambda name: check_end(tmp_path / str(list(ENDS).index(name))), ENDS)


def check_end(tmp_path: Path) -> None:
    """Compare how the program in that directory ends, with fasttrace-run and without it."""
    env = environment(DD_TRACE_METHODS="subprocess:run;asyncio:run")  # so that there are spans
    without = run(sys.executable, "program.py", cwd=tmp_path, env=env)
    with_it = run(*RUN, "program.py", cwd=tmp_path, env=env)
    warned = [line for line in with_it.stderr.splitlines() if "http://localhost:9" in line]
    assert len(warned) <= 1, with_it.stderr
    for line in warned:
        with_it.stderr = with_it.stderr.replace(line + "\n", "")
    # A traceback shows all that an exception went through.
    with_it.stderr = re.sub(r'  File ".*/opentelemetry/.*\n( {4}.*\n)+', "", with_it.stderr)
    assert outcome(with_it) == outcome(without)


def test_code(tmp_path: Path) -> None:
    """-c runs code, whose arguments follow it."""
    words = ["-c", "import sys; print(sys.argv, __name__)", "-c", "x"]
    with_it = run(*RUN, *words, cwd=tmp_path)
    assert outcome(with_it) == outcome(run(sys.executable, *words, cwd=tmp_path))
    assert with_it.stdout == "['-c', '-c', 'x'] __main__\n"


def test_the_process_is_replaced(tmp_path: Path) -> None:
    """The program has the process that was started: signals and supervisors find it."""
    words = [*RUN, "-c", "import os; print(os.getpid())"]
    child = subprocess.Popen(words, env=environment(), cwd=tmp_path, stdout=subprocess.PIPE)
    printed, _ = child.communicate(timeout=60)
    assert int(printed) == child.pid


REFUSED = [
    ("nothing-of-that-name", 127, "nothing-of-that-name: program not found"),
    ("./nothing.py", 127, "./nothing.py: program not found"),
    ("gone", 127, "gone: its interpreter was not found"),
    ("./text", 126, "./text: Permission denied"),
    ("text", 126, "text: Permission denied"),
    ("./package", 126, "./package: Permission denied"),
    ("", 2, "no program is named"),
    ("-d", 2, "no program is named"),
    ("-x script.py", 2, "unknown option -x"),
    ("--liszt", 2, "unknown option --liszt"),
    ("-m", 2, "-m needs an argument"),
]


def test_what_cannot_be_run(programs: Path) -> None:
    """The exit codes are a shell's, and the message names the program or the option."""
    env = environment(PATH=os.pathsep.join([str(programs), os.environ["PATH"]]))

    def check(case: tuple[str, int, str]) -> None:
        line, code, said = case
        result = run(*RUN, *line.split(), cwd=programs, env=env)
        assert result.returncode == code
        assert result.stdout == ""
        assert result.stderr.splitlines()[0] == f"fasttrace-run: {said}"
        assert ("usage: " in result.stderr) == (code == 2)

    at_once(check, REFUSED)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """-h names every option, -v the version; `--` ends the options."""
    assert command.main(["--help"]) == 0
    printed = capsys.readouterr().out
    options = ("-h", "--help", "-d", "--debug", "-i", "--info", "-v", "--version", "--list")
    assert [option for option in options if option not in printed] == []
    assert command.main(["-v"]) == command.main(["--version", "x"]) == 0
    from fasttrace import __version__

    assert capsys.readouterr().out == f"fasttrace-run {__version__}\n" * 2
    assert command.main(["--", "--nothing"]) == 127


def test_info(tmp_path: Path) -> None:
    """-i prints what `fasttrace info` does, with its exit code."""
    result = run(*RUN, "-i", cwd=tmp_path)
    assert result.returncode == 1
    assert "agent     http://localhost:9" in result.stdout


def test_debug(tmp_path: Path) -> None:
    """-d turns DD_TRACE_DEBUG on in the program."""
    code = "import os, sqlite3; print(os.environ['DD_TRACE_DEBUG'])"
    result = run(*RUN, "-d", "-c", code, cwd=tmp_path)
    assert result.stdout == "true\n"
    assert "DEBUG fasttrace instrumented: sqlite3" in result.stderr


def test_as_a_subcommand(tmp_path: Path) -> None:
    """`python -m fasttrace run` is the same; its help lists it."""
    words = [sys.executable, "-m", "fasttrace"]
    assert run(*words, "run", "-c", "print(1)", "-h", cwd=tmp_path).stdout == "1\n"
    assert run(*words, "run", "nothing-of-that-name", cwd=tmp_path).returncode == 127
    assert "fasttrace-run" in run(*words, "--help", cwd=tmp_path).stdout


def test_the_script_is_declared() -> None:
    """The package installs `fasttrace-run`."""
    assert 'fasttrace-run = "fasttrace.run:main"' in (ROOT / "pyproject.toml").read_text()


def test_the_path_that_was_there_stays() -> None:
    """PYTHONPATH grows by one entry in front, once, whatever it was."""
    for given in ("", "a", "a::b", os.pathsep):
        environ = {"PYTHONPATH": given} if given else {}
        for _ in range(2):
            command.prepare(environ)
            wanted = os.pathsep.join([command.BOOTSTRAP, given]) if given else command.BOOTSTRAP
            assert environ["PYTHONPATH"] == wanted


CHILDREN = """
import os, subprocess, sys
import fasttrace._auto
print(fasttrace._auto._started, flush=True)
if len(sys.argv) < 2:
    subprocess.run([sys.executable, __file__, "child"])
"""


def test_children_are_traced_too(tmp_path: Path) -> None:
    """Every Python the program starts is set up as the program itself is."""
    (tmp_path / "program.py").write_text(CHILDREN)
    assert run(*RUN, "program.py", cwd=tmp_path).stdout == "True\nTrue\n"
    assert run(sys.executable, "program.py", cwd=tmp_path).stdout == "False\nFalse\n"


SITE = {
    "none": "",
    "prints": "import sys; sys.marked = 1; print('site', __name__, __file__)",
    "fails": "1 / 0",
    "lacks a module": "import nothing_of_that_name",
    "changes the path": "import sys; sys.path.insert(0, '/nowhere')",
}
#: Where there is none, or it failed, the module of that name is ours or none.
NOT_LOADED = ("none",)
BOOTSTRAP_FILE = os.path.join(command.BOOTSTRAP, "sitecustomize.py")
AFTER_SITE = """
import sys
import fasttrace._auto as auto
site = sys.modules.get("sitecustomize")
print(getattr(sys, "marked", 0), sys.argv, "nowhere" in str(sys.path))
if "told" in sys.argv:
    print(auto._started, site and site.__file__, file=sys.stderr)
"""


def test_the_sitecustomize_of_the_user(tmp_path: Path) -> None:
    """It is run as without us, its errors are reported alike, and the program is traced."""
    at_once(lambda site: check_site(site, tmp_path / site), SITE)


def check_site(site: str, tmp_path: Path) -> None:
    """Compare a program that has this sitecustomize, with fasttrace-run and without it."""
    own = tmp_path / "own"
    own.mkdir(parents=True)
    if SITE[site]:
        (own / "sitecustomize.py").write_text(SITE[site])
    (tmp_path / "program.py").write_text(AFTER_SITE)
    env = environment(own)
    without = run(sys.executable, "program.py", "told", cwd=tmp_path, env=env)
    command.prepare(env)
    with_it = run(sys.executable, "program.py", "told", cwd=tmp_path, env=env)
    assert "True" in with_it.stderr
    assert (BOOTSTRAP_FILE in with_it.stderr) == (site in NOT_LOADED)
    for result in (with_it, without):
        result.stderr = re.sub(r"^(True|False) .*\n", "", result.stderr, flags=re.MULTILINE)
    assert outcome(with_it) == outcome(without)


def test_a_python_without_fasttrace(tmp_path: Path) -> None:
    """If the program's Python lacks fasttrace that is said once, and its children say nothing."""
    code = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', '']).returncode)"
    env = environment()
    command.prepare(env)
    env["PYTHONPATH"] = str(Path(command.BOOTSTRAP))
    hidden = "import sys, os; sys.modules['fasttrace'] = None\n"
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text(hidden)
    env["PYTHONPATH"] += os.pathsep + str(own)
    child = subprocess.Popen(
        ["sh", "-c", f'_FASTTRACE_RUN_PID=$$ exec "{sys.executable}" -c "{code}"'],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    printed, said = child.communicate(timeout=60)
    assert (child.returncode, printed) == (0, "0\n")
    assert said.count("fasttrace-run: the program is not traced: ") == 1
    assert len(said.splitlines()) == 1


NAMED = """
from fasttrace import tracer
import logging
import sys
record = logging.makeLogRecord({}).__dict__
with tracer.trace("x") as span:
    print(span.service, sys.argv[1:], record.get("dd.service", span.service) == span.service)
"""


#: command line -> service
SERVICES = {
    "script.py data": "shop",
    "package/plain.py": "package",
    "-m package data": "package",
    "-m package.inner.plain --x data": "package.inner",
    "-m package.inner": "package.inner",
    "-m package.plain": "package",
    "-mscript data": "shop",
    "-m zipped data": None,
}


def test_the_service_that_is_inferred(tmp_path: Path) -> None:
    """A program without DD_SERVICE has the service it has without us, run as a module, too."""
    shop = tmp_path / "shop"
    (shop / "package" / "inner").mkdir(parents=True)
    (shop / "data").mkdir()
    for name in ("package/__init__.py", "package/inner/__init__.py"):
        (shop / name).write_text("")
    for name in ("__main__", "plain", "inner/__main__", "inner/plain"):
        (shop / "package" / f"{name}.py").write_text(NAMED)
    (shop / "script.py").write_text(NAMED)
    with zipfile.ZipFile(shop / "archive.zip", "w") as archive:
        archive.writestr("zipped.py", NAMED)
    env = environment(shop / "archive.zip", DD_TRACE_ENABLED="true")

    def check(line: str) -> None:
        service = SERVICES[line]
        without = run(sys.executable, *line.split(), cwd=shop, env=env)
        with_it = run(*RUN, *line.split(), cwd=shop, env=env)
        assert with_it.stdout == without.stdout
        assert service is None or with_it.stdout.startswith(f"{service} [")
        assert with_it.stdout.endswith("] True\n")

    at_once(check, SERVICES)


def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C reaches the program, which ends as without us."""
    code = (
        "import time\ntry: print(1, flush=True); time.sleep(60)\nexcept KeyboardInterrupt: print(2)"
    )
    child = subprocess.Popen(
        [*RUN, "-c", code], env=environment(), stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "1\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == "2\n"
    assert child.returncode == 0
