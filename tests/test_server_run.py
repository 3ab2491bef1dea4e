"""fasttrace-run under real servers: the programs of examples/run/, each in one connected trace.

Each is run without fasttrace-run as well, and must answer and print the same.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_process import free_ports
from conftest import FULL
from inner_pytest import ROOT
from run_command import PATH, RUN, at_once, outcome, run
from server_processes import PATIENCE_S

from fasttrace.tree import draw

EXAMPLES = ROOT / "examples" / "run"
PYTHON_M = [sys.executable, "-m"]


class Server:
    """A server as a process of its own, asked over HTTP; use it in a `with`.

    command: PORT in it is replaced. path: what it answers when it is up.
    """

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path, log: Path) -> None:
        (self.port,) = free_ports(1)
        self.log = log
        self._command = [word.replace("PORT", str(self.port)) for word in command]
        self._env, self._cwd = env, cwd

    def __enter__(self) -> Server:
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            try:
                connection.connect()
                return self
            except OSError:
                assert self.process.poll() is None, self.printed()
                assert time.monotonic() < deadline, self.printed()
                time.sleep(0.05)
            finally:
                connection.close()

    def __exit__(self, *exc_info: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def printed(self) -> str:
        """What the server has printed."""
        return self.log.read_text(errors="replace")

    def ask(
        self, path: str, body: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, str, list[str]]:
        """Send a GET request, or POST with a form; return status, body and cookies."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            method, data = "GET", None
            if body is not None:
                method, data = "POST", urllib.parse.urlencode(body)
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            cookies = answer.headers.get_all("Set-Cookie") or []
            return answer.status, answer.read().decode(), cookies
        finally:
            connection.close()

    def stop(self) -> int:
        """End it by SIGTERM; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def environment(session: Any, **extra: str) -> dict[str, str]:
    """The environment of a program that sends to the agent, with fasttrace on its path."""
    path = os.pathsep.join(PATH)
    return {**session.env(DD_SERVICE="shop"), "PYTHONPATH": path, **extra}


#: What differs from one run of a program to the next: pattern -> what stands for it.
VARYING = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [+-]\d{4}|,\d{3})?": "TIME",
    r"127.0.0.1:\d+": "CLIENT",
    r"\b\d{2,}\b": "N",
}


def masked(log: str, own: object, varying: dict[str, str] = VARYING) -> list[str]:
    """The lines of a log, in any order of processes, without what varies: `own` and that."""
    log = log.replace(str(own), "OWN")
    for pattern, replacement in varying.items():
        log = re.sub(pattern, replacement, log)
    return sorted(log.splitlines())


def with_and_without(
    start: list[str],
    command: list[str],
    session: Any,
    cwd: Path,
    tmp_path: Path,
    use: Callable[[Server], Any],
    env: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Serve with fasttrace-run and without it; compare; return the spans that arrived.

    start: what comes before the command without fasttrace-run.
    """
    found: dict[str, Any] = {}

    def serve(way: tuple[str, list[str]]) -> None:
        name, words = way
        with Server(words, environment(session, **env or {}), cwd, tmp_path / name) as server:
            answers = use(server)
            code = server.stop()
            found[name] = (answers, code, masked(server.printed(), server.port))

    at_once(serve, [("without", [*start, *command]), ("with", [*RUN, *command])])
    assert found["without"] == found["with"]
    return list(session.spans())


def traces_of(spans: list[dict[str, Any]], resource: str) -> list[list[dict[str, Any]]]:
    """The traces whose root has that resource."""
    roots = [s for s in spans if s["resource"] == resource and not s.get("parent_id")]
    return [[span for span in spans if span["trace_id"] == root["trace_id"]] for root in roots]


def trace_of(spans: list[dict[str, Any]], resource: str) -> list[dict[str, Any]]:
    """The spans of the only trace whose root has that resource, in the order of their starts."""
    traces = traces_of(spans, resource)
    assert len(traces) == 1, draw(spans)
    return traces[0]


