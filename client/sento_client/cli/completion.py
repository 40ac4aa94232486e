"""`sento completion`: the script that lets a shell complete commands, options, sites, registries and error codes."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "sento"
_VARIABLE = "_SENTO_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    Sites and registries come from the configuration that --config or SENTO_CONFIG names. No site is asked.

    \b
    Install, once:
        sento completion bash > ~/.local/share/bash-completion/completions/sento
        sento completion zsh > ~/.zfunc/_sento        (with fpath+=~/.zfunc before compinit in ~/.zshrc)
        sento completion fish > ~/.config/fish/completions/sento.fish

    The other commands have scripts of their own kind: _SENTO_DRILL_COMPLETE=bash_source sento-drill, _SENTO_NODE_COMPLETE=bash_source sento-node.
    """
    made_by = get_completion_class(shell)
    if made_by is None:
        raise click.UsageError(f"This release of click has no completion for {shell}.")
    script = made_by(ctx.find_root().command, {}, PROGRAM, _VARIABLE)
    click.echo(script.source())
