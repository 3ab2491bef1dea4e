"""click: commands, one below another, one that fails, one that exits."""

from __future__ import annotations

from typing import Any

import click
from click.testing import CliRunner
from opentelemetry import trace
from opentelemetry.instrumentation.click import ClickInstrumentor


def main(tracer: trace.Tracer) -> Any:
    """Run commands."""
    ClickInstrumentor().instrument()

    @click.group()
    @click.option("--debug/--no-debug", default=False)
    def shop(debug: bool) -> None:
        pass

    @shop.command()
    @click.argument("bread")
    def order(bread: str) -> None:
        with tracer.start_as_current_span("cook", attributes={"bread": bread}):
            click.echo(bread)

    @shop.command()
    def fail() -> None:
        raise RuntimeError("no bread")

    @shop.command()
    @click.pass_context
    def leave(context: click.Context) -> None:
        context.exit(3)

    @click.command()
    def plain() -> None:
        click.echo("plain")

    runner = CliRunner()
    results = [
        runner.invoke(shop, arguments)
        for arguments in (["order", "rye"], ["--debug", "order", "oat"], ["fail"], ["leave"], [])
    ]
    results.append(runner.invoke(plain, []))
    with tracer.start_as_current_span("around"):
        results.append(runner.invoke(plain, []))
        results.append(runner.invoke(shop, ["nonsense"]))
    return [result.exit_code for result in results]