def shape(spans: list[dict[str, Any]]) -> Any:
    """A trace as nested lists: [name, resource, children], the children sorted."""
    (root,) = [span for span in spans if not span.get("parent_id")]

    def below(parent: dict[str, Any]) -> Any:
        children = [span for span in spans if span.get("parent_id") == parent["span_id"]]
        return [parent["name"], parent["resource"], sorted(map(below, children))]

    drawn = below(root)
    assert str(drawn).count("['") == len(spans), draw(spans)  # all are below the root
    return drawn


def sql(*statements: str) -> list[Any]:
    """The spans of statements in a database, as `shape` gives them."""
    return [["sqlite.query", statement, []] for statement in statements]


def gunicorn(tmp_path: Path, application: str) -> list[str]:
    """The command for gunicorn with two workers."""
    configuration = tmp_path / "configuration.py"
    configuration.write_text("control_socket_disable = True\n")  # where there is one
    return [
        *("-m", "gunicorn", "-c", str(configuration), "--workers", "2"),
        *("-b127.0.0.1:PORT", application),
    ]


#: Requests in a row: some are served by the same thread, and each has to be a trace of its own.
ORDERS = 5


def orders(server: Server) -> list[Any]:
    """Order several times."""
    return [server.ask("/order/bread") for _ in range(ORDERS)]


ORDER_IN_FLASK = [
    *("server.request", "GET /order/<item>"),
    [
        ["client.request", "GET", [["server.request", "GET /stock/<item>", []]]],
        *sql("CREATE", "INSERT"),
    ],
]


@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_flask_under_gunicorn(worker: str, session: Any, tmp_path: Path) -> None:
    """Each request, what it asks another worker, and its SQL are one trace, gevent or not."""
    command = [*gunicorn(tmp_path, "flask_shop:app"), "--worker-class", worker]
    spans = with_and_without([sys.executable], command, session, EXAMPLES, tmp_path, orders)
    traces = traces_of(spans, "GET /order/<item>")
    assert list(map(shape, traces)) == [ORDER_IN_FLASK] * ORDERS
    assert len(spans) == sum(map(len, traces))
    metrics = [span["metrics"] for span in spans if span.get("metrics")]
    processes = {one["process_id"] for one in metrics if "process_id" in one}
    assert len(processes) == 2 or worker == "gevent"  # one of its workers can answer itself


#: The same for uWSGI, whose lines have numbers that must not differ: statuses, sizes, processes.
VARYING_IN_UWSGI = {
    r"\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\]": "[TIME]",
    r"pid: \d+": "pid: N",
    r"0x[0-9a-f]+": "ADDRESS",
    r"req: \d+/\d+": "req: N/N",
    r"(in|after) \d+ (msecs|seconds)": "in N s",
    # a request of ours has the headers that connect it
    r"(?<=\{)\d+ vars in \d+ bytes(?=\} \[TIME\] GET /stock/)": "N vars in N bytes",
}


