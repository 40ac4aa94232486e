"""`sento volumes`: telling the sites of copies outside of them, so that erasure certificates name those that still hold a destroyed payload."""

from __future__ import annotations

import asyncio
import sys

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.client import SentoClient
from sento_client.erasures import ask_erasures, volumes_left
from sento_client.transport import NOTE_VOLUME
from sento_proto.erasure_certificate import VOLUME_KINDS, Volume, volume_object
from sento_proto.errors import SentoError
from sento_proto.v1 import admin_pb2

NOTE_TIMEOUT_MS = 20_000
_KIND = click.option(
    "--kind", type=click.Choice(VOLUME_KINDS), default=VOLUME_KINDS[0], show_default=True, help="What it is."
)
_SITE = click.option("--site", metavar="SITE", help="Tell this site alone; otherwise all.")


@click.group(short_help="Tell the sites of courier volumes and backups.")
def volumes() -> None:
    """Tell the sites of copies outside of them: courier volumes and backups, by the number on their label.

    No order reaches a disk in a cupboard. A copy that was made before a payload was destroyed holds it until people destroy the copy, or bring it back in: what
    is read in asks the orders first. Each site's certificate lists the copies of which it was told. Telling needs an operator's certificate in sento.toml.

    \b
    Examples:
        sento volumes add V-2026-17 --size 48210
        sento volumes destroyed V-2026-17
        sento volumes list
    """


@volumes.command("add")
@click.argument("number")
@click.option(
    "--size",
    type=click.IntRange(min=0),
    required=True,
    help="How many records of the ledger it holds, from the first.",
)
@_KIND
@_SITE
@pass_app
def add(app: App, number: str, size: int, kind: str, site: str | None) -> None:
    """A volume or backup was made. NUMBER is what stands on its label."""
    _note(app, Volume(number, kind, "made", size), site)


@volumes.command("destroyed")
@click.argument("number")
@_KIND
@_SITE
@pass_app
def destroyed(app: App, number: str, kind: str, site: str | None) -> None:
    """A volume or backup was destroyed; sites that certified an erasure sign anew, without it."""
    _note(app, Volume(number, kind, "destroyed", 0), site)


@volumes.command("reimported")
@click.argument("number")
@_KIND
@_SITE
@pass_app
def reimported(app: App, number: str, kind: str, site: str | None) -> None:
    """A volume was brought back into a site and its carrier was given back: what an order had destroyed was left out."""
    _note(app, Volume(number, kind, "reimported", 0), site)


@volumes.command("list")
@pass_app
def list_volumes(app: App) -> None:
    """List the volumes that still hold a destroyed payload, as the sites' certificates name them.

    Ends with 0 when there is none, with 5 when there is one or a site is silent, with 3 when no site answers. A volume that holds no destroyed payload
    stands in no certificate and is not listed.
    """

    async def work(sento: SentoClient) -> tuple[list[tuple[str, Volume]], list[str], int]:
        answers = await ask_erasures(sento, await sento.governance(), timeout_ms=NOTE_TIMEOUT_MS)
        held = [
            one.content for answer in answers for one in answer.certificates if one.content and not one.why
        ]
        return volumes_left(held), [answer.site for answer in answers if answer.trouble], len(answers)

    left, silent, asked = app.run(work)

    def people(console: Console) -> None:
        if not left:
            console.print("No volume is known to hold a destroyed payload.")
        for site, volume in left:
            console.print(
                f"{volume.number}  {volume.kind}, {volume.size} records, told to {site}", markup=False
            )
        if silent:
            console.print(f"No answer from {', '.join(silent)}.", markup=False)

    app.show(
        {"volumes": [{"site": site, **volume_object(volume)} for site, volume in left], "silent": silent},
        people,
    )
    if len(silent) == asked:
        sys.exit(Exit.UNREACHABLE)
    if left or silent:
        sys.exit(Exit.DEGRADED)


def _note(app: App, volume: Volume, site: str | None) -> None:
    request = admin_pb2.NoteVolumeRequest(
        number=volume.number, kind=volume.kind, state=volume.state, size=volume.size
    )

    async def tell(sento: SentoClient, name: str) -> SentoError | None:
        try:
            await sento.call_site(name, NOTE_VOLUME, request, timeout_ms=NOTE_TIMEOUT_MS)
        except SentoError as error:
            return error
        return None

    async def work(sento: SentoClient) -> dict[str, SentoError | None]:
        names = [site] if site is not None else list(sento.sites)
        return dict(zip(names, await asyncio.gather(*(tell(sento, name) for name in names)), strict=True))

    told = app.run(work, site=site)
    failed = {name: error for name, error in told.items() if error is not None}
    if len(failed) == len(told):
        app.show_error(next(iter(failed.values())))
        sys.exit(Exit.REFUSED)
    known = [name for name in told if name not in failed]

    def people(console: Console) -> None:
        console.print(f"{volume.number} is noted as {volume.state} at {', '.join(known)}.", markup=False)
        for name, error in failed.items():
            console.print(
                f"{name} does not know it yet: {error.code.name}. Tell it again: --site {name}", markup=False
            )

    app.show({"told": known, "failed": {name: error.code.name for name, error in failed.items()}}, people)
    if failed:
        sys.exit(Exit.DEGRADED)
