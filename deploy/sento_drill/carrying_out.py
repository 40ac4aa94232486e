"""Carrying a drill out from the command line: what its commands are called with alike, and what stops one, in words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import click

DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
BASE_PORT = click.option(
    "--base-port", type=click.IntRange(1024, 65_000), help="First of the sites' ports (default: free ones)."
)


def carry_out(drill: Callable[[], Coroutine[None, None, None]]) -> list[str]:
    """Run to the end; what stopped it comes back in words, a mistake in the call is raised."""
    import uvloop

    from sento_client import SentoError, SetupError
    from sento_drill.commands import CommandFailed
    from sento_drill.plaintext_search import SearchIsBlind
    from sento_drill.waiting import TooLate
    from sento_drill.world import NoWorld

    try:
        uvloop.run(drill())
    except (TooLate, NoWorld, SearchIsBlind, CommandFailed, SentoError, SetupError, OSError) as error:
        return [str(error)]
    except KeyboardInterrupt:
        return ["interrupted"]
    return []


def finish(trouble: list[str]) -> None:
    """Say what stopped a drill, and end with 1 then."""
    for problem in trouble:
        click.echo(f"sento-drill: {problem}", err=True)
    if trouble:
        sys.exit(1)
