"""How every command of `sento` ends, whatever happens in it: Ctrl-C, a pipe that closes early, output that a locale cannot show."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Mapping
from types import MappingProxyType

import click

from sento_client.cli.exits import Exit
from sento_client.cli.terminal import let_go_of_output, prepare_streams


class Commands(click.Group):
    """The commands, each ended in the same way. `sento --help` lists them in the order in which they were added."""

    _modules: Mapping[str, str] = MappingProxyType({})

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

    def add_later(self, names: tuple[str, ...], package: str) -> None:
        """Commands that are loaded when they are asked for, so that a command's start does not wait for what the others need. Each stands in a module of
        `package` under its own name, with _ for -, and one behind a word of the language."""
        self._modules = {name: f"{package}.{_module_of(name)}" for name in names}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were added."""
        return [*self._modules, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, loaded if it is not yet."""
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module = self._modules[cmd_name]
        command = getattr(importlib.import_module(module), module.rpartition(".")[2])
        assert isinstance(command, click.Command), module
        return command


def _module_of(name: str) -> str:
    """A command's module, in which the command has the same name."""
    return f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