def test_flask_under_uwsgi(session: Any, tmp_path: Path) -> None:
    """`--import fasttrace.auto` is enough, and so is fasttrace-run, where uWSGI forks in C.

    Answers, exit code and log are those of uWSGI without either.
    """
    program = str(Path(sys.executable).parent / "uwsgi")
    command = [program, "--http-socket", "127.0.0.1:PORT", "--master", "--processes", "2"]
    command += ["--need-app", "--die-on-term", "--enable-threads", "--module", "flask_shop:app"]
    ways = {
        "without": command,
        "run": [*RUN, *command],
        "import": [*command, "--import", "fasttrace.auto"],
    }
    found: dict[str, Any] = {}

    def serve(way: str) -> None:
        env = environment(session, DD_SERVICE=f"shop-{way}")
        with Server(ways[way], env, EXAMPLES, tmp_path / way) as server:
            answers = [*orders(server), server.ask("/order")]
            deadline = time.monotonic() + PATIENCE_S
            while server.printed().count("GET /") < 2 * ORDERS + 1:  # a line follows the answer
                assert time.monotonic() < deadline, server.printed()
                time.sleep(0.02)
            code = server.stop()
            found[way] = answers, code, masked(server.printed(), server.port, VARYING_IN_UWSGI)

    at_once(serve, ways)
    assert [answer[0] for answer in found["without"][0]] == [200] * ORDERS + [404]
    assert found["run"] == found["import"] == found["without"]
    spans = session.spans()
    assert {span["service"] for span in spans} == {"shop-run", "shop-import"}
    for way in ("run", "import"):
        own = [span for span in spans if span["service"] == f"shop-{way}"]
        traces = traces_of(own, "GET /order/<item>")
        assert list(map(shape, traces)) == [ORDER_IN_FLASK] * ORDERS
        assert shape(trace_of(own, "GET /order")) == ["server.request", "GET /order", []]
        assert len(own) == sum(map(len, traces)) + 1


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]], ids=" ".join)
def test_fastapi_under_uvicorn(options: list[str], session: Any, tmp_path: Path) -> None:
    """Each request, what it asks over HTTP, and its SQL in a thread are one trace."""
    command = ["-m", "uvicorn", "fastapi_shop:app", "--port", "PORT", *options]
    env = {"TMPDIR": str(tmp_path)}
    spans = with_and_without(
        [sys.executable],
        command,
        session,
        EXAMPLES,
        tmp_path,
        orders,
        env,
    )
    sent = ["internal", "GET /stock/{item} http send", []]
    answered = ["internal", "GET /order/{item} http send", []]
    traces = traces_of(spans, "GET /order/{item}")
    whole = [
        *("server.request", "GET /order/{item}"),
        [
            [
                *("client.request", "GET"),
                [
                    [
                        *("server.request", "GET /stock/{item}"),
                        [sent, sent, *sql("SELECT", "SELECT", "connect")],
                    ]
                ],
            ],
            *(answered, answered),
        ],
    ]
    assert list(map(shape, traces)) == [whole] * ORDERS


def test_django_with_its_admin(session: Any, tmp_path: Path) -> None:
    """The admin, whose settings are named after Django's first import: a trace for each page."""
    site = EXAMPLES / "django_shop"
    env = {"SHOP_DATABASE": str(tmp_path / "shop.sqlite3"), "DJANGO_SUPERUSER_PASSWORD": "dough"}
    for words in ("migrate -v 0", "createsuperuser --noinput --username ada --email a@b.de"):
        environ = environment(session, **env, DD_TRACE_ENABLED="false")
        done = run(*RUN, "manage.py", *words.split(), cwd=site, env=environ)
        assert (done.returncode, done.stderr) == (0, "")

    def visit(server: Server) -> Any:
        _, _, (cookie,) = server.ask("/admin/login/")
        token = cookie.partition(";")[0]
        form = {"username": "ada", "password": "dough", "next": "/admin/"}
        form["csrfmiddlewaretoken"] = token.partition("=")[2]
        status, _, cookies = server.ask("/admin/login/", form, Cookie=token)
        kept = "; ".join(cookie.partition(";")[0] for cookie in cookies)
        page = server.ask("/admin/auth/user/", Cookie=kept)
        return status, page[0], "a@b.de" in page[1]

    command = gunicorn(tmp_path, "wsgi")
    answers: list[Any] = []

    def remember(server: Server) -> Any:
        answers.append(visit(server))
        return answers[-1]

    spans = with_and_without([sys.executable], command, session, site, tmp_path, remember, env)
    assert answers == [(302, 200, True)] * 2
    page = shape(trace_of(spans, "GET admin/auth/user/"))
    statements = [child[1] for child in page[2]]
    assert page[0] == "server.request"
    assert statements.count("SELECT") >= 4
    assert set(statements) <= {"SELECT", "connect", "PRAGMA", "CREATE", "UPDATE", "BEGIN"}


#: The same for Celery: ids, its processes, and how long tasks took.
VARYING_IN_CELERY = {
    **{pattern: "TIME" for pattern in VARYING if "d{4}" in pattern},
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+": "TIME",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"0x[0-9a-f]+": "ADDRESS",
    r"PoolWorker-\d+|ThreadPoolExecutor-\d+_\d+": "POOL",
    r"succeeded in [-e\d.]+s": "succeeded in N s",
}


