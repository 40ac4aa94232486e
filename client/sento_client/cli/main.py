"""The command `sento`: its options, its help, its commands."""

from __future__ import annotations

from pathlib import Path

import click

from sento_client.cli.app import App
from sento_client.cli.exits import WORDS
from sento_client.cli.group import Commands

COMMANDS = (
    "write",
    "read",
    "history",
    "subject",
    "reads",
    "changes",
    "verify",
    "status",
    "outbox",
    "receipt",
    "fraud",
    "export",
    "extract",
    "govern",
    "bootstrap",
    "recovery",
    "restore",
    "recover",
    "return",
    "site",
    "relocate",
    "erasure",
    "volumes",
    "courier",
    "backup",
    "keys",
    "pseudonyms",
    "key-agent",
    "errors",
    "completion",
)
"""In the order in which help lists them; `sento_client.cli` has a module for each."""
_EXIT_CODES = "\n".join(f"    {code.value:<3}  {words}" for code, words in WORDS.items())
_EPILOG = f"""\b
Exit codes:
{_EXIT_CODES}

\b
First steps:
    sento keys
    sento status
    sento write residency residence/entry --fact address --content entry.json
    sento read 0 --purpose test --case 1
"""


@click.group("sento", cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("sento.toml"),
    envvar="SENTO_CONFIG",
    show_default=True,
    help="The client's configuration; or set SENTO_CONFIG.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="JSON on standard output instead of text for people: one value, or one a line from changes and write --lines.",
)
@click.pass_context
def main(ctx: click.Context, config: Path, as_json: bool) -> None:
    """Write and read administrative records in the Sento registry, verify them, and see how it stands."""
    app = ctx.obj if isinstance(ctx.obj, App) else App()
    ctx.obj = app.with_options(config, as_json)


main.add_later(COMMANDS, "sento_client.cli")
