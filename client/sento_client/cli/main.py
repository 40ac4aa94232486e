"""The command `sento`: its options, its help, its commands."""

from __future__ import annotations

from pathlib import Path

import click

from sento_client.cli.app import App
from sento_client.cli.backup import backup
from sento_client.cli.bootstrap import bootstrap
from sento_client.cli.changes import changes
from sento_client.cli.completion import completion
from sento_client.cli.courier import courier
from sento_client.cli.erasure import erasure
from sento_client.cli.errors import errors
from sento_client.cli.exits import WORDS
from sento_client.cli.export import export
from sento_client.cli.extract import extract
from sento_client.cli.fraud import fraud
from sento_client.cli.govern import govern
from sento_client.cli.group import Commands
from sento_client.cli.history import history
from sento_client.cli.key_agent import key_agent
from sento_client.cli.keys import keys
from sento_client.cli.outbox import outbox
from sento_client.cli.pseudonyms import pseudonyms
from sento_client.cli.read import read
from sento_client.cli.reads import reads
from sento_client.cli.receipt import receipt
from sento_client.cli.recovery import recovery
from sento_client.cli.restore import restore
from sento_client.cli.status import status
from sento_client.cli.subject import subject
from sento_client.cli.verify import verify
from sento_client.cli.volumes import volumes
from sento_client.cli.write import write

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


for command in (
    write,
    read,
    history,
    subject,
    reads,
    changes,
    verify,
    status,
    outbox,
    receipt,
    fraud,
    export,
    extract,
    govern,
    bootstrap,
    recovery,
    restore,
    erasure,
    volumes,
    courier,
    backup,
    keys,
    pseudonyms,
    key_agent,
    errors,
    completion,
):
    main.add_command(command)
