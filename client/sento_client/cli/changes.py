"""`sento changes`: the records of a registry in the ledger's order from a position on, to its end or for as long as you look."""

from __future__ import annotations

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.parameters import (
    LIST_LIMIT,
    POSITION,
    purpose_options,
    registry_argument,
    stream_options,
)
from sento_client.cli.show import change_line, version_value
from sento_client.client import SentoClient
from sento_client.results import Version


@click.command(short_help="List or follow the records of a registry in order.")
@registry_argument
@click.option(
    "--from",
    "from_position",
    type=POSITION,
    default=0,
    show_default=True,
    metavar="POSITION",
    help="First position to look at.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000_000),
    help=f"At most so many (default: {LIST_LIMIT}; with --follow no limit).",
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@purpose_options
@stream_options
@pass_app
def changes(
    app: App,
    registry: str,
    from_position: int,
    limit: int | None,
    follow: bool,
    purpose: str,
    case_number: str,
    header_only: bool,
    site: str | None,
    deadline_ms: int | None,
) -> None:
    """List the records of a registry in the order of the ledger, oldest first, each verified.

    With --json each record is a JSON line; without --follow one more line says from where to go on next time, also when there was nothing.
    When a site fails while you follow, another one goes on where it ended.

    \b
    Examples:
        sento changes residency --from 1000 --purpose "daily report" --case 2026-9
        sento --json changes residency --follow --purpose "tax feed" --case 2026-4 | my-program
    """
    wanted = limit or (None if follow else LIST_LIMIT)
    place = _Place(from_position)

    async def work(sento: SentoClient) -> None:
        # One more than is shown tells whether there is one more; in the stream it comes anyway.
        records = sento.changes(
            registry=registry,
            from_position=from_position,
            purpose=purpose,
            case_number=case_number,
            follow=follow,
            limit=wanted if follow or wanted is None else wanted + 1,
            header_only=header_only,
            site=site,
            deadline_ms=deadline_ms,
        )
        iterator = aiter(records)
        while True:
            with app.waiting(sento, site, deadline_ms, shown=not follow):
                version = await anext(iterator, None)
            if version is None:
                return
            if place.shown == wanted:
                place.more = True
                return
            place.take(version)
            _tell(app, version)

    app.run(
        work, site=site, waits=False, if_interrupted=lambda: f"Stopped. Go on with --from {place.next_from}."
    )
    if not follow:
        _conclude(app, place)


class _Place:
    """How far the list has come."""

    def __init__(self, next_from: int) -> None:
        self.next_from = next_from
        self.shown = 0
        self.more = False

    def take(self, version: Version) -> None:
        self.next_from = version.position + 1
        self.shown += 1


def _tell(app: App, version: Version) -> None:
    if not app.as_json:
        click.echo(change_line(version))
        return
    value = version_value(version)
    # A stream has no one moment at which it was current.
    del value["as_of"]
    app.show_line({**value, "site": version.as_of.site})


def _conclude(app: App, place: _Place) -> None:
    if app.as_json:
        app.show_line({"more": place.more, "next_from": place.next_from})
    elif place.more:
        click.echo(f"There are more: repeat the command with --from {place.next_from}.", err=True)
    elif not place.shown:
        click.echo(f"Nothing stands from position {place.next_from} on.", err=True)
