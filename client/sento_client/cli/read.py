"""`sento read`: one record by position or hash, verified and opened."""

from __future__ import annotations

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.confirmed import confirmed_value, print_confirmed
from sento_client.cli.parameters import confirmed_option, purpose_options, reading_options, record_name
from sento_client.cli.show import version_table, version_value
from sento_client.client import SentoClient
from sento_client.composing import Ports
from sento_client.results import Freshness, Version


@click.command(short_help="Read one record, verified and opened.")
@click.argument("name", callback=record_name, metavar="POSITION|HASH")
@purpose_options
@reading_options
@confirmed_option
@pass_app
def read(
    app: App,
    name: int | bytes,
    purpose: str,
    case_number: str,
    freshness: str,
    header_only: bool,
    site: str | None,
    deadline_ms: int | None,
    confirmed: bool,
) -> None:
    """Read one record, check its hashes and its author's signature, and open it.

    The answer covers every write acknowledged before the question, unless you say --local. A record that is not sealed to your
    institution is shown closed.

    With --confirmed a quorum of sites signs which record about the person is the last as of a recent checkpoint, and this one is shown to stand in that
    chain, with the newest version behind it, if there is one. Where too few sites say the same: NOT_CONFIRMED.

    \b
    Example:
        sento read 17 --purpose "address proof" --case 2026-118
    """

    async def work(sento: SentoClient) -> Version:
        return await sento.read(
            name,
            purpose=purpose,
            case_number=case_number,
            freshness=Freshness(freshness),
            header_only=header_only,
            site=site,
            deadline_ms=deadline_ms,
            confirmed=confirmed,
        )

    version = app.run(work, site=site, deadline_ms=deadline_ms)

    def people(console: Console) -> None:
        now_ms = Ports().wall_ms() if freshness == Freshness.LOCAL else None
        console.print(version_table(version, now_ms), soft_wrap=False)
        if confirmed:
            print_confirmed(console, version.confirmed)

    value = version_value(version)
    app.show({**value, "confirmed": confirmed_value(version.confirmed)} if confirmed else value, people)
