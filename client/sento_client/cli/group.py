"""How every command of `sento` ends, whatever happens in it: Ctrl-C, a pipe that closes early, output that a locale cannot show."""

from __future__ import annotations

import sys

import click

from sento_client.cli.exits import Exit
from sento_client.cli.terminal import let_go_of_output, prepare_streams


class Commands(click.Group):
    """The commands, each ended in the same way. `sento --help` lists them in the order in which they were added."""

    def invoke(self, ctx: click.Context) -> object:
        """Run one command."""
        prepare_streams()
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            let_go_of_output()
            sys.exit(Exit.PIPE_CLOSED)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted before anything was sent.", err=True)
            sys.exit(Exit.INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were added."""
        return list(self.commands)