@pytest.mark.parametrize("pool", ["prefork", *(["threads", "gevent", "solo"] if FULL else [])])
def test_tasks_of_celery(pool: str, session: Any, tmp_path: Path) -> None:
    """A task called by one command, the task it calls, and their SQL are one trace.

    What callers and worker print, results, errors and exit codes are as without fasttrace-run.
    """
    found: dict[str, Any] = {}

    def serve(way: tuple[str, list[str]]) -> None:
        name, start = way
        directory = tmp_path / name
        directory.mkdir()
        env = environment(session, SHOP_DIRECTORY=str(directory))
        command = [*start, "-m", "celery", "-A", "celery_shop"]
        options = ["-l", "info", "--pool", pool, "--concurrency", "2"]
        worker = subprocess.Popen(
            [*command, "worker", *options, "--without-gossip", "--without-mingle"],
            env=env,
            cwd=EXAMPLES,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            calls = [
                run(*command, "call", f"celery_shop.{task}", "--args", f'["{item}"]', **called)
                for task, item in (("order", "bread"), ("bake", "stone"))
                for called in [{"cwd": EXAMPLES, "env": env}]
            ]
            deadline = time.monotonic() + PATIENCE_S
            while len(list((directory / "results").glob("celery-task-meta-*"))) < 3:
                assert time.monotonic() < deadline
                assert worker.poll() is None
                time.sleep(0.05)
            worker.send_signal(signal.SIGTERM)
            printed, logged = worker.communicate(timeout=PATIENCE_S)
        finally:
            try:
                os.killpg(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            worker.wait()
        texts = [printed, logged, *(text for call in calls for text in outcome(call)[1:])]
        results = [file.read_text() for file in (directory / "results").iterdir()]
        found[name] = [
            [worker.returncode, *(call.returncode for call in calls)],
            *[masked(text, directory, VARYING_IN_CELERY) for text in (*texts, "\n".join(results))],
        ]

    at_once(serve, [("without", [sys.executable]), ("with", RUN)])
    for without, with_it in zip(found["without"], found["with"], strict=True):
        assert with_it == without
    codes, printed, logged, *_, results = found["with"]
    assert codes == [0, 0, 0]
    assert "worker: Warm shutdown (MainProcess)" in printed
    assert "ValueError: a stone cannot be baked" in logged
    assert sum('"SUCCESS"' in result for result in results) == 2
    spans = session.spans()
    bake = ["consumer", "run/celery_shop.bake", []]
    assert shape(trace_of(spans, "apply_async/celery_shop.order")) == [
        *("producer", "apply_async/celery_shop.order"),
        [
            [
                *("consumer", "run/celery_shop.order"),
                [["producer", "apply_async/celery_shop.bake", [bake]], *sql("CREATE", "INSERT")],
            ]
        ],
    ]
    failed = trace_of(spans, "apply_async/celery_shop.bake")
    assert shape(failed) == ["producer", "apply_async/celery_shop.bake", [bake]]
    assert sorted(span.get("error", 0) for span in failed) == [0, 1]
    assert len(spans) == 8


def test_a_script_with_threads(session: Any, tmp_path: Path) -> None:
    """What is done in a thread and in a pool belongs to the function that started them."""
    env = environment(session, DD_TRACE_METHODS="bakery:bake_all,bake")
    found = []
    for words in ([sys.executable], RUN):
        done = subprocess.run(
            [*words, "threads.py"], env=env, cwd=EXAMPLES, capture_output=True, timeout=60
        )
        found.append((done.returncode, done.stdout, done.stderr))
    assert found[0] == found[1] == (0, b"14 pieces\n", b"")
    bake = ["trace.annotation", "bake", sql("SELECT")]
    assert shape(session.spans()) == ["trace.annotation", "bake_all", [bake, bake, bake]]


def test_every_example_is_run() -> None:
    """No program is in examples/run/ that these tests do not run."""
    text = Path(__file__).read_text()
    modules = [path.stem for path in EXAMPLES.glob("*.py")]
    assert len(modules) == 5
    imported = {"bakery"}  # by threads.py
    assert [name for name in modules if name not in text and name not in imported] == []
