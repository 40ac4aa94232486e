"""`sento backup`: the ledger into a directory while the sites run, each time what the directory has not."""

from __future__ import annotations

from pathlib import Path

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import (
    DIRECTORY,
    EXISTING,
    key_option,
    make_set,
    operator_option,
    show_made,
    trust_option,
    verify_directories,
    volume_size_option,
)


class _DirectoryFirst(click.Group):
    """`sento backup DIR` means `sento backup make DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """With the command's name where there is none."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DirectoryFirst, short_help="Keep a copy of the ledger in a directory.")
def backup() -> None:
    """Keep a copy of the ledger in a directory: `sento backup DIR` writes what DIR has not, as volumes that prove themselves.

    One ledger and one program at a time in a directory. Volumes are not sealed unless --to names somebody: payloads are sealed as ever, but headers say who
    wrote about whom when, so the directory belongs where the ledger itself may lie.

    \b
    Examples:
        sento backup /srv/backup
        sento backup verify /srv/backup --trust trust.json
    """


@backup.command("make")
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@click.option(
    "--to", multiple=True, metavar="NAME", help="Seal to this institution or officer; may be repeated."
)
@volume_size_option
@operator_option
@pass_app
def make_(app: App, directory: Path, to: tuple[str, ...], volume_size: int, operator: Path | None) -> None:
    """Write what a quorum cosigned since the last time into DIR. Killed, it goes on behind the last whole volume."""
    entry, told = make_set(
        app, directory, kind="backup", operator=operator, volume_bytes=volume_size, to=to, spine_copies=1
    )
    show_made(app, directory, entry, told)


@backup.command("verify")
@click.argument("directory", metavar="DIR", type=EXISTING)
@trust_option
@key_option
@pass_app
def verify_(app: App, directory: Path, trust: Path, key: Path | None) -> None:
    """Prove all sets in DIR as one ledger, offline. Ends with 0 when all is good, with 4 otherwise."""
    verify_directories(app, (directory,), trust, key, None, chain=True)
