"""`sento key-agent`: run the key agent, ask what it holds, check its log."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.setup_errors import SetupError

_AGENT = click.option(
    "--agent",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("key-agent.toml"),
    envvar="SENTO_KEY_AGENT",
    show_default=True,
    help="The agent's configuration.",
)


@click.group("key-agent", short_help="Run the key agent; its log.")
def key_agent() -> None:
    """The key agent alone holds the keys of compartments that demand it, and unwraps one record's key for one access record.

    Without it the list of who read a person's records is complete for honest sites only: a reader with the key opens every copy it ever gets.
    With it each opening needs an access record of its own, which stands in the ledger under the person's pseudonym before the key leaves.

    \b
    Examples:
        sento govern propose require-key-agent health:psychiatry agent-1 --reason "board 2026-11-02"
        sento key-agent serve --agent key-agent.toml
        sento key-agent log verify --agent key-agent.toml
    """


@key_agent.command(short_help="Serve until SIGTERM or SIGINT.")
@_AGENT
@pass_app
def serve(app: App, agent: Path) -> None:
    """Unwrap keys for access records that stand, until SIGTERM or SIGINT.

    What operators should know goes to standard error, one JSON object a line; each call goes into the log first.
    """
    from sento_client.key_agent.config import load_agent_config
    from sento_client.key_agent.server import CannotServe
    from sento_client.key_agent.server import serve as serve_agent
    from sento_client.serving.saying import json_line

    async def life() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        config = load_agent_config(agent)
        await serve_agent(config, stop, lambda words: click.echo(json_line(words), err=True))

    try:
        asyncio.run(life())
    except SetupError as error:
        _end(app, error)
    except CannotServe as error:
        click.echo(f"The key agent did not start: {error}.", err=True)
        sys.exit(Exit.REFUSED)


@key_agent.group(short_help="The log of calls.")
def log() -> None:
    """One line for each call: when, which institution, which record by its hash, for which access record, with what outcome."""


@log.command("verify", short_help="Follow the log's chain from its first line.")
@_AGENT
@pass_app
def verify(app: App, agent: Path) -> None:
    """Check that no line was altered, taken out or put in. Ends with 4 when the chain is broken, and says at which line."""
    from sento_client.key_agent.config import load_agent_config
    from sento_client.serving.log_chain import ChainBroken
    from sento_client.serving.log_chain import verify as verify_chain
    from sento_client.serving.log_files import log_lines, log_paths

    try:
        directory = load_agent_config(agent).log_directory
    except SetupError as error:
        _end(app, error)
    if not log_paths(directory):
        raise click.UsageError(f"{directory} holds no log.")
    try:
        end = verify_chain(log_lines(directory), None)
    except ChainBroken as error:
        value = {"whole": False, "line": error.line, "why": str(error)}
        app.show(value, lambda console: console.print(f"The log was changed. {value['why']}.", markup=False))
        sys.exit(Exit.NOT_VERIFIED)
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    words = f"{end.lines:,} lines, each follows the one before it. Note this elsewhere: {end.lines}:{end.head.hex()}"
    shown = {"whole": True, "lines": end.lines, "head": end.head.hex()}
    app.show(shown, lambda console: console.print(words, markup=False, soft_wrap=True))


def _end(app: App, error: SetupError) -> NoReturn:
    app.show_error(error)
    sys.exit(Exit.USAGE)
