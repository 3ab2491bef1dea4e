"""The command ``fasttrace`` (also ``python -m fasttrace``). Nothing else imports this module."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code. `argv` is what follows the program's name.

    Exit codes: 0 success, 1 the command found something wrong, 2 it could not be run (unknown
    command or option, no agent), 130 stopped by Ctrl-C; those of `run` are in its module.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:  # what follows is the program's
        from . import run

        return run.main(words[1:])
    arguments = _parser().parse_args(words)
    try:
        if arguments.command == "info":
            from . import info

            text, well = info.describe(as_json=arguments.json)
            print(text)
            return 0 if well else 1
        from . import demo

        return demo.run(requests=arguments.requests, agent_url=arguments.agent)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(prog="fasttrace", description="A fast tracer for Python.")
    parser.add_argument("--version", action="version", version=f"fasttrace {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="trace a small service and see that every span arrives",
        description="Trace a small service against Datadog's test agent and show what arrived."
        " Exit code 1 if any span was lost, 2 if there is no agent.",
    )
    demo.add_argument(
        "--requests", type=_positive, default=64, metavar="N", help="HTTP requests to serve (64)"
    )
    demo.add_argument(
        "--agent", metavar="URL", help="use this running test agent; the default is to start one"
    )
    commands.add_parser(
        "run", help="run a program with its libraries traced, as fasttrace-run does"
    )
    info = commands.add_parser(
        "info",
        help="print version, build, settings and what the agent says, for a support ticket",
        description="Print the version, how it was built, every setting with where it comes from,"
        " and whether the agent can be reached. Exit code 1 if it cannot.",
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _positive(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
