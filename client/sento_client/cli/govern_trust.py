"""`sento govern trust`: the file by which others judge receipts: the genesis file and every act, each with signatures and the proof of its place."""

from __future__ import annotations

from pathlib import Path

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.govern_common import run_governing
from sento_client.governing.client import GoverningClient
from sento_client.secret_files import write_secret


@click.command(short_help="Write trust.json, by which others verify receipts.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where to put it, for one: trust.json.",
)
@pass_app
def trust(app: App, out: Path) -> None:
    """Write a trust file: genesis file and all acts that changed who counts, each shown to stand at its place under the newest checkpoint of a quorum.

    It travels with receipts: whoever has both, and knows the ledger's id, verifies without any site. Nothing in it is secret.

    \b
    Example:
        sento govern trust --out trust.json
    """

    async def work(client: GoverningClient) -> bytes:
        return await client.proven_trust()

    data = run_governing(app, work)
    try:
        write_secret(out, data)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written: {error.strerror}.") from None
    app.show(
        {"file": str(out), "size_bytes": len(data)},
        lambda console: console.print(f"The trust file is {out} ({len(data)} bytes)."),
    )
